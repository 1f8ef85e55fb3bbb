"""The demonstration: two real data sets, several models, one report. Everything here uses only what users can "
"call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import typer
from rich.console import Console

from underlie.cli.demo_digits import digits_part
from underlie.cli.demo_part import Part, Say
from underlie.cli.demo_patients import patients_part
from underlie.cli.errors import BadInput
from underlie.cli.terminal import print_table
from underlie.report import Report, provenance, write_report

_LEAD = (
    "Real data that come with the Python packages, fitted with default settings: 1,797 images of handwritten "
    "digits, and "
    "686 breast cancer patients of the German Breast Cancer Study Group with numbers, counts and categories. "
    "All models "
    "were judged on what they had not seen."
)


def run_demo(out: Path, *, seed: int = 0, quiet: bool = False, command: str | None = None) -> Path:
    """Fit and compare models on digits and patients; write report.html and report.json into ``out``.

    Parameters
    ----------
    out : Path
        Folder, made if missing.
    seed : int
        Same seed, same machine: same numbers.
    quiet : bool
        Print nothing.
    command : str, optional
        What was typed, for the record.

    Returns
    -------
    Path
        Of the report.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    # No window is ever shown, and a machine without a display must do.
    mpl.use("Agg")
    started = time.perf_counter()
    with _progress(quiet) as say:
        parts = [digits_part(seed, say), patients_part(seed, say)]
        say("writing the report")
        seconds = time.perf_counter() - started
        page = write_report(_report(parts, provenance(command=command, seed=seed, seconds=seconds)), out)
    if not quiet:
        for part in parts:
            print_table(part.result)
        typer.echo(f"report  {page.resolve()}  ({time.perf_counter() - started:.0f} s)")
    return page


def _report(parts: Sequence[Part], made: dict[str, object]) -> Report:
    return Report(
        title="underlie: a demonstration",
        lead=_LEAD,
        headline=tuple(item for part in parts for item in part.headline),
        alerts=tuple(alert for part in parts for alert in part.alerts),
        sections=tuple(section for part in parts for section in part.sections),
        provenance=made,
        facts={part.name: part.facts for part in parts},
    )


@contextmanager
def _progress(quiet: bool) -> Iterator[Say]:
    """What is being done: a moving line on a terminal, plain lines elsewhere, nothing when quiet."""
    console = Console(stderr=True)
    if quiet:
        yield _silent
    elif console.is_terminal:
        with console.status("starting") as status:
            yield _updater(status.update)
    else:
        yield _updater(lambda text: typer.echo(text, err=True))


def _updater(show: Callable[[str], None]) -> Say:
    return lambda text: show(f"{text} …")


def _silent(text: str) -> None:
    """Say nothing."""
