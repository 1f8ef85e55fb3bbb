"""What each part of the demonstration hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.app.beside import Note
from underlie.cli.progress import Say
from underlie.report.document import Section, Table

__all__ = ["Kept", "Part", "Say"]


@dataclass(frozen=True)
class Kept:
    """A model that is saved for ``underlie app``, its rows, and the note that says what they are."""

    name: str
    model: Any
    rows: pd.DataFrame | dict[str, NDArray[np.generic]]
    note: Note


@dataclass(frozen=True)
class Part:
    """Sections of the report, the table that is printed, the few results to meet first, plain facts, and models."""

    name: str
    result: Table
    sections: tuple[Section, ...]
    headline: tuple[tuple[str, str], ...]
    facts: dict[str, Any] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
