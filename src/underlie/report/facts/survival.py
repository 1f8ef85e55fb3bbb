"""How well event times are predicted, and what treatments are predicted to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival import KaplanMeier, SurvivalMetrics, survival_metrics
from underlie.check.survival.kaplan_meier import censoring_curve
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.estimators.survival_effects import option_name, treatment_options
from underlie.report.facts.judged import Judged
from underlie.report.facts.moments import NotAnswered
from underlie.report.plain import plain

_N_TIMES = 100
#: events that a group of the calibration should have
_EVENTS_PER_GROUP = 15
_MOST_GROUPS = 10
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions judged on the outcomes of the same rows.

    Attributes
    ----------
    outcome : Outcome
    metrics : SurvivalMetrics
        Of the model.
    baseline : SurvivalMetrics
        Of the Kaplan-Meier curve of these very rows, on the same resamples.
    """

    outcome: Outcome
    metrics: SurvivalMetrics
    baseline: SurvivalMetrics


def predictions(model: Any, judged: Judged, horizon: float | None, n_simulations: int, seed: int) -> Predictions:
    """The metrics of the model and of Kaplan-Meier.

    Raises
    ------
    NotAnswered
        If the rows do not allow them: without y, events, or more than one row, or truncated outcomes.
    """
    if judged.y is None:
        raise NotAnswered("there is no y: with outcomes, ul.Surv(time, event), predictions are judged")
    try:
        outcome = read_outcome(judged.y, "the outcome")
    except ValueError as error:
        raise NotAnswered(str(error)) from error
    if len(outcome) < 2 or not outcome.event.any():
        raise NotAnswered(f"{len(outcome)} row(s) with {int(outcome.event.sum())} event(s) cannot judge predictions")
    # beyond the training rows' follow-up there is a tail to extrapolate, and nothing to judge
    end = min(float(outcome.time.max()), float(model.follow_up_))
    times = np.linspace(0.0, end, _N_TIMES + 1)[1:]
    asked: dict[str, Any] = {
        "horizon": _horizon(outcome, horizon),
        "n_bootstrap": n_simulations,
        "n_groups": int(np.clip(outcome.event.sum() // _EVENTS_PER_GROUP, 2, _MOST_GROUPS)),
        "random_state": seed,
    }
    try:
        own = survival_metrics(model.predict_survival_function(judged.X, times), times, judged.y, judged.y, **asked)
        flat = KaplanMeier().fit(judged.X, judged.y).predict_survival_function(judged.X, times)
        return Predictions(outcome, own, survival_metrics(flat, times, judged.y, judged.y, **asked))
    except ValueError as error:
        raise NotAnswered(str(error)) from error


def prediction_facts(found: Predictions) -> dict[str, Any]:
    """Events, follow-up, and every figure with its interval."""
    own, base, outcome = found.metrics, found.baseline, found.outcome
    facts: dict[str, Any] = {
        "n": own.n,
        "n_events": own.n_events,
        "horizon": own.horizon,
        "end": own.end,
        "follow_up": _median_follow_up(outcome),
        "longest": float(outcome.time.max()),
        "at_risk": int((outcome.time >= own.horizon).sum()),
        "d_calibration_p": own.d_calibration.p_value,
        "integrated_brier_of_kaplan_meier": base.integrated_brier.value,
        "integrated_brier_less_kaplan_meier": _difference(own.integrated_brier, base.integrated_brier),
    }
    for name in _METRICS:
        facts[name] = _interval(getattr(own, name))
    curve = own.calibration.observed
    facts["groups"] = [
        {"predicted": at, "value": value, "lower": lower, "upper": upper, "n": size}
        for at, value, lower, upper, size in zip(
            curve.at, curve.value, curve.lower, curve.upper, own.calibration.sizes, strict=True
        )
    ]
    made: dict[str, Any] = plain(facts)
    return made


_METRICS = (
    "integrated_brier",
    "brier_at_horizon",
    "harrell",
    "uno",
    "antolini",
    "auc_at_horizon",
    "predicted_risk",
    "observed_risk",
    "calibration_in_the_large",
)


def effect_facts(model: Any, judged: Judged, horizon: float) -> dict[str, Any] | None:
    """Average effect of each treatment against the first, and how it differs between rows; None without treatments.

    Raises
    ------
    NotAnswered
        If effects have no intervals, or treatments are doses.
    """
    if not model.treatments_:
        return None
    try:
        control, *others = treatment_options(model)
        compared = [_effect(model, judged.X, horizon, option, control) for option in others]
    except ValueError as error:
        raise NotAnswered(str(error)) from error
    facts = {
        "horizon": horizon,
        "treatments": [str(name) for name in model.treatments_],
        "control": option_name(control),
        "compared": compared,
    }
    made: dict[str, Any] = plain(facts)
    return made


def _effect(model: Any, X: Any, horizon: float, treatment: Any, control: Any) -> dict[str, Any]:
    average = model.average_effect(X, horizon, treatment, control).iloc[0]
    single = model.treatment_effect(X, horizon, treatment, control)
    return {
        "treatment": option_name(treatment),
        "effect": {"value": average["effect"], "lower": average["lower"], "upper": average["upper"]},
        "treated": average["treated"],
        "control": average["control"],
        "supported": average["supported"],
        "n": average["n"],
        "quantiles": {f"{q:g}": single["effect"].quantile(q) for q in _QUANTILES},
        "includes_zero": float(((single["lower"] <= 0) & (single["upper"] >= 0)).mean()),
    }


def default_horizon(model: Any, judged: Judged, horizon: float | None) -> float:
    """The horizon asked for, else the median time of events of the rows, or without outcomes of the training rows."""
    if horizon is not None:
        return float(horizon)
    if judged.y is not None:
        try:
            outcome = read_outcome(judged.y, "y")
        except ValueError:
            return float(np.median(model.event_times_))
        if outcome.event.any():
            return float(np.median(outcome.time[outcome.event]))
    return float(np.median(model.event_times_))


def _horizon(outcome: Outcome, horizon: float | None) -> float:
    return float(np.median(outcome.time[outcome.event])) if horizon is None else float(horizon)


def _median_follow_up(outcome: Outcome) -> float | None:
    """Median time until censoring, events ending the view of it (reverse Kaplan-Meier; Schemper & Smith 1996)."""
    curve = censoring_curve(outcome)
    below = np.flatnonzero(curve.values <= 0.5)
    return float(curve.times[below[0]]) if len(below) else None


def _interval(estimate: Any) -> dict[str, float]:
    return {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}


def _difference(own: Any, base: Any) -> dict[str, float]:
    """Own less base with a percentile interval over the same resamples."""
    paired: NDArray[np.float64] = own.replicates - base.replicates
    known = paired[np.isfinite(paired)]
    lower, upper = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return {"value": own.value - base.value, "lower": float(lower), "upper": float(upper)}
