"""``underlie app``: saved models as a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from underlie.cli.commands.options import examples
from underlie.cli.errors import with_exit_codes

commands = typer.Typer()


@commands.command(epilog=examples("underlie app underlie-demo", "underlie app fit --port 8000 --no-browser"))
@with_exit_codes
def app(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with saved models, or one model file.")],
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port of the page; a free one by default.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; the default can be reached from this machine only.")
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
) -> None:
    """Play with saved models in the browser: latent maps, generated rows, survival curves."""
    from underlie.cli.serving import show_models

    show_models(folder, host=host, port=port, browser=not no_browser)
