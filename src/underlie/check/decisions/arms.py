"""Treatments that rows received, and treatments that a policy recommends, as codes of levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.outcomes import Outcome

Codes = NDArray[np.intp]
NONE = -1


@final
@dataclass(frozen=True)
class Arms:
    """The treatment of n rows: `levels` in order, and for each row the index of its own, `codes` (n,)."""

    levels: tuple[Any, ...]
    codes: Codes

    def rows(self, arm: int) -> Codes:
        """Positions of the rows that received a level."""
        return np.flatnonzero(self.codes == arm)

    @property
    def names(self) -> str:
        """For messages."""
        return ", ".join(repr(level) for level in self.levels)


def read_arms(treatment: object, n: int, name: str = "treatment") -> Arms:
    """Levels in sorted order, True after False, numbers by size, text by alphabet; every row must have one.

    Raises
    ------
    ValueError
        When the length is not n, a row has no treatment, or all rows have the same.
    """
    labels = _labels(treatment, n, name)
    missing = [i for i, label in enumerate(labels) if label is None]
    if missing:
        raise ValueError(
            f"{name} is missing in {len(missing)} row(s), the first row {missing[0]}: leave these rows out of the "
            "outcome, the treatment and the predictions"
        )
    levels = _in_order(set(labels))
    if len(levels) < 2:
        raise ValueError(f"{name} is {levels[0]!r} in every row: there is no other treatment to compare it with")
    place = {level: j for j, level in enumerate(levels)}
    return Arms(levels, np.array([place[label] for label in labels], dtype=np.intp))


def read_policy(recommended: object, arms: Arms, name: str) -> Codes:
    """Codes (n,) of recommended levels, NONE where a row has no recommendation.

    Raises
    ------
    ValueError
        When the length is wrong, or a level is recommended that no row received.
    """
    place = {level: j for j, level in enumerate(arms.levels)}
    labels = _labels(recommended, len(arms.codes), name)
    for i, label in enumerate(labels):
        if label is not None and label not in place:
            raise ValueError(
                f"{name} recommends {label!r} in row {i}, which no row received, so that its value cannot be "
                f"estimated; the treatments are {arms.names}"
            )
    return np.array([NONE if label is None else place[label] for label in labels], dtype=np.intp)


def find_level(level: object, arms: Arms, name: str) -> int:
    """The code of one level."""
    wanted = _plain(level)
    if wanted not in arms.levels:
        raise ValueError(f"{name} is {level!r}, which is not among the treatments {arms.names}")
    return arms.levels.index(wanted)


def require_follow_up(outcome: Outcome, arms: Arms, time: float) -> None:
    """Every arm must be followed to the time, or to its last row's event: beyond, nothing is known of it."""
    for arm, level in enumerate(arms.levels):
        rows = arms.rows(arm)
        last = outcome.time[rows].max()
        if last < time and not outcome.event[rows][outcome.time[rows] == last].all():
            raise ValueError(
                f"time is {time:g}, but nobody with treatment {level!r} was followed beyond {last:g}: "
                "choose an earlier time"
            )


def read_time(time: float) -> float:
    """A time after 0."""
    if isinstance(time, bool) or not isinstance(time, int | float | np.number) or not 0 < time < np.inf:
        raise ValueError(f"time must be a number after 0, in the unit of y, got {time!r}")
    return float(time)


def read_level(level: float) -> float:
    """Coverage of intervals."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, as .95, got {level}")
    return float(level)


def _labels(values: Any, n: int, name: str) -> list[Any]:
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise ValueError(f"{name} must hold one level for each of the {n} rows of y, got {values!r}")
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{name} must have one axis, the rows; it has shape {values.shape}")
    if len(values) != n:
        raise ValueError(f"{name} must hold one level for each of the {n} rows of y, it has {len(values)}")
    return [_plain(value) for value in (values.to_list() if hasattr(values, "to_list") else values)]


def _plain(value: Any) -> Any:
    """A label as Python has it; None where it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or value != value or type(value).__name__ == "NAType" else value


def _in_order(levels: set[Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(levels))
    except TypeError:
        return tuple(sorted(levels, key=lambda level: (type(level).__name__, str(level))))
