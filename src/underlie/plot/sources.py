"""What figures ask of a fitted model: posterior means, decoded rows, the spread of its latent variable, image shape."""

from __future__ import annotations

from functools import singledispatch
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, FactorAnalysis

from underlie.check.adapters import check_fitted
from underlie.check.matrices import numeric_matrix

Array = NDArray[np.float64]


@singledispatch
def latent_means(model: Any, X: object) -> Array:
    """E[z | x] of each row, (n, M).

    Raises
    ------
    TypeError
        When the model has no latent coordinates (no ``transform``).
    """
    if not hasattr(model, "transform"):
        raise TypeError(f"{type(model).__name__} has no transform(X), so there are no latent coordinates to draw")
    check_fitted(model)
    return _two_axes(np.asarray(model.transform(X), dtype=float))


@latent_means.register(PCA)
@latent_means.register(FactorAnalysis)
def _(model: Any, X: object) -> Array:
    check_fitted(model)
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        return _two_axes(np.asarray(model.transform(X)))
    width = int(model.n_features_in_)
    return np.asarray(model.transform(numeric_matrix(X, tuple(f"x{j}" for j in range(width)), type(model).__name__)))


def _two_axes(z: Array) -> Array:
    return z.reshape(len(z), -1)


@singledispatch
def decode(model: Any, z: Array) -> Array:
    """E[x | z] of each latent point (m, M), rows first, in the user's units, not rounded to values that x can take.

    Raises
    ------
    TypeError
        When the model has neither ``moments`` nor ``inverse_transform``.
    """
    if hasattr(model, "moments"):
        check_fitted(model)
        return np.asarray(model.moments(z)[0], dtype=float)
    if not hasattr(model, "inverse_transform"):
        raise TypeError(f"{type(model).__name__} has no inverse_transform(Z), so latent points cannot be decoded")
    check_fitted(model)
    return np.asarray(model.inverse_transform(z), dtype=float)


@decode.register
def _(model: FactorAnalysis, z: Array) -> Array:
    check_fitted(model)
    return np.asarray(model.mean_ + z @ model.components_)


@singledispatch
def prior_sd(model: Any, n_latent: int) -> Array:
    """Standard deviation of each latent coordinate under the prior, (M,): 1 unless the model scales them otherwise."""
    return np.ones(n_latent)


@prior_sd.register
def _(model: PCA, n_latent: int) -> Array:
    return np.ones(n_latent) if model.whiten else np.sqrt(model.explained_variance_)


def n_latent_of(model: Any) -> int:
    """Number of latent coordinates of a fitted model.

    Raises
    ------
    TypeError
        When the model does not say.
    """
    if hasattr(model, "components_"):
        return int(np.shape(model.components_)[0])
    for name in ("n_latent_", "n_components_", "n_latent", "n_components"):
        count = getattr(model, name, None)
        if isinstance(count, int | np.integer):
            return int(count)
    raise TypeError(f"{type(model).__name__} does not say how many latent coordinates it has (n_latent)")


def row_image_shape(model: Any, width: int, image_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Shape (h, w) or (h, w, c) of one row seen as an image: as given, as the model was fitted, or a square.

    Raises
    ------
    ValueError
        When rows of `width` numbers are no image of that shape, or no shape is known.
    """
    if image_shape is not None:
        if int(np.prod(image_shape)) != width:
            raise ValueError(f"image_shape={image_shape} has {int(np.prod(image_shape))} pixels, but a row has {width}")
        return tuple(image_shape)
    fitted = tuple(getattr(getattr(model, "encoder_", None), "row_shape", ()))
    if len(fitted) >= 2:
        return fitted
    side = isqrt(width)
    if side * side != width or side < 2:
        raise ValueError(f"rows of {width} numbers are not square images; give image_shape=(height, width)")
    return (side, side)
