"""Alerts about predicted event times and effects of treatments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Alert
from underlie.report.time_unit import TimeUnit
from underlie.report.words import p_said, percent, signed

Facts = Mapping[str, Any]
_FEW_EVENTS, _FEW_AT_RISK = 10, 20
_SMALL_P = 0.01


def of_survival(facts: Facts) -> Iterator[Alert]:
    """Accuracy and calibration of predicted times."""
    found = facts["survival"]
    if not found:
        return
    unit = TimeUnit.in_facts(facts)
    if found["n_events"] < _FEW_EVENTS:
        yield Alert(
            "warning",
            "Few events",
            f"{found['n_events']} event{'' if found['n_events'] == 1 else 's'} cannot tell good predictions from bad.",
            "few-events",
        )
    if found["at_risk"] < _FEW_AT_RISK:
        yield Alert(
            "warning",
            "Few rows at the horizon",
            f"{found['at_risk']} rows were followed to {unit.text(found['horizon'])}.",
            "few-at-risk",
            "Choose an earlier horizon.",
        )
    gain = found["integrated_brier_less_kaplan_meier"]
    least = gain["value"] if gain["upper"] is None else gain["upper"]
    if least is not None and least >= 0:
        ends = "" if gain["upper"] is None else f" (95 % interval {_ends(gain, 4)})"
        yield Alert(
            "warning",
            "Predictions are not shown to be better than one curve for all",
            f"The integrated Brier score less that of Kaplan-Meier is {signed(gain['value'], 4)}{ends}; below 0 is "
            "better.",
            "not-better-than-kaplan-meier",
        )
    off = found["calibration_in_the_large"]
    if off["lower"] is not None and off["upper"] is not None and (off["lower"] > 0 or off["upper"] < 0):
        yield Alert(
            "warning",
            "Predicted risk is off on the whole",
            f"By {unit.text(found['horizon'])} the model predicts {abs(100 * off['value']):.1f} points "
            f"{'more' if off['value'] > 0 else 'less'} risk than was observed (95 % interval of the difference "
            f"{_ends(off, 1, 100)}).",
            "risk-off",
            "Fit it to rows like these, or correct its baseline.",
        )
    p = found["d_calibration_p"]
    if p is not None and p < _SMALL_P:
        yield Alert(
            "note",
            "Predicted distributions of time are off somewhere",
            f"The test of D-calibration has {p_said(p)}.",
            "shape-off",
            "See the calibration at the times that matter.",
        )


def of_effects(facts: Facts) -> Iterator[Alert]:
    """What effects rest on."""
    effects = facts["effects"]
    if not effects:
        return
    if not effects["randomised"]:
        yield Alert(
            "warning",
            "Effects of treatment rest on the covariates of the table",
            "They are causal only if the covariates hold all that both treatment and outcome depend on.",
            "not-randomised",
            "If treatment was drawn by lot, say randomised=True.",
        )
    short = [one for one in effects["compared"] if one["supported"] < 1]
    if short:
        worst = min(short, key=lambda one: one["supported"])
        yield Alert(
            "note",
            "Some rows have no counterpart under another treatment",
            f"For {percent(1 - worst['supported'])} of the rows {worst['treatment']} or {effects['control']} was "
            "hardly ever given to the like of them; there the effect is extrapolated.",
            "outside-support",
        )


def _ends(interval: Facts, decimals: int, factor: float = 1.0) -> str:
    return f"{signed(factor * interval['lower'], decimals)} to {signed(factor * interval['upper'], decimals)}"
