"""What can be typed: each module declares arguments, help and examples of its commands; what they import does the work.

Help lists commands in the order in which they are put together here.
"""

from __future__ import annotations

from typing import Annotated

import typer

from underlie import __version__
from underlie.cli.commands import demo, digitise, fitting, reporting, reproduce, showing, support, survival, using
from underlie.cli.errors import with_exit_codes
from underlie.cli.processes import alone_but_for_fit

app = typer.Typer(
    name="underlie",
    help="Latent-variable models for tables and images: fit, compare, impute, sample.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for topic in (demo, fitting, survival, using, reporting, showing, digitise, support):
    app.add_typer(topic.commands)
app.add_typer(reproduce.commands, name="reproduce")


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"underlie {__version__}")
        raise typer.Exit


@app.callback()
@with_exit_codes
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    alone_but_for_fit(context.invoked_subcommand)
