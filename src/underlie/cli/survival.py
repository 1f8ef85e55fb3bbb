"""From a table with event times to a page that a clinician can read, a model and a table of recommendations."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
import typer

from underlie.app.beside import Note, write_note
from underlie.cli.errors import BadInput, check_folder
from underlie.cli.fit import MODEL_FILE
from underlie.cli.progress import progress, recorded
from underlie.cli.survival_advice import (
    advised_names,
    judge,
    limits_section,
    treatment_sections,
    verdict_text,
    withheld_text,
)
from underlie.cli.survival_findings import COX, MODEL, Decisions, Effort, Findings, investigate, suitable_threads
from underlie.cli.survival_input import Question, Study, read_study
from underlie.cli.survival_sections import data_section, patient_section, points, prediction_section, said
from underlie.cli.tables import write_table
from underlie.cli.terminal import print_table
from underlie.report.document import Alert, Document, Section, Table
from underlie.report.plain import plain

RECOMMENDATIONS_FILE: Final = "recommendations.csv"
#: fewer rows than these under observation at the horizon say little about it
_FEW_AT_RISK: Final = 20


def analyse_table(
    file: Path,
    question: Question,
    out: Path,
    effort: Effort,
    *,
    kinds: Sequence[str] = (),
    drop: Sequence[str] = (),
    array: str | None = None,
    quiet: bool = False,
    command: str | None = None,
) -> None:
    """Analyse the survival table in a file; write model, page, facts, and recommendations if there are treatments."""
    from underlie.report import provenance, write_report

    started = time.perf_counter()
    check_folder(out)
    study = read_study(file, question, kinds=kinds, drop=drop, array=array)
    _require_rows(study, effort)
    # No window is ever shown, and a machine without a display must do.
    mpl.use("Agg")
    with progress(quiet) as say, suitable_threads(study):
        findings, messages = recorded(lambda: investigate(study, effort, say))
        out.mkdir(parents=True, exist_ok=True)
        findings.model.save(out / MODEL_FILE)
        write_note(out / MODEL_FILE, note_of(os.fspath(file), study, question))
        if findings.decisions is not None:
            write_table(recommendations(study, findings.decisions), out / RECOMMENDATIONS_FILE)
        say("drawing the report")
        sections, more = recorded(lambda: survival_sections(study, findings))
        alerts = (*survival_alerts(study, findings), *warning_alerts([*messages, *more]))
        made = provenance(command=command, seed=effort.seed, seconds=time.perf_counter() - started)
        report = Document(
            title=f"{study.name}: survival",
            lead=survival_lead(study),
            headline=survival_headline(study, findings),
            alerts=alerts,
            sections=sections,
            provenance=made,
            facts=survival_facts(study, findings),
        )
        page = write_report(report, out)
    if not quiet:
        _print_result(sections, alerts, page, findings, time.perf_counter() - started)


def note_of(file: str, study: Study, question: Question) -> Note:
    """Which data belong to the model, and what was asked of it, for ``underlie app``."""
    asked = {
        "horizon": study.horizon,
        "time_unit": study.unit.own or None,
        "control": study.options[0] if study.options else None,
        "min_gain": study.min_gain,
        "randomised": study.randomised,
    }
    return Note(file, time=question.time, event=question.event, identifier=question.identifier, question=asked)


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


def recommendations(study: Study, decisions: Decisions) -> pd.DataFrame:
    """One line per patient: received, recommended, survival under each treatment, gains over control, propensities."""
    advice = decisions.advice.reset_index(drop=True)
    columns: dict[str, Any] = {
        "patient": study.patients,
        "received": study.received,
        "recommended": advised_names(decisions),
        "supported": advice["supported"],
        **{f"survival {name}": advice[f"survival {name}"] for name in decisions.options},
        **{
            f"{what} {name}": effects[column].to_numpy()
            for name, effects in decisions.effects.items()
            for what, column in (("gain", "effect"), ("lower", "lower"), ("upper", "upper"))
        },
        **{f"propensity {name}": decisions.propensity[name].to_numpy() for name in decisions.options},
    }
    frame = pd.DataFrame(columns)
    numbers = frame.select_dtypes("number").columns
    frame[numbers] = frame[numbers].round(4)
    return frame


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


def _require_rows(study: Study, effort: Effort) -> None:
    """Folds and splits that the rows can fill."""
    events = int(study.y["event"].sum())
    if effort.splits < 1:
        raise BadInput(f"--splits {effort.splits}: give at least 1")
    if not 2 <= effort.folds <= events:
        raise BadInput(f"--folds {effort.folds}: give at least 2 and at most one per event ({events})")
    if effort.replicates is not None and study.options and effort.replicates < 2:
        raise BadInput("--replicates 1: intervals of effects need the spread over at least 2")
    for name in study.options:
        count = study.received.count(name)
        if count < effort.folds:
            raise BadInput(
                f"--treatment: {name} was received by {count} row(s), fewer than --folds {effort.folds}; merge "
                "levels or "
                "leave these rows out"
            )


def _print_result(
    sections: Sequence[Section], alerts: Sequence[Alert], page: Path, findings: Findings, seconds: float
) -> None:
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    wanted = ("random split", "Estimated survival")
    for shown in tables:
        if any(words in shown.caption for words in wanted):
            print_table(shown)
    for alert in alerts:
        typer.echo(str(alert), err=True)
    typer.echo(f"model   {page.with_name(MODEL_FILE)}")
    if findings.decisions is not None:
        typer.echo(f"advice  {page.with_name(RECOMMENDATIONS_FILE)}")
    typer.echo(f"report  {page}  ({seconds:.0f} s)")
