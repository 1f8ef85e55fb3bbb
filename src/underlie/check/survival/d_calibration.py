"""D-calibration: are events as spread over the predicted distribution as they should be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from underlie.check.survival.curves import Curves
from underlie.check.survival.intervals import EstimateCurve, estimate_curve
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class DCalibration:
    """Result of the test of D-calibration.

    Attributes
    ----------
    statistic, p_value : float
        Pearson's chi-square against equal shares, and its p-value on (bins - 1) degrees of freedom. Spreading
        censored rows makes shares less variable than the chi-square supposes, so under heavy censoring the p-value
        is too large: few false alarms, and little power.
    wald, wald_p_value : float
        The same departure measured against the variance that the spread rows have, which keeps its level under
        censoring.
    shares : EstimateCurve
        Share of rows in each bin of predicted survival (`at` is the bin's lower edge) with bootstrap intervals.
    """

    statistic: float
    p_value: float
    wald: float
    wald_p_value: float
    shares: EstimateCurve


def bin_contributions(curves: Curves, test: Outcome, n_bins: int) -> Array:
    r"""What each row adds to each bin of predicted survival: (n, n_bins), each row summing to 1.

    An event adds 1 to the bin of S(T_i | x_i). A censored row could have its event at any S below s = S(C_i | x_i)
    and is spread over (0, s) evenly: bin [a, b) receives :math:`\{\min(s, b) - a\}_+ / s`. A row followed past the
    last predicted time is known to be below S at that time only, and is treated as censored there.
    """
    survival = curves.own(np.minimum(test.time, curves.end))
    edges = np.arange(n_bins) / n_bins
    exact = test.event & (test.time <= curves.end)
    spread = np.clip(survival[:, None] - edges, 0.0, 1 / n_bins) / np.where(survival > 0, survival, 1.0)[:, None]
    spread[survival == 0, 0] = 1.0
    own = np.minimum((survival * n_bins).astype(np.intp), n_bins - 1)
    return np.where(exact[:, None], np.eye(n_bins)[own], spread)


def d_calibration(
    curves: Curves, test: Outcome, multiplicity: NDArray[np.float32], n_bins: int, level: float
) -> DCalibration:
    r"""Test whether S(T | x) is uniform, as it is when the predicted distributions are the true ones.

    .. math:: X^2 = \sum_b \frac{(N_b - n / B)^2}{n / B}

    References
    ----------
    Haider, Hoehn, Davis and Greiner (2020), Journal of Machine Learning Research 21.
    """
    added = bin_contributions(curves, test, n_bins)
    n = len(added)
    departure = added - 1 / n_bins
    total = departure.sum(0)
    statistic = float((total**2).sum() * n_bins / n)
    covariance = departure.T @ departure
    wald = float(total @ np.linalg.pinv(covariance, hermitian=True) @ total)
    freedom = int(np.linalg.matrix_rank(covariance, hermitian=True))
    shares = multiplicity.astype(np.float64) @ added / n
    return DCalibration(
        statistic,
        float(stats.chi2.sf(statistic, n_bins - 1)),
        wald,
        float(stats.chi2.sf(wald, max(freedom, 1))),
        estimate_curve(np.arange(n_bins) / n_bins, shares, level),
    )
