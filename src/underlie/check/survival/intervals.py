"""Bootstrap over test rows: the resamples, and estimates with percentile intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def resamples(n: int, n_bootstrap: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each row occurs in the sample itself (first line, all 1) and in each resample: (1 + n_bootstrap, n).

    Every statistic here is a function of such weights, so that all resamples are computed at once. Counts are small
    integers, and their sums are exact in single precision below 2^24.
    """
    counts = np.empty((1 + n_bootstrap, n), dtype=np.float32)
    counts[0] = 1
    for line in counts[1:]:
        line[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def percentile_bounds(replicates: Array, level: float) -> tuple[Array, Array]:
    """Percentile interval along the first axis; resamples where the statistic does not exist (NaN) are left out."""
    tail = (1 - level) / 2
    lower, upper = np.full(replicates.shape[1:], np.nan), np.full(replicates.shape[1:], np.nan)
    exists = ~np.isnan(replicates).all(0) if len(replicates) else np.zeros(replicates.shape[1:], dtype=bool)
    if exists.any():
        lower[exists], upper[exists] = np.nanquantile(replicates[:, exists], [tail, 1 - tail], axis=0)
    return lower, upper


@final
@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval; `replicates` (n_bootstrap,) are its values in the resamples."""

    value: float
    lower: float
    upper: float
    replicates: Array = field(repr=False)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.lower:.4f}, {self.upper:.4f}]"


@final
@dataclass(frozen=True)
class EstimateCurve:
    """Numbers `value` (k,) at positions `at` (k,) with pointwise bootstrap intervals `lower`, `upper` (k,)."""

    at: Array
    value: Array
    lower: Array
    upper: Array


def estimate(values: Array, level: float) -> Estimate:
    """An estimate from its values in the sample (first) and the resamples (the others)."""
    lower, upper = percentile_bounds(values[1:, None], level)
    return Estimate(float(values[0]), float(lower[0]), float(upper[0]), values[1:])


def estimate_curve(at: Array, values: Array, level: float) -> EstimateCurve:
    """As `estimate`, for (1 + n_bootstrap, k) values."""
    lower, upper = percentile_bounds(values[1:], level)
    return EstimateCurve(at, values[0], lower, upper)
