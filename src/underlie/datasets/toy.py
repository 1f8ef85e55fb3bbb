"""Two-dimensional random data on which generative models can be looked at."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_WEIGHTS: Final = (0.3, 0.4, 0.3)
_MEANS: Final = ((0.0, -5.0), (-4.0, 0.0), (8.0, -3.0))
_SDS: Final = ((1.0, 0.5), (0.5, 0.5), (0.5, 1.0))


def make_three_clusters(
    n: int = 500, random_state: int | np.random.Generator | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Three Gaussian clusters in the plane, sum_k w_k N(m_k, diag(s_k^2)), as in the MEGA paper.

    Parameters
    ----------
    n : int
        Number of points.
    random_state : int, Generator or None

    Returns
    -------
    X : ndarray of shape (n, 2)
    label : ndarray of int, shape (n,)
        The cluster, 0 to 2, of weights 0.3, 0.4 and 0.3.

    Raises
    ------
    ValueError
        If n < 1.

    References
    ----------
    C. Beaulac (2021). A moment-matching metric for latent variable generative models.

    Examples
    --------
    >>> X, label = make_three_clusters(2000, random_state=0)
    >>> X[label == 2].mean(axis=0).round(1).tolist()
    [8.0, -3.0]
    """
    _require_rows(n)
    rng = np.random.default_rng(random_state)
    label = rng.choice(3, size=n, p=_WEIGHTS)
    X = np.array(_MEANS)[label] + np.array(_SDS)[label] * rng.standard_normal((n, 2))
    return X, label.astype(np.int64)


def make_half_moons(
    n: int = 500, noise: float = 0.1, random_state: int | np.random.Generator | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Two interleaved half circles with Gaussian noise, as in the MEGA paper.

    Parameters
    ----------
    n : int
        Number of points.
    noise : float
        Standard deviation of the noise; the circles have radius 1.
    random_state : int, Generator or None

    Returns
    -------
    X : ndarray of shape (n, 2)
    label : ndarray of int, shape (n,)
        The half circle, 0 (upper) or 1 (lower).

    Raises
    ------
    ValueError
        If n < 1 or noise < 0.

    Examples
    --------
    >>> X, label = make_half_moons(500, random_state=0)
    >>> X.shape, int(label.sum())
    ((500, 2), 250)
    """
    _require_rows(n)
    if not noise >= 0:
        raise ValueError(f"noise is {noise}: it is a standard deviation, >= 0.")
    rng = np.random.default_rng(random_state)
    label = rng.permutation(np.arange(n) % 2)
    angle = rng.uniform(0.0, np.pi, size=n)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)])
    X = np.where(label[:, None] == 0, upper, lower) + noise * rng.standard_normal((n, 2))
    return X, label.astype(np.int64)


def _require_rows(n: Any) -> None:
    if n < 1:
        raise ValueError(f"n is {n}: draw at least one point.")
