"""What the checks need to know of a model, and how it is had from this package's models and scikit-learn's.

`moment_model(model)` is the one entry. A new family is one more registration; anything that offers
``moments(z)`` and ``sample_latent(m, random_state)``, or ``exact_moments()``, needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted

from underlie.check.matrices import numeric_matrix
from underlie.data.schema import Schema

Array = NDArray[np.float64]


class MomentModel(Protocol):
    """A fitted model as the moment checks see it: P numeric coordinates in the user's units."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P coordinates."""

    @property
    def exclusive_groups(self) -> tuple[NDArray[np.intp], ...]:
        """Sets of coordinates that are indicators of one categorical column, of which exactly one is 1."""

    def numeric(self, X: object) -> Array:
        """Data as (n, P), NaN where a cell is missing."""

    def exact_about(self, reference: Array) -> tuple[Array, Array] | None:
        """E[d] (P,) and E[d d'] (P, P) of d = x - reference in closed form, None when there is none."""

    def sample_latent(self, m: int, seed: int) -> NDArray[Any]:
        """m draws of the latent variable from its prior, rows first (component numbers for a mixture)."""

    def conditional(self, latent: NDArray[Any]) -> tuple[Array, Array]:
        """E[x|z] and Var[x|z] of each coordinate, (rows, P) each; coordinates are independent given z."""


@singledispatch
def moment_model(model: object) -> MomentModel:
    """View of a fitted model for the moment checks.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    TypeError
        When the model has neither closed-form moments nor moments given its latent variable.
    """
    exact = hasattr(model, "exact_moments")
    forward = hasattr(model, "moments") and hasattr(model, "sample_latent")
    if isinstance(model, type) or not (exact or forward):
        raise TypeError(
            f"{type(model).__name__} has no moments to compare: a model needs exact_moments(), or moments(z) with "
            "sample_latent(m, random_state). Supported: the estimators of underlie, and scikit-learn's "
            "GaussianMixture, PCA and FactorAnalysis"
        )
    check_fitted(model)
    return _Native(model)


def check_fitted(model: object) -> None:
    """Refuse an estimator that has not been fitted; objects that are no estimators are taken as they are.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When an estimator has not been fitted.
    """
    if isinstance(model, BaseEstimator):
        check_is_fitted(model)


@final
class _Native:
    """This package's estimators, and any object that keeps their small protocol."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._encoder = getattr(model, "encoder_", None)
        self.names = self._find_names()
        self.exclusive_groups = self._find_groups()

    def _find_names(self) -> tuple[str, ...]:
        if self._encoder is not None:
            return tuple(str(name) for name in self._encoder.numeric_names)
        names = getattr(self._model, "feature_names_in_", None)
        if names is not None:
            return tuple(str(name) for name in names)
        if hasattr(self._model, "n_features_in_"):
            width = int(self._model.n_features_in_)
        elif hasattr(self._model, "exact_moments"):
            width = len(self._model.exact_moments()[0])
        else:
            width = np.asarray(self._model.moments(self.sample_latent(1, 0))[0]).shape[-1]
        return tuple(f"x{j}" for j in range(width))

    def _find_groups(self) -> tuple[NDArray[np.intp], ...]:
        groups = getattr(self._model, "exclusive_groups_", None)
        if groups is not None:
            return tuple(np.asarray(group, dtype=np.intp) for group in groups)
        return () if self._encoder is None else _indicator_groups(self._encoder.schema)

    def numeric(self, X: object) -> Array:
        if self._encoder is not None:
            return np.asarray(self._encoder.numeric(X), dtype=float)
        return numeric_matrix(X, self.names, type(self._model).__name__)

    def exact_about(self, reference: Array) -> tuple[Array, Array] | None:
        if not hasattr(self._model, "exact_moments"):
            return None
        mean, second = (np.asarray(part, dtype=float) for part in self._model.exact_moments())
        deviation = mean - reference
        covariance = second - np.outer(mean, mean)
        return deviation, covariance + np.outer(deviation, deviation)

    def sample_latent(self, m: int, seed: int) -> NDArray[Any]:
        return np.asarray(self._model.sample_latent(m, seed))

    def conditional(self, latent: NDArray[Any]) -> tuple[Array, Array]:
        mean, variance = self._model.moments(latent)
        return np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)


def _indicator_groups(schema: Schema) -> tuple[NDArray[np.intp], ...]:
    """Coordinates of each categorical column in the numeric view, where it is one indicator per level."""
    groups, start = [], 0
    for kind, levels in zip(schema.kinds, schema.arrays.levels, strict=True):
        width = len(levels) if kind == "categorical" else 1
        if kind == "categorical":
            groups.append(np.arange(start, start + width))
        start += width
    return tuple(groups)


def _sklearn_names(model: Any) -> tuple[str, ...]:
    names = getattr(model, "feature_names_in_", None)
    return tuple(names) if names is not None else tuple(f"x{j}" for j in range(model.n_features_in_))


@final
@dataclass(frozen=True)
class _Linear:
    """A Gaussian with mean mu and covariance W W' + diag(noise): probabilistic PCA and factor analysis."""

    owner: str
    names: tuple[str, ...]
    mean: Array
    loadings: Array
    """(P, M)."""
    noise: Array
    """(P,)."""
    exclusive_groups: tuple[NDArray[np.intp], ...] = ()

    def numeric(self, X: object) -> Array:
        return numeric_matrix(X, self.names, self.owner)

    def exact_about(self, reference: Array) -> tuple[Array, Array] | None:
        deviation = self.mean - reference
        covariance = self.loadings @ self.loadings.T + np.diag(self.noise)
        return deviation, covariance + np.outer(deviation, deviation)

    def sample_latent(self, m: int, seed: int) -> NDArray[Any]:
        return np.random.default_rng(seed).standard_normal((m, self.loadings.shape[1]))

    def conditional(self, latent: NDArray[Any]) -> tuple[Array, Array]:
        mean = self.mean + latent @ self.loadings.T
        return mean, np.broadcast_to(self.noise, mean.shape)


@final
@dataclass(frozen=True)
class _Mixture:
    """A Gaussian mixture; its latent variable is the component."""

    owner: str
    names: tuple[str, ...]
    weights: Array
    """(K,)."""
    means: Array
    """(K, P)."""
    covariances: Array
    """As scikit-learn keeps them: (K, P, P), (P, P), (K, P) or (K,)."""
    kind: str
    exclusive_groups: tuple[NDArray[np.intp], ...] = ()

    def numeric(self, X: object) -> Array:
        return numeric_matrix(X, self.names, self.owner)

    def _within(self) -> Array:
        """Weighted mean of the component covariances, (P, P)."""
        if self.kind == "full":
            return np.tensordot(self.weights, self.covariances, axes=1)
        if self.kind == "tied":
            return self.covariances
        if self.kind == "diag":
            return np.diag(self.weights @ self.covariances)
        return np.eye(self.means.shape[1]) * (self.weights @ self.covariances)

    def exact_about(self, reference: Array) -> tuple[Array, Array] | None:
        deviation = self.means - reference
        between = (deviation * self.weights[:, None]).T @ deviation
        return self.weights @ deviation, self._within() + between

    def sample_latent(self, m: int, seed: int) -> NDArray[Any]:
        return np.random.default_rng(seed).choice(len(self.weights), size=m, p=self.weights)

    def conditional(self, latent: NDArray[Any]) -> tuple[Array, Array]:
        """Mean and variances of each draw's component; "full" and "tied" components are not independent given k."""
        width = self.means.shape[1]
        if self.kind == "full":
            variance = np.diagonal(self.covariances, axis1=1, axis2=2)
        elif self.kind == "tied":
            variance = np.broadcast_to(np.diagonal(self.covariances), self.means.shape)
        elif self.kind == "diag":
            variance = self.covariances
        else:
            variance = np.broadcast_to(self.covariances[:, None], (len(self.weights), width))
        return self.means[latent], variance[latent]


@moment_model.register
def _(model: GaussianMixture) -> MomentModel:
    check_fitted(model)
    return _Mixture(
        type(model).__name__,
        _sklearn_names(model),
        model.weights_,
        model.means_,
        model.covariances_,
        model.covariance_type,
    )


@moment_model.register
def _(model: PCA) -> MomentModel:
    """As probabilistic PCA: covariance W W' + s2 I with W = V (L - s2 I)^(1/2) (Tipping & Bishop 1999)."""
    check_fitted(model)
    variance = float(model.noise_variance_)
    loadings = model.components_.T * np.sqrt(np.maximum(model.explained_variance_ - variance, 0.0))
    width = model.components_.shape[1]
    return _Linear(type(model).__name__, _sklearn_names(model), model.mean_, loadings, np.full(width, variance))


@moment_model.register
def _(model: FactorAnalysis) -> MomentModel:
    check_fitted(model)
    return _Linear(type(model).__name__, _sklearn_names(model), model.mean_, model.components_.T, model.noise_variance_)
