r"""The four covariance structures, and EM's two steps in terms of sums.

The log density of a Gaussian component is linear in the features phi(x) = (1, x, x x') of a row, so that the E-step of
all components of all starts is one matrix product, and the M-step, sums of phi(x) weighted by the responsibilities, is
another. "diag" and "spherical" need only the squares of x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
SINGULAR = 1e-8
"""Smallest variance of a component, in units of the data's own: a standard deviation of one ten-thousandth."""


def pairs_of(covariance_type: str, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns (j, k) whose products are features: the upper triangle, or the diagonal."""
    if covariance_type in ("full", "tied"):
        rows, columns = np.triu_indices(width)
        return rows, columns
    return np.arange(width), np.arange(width)


def features(values: Array, covariance_type: str) -> Array:
    """phi(x) of rows (n, P), one column per row: (F, n)."""
    rows, columns = pairs_of(covariance_type, values.shape[1])
    across = np.ascontiguousarray(values.T)
    return np.concatenate([np.ones((1, len(values))), across, across[rows] * across[columns]])


@dataclass(frozen=True)
class Parameters:
    """Mixtures of R starts.

    Attributes
    ----------
    weights : ndarray of shape (R, K)
    means : ndarray of shape (R, K, P)
    covariances : ndarray of shape (R, K, P, P), or (R, K, P) of variances for "diag" and "spherical"
        Those of "tied" and "spherical" repeat.
    """

    weights: Array
    means: Array
    covariances: Array

    def take(self, starts: NDArray[np.intp]) -> Parameters:
        """Some of the starts."""
        return Parameters(self.weights[starts], self.means[starts], self.covariances[starts])

    def put(self, starts: NDArray[np.intp], other: Parameters) -> None:
        """Write the starts of `other` at these places."""
        self.weights[starts], self.means[starts] = other.weights, other.means
        self.covariances[starts] = other.covariances


def maximise(sums: Array, covariance_type: str, width: int) -> Parameters:
    """The M-step, from sums of phi(x) weighted by responsibilities (R, K, F)."""
    counts = np.maximum(sums[..., :1], 1e-300)
    means = sums[..., 1 : width + 1] / counts
    rows, columns = pairs_of(covariance_type, width)
    spread = sums[..., width + 1 :] / counts - means[..., rows] * means[..., columns]
    weights = counts[..., 0] / counts.sum(axis=1)
    if covariance_type == "tied":
        spread = np.broadcast_to((weights[..., None] * spread).sum(axis=1, keepdims=True), spread.shape)
    elif covariance_type == "spherical":
        spread = np.broadcast_to(spread.mean(axis=-1, keepdims=True), spread.shape)
    if covariance_type in ("diag", "spherical"):
        return Parameters(weights, means, np.array(spread))
    covariances = np.empty((*spread.shape[:2], width, width))
    covariances[..., rows, columns] = spread
    covariances[..., columns, rows] = spread
    return Parameters(weights, means, covariances)


def natural(parameters: Parameters) -> tuple[Array, NDArray[np.bool_]]:
    """Coefficients (R, K, F) of log(weight) + log density in phi(x), and which starts (R,) have a singular component.

    The smallest eigenvalue of a covariance is at least 1 / trace of its inverse and at most P times that, which needs
    no eigenvalues.
    """
    means, covariances = parameters.means, parameters.covariances
    width = means.shape[-1]
    if covariances.ndim == 3:
        bad: NDArray[np.bool_] = np.any(covariances < SINGULAR, axis=-1)
        variance = np.where(bad[..., None], 1.0, covariances)
        linear, quadratic = means / variance, -0.5 / variance
        log_det = np.log(variance).sum(axis=-1)
    else:
        precision, log_det, bad = _inverse(covariances)
        linear = np.einsum("rkij,rkj->rki", precision, means)
        rows, columns = np.triu_indices(width)
        quadratic = precision[..., rows, columns] * np.where(rows == columns, -0.5, -1.0)
    log_weights = np.log(np.maximum(parameters.weights, 1e-300))
    constant = log_weights - 0.5 * ((means * linear).sum(axis=-1) + log_det + width * np.log(2 * np.pi))
    return np.concatenate([constant[..., None], linear, quadratic], axis=-1), np.any(bad, axis=1)


def _inverse(covariances: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Inverse, log determinant, and which are singular; the latter are inverted as if they were the identity."""
    sign, log_det = np.linalg.slogdet(covariances)
    bad: NDArray[np.bool_] = np.logical_not(sign > 0)
    identity = np.eye(covariances.shape[-1])
    precision = np.linalg.inv(np.where(bad[..., None, None], identity, covariances))
    trace = np.trace(precision, axis1=-2, axis2=-1)
    bad = np.logical_or(bad, ~((trace > 0) & (trace < 1 / SINGULAR)))
    precision[bad] = identity
    return precision, np.where(bad, 0.0, log_det), bad
