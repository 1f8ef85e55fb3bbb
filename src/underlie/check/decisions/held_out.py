"""What models say of rows that they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
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
#: Category and text of a warning.
Told = tuple[type[Warning], str]
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
    """Predictions for n rows.

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
    def joined(parts: Sequence[HeldOut], rows: Sequence[Rows]) -> HeldOut:
        """All rows in their order, from folds and which rows each of them has."""
        back = np.argsort(np.concatenate(rows))

        def whole(of_parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(list(of_parts))[back]

        first, recommended = parts[0], [level for part in parts for level in part.recommended]
        common = [name for name in first.additions if all(name in part.additions for part in parts)]
        return HeldOut(
            times=first.times,
            fold=whole(part.fold for part in parts),
            recommended=[recommended[i] for i in back],
            additions={name: whole(part.additions[name] for part in parts) for name in common},
            survival=whole(part.survival for part in parts),
            propensity=_whole_or_none(whole, [part.propensity for part in parts]),
            censoring=_whole_or_none(whole, [part.censoring for part in parts]),
        )

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


def _whole_or_none(whole: Callable[..., Array], of_parts: Sequence[Array | None]) -> Array | None:
    there = [part for part in of_parts if part is not None]
    return whole(there) if len(there) == len(of_parts) else None


@final
@dataclass(frozen=True, eq=False)  # compared by identity, so that clusters can tell functions apart by their hash
class Judge:
    """Fits a fresh copy of a model to some rows and asks it about others: what a process of its own can do."""

    model: Any
    X: Any
    outcome: Outcome
    treatments: Treatments
    advice: Advice
    times: Array
    with_propensity: bool
    with_censoring: bool

    def __call__(self, fold: int, train: Rows, test: Rows) -> tuple[HeldOut, list[Told]]:
        """What the copy says of the held-out rows, and what it warned of."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = self._held_out(fold, train, test)
        return found, [(item.category, str(item.message)) for item in caught]

    def _held_out(self, fold: int, train: Rows, test: Rows) -> HeldOut:
        known, unseen = take(self.X, train), take(self.X, test)
        fitted = _fit(self.model, known, Surv(self.outcome.time[train], self.outcome.event[train]))
        recommended, additions = self._advice(fitted, unseen)
        arguments = [self.treatments.argument(level) for level in self.treatments.arms.levels]
        curves = [fitted.predict_survival_function(unseen, self.times, treatment=level) for level in arguments]
        propensity = fitted.propensity(unseen) if self.with_propensity else None
        return HeldOut(
            times=self.times,
            fold=np.full(len(test), fold, dtype=np.intp),
            recommended=recommended,
            additions=additions,
            survival=np.stack([self._checked(of_arm, unseen) for of_arm in curves], axis=1),
            propensity=None if propensity is None else _propensity(propensity, self.treatments, len(test)),
            censoring=self._censoring(known, unseen, train) if self.with_censoring else None,
        )

    def _advice(self, fitted: Any, unseen: Any) -> tuple[list[Any], dict[str, NDArray[Any]]]:
        asked = self.advice
        said = fitted.recommend(unseen, asked.time, asked.min_gain, control=asked.control, rule=asked.rule)
        chosen = list(said["recommended"])
        if len(chosen) != len(unseen):
            raise ValueError(f"model.recommend gave {len(chosen)} rows for {len(unseen)} rows of X")
        levels = [self.treatments.level(level) for level in chosen]
        return levels, {name: np.asarray(said[name]) for name in ADDITIONS if name in said}

    def _censoring(self, known: Any, unseen: Any, train: Rows) -> Array:
        """P(C > t | x) from a copy of the model with the event reversed; 1 where no training row was censored."""
        lost, time = ~self.outcome.event[train], self.outcome.time[train]
        if not (lost & (time < self.times[-1])).any():
            return np.ones((len(unseen), len(self.times)))
        fitted = _fit(self.model, known, Surv(time, lost))
        return self._checked(fitted.predict_survival_function(unseen, self.times), unseen)

    def _checked(self, said: Any, unseen: Any) -> Array:
        curves, shape = np.asarray(said, dtype=np.float64), (len(unseen), len(self.times))
        if curves.shape != shape:
            raise ValueError(
                f"model.predict_survival_function must return an array of shape {shape}, it returned {curves.shape}"
            )
        return curves


def _fit(model: Any, X: Any, y: Any) -> Any:
    """A fresh copy, fitted."""
    from sklearn.base import clone

    fresh = clone(model, safe=False)
    fresh.fit(X, y)
    return fresh


def _propensity(said: Any, treatments: Treatments, n: int) -> Array:
    """Columns in the order of the levels; a level that the model did not see has none, and probability 0."""
    by_level = {treatments.level(column): np.asarray(said[column], dtype=np.float64) for column in said.columns}
    return np.column_stack([by_level.get(level, np.zeros(n)) for level in treatments.arms.levels])
