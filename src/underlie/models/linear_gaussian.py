"""The linear-Gaussian latent-variable model: every exact answer it gives, with any cells missing.

z ~ N(0, I_M)        x | z ~ N(W z + mean, s2 I_D)        so that        x ~ N(mean, W W' + s2 I_D)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from underlie.models.ppca_rows import Array, LatentBlock, as_matrix, latent_blocks, unpack

__all__ = ["LinearConditional", "LinearGaussian", "positive_columns"]

RandomState = int | np.random.Generator | None


@dataclass(frozen=True, eq=False)
class LinearConditional:
    """Some columns given others: x_target | x_given ~ N(intercept + coefficients x_given, covariance).

    Attributes
    ----------
    intercept : ndarray of shape (T,)
    coefficients : ndarray of shape (T, G)
    covariance : ndarray of shape (T, T)
    """

    intercept: Array
    coefficients: Array
    covariance: Array

    def mean(self, given: ArrayLike) -> Array:
        """Conditional means of the target columns: (n, G) values of the given columns -> (n, T)."""
        return self.intercept + np.asarray(given, dtype=np.float64) @ self.coefficients.T


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """Gaussian with covariance W W' + s2 I, seen as a latent-variable model (probabilistic PCA).

    Every method takes rows with missing cells (NaN) and conditions on what is there, which is exact; costs are those of
    M x M systems, never of D x D ones, except in `covariance` and `moments` whose results have that size.

    Parameters
    ----------
    mean : array of shape (D,)
    loadings : array of shape (D, M)
        W, in the data's units; M may be 0 (independent columns of equal variance).
    noise_variance : float
        s2 > 0, in squared units of the data.

    Raises
    ------
    ValueError
        Shapes that do not fit, values that are not finite, or a noise variance that is not positive.

    References
    ----------
    Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. JRSS B 61, 611-622.

    Examples
    --------
    >>> model = LinearGaussian([0.0, 0.0], [[2.0], [1.0]], 1.0)
    >>> model.impute([[5.0, float("nan")]])
    array([[5., 2.]])
    """

    mean: Array
    loadings: Array
    noise_variance: float

    def __post_init__(self) -> None:
        mean = np.array(self.mean, dtype=np.float64)
        loadings = np.array(self.loadings, dtype=np.float64)
        noise_variance = float(self.noise_variance)
        if mean.ndim != 1 or loadings.ndim != 2 or len(loadings) != len(mean):
            raise ValueError(f"mean (D,) and loadings (D, M) do not fit: shapes {mean.shape} and {loadings.shape}.")
        if not (np.isfinite(mean).all() and np.isfinite(loadings).all()):
            raise ValueError("mean and loadings must be finite.")
        if not (np.isfinite(noise_variance) and noise_variance > 0):
            raise ValueError(f"noise_variance must be positive and finite, got {noise_variance}.")
        for name, value in (("mean", mean), ("loadings", loadings), ("noise_variance", noise_variance)):
            object.__setattr__(self, name, value)

    @property
    def n_features(self) -> int:
        """Number of columns D."""
        return len(self.mean)

    @property
    def n_components(self) -> int:
        """Number of latent dimensions M."""
        return int(self.loadings.shape[1])

    def covariance(self) -> Array:
        """Covariance of a row, W W' + s2 I: (D, D)."""
        covariance = self.loadings @ self.loadings.T
        covariance[np.diag_indices_from(covariance)] += self.noise_variance
        return covariance

    def moments(self, order: int) -> Array:
        """Raw moments of a row: order 1 gives E[x], (D,); order 2 gives E[x x'], (D, D)."""
        if order == 1:
            return self.mean.copy()
        if order == 2:
            return self.covariance() + np.outer(self.mean, self.mean)
        raise ValueError(f"order must be 1 or 2, got {order!r}.")

    def canonical(self) -> LinearGaussian:
        """The same distribution with orthogonal loadings, longest first, the largest entry of each positive.

        W is identified up to a rotation of z. This representative is U (L - s2 I)^(1/2), with U and L the leading
        eigenvectors and eigenvalues of the covariance, so that fits from different algorithms can be compared.
        """
        left, lengths, _ = linalg.svd(self.loadings, full_matrices=False, check_finite=False)
        loadings = np.zeros_like(self.loadings)
        loadings[:, : len(lengths)] = left * lengths
        return LinearGaussian(self.mean, positive_columns(loadings), self.noise_variance)

    def log_density(self, X: ArrayLike) -> Array:
        """Log-density of the observed cells of each row, in nats.

        log N(x_o; mean_o, W_o W_o' + s2 I), by the M x M determinant and solve (Woodbury).

        Parameters
        ----------
        X : array-like of shape (n, D), NaN where missing

        Returns
        -------
        ndarray of shape (n,)
            0 for a row in which nothing was observed.
        """
        X = self._checked(X)
        result = np.empty(len(X))
        for block in self._blocks(X):
            residual = block.centred - np.where(block.observed, block.mean @ self.loadings.T, 0.0)
            # |x - W z|^2 / s2 + |z|^2 at the posterior mean equals the quadratic form and does not cancel.
            quadratic = np.einsum("nd,nd->n", residual, residual) / self.noise_variance
            quadratic += np.einsum("nm,nm->n", block.mean, block.mean)
            n_observed = block.observed.sum(axis=1)
            constant = n_observed * np.log(2 * np.pi * self.noise_variance) + block.log_det
            result[block.rows] = -0.5 * (constant + quadratic)
        return result

    def posterior(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean and covariance of z given the observed cells of each row.

        Parameters
        ----------
        X : array-like of shape (n, D), NaN where missing

        Returns
        -------
        mean : ndarray of shape (n, M)
        covariance : ndarray of shape (n, M, M)
            Where nothing was observed, the prior: zeros and the identity.
        """
        X = self._checked(X)
        mean = np.empty((len(X), self.n_components))
        covariance = np.empty((len(X), self.n_components, self.n_components))
        for block in self._blocks(X):
            mean[block.rows] = block.mean
            covariance[block.rows] = unpack(block.packed_covariance, self.n_components)
        return mean, covariance

    def posterior_mean(self, X: ArrayLike) -> Array:
        """Mean of z given the observed cells of each row, (n, M), without the covariances."""
        X = self._checked(X)
        mean = np.empty((len(X), self.n_components))
        for block in self._blocks(X):
            mean[block.rows] = block.mean
        return mean

    def impute(self, X: ArrayLike) -> Array:
        """Fill missing cells with their conditional means given the observed cells of the row.

        Parameters
        ----------
        X : array-like of shape (n, D), NaN where missing

        Returns
        -------
        ndarray of shape (n, D)
            Observed cells are returned as they came.
        """
        filled = self._checked(X).copy()
        rows = np.flatnonzero(np.isnan(filled).any(axis=1))
        part = filled[rows]
        for block in self._blocks(part):
            expected = block.mean @ self.loadings.T + self.mean
            filled[rows[block.rows]] = np.where(block.observed, part[block.rows], expected)
        return filled

    def impute_draws(self, X: ArrayLike, n_draws: int, rng: RandomState) -> Array:
        """Draw the missing cells from their joint conditional distribution given the observed cells.

        z ~ p(z | x_o), then x_missing = W z + mean + noise: proper multiple imputation for a known model.

        Parameters
        ----------
        X : array-like of shape (n, D), NaN where missing
        n_draws : int
        rng : numpy Generator, seed, or None

        Returns
        -------
        ndarray of shape (n_draws, n, D)
            Observed cells are the same in every draw.
        """
        if n_draws < 1:
            raise ValueError(f"n_draws must be at least 1, got {n_draws}.")
        X = self._checked(X)
        rng = np.random.default_rng(rng)
        draws = np.repeat(X[None], n_draws, axis=0)
        rows = np.flatnonzero(np.isnan(X).any(axis=1))
        noise_sd = np.sqrt(self.noise_variance)
        for block in self._blocks(X[rows]):
            root = _square_roots(unpack(block.packed_covariance, self.n_components))
            missing = np.broadcast_to(~block.observed, block.centred.shape)
            target = rows[block.rows]
            for draw in draws:
                normal = rng.standard_normal(block.mean.shape)
                latent = block.mean + (root @ normal[..., None])[..., 0]
                values = draw[target]
                noise = noise_sd * rng.standard_normal(int(missing.sum()))
                values[missing] = (latent @ self.loadings.T + self.mean)[missing] + noise
                draw[target] = values
        return draws

    def sample(self, n: int, rng: RandomState) -> Array:
        """Draw rows: z from the prior, then x given z.

        Parameters
        ----------
        n : int
        rng : numpy Generator, seed, or None

        Returns
        -------
        ndarray of shape (n, D)
        """
        if n < 0:
            raise ValueError(f"n must not be negative, got {n}.")
        rng = np.random.default_rng(rng)
        latent = rng.standard_normal((n, self.n_components))
        noise = rng.standard_normal((n, self.n_features))
        rows: Array = latent @ self.loadings.T + self.mean + np.sqrt(self.noise_variance) * noise
        return rows

    def conditional(self, targets: Sequence[int], given: Sequence[int]) -> LinearConditional:
        """Distribution of some columns given others, as a regression with its residual covariance.

        Parameters
        ----------
        targets, given : sequences of int
            Column numbers; no column may be in both, `given` may be empty (the marginal distribution).

        Returns
        -------
        LinearConditional

        Raises
        ------
        ValueError
            A column outside the table, twice, or on both sides.
        """
        columns = [*targets, *given]
        if any(not 0 <= c < self.n_features for c in columns) or len(set(columns)) < len(columns):
            raise ValueError(f"targets and given must be distinct columns in 0..{self.n_features - 1}, got {columns}.")
        target, condition = np.array(targets, dtype=np.intp), np.array(given, dtype=np.intp)
        shown = self.loadings[condition]
        precision = np.eye(self.n_components) + shown.T @ shown / self.noise_variance
        factor = linalg.cho_factor(precision, lower=True)
        gain = linalg.cho_solve(factor, shown.T / self.noise_variance)
        coefficients = self.loadings[target] @ gain
        spread = self.loadings[target] @ linalg.cho_solve(factor, self.loadings[target].T)
        spread[np.diag_indices_from(spread)] += self.noise_variance
        return LinearConditional(self.mean[target] - coefficients @ self.mean[condition], coefficients, spread)

    def _checked(self, X: ArrayLike) -> Array:
        matrix = as_matrix(X, missing=True, min_rows=0)
        if matrix.shape[1] != self.n_features:
            raise ValueError(f"X has {matrix.shape[1]} columns, the model has {self.n_features}.")
        return matrix

    def _blocks(self, X: Array) -> Iterator[LatentBlock]:
        return latent_blocks(X, self.mean, self.loadings, self.noise_variance)


def positive_columns(loadings: Array) -> Array:
    """Columns with their signs chosen so that the entry of largest absolute value is positive."""
    if loadings.size == 0:
        return loadings
    largest = loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])]
    return loadings * np.where(largest < 0, -1.0, 1.0)


def _square_roots(covariances: Array) -> Array:
    """Matrices R with R R' = covariance, one per row; rounding may have made a tiny eigenvalue negative."""
    try:
        return np.asarray(np.linalg.cholesky(covariances), dtype=np.float64)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :], dtype=np.float64)
