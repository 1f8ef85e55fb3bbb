"""Paired differences over random splits, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from underlie.report.document import Interval


def over_splits(differences: Sequence[float] | np.ndarray, ratio: float = 0.0) -> Interval:
    r"""Mean of paired differences with its 95 % interval by Student's t.

    .. math:: \bar d \pm t_{.975, R - 1} \sqrt{(1/R + n_{test} / n_{train})\, s^2}

    Parameters
    ----------
    differences : sequence of R floats
        One for each random split.
    ratio : float
        Test rows per training row. 0 gives the usual interval, of the mean over all splits of these very rows. The true
        ratio takes into account that training rows of splits overlap, and so gives one for rows not yet seen.

    Returns
    -------
    Interval
        Without ends (NaN) if there is one split.

    References
    ----------
    Nadeau & Bengio (2003), Inference for the generalization error.

    Examples
    --------
    >>> found = over_splits([0.01, 0.02, 0.03])
    >>> round(found.value, 3), round(found.lower, 3), round(found.upper, 3)
    (0.02, -0.005, 0.045)
    """
    d = np.asarray(differences, dtype=float)
    mean, n = float(d.mean()), len(d)
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf(0.975, n - 1) * d.std(ddof=1) * np.sqrt(1 / n + ratio))
    return Interval(mean, mean - half, mean + half)
