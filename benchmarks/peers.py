"""Survival models of scikit-survival as the studies ask for them: tables in, survival at any times out.

scikit-survival is under the GPL, and no part of the package: ``pip install 'underlie[peers]'``.
"""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from underlie.check.survival.design_matrix import DesignMatrix

Array = NDArray[np.float64]
#: From as many rows on, forests see times rounded up to quantiles of event times: every node keeps a curve.
MANY_ROWS, N_CUTS = 1500, 100


@final
class ScikitCox(BaseEstimator):
    """Proportional hazards; a ridge of 1e-4 on the summed likelihood does no more than resolve collinear columns."""

    def fit(self, X: Any, y: NDArray[np.void]) -> Self:
        """Fit to a table X and outcomes y from ``ul.Surv``."""
        from sksurv.linear_model import CoxPHSurvivalAnalysis

        self.design_ = DesignMatrix().fit(X)
        self.model_ = CoxPHSurvivalAnalysis(alpha=1e-4, ties="efron").fit(self.design_(X), y)
        return self

    def predict_survival_function(self, X: Any, times: Any) -> Array:
        """S(t | x), (n, n_times)."""
        return _read(self.model_, self.design_(X), times)


@final
class Forest(BaseEstimator):
    """Random survival forest: 200 trees with leaves of at least 15 rows, as in scikit-survival's user guide.

    Parameters
    ----------
    random_state : int
        Seed.
    """

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: NDArray[np.void]) -> Self:
        """Fit to a table X and outcomes y from ``ul.Surv``."""
        from sksurv.ensemble import RandomSurvivalForest

        self.design_ = DesignMatrix().fit(X)
        forest = RandomSurvivalForest(
            200, min_samples_split=10, min_samples_leaf=15, random_state=self.random_state, n_jobs=1
        )
        self.model_ = forest.fit(self.design_(X), _coarse(y) if len(y) > MANY_ROWS else y)
        return self

    def predict_survival_function(self, X: Any, times: Any) -> Array:
        """S(t | x), (n, n_times)."""
        return _read(self.model_, self.design_(X), times)


def _coarse(y: NDArray[np.void]) -> NDArray[np.void]:
    cuts = np.unique(np.quantile(y["time"][y["event"]], np.linspace(0, 1, N_CUTS)))
    above = np.searchsorted(cuts, y["time"], side="left")
    rounded = y.copy()
    rounded["time"] = np.where(above < len(cuts), cuts[np.minimum(above, len(cuts) - 1)], y["time"].max())
    return rounded


def _read(model: Any, rows: Array, times: Any) -> Array:
    """Right-continuous steps at any times; 1 before the first step."""
    steps = np.asarray(model.predict_survival_function(rows, return_array=True), dtype=np.float64)
    steps = np.column_stack([np.ones(len(rows)), steps])
    return steps[:, np.searchsorted(model.unique_times_, np.asarray(times, dtype=np.float64), side="right")]
