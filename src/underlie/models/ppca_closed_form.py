"""Maximum likelihood of probabilistic PCA on complete data, from one eigendecomposition (Tipping and Bishop 1999).

Moments are those of maximum likelihood, sums divided by n. scikit-learn's PCA divides by n - 1, so its noise variance
and explained variances are n / (n - 1) times ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from scipy.sparse.linalg import ArpackError, eigsh

from underlie.models.linear_gaussian import LinearGaussian, positive_columns
from underlie.models.ppca_moments import RowMoments, column_means, scatter_about
from underlie.models.ppca_rows import Array, as_matrix, shaped_matrix

__all__ = [
    "NOISE_FLOOR",
    "Spectrum",
    "check_n_components",
    "fit_closed_form",
    "model_from_spectrum",
    "noise_floor",
    "spectrum",
    "spectrum_of_moments",
]

NOISE_FLOOR = 1e-12
"""Smallest noise variance, as a fraction of the total variance."""

# An eigenvalue of the covariance carries an absolute error of about 1e-15 of the largest one. Below this fraction of
# the largest one, eigenvalues are taken from the singular values of the data, whose error is that small unsquared.
_PRECISION_FRACTION = 1e-7
# From this fraction of the spectrum on, all eigenvectors together are cheaper than a selection.
_FULL_FRACTION = 0.3
# Few eigenvectors of a large matrix are tried by Lanczos iterations first.
_LANCZOS_ORDER = 600
_LANCZOS_FRACTION = 0.03


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Leading eigenvalues (descending) and eigenvectors of the sample covariance, with its trace.

    Attributes
    ----------
    mean : ndarray of shape (D,)
    values : ndarray of shape (k,), descending, not negative
    vectors : ndarray of shape (D, k), orthonormal columns
    total : float, sum of all eigenvalues
    discarded : float, sum of the eigenvalues that are not in `values`
    magnitude : float, largest absolute value in the data, or of its means
    """

    mean: Array
    values: Array
    vectors: Array
    total: float
    discarded: float
    magnitude: float


def noise_floor(total_variance: float, magnitude: float) -> float:
    """Smallest noise variance that a fit may have, so that every density stays finite.

    max(1e-12 total variance, (8 eps magnitude)^2): differences below the second term cannot be told from the rounding
    of the data themselves. It decides alone when all rows are equal.

    Parameters
    ----------
    total_variance : float
        Sum of the variances of all columns.
    magnitude : float
        Largest absolute value in the data.
    """
    rounding = 8 * float(np.finfo(np.float64).eps) * magnitude
    return float(max(NOISE_FLOOR * total_variance, rounding**2, np.finfo(np.float64).tiny ** 0.5))


def spectrum(X: Array, n_leading: int) -> Spectrum:
    """Leading part of the eigendecomposition of the covariance of complete data (divisor n).

    The D x D covariance where n >= D, the n x n Gram matrix where n < D, and the singular values of the centred data
    themselves where squaring would lose the digits that are asked for.

    Parameters
    ----------
    X : ndarray of shape (n, D)
    n_leading : int
        Number of eigenpairs, at most min(n, D).

    Raises
    ------
    ValueError
        Missing or infinite values.
    """
    n, n_columns = X.shape
    mean = column_means(X)
    if not np.isfinite(mean).all():
        as_matrix(X, missing=False)
    if n >= n_columns:
        scatter, left = scatter_about(X, mean)
        mean = mean + left
        scatter /= n
        return _of_covariance(scatter, mean, n, n_leading, _magnitude(mean), lambda: X - mean)
    centred = X - mean
    square = centred @ centred.T
    square /= n
    total, magnitude = float(np.trace(square)), _magnitude(mean)
    if n_leading == 0 or total == 0:
        return _flat_spectrum(mean, n_leading, total, magnitude)
    values, vectors = _leading_pairs(square, n_leading)
    if not _precise(values, n, total):
        return _by_singular_values(centred, n, mean, n_leading, magnitude)
    vectors = centred.T @ (vectors / np.sqrt(n * values))
    return Spectrum(mean, values, vectors, total, max(total - float(values.sum()), 0.0), magnitude)


def spectrum_of_moments(moments: RowMoments, n_leading: int, parts: Callable[[], Iterator[Array]]) -> Spectrum:
    """The same of complete rows that come in parts, from their merged moments.

    Where squaring would lose the digits that are asked for, from the triangular factor of the centred rows, for which
    they are read once more.

    Parameters
    ----------
    moments : RowMoments, of complete rows
    n_leading : int
        Number of eigenpairs, at most D.
    parts : callable
        Gives all rows anew, some at a time, (k, D).
    """
    assert moments.scatter is not None
    mean, n = moments.mean, moments.n_rows
    largest = float(moments.largest.max())
    return _of_covariance(moments.scatter / n, mean, n, n_leading, largest, lambda: _triangular_factor(parts(), mean))


def _of_covariance(
    square: Array, mean: Array, n: int, n_leading: int, magnitude: float, rows: Callable[[], Array]
) -> Spectrum:
    """Of n rows with this covariance (D, D); ``rows`` gives their deviations, or what has their singular values."""
    total = max(float(np.trace(square)), 0.0)
    if n_leading == 0 or total == 0:
        return _flat_spectrum(mean, n_leading, total, magnitude)
    values, vectors = _leading_pairs(square, n_leading)
    if not _precise(values, len(mean), total):
        return _by_singular_values(rows(), n, mean, n_leading, magnitude)
    return Spectrum(mean, values, vectors, total, max(total - float(values.sum()), 0.0), magnitude)


def _magnitude(mean: Array) -> float:
    """Largest absolute value of rows with these means, without a look at the rows.

    It matters where values are more than 1e8 times their deviations (`noise_floor`), and is then that of the means.
    """
    return float(np.abs(mean).max())


def _flat_spectrum(mean: Array, n_leading: int, total: float, magnitude: float) -> Spectrum:
    return Spectrum(mean, np.zeros(n_leading), np.eye(len(mean), n_leading), total, total, magnitude)


def _precise(values: Array, order: int, total: float) -> bool:
    """Whether leading eigenvalues, and what is left of the trace, are above the rounding of squares."""
    rest = max(total - float(values.sum()), 0.0)
    precision = _PRECISION_FRACTION * values[0]
    return bool(values[-1] >= precision and (len(values) == order or rest / (order - len(values)) >= precision))


def _triangular_factor(parts: Iterator[Array], mean: Array) -> Array:
    """R with R'R = sum of (x - mean)(x - mean)', without squaring anything: it has the singular values of the rows."""
    factor = np.zeros((0, len(mean)))
    for part in parts:
        stacked = np.concatenate([factor, part - mean])
        factor = linalg.qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][: len(mean)]
    return factor


def _leading_pairs(square: Array, n_leading: int) -> tuple[Array, Array]:
    order = len(square)
    if order >= _LANCZOS_ORDER and n_leading <= _LANCZOS_FRACTION * order:
        pairs = _certified_lanczos(square, n_leading)
        if pairs is not None:
            return pairs
    if n_leading > _FULL_FRACTION * order:
        values, vectors = linalg.eigh(square, overwrite_a=True, check_finite=False, driver="evd")
    else:
        subset = [order - n_leading, order - 1]
        values, vectors = linalg.eigh(square, overwrite_a=True, check_finite=False, subset_by_index=subset)
    leading = slice(-1, -n_leading - 1, -1)
    return np.maximum(values[leading], 0.0), vectors[:, leading]


def _certified_lanczos(square: Array, n_leading: int) -> tuple[Array, Array] | None:
    """Leading eigenpairs by Lanczos iterations, with a proof that none was missed; None where that takes too long.

    Where the leading eigenvalues stand out, a few rounds are enough and much cheaper than a tridiagonal reduction.
    """
    start = np.random.default_rng(0).standard_normal(len(square))
    width = n_leading + 10
    try:
        values, vectors = eigsh(square, n_leading, which="LA", ncv=width, maxiter=3, tol=1e-13, v0=start)
    except ArpackError:
        return None
    if not _none_missed(square, values, vectors):
        return None
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _none_missed(square: Array, values: Array, vectors: Array) -> bool:
    """Whether the matrix has no larger eigenvalue than the smallest of these pairs: Lanczos can overlook one.

    With the pairs taken out of the matrix, its Frobenius norm bounds what is left; where that is no proof, a Cholesky
    factorisation decides.
    """
    bound = float(values.min()) * (1 + 1e-9)
    flat = square.ravel()
    if float(flat @ flat) - float(values @ values) < bound**2:
        return True
    remainder = (vectors * values) @ vectors.T - square
    remainder[np.diag_indices_from(remainder)] += bound
    _, failed = linalg.lapack.dpotrf(remainder.T, lower=1, overwrite_a=1, clean=0)
    return not failed


def _by_singular_values(centred: Array, n: int, mean: Array, n_leading: int, magnitude: float) -> Spectrum:
    _, singular, transposed = linalg.svd(centred, full_matrices=False, check_finite=False)
    values = singular**2 / n
    discarded = float(values[n_leading:].sum())
    return Spectrum(mean, values[:n_leading], transposed[:n_leading].T, float(values.sum()), discarded, magnitude)


def fit_closed_form(X: ArrayLike, n_components: int) -> LinearGaussian:
    """Maximum-likelihood probabilistic PCA of complete data.

    s2 = mean of the D - M smallest eigenvalues of the covariance (divisor n), W = U_M (L_M - s2 I)^(1/2).

    Parameters
    ----------
    X : array-like of shape (n, D)
        Complete, finite, at least two rows.
    n_components : int
        M, between 0 and min(n - 1, D). M = D (or M = n - 1 with n <= D) leaves no residual variance: the noise variance
        is then its lower bound, `noise_floor`, and the model is as good as singular.

    Returns
    -------
    LinearGaussian
        In canonical form: orthogonal loadings, longest first, the largest entry of each positive.

    Raises
    ------
    ValueError
        Missing or infinite values, fewer than two rows, or n_components out of range.

    References
    ----------
    Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. JRSS B 61, 611-622.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [3.0, 3.0], [-3.0, -3.0]])
    >>> model = fit_closed_form(X, 1)
    >>> print(round(model.noise_variance, 4), model.loadings.ravel().round(4))
    0.6667 [1.7321 1.7321]
    """
    X = shaped_matrix(X, min_rows=2)
    check_n_components(n_components, X.shape)
    return model_from_spectrum(spectrum(X, n_components), n_components)


def check_n_components(n_components: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless 0 <= n_components <= min(n - 1, D)."""
    n, n_columns = shape
    largest = min(n - 1, n_columns)
    if not 0 <= n_components <= largest:
        raise ValueError(
            f"n_components={n_components} must lie between 0 and min(n_samples - 1, n_features) = {largest}; "
            f"X has n_samples={n}, n_features={n_columns}."
        )


def model_from_spectrum(parts: Spectrum, n_components: int) -> LinearGaussian:
    """Maximum-likelihood model with the first n_components of the eigenpairs of a spectrum, in canonical form."""
    n_discarded = len(parts.mean) - n_components
    left = float(parts.values[n_components:].sum()) + parts.discarded
    floor = noise_floor(parts.total, parts.magnitude)
    noise = max(left / n_discarded, floor) if n_discarded else floor
    loadings = parts.vectors[:, :n_components] * np.sqrt(np.maximum(parts.values[:n_components] - noise, 0.0))
    return LinearGaussian(parts.mean, positive_columns(loadings), noise)
