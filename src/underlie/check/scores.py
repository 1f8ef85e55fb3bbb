"""Log-likelihood per row and number of free parameters, for this package's models and scikit-learn's."""

from __future__ import annotations

import copy
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

from underlie.check.adapters import moment_model
from underlie.data.columns import DISCRETE

Array = NDArray[np.float64]


@singledispatch
def row_log_likelihood(model: Any, X: object, name: str) -> Array:
    """log p(x) of each row in nats, (n,); `name` is how errors call the model.

    Raises
    ------
    TypeError
        When the model has no ``score_samples``.
    ValueError
        When a row's value is not finite, or scikit-learn's model meets a missing cell.
    """
    if not hasattr(model, "score_samples"):
        raise TypeError(f"model {name!r} ({type(model).__name__}) has no score_samples(X), which compare needs")
    return _finite(np.asarray(model.score_samples(X), dtype=float), name)


@row_log_likelihood.register(GaussianMixture)
@row_log_likelihood.register(PCA)
@row_log_likelihood.register(FactorAnalysis)
def _(model: Any, X: object, name: str) -> Array:
    view = moment_model(model)
    values = view.numeric(X)
    if np.isnan(values).any():
        row, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(
            f"model {name!r} ({type(model).__name__}) cannot score rows with missing cells, the first is in column "
            f"{view.names[column]!r}, row {row}; impute or drop them, or use underlie.ProbabilisticPCA or underlie.VAE"
        )
    return _finite(_score_named(_unwhitened(model), values), name)


def _unwhitened(model: Any) -> Any:
    """The same PCA without whitening: scikit-learn (1.9 at least) scales the covariance twice when whiten=True.

    Whitening rescales the components' scores and leaves the density as it is.
    """
    if not getattr(model, "whiten", False):
        return model
    plain = copy.copy(model)
    plain.whiten = False
    return plain


def _score_named(model: Any, values: Array) -> Array:
    """scikit-learn's score_samples, with column names where the model was fitted with them."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return np.asarray(model.score_samples(values))
    import pandas as pd

    return np.asarray(model.score_samples(pd.DataFrame(values, columns=names)))


def _finite(scores: Array, name: str) -> Array:
    bad = ~np.isfinite(scores)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"model {name!r}: the log-likelihood of row {row} is {scores[row]}; leave that row out to compare"
        )
    return scores


def mass_columns(model: Any) -> frozenset[str]:
    """Columns whose values the model gives probabilities, not densities: the discrete ones of a model of mixed columns.

    Models that see only numbers (probabilistic PCA, scikit-learn's) have a density for every column.
    """
    encoder = getattr(model, "encoder_", None)
    if encoder is None or not hasattr(model, "generative_"):
        return frozenset()
    discrete = DISCRETE | {"count"}
    return frozenset(
        str(name) for name, kind in zip(encoder.schema.names, encoder.schema.kinds, strict=True) if kind in discrete
    )


def standard_error(values: Array) -> float:
    """Standard error of the mean over rows; NaN of a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def information_criteria(parameters: float, log_likelihood: Array) -> dict[str, float]:
    """AIC (Akaike 1974) and BIC (Schwarz 1978) from log p of each row, lower is better."""
    total, n = float(log_likelihood.sum()), len(log_likelihood)
    return {"aic": 2 * parameters - 2 * total, "bic": parameters * float(np.log(n)) - 2 * total}


@singledispatch
def n_parameters(model: Any) -> float:
    """Number of free parameters, NaN when the model does not state it (``n_parameters_``)."""
    return float(getattr(model, "n_parameters_", np.nan))


@n_parameters.register
def _(model: GaussianMixture) -> float:
    """Weights, means and covariances."""
    components, width = model.means_.shape
    covariance = {
        "full": components * width * (width + 1) // 2,
        "tied": width * (width + 1) // 2,
        "diag": components * width,
        "spherical": components,
    }[model.covariance_type]
    return float(components - 1 + components * width + covariance)


@n_parameters.register
def _(model: PCA) -> float:
    """Mean, loadings up to rotation, and the noise variance unless all components are kept."""
    rank, width = model.components_.shape
    return float(width + _loadings(width, rank) + (rank < width))


@n_parameters.register
def _(model: FactorAnalysis) -> float:
    """Mean, loadings up to rotation, and one noise variance per column."""
    rank, width = model.components_.shape
    return float(2 * width + _loadings(width, rank))


def _loadings(width: int, rank: int) -> int:
    return width * rank - rank * (rank - 1) // 2
