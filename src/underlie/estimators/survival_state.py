"""A fitted survival model as plain values and arrays, and back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from underlie import nn as unn
from underlie.data import Encoder
from underlie.distributions import PiecewiseExponential, likelihood_for
from underlie.estimators.survival_fit import Parts, TreatmentParts, build
from underlie.estimators.survival_parameters import check_draws, plan_of
from underlie.estimators.survival_rows import SurvivalRows
from underlie.models.additive import AdditiveBasis
from underlie.models.evidence import Regression, blank_regression
from underlie.models.survival_start import SurvivalStart, components_of, make_head
from underlie.models.time_axis import TimeAxis

if TYPE_CHECKING:
    from underlie.estimators.survival_vae import SurvivalVAE

_LEARNED = (
    "treatment_levels_",
    "heterogeneity_",
    "evidence_",
    "effective_parameters_",
    "history_",
    "best_epoch_",
    "restarts_",
    "follow_up_",
    "event_times_",
    "fit_time_",
)


def state_of(model: SurvivalVAE) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plain values, and the tensors of the model."""
    parts, rows = model._parts, model._rows
    head = parts.start.head
    state = {name: getattr(model, name) for name in _LEARNED}
    # A dict keyed by numbers is stored as pairs.
    state["evidence_"] = [[float(k), float(v)] for k, v in model.evidence_.items()]
    state["treatment_levels_"] = [[k, list(v)] for k, v in model.treatment_levels_.items()]
    state |= {
        "names": list(rows.names),
        "treatments": list(rows.treatments),
        "treatment_encoder": None if rows.treatment_encoder is None else rows.treatment_encoder.to_json(),
        "basis": model._basis.to_json(),
        "likelihoods": parts.x_likelihoods,
        "treatment_likelihoods": parts.t_likelihoods,
        "with_mask": parts.with_mask,
        "width": head.width,
        "instead_of_zero": model._instead_of_zero,
        "n_members": model._predictor.n_replicates,
        "cuts": list(head.cuts) if isinstance(head, PiecewiseExponential) else None,
        "axis": [model._axis.log_time, model._axis.log_encoded],
    }
    return state, {name: tensor for name, tensor, _ in unn.tensors(model.model_)}


def restore_state(model: SurvivalVAE, state: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Set the fitted attributes from what `state_of` gave."""
    check_draws(model)
    for name in _LEARNED:
        setattr(model, name, state[name])
    model.evidence_ = {float(k): float(v) for k, v in state["evidence_"]}
    model.treatment_levels_ = {k: list(v) for k, v in state["treatment_levels_"]}
    encoder = None if state["treatment_encoder"] is None else Encoder.from_json(state["treatment_encoder"])
    model._rows = SurvivalRows(tuple(state["names"]), tuple(state["treatments"]), model.encoder_, encoder)
    model.treatments_ = list(model._rows.treatments)
    model.n_features_in_ = len(model._rows.names)
    model._instead_of_zero = float(state["instead_of_zero"])
    model._basis = AdditiveBasis.from_json(state["basis"])
    model._parts = _blank_parts(model, state, encoder)
    plan, n_terms = plan_of(model), len(model._basis)
    members = unn.filled(partial(build, plan, model._parts, n_terms), int(state["n_members"]), arrays)
    model._settle(members, model._parts.start)


def _blank_parts(model: SurvivalVAE, state: dict[str, Any], encoder: Encoder | None) -> Parts:
    """Parts of the right shapes; every number in them is then filled from the file."""
    cuts = state["cuts"]
    head = make_head(model.distribution, int(state["width"]), np.empty(0), float(state["heterogeneity_"]), cuts)
    components = components_of(head)
    n_terms = len(model._basis) if model.direct else 0
    treatment, t_head = None, None
    if encoder is not None:
        t_head = likelihood_for(encoder.schema, state["treatment_likelihoods"])
        n_features = t_head.n_features
        treatment = TreatmentParts(np.zeros(n_features), blank_regression(t_head.n_raw, len(model._basis)))
        n_terms += n_features * (1 + n_terms) if model.direct else 0
    regression: Regression = blank_regression(components.shape[1], n_terms)
    axis = TimeAxis(*(np.asarray(a, dtype=float) for a in state["axis"]))
    start = SurvivalStart(axis, head, components, regression, float(state["heterogeneity_"]), {})
    x_head = likelihood_for(model.schema_, state["likelihoods"])
    return Parts(
        x_head,
        t_head,
        bool(state["with_mask"]),
        start,
        treatment,
        None,
        state["likelihoods"],
        state["treatment_likelihoods"],
    )
