"""``underlie sample``, ``impute``, ``score`` and ``schema``: what a fitted model, or a table, has to say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import (
    ArrayName,
    Drop,
    Epochs,
    EventColumn,
    Family,
    FileOut,
    Kinds,
    Latent,
    ModelIn,
    Quiet,
    Seed,
    TableIn,
    TimeColumn,
    examples,
)
from underlie.cli.completion import columns
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(
    epilog=examples("underlie sample fit -n 1000 --out simulated.csv", "underlie sample fit -n 5 --seed 1")
)
@with_exit_codes
def sample(
    model: ModelIn,
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; printed as CSV without it.")
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw new rows from a fitted model."""
    from underlie.cli.use import sample_rows

    sample_rows(model, n, out, seed=seed, quiet=quiet)


@commands.command(
    epilog=examples(
        "underlie impute patients.csv --out complete.csv",
        "underlie impute fit patients.csv --out complete.csv",
        "underlie impute fit patients.csv --draws 20 --out imputations.parquet",
    )
)
@with_exit_codes
def impute(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL|TABLE", help="A fitted model, or the table itself to fit one to it first.")
    ],
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="The table to complete, when a model is given.")
    ] = None,
    out: FileOut = ...,  # type: ignore[assignment]  # required, though it follows an optional argument
    draws: Annotated[
        int,
        typer.Option(
            "--draws", min=0, help="Multiple imputations, stacked with columns .imp and .id; 0: one best value."
        ),
    ] = 0,
    model: Annotated[Family, typer.Option("--model", "-m", help="What to fit when no model is given.")] = Family.vae,
    n_latent: Latent = None,
    kinds: Kinds = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            "--drop", metavar="COLUMN", help="Hand a column on untouched; repeatable.", autocompletion=columns
        ),
    ] = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fill in missing cells, once or several times; observed cells are kept as they are.

    Columns that a given model was not fitted to are handed on untouched.
    """
    from underlie.cli.fit import Settings
    from underlie.cli.use import impute_table

    settings = Settings(model.value, n_latent, kinds or (), seed, max_epochs, verbose=not quiet)
    impute_table(source, table, out, settings, draws=draws, drop=drop or (), array=array, quiet=quiet)


@commands.command(
    epilog=examples("underlie score fit new_patients.csv", "underlie score fit new_patients.csv --out scores.csv")
)
@with_exit_codes
def score(
    model: ModelIn,
    table: TableIn,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the log-likelihood of every row.")
    ] = None,
    time: TimeColumn = None,
    event: EventColumn = None,
    drop: Drop = None,
    array: ArrayName = None,
    quiet: Quiet = False,
) -> None:
    """Log-likelihood of a table under a fitted model, in nats per row with its standard error.

    Columns and their roles are those of the fit; other columns of the table are left out.
    """
    from underlie.cli.use import score_table

    score_table(model, table, out, time=time, event=event, drop=drop or (), array=array, quiet=quiet)


@commands.command(
    epilog=examples("underlie schema patients.csv", "underlie schema patients.csv --drop id --kinds grade=ordinal")
)
@with_exit_codes
def schema(table: TableIn, kinds: Kinds = None, drop: Drop = None, array: ArrayName = None) -> None:
    """Print what is in a table: each column's kind, values and missing cells, as the models will see it."""
    from underlie.cli.tables import parse_kinds, read_table
    from underlie.data.schema import Schema

    typer.echo(str(Schema.infer(read_table(table, array=array, drop=drop or ()), parse_kinds(kinds or ()))))
