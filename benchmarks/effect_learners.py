"""Methods that predict what a treatment changes for a patient, behind one pair of functions.

A learner is fitted to a table with the column ``treatment`` (0 or 1) and to outcomes; asked for new rows and a time it
gives survival under both treatments, and intervals where it has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peers import Forest
from simulated_effects import TREATMENT

import underlie as ul
from underlie.check.survival import CoxRegression
from underlie.check.survival.design_matrix import DesignMatrix

Array = NDArray[np.float64]
LEVEL = 0.95
#: lifelines' ridge, per row and standardised column.
PENALTIES = (1e-3, 1e-2, 0.1, 1.0)
N_FOLDS = 5


@final
@dataclass(frozen=True)
class Effects:
    """Predicted effects on survival at one time.

    Attributes
    ----------
    effect : (n,) array
        P(T > t | x, treated) - P(T > t | x, untreated).
    interval : pair of (n,) arrays, or None
        Of the individual effects.
    average_interval : pair of floats, or None
        Of the effect averaged over the rows.
    supported : float
        Share of rows that the method thinks it may compare.
    """

    effect: Array
    interval: tuple[Array, Array] | None = None
    average_interval: tuple[float, float] | None = None
    supported: float = 1.0


class Learner(Protocol):
    """What the study asks of a method."""

    def fit(self, X: pd.DataFrame, y: NDArray[np.void]) -> Self:
        """Fit to rows with the column ``treatment``."""

    def effects(self, X: pd.DataFrame, time: float) -> Effects:
        """Effects of treating rows without that column."""


@final
class Survival:
    """`SurvivalVAE` with its defaults."""

    def __init__(self, seed: int) -> None:
        self._model = ul.SurvivalVAE(TREATMENT, random_state=seed, verbose=False)

    def fit(self, X: pd.DataFrame, y: NDArray[np.void]) -> Self:
        """See `Learner`."""
        self._model.fit(X, y)
        return self

    def effects(self, X: pd.DataFrame, time: float) -> Effects:
        """See `Learner`."""
        table = self._model.treatment_effect(X, time, 1, 0, level=LEVEL)
        average = self._model.average_effect(X, time, 1, 0, level=LEVEL).iloc[0]
        return Effects(
            table["effect"].to_numpy(),
            (table["lower"].to_numpy(), table["upper"].to_numpy()),
            (float(average["lower"]), float(average["upper"])),
            float(table["supported"].mean()),
        )


@final
class CoxMain:
    """Cox regression with treatment as one more column: one hazard ratio for everybody."""

    def fit(self, X: pd.DataFrame, y: NDArray[np.void]) -> Self:
        """See `Learner`."""
        self._model, self._columns = CoxRegression().fit(X, y), list(X)
        return self

    def effects(self, X: pd.DataFrame, time: float) -> Effects:
        """See `Learner`."""
        arms = [X.assign(**{TREATMENT: arm})[self._columns] for arm in (0, 1)]
        untreated, treated = (self._model.predict_survival_function(arm, [time])[:, 0] for arm in arms)
        return Effects(treated - untreated)


@final
class CoxInteractions:
    """Cox regression with a product of treatment and every covariate; products are shrunk by a ridge.

    Its penalty is the one of four with the highest partial likelihood in five-fold cross-validation; covariates and
    treatment themselves are not shrunk.

    Parameters
    ----------
    seed : int
        Of folds and resamples.
    n_bootstrap : int
        Resamples of rows behind percentile intervals, at the penalty that was chosen; 0 for none.
    """

    def __init__(self, seed: int, n_bootstrap: int = 0) -> None:
        self._seed, self._n_bootstrap = seed, n_bootstrap

    def fit(self, X: pd.DataFrame, y: NDArray[np.void]) -> Self:
        """See `Learner`."""
        self._X, self._y = X, y
        self._design = DesignMatrix().fit(X.drop(columns=TREATMENT))
        self.penalty_ = self._choose(self._frame(X, y))
        self._model = self._regression(self._frame(X, y), self.penalty_)
        return self

    def effects(self, X: pd.DataFrame, time: float) -> Effects:
        """See `Learner`."""
        effect = self._effect(self._model, X, time)
        if not self._n_bootstrap:
            return Effects(effect)
        generator = np.random.default_rng(self._seed)
        draws = np.empty((self._n_bootstrap, len(X)))
        for draw in draws:
            rows = generator.integers(len(self._X), size=len(self._X))
            frame = self._frame(self._X.iloc[rows], self._y[rows])
            draw[:] = self._effect(self._regression(frame, self.penalty_), X, time)
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        lower, upper = np.quantile(draws, tails, axis=0)
        low, high = np.quantile(draws.mean(axis=1), tails)
        return Effects(effect, (lower, upper), (float(low), float(high)))

    def _matrix(self, X: pd.DataFrame, treated: Array) -> pd.DataFrame:
        z = self._design(X)
        contrast = (treated - 0.5)[:, None]  # so that shrinking products favours neither arm
        columns = np.column_stack([z, contrast, contrast * z])
        return pd.DataFrame(columns, columns=[f"x{j}" for j in range(columns.shape[1])])

    def _frame(self, X: pd.DataFrame, y: NDArray[np.void]) -> pd.DataFrame:
        matrix = self._matrix(X.drop(columns=TREATMENT), X[TREATMENT].to_numpy(dtype=float))
        return matrix.assign(time=y["time"], event=y["event"])

    def _regression(self, frame: pd.DataFrame, penalty: float) -> Any:
        from lifelines import CoxPHFitter

        p = len(self._design.names)
        # A hair of a ridge on the rest resolves collinear columns of a resample.
        ridge = np.concatenate([np.full(p + 1, 1e-6), np.full(p, penalty)])
        return CoxPHFitter(penalizer=ridge).fit(frame, "time", "event", fit_options={"step_size": 0.5})

    def _choose(self, frame: pd.DataFrame) -> float:
        fold = np.random.default_rng(self._seed).permutation(np.arange(len(frame)) % N_FOLDS)
        scores = [
            sum(
                self._regression(frame[fold != k], penalty).score(frame[fold == k], scoring_method="log_likelihood")
                for k in range(N_FOLDS)
            )
            for penalty in PENALTIES
        ]
        return PENALTIES[int(np.argmax(scores))]

    def _effect(self, model: Any, X: pd.DataFrame, time: float) -> Array:
        arms = [self._matrix(X, np.full(len(X), float(arm))) for arm in (0, 1)]
        untreated, treated = (
            model.predict_survival_function(arm, times=[time]).to_numpy(dtype=float)[0] for arm in arms
        )
        return np.asarray(treated - untreated)


@final
class TwoModels:
    """T-learner: one survival model for each arm.

    Parameters
    ----------
    build : function -> model
        With ``fit(X, y)`` and ``predict_survival_function(X, times)``.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def fit(self, X: pd.DataFrame, y: NDArray[np.void]) -> Self:
        """See `Learner`."""
        arm = X[TREATMENT].to_numpy()
        covariates = X.drop(columns=TREATMENT)
        self._models = [self._build().fit(covariates[arm == k], y[arm == k]) for k in (0, 1)]
        return self

    def effects(self, X: pd.DataFrame, time: float) -> Effects:
        """See `Learner`."""
        untreated, treated = (model.predict_survival_function(X, [time])[:, 0] for model in self._models)
        return Effects(treated - untreated)


OURS, REFERENCE = "SurvivalVAE", "Cox, interactions"
LEARNERS: dict[str, Callable[[int, int], Learner]] = {
    OURS: lambda seed, n_bootstrap: Survival(seed),
    REFERENCE: CoxInteractions,
    "Cox, main effects": lambda seed, n_bootstrap: CoxMain(),
    "T-learner, Cox": lambda seed, n_bootstrap: TwoModels(CoxRegression),
    "T-learner, forest": lambda seed, n_bootstrap: TwoModels(lambda: Forest(random_state=seed)),
}
