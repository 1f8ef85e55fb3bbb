"""A document as Markdown, in the dialect that GitHub, Quarto and Jupyter read."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from underlie.report.document import Block, Document, Figure, Table
from underlie.report.numbers import format_column
from underlie.report.provenance import provenance_rows

_LEVEL_WORD = {"error": "Error", "warning": "Warning", "note": "Note"}
#: what would start markup in the middle of a sentence or a cell
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")
#: what would start a list at the beginning of a line; the rest is special anywhere
_STARTS = re.compile(r"^(\d*)([-+.)])(?=\s)")


def render_markdown(document: Document, place: Callable[[int, Figure], str | None] | None = None) -> str:
    """The document as Markdown: alerts, headline and sections, with tables as pipe tables.

    Parameters
    ----------
    document : Document
    place : callable, optional
        Given the number of a figure and the figure, the address of its picture, or None for its words alone.

    Returns
    -------
    str

    Examples
    --------
    >>> from underlie.report import Document, Section
    >>> print(render_markdown(Document("Fit", sections=(Section("Rows | columns", ("All fine.",)),))))
    # Fit
    <BLANKLINE>
    ## Rows \\| columns
    <BLANKLINE>
    All fine.
    <BLANKLINE>
    """
    return "\n\n".join(_parts(document, place or (lambda number, figure: None))) + "\n"


def write_markdown(document: Document, path: Path) -> None:
    """Write the document, its pictures as files into a folder beside it."""
    folder = path.with_name(f"{path.stem}_files")

    def place(number: int, figure: Figure) -> str:
        head, _, data = figure.image.partition(",")
        suffix = mimetypes.guess_extension(head.removeprefix("data:").partition(";")[0]) or ".png"
        folder.mkdir(exist_ok=True)
        (folder / f"figure_{number}{suffix}").write_bytes(base64.b64decode(data))
        return f"{folder.name}/figure_{number}{suffix}".replace(" ", "%20")

    path.write_text(render_markdown(document, place), encoding="utf-8")


def _parts(document: Document, place: Callable[[int, Figure], str | None]) -> Iterator[str]:
    yield f"# {_inline(document.title)}"
    if document.lead:
        yield _line(document.lead)
    for alert in document.alerts:
        text = " ".join(part for part in (alert.text, alert.remedy) if part)
        yield f"> **{_LEVEL_WORD[alert.level]}: {_inline(alert.title)}.** {_inline(text)}"
    if document.headline:
        yield "\n".join(f"- {_inline(label)}: **{_inline(value)}**" for label, value in document.headline)
    number = 0
    for section in document.sections:
        yield f"## {_inline(section.heading)}"
        for block in section.blocks:
            number += isinstance(block, Figure)
            yield _block(block, number, place)
    rows = provenance_rows(document.provenance)
    if rows:
        yield "## How to get this again"
        yield "\n".join(f"- {label}: {_inline(value)}" for label, value in rows)


def _block(block: Block, number: int, place: Callable[[int, Figure], str | None]) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figure):
        address = place(number, block)
        picture = f"![{_inline(block.alt)}]({address})\n\n" if address else ""
        return f"{picture}*{_inline(block.title)}.* {_inline(block.reading)}"
    return _line(block)


def _table(table: Table) -> str:
    columns = [format_column(c, [row[j] for row in table.rows]) for j, c in enumerate(table.columns)]
    lines = [
        "| " + " | ".join(_inline(c.header) for c in table.columns) + " |",
        "|" + "|".join("---" if c.kind == "text" else "--:" for c in table.columns) + "|",
        *("| " + " | ".join(map(_inline, row)) + " |" for row in zip(*columns, strict=True)),
    ]
    parts = [f"**{_inline(table.caption)}**", "\n".join(lines), *([_line(table.note)] if table.note else [])]
    return "\n\n".join(parts)


def _line(text: str) -> str:
    """A paragraph that cannot be taken for a list."""
    return _STARTS.sub(r"\1\\\2", _inline(text))


def _inline(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
