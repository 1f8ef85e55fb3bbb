"""Partitions of the rows from which EM starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
_WARD_ROWS = 2_000
"""Ward's tree needs all pairs of rows; of more data it is grown on so many rows, and the others join the nearest."""
_LLOYD = 5


class Starts:
    """Partitions of one table into any number of groups: Ward's trees, and k-means from random seeds.

    Distances are taken in turn in the user's units, between standardised columns, and in the data's own covariance
    (Mahalanobis): clusters that are hidden in one are often plain in another.

    Parameters
    ----------
    values : ndarray of shape (n, P)
        The rows.
    rng : numpy.random.Generator
        For the random seeds.
    """

    def __init__(self, values: Array, rng: np.random.Generator) -> None:
        self._views = _views(values)
        self._rng = rng
        n = len(values)
        self._grown = np.arange(n) if n <= _WARD_ROWS else np.sort(rng.choice(n, _WARD_ROWS, replace=False))
        self._trees = [linkage(view[self._grown], "ward") if n > 1 else None for view in self._views]

    def labels(self, n_components: int, n_starts: int) -> Labels:
        """Partitions (n_starts, n) into at most K groups, Ward's first; one partition for K = 1."""
        n = len(self._views[0])
        if n_components == 1:
            return np.zeros((1, n), dtype=np.intp)
        n_views = len(self._views)
        trees = [self._cut(v, n_components) for v in range(min(n_views, n_starts))]
        seeded = [
            _k_means(self._views[s % n_views], n_components, self._rng) for s in range(max(0, n_starts - n_views))
        ]
        return np.stack(trees + seeded)

    def _cut(self, view: int, n_components: int) -> Labels:
        groups = fcluster(self._trees[view], n_components, "maxclust") - 1
        values = self._views[view]
        if len(groups) == len(values):
            return groups.astype(np.intp)
        grown = values[self._grown]
        return _nearest(values, np.stack([grown[groups == g].mean(axis=0) for g in range(groups.max() + 1)]))


def _views(values: Array) -> list[Array]:
    centred = values - values.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    standard = centred / np.where(scale > 0, scale, 1.0)
    if values.shape[1] == 1:
        return [standard]
    left, singular, _ = np.linalg.svd(standard, full_matrices=False)
    return [centred, standard, left[:, singular > 1e-5 * singular[0]] * np.sqrt(len(values))]


def _k_means(values: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """k-means++ seeds (Arthur and Vassilvitskii 2007) and a few of Lloyd's iterations."""
    centres = np.empty((n_components, values.shape[1]))
    closest = np.full(len(values), np.inf)
    choice = int(rng.integers(len(values)))
    for k in range(n_components):
        centres[k] = values[choice]
        closest = np.minimum(closest, ((values - centres[k]) ** 2).sum(axis=1))
        cumulative = np.cumsum(closest)
        choice = min(int(np.searchsorted(cumulative, rng.random() * cumulative[-1], "right")), len(values) - 1)
    labels = _nearest(values, centres)
    for _ in range(_LLOYD):
        member = (labels == np.arange(n_components)[:, None]).astype(np.float64)
        counts = member.sum(axis=1)
        filled = counts > 0
        centres[filled] = (member @ values)[filled] / counts[filled, None]
        labels, before = _nearest(values, centres), labels
        if (labels == before).all():
            break
    return labels


def _nearest(values: Array, centres: Array) -> Labels:
    return np.argmin((centres**2).sum(axis=1) - 2 * values @ centres.T, axis=1)
