"""``underlie report``: what a saved model makes of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import (
    ArrayName,
    Drop,
    EventColumn,
    Horizon,
    ModelIn,
    Quiet,
    Seed,
    TableIn,
    TimeColumn,
    UnitOfTime,
    examples,
    typed,
)
from underlie.cli.completion import columns
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "underlie report fit patients.csv",
        "underlie report fit new_patients.csv --held-out --out report.html --out tables.tex",
        "underlie report advice new.csv -t days -e died --horizon 4y --time-unit days --out report.html",
    )
)
@with_exit_codes
def report(
    model: ModelIn,
    table: TableIn,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="html, md, tex, json or txt by its suffix; repeatable. Else printed."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="COLUMN",
            help="Labels to judge predictions on (of npz files: an array); repeatable.",
            autocompletion=columns,
        ),
    ] = None,
    time: TimeColumn = None,
    event: EventColumn = None,
    horizon: Horizon = None,
    time_unit: UnitOfTime = None,
    randomised: Annotated[
        bool | None, typer.Option("--randomised/--not-randomised", help="Whether treatment was drawn by lot.")
    ] = None,
    held_out: Annotated[
        bool | None,
        typer.Option("--held-out/--fitted", help="Whether the model has not seen these rows; else it is looked for."),
    ] = None,
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Of more rows so many are judged.")] = 5000,
    drop: Drop = None,
    array: ArrayName = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Report on a fitted model and a table: how well it describes and predicts the rows, and what to beware of.

    Columns and their roles are those of the fit; other columns of the table are left out.
    """
    from underlie.cli.report import Asked, report_on

    asked = Asked(label or (), time, event, horizon, time_unit, randomised, held_out, max_rows, seed)
    report_on(model, table, out or (), asked, drop=drop or (), array=array, quiet=quiet, command=typed())
