"""What is said while work goes on: what is being done, and warnings, which a report repeats."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer
from rich.console import Console

from underlie.warnings import UnderlieWarning

T = TypeVar("T")

#: told what is being done now
Say = Callable[[str], None]


@contextmanager
def progress(quiet: bool) -> Iterator[Say]:
    """What is being done: a moving line on a terminal, plain lines elsewhere, nothing when quiet."""
    console = Console(stderr=True)
    if quiet:
        yield silent
    elif console.is_terminal:
        with console.status("starting") as status:
            yield _updater(status.update)
    else:
        yield _updater(lambda text: typer.echo(text, err=True))


def recorded(work: Callable[[], T]) -> tuple[T, list[str]]:
    """What a piece of work returns, and the warnings of this package on the way, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnderlieWarning)
        result = work()
    for item in caught:
        if not issubclass(item.category, UnderlieWarning):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    return result, list(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UnderlieWarning)))


def silent(text: str) -> None:
    """Say nothing."""


def _updater(show: Callable[[str], None]) -> Say:
    return lambda text: show(f"{text} …")
