"""Empirical variational Bayes of a fully observed matrix in closed form (Nakajima et al. 2013).

A D x n matrix of independent noise plus a low-rank part with Gaussian priors on both factors. Given the noise variance,
the global maximum of the bound shrinks each singular value on its own, and drops those below a threshold. Notation of
the paper: L <= M are the two sides of the matrix, a = L / M, g a singular value, x = g^2 / (M s2).

References
----------
Nakajima, S., Sugiyama, M., Babacan, S. D. and Tomioka, R. (2013). Global analytic solution of fully-observed
    variational Bayesian matrix factorization. Journal of Machine Learning Research 14, 1-37.
Nakajima, S., Tomioka, R., Sugiyama, M. and Babacan, S. D. (2015). Condition for perfect dimensionality recovery by
    variational Bayesian PCA. Journal of Machine Learning Research 16, 3757-3811.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from underlie.models.ppca_rows import Array

__all__ = ["SpectrumSolution", "solve_spectrum"]

# Zero of log(z + 1) / z - 1 / 2.
_ROOT = 2.512862417252339
_GRID = 400


@dataclass(frozen=True, eq=False)
class SpectrumSolution:
    """Lengths and prior precisions of the columns that are kept, noise variance, and bound (whole table)."""

    lengths: Array
    alpha: Array
    noise_variance: float
    lower_bound: float


@dataclass(frozen=True)
class _Problem:
    """Squared singular values over M, the two sides, how many components at most, and the threshold for x."""

    squares: Array
    short: int
    long: int
    max_components: int
    threshold: float

    @property
    def aspect(self) -> float:
        return self.short / self.long

    def negative_bound(self, noise: float) -> float:
        """Minus twice the bound, over M, without the constant L log(2 pi)."""
        x = self.squares / noise
        value = self.short * np.log(noise) + x.sum()
        kept = x[: self.max_components]
        kept = kept[kept > self.threshold]
        tau = _excess(kept, self.aspect)
        value += (np.log1p(tau) + self.aspect * np.log1p(tau / self.aspect) - tau).sum()
        return float(value)


def _excess(x: Array, aspect: float) -> Array:
    """tau(x), of which x = (1 + tau)(1 + a / tau)."""
    half = x - (1 + aspect)
    return 0.5 * (half + np.sqrt(np.maximum(half**2 - 4 * aspect, 0.0)))


def _threshold(aspect: float) -> float:
    """Smallest x for which keeping a component beats dropping it."""

    def balance(tau: float) -> float:
        return float(np.log1p(tau) / tau + np.log1p(tau / aspect) * aspect / tau - 1.0)

    tau = float(optimize.brentq(balance, 0.5 * _ROOT * aspect, 2.0 * _ROOT))
    return (1 + tau) * (1 + aspect / tau)


def solve_spectrum(squared: Array, n_rows: int, n_columns: int, max_components: int, floor: float) -> SpectrumSolution:
    """Kept components, their prior precisions and the noise variance that maximise the variational bound.

    Parameters
    ----------
    squared : ndarray of shape (min(n_rows, D),)
        Squared singular values of the matrix, descending.
    n_rows, n_columns : int
        Sides of the matrix; n_rows counts degrees of freedom, one less than rows where their mean was taken off.
    max_components : int
    floor : float
        Smallest noise variance.
    """
    short, long = min(n_rows, n_columns), max(n_rows, n_columns)
    squares = squared / long
    problem = _Problem(squares, short, long, max_components, _threshold(short / long))
    noise = max(_best_noise(problem), floor)
    kept = int((squares[:max_components] / noise > problem.threshold).sum())
    squared = squared[:kept]
    # Shrunk over raw singular value.
    ratio = 1 - (short + long) * noise / squared
    ratio = 0.5 * (ratio + np.sqrt(np.maximum(ratio**2 - 4 * short * long * (noise / squared) ** 2, 0.0)))
    # With z ~ N(0, I): precision of z's posterior, 1 + E|w|^2 / s2, and the length of the mean of w.
    precision = 1 / (1 - ratio - n_columns * noise / squared)
    lengths = np.sqrt(ratio * noise * precision)
    alpha = n_columns / (noise * (precision - 1))
    bound = -0.5 * (long * problem.negative_bound(noise) + n_rows * n_columns * np.log(2 * np.pi))
    return SpectrumSolution(lengths, alpha, noise, bound)


def _best_noise(problem: _Problem) -> float:
    """Global search: the bound may have several local maxima, one between any two eigenvalues."""
    upper = float(problem.squares.sum()) / problem.short
    # At the optimum at most this many components are kept, so that the others bound the noise from below.
    most = min(int(np.ceil(problem.short / (1 + problem.aspect))) - 1, problem.max_components)
    lower = max(float(problem.squares[most:].sum()) / (problem.short - most), 1e-14 * upper)
    lower = min(lower, upper)
    candidates = np.geomspace(lower, upper, _GRID)
    values = np.array([problem.negative_bound(noise) for noise in candidates])
    best = int(values.argmin())
    around = candidates[[max(best - 1, 0), min(best + 1, _GRID - 1)]]
    if around[0] == around[1]:
        return float(around[0])
    refined = optimize.minimize_scalar(
        lambda log_noise: problem.negative_bound(float(np.exp(log_noise))),
        bounds=tuple(np.log(around)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(refined.x)) if refined.fun <= values[best] else float(candidates[best])
