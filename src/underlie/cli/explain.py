"""Pages about common errors, on the screen."""

from __future__ import annotations

import difflib

import typer

from underlie import explanations
from underlie.cli.errors import BadInput


def explain(name: str | None) -> None:
    """Show one page, or what pages there are."""
    if name is None:
        width = max(map(len, explanations.names()))
        for each in explanations.names():
            typer.echo(f"{each:<{width}}  {explanations.title(each)}")
        return
    if name not in explanations.names():
        near = difflib.get_close_matches(name, explanations.names(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`underlie explain` lists them."
        raise BadInput(f"there is no page {name!r}: {hint}")
    _show(explanations.page(name))


def _show(text: str) -> None:
    """Laid out on a terminal; as it is where it is handed on to a file or a pager."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if not console.is_terminal:
        typer.echo(text, nl=False)
        return
    console.print(Markdown(text), width=min(console.width, 100))
