"""Reports: facts as plain data first (:func:`summarize`, :class:`Document`), then one self-contained page."""

from __future__ import annotations

from underlie.report.comparison import comparison_table
from underlie.report.document import Alert, Column, Document, Estimate, Figure, Interval, Section, Table, table
from underlie.report.images import picture
from underlie.report.layout import report_from_summary
from underlie.report.provenance import provenance
from underlie.report.render import render_html, write_report
from underlie.report.summary import summarize

__all__ = [
    "Document",
    "Section",
    "Table",
    "Column",
    "Estimate",
    "Interval",
    "Figure",
    "Alert",
    "summarize",
    "report_from_summary",
    "table",
    "comparison_table",
    "picture",
    "provenance",
    "render_html",
    "write_report",
]
