"""``underlie explain`` and ``doctor``: what to do when something is wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from underlie.cli.commands.options import examples
from underlie.cli.completion import pages
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(epilog=examples("underlie explain", "underlie explain columns-differ"))
@with_exit_codes
def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="As a message names it; without one, all are listed.", autocompletion=pages
        ),
    ] = None,
) -> None:
    """Say what an error or a warning means and what to do, with an example."""
    from underlie.cli.explain import explain as show

    show(name)


@commands.command(epilog=examples("underlie doctor", "underlie doctor --json > doctor.json"))
@with_exit_codes
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """See whether the installation is sound on this machine; exit code 1 if something is wrong.

    Looks at versions, threads, memory, GPU, the data folder and optional parts, and fits a small model.
    """
    from underlie.cli.doctor import diagnose

    diagnose(as_json=as_json)
