"""E-step and M-step of probabilistic PCA with missing cells, and the derivatives that the E-step gives for free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from underlie.models.linear_gaussian import LinearGaussian
from underlie.models.ppca_incomplete import IncompleteRows, SharedPatterns
from underlie.models.ppca_rows import (
    Array,
    chunk_rows,
    diagonal_entries,
    inverse_factors,
    pack,
    packed_size,
    sweep,
    triangle,
    unpack,
)

__all__ = [
    "Expectation",
    "Parameters",
    "em_step",
    "expectation",
    "fitted_model",
    "gradient",
    "maximise",
    "moved",
    "solve_columns",
    "starting_point",
    "working_parameters",
]


@dataclass(frozen=True, eq=False)
class Parameters:
    """Working parameters: coefficients (D, M + 1), loadings with the mean as last column, and the noise variance."""

    coefficients: Array
    noise_variance: float

    @property
    def n_latent(self) -> int:
        return int(self.coefficients.shape[1]) - 1

    @property
    def loadings(self) -> Array:
        return self.coefficients[:, :-1]

    @property
    def mean(self) -> Array:
        return self.coefficients[:, -1]


@dataclass(frozen=True, eq=False)
class Expectation:
    """What one pass over the data gives.

    Attributes
    ----------
    log_likelihood : mean per row, working units
    resolution : how finely rounding lets log-likelihoods be compared
    gram : (D, M + 1, M + 1), sum over the rows that show the column of E[(z, 1)(z, 1)']
    cross : (D, M + 1), sum of x E[(z, 1)]
    latent_mean, latent_second : (M,), (M, M), averages over rows of E[z], E[z z']
    """

    log_likelihood: float
    resolution: float
    gram: Array
    cross: Array
    latent_mean: Array
    latent_second: Array


def expectation(rows: IncompleteRows, parameters: Parameters, second: Array | None = None) -> Expectation:
    """E-step: log-likelihood and expected sufficient statistics of all rows.

    Parameters
    ----------
    rows : IncompleteRows
    parameters : Parameters
    second : ndarray of shape (D, M (M + 1) / 2), optional
        Packed E[w w'] of each column's loadings where they are uncertain (variational Bayes); their products otherwise.
    """
    loadings, mean, noise = parameters.loadings, parameters.mean, parameters.noise_variance
    sums = _accumulate(rows, loadings, mean, noise, pack(loadings, loadings) if second is None else second)
    size = packed_size(parameters.n_latent)
    squares = float((rows.sum_squares - 2 * mean * rows.sums + mean**2 * rows.counts).sum()) / noise
    constant = rows.n_observed * np.log(2 * np.pi * noise)
    gram = np.empty((len(mean), parameters.n_latent + 1, parameters.n_latent + 1))
    gram[:, :-1, :-1] = unpack(sums.gram[:size], parameters.n_latent)
    gram[:, -1, :-1] = gram[:, :-1, -1] = sums.gram[size:].T
    gram[:, -1, -1] = rows.counts
    latent = sums.latent / rows.n_informative
    rounding = 32 * float(np.finfo(np.float64).eps)
    return Expectation(
        log_likelihood=-0.5 * (constant + sums.log_det + squares - sums.explained) / rows.n_informative,
        resolution=rounding * (abs(constant) + sums.log_det + squares) / rows.n_informative,
        gram=gram,
        cross=np.column_stack([sums.cross.T, rows.sums]),
        latent_mean=latent[size:],
        latent_second=unpack(latent[:size, None], parameters.n_latent)[0],
    )


@dataclass
class _Sums:
    """Sums over rows: packed E[z z'] and E[z] by column and overall, x E[z], log-determinants, b' A^-1 b."""

    gram: Array
    cross: Array
    latent: Array
    log_det: float = 0.0
    explained: float = 0.0


def _accumulate(rows: IncompleteRows, loadings: Array, mean: Array, noise: float, second: Array) -> _Sums:
    """One pass over the rows, in chunks whose triangles fit in the cache."""
    n_columns, n_latent = loadings.shape
    size = packed_size(n_latent)
    sums = _Sums(np.zeros((size + n_latent, n_columns)), np.zeros((n_latent, n_columns)), np.zeros(size + n_latent))
    step = chunk_rows(n_latent)
    buffer = np.empty((size + n_latent + 1) * step)
    kernel, shift, projection = second.T / noise, -(loadings * mean[:, None]).T / noise, loadings.T / noise
    solve = _RowByRow(rows, kernel) if rows.shared is None else _PatternByPattern(rows.shared, kernel, n_latent, sums)
    for start in range(0, len(rows.values), step):
        part = slice(start, start + step)
        values, mask = rows.values[part], rows.mask[part]
        # Lower triangles of [[A, b], [b', 0]], one row of the table per column.
        packed = buffer[: (size + n_latent + 1) * len(values)].reshape(-1, len(values))
        np.matmul(shift, mask.T, out=packed[size:-1])
        if rows.intercept is not None:
            packed[size:-1] *= rows.intercept[part]
        packed[size:-1] += projection @ values.T
        solve(packed, part, sums)
        sums.explained -= float(packed[-1].sum())
        sums.cross += packed[size:-1] @ values
        _add_outer_products(packed, n_latent)
        if rows.intercept is not None:
            packed[size:-1] *= rows.intercept[part]
        sums.gram += packed[:-1] @ mask
        sums.latent += packed[:-1].sum(axis=1)
    return sums


@dataclass(frozen=True, eq=False)
class _RowByRow:
    """Inverts the matrix A of each row: puts [[-w A^-1, A^-1 b], [., -b' A^-1 b]] where b was, and adds w log|A|."""

    rows: IncompleteRows
    kernel: Array

    def __call__(self, packed: Array, part: slice, sums: _Sums) -> None:
        size, n_latent = len(self.kernel), len(packed) - len(self.kernel) - 1
        np.matmul(self.kernel, self.rows.mask[part].T, out=packed[:size])
        packed[diagonal_entries(n_latent)] += 1.0
        packed[-1] = 0.0
        log_det = sweep(packed, n_latent + 1, n_latent)
        if self.rows.weight is None:
            sums.log_det += float(log_det.sum())
        else:
            sums.log_det += float(log_det @ self.rows.weight[part])
            packed[:size] *= self.rows.weight[part]


class _PatternByPattern:
    """Inverts A once for all rows of a pattern, and adds what all A^-1 and log|A| come to when it is made."""

    def __init__(self, shared: SharedPatterns, kernel: Array, n_latent: int, sums: _Sums) -> None:
        size, diagonal = len(kernel), np.arange(n_latent)
        n_patterns, n_columns = shared.patterns.shape
        whole = unpack(kernel, n_latent).reshape(n_columns, n_latent**2)
        matrices = (whole.T @ shared.patterns.T).reshape(n_latent, n_latent, n_patterns)
        matrices[diagonal, diagonal] += 1.0
        factors, log_det = inverse_factors(matrices)
        sums.log_det += float(log_det @ shared.weight)
        covariances = np.einsum("kip,kjp->ijp", factors, factors)[triangle(n_latent)] * shared.weight
        sums.gram[:size] += covariances @ shared.patterns
        sums.latent[:size] += covariances.sum(axis=1)
        self._factors, self._index = factors, shared.index

    def __call__(self, packed: Array, part: slice, sums: _Sums) -> None:
        size = packed_size(len(self._factors))
        factors = np.take(self._factors, self._index[part], axis=2)
        half = np.einsum("ijn,jn->in", factors, packed[size:-1])
        np.einsum("ijn,in->jn", factors, half, out=packed[size:-1])
        packed[-1] = -np.einsum("in,in->n", half, half)
        packed[:size] = 0.0


def _add_outer_products(packed: Array, n_latent: int) -> None:
    """Turn minus the posterior covariances into posterior second moments, in place."""
    z = packed[packed_size(n_latent) : -1]
    product = np.empty_like(z)
    for k in range(n_latent):
        triangle = packed[packed_size(k) : packed_size(k + 1)]
        np.multiply(z[: k + 1], z[k], out=product[: k + 1])
        np.subtract(product[: k + 1], triangle, out=triangle)


def solve_columns(gram: Array, right: Array) -> Array:
    """Solve one small positive definite system per column: (D, k, k), (D, k) -> (D, k)."""
    order = gram.shape[1]
    scale = np.einsum("dii->di", gram)
    ridge = 8 * np.finfo(np.float64).eps * scale
    stabilised = gram.copy()
    stabilised[:, np.arange(order), np.arange(order)] += ridge
    return np.asarray(np.linalg.solve(stabilised, right[..., None])[..., 0], dtype=np.float64)


def maximise(rows: IncompleteRows, found: Expectation) -> Parameters:
    """M-step of parameter-expanded EM: regression on (z, 1), then the latent moments moved into mean and loadings."""
    coefficients = solve_columns(found.gram, found.cross)
    residual = float(rows.sum_squares.sum() - (coefficients * found.cross).sum()) / rows.n_observed
    spread = found.latent_second - np.outer(found.latent_mean, found.latent_mean)
    values, vectors = np.linalg.eigh(spread)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    loadings = coefficients[:, :-1]
    mean = coefficients[:, -1] + loadings @ found.latent_mean
    return Parameters(np.column_stack([loadings @ root, mean]), max(residual, rows.noise_floor))


def starting_point(rows: IncompleteRows, n_latent: int) -> Parameters:
    """Leading eigenvectors of the pairwise-available covariance, projected to be positive semi-definite."""
    n_columns = rows.values.shape[1]
    values, vectors = rows.pairwise_spectrum(n_latent)
    average = float(rows.sum_squares.sum()) / rows.n_observed
    rest = (average * n_columns - float(values.sum())) / max(n_columns - n_latent, 1)
    noise = min(max(rest, 0.02 * average, rows.noise_floor), max(average, rows.noise_floor))
    lengths = np.sqrt(np.maximum(values - noise, 1e-3 * noise))
    return Parameters(np.column_stack([vectors * lengths, np.zeros(n_columns)]), noise)


def gradient(rows: IncompleteRows, parameters: Parameters, found: Expectation) -> Array:
    """Gradient of the mean log-likelihood in (coefficients, log noise variance), by Fisher's identity.

    Where the noise variance is at its lower bound and would fall further, its entry is zero.
    """
    coefficients, noise = parameters.coefficients, parameters.noise_variance
    fitted = np.einsum("dij,dj->di", found.gram, coefficients)
    residual = float(rows.sum_squares.sum() - (coefficients * (2 * found.cross - fitted)).sum())
    by_coefficients = (found.cross - fitted) / noise
    by_log_noise = 0.5 * (residual / noise - rows.n_observed)
    if noise <= rows.noise_floor and by_log_noise < 0:
        by_log_noise = 0.0
    return np.append(by_coefficients.ravel(), by_log_noise) / rows.n_informative


def em_step(rows: IncompleteRows, parameters: Parameters, found: Expectation, vector: Array) -> Array:
    """Inverse complete-data information times a vector; with the gradient itself, the step that EM would take."""
    matrix = vector[:-1].reshape(parameters.coefficients.shape)
    step = solve_columns(found.gram, matrix) * (parameters.noise_variance * rows.n_informative)
    return np.append(step.ravel(), vector[-1] * rows.n_informative / (0.5 * rows.n_observed))


def moved(rows: IncompleteRows, parameters: Parameters, step: Array) -> Parameters:
    coefficients = parameters.coefficients + step[:-1].reshape(parameters.coefficients.shape)
    return Parameters(coefficients, max(parameters.noise_variance * float(np.exp(step[-1])), rows.noise_floor))


def working_parameters(rows: IncompleteRows, model: LinearGaussian) -> Parameters:
    """A model in the centred and scaled units in which EM works."""
    coefficients = np.column_stack([model.loadings, model.mean - rows.centre]) / rows.scale
    return Parameters(coefficients, max(model.noise_variance / rows.scale**2, rows.noise_floor))


def fitted_model(rows: IncompleteRows, parameters: Parameters) -> LinearGaussian:
    """The model on the data's scale, in canonical form."""
    return LinearGaussian(
        rows.centre + rows.scale * parameters.mean,
        rows.scale * parameters.loadings,
        rows.scale**2 * parameters.noise_variance,
    ).canonical()
