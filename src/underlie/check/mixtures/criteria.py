"""Criteria of a fitted mixture, and their noise over rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from underlie.check.scores import information_criteria, n_parameters, standard_error

Array = NDArray[np.float64]
CRITERIA = ("bic", "icl", "aic")


def row_terms(model: GaussianMixture, values: Array) -> tuple[Array, Array]:
    """log p(x) of each row, and log of its largest posterior probability of a component, (n,) each."""
    joint = _log_joint(model, values)
    peak = joint.max(axis=1)
    log_density = peak + np.log(np.exp(joint - peak[:, None]).sum(axis=1))
    return log_density, peak - log_density


def _log_joint(model: GaussianMixture, values: Array) -> Array:
    """log weight + log density of every component, (n, K); scikit-learn's own, without its check of column names."""
    return np.asarray(model._estimate_weighted_log_prob(values))


def criteria(model: GaussianMixture, log_density: Array, log_posterior: Array) -> dict[str, float]:
    """AIC, BIC and ICL, lower is better, as scikit-learn's; `log_posterior` of the most probable component."""
    found = information_criteria(n_parameters(model), log_density)
    return {**found, "icl": found["bic"] - 2 * float(log_posterior.sum())}


def contribution(criterion: str, log_density: Array, log_posterior: Array) -> Array:
    """What each row adds to a criterion, (n,); the penalty is no matter of rows."""
    return -2 * (log_density + log_posterior if criterion == "icl" else log_density)


def paired_se(one: Array, other: Array) -> float:
    """Standard error of the sum of the differences by row."""
    return len(one) * standard_error(one - other)
