"""Times as a clinician reads them: 1461 days are 4 years."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

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

    def text(self, time: float) -> str:
        """A time in the shown unit, short ones in the table's own, or with the word "time" where there is none.

        Examples
        --------
        >>> TimeUnit.of("days", 2659).text(1461), TimeUnit().text(12.5)
        ('4 years', 'time 12.5')
        >>> TimeUnit.of("days", 2659).text(67)
        '67 days'
        """
        shown, per = (self.own, 1.0) if time < self.per_shown else (self.shown, self.per_shown)
        number = format_number(time / per, 3)
        return f"{number} {shown}" if shown else f"time {number}"

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
