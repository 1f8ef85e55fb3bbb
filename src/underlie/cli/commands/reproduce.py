"""``underlie reproduce``: the results of a paper again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import Jobs, Quiet, Seed, examples, typed
from underlie.cli.errors import with_exit_codes

commands = typer.Typer(
    help="Compute the results of a paper again, ours beside what it printed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@commands.command(
    "mega",
    epilog=examples("underlie reproduce mega", "underlie reproduce mega --quick", "underlie reproduce mega --jobs 4"),
)
@with_exit_codes
def reproduce_mega(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report.")] = Path(
        "underlie-reproduce-mega"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Small stand-ins for the data: shows that all parts run.")
    ] = False,
    jobs: Jobs = 2,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Moment gaps (Beaulac 2021): comparisons, selection, outliers, mixtures and VAEs of digits, on one page.

    Needs the folder named by UNDERLIE_DATA with ionosphere.parquet and mnist.npz; parts whose data are missing are left
    out, and the page says so.
    """
    from underlie.cli.reproduce import reproduce_mega as compute

    compute(out, seed=seed, quick=quick, jobs=jobs, quiet=quiet, command=typed())


@commands.command(
    "handwriting",
    epilog=examples(
        "underlie reproduce handwriting",
        "underlie reproduce handwriting --quick",
        "underlie reproduce handwriting --data ~/hwd --repeats 50 --members 25 --only digit --only writer",
    ),
)
@with_exit_codes
def reproduce_handwriting(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report and the results.")
    ] = Path("underlie-reproduce-handwriting"),
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of HWD+; by default UNDERLIE_DATA is searched.")
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Random splits.")] = None,
    members: Annotated[int | None, typer.Option("--members", min=1, help="Networks of a committee.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few writers, hardly trained networks: shows that all parts run.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="digit, writer, characteristics, resolution, extra, m2 or generated; repeatable.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Results computed side by side, one thread each.")
    ] = 2,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Handwriting by known writers (Beaulac & Rosenthal 2022): classifiers, M2 and generated images, on one page.

    Needs HWD+, or in its place MNIST with the labels of QMNIST; see the documentation of the commands. Every result is
    kept in the folder: the same command goes on where it was interrupted.
    """
    from underlie.cli.handwriting.page import reproduce_handwriting as compute

    compute(
        out,
        data=data,
        repeats=repeats,
        members=members,
        quick=quick,
        only=only or (),
        jobs=jobs,
        seed=seed,
        quiet=quiet,
        command=typed(),
    )
