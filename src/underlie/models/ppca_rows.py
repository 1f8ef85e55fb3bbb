"""Rows with missing cells: their patterns, and the latent posterior of every row in one batched sweep.

For a linear-Gaussian model x = W z + mean + noise, the latent posterior of a row that shows the columns ``o`` is

    A = I + W_o' W_o / s2,     covariance A^-1,     mean A^-1 W_o' (x_o - mean_o) / s2.

Rows with different patterns have different A. All of them are inverted together: the lower triangles are stored as
(n_pairs, n_rows) arrays, so that each arithmetic operation runs over rows that lie next to each other in memory. This
is several times faster than one LAPACK call per row, and the triangles come from one matrix product with the mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "LatentBlock",
    "Mask",
    "as_matrix",
    "chunk_rows",
    "diagonal_entries",
    "inverse_factors",
    "latent_blocks",
    "pack",
    "packed_size",
    "row_patterns",
    "shaped_matrix",
    "sweep",
    "triangle",
    "unpack",
]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A chunk of packed triangles should stay in the second-level cache (values, not bytes).
_CACHE_VALUES = 1 << 17
# Below this many rows per pattern a Python step per pattern costs more than treating every row on its own.
_ROWS_PER_PATTERN = 32


def as_matrix(X: ArrayLike, *, missing: bool, min_rows: int = 1, name: str = "X") -> Array:
    """Check a numeric table and give it as a float64 matrix.

    Parameters
    ----------
    X : array-like of shape (n, D)
    missing : bool
        Whether NaN is allowed (as the sign of a missing cell).
    min_rows : int
        The smallest number of rows that makes sense to the caller.
    name : str
        How error messages call the table.

    Returns
    -------
    ndarray of shape (n, D), float64

    Raises
    ------
    ValueError
        Not two-dimensional, no columns, too few rows, infinite values, or NaN where none is allowed.
    """
    matrix = shaped_matrix(X, min_rows=min_rows, name=name)
    if np.isfinite(np.vdot(matrix, matrix)):  # no pass over the cells is quicker
        return matrix
    bad = np.isinf(matrix) if missing else ~np.isfinite(matrix)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        remedy = (
            "Mark it as NaN if it is missing." if missing else "Use EM, which takes NaN as missing, or impute first."
        )
        raise ValueError(f"{name} holds {matrix[row, column]} in row {row}, column {column}. {remedy}")
    return matrix


def shaped_matrix(X: ArrayLike, *, min_rows: int = 1, name: str = "X") -> Array:
    """As `as_matrix`, of numbers that may be anything."""
    matrix = np.ascontiguousarray(X, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"{name} must be a two-dimensional table (n, D), got an array of shape {matrix.shape}.")
    n, n_columns = matrix.shape
    if n_columns == 0:
        raise ValueError(f"{name} has no columns.")
    if n < min_rows:
        raise ValueError(f"{name} has n_samples={n} row(s), at least {min_rows} are needed.")
    return matrix


def packed_size(order: int) -> int:
    """Number of entries in the lower triangle of a symmetric matrix of this order."""
    return order * (order + 1) // 2


def diagonal_entries(order: int) -> NDArray[np.intp]:
    """Where the diagonal of a packed lower triangle is."""
    return np.array([packed_size(k + 1) - 1 for k in range(order)], dtype=np.intp)


@lru_cache(maxsize=16)
def triangle(order: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the entries of a packed lower triangle; asked for in every pass over the data."""
    rows, columns = np.tril_indices(order)
    return rows, columns


def pack(left: Array, right: Array) -> Array:
    """Lower triangles of the outer products of rows: (D, q), (D, q) -> (D, q (q + 1) / 2)."""
    rows, columns = triangle(left.shape[1])
    return left[:, rows] * right[:, columns]


def unpack(packed: Array, order: int) -> Array:
    """Symmetric matrices from packed lower triangles: (q (q + 1) / 2, n) -> (n, q, q)."""
    rows, columns = triangle(order)
    full = np.empty((packed.shape[1], order, order))
    full[:, rows, columns] = packed.T
    full[:, columns, rows] = packed.T
    return full


def sweep(packed: Array, order: int, n_pivots: int) -> Array:
    """Sweep many symmetric matrices at once on their leading pivots, in place, and give the log-determinants.

    With the matrix partitioned as [[A, B'], [B, C]], A of order ``n_pivots``, the sweep leaves
    [[-A^-1, A^-1 B'], [B A^-1, C - B A^-1 B']] (Goodnight 1979). Every A here is an identity plus a positive
    semi-definite matrix, whose pivots are at least one: a pivot that rounding pushed below one is put back.

    Parameters
    ----------
    packed : ndarray of shape (order (order + 1) / 2, n)
        Lower triangles, one matrix per column; overwritten.
    order : int
        Order of the matrices.
    n_pivots : int
        Order of the block A.

    Returns
    -------
    ndarray of shape (n,)
        log|A| of each matrix.

    References
    ----------
    Goodnight, J. H. (1979). A tutorial on the SWEEP operator. The American Statistician 33, 149-158.
    """
    n = packed.shape[1]
    starts = np.array([packed_size(i) for i in range(order)])
    column, scaled, product = np.empty((order, n)), np.empty((order, n)), np.empty((order, n))
    log_det = np.zeros(n)
    for k in range(n_pivots):
        row = slice(starts[k], starts[k] + k)
        below = starts[k:] + k
        column[:k] = packed[row]
        column[k:] = packed[below]
        pivot = np.maximum(column[k], 1.0)
        log_det += np.log(pivot)
        np.divide(column, pivot, out=scaled)
        for i in range(order):
            if i != k:
                target = packed[starts[i] : starts[i] + i + 1]
                np.multiply(scaled[: i + 1], column[i], out=product[: i + 1])
                np.subtract(target, product[: i + 1], out=target)
        packed[row] = scaled[:k]
        packed[below] = scaled[k:]
        packed[starts[k] + k] = -1.0 / pivot
    return log_det


def inverse_factors(matrices: Array) -> tuple[Array, Array]:
    """Factors F of the inverses of symmetric matrices, A^-1 = F'F with F lower triangular, and log-determinants.

    For few small matrices: few and large operations. As in `sweep`, pivots are at least one. F b has half as many of
    its digits spoilt by a small noise variance as A^-1 b.

    Parameters
    ----------
    matrices : ndarray of shape (order, order, n)
        One matrix per last index; overwritten.

    Returns
    -------
    factors : ndarray of shape (order, order, n)
    log_det : ndarray of shape (n,), log|A|
    """
    order, _, n = matrices.shape
    factors = np.zeros((order, order, n))
    factors[np.arange(order), np.arange(order)] = 1.0
    pivots = np.empty((order, n))
    for k in range(order):
        np.maximum(matrices[k, k], 1.0, out=pivots[k])
        multiple = (matrices[k + 1 :, k] / pivots[k])[:, None]
        matrices[k + 1 :, k + 1 :] -= multiple * matrices[k, k + 1 :]
        factors[k + 1 :, : k + 1] -= multiple * factors[k, : k + 1]
    factors /= np.sqrt(pivots)[:, None]
    return factors, np.log(pivots).sum(axis=0)


def chunk_rows(order: int) -> int:
    """How many matrices of this order to sweep at a time."""
    return max(128, _CACHE_VALUES // packed_size(order + 1))


def row_patterns(observed: Mask) -> tuple[Mask, NDArray[np.intp]]:
    """The distinct patterns of observed cells, and the pattern of each row.

    Parameters
    ----------
    observed : ndarray of bool, shape (n, D)

    Returns
    -------
    patterns : ndarray of bool, shape (n_patterns, D)
    index : ndarray of int, shape (n,)
    """
    if observed.all():
        return observed[:1], np.zeros(len(observed), dtype=np.intp)
    bits = np.packbits(observed, axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    words = padded.view(np.uint64)
    order = np.lexsort(words.T)
    ordered = words[order]
    new = np.empty(len(order), dtype=bool)
    new[0] = True
    np.any(ordered[1:] != ordered[:-1], axis=1, out=new[1:])
    index = np.empty(len(order), dtype=np.intp)
    index[order] = np.cumsum(new) - 1
    return observed[order[new]], index


@dataclass(frozen=True)
class LatentBlock:
    """Latent posteriors of some rows; arrays with one entry on the row axis hold for all of them.

    Attributes
    ----------
    rows : index of the rows in the table
    observed : bool, (m, D) or (1, D)
    centred : (m, D), observed values less the mean, zero where missing
    mean : (m, M), posterior means
    packed_covariance : (M (M + 1) / 2, m) or (M (M + 1) / 2, 1)
    log_det : (m,) or (1,), log|I + W_o' W_o / s2|
    """

    rows: slice | NDArray[np.intp]
    observed: Mask
    centred: Array
    mean: Array
    packed_covariance: Array
    log_det: Array


def latent_blocks(X: Array, mean: Array, loadings: Array, noise_variance: float) -> Iterator[LatentBlock]:
    """Latent posteriors of all rows, block by block; by pattern where patterns repeat, else row by row.

    Parameters
    ----------
    X : ndarray of shape (n, D), NaN where missing
    mean : ndarray of shape (D,)
    loadings : ndarray of shape (D, M)
    noise_variance : float

    Yields
    ------
    LatentBlock
    """
    if len(X) == 0:
        return
    observed = ~np.isnan(X)
    patterns, index = row_patterns(observed)
    if len(patterns) * _ROWS_PER_PATTERN <= len(X) or len(patterns) == 1:
        yield from _blocks_by_pattern(X, mean, loadings, noise_variance, patterns, index)
    else:
        yield from _blocks_by_row(X, observed, mean, loadings, noise_variance)


def _blocks_by_row(
    X: Array, observed: Mask, mean: Array, loadings: Array, noise_variance: float
) -> Iterator[LatentBlock]:
    n_latent = loadings.shape[1]
    size = packed_size(n_latent)
    diagonal = diagonal_entries(n_latent)
    products = pack(loadings, loadings).T / noise_variance
    step = chunk_rows(n_latent)
    for start in range(0, len(X), step):
        rows = slice(start, min(start + step, len(X)))
        seen = observed[rows]
        centred = np.where(seen, X[rows] - mean, 0.0)
        packed = np.zeros((size + n_latent + 1, len(seen)))
        packed[:size] = products @ seen.T.astype(np.float64)
        packed[diagonal] += 1.0
        packed[size : size + n_latent] = loadings.T @ centred.T / noise_variance
        log_det = sweep(packed, n_latent + 1, n_latent)
        latent = np.ascontiguousarray(packed[size : size + n_latent].T)
        yield LatentBlock(rows, seen, centred, latent, -packed[:size], log_det)


def _blocks_by_pattern(
    X: Array, mean: Array, loadings: Array, noise_variance: float, patterns: Mask, index: NDArray[np.intp]
) -> Iterator[LatentBlock]:
    n_latent = loadings.shape[1]
    diagonal = diagonal_entries(n_latent)
    products = pack(loadings, loadings).T / noise_variance
    order = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[order], np.arange(len(patterns) + 1))
    step = chunk_rows(n_latent)
    longest = max(256, (1 << 21) // X.shape[1])
    for first in range(0, len(patterns), step):
        packed = products @ patterns[first : first + step].T.astype(np.float64)
        packed[diagonal] += 1.0
        log_det = sweep(packed, n_latent, n_latent)
        np.negative(packed, out=packed)
        for p in range(packed.shape[1]):
            begin, end = int(bounds[first + p]), int(bounds[first + p + 1])
            seen = patterns[first + p]
            covariance = unpack(packed[:, p : p + 1], n_latent)[0]
            for start in range(begin, end, longest):
                stop = min(start + longest, end)
                rows: slice | NDArray[np.intp] = slice(start, stop) if len(patterns) == 1 else order[start:stop]
                centred = X[rows] - mean
                centred[:, ~seen] = 0.0
                latent = (centred @ loadings) @ (covariance / noise_variance)
                yield LatentBlock(rows, seen[None], centred, latent, packed[:, p : p + 1], log_det[p : p + 1])
