"""Reports: facts as plain data first (:class:`Report`), then text, a page, Markdown, LaTeX or JSON of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from underlie.report.alerts import CODES, find_alerts
from underlie.report.comparison import comparison_table
from underlie.report.document import Alert, Column, Document, Estimate, Figure, Interval, Section, Table, table
from underlie.report.images import picture
from underlie.report.latex import render_latex
from underlie.report.layout import document_from_summary
from underlie.report.markdown import render_markdown
from underlie.report.provenance import provenance
from underlie.report.render import render_html, write_report
from underlie.report.text import render_text

if TYPE_CHECKING:
    from underlie.report.report import Report

__all__ = [
    "Report",
    "CODES",
    "Document",
    "Section",
    "Table",
    "Column",
    "Estimate",
    "Interval",
    "Figure",
    "Alert",
    "find_alerts",
    "document_from_summary",
    "table",
    "comparison_table",
    "picture",
    "provenance",
    "render_html",
    "render_latex",
    "render_markdown",
    "render_text",
    "write_report",
]

#: what needs models and checks, which take seconds to import, while numbers and pages need neither
_LATER = {
    "Report": "underlie.report.report",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'underlie.report' has no attribute {name!r}")
