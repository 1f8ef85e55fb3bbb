"""Fit one model to a table and write what came of it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from underlie.app.beside import Note, write_note
from underlie.cli.errors import BadInput, check_folder
from underlie.cli.processes import is_first, n_processes
from underlie.cli.saved import MODEL_FILE
from underlie.cli.tables import Table, parse_kinds, read_table
from underlie.warnings import UnderlieWarning

if TYPE_CHECKING:
    from underlie.report import Report


@dataclass(frozen=True)
class Settings:
    """What the user asked of a model; None leaves the choice to the model."""

    family: str
    n_latent: int | None = None
    kinds: Sequence[str] = ()
    seed: int = 0
    max_epochs: int | None = None
    verbose: bool = True
    n_replicates: int | None = None
    checkpoint: Path | None = None


def fit_table(
    table: Path,
    out: Path,
    settings: Settings,
    *,
    drop: Sequence[str] = (),
    array: str | None = None,
    quiet: bool = False,
    command: str | None = None,
) -> None:
    """Fit a model to the table in a file; write the model, report.html and report.json into ``out``."""
    import matplotlib as mpl

    from underlie.report import Report, write_report

    started = time.perf_counter()
    rows = read_table(table, array=array, drop=drop)
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    if settings.family == "ppca" and not is_first():
        return  # it is computed, not trained: one process does it
    model, caught = fit_recorded(rows, settings)
    if not is_first():
        return
    model.save(out / MODEL_FILE)
    write_note(out / MODEL_FILE, Note(os.fspath(table), array=array, dropped=tuple(drop)))
    # No window is ever shown, and a machine without a display must do.
    mpl.use("Agg")
    report = Report(
        model,
        rows,
        title=f"{table.name}: {type(model).__name__}",
        held_out=False,
        command=command,
        seconds=time.perf_counter() - started,
        caught=caught,
        random_state=settings.seed,
    )
    page = write_report(report.document, out)
    if not quiet:
        _print_result(report, page)


def fit_model(rows: Table, settings: Settings) -> Any:
    """A fitted model of the family asked for."""
    model = build_model(settings, is_table=not isinstance(rows, np.ndarray))
    if settings.family == "ppca":
        return model.fit(rows)
    return model.fit(rows, checkpoint=settings.checkpoint, strategy="ddp" if n_processes() > 1 else None)


def fit_recorded(rows: Table, settings: Settings) -> tuple[Any, list[warnings.WarningMessage]]:
    """A fitted model, and the warnings of this package on the way, which the report's alerts repeat."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnderlieWarning)
        model = fit_model(rows, settings)
    ours = [item for item in caught if issubclass(item.category, UnderlieWarning)]
    for item in caught:
        if item not in ours:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    return model, ours


def build_model(settings: Settings, *, is_table: bool) -> Any:
    """An estimator that is not fitted yet."""
    import underlie

    kinds = parse_kinds(settings.kinds)
    if settings.family == "ppca":
        if kinds is not None:
            raise BadInput("--kinds: ppca sees numbers and one indicator per level; use --model vae to state kinds")
        if settings.checkpoint is not None or settings.n_replicates is not None:
            raise BadInput("--checkpoint and --replicates are for --model vae: ppca is computed, not trained")
        # Columns of a table have different units, which one shared noise variance cannot serve; pixels have the same.
        rank = "bic" if settings.n_latent is None else settings.n_latent
        return underlie.ProbabilisticPCA(rank, standardize=is_table, random_state=settings.seed)
    chosen: dict[str, Any] = {"n_latent": settings.n_latent, "max_epochs": settings.max_epochs}
    chosen["n_replicates"] = settings.n_replicates
    given = {name: value for name, value in chosen.items() if value is not None}
    return underlie.VAE(kinds=kinds, random_state=settings.seed, verbose=settings.verbose, **given)


def _print_result(report: Report, page: Path) -> None:
    from underlie.report.sections.overview import estimate

    score = report.facts["log_likelihood"]
    if score["mean"] is not None:
        shown = estimate(score["mean"], score["se"])
        typer.echo(f"log-likelihood {shown} nats per row, over {score['n']:,} rows")
    for alert in report.alerts:
        typer.echo(str(alert), err=True)
    typer.echo(f"model   {page.with_name(MODEL_FILE)}")
    typer.echo(f"report  {page}")
