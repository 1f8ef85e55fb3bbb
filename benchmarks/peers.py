"""Survival models of scikit-survival and pycox as the studies ask for them: tables in, survival at any times out.

scikit-survival is under the GPL, and no part of the package: ``pip install 'underlie[peers]'``. pycox comes with
``pip install 'underlie[benchmarks]'``.
"""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

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


@final
class DeepSurv(BaseEstimator):
    """Proportional hazards with a network for the log hazard ratio, as in pycox's own example.

    Two hidden layers of 32 units, batch normalisation, dropout .1, Adam with rate .01, batches of 256, and an early
    stop by a fifth of the rows held out, event by event alike.

    Parameters
    ----------
    random_state : int
        Seed.

    References
    ----------
    Katzman et al. (2018), BMC Medical Research Methodology 18. Kvamme, Borgan and Scheel (2019), JMLR 20.
    """

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: NDArray[np.void]) -> Self:
        """Fit to a table X and outcomes y from ``ul.Surv``."""
        import torch
        import torchtuples
        from pycox.models import CoxPH

        torch.manual_seed(self.random_state)
        self.design_ = DesignMatrix().fit(X)
        rows = self.design_(X).astype(np.float32)
        outcome = y["time"].astype(np.float32), y["event"].astype(np.float32)
        train, held = train_test_split(
            np.arange(len(y)), test_size=0.2, random_state=self.random_state, stratify=y["event"]
        )
        net = torchtuples.practical.MLPVanilla(rows.shape[1], [32, 32], 1, True, 0.1, output_bias=False)
        self.model_ = CoxPH(net, torchtuples.optim.Adam(0.01))
        self.model_.fit(
            rows[train],
            tuple(part[train] for part in outcome),
            256,
            512,
            [torchtuples.callbacks.EarlyStopping()],
            verbose=False,
            val_data=(rows[held], tuple(part[held] for part in outcome)),
        )
        self.model_.compute_baseline_hazards()
        return self

    def predict_survival_function(self, X: Any, times: Any) -> Array:
        """S(t | x), (n, n_times)."""
        curves = self.model_.predict_surv_df(self.design_(X).astype(np.float32))
        return _at(curves.index.to_numpy(dtype=np.float64), curves.to_numpy(dtype=np.float64).T, times)


def _coarse(y: NDArray[np.void]) -> NDArray[np.void]:
    cuts = np.unique(np.quantile(y["time"][y["event"]], np.linspace(0, 1, N_CUTS)))
    above = np.searchsorted(cuts, y["time"], side="left")
    rounded = y.copy()
    rounded["time"] = np.where(above < len(cuts), cuts[np.minimum(above, len(cuts) - 1)], y["time"].max())
    return rounded


def _read(model: Any, rows: Array, times: Any) -> Array:
    """Right-continuous steps at any times; 1 before the first step."""
    steps = np.asarray(model.predict_survival_function(rows, return_array=True), dtype=np.float64)
    return _at(model.unique_times_, steps, times)


def _at(jumps: Array, steps: Array, times: Any) -> Array:
    steps = np.column_stack([np.ones(len(steps)), steps])
    return steps[:, np.searchsorted(jumps, np.asarray(times, dtype=np.float64), side="right")]
