"""``underlie app``: the models of a folder as a page in the browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from underlie.cli.errors import BadInput

if TYPE_CHECKING:
    from underlie.app.folder import Found

_NEEDED = ("shiny", "plotly")


def show_models(folder: Path, *, host: str, port: int | None, browser: bool) -> None:
    """Serve a page with the models of a folder until Ctrl-C."""
    from underlie.app.folder import NothingToShow, models_in

    try:
        found = models_in(folder)
    except NothingToShow as error:
        raise BadInput(str(error)) from error
    missing = next((name for name in _NEEDED if find_spec(name) is None), None)
    if missing is not None:
        raise BadInput(f"underlie app needs the package {missing}, which is not installed: pip install 'underlie[app]'")
    _serve(found, host, port, browser)


def _read(path: Path, **options: Any) -> Any:
    """The table in a file. Imported when the first is read: pandas takes longer than the page."""
    from underlie.cli.tables import read_table

    return read_table(path, **options)


def _serve(found: tuple[Found, ...], host: str, port: int | None, browser: bool) -> None:
    from underlie.app.opened import Shelf
    from underlie.app.server import CannotServe, is_local, serve

    def say(address: str) -> None:
        typer.echo(f"{address}\n{len(found)} model{'s' * (len(found) != 1)}; Ctrl-C stops")

    if not is_local(host):
        typer.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
        typer.echo(f"with --host {host} everyone who reaches this machine can see models and data", err=True)
    try:
        serve(Shelf(found, _read), host=host, port=port, browser=browser, say=say)
    except CannotServe as error:
        raise BadInput(str(error)) from error
    typer.echo("stopped")
