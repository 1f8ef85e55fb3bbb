"""Times as a clinician reads them: 1461 days are 4 years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from underlie.report.numbers import format_number

#: how many days each has
DAYS: Final = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}
_LETTERS: Final = {"d": "days", "w": "weeks", "m": "months", "y": "years"}
#: from so many of the larger unit on, axes are drawn in it
_LONG: Final = 3.0


@final
@dataclass(frozen=True)
class TimeUnit:
    """The unit of a table's times, and that in which figures and sentences give them.

    Attributes
    ----------
    own : str
        Of the table; empty where it is not known.
    shown : str
    per_shown : float
        How many of the table's units one shown unit has.
    """

    own: str = ""
    shown: str = ""
    per_shown: float = 1.0

    @classmethod
    def of(cls, name: str | None, longest: float) -> TimeUnit:
        """For times up to ``longest`` in the unit of that name: years where there are at least three, or months.

        Raises
        ------
        ValueError
            If the unit is not known.
        """
        if name is None:
            return cls()
        own = known_unit(name)
        for larger in ("years", "months"):
            per = DAYS[larger] / DAYS[own]
            if per > 1 and longest / per >= _LONG:
                return cls(own, larger, per)
        return cls(own, own, 1.0)

    @classmethod
    def in_facts(cls, facts: Mapping[str, Any]) -> TimeUnit:
        """The unit that the facts of a report are in; that of no name where they say none."""
        found = facts.get("time_unit")
        return cls(**found) if found else cls()

    @property
    def axis(self) -> dict[str, Any]:
        """How figures draw time: arguments of those of `underlie.plot`."""
        return {"unit": self.shown, "per_unit": self.per_shown}

    def text(self, time: float) -> str:
        """A time in the shown unit, short ones in the table's own, or with the word "time" where there is none.

        Examples
        --------
        >>> TimeUnit.of("days", 2659).text(1461), TimeUnit().text(12.5)
        ('4 years', 'time 12.5')
        >>> TimeUnit.of("days", 2659).text(67)
        '67 days'
        """
        return self.length(time) if self.own else f"time {self.length(time)}"

    def length(self, time: float) -> str:
        """How long a time is, without the word "time".

        Examples
        --------
        >>> TimeUnit.of("days", 2659).length(1461), TimeUnit().length(12.5)
        ('4 years', '12.5')
        """
        if not self.own:
            return format_number(time)
        shown, per = (self.own, 1.0) if time < self.per_shown else (self.shown, self.per_shown)
        return f"{format_number(time / per, 3)} {shown}"

    def both(self, time: float) -> str:
        """The same with the table's own number where that is another."""
        own = f" ({format_number(time)} {self.own})" if self.own != self.shown and time >= self.per_shown else ""
        return self.text(time) + own


def known_unit(name: str) -> str:
    """The unit that a word or letter stands for.

    Raises
    ------
    ValueError
        If there is none.
    """
    word = name.strip().lower()
    for unit in DAYS:
        if word in (unit, unit[:-1]) or _LETTERS.get(word) == unit:
            return unit
    raise ValueError(f"{name!r} is no unit; use {', '.join(DAYS)}")
