"""Fit one model to a table and write what came of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from underlie.cli.errors import BadInput
from underlie.cli.tables import Table, parse_kinds, read_table

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class Settings:
    """What the user asked of a model; None leaves the choice to the model."""

    family: str
    n_latent: int | None = None
    kinds: Sequence[str] = ()
    seed: int = 0
    max_epochs: int | None = None
    verbose: bool = True


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
    from underlie.cli.figures import figures_of_fit
    from underlie.report import report_from_summary, summarize, write_report

    started = time.perf_counter()
    rows = read_table(table, array=array, drop=drop)
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    model = fit_model(rows, settings)
    model.save(out / MODEL_FILE)
    seconds = time.perf_counter() - started
    facts = summarize(
        model, rows, title=f"{table.name}: {type(model).__name__}", seed=settings.seed, command=command, seconds=seconds
    )
    page = write_report(report_from_summary(facts, figures_of_fit(model, rows, settings.seed)), out)
    if not quiet:
        _print_result(facts, page)


def fit_model(rows: Table, settings: Settings) -> Any:
    """A fitted model of the family asked for; its warnings reach the user as one line each."""
    model = build_model(settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        model.fit(rows)
    for warning in caught:
        _relay(warning, settings.verbose)
    return model


def build_model(settings: Settings) -> Any:
    """An estimator that is not fitted yet."""
    import underlie

    kinds = parse_kinds(settings.kinds)
    if settings.family == "ppca":
        rank = {} if settings.n_latent is None else {"n_components": settings.n_latent}
        return underlie.ProbabilisticPCA(kinds=kinds, random_state=settings.seed, **rank)
    chosen: dict[str, Any] = {"n_latent": settings.n_latent, "max_epochs": settings.max_epochs}
    given = {name: value for name, value in chosen.items() if value is not None}
    return underlie.VAE(kinds=kinds, random_state=settings.seed, verbose=settings.verbose, **given)


def _relay(warning: warnings.WarningMessage, verbose: bool) -> None:
    from underlie.warnings import UnderlieWarning

    if not issubclass(warning.category, UnderlieWarning):
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    elif verbose:
        typer.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
        typer.echo(str(warning.message), err=True)


def _print_result(facts: dict[str, Any], page: Path) -> None:
    from underlie.report.document import Column, Estimate
    from underlie.report.numbers import format_column

    score = facts["log_likelihood"]
    if score["mean"] is not None:
        shown = format_column(Column("", "estimate"), [Estimate(score["mean"], score["se"])])[0]
        typer.echo(f"log-likelihood {shown} nats per row, over {score['n']:,} rows")
    for alert in facts["alerts"]:
        typer.echo(f"{alert['level']}: {alert['title']}. {alert['text']}", err=True)
    typer.echo(f"model   {page.with_name(MODEL_FILE)}")
    typer.echo(f"report  {page}")
