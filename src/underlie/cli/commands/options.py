"""Arguments and options that several commands share, and how their help and their line are written down."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.completion import arrays, columns, kinds


class Family(StrEnum):
    """Models that can be fitted, saved and used again."""

    vae = "vae"
    ppca = "ppca"


TableIn = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, Parquet, npy or npz file.")]
ModelIn = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder that [b]underlie fit[/b] wrote, or a model file.")
]
ArrayName = Annotated[
    str | None, typer.Option("--array", metavar="NAME", help="Which array of an npz file.", autocompletion=arrays)
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="COLUMN",
        help="Leave a column out, such as an identifier; repeatable.",
        autocompletion=columns,
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kinds",
        metavar="COLUMN=KIND",
        help="Overrule an inferred kind: continuous, positive, proportion, count, binary, categorical, ordinal.",
        autocompletion=kinds,
    ),
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", "-t", metavar="COLUMN", help="Time to the event.", autocompletion=columns)
]
EventColumn = Annotated[
    str | None,
    typer.Option("--event", "-e", metavar="COLUMN[=VALUE]", help="1 where the event was seen.", autocompletion=columns),
]
Horizon = Annotated[
    str | None,
    typer.Option("--horizon", metavar="TIME", help="Time asked about, in the unit of --time, or such as 4y, 18m."),
]
UnitOfTime = Annotated[
    str | None, typer.Option("--time-unit", metavar="UNIT", help="Of --time: days, weeks, months or years.")
]
Latent = Annotated[int | None, typer.Option("--n-latent", min=1, help="Latent dimensions; chosen by default.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Parts computed side by side, in processes of one thread each.")
]
Epochs = Annotated[int | None, typer.Option("--max-epochs", min=1, help="Passes over the data at most.")]
FileOut = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write, its kind by its suffix.")]


def examples(*lines: str) -> str:
    return "[b]Examples[/b]\n\n" + "\n\n".join(f"  {line}" for line in lines)


def typed() -> str:
    """The command line as it was typed, the program by its bare name."""
    import shlex

    return shlex.join(["underlie", *sys.argv[1:]])
