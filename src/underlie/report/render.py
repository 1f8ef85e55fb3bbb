"""From the facts of a report to one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from underlie.report.document import Document, Figure, Table
from underlie.report.layout import SUMMARY_FORMAT, document_from_summary
from underlie.report.numbers import best_rows, format_column
from underlie.report.provenance import provenance_rows

if TYPE_CHECKING:
    from jinja2 import Template

_LEVEL_WORD = {"error": "Error", "warning": "Warning", "note": "Note"}


@dataclass(frozen=True)
class _ShownCell:
    text: str
    numeric: bool
    best: bool


def render_html(report: Document | Mapping[str, Any], *, beside: str = "") -> str:
    """One HTML page that needs no other file and no network: style and pictures are inside it.

    Parameters
    ----------
    report : Document or dict
        A :class:`~underlie.report.Document`, its JSON form, or the ``facts`` of a :class:`~underlie.report.Report`.

    beside : str
        Name of a file beside the page that holds its numbers, if there is one.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ValueError
        If ``report`` is a dict of another format.

    Examples
    --------
    >>> from underlie.report import Document
    >>> page = render_html(Document("Patients & models"))
    >>> "<h1>Patients &amp; models</h1>" in page
    True
    """
    document = _as_report(report)
    return _template().render(
        report=document,
        beside=beside,
        level_word=_LEVEL_WORD,
        show_table=_show_table,
        is_table=lambda block: isinstance(block, Table),
        is_figure=lambda block: isinstance(block, Figure),
        provenance_rows=provenance_rows,
    )


def write_report(report: Document, folder: str | Path) -> Path:
    """Write ``report.html`` and ``report.json`` (its facts) into ``folder``, which is made if missing.

    Parameters
    ----------
    report : Document
    folder : str or Path

    Returns
    -------
    Path
        Of the HTML file.

    Examples
    --------
    >>> import tempfile
    >>> from underlie.report import Document
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(Document("Empty"), folder).name
    'report.html'
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    (target / "report.json").write_text(facts + "\n", encoding="utf-8")
    page = target / "report.html"
    page.write_text(render_html(report, beside="report.json"), encoding="utf-8")
    return page


def _as_report(report: Document | Mapping[str, Any]) -> Document:
    if isinstance(report, Document):
        return report
    if report.get("format") == SUMMARY_FORMAT:
        return document_from_summary(report)
    return Document.from_json(report)


def _show_table(table: Table) -> list[list[_ShownCell]]:
    """The cells of a table as text, row by row, each knowing whether it is a number and the best of its column."""
    columns = []
    for j, column in enumerate(table.columns):
        cells = [row[j] for row in table.rows]
        best = best_rows(column, cells)
        texts = format_column(column, cells)
        columns.append([_ShownCell(text, column.kind != "text", i in best) for i, text in enumerate(texts)])
    return [list(row) for row in zip(*columns, strict=True)]


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported here: a summary as plain data needs no template engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("underlie.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
