"""Cumulative case/dynamic control area under the ROC curve at one time, with censoring weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.brier import event_weights
from underlie.check.survival.censoring import CensoringWeights
from underlie.check.survival.concordance import TIED
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]


def auc_at(
    risk: Array, test: Outcome, weights: CensoringWeights, time: float, multiplicity: NDArray[np.float32]
) -> Array:
    r"""Probability that a row with an event by the time has a higher risk than one followed past it, (B,).

    .. math::
        \mathrm{AUC}(t) = \frac{\sum_{i, j} v_i u_j \, (1\{r_i > r_j\} + \frac12 1\{r_i = r_j\})}
                               {\sum_i v_i \sum_j u_j},
        \qquad v_i = \frac{1\{T_i \le t, \delta_i = 1\}}{G(T_i- | x_i)}, \quad u_j = \frac{1\{T_j > t\}}{G(t | x_j)}

    in each resample; NaN where there is no case or no control. Risks that follow one another within 1e-8 are tied.

    References
    ----------
    Uno, Cai, Tian and Wei (2007), Journal of the American Statistical Association 102. Hung and Chiang (2010),
    Canadian Journal of Statistics 38.
    """
    case, control = event_weights(test, weights, np.array([time]))
    order = np.argsort(risk, kind="stable")
    starts = np.flatnonzero(np.diff(risk[order], prepend=-np.inf) > TIED)
    counts = multiplicity[:, order].astype(np.float64)
    cases = np.add.reduceat(counts * case[0, order], starts, axis=1)
    controls = np.add.reduceat(counts * control[0, order], starts, axis=1)
    below = np.cumsum(controls, axis=1) - controls / 2
    pairs = cases.sum(1) * controls.sum(1)
    return np.divide((cases * below).sum(1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
