"""``underlie demo``: the tour of real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import Jobs, Quiet, Seed, examples, typed
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(epilog=examples("underlie demo", "underlie demo --out results --seed 1"))
@with_exit_codes
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report.")] = Path(
        "underlie-demo"
    ),
    seed: Seed = 0,
    jobs: Jobs = 2,
    quiet: Quiet = False,
) -> None:
    """Fit and compare models on real data that come with the packages; write a report."""
    from underlie.cli.demo import run_demo

    run_demo(out, seed=seed, jobs=jobs, quiet=quiet, command=typed())
