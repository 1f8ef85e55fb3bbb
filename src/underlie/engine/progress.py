"""A progress bar with an estimate of the time left, shown only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called after each epoch with the epoch's number and what to say about it.
Report = Callable[[int, str], None]


@contextmanager
def progress_bar(label: str, total: int, *, enabled: bool) -> Iterator[Report]:
    """Yield a function that advances the bar; it does nothing unless enabled and standard error is a terminal."""
    if not enabled:
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("at most"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)

        def report(epoch: int, text: str) -> None:
            bar.update(task, completed=epoch, description=f"{label} {text}")

        yield report


def _silent(epoch: int, text: str) -> None:
    """Say nothing."""
