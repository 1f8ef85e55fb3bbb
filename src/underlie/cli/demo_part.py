"""What each half of the demonstration hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from underlie.report.document import Section, Table

#: told what is being done now
Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """Sections of the report, the table that is printed, the few results to meet first, and plain facts."""

    name: str
    result: Table
    sections: tuple[Section, ...]
    headline: tuple[tuple[str, str], ...]
    facts: dict[str, Any] = field(default_factory=dict)
