"""A report's table on a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from underlie.report.document import Table
from underlie.report.numbers import best_rows, format_column

_WIDE = 160


def print_table(table: Table) -> None:
    """Print a table with the rounding of the report; the best value of a column is bold."""
    # Text, not str: a caption may hold brackets, which would be read as markup.
    shown = RichTable(title=Text(table.caption), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = []
    for j, column in enumerate(table.columns):
        shown.add_column(Text(column.header), justify="right" if column.kind != "text" else "left", overflow="fold")
        cells = [row[j] for row in table.rows]
        best = best_rows(column, cells)
        texts = format_column(column, cells)
        columns.append([Text(text, style="bold" if i in best else "") for i, text in enumerate(texts)])
    for row in zip(*columns, strict=True):
        shown.add_row(*row)
    console = Console()
    if not console.is_terminal:
        # A file has no width to respect.
        console = Console(width=_WIDE)
    console.print(shown)
    if table.note:
        console.print(Text(table.note + "\n", style="dim"))
