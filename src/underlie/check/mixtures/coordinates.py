r"""Coordinates in which a structure is fitted: every direction that it can scale has unit variance.

Maximum likelihood commutes with what a structure is closed under: affine maps for "full" and "tied", scales of columns
for "diag", one common scale for "spherical". So data are first brought to unit covariance, unit variances or unit mean
variance, where "nearly singular" means the same for any data, and parameters are taken back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
_DEPENDENT = 1e-10
"""Eigenvalue of the correlation matrix below which columns count as linearly dependent."""


class Unidentified(ValueError):
    """The data's own covariance is singular in this structure, so every mixture's likelihood is unbounded."""


@dataclass(frozen=True)
class Coordinates:
    """u = (x - loc) @ forward."""

    loc: Array
    """(P,)."""
    forward: Array
    """(P, P)."""
    backward: Array
    """(P, P), the inverse."""

    @property
    def log_abs_det(self) -> float:
        """log |du / dx|: what to add to a log density of u to have that of x."""
        return float(np.linalg.slogdet(self.forward)[1])

    def apply(self, values: Array) -> Array:
        """Rows (n, P) of x as rows of u."""
        return (values - self.loc) @ self.forward


def coordinates(values: Array, covariance_type: str, names: tuple[str, ...]) -> Coordinates:
    """Of data (n, P).

    Raises
    ------
    Unidentified
        When a column is constant, or columns depend on each other linearly where the structure has correlations.
    """
    loc = values.mean(axis=0)
    centred = values - loc
    scale = np.sqrt((centred**2).mean(axis=0))
    noise = 1e-12 * np.abs(values).max(axis=0)  # rounding alone makes a constant column vary by so much
    constant = scale <= noise
    if covariance_type == "spherical":
        common = float(np.sqrt((scale**2).mean()))
        if constant.all():
            raise Unidentified("singular: all columns are constant")
        scale = np.full_like(scale, common)
        return Coordinates(loc, np.diag(1 / scale), np.diag(scale))
    if constant.any():
        raise Unidentified(f"singular: column {names[int(np.argmax(constant))]!r} is constant")
    if covariance_type == "diag":
        return Coordinates(loc, np.diag(1 / scale), np.diag(scale))
    standard = centred / scale
    eigenvalues, vectors = np.linalg.eigh(standard.T @ standard / len(values))
    if eigenvalues[0] < _DEPENDENT:
        raise Unidentified("singular: columns are linearly dependent")
    roots = np.sqrt(eigenvalues)
    return Coordinates(loc, vectors / scale[:, None] / roots, (vectors * roots).T * scale)


def mixture_model(
    at: Coordinates, weights: Array, means: Array, covariances: Array, covariance_type: str, **settings: Any
) -> GaussianMixture:
    """A fitted GaussianMixture on the scale of x, from parameters (K,), (K, P), (K, P, P) or (K, P) of u."""
    model = GaussianMixture(len(weights), covariance_type=covariance_type, reg_covar=0.0, **settings)
    model.weights_ = weights
    model.means_ = at.loc + means @ at.backward
    model.n_features_in_ = len(at.loc)
    if covariance_type in ("diag", "spherical"):
        variances = covariances * np.diag(at.backward) ** 2
        model.covariances_ = variances if covariance_type == "diag" else variances[:, 0]
        model.precisions_cholesky_ = 1 / np.sqrt(model.covariances_)
        model.precisions_ = 1 / model.covariances_
        return model
    own = covariances[0] if covariance_type == "tied" else covariances
    outer = at.backward.T @ own @ at.backward
    model.covariances_ = 0.5 * (outer + np.swapaxes(outer, -1, -2))
    model.precisions_cholesky_ = _precisions_cholesky(model.covariances_)
    model.precisions_ = model.precisions_cholesky_ @ np.swapaxes(model.precisions_cholesky_, -1, -2)
    return model


def _precisions_cholesky(covariances: Array) -> Array:
    """C with C C' the inverse, upper triangular, as scikit-learn keeps it."""
    if covariances.ndim == 3:
        return np.stack([_precisions_cholesky(one) for one in covariances])
    factor = np.linalg.cholesky(covariances)
    return np.asarray(solve_triangular(factor, np.eye(len(factor)), lower=True).T)
