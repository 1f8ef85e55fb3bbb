"""What each part of a reproduction hands over, and small words that all parts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from underlie.report.document import Block, Column, Estimate, Section, Table
from underlie.report.numbers import format_column


@dataclass(frozen=True)
class Chapter:
    """One part of the page: what the paper did, ours beside what it printed, what to conclude."""

    heading: str
    did: str
    """One sentence: what the paper did."""
    blocks: tuple[Block, ...]
    conclusion: str
    """One sentence."""
    shown: Table
    """The table that is also printed on the terminal."""
    headline: tuple[tuple[str, str], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def section(self, seconds: float, processor_seconds: float) -> Section:
        """As a section of the page, with the time that it took; a busy machine takes longer."""
        took = f"This part took {seconds:,.0f} s, {processor_seconds:,.0f} s of them on a processor, by one thread."
        paper, conclusion = f"The paper: {self.did}", f"Conclusion: {self.conclusion}"
        return Section(self.heading, (paper, *self.blocks, conclusion, took))


def mean_and_error(values: Sequence[float] | np.ndarray[Any, Any]) -> Estimate:
    """Mean over repetitions with its standard error; NaN is left out."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return Estimate(float("nan"))
    return Estimate(float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None)


def mean_and_sd(values: Sequence[float] | np.ndarray[Any, Any]) -> Estimate:
    """Mean over repetitions with their standard deviation."""
    known = np.asarray(values, dtype=float)
    return Estimate(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None)


def worded(estimate: Estimate) -> str:
    """A number with its error in a sentence."""
    return format_column(Column("", "estimate"), [estimate])[0]


def percent(share: float) -> str:
    """A share in a sentence."""
    return f"{100 * share:.0f} %"
