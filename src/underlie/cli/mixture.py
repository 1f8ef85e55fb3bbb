"""scikit-learn's Gaussian mixture with its size and shape chosen by BIC."""

from __future__ import annotations

import time
from typing import Any

from sklearn.mixture import GaussianMixture

_SIZES = (1, 2, 3, 5, 8, 12, 20, 30, 50)
_SHAPES = ("full", "diag")


def mixture_by_bic(values: Any, seed: int) -> GaussianMixture:
    """The mixture with the smallest BIC among several sizes, with full and with diagonal covariances.

    Parameters
    ----------
    values : table or array (n, P)
        Complete numbers.
    seed : int

    Returns
    -------
    GaussianMixture
        With ``fit_time_``: the seconds that the whole search took.
    """
    started = time.perf_counter()
    best, best_bic = None, float("inf")
    for shape in _SHAPES:
        for size in (size for size in _SIZES if size <= max(1, len(values) // 10)):
            candidate = GaussianMixture(size, covariance_type=shape, random_state=seed).fit(values)
            bic = candidate.bic(values)
            if best is None or bic < best_bic:
                best, best_bic = candidate, bic
    if best is None:
        raise ValueError("values must hold at least one row")
    best.fit_time_ = time.perf_counter() - started
    return best
