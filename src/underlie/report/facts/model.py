"""What was fitted, and how the fitting went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from underlie.report.plain import plain

#: a latent coordinate whose means vary less than this share of its prior variance says nothing of the rows
ACTIVE = 0.01


def model_facts(model: Any) -> dict[str, Any]:
    """Class, settings, what was learned, and how training ended."""
    history = getattr(model, "history_", None)
    return {
        "class": type(model).__name__,
        "call": " ".join(repr(model).split()),
        "parameters": plain(model.get_params(deep=False)),
        "n_parameters": plain(getattr(model, "n_parameters_", None)),
        "fit_seconds": plain(getattr(model, "fit_time_", None)),
        "n_components": plain(getattr(model, "n_components_", None)),
        "n_replicates": plain(getattr(model, "n_replicates", None)),
        "n_epochs": None if history is None else int(np.shape(history["train"])[1]) - 1,
        "n_iter": plain(getattr(model, "n_iter_", None)),
        "converged": _converged(model),
        "restarts": plain(getattr(model, "restarts_", None)),
        "best_replicate": plain(getattr(model, "best_replicate_", None)),
        "best_epoch": plain(getattr(model, "best_epoch_", None)),
        "repeatable": history is None or isinstance(getattr(model, "random_state", None), int | np.integer),
    }


def history_facts(model: Any) -> dict[str, Any] | None:
    """The bound over the epochs, None for models without."""
    history = getattr(model, "history_", None)
    return None if history is None else plain(dict(history))


def replicate_spread(history: Mapping[str, Any] | None) -> float | None:
    """Range over replicates of the best held-out bound, in nats per row."""
    if not history or len(history.get("valid") or ()) < 2:
        return None
    best = [
        max(value for value in curve if value is not None)
        for curve in history["valid"]
        if any(v is not None for v in curve)
    ]
    return max(best) - min(best) if len(best) > 1 else None


def latent_facts(model: Any, X: Any) -> dict[str, Any] | None:
    """How many latent coordinates tell rows apart: those whose means vary over the rows (Burda et al. 2016).

    None for models without latent coordinates of rows, and for a single row.
    """
    if not hasattr(model, "transform"):
        return None
    means = np.asarray(model.transform(X), dtype=float)
    if means.ndim != 2 or len(means) < 2 or means.shape[1] == 0:
        return None
    variance = means.var(axis=0)
    prior = _prior_variance(model, means.shape[1])
    share = np.divide(variance, prior, out=np.zeros_like(variance), where=prior > 0)
    explained = getattr(model, "explained_variance_ratio_", None)
    facts = {
        "n_latent": means.shape[1],
        "n_active": int((share > ACTIVE).sum()),
        "variance_of_means": share,
        "explained_variance_ratio": explained,
    }
    found: dict[str, Any] = plain(facts)
    return found


def _prior_variance(model: Any, width: int) -> np.ndarray:
    """Of the latent coordinates as `transform` gives them."""
    if not hasattr(model, "sample_latent"):
        return np.ones(width)
    draws = np.asarray(model.sample_latent(4096, 0), dtype=float).reshape(4096, -1)
    return draws.var(axis=0) if draws.shape[1] == width else np.ones(width)


def _converged(model: Any) -> bool | None:
    """Whether fitting ended because nothing was left to gain; None for models that are not fitted by iteration."""
    if hasattr(model, "converged_"):
        return None if model.converged_ is None else bool(model.converged_)
    limit = getattr(model, "max_epochs", None)
    if not hasattr(model, "best_epoch_") or not isinstance(limit, int):
        return None
    epochs = np.shape(model.history_["train"])[1] - 1
    return bool(np.max(model.best_epoch_) < epochs or epochs < limit)
