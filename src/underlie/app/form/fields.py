"""What can be entered into each column of a schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, final

from underlie.data.columns import Column
from underlie.estimators.admissible import is_missing, plain
from underlie.report.numbers import format_number

#: choice that stands for a missing cell; no level has this key
MISSING: Final = ""
#: what single precision can square
_LARGEST: Final = 1e15
_WHOLE: Final = ("int", "uint", "Int", "UInt")


@final
@dataclass(frozen=True)
class Field:
    """A column as a field of a form.

    Attributes
    ----------
    key : str
        Its name inside the page: a number, since columns may be called anything.
    column : Column
    """

    key: str
    column: Column

    @property
    def name(self) -> str:
        """How the column is called."""
        return self.column.name

    @property
    def is_choice(self) -> bool:
        """Whether one of a list of levels is chosen; else a number is entered."""
        return self.column.levels is not None

    @property
    def choices(self) -> dict[str, str]:
        """Levels by key; a key is their place, since levels may be any text or number. First, not to choose."""
        levels = self.column.levels or ()
        return {MISSING: "missing"} | {str(i): str(level) for i, level in enumerate(levels)}

    @property
    def is_whole(self) -> bool:
        """Whether the column holds whole numbers."""
        return self.column.kind == "count" or self.column.dtype.startswith(_WHOLE)

    @property
    def hint(self) -> str:
        """What the data hold: "21 to 80", "whole number, 3 to 120", "in order"."""
        if self.is_choice:
            return "in this order" if self.column.kind == "ordinal" and len(self.column.levels or ()) > 2 else ""
        low, high = self.column.low, self.column.high
        seen = "" if low is None or high is None else f"{format_number(low)} to {format_number(high)}"
        return ", ".join(part for part in ("whole number" if self.is_whole else "", seen) if part)

    def value_of(self, entered: Any) -> Any:
        """What was entered as the cell of a table; None where nothing was.

        Raises
        ------
        ValueError
            If it is no number, or no level.
        """
        if is_missing(entered) or entered == MISSING:
            return None
        if self.column.levels is not None:
            place = {str(i): level for i, level in enumerate(self.column.levels)}
            if str(entered) not in place:
                raise ValueError(f"{entered!r} in {self.name} is none of its levels.")
            return place[str(entered)]
        try:
            value = float(entered)
        except (TypeError, ValueError):
            raise ValueError(f"What stands in {self.name} is no number.") from None
        if not abs(value) <= _LARGEST:
            raise ValueError(f"{value:g} in {self.name} is too large a number.")
        return value

    def entered_of(self, cell: Any) -> Any:
        """What to enter for a cell of a table, the inverse of `value_of`; a level that was never seen is missing."""
        if is_missing(cell):
            return MISSING if self.is_choice else None
        if self.column.levels is not None:
            found = [i for i, level in enumerate(self.column.levels) if level == plain(cell)]
            return str(found[0]) if found else MISSING
        return float(cell)

    def text_of(self, value: Any) -> str:
        """A cell in words."""
        if is_missing(value):
            return "missing"
        return format_number(float(value), 6) if self.column.levels is None else str(value)


def fields_of(columns: Iterable[Column]) -> tuple[Field, ...]:
    """The columns of a schema as fields of a form."""
    return tuple(Field(f"field{j}", column) for j, column in enumerate(columns))
