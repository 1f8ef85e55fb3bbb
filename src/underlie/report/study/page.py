"""The page on a survival study: what comes first, what it warns of, its sections, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from underlie.report.document import Alert, Document, Section
from underlie.report.plain import plain
from underlie.report.study.advice import judge, limits_section, treatment_sections, verdict_text, withheld_text
from underlie.report.study.findings import COX, MODEL, Decisions, Findings
from underlie.report.study.sections import data_section, patient_section, points, prediction_section, said
from underlie.report.study.study import Study

#: fewer rows than these under observation at the horizon say little about it
_FEW_AT_RISK: Final = 20


def study_document(
    study: Study,
    findings: Findings,
    sections: tuple[Section, ...],
    alerts: tuple[Alert, ...],
    provenance: dict[str, Any],
) -> Document:
    """The page on a study; sections and alerts are those of this module, with the warnings that came up on the way."""
    return Document(
        title=f"{study.name}: survival",
        lead=survival_lead(study),
        headline=survival_headline(study, findings),
        alerts=alerts,
        sections=sections,
        provenance=provenance,
        facts=survival_facts(study, findings),
    )


def survival_sections(study: Study, findings: Findings) -> tuple[Section, ...]:
    """All sections of a survival report, in the order in which a clinician asks."""
    patients = patient_section(study, findings)
    middle = [patients] if findings.decisions is None else treatment_sections(study, findings, patients)
    limits = limits_section(study, findings.decisions)
    return (prediction_section(study, findings), *middle, limits, data_section(study, findings))


def survival_lead(study: Study) -> str:
    """What was analysed."""
    n, events = len(study.X), int(study.y["event"].sum())
    lead = f"{n:,} patients, of whom {events:,} ({100 * events / n:.0f} %) had the event ({study.event})"
    if events < n:
        free = study.y["time"][~study.y["event"]]
        lead += f"; half of the others were followed for at least {study.unit.text(float(np.median(free)))}"
    lead += f". Survival means: still free of this event. Everything is asked at {study.unit.both(study.horizon)}."
    if study.options:
        counts = "; ".join(f"{study.label(name)}, {study.received.count(name):,} patients" for name in study.options)
        lead += f" Treatments: {counts}."
    return lead


def survival_headline(study: Study, findings: Findings) -> tuple[tuple[str, str], ...]:
    """The few numbers to meet first."""
    table = findings.comparison.table()
    own = table.loc[("integrated_brier", MODEL)]
    observed = findings.calibration[MODEL].observed_risk
    survived = points(1 - observed.value, 1 - observed.upper, 1 - observed.lower)
    shown = [(f"Survival at {study.at}, %", said(survived))]
    if np.isfinite(own["ratio"]):
        shown.append((f"Brier score against {COX}", f"{100 * (own['ratio'] - 1):+.1f} %".replace("-", "−")))
    shown.append(("C-index, held out", f"{table.loc[('antolini', MODEL), 'mean']:.3f}"))
    if findings.decisions is not None:
        shown += _advice_headline(study, findings.decisions)
    return tuple(shown)


def _advice_headline(study: Study, decisions: Decisions) -> list[tuple[str, str]]:
    verdict = judge(decisions)
    shown = []
    if len(decisions.average) == 1:
        ((name, average),) = decisions.average.items()
        gain = points(*average[["effect", "lower", "upper"]].iloc[0])
        shown.append((f"Average gain by {study.label(name)}, points", said(gain)))
    shown.append(
        ("Individual rule less best fixed policy, points", said(verdict.gain) if verdict.standing != "same" else "0")
    )
    return shown


def survival_alerts(study: Study, findings: Findings) -> tuple[Alert, ...]:
    """What a reader must know before the results."""
    alerts = []
    decisions = findings.decisions
    if decisions is not None:
        verdict = judge(decisions)
        if verdict.standing != "better":
            title = "Choosing treatment patient by patient is not supported"
            alerts.append(Alert("warning", title, verdict_text(study, verdict), "not-supported"))
        if not study.randomised:
            text = (
                "Effects of treatment are adjusted for the covariates of this table and for nothing else; see Limits."
            )
            remedy = "If treatment was drawn by lot, say so: --randomised."
            title = "Not from a randomised comparison"
            alerts.append(Alert("warning", title, text, "not-randomised", remedy))
        if decisions.narrowed:
            title = "Recommendations are withheld outside the support of the data"
            alerts.append(Alert("note", title, withheld_text(study, decisions), "outside-support"))
    at_risk = int((study.y["time"] >= study.horizon).sum())
    if at_risk < _FEW_AT_RISK:
        text = f"Only {at_risk} patients were still followed at {study.at}."
        remedy = "Choose an earlier --horizon."
        alerts.append(Alert("warning", "Few patients at the horizon", text, "few-at-risk", remedy))
    return tuple(alerts)


def warning_alerts(messages: Sequence[str]) -> tuple[Alert, ...]:
    """Warnings that came up on the way, each once."""
    return tuple(Alert("note", "On the way", m[:1].upper() + m[1:], "warning") for m in dict.fromkeys(messages))


def survival_facts(study: Study, findings: Findings) -> dict[str, Any]:
    """The numbers behind the page, as JSON types."""
    comparison = findings.comparison.table().reset_index()
    facts: dict[str, Any] = {
        "n": len(study.X),
        "n_events": int(study.y["event"].sum()),
        "horizon": study.horizon,
        "time_unit": study.unit.own or None,
        "event": study.event,
        "treatments": list(study.treatments),
        "comparison": comparison.to_dict("records"),
        "calibration": {name: _calibration_facts(result) for name, result in findings.calibration.items()},
        "model": {"n_replicates": findings.model.n_replicates, "fit_seconds": findings.model.fit_time_},
    }
    decisions = findings.decisions
    if decisions is not None:
        verdict = judge(decisions)
        facts["decisions"] = {
            "options": list(decisions.options),
            "control": study.control,
            "min_gain": study.min_gain,
            "randomised": study.randomised,
            "average_effect": {name: f.iloc[0].to_dict() for name, f in decisions.average.items()},
            "policy_values": decisions.evaluation.table().reset_index().to_dict("records"),
            "rule_less_best_fixed": {
                "best_fixed": verdict.best,
                "standing": verdict.standing,
                **{k: getattr(verdict.gain, k) / 100 for k in ("value", "lower", "upper")},
            },
            "benefit_slope": {
                name: {k: getattr(b.slope, k) for k in ("value", "lower", "upper")}
                for name, b in decisions.benefit.items()
            },
            "withheld": decisions.withheld,
            "narrowed": decisions.narrowed,
        }
    result: dict[str, Any] = plain(facts)
    return result


def _calibration_facts(result: Any) -> dict[str, Any]:
    observed = result.calibration.observed
    groups = {"predicted": observed.at, "observed": observed.value, "lower": observed.lower, "upper": observed.upper}
    return {
        "predicted_risk": result.predicted_risk.value,
        "observed_risk": result.observed_risk.value,
        "brier_at_horizon": result.brier_at_horizon.value,
        "groups": groups,
    }
