"""From scanned sheets to data, from the command line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from underlie.cli.errors import BadInput, check_folder
from underlie.sheets import Cutting, Digitised, digitise
from underlie.sheets.digitise import Report


def digitise_scans(
    scans: Sequence[Path],
    out: Path,
    *,
    grid: str,
    layout: str,
    resolutions: str,
    labels: Path | None,
    pattern: str,
    threshold: int,
    raw: bool,
    skip_bad: bool,
    overwrite: bool,
    quiet: bool,
    command: str | None = None,
) -> None:
    """Digitise the scans into the folder ``out``, and say what came of it."""
    check_folder(out)
    rows, columns = parse_grid(grid)
    with _bar(quiet) as report:
        made = digitise(
            scans,
            out,
            rows=rows,
            columns=columns,
            layout=layout.split(","),
            resolutions=_parse_numbers(resolutions),
            cutting=Cutting(threshold=threshold, normalise=not raw),
            labels=labels,
            pattern=pattern,
            overwrite=overwrite,
            skip_bad=skip_bad,
            report=report,
            command=command,
        )
    if not quiet:
        typer.echo(_summary(made))


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns of "10x7"."""
    match = re.fullmatch(r"\s*(\d+)\s*[x×]\s*(\d+)\s*", text)
    if match is None:
        raise BadInput(f"--grid {text}: give rows x columns, such as 10x7")
    return int(match[1]), int(match[2])


def _parse_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--resolutions {text}: give whole numbers separated by commas, such as 28,100,500") from None


def _summary(made: Digitised) -> str:
    table = made.table
    flagged = table[table["flag"] == 1]
    counts = Counter(reason for cell in flagged["reason"] for reason in cell.split("; "))
    why = f": {', '.join(f'{reason} {n:,}' for reason, n in counts.most_common())}" if counts else ""
    lines = [
        f"images: {len(table):,}; writers: {table['writer'].nunique():,}; pages: {table['file'].nunique():,}",
        f"flagged: {len(flagged):,} ({len(flagged) / len(table):.1%}){why}",
        *(f"left out {name}: {reason}" for name, reason in made.refused.items()),
        f"data       {made.folder}",
        f"look at    {made.folder / 'overview'}",
        f"datasheet  {made.folder / 'datasheet.md'}",
    ]
    return "\n".join(lines)


@contextmanager
def _bar(quiet: bool) -> Iterator[Report | None]:
    """A bar with the time left on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total, text: bars.update(task, completed=done, total=total, description=text)
