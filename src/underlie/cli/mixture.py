"""scikit-learn's Gaussian mixture with its size and shape chosen by BIC."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

_SIZES = (1, 2, 3, 5, 8, 12, 20, 30, 50)
_SHAPES = ("full", "diag")
#: a shape is given up after this many sizes in a row that did not lower BIC
_PATIENCE = 2


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
    # Several threads slow down matrices of this size, many times over where other programs run beside.
    with threadpool_limits(1), warnings.catch_warnings():
        # A candidate that stops early is still a mixture with a BIC; nobody asked for that candidate in particular.
        warnings.simplefilter("ignore", ConvergenceWarning)
        tried = [found for shape in _SHAPES for found in _grow(values, shape, seed)]
    best = min(tried, key=lambda found: found[0])[1]
    best.fit_time_ = time.perf_counter() - started
    return best


def _grow(values: Any, shape: str, seed: int) -> Iterator[tuple[float, GaussianMixture]]:
    """Mixtures of one shape with more and more components, and their BIC, until BIC has stopped falling."""
    lowest, rises = float("inf"), 0
    for size in _SIZES:
        if rises == _PATIENCE or (size > 1 and size > len(values) // 10):
            return
        mixture = GaussianMixture(size, covariance_type=shape, random_state=seed).fit(values)
        bic = float(mixture.bic(values))
        rises = 0 if bic < lowest else rises + 1
        lowest = min(lowest, bic)
        yield bic, mixture
