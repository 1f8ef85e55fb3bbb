"""From a table with event times to a page that a clinician can read, a model and a table of recommendations."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import pandas as pd
import typer

from underlie.app.beside import Note, write_note
from underlie.cli.errors import BadInput, check_folder
from underlie.cli.progress import progress, recorded
from underlie.cli.saved import MODEL_FILE
from underlie.cli.survival_input import Question, read_study
from underlie.cli.tables import write_table
from underlie.cli.terminal import print_table
from underlie.report.document import Alert, Section, Table
from underlie.report.study.advice import advised_names
from underlie.report.study.findings import Decisions, Effort, Findings, investigate, suitable_threads
from underlie.report.study.page import study_document, survival_alerts, survival_sections, warning_alerts
from underlie.report.study.study import Study

RECOMMENDATIONS_FILE: Final = "recommendations.csv"


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
        write_note(out / MODEL_FILE, note_of(os.fspath(file), study, question, drop))
        if findings.decisions is not None:
            write_table(recommendations(study, findings.decisions), out / RECOMMENDATIONS_FILE)
        say("drawing the report")
        sections, more = recorded(lambda: survival_sections(study, findings))
        alerts = (*survival_alerts(study, findings), *warning_alerts([*messages, *more]))
        made = provenance(command=command, seed=effort.seed, seconds=time.perf_counter() - started)
        report = study_document(study, findings, sections, alerts, made)
        page = write_report(report, out)
    if not quiet:
        _print_result(sections, alerts, page, findings, time.perf_counter() - started)


def note_of(file: str, study: Study, question: Question, dropped: Sequence[str] = ()) -> Note:
    """Which data belong to the model, and what was asked of it, for ``underlie app`` and later commands."""
    asked = {
        "horizon": study.horizon,
        "time_unit": study.unit.own or None,
        "control": study.options[0] if study.options else None,
        "min_gain": study.min_gain,
        "randomised": study.randomised,
    }
    return Note(
        file,
        time=question.time,
        event=question.event,
        identifier=question.identifier,
        dropped=tuple(dropped),
        question=asked,
    )


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
