"""Fitted models side by side on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from underlie.check.mega import mega
from underlie.check.scores import mass_columns, n_parameters, row_log_likelihood
from underlie.check.seeds import generator, integer_seed
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


def compare(
    models: Mapping[str, object],
    X: object,
    *,
    standardize: bool = False,
    n_draws: int | Literal["auto"] = "auto",
    random_state: object = None,
) -> pd.DataFrame:
    r"""Compare fitted models on the same rows: log-likelihood, AIC, BIC, moment gaps with their floors, fit time.

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
    standardize, n_draws
        As in `mega`: take gaps of (x - mean) / sd, so that columns of different units weigh alike.
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
        ``mega_1``, ``mega_1_floor``, ``mega_2``, ``mega_2_floor``
            moment gaps in Frobenius norm and what a right model would score, see `mega`;
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
        When a column has probabilities in one model and a density in another.

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
    seed = integer_seed(generator(random_state))
    scores = {name: row_log_likelihood(model, X, name) for name, model in models.items()}
    best = max(scores, key=lambda name: float(scores[name].mean()))
    rows = {
        name: {
            **_likelihood_columns(scores[name], scores[best], n_parameters(model)),
            **_moment_columns(model, X, standardize=standardize, n_draws=n_draws, seed=seed),
            "fit_time": float(getattr(model, "fit_time_", np.nan)),
            "n": len(scores[name]),
        }
        for name, model in models.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "model"
    return table


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
    n = len(scores)
    difference = scores - best
    return {
        "log_likelihood": float(scores.mean()),
        "log_likelihood_se": _standard_error(scores),
        "delta_log_likelihood": float(difference.mean()),
        "delta_se": _standard_error(difference),
        "n_parameters": parameters,
        "aic": 2 * parameters - 2 * float(scores.sum()),
        "bic": parameters * float(np.log(n)) - 2 * float(scores.sum()),
    }


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _moment_columns(
    model: object, X: object, *, standardize: bool, n_draws: int | Literal["auto"], seed: int
) -> dict[str, float | bool]:
    result = mega(model, X, standardize=standardize, n_draws=n_draws, random_state=seed)
    first, second = result.orders[1], result.orders[2]
    return {
        "mega_1": first.value,
        "mega_1_floor": first.floor,
        "mega_2": second.value,
        "mega_2_floor": second.floor,
        "exact": result.exact,
    }
