"""Checks of the parameters of `SurvivalVAE`, and what its settings stand for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from underlie.distributions import EVENT_TIMES
from underlie.engine import Launch, Settings
from underlie.estimators.base import checked_count
from underlie.estimators.feeding import Pace
from underlie.estimators.parameters import check_likelihood, check_number, check_widths
from underlie.estimators.survival_fit import Plan
from underlie.nn import ACTIVATIONS

if TYPE_CHECKING:
    from underlie.estimators.survival_vae import SurvivalVAE

_MOST_HETEROGENEITY = 5.0
#: Networks add to a regression that is there already: they have little to learn, and little time for it.
_EPOCHS, _PATIENCE = 40, 6
_MOST_STEPS = 600
#: Draws of z per row and member that an ensemble is asked for at most.
_MOST_DRAWS = 1 << 16


def check_parameters(model: SurvivalVAE) -> None:
    """Refuse parameters that cannot be used, before any work."""
    for name in ("n_latent", "n_replicates", "n_draws"):
        checked_count(getattr(model, name), name)
    for name in ("max_epochs", "batch_size", "patience", "n_importance"):
        if getattr(model, name) != "auto":
            checked_count(getattr(model, name), name)
    check_draws(model)
    check_widths(model.hidden, "hidden")
    check_number(model.alpha, "alpha", 0.0)
    check_number(model.learning_rate, "learning_rate", 0.0, above=True)
    check_number(model.valid_fraction, "valid_fraction", 0.0, 0.9)
    check_likelihood(model.likelihood)
    if model.heterogeneity != "auto":
        check_number(model.heterogeneity, "heterogeneity", 0.0, _MOST_HETEROGENEITY)
    if not isinstance(model.direct, (bool, np.bool_)):
        raise TypeError(f"direct must be True or False, got {model.direct!r}.")
    for name, choices in (
        ("distribution", EVENT_TIMES),
        ("baseline", ("nonparametric", "parametric")),
        ("objective", ("predictive", "elbo")),
        ("activation", tuple(ACTIVATIONS)),
    ):
        if getattr(model, name) not in choices:
            raise ValueError(f"{name} is {getattr(model, name)!r}; choose one of {', '.join(map(repr, choices))}.")
    treatment_list(model.treatments)


def check_draws(model: SurvivalVAE) -> None:
    """Refuse more draws for each row than memory is taken for when the model is set up."""
    if model.n_importance != "auto" and model.n_importance > _MOST_DRAWS:
        raise ValueError(f"n_importance must be at most {_MOST_DRAWS:,} draws per row, got {model.n_importance!r}.")


def treatment_list(treatments: Any) -> list[str | int]:
    """``treatments`` as a list of columns."""
    if treatments is None:
        return []
    if isinstance(treatments, (str, int, np.integer)) and not isinstance(treatments, bool):
        return [treatments if isinstance(treatments, str) else int(treatments)]
    if not isinstance(treatments, (list, tuple, np.ndarray)):
        raise TypeError(f"treatments must be a column of X or a list of columns, got {treatments!r}.")
    return [t for part in treatments for t in treatment_list(part)]


def plan_of(model: SurvivalVAE) -> Plan:
    """The parameters that building and training need."""
    return Plan(
        model.distribution,
        model.baseline,
        bool(model.direct),
        None if model.heterogeneity == "auto" else float(model.heterogeneity),
        int(model.n_latent),
        tuple(int(w) for w in model.hidden),
        model.activation,
        model.objective,
        float(model.alpha),
    )


def survival_pace(n: int, model: SurvivalVAE) -> Pace:
    """Batch size, epochs and patience for n rows; without a regression to start from, it takes as long as a VAE."""
    usual = Pace.of(n, model.batch_size, model.max_epochs, model.patience)
    if model.objective == "elbo" or not model.direct:
        return usual
    steps_per_epoch = max(1, n // usual.batch_size)
    epochs = max(10, min(_EPOCHS, _MOST_STEPS // steps_per_epoch))
    return Pace(
        usual.batch_size,
        epochs if model.max_epochs == "auto" else usual.max_epochs,
        _PATIENCE if model.patience == "auto" else usual.patience,
    )


def settings_of(model: SurvivalVAE, n: int, width: int, device: torch.device, launch: Launch) -> Settings:
    """How to train on n rows whose covariates and outcome have so many columns."""
    pace = survival_pace(n, model)
    return Settings(
        pace.max_epochs,
        pace.batch_size,
        model.learning_rate,
        pace.patience,
        even_valid_fraction(n, pace.batch_size, model.valid_fraction),
        model.n_draws,
        max_norm=float(width),
        device=device,
        verbose=model.verbose,
        launch=launch,
    )


def importance_draws(model: SurvivalVAE) -> int:
    """Draws of z per row and member: few where the covariates also act directly and many members share them."""
    if model.n_importance != "auto":
        return int(model.n_importance)
    return 4 if model.direct and model.n_replicates > 1 else 64


def even_valid_fraction(n: int, batch_size: int, valid_fraction: float) -> float:
    """The share of n rows held out, such that all batches of the others are of one size.

    Fewer rows than there are batches are held out beside those asked for: the step is then recorded for one shape.
    """
    if not valid_fraction:
        return 0.0
    n_valid = max(round(n * valid_fraction), min(20, n // 5))
    n_train = n - n_valid
    return (n_valid + n_train % max(1, math.ceil(n_train / batch_size))) / n
