"""What the checks need to know of a model, and how it is had from this package's models and scikit-learn's.

`moment_model(model)` is the one entry. A new family is one more registration; anything that offers
``moments(z)`` and ``sample_latent(m, random_state)``, or ``exact_moments()``, or ``sample(n, random_state)``, needs
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from inspect import signature
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.utils.validation import check_is_fitted

from underlie.check.gaps.gaussians import Covariance, Full, Gaussians, LowRank
from underlie.check.matrices import numeric_matrix
from underlie.check.seeds import integer_seed
from underlie.data.schema import Schema
from underlie.data.tables import library_of

Array = NDArray[np.float64]


class MomentModel(Protocol):
    """A fitted model as the moment checks see it: P numeric coordinates in the user's units."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P coordinates."""

    @property
    def exclusive_groups(self) -> tuple[NDArray[np.intp], ...]:
        """Sets of coordinates that are indicators of one categorical column, of which exactly one is 1."""

    @property
    def can_sample(self) -> bool:
        """Whether `sample` works."""

    @property
    def is_sample(self) -> bool:
        """Whether it is a sample itself, of which no more can be drawn."""

    def numeric(self, X: object) -> Array:
        """Data as (n, P), NaN where a cell is missing."""

    def gaussians(self) -> Gaussians | None:
        """The model as a mixture of Gaussians, whose moments are exact to any order; None when it is not."""

    def exact_moments(self) -> tuple[Array, Array] | None:
        """E[x] (P,) and E[x x'] (P, P) in closed form, None when there is none."""

    def latent_batches(self, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
        """Independent batches of latent draws, m in all; each batch alone is a sample of the prior."""

    def conditional(self, latent: Any, order: int) -> tuple[Array, ...]:
        """E[x|z], Var[x|z], central moments up to `order` of each coordinate, independent given z: (rows, P) each."""

    def sample(self, n: int, seed: int) -> Array:
        """n rows of the model, (n, P)."""

    def refit(self, values: Array, seed: int) -> MomentModel:
        """The same model fitted to other rows (n, P)."""


def moment_model(model: object) -> MomentModel:
    """View of a fitted model, or of an array of draws (m, P), for the moment checks.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    TypeError
        When the model has neither closed-form moments, nor moments given its latent variable, nor ``sample``.
    """
    return _view(model)


@singledispatch
def _view(model: object) -> MomentModel:
    if library_of(model) is not None:
        raise TypeError(
            "model: a table was given; for draws from a model pass an array (m, P), such as table.to_numpy()"
        )
    if hasattr(model, "marginal") and not isinstance(model, type):  # labels stand beside x, and are summed out
        check_fitted(model)
        return _Native(model.marginal(), model)
    exact = hasattr(model, "exact_moments")
    forward = hasattr(model, "moments") and hasattr(model, "sample_latent")
    if isinstance(model, type) or not (exact or forward or hasattr(model, "sample")):
        raise TypeError(
            f"{type(model).__name__} has no moments to compare: a model needs exact_moments(), or moments(z) with "
            "sample_latent(m, random_state), or sample(n, random_state). Supported: the estimators of underlie, "
            "scikit-learn's GaussianMixture, PCA and FactorAnalysis, and arrays of draws (m, P)"
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
    """This package's estimators, and any object that keeps their small protocol.

    Parameters
    ----------
    model : object
        Whose moments are asked for.
    estimator : object, optional
        What was fitted, if it is another.
    """

    def __init__(self, model: Any, estimator: Any = None) -> None:
        self._model = model
        self._estimator = model if estimator is None else estimator
        self._encoder = getattr(model, "encoder_", None)
        self.can_sample, self.is_sample = hasattr(model, "sample"), False
        self._forward = hasattr(model, "moments") and hasattr(model, "sample_latent")
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
        elif self._forward:
            width = np.asarray(self._model.moments(self._model.sample_latent(1, 0))[0]).shape[-1]
        else:
            width = np.asarray(self._model.sample(2, 0)).shape[-1]
        return tuple(f"x{j}" for j in range(width))

    def _find_groups(self) -> tuple[NDArray[np.intp], ...]:
        groups = getattr(self._model, "exclusive_groups_", None)
        if groups is not None:
            return tuple(np.asarray(group, dtype=np.intp) for group in groups)
        return () if self._encoder is None else _indicator_groups(self._encoder.schema)

    def numeric(self, X: object) -> Array:
        if self._encoder is not None:
            covariates = getattr(self._model, "covariates", None)  # of models in which treatments stand beside them
            return np.asarray(self._encoder.numeric(X if covariates is None else covariates(X)), dtype=float)
        return numeric_matrix(X, self.names, type(self._model).__name__)

    def gaussians(self) -> Gaussians | None:
        if not hasattr(self._model, "gaussian_components"):
            return None
        weights, means, loadings, noise = self._model.gaussian_components()
        return Gaussians(weights, means, [LowRank(W, s) for W, s in zip(loadings, noise, strict=True)])

    def exact_moments(self) -> tuple[Array, Array] | None:
        if not hasattr(self._model, "exact_moments"):
            return None
        mean, second = (np.asarray(part, dtype=float) for part in self._model.exact_moments())
        return mean, second

    def latent_batches(self, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
        draw = getattr(self._model, "quasi_latent", None) or getattr(self._model, "sample_latent", None)
        if draw is None or not self._forward:
            return sample_batches(self, m, n_batches, rng)
        if "n_batches" in signature(draw).parameters:
            sizes = _sizes(m, n_batches)
            every = draw(sizes[0], integer_seed(rng), n_batches)
            return [batch[:size] for batch, size in zip(every, sizes, strict=True)]
        return [np.asarray(draw(size, integer_seed(rng))) for size in _sizes(m, n_batches)]

    def conditional(self, latent: Any, order: int) -> tuple[Array, ...]:
        if not self._forward:
            return as_seen(latent, order)
        if order > 2 and "order" not in signature(self._model.moments).parameters:
            raise TypeError(
                f"{type(self._model).__name__}.moments(z) gives mean and variance only; for order={order} it must take "
                "moments(z, order) and give the central moments up to that order, or leave moments out and offer sample"
            )
        parts = self._model.moments(latent) if order <= 2 else self._model.moments(latent, order=order)
        return tuple(np.asarray(part, dtype=float) for part in parts)

    def sample(self, n: int, seed: int) -> Array:
        if (mixture := self.gaussians()) is not None:  # its rows may be rounded to levels, its moments are not
            return mixture.sample(n, np.random.default_rng(seed))
        if not hasattr(self._model, "sample"):
            raise TypeError(
                f"{type(self._model).__name__} has no sample(n, random_state), which this needs: without it there are "
                "no orders above 2 for a model of exact_moments() alone, no function of x and no refit"
            )
        rows = self._model.sample(n, random_state=seed)
        return self.numeric(rows[0] if isinstance(rows, tuple) else rows)  # some give outcomes beside them

    def refit(self, values: Array, seed: int) -> MomentModel:
        outcomes = isinstance(self._estimator, BaseEstimator) and is_classifier(self._estimator)
        if outcomes or hasattr(self._estimator, "covariates"):
            raise TypeError(
                f"refit=True is not possible for {type(self._estimator).__name__}, which is fitted to outcomes too; "
                "leave refit out and judge it on rows that it has not seen"
            )
        if self._encoder is None:
            return _view(_fitted_again(self._estimator, values, seed))
        if hasattr(self._estimator, "gaussian_components"):  # sees only numbers: columns of kinds are done with
            return _view(_fitted_again(self._estimator, values, seed, kinds=None))
        return _view(_fitted_again(self._estimator, self._encoder.from_numeric(values), seed))


def _sizes(m: int, n_batches: int) -> list[int]:
    """m draws in batches as equal as can be."""
    return [len(part) for part in np.array_split(np.arange(m), n_batches)]


def sample_batches(view: MomentModel, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
    """Batches of rows, for models of which nothing but rows can be had."""
    return [view.sample(size, integer_seed(rng)) for size in _sizes(m, n_batches)]


def as_seen(rows: Array, order: int) -> tuple[Array, ...]:
    """Rows as their own conditional moments: no variance, nothing beyond."""
    return (rows, *[np.zeros_like(rows)] * (order - 1))


def _fitted_again(model: Any, rows: object, seed: int, **start: Any) -> Any:
    """A fresh copy of the estimator fitted to rows, quietly and with a seed of its own."""
    if not (isinstance(model, BaseEstimator) and hasattr(model, "fit")):
        raise TypeError(f"refit=True needs an estimator that can be cloned and fitted, not {type(model).__name__}")
    known = model.get_params(deep=False)
    quiet = {"random_state": seed, "verbose": False}
    changed = {name: value for name, value in (quiet | start).items() if name in known}
    return clone(model).set_params(**changed).fit(rows)


@final
@dataclass(frozen=True, eq=False)
class _Draws:
    """An array of draws in place of a model: nothing is known of it but its rows."""

    values: Array
    """(m, P)."""
    exclusive_groups: tuple[NDArray[np.intp], ...] = ()
    can_sample: bool = False
    is_sample: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"x{j}" for j in range(self.values.shape[1]))

    def numeric(self, X: object) -> Array:
        return numeric_matrix(X, self.names, "the array of draws")

    def gaussians(self) -> Gaussians | None:
        return None

    def exact_moments(self) -> tuple[Array, Array] | None:
        return None

    def latent_batches(self, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
        shuffled = rng.permutation(self.values)
        return [part for part in np.array_split(shuffled, n_batches) if len(part)]

    def conditional(self, latent: Any, order: int) -> tuple[Array, ...]:
        return as_seen(latent, order)

    def sample(self, n: int, seed: int) -> Array:
        raise TypeError("an array of draws cannot be sampled")

    def refit(self, values: Array, seed: int) -> MomentModel:
        raise TypeError("an array of draws cannot be fitted")


@_view.register
def _(model: np.ndarray) -> MomentModel:
    values = np.asarray(model, dtype=float)
    if values.ndim < 2 or len(values) < 2:
        raise ValueError(f"model: an array of draws needs at least 2 rows, and columns; got shape {values.shape}")
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
        raise ValueError(f"model: row {row} of the array of draws is not finite; drop such rows or mend them")
    return _Draws(values.reshape(len(values), -1))


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
@dataclass(frozen=True, eq=False)
class _Exact:
    """A model of scikit-learn that is a mixture of Gaussians."""

    model: Any
    mixture: Gaussians
    start: Mapping[str, Any]
    """Parameters from which a fit to similar rows begins."""
    exclusive_groups: tuple[NDArray[np.intp], ...] = ()
    can_sample: bool = True
    is_sample: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return _sklearn_names(self.model)

    def numeric(self, X: object) -> Array:
        return numeric_matrix(X, self.names, type(self.model).__name__)

    def gaussians(self) -> Gaussians | None:
        return self.mixture

    def exact_moments(self) -> tuple[Array, Array] | None:
        return None

    def latent_batches(self, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
        return [self.mixture.latent(size, rng) for size in _sizes(m, n_batches)]

    def conditional(self, latent: Any, order: int) -> tuple[Array, ...]:
        mean, variance = self.mixture.given(latent)
        return (mean, variance, np.zeros_like(mean), 3 * variance**2)[:order]

    def sample(self, n: int, seed: int) -> Array:
        return self.mixture.sample(n, np.random.default_rng(seed))

    def refit(self, values: Array, seed: int) -> MomentModel:
        return _view(_fitted_again(self.model, values, seed, **self.start))


@_view.register
def _(model: GaussianMixture) -> MomentModel:
    check_fitted(model)
    start = {
        "weights_init": model.weights_ / model.weights_.sum(),
        "means_init": model.means_,
        "precisions_init": model.precisions_,
        "n_init": 1,
    }
    return _Exact(model, _mixture(model), start)


@_view.register
def _(model: BayesianGaussianMixture) -> MomentModel:
    """By its posterior means, as scikit-learn's own predictions and samples are."""
    check_fitted(model)
    return _Exact(model, _mixture(model), {})


def _mixture(model: GaussianMixture | BayesianGaussianMixture) -> Gaussians:
    width = model.means_.shape[1]
    covariances: list[Covariance]
    if model.covariance_type == "full":
        covariances = [Full(one) for one in model.covariances_]
    elif model.covariance_type == "tied":
        covariances = [Full(model.covariances_)] * len(model.weights_)
    else:  # one number or one per column
        covariances = [LowRank(np.zeros((width, 0)), np.broadcast_to(one, width)) for one in model.covariances_]
    return Gaussians(model.weights_, model.means_, covariances)


@_view.register
def _(model: PCA) -> MomentModel:
    """As probabilistic PCA: covariance W W' + s2 I with W = V (L - s2 I)^(1/2) (Tipping & Bishop 1999)."""
    check_fitted(model)
    variance = float(model.noise_variance_)
    loadings = model.components_.T * np.sqrt(np.maximum(model.explained_variance_ - variance, 0.0))
    noise = np.full(model.components_.shape[1], variance)
    return _Exact(model, Gaussians(np.ones(1), model.mean_[None], [LowRank(loadings, noise)]), {})


@_view.register
def _(model: FactorAnalysis) -> MomentModel:
    check_fitted(model)
    covariance = LowRank(model.components_.T, model.noise_variance_)
    return _Exact(model, Gaussians(np.ones(1), model.mean_[None], [covariance]), {})
