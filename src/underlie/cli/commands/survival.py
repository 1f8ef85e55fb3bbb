"""``underlie survival``: censored times, treatments, recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import (
    ArrayName,
    Drop,
    Epochs,
    Horizon,
    Kinds,
    Quiet,
    Seed,
    TableIn,
    UnitOfTime,
    examples,
    typed,
)
from underlie.cli.completion import columns
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "underlie survival patients.csv --time days --event died --time-unit days --out survival",
        "underlie survival gbsg2.csv --time time --event cens --treatment horTh --time-unit days --horizon 4y --out o",
        "underlie survival trial.csv -t months -e status=2 --treatment arm --control placebo --randomised --out trial",
    )
)
@with_exit_codes
def survival(
    table: TableIn,
    time: Annotated[
        str,
        typer.Option("--time", "-t", metavar="COLUMN", help="Time to the event or to its end.", autocompletion=columns),
    ],
    event: Annotated[
        str,
        typer.Option(
            "--event",
            "-e",
            metavar="COLUMN[=VALUE]",
            help="1 where the event was seen, 0 where not; or the value seen.",
            autocompletion=columns,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for model, report, recommendations.")],
    treatment: Annotated[
        list[str] | None,
        typer.Option(
            "--treatment",
            metavar="COLUMN",
            help="Column of the treatment received; repeatable.",
            autocompletion=columns,
        ),
    ] = None,
    horizon: Horizon = None,
    time_unit: UnitOfTime = None,
    control: Annotated[
        str | None, typer.Option("--control", metavar="LEVEL", help="Treatment that others are compared with.")
    ] = None,
    min_gain: Annotated[
        float,
        typer.Option("--min-gain", help="Least gain in survival that is worth another treatment than the control."),
    ] = 0.07,
    randomised: Annotated[
        bool, typer.Option("--randomised", help="Treatment was drawn by lot, with the same chances for all.")
    ] = False,
    identifier: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Names patients; no covariate.", autocompletion=columns)
    ] = None,
    splits: Annotated[int, typer.Option("--splits", help="Random splits for the comparison with Cox.")] = 5,
    folds: Annotated[int, typer.Option("--folds", help="Folds by which calibration and advice are judged.")] = 5,
    replicates: Annotated[
        int | None, typer.Option("--replicates", min=1, help="Models that are averaged; their spread gives intervals.")
    ] = None,
    kinds: Kinds = None,
    drop: Drop = None,
    array: ArrayName = None,
    max_epochs: Epochs = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Predict survival, judge it against Cox and Kaplan-Meier, and recommend treatments where there are any."""
    from underlie.cli.survival import analyse_table
    from underlie.cli.survival_input import Question
    from underlie.report.study.findings import Effort

    question = Question(
        time, event, treatment or (), horizon, control, min_gain, time_unit, identifier, randomised=randomised
    )
    effort = Effort(splits, folds, replicates, max_epochs, seed)
    analyse_table(
        table, question, out, effort, kinds=kinds or (), drop=drop or (), array=array, quiet=quiet, command=typed()
    )
