"""Fitted models side by side on the same rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import moment_model
from underlie.check.gaps.result import MegaResult
from underlie.check.mega import N_BOOTSTRAP, mega
from underlie.check.mmd import model_mmd
from underlie.check.scores import information_criteria, mass_columns, n_parameters, row_log_likelihood, standard_error
from underlie.check.seeds import generator, integer_seed
from underlie.warnings import DataWarning, ImportanceSamplingWarning, warn

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
_MMD_ROWS = 2000


def compare(
    models: Mapping[str, object],
    X: object,
    *,
    order: int = 2,
    standardize: bool = False,
    n_draws: int | Literal["auto"] = "auto",
    n_bootstrap: int = N_BOOTSTRAP,
    refit: bool = False,
    random_state: object = None,
) -> pd.DataFrame:
    r"""Compare fitted models on the same rows: likelihood, AIC, BIC, moment gaps and MMD with p-values, fit time.

    .. math::
        \mathrm{AIC} = 2k - 2 \sum_i \log p(x_i), \qquad \mathrm{BIC} = k \log n - 2 \sum_i \log p(x_i)

    Parameters
    ----------
    models : mapping of str to fitted estimator
        Estimators of underlie, scikit-learn's GaussianMixture, PCA and FactorAnalysis, or anything with
        ``score_samples(X)`` and the moments that `mega` asks for.
    X : table, array or images
        n rows, the same for every model. AIC and BIC correct for parameters fitted to these very rows, so read them
        only when X is the training data; on held-out rows the log-likelihood itself is the criterion, and nothing
        needs correcting.
    order, standardize, n_draws, n_bootstrap, refit
        As in `mega`: the highest moment; gaps of (x - mean) / sd, so that columns of different units weigh alike;
        draws; data sets drawn for p-values; whether the models were fitted to these rows, and p-values of the gaps
        should allow for it. Without `refit` p-values are too large for models fitted to these rows.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the latent draws; every model gets the same.

    Returns
    -------
    pandas.DataFrame
        One row per model, in the order given, with columns

        ``log_likelihood``, ``log_likelihood_se``
            mean over rows in nats, on the data's own scale, and its standard error over rows (of the rows as a sample;
            it is large and shared by all models);
        ``delta_log_likelihood``, ``delta_se``
            difference to the best model, at most 0, and its standard error paired by row, which is the one that
            separates models;
        ``n_parameters``, ``aic``, ``bic``
            NaN where the model does not state its number of parameters;
        ``mega_1``, ``mega_1_floor``, ``mega_1_p``, ``mega_2``, ...
            moment gaps in Frobenius norm up to `order`, what a right model would score, and p-values, see `mega`;
        ``mmd2``, ``mmd_p``
            unbiased squared maximum mean discrepancy between at most 2,000 rows and as many draws of the model, with a
            Gaussian kernel of the same bandwidth for all models, and its p-value by permutation, see `mmd`; NaN where
            cells are missing or the model cannot be sampled;
        ``trained_on``
            the measures of this table that the model was trained to make small, other than its likelihood: they flatter
            it ("mega_1 mega_2" for a VAE with ``mega`` > 0);
        ``exact``
            whether the moments are in closed form;
        ``fit_time``
            seconds, where the model recorded them;
        ``n``
            rows.

    Raises
    ------
    ValueError
        When there is no model, a model cannot score a row, or X does not suit a model (see `mega`).
    TypeError
        When `models` is not a mapping, or a model offers no log-likelihood or moments.

    Warns
    -----
    DataWarning
        When a column has probabilities in one model and a density in another, or a model was trained to make small what
        it is judged by here.

    Notes
    -----
    Log-likelihoods can be compared only between models that treat the same columns as continuous: a density and a
    probability mass are in different units. For VAEs score_samples is an importance-sampling estimate, from below on
    average; more draws raise it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.mixture import GaussianMixture
    >>> import underlie as ul
    >>> X = load_iris().data
    >>> models = {"pPCA": PCA(2).fit(X), "mixture": GaussianMixture(2, random_state=0).fit(X)}
    >>> table = ul.compare(models, X)
    >>> table[["log_likelihood", "delta_log_likelihood", "delta_se", "n_parameters"]].round(2)
             log_likelihood  delta_log_likelihood  delta_se  n_parameters
    model
    pPCA              -2.70                 -1.27       0.1          12.0
    mixture           -1.43                  0.00       0.0          29.0
    """
    import pandas as pd

    if not isinstance(models, Mapping):
        raise TypeError(f"models must map names to fitted models, got {type(models).__name__}; use {{'name': model}}")
    if not models:
        raise ValueError("models is empty; give at least one, {'name': model}")
    _warn_about_units(models)
    _warn_about_targets(models, order)
    seed = integer_seed(generator(random_state))
    scores = {name: _scores(model, X, name) for name, model in models.items()}
    best = max(scores, key=lambda name: float(scores[name].mean()))
    rows = {
        name: {
            **_likelihood_columns(scores[name], scores[best], n_parameters(model)),
            **_gap_columns(
                mega(
                    model,
                    X,
                    order,
                    standardize=standardize,
                    n_draws=n_draws,
                    n_bootstrap=n_bootstrap,
                    refit=refit,
                    random_state=seed,
                )
            ),
            **_mmd_columns(model, X, standardize=standardize, n_permutations=n_bootstrap, seed=seed),
            "trained_on": " ".join(f"mega_{k}" for k in _targets(model) if k <= order),
            "fit_time": float(getattr(model, "fit_time_", np.nan)),
            "n": len(scores[name]),
        }
        for name, model in models.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "model"
    return table


def _scores(model: object, X: object, name: str) -> Array:
    """Log-likelihoods of rows; warnings say of which model they are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImportanceSamplingWarning)
        scores = row_log_likelihood(model, X, name)
    for one in caught:
        if issubclass(one.category, ImportanceSamplingWarning):
            warn(f"{name}: {one.message}", one.category)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return scores


def _warn_about_units(models: Mapping[str, object]) -> None:
    """Warn when one model gives probabilities to the values of a column for which another has a density."""
    masses = {name: mass_columns(model) for name, model in models.items()}
    for name, columns in masses.items():
        for other, others in masses.items():
            if unlike := sorted(columns - others):
                warn(
                    f"log-likelihoods of {name!r} and {other!r} are in different units: {name!r} gives probabilities "
                    f"to the values of {len(unlike)} column(s), the first {unlike[0]!r}, for which {other!r} has a "
                    "density. Compare these models by moment gaps or imputation errors instead.",
                    DataWarning,
                )
                return


def _likelihood_columns(scores: Array, best: Array, parameters: float) -> dict[str, float]:
    difference = scores - best
    return {
        "log_likelihood": float(scores.mean()),
        "log_likelihood_se": standard_error(scores),
        "delta_log_likelihood": float(difference.mean()),
        "delta_se": standard_error(difference),
        "n_parameters": parameters,
        **information_criteria(parameters, scores),
    }


def _gap_columns(result: MegaResult) -> dict[str, float | bool]:
    columns: dict[str, float | bool] = {}
    for order, gap in result.orders.items():
        p = np.nan if gap.p_value is None else gap.p_value
        columns |= {f"mega_{order}": gap.value, f"mega_{order}_floor": gap.floor, f"mega_{order}_p": p}
    return columns | {"exact": result.exact}


def _mmd_columns(model: object, X: object, *, standardize: bool, n_permutations: int, seed: int) -> dict[str, float]:
    view = moment_model(model)
    if not view.can_sample or np.isnan(view.numeric(X)).any():
        return {"mmd2": np.nan, "mmd_p": np.nan}
    result = model_mmd(
        model, X, standardize=standardize, max_rows=_MMD_ROWS, n_permutations=n_permutations, random_state=seed
    )
    return {"mmd2": result.unbiased, "mmd_p": np.nan if result.p_value is None else result.p_value}


def _targets(model: object) -> tuple[int, ...]:
    """Orders of the moment gap that the model was trained to make small."""
    return tuple(getattr(model, "penalised_moments_", ()))


def _warn_about_targets(models: Mapping[str, object], order: int) -> None:
    """Warn when a model was trained to make small what it is judged by."""
    for name, model in models.items():
        if seen := [k for k in _targets(model) if k <= order]:
            shown = " and ".join(f"mega_{k}" for k in seen)
            warn(
                f"{name!r} was trained to make {shown} small, so these flatter it: a measure that has become a target "
                "measures less. Judge it by held-out likelihood, MMD or another order.",
                DataWarning,
            )
