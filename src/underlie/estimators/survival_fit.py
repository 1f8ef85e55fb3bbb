"""From rows and settings to a trained survival model: the start, the networks, the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from underlie import nn as unn
from underlie.distributions import Likelihood, likelihood_for, settled
from underlie.engine import ResidentRows, Settings, Trained, train
from underlie.estimators.feeding import heavy_tails, start_rows
from underlie.estimators.survival_predictor import Patients
from underlie.estimators.survival_rows import SurvivalRows
from underlie.graph import LatentModel, elbo, predictive, predictive_elbo
from underlie.models.additive import AdditiveBasis
from underlie.models.evidence import Regression, regress
from underlie.models.start import LinearStart, linear_start
from underlie.models.survival_start import SurvivalStart, survival_start
from underlie.models.survival_vae import survival_vae
from underlie.models.time_axis import encode_outcome

Floats = NDArray[np.float64]

#: Draws of the regression's coefficients with which each trained replicate predicts; an even number.
DRAWS_PER_REPLICATE: Final = 4


@final
@dataclass(frozen=True)
class Plan:
    """What the user asked for, as far as building and training need it."""

    distribution: str
    baseline: str
    direct: bool
    heterogeneity: float | None
    n_latent: int
    hidden: tuple[int, ...]
    activation: str
    objective: str
    alpha: float


@final
@dataclass(frozen=True)
class Parts:
    """Everything of which replicates are built: likelihoods, starts, coefficients.

    Attributes
    ----------
    x_head, t_head : Likelihood
        Of covariates, and of treatments where there are any.
    with_mask : bool
        Whether covariates can be missing.
    start : SurvivalStart
        Of the outcome.
    treatment : TreatmentParts or None
    latent : LinearStart or None
        Of encoder and decoder; None where the model is only to be filled with stored numbers.
    x_likelihoods, t_likelihoods : dict
        Names of the likelihoods, column by column.
    """

    x_head: Likelihood
    t_head: Likelihood | None
    with_mask: bool
    start: SurvivalStart
    treatment: TreatmentParts | None
    latent: LinearStart | None
    x_likelihoods: dict[str | int, str]
    t_likelihoods: dict[str | int, str] | None


@final
@dataclass(frozen=True)
class TreatmentParts:
    """How treatments enter: the centre of their features, and p(t | x)."""

    centre: Floats
    propensity: Regression


def fit_parts(
    plan: Plan,
    y: NDArray[np.void],
    covariates: Any,
    rows: SurvivalRows,
    patients: Patients,
    basis: AdditiveBasis,
    likelihood: Any,
) -> Parts:
    """Everything that is found before gradients are: regressions by evidence, and the latent space of pPCA."""
    encoder = rows.covariate_encoder
    with_mask = any(column.missing for column in encoder.schema)
    first = start_rows(covariates, encoder)
    x_likelihoods = settled(encoder.schema, likelihood, heavy_tails(first.encoded, encoder.row_shape))
    x_head = likelihood_for(encoder.schema, x_likelihoods)
    values = torch.as_tensor(first.encoded.values, dtype=torch.float32)
    observed = None if first.encoded.observed is None else torch.as_tensor(first.encoded.observed)
    read = unn.Read(x_head, with_mask)
    latent = linear_start(x_head, read, values, observed, first.coordinates, plan.n_latent)
    t_head, t_likelihoods, treatment, design, groups = None, None, None, patients.terms, list(basis.groups)
    if patients.t is not None and rows.treatment_encoder is not None:
        schema = rows.treatment_encoder.schema
        t_likelihoods = settled(schema, "auto", [False] * len(schema))
        t_head = likelihood_for(schema, t_likelihoods)
        treatment, added, of_added = _treatment_parts(t_head, patients, basis)
        design, groups = np.column_stack([design, added]), [*groups, *of_added]
    if not plan.direct:  # the regression is of nothing: the head's marginal distribution on its axis
        design, groups = design[:, :0], []
    start = survival_start(
        plan.distribution, plan.baseline, y, design, groups, plan.heterogeneity if plan.direct else 0.0
    )
    return Parts(x_head, t_head, with_mask, start, treatment, latent, x_likelihoods, t_likelihoods)


def build(plan: Plan, parts: Parts, n_terms: int, generator: torch.Generator) -> LatentModel:
    """One replicate; the two graphs are in `underlie.models.survival_vae`."""
    head, m = parts.start.head.float(), plan.n_latent
    n_t = 0 if parts.t_head is None else parts.t_head.n_features
    n_read = unn.Read(parts.x_head, parts.with_mask).width
    encoder = unn.MLP([n_read, unn.Read(head, True).width], plan.hidden, 2 * m, generator, plan.activation)
    decoder = unn.MLP([m], plan.hidden[::-1], parts.x_head.n_raw, generator, plan.activation)
    if parts.latent is not None:
        parts.latent.apply(encoder, decoder)
    sizes = [*([n_terms] if plan.direct else []), *([n_t] if n_t else []), m]
    network = unn.MLP(sizes, plan.hidden, head.n_raw, generator, plan.activation)
    outcome: torch.nn.Module = network
    if plan.direct:
        mode = parts.start.regression.intercept, parts.start.regression.weight
        outcome = unn.Outcome(_regression(parts, n_terms, *mode), network)
    propensity = None
    if parts.treatment is not None:
        p = parts.treatment.propensity
        propensity = unn.Regression(*(torch.as_tensor(a) for a in (p.intercept, p.weight.T, np.eye(len(p.intercept)))))
    return survival_vae(
        parts.x_head,
        head,
        m,
        encoder,
        decoder,
        outcome,
        with_mask=parts.with_mask,
        direct=plan.direct,
        t_head=parts.t_head,
        propensity=propensity,
    )


@torch.no_grad()
def spread_over_posterior(model: LatentModel, parts: Parts, seeds: Sequence[int]) -> LatentModel:
    """The ensemble that predicts: each trained network several times over, with its own draw of the regression each.

    The networks are trained with all replicates at the posterior mode: they learn what the regression lacks, not what
    a draw lacks. The draws come in mirrored pairs, whose mean is the mode, so that the mean over members is not off by
    the luck of the draw. One replicate alone, and a model without a regression, is left as it is.
    """
    if len(seeds) == 1 or not isinstance(model.generative["y"].net, unn.Outcome):
        return model
    members = unn.take(model, [r for r in range(len(seeds)) for _ in range(DRAWS_PER_REPLICATE)])
    outcome = members.generative["y"].net
    assert isinstance(outcome, unn.Outcome)
    n_terms, start = outcome.regression.weight.shape[1], parts.start.regression
    # Half as many draws as members, those of a replicate from its own seed: it predicts the same beside any others.
    draws = [start.draw(g) for g in map(np.random.default_rng, seeds) for _ in range(DRAWS_PER_REPLICATE // 2)]
    for m, (intercept, weight) in enumerate(draw for d in draws for draw in (d, start.mirrored(d))):
        own = _regression(parts, n_terms, intercept, weight)
        outcome.regression.intercept[m : m + 1] = own.intercept
        outcome.regression.weight[m : m + 1] = own.weight
        if own.treatment is not None and outcome.regression.treatment is not None:
            outcome.regression.treatment[m : m + 1] = own.treatment
    return members


def train_survival(
    plan: Plan, parts: Parts, patients: Patients, y: NDArray[np.void], settings: Settings, seeds: Sequence[int]
) -> Trained:
    """Train all replicates; the history is on the scale of encoded times."""
    device = settings.device
    values = {"x": patients.x.values, "terms": patients.terms, "y": encode_outcome(y, parts.start.axis)}
    if patients.t is not None:
        values["t"] = patients.t.values
    masks = {} if patients.x.observed is None else {"x": torch.as_tensor(patients.x.observed, device=device)}
    rows = ResidentRows({k: torch.as_tensor(v, dtype=torch.float32, device=device) for k, v in values.items()}, masks)
    objective = elbo if plan.objective == "elbo" else partial(predictive_elbo, target="y", alpha=plan.alpha)
    judge = elbo if plan.objective == "elbo" else partial(predictive, target="y")
    make = partial(build, plan, parts, patients.terms.shape[1])
    trained = train(make, objective, rows, settings, seeds, "SurvivalVAE", judge)
    return replace(trained, model=spread_over_posterior(trained.model, parts, seeds))


def _treatment_parts(
    t_head: Likelihood, patients: Patients, basis: AdditiveBasis
) -> tuple[TreatmentParts, Floats, list[str]]:
    """How treatments enter, their terms in the regression of the outcome, and the groups of these."""
    assert patients.t is not None
    t = torch.as_tensor(patients.t.values, dtype=torch.float64)
    t_head.double().start(t)
    features = t_head.features(t).double()
    centre = features.mean(0)
    design = unn.treatment_terms(features - centre, torch.as_tensor(patients.terms)).numpy()
    # Lines and departures that modify an effect are shrunk apart: most effects are modified by few things, and simply.
    modifications = ["modification" if g == "main" else "smooth modification" for g in basis.groups]
    groups = ["free"] * features.shape[1] + modifications * features.shape[1]
    of_propensity: list[list[str | None]] = [list(basis.groups) for _ in range(t_head.n_raw)]
    propensity = regress(t_head, patients.terms, of_propensity, patients.t.values)
    t_head.float()
    return TreatmentParts(centre.numpy(), propensity), design, groups


def _regression(parts: Parts, n_terms: int, intercept: Floats, weight: Floats) -> unn.Regression:
    tensors = [torch.as_tensor(a) for a in (intercept, weight[:, :n_terms].T, parts.start.components)]
    if parts.treatment is None:
        return unn.Regression(*tensors)
    more = (weight[:, n_terms:].T, parts.treatment.centre)
    return unn.Regression(*tensors, *(torch.as_tensor(a) for a in more))
