"""The demonstration: real data, several models, one report. Everything here uses only what users can call."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import matplotlib as mpl
import typer

from underlie.cli.demo_digits import digits_part
from underlie.cli.demo_models import save_models, show_command
from underlie.cli.demo_part import Part
from underlie.cli.demo_patients import patients_part
from underlie.cli.demo_survival import survival_part
from underlie.cli.errors import check_folder
from underlie.cli.progress import Say, progress, recorded
from underlie.cli.side_by_side import side_by_side
from underlie.cli.terminal import print_table
from underlie.report import Alert, Document, provenance, write_report
from underlie.warnings import UnderlieWarning

_LEAD = (
    "Real data that come with the Python packages, fitted with default settings: 1,797 images of handwritten digits; "
    "686 breast cancer patients of the German Breast Cancer Study Group, whose table has numbers, counts and "
    "categories; and what became of them, with hormone therapy or without. All models were judged on what they had not "
    "seen."
)


#: the parts in the order of the page, and in that in which they begin: the longest first
_PARTS: Final = {"digits": digits_part, "patients": patients_part, "survival": survival_part}
_BEGUN: Final = ("patients", "digits", "survival")


def run_demo(out: Path, *, seed: int = 0, jobs: int = 2, quiet: bool = False, command: str | None = None) -> Path:
    """Fit and compare models on digits, patients and their survival; write report, facts and models into ``out``.

    Parameters
    ----------
    out : Path
        Folder, made if missing.
    seed : int
        Same seed, same machine: same numbers, whatever ``jobs``; times aside.
    jobs : int
        Parts computed side by side, each in a process of one thread.
    quiet : bool
        Print nothing.
    command : str, optional
        What was typed, for the record.

    Returns
    -------
    Path
        Of the report.
    """
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    # No window is ever shown, and a machine without a display must do.
    mpl.use("Agg")
    started = time.perf_counter()
    with progress(quiet) as say:
        found = dict(side_by_side({name: partial(_part, name, seed) for name in _BEGUN}, jobs, say))
        made_of = [found[name] for name in _PARTS]
        say("saving the models")
        save_models((kept for part, _ in made_of for kept in part.kept), out)
        say("writing the report")
        parts = [part for part, _ in made_of]
        alerts = tuple(alert for part, messages in made_of for alert in _alerts(part.name.capitalize(), messages))
        made = provenance(command=command, seed=seed, seconds=time.perf_counter() - started)
        page = write_report(_report(parts, alerts, made), out)
    for alert in alerts:
        warnings.warn(f"{alert.title}: {alert.text}", UnderlieWarning, stacklevel=2)
    if not quiet:
        for part in parts:
            print_table(part.result)
        typer.echo(f"report  {page.resolve()}  ({time.perf_counter() - started:.0f} s)")
        typer.echo(f"play    {show_command(out)}")
    return page


def _part(name: str, seed: int, say: Say) -> tuple[Part, list[str]]:
    """One part, and what was warned of on the way."""
    return recorded(partial(_PARTS[name], seed, say))


def _alerts(title: str, messages: Sequence[str]) -> list[Alert]:
    return [Alert("warning", title, message[:1].upper() + message[1:]) for message in messages]


def _report(parts: Sequence[Part], alerts: tuple[Alert, ...], made: dict[str, object]) -> Document:
    return Document(
        title="underlie: a demonstration",
        lead=_LEAD,
        headline=tuple(item for part in parts for item in part.headline),
        alerts=alerts,
        sections=tuple(section for part in parts for section in part.sections),
        provenance=made,
        facts={part.name: part.facts for part in parts},
    )
