"""A linear-Gaussian model of columns that were divided by fixed numbers, on the scale of the columns themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.data.encoder import Encoder
from underlie.models.ppca import LinearGaussian

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class ScaledGaussian:
    """x / scale ~ N(mean, W W' + s2 I): every answer of ``model``, in the units of x.

    Attributes
    ----------
    model : LinearGaussian
        Of the divided columns.
    scale : ndarray of shape (P,)
        Positive; all ones where nothing was divided.
    """

    model: LinearGaussian
    scale: Floats

    def __post_init__(self) -> None:
        if self.scale.shape != (self.model.n_features,) or not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise ValueError(f"scale must be {self.model.n_features} positive numbers.")

    @property
    def mean(self) -> Floats:
        """Mean of x, (P,)."""
        return self.model.mean * self.scale

    @property
    def loadings(self) -> Floats:
        """W in the units of x, (P, M)."""
        return self.model.loadings * self.scale[:, None]

    @property
    def noise(self) -> Floats:
        """Variance of each column given z, (P,)."""
        return self.model.noise_variance * self.scale**2

    def log_density(self, A: Floats) -> Floats:
        """Log-density of the observed cells of each row of A (n, P), in nats, with the Jacobian of the division."""
        jacobian: Floats = (~np.isnan(A)).astype(np.float64) @ np.log(self.scale)
        return self.model.log_density(A / self.scale) - jacobian

    def posterior(self, A: Floats) -> tuple[Floats, Floats]:
        """Mean (n, M) and covariance (n, M, M) of z given the observed cells."""
        return self.model.posterior(A / self.scale)

    def posterior_mean(self, A: Floats) -> Floats:
        """Mean (n, M) of z given the observed cells."""
        return self.model.posterior_mean(A / self.scale)

    def expected(self, Z: Floats) -> Floats:
        """E[x | z], (n, P), of rows of Z (n, M)."""
        return self.mean + Z @ self.loadings.T

    def impute(self, A: Floats) -> Floats:
        """A with each missing cell at its conditional mean."""
        return np.where(np.isnan(A), self.model.impute(A / self.scale) * self.scale, A)

    def impute_draws(self, A: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
        """Copies (n_draws, n, P) of A with missing cells drawn from their joint conditional distribution."""
        draws = self.model.impute_draws(A / self.scale, n_draws, rng) * self.scale
        return np.where(np.isnan(A), draws, A)

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n rows, (n, P)."""
        return self.model.sample(n, rng) * self.scale

    def covariance(self) -> Floats:
        """Covariance of a row, (P, P)."""
        return self.model.covariance() * np.outer(self.scale, self.scale)


def checked_densities(log_densities: Floats, A: Floats, encoder: Encoder, first: int = 0) -> Floats:
    """Log-densities, (n,) or (n, K), that are all finite; ValueError naming the cell that is too far out where not.

    ``first`` is the number of the first of the rows A in the whole table.
    """
    finite = np.isfinite(log_densities).reshape(len(A), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        column = int(np.nanargmax(np.abs(A[row])))
        raise ValueError(
            f"column {encoder.numeric_names[column]!r} of X, row {first + row}, holds {A[row, column]:.6g}, so far "
            "from what was seen at fit that its log-density overflows. Check the units of this cell."
        )
    return log_densities
