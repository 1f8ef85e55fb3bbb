"""Checks of the parameters of `SemiSupervisedVAE`, and what its settings stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from underlie.engine import Settings, suitable_precision
from underlie.estimators.base import checked_count, is_whole
from underlie.estimators.feeding import torch_device
from underlie.estimators.parameters import check_likelihood, check_number, check_widths
from underlie.models.classifier import CLASSIFIERS
from underlie.models.networks import check_networks

if TYPE_CHECKING:
    from underlie.estimators.semi_supervised_vae import SemiSupervisedVAE

#: How many times the evidence of neighbours counts. Measured at 50 labels of 1,797 digits: .917 right at 1, .937 at 12.
_TRUST = 10.0
#: Steps of training that "auto" epochs stand for, at least and at most.
_MIN_STEPS, _MAX_STEPS, _MAX_EPOCHS = 1_500, 6_000, 200


def check_parameters(model: SemiSupervisedVAE) -> torch.device:
    """Refuse parameters that cannot be used, before any work; the device that was asked for."""
    for name in ("n_latent", "n_replicates", "n_draws"):
        checked_count(getattr(model, name), name)
    for name in ("max_epochs", "batch_size", "patience"):
        if getattr(model, name) != "auto":
            checked_count(getattr(model, name), name)
    if not isinstance(model.auxiliary, bool) and not (is_whole(model.auxiliary) and model.auxiliary >= 0):
        raise TypeError(f"auxiliary must be True, False or a number of dimensions, got {model.auxiliary!r}.")
    check_widths(model.hidden, "hidden")
    if model.classifier_hidden is not None:
        check_widths(model.classifier_hidden, "classifier_hidden")
    for name, above in (("alpha", False), ("label_weight", True)):
        if getattr(model, name) != "auto":
            check_number(getattr(model, name), name, 0.0, above=above)
    if not isinstance(model.neighbours, (bool, np.bool_)):
        check_number(model.neighbours, "neighbours", 0.0)
    check_number(model.learning_rate, "learning_rate", 0.0, above=True)
    check_number(model.weight_decay, "weight_decay", 0.0)
    check_number(model.valid_fraction, "valid_fraction", 0.0, 0.9)
    check_likelihood(model.likelihood)
    check_networks(model.activation, model.encoder, model.decoder)
    if not isinstance(model.classifier, nn.Module) and model.classifier not in (None, *CLASSIFIERS):
        raise ValueError(f"classifier is {model.classifier!r}; give 'mlp', 'lenet5' or an nn.Module.")
    device = torch_device(model.device)
    suitable_precision(model.precision, device)
    return device


def check_labels(model: SemiSupervisedVAE, seen: NDArray[np.bool_]) -> None:
    """Refuse rows and labels from which nothing can be learned; `seen` (n, m) says where there is a label."""
    if len(seen) < 2:
        raise ValueError(
            "X has n_samples = 1 row: nothing can be learned from one sample; give at least 2. "
            "(more: underlie explain too-few-rows)"
        )
    if not seen.any() and model.alpha == 0:
        raise ValueError("no row has a label, and alpha is 0: there is nothing to learn from.")


def settings_of(model: SemiSupervisedVAE, n: int, device: torch.device) -> Settings:
    """How a model of n rows is trained."""
    batch = min(200, max(32, n // 12)) if model.batch_size == "auto" else int(model.batch_size)
    epochs = model.max_epochs
    if epochs == "auto":
        per_epoch = max(1, n // batch)
        epochs = min(_MAX_EPOCHS, max(_MIN_STEPS // per_epoch, min(20, _MAX_STEPS // per_epoch), 1))
    patience = max(10, int(epochs) // 8) if model.patience == "auto" else int(model.patience)
    return Settings(
        int(epochs),
        batch,
        model.learning_rate,
        patience,
        model.valid_fraction,
        model.n_draws,
        max_norm=float(model.encoder_.n_columns),
        weight_decay=model.weight_decay,
        precision=suitable_precision(model.precision, device),
        device=device,
        verbose=model.verbose,
    )


def trust(model: SemiSupervisedVAE) -> float:
    """How many times the evidence of neighbours counts."""
    return _TRUST if isinstance(model.neighbours, (bool, np.bool_)) else float(model.neighbours)
