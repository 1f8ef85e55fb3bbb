"""A report's table on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from underlie.report.document import Table
from underlie.report.numbers import best_rows, format_column


def print_table(table: Table) -> None:
    """Print a table with the rounding of the report; the best value of a column is bold."""
    shown = RichTable(title=table.caption, title_justify="left", caption=table.note or None, caption_justify="left")
    columns = []
    for j, column in enumerate(table.columns):
        numeric = column.kind != "text"
        shown.add_column(column.header, justify="right" if numeric else "left", no_wrap=numeric)
        cells = [row[j] for row in table.rows]
        best = best_rows(column, cells)
        texts = format_column(column, cells)
        columns.append([Text(text, style="bold" if i in best else "") for i, text in enumerate(texts)])
    for row in zip(*columns, strict=True):
        shown.add_row(*row)
    console = Console()
    # Piped into a file there is no width to respect, and a cut table would lose numbers.
    console.print(shown) if console.is_terminal else Console(width=160).print(shown)
