"""What each part of the demonstration hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from underlie.cli.progress import Say
from underlie.report.document import Section, Table

__all__ = ["Part", "Say"]


@dataclass(frozen=True)
class Part:
    """Sections of the report, the table that is printed, the few results to meet first, and plain facts."""

    name: str
    result: Table
    sections: tuple[Section, ...]
    headline: tuple[tuple[str, str], ...]
    facts: dict[str, Any] = field(default_factory=dict)
