"""Sections of a document as plain text for a terminal, in the manner of a statistician's summary."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from underlie.report.document import Alert, Section, Table
from underlie.report.numbers import format_column

_WIDTH: Final = 88
_LEVEL_WORD: Final = {"error": "Error", "warning": "Warning", "note": "Note"}


def render_text(title: str, sections: Sequence[Section], alerts: Sequence[Alert] = (), width: int = _WIDTH) -> str:
    """A title, the tables of the sections, and the alerts with their codes, at the end where a terminal shows them.

    Tables of two columns of text are lists of labels and values. Tables wider than ``width`` are not broken.

    Examples
    --------
    >>> from underlie.report import Alert, Column, Section, table
    >>> lines = table("", (Column(""), Column("")), [("Rows", "686"), ("Columns", "8")])
    >>> print(render_text("pPCA", [Section("Summary", (lines,))], [Alert("note", "Few rows", "686.", "few-rows")]))
    pPCA
    ====
    Rows     686
    Columns  8
    <BLANKLINE>
    Note [few-rows] Few rows. 686.
    """
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    parts = [_list(table, width, first=i == 0) if _is_list(table) else _grid(table) for i, table in enumerate(tables)]
    told = [_alert(alert, width) for alert in alerts]
    lines = [title, "=" * len(title), "\n\n".join(parts)]
    return "\n".join(lines) + ("\n\n" + "\n".join(told) if told else "")


def _is_list(table: Table) -> bool:
    return len(table.columns) == 2 and all(column.kind == "text" for column in table.columns)


def _list(table: Table, width: int, *, first: bool) -> str:
    """Labels and values; the first list of all needs no name beside the title."""
    indent = max(len(str(row[0])) for row in table.rows) + 2
    lines: list[str] = []
    for label, value in table.rows:
        wrapped = textwrap.wrap(str(value), max(20, width - indent), break_on_hyphens=False) or [""]
        lines.append(f"{label!s:<{indent}}{wrapped[0]}".rstrip())
        lines += [" " * indent + rest for rest in wrapped[1:]]
    if first:
        return "\n".join(lines)
    return "\n".join([table.caption, "-" * max(map(len, [table.caption, *lines])), *lines])


def _grid(table: Table) -> str:
    columns = []
    for j, column in enumerate(table.columns):
        texts = format_column(column, [row[j] for row in table.rows])
        wide = max(map(len, [column.header, *texts]))
        align = str.ljust if column.kind == "text" else str.rjust
        columns.append([align(text, wide) for text in [column.header, *texts]])
    head, *rows = ("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
    rule = "-" * max(map(len, [head, *rows]))
    return "\n".join([table.caption, rule, head, rule, *rows])


def _alert(alert: Alert, width: int) -> str:
    head = f"{_LEVEL_WORD[alert.level]} [{alert.code}]" if alert.code else _LEVEL_WORD[alert.level]
    text = " ".join(_parts(alert))
    return textwrap.fill(f"{head} {text}", width, subsequent_indent="  ", break_on_hyphens=False)


def _parts(alert: Alert) -> Iterator[str]:
    yield f"{alert.title}."
    yield from (part for part in (alert.text, alert.remedy) if part)
