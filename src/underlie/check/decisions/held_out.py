"""What models say of rows that they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.decisions.arms import Arms
from underlie.check.decisions.folds import Rows, Treatments, take
from underlie.check.survival.outcomes import Outcome
from underlie.data.surv import Surv

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ADDITIONS = ("gain", "lower", "upper", "supported")


@final
@dataclass(frozen=True)
class Advice:
    """What is asked of ``model.recommend``."""

    time: float
    min_gain: float
    control: Any
    rule: str | Callable[..., Any]


@final
@dataclass(frozen=True)
class HeldOut:
    """Predictions for n rows, filled fold by fold.

    Attributes
    ----------
    times : (n_times,) array
        Grid of the curves; the last is the time of the decision.
    fold : (n,) array
    recommended : list of n levels
        None where nothing is recommended.
    additions : dict
        What else ``recommend`` said, (n,) each.
    survival : (n, n_arms, n_times) array
    propensity : (n, n_arms) array or None
    censoring : (n, n_times) array or None
        P(C > t) under each row's own treatment.
    """

    times: Array
    fold: NDArray[np.intp]
    recommended: list[Any]
    additions: dict[str, NDArray[Any]]
    survival: Array
    propensity: Array | None
    censoring: Array | None

    @staticmethod
    def empty(n: int, arms: Arms, times: Array, with_propensity: bool, with_censoring: bool) -> HeldOut:
        """Before the first fold."""
        n_arms = len(arms.levels)
        return HeldOut(
            times=times,
            fold=np.zeros(n, dtype=np.intp),
            recommended=[None] * n,
            additions={},
            survival=np.full((n, n_arms, len(times)), np.nan),
            propensity=np.full((n, n_arms), np.nan) if with_propensity else None,
            censoring=np.full((n, len(times)), np.nan) if with_censoring else None,
        )

    def fill(
        self,
        fold: int,
        model: Any,
        X: Any,
        outcome: Outcome,
        treatments: Treatments,
        advice: Advice,
        train: Rows,
        test: Rows,
    ) -> None:
        """Fit a fresh copy to the training rows, and write down what it says of the held-out ones."""
        known, unseen = take(X, train), take(X, test)
        fitted = _fit(model, known, Surv(outcome.time[train], outcome.event[train]))
        self.fold[test] = fold
        self._ask_for_advice(fitted, unseen, treatments, advice, test)
        for arm, level in enumerate(treatments.arms.levels):
            curves = fitted.predict_survival_function(unseen, self.times, treatment=treatments.argument(level))
            self.survival[test, arm] = _checked(curves, (len(test), len(self.times)), "predict_survival_function")
        if self.propensity is not None:
            self.propensity[test] = _propensity(fitted.propensity(unseen), treatments, len(test))
        if self.censoring is not None:
            self.censoring[test] = self._censoring(model, known, unseen, outcome, train)

    def _ask_for_advice(self, fitted: Any, unseen: Any, treatments: Treatments, advice: Advice, test: Rows) -> None:
        said = fitted.recommend(unseen, advice.time, advice.min_gain, control=advice.control, rule=advice.rule)
        chosen = list(said["recommended"])
        if len(chosen) != len(test):
            raise ValueError(f"model.recommend gave {len(chosen)} rows for {len(test)} rows of X")
        for row, level in zip(test, chosen, strict=True):
            self.recommended[row] = treatments.level(level)
        for name in ADDITIONS:
            if name in said:
                values = np.asarray(said[name])
                self.additions.setdefault(name, np.zeros(len(self.fold), dtype=values.dtype))[test] = values

    def _censoring(self, model: Any, known: Any, unseen: Any, outcome: Outcome, train: Rows) -> Array:
        """P(C > t | x) from a copy of the model with the event reversed; 1 where no training row was censored."""
        lost = ~outcome.event[train]
        if not (lost & (outcome.time[train] < self.times[-1])).any():
            return np.ones((len(unseen), len(self.times)))
        fitted = _fit(model, known, Surv(outcome.time[train], lost))
        curves = fitted.predict_survival_function(unseen, self.times)
        return _checked(curves, (len(unseen), len(self.times)), "predict_survival_function")

    def table(self, arms: Arms, index: Any) -> pd.DataFrame:
        """One row per row of X."""
        import pandas as pd

        columns: dict[str, Any] = {
            "fold": self.fold,
            "treatment": [arms.levels[code] for code in arms.codes],
            "recommended": self.recommended,
            **self.additions,
        }
        for arm, level in enumerate(arms.levels):
            columns[f"survival {level}"] = self.survival[:, arm, -1]
        if self.propensity is not None:
            for arm, level in enumerate(arms.levels):
                columns[f"propensity {level}"] = self.propensity[:, arm]
        return pd.DataFrame(columns, index=index)


def _fit(model: Any, X: Any, y: Any) -> Any:
    """A fresh copy, fitted."""
    from sklearn.base import clone

    fresh = clone(model, safe=False)
    fresh.fit(X, y)
    return fresh


def _checked(values: Any, shape: tuple[int, ...], method: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"model.{method} must return an array of shape {shape}, it returned {array.shape}")
    return array


def _propensity(said: Any, treatments: Treatments, n: int) -> Array:
    """Columns in the order of the levels; a level that the model did not see has none, and probability 0."""
    by_level = {treatments.level(column): np.asarray(said[column], dtype=np.float64) for column in said.columns}
    return np.column_stack([by_level.get(level, np.zeros(n)) for level in treatments.arms.levels])
