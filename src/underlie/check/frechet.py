r"""Frechet distance between two samples of features: how far apart two normal distributions with their moments are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.seeds import generator

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class FrechetResult:
    """Frechet distance of two samples; see `frechet_distance`.

    Attributes
    ----------
    distance : float
        In squared units of the features; the plain estimate, which is too large by an amount of order 1 / n + 1 / m.
    corrected : float
        With that amount removed by the jackknife; about 0, so possibly negative, when both samples have one
        distribution.
    se : float
        Standard error of `corrected` over the rows of both samples, by the jackknife over groups of rows.
    n, m : int
        Rows of the two samples.
    """

    distance: float
    corrected: float
    se: float
    n: int
    m: int


def frechet_distance(X: object, Y: object, *, n_groups: int = 20, random_state: object = None) -> FrechetResult:
    r"""Squared Frechet (2-Wasserstein) distance between normal distributions with the moments of two samples.

    .. math::
        d^2 = \lVert \bar x - \bar y \rVert^2
              + \mathrm{tr}\left( S_x + S_y - 2 (S_x^{1/2} S_y S_x^{1/2})^{1/2} \right)

    On features of a trained network it is the score known as FID, whose features are those of one particular network:
    distances in features of different networks cannot be compared.

    Parameters
    ----------
    X, Y : array (n, P) and (m, P)
        Features of two samples of independent rows; covariances have the divisors n - 1 and m - 1.
    n_groups : int
        Groups of rows of each sample that the jackknife leaves out in turn.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the groups.

    Returns
    -------
    FrechetResult

    Raises
    ------
    ValueError
        When an array is not two-dimensional or has a value that is not finite, the widths differ, there are fewer rows
        than two per group, or fewer than two groups.

    References
    ----------
    Dowson & Landau (1982), The Frechet distance between multivariate normal distributions, J. Multivariate Analysis 12.
    Heusel et al. (2017), GANs trained by a two time-scale update rule (as a score of generated images). Chong &
    Forsyth (2020) on its bias.

    Examples
    --------
    Two normal distributions whose means are 2 apart and whose standard deviations are 1 and 2 have d² = 4 + 1:

    >>> import numpy as np
    >>> from underlie.check.frechet import frechet_distance
    >>> rng = np.random.default_rng(0)
    >>> found = frechet_distance(rng.normal(0, 1, (5000, 1)), rng.normal(2, 2, (5000, 1)), random_state=0)
    >>> round(found.distance), abs(found.corrected - 5) < 3 * found.se
    (5, True)
    """
    first, second = _features(X, "X", n_groups), _features(Y, "Y", n_groups)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"Y has {second.shape[1]} columns, but X has {first.shape[1]}; give features of one network")
    rng = generator(random_state)
    whole = _distance(_moments(first), _moments(second))
    # Groups of one sample are left out while the other stays whole: the two jackknives add.
    without_first = [_distance(part, _moments(second)) for part in _leaving_out(first, n_groups, rng)]
    without_second = [_distance(_moments(first), part) for part in _leaving_out(second, n_groups, rng)]
    bias, variance = 0.0, 0.0
    for left in (np.array(without_first), np.array(without_second)):
        bias += (n_groups - 1) * (float(left.mean()) - whole)
        variance += (n_groups - 1) / n_groups * float(np.sum((left - left.mean()) ** 2))
    return FrechetResult(whole, whole - bias, float(np.sqrt(variance)), len(first), len(second))


def _features(values: object, name: str, n_groups: int) -> Array:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2:
        raise ValueError(f"{name}: features must be (rows, P), got shape {array.shape}; flatten each row")
    if n_groups < 2:
        raise ValueError(f"n_groups={n_groups!r}: at least 2 groups are needed for a standard error")
    if len(array) < 2 * n_groups:
        raise ValueError(
            f"{name} has {len(array)} rows; {n_groups} groups need at least {2 * n_groups}: give more rows or a "
            "smaller n_groups"
        )
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{name}: value {array[row, column]} in row {row}, column {column}; features must be finite")
    return array


def _moments(rows: Array) -> tuple[Array, Array]:
    return rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False))


def _leaving_out(rows: Array, n_groups: int, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    group = rng.permutation(len(rows)) % n_groups
    return [_moments(rows[group != g]) for g in range(n_groups)]


def _distance(first: tuple[Array, Array], second: tuple[Array, Array]) -> float:
    """Of two normal distributions, each given by mean and covariance."""
    root = _square_root(first[1])
    # The trace of the square root of a symmetric product: no complex numbers, unlike sqrtm of S_x S_y.
    values = np.linalg.eigvalsh(root @ second[1] @ root)
    cross = float(np.sqrt(np.maximum(values, 0.0)).sum())
    away = first[0] - second[0]
    return float(away @ away + np.trace(first[1]) + np.trace(second[1]) - 2.0 * cross)


def _square_root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
