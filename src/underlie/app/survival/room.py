"""What the parts of the survival screen share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from underlie.app.form.fields import Field, fields_of
from underlie.app.opened import Opened
from underlie.app.survival import words
from underlie.app.survival.answer import Asker
from underlie.app.survival.question import Arm, Dose, Start, arms_of, doses_of, start_of


@final
@dataclass(frozen=True, eq=False)
class Room:
    """A model, its fields and treatments, and what is shown first; the same for all pages."""

    opened: Opened
    fields: tuple[Field, ...]
    doses: tuple[Dose, ...]
    start: Start

    @classmethod
    def of(cls, opened: Opened) -> Room:
        arms = arms_of(opened.model)
        return cls(opened, fields_of(opened.model.schema_), doses_of(opened.model), start_of(opened, arms))

    @property
    def judged(self) -> str:
        """How the rule did on patients held out, where that is known."""
        return words.judged(self.start.standing, self.start.horizon, self.start.unit)

    @property
    def follow_up(self) -> float:
        """The longest time that anybody was followed, in the unit of the outcome."""
        return float(self.opened.model.follow_up_)

    @property
    def last_event(self) -> float:
        """Time of the last event that was seen."""
        return float(self.opened.model.event_times_[-1])

    @property
    def has_arms(self) -> bool:
        """Whether there are treatments."""
        return bool(self.opened.model.treatments_)

    def arms(self, doses: Mapping[str, Sequence[float]] | None = None) -> tuple[Arm, ...]:
        """The treatments that can be compared, with the doses that are asked for."""
        return arms_of(self.opened.model, doses)

    def asker(self, arms: tuple[Arm, ...]) -> Asker:
        """The model, asked about these treatments; kept, with its curves, for all pages, unless doses were chosen."""
        if self.doses and arms != self.arms():
            return Asker(self.opened.model, arms)  # there is no end to what can be typed
        key = ("survival", tuple(arm.name for arm in arms))
        return self.opened.remember(key, lambda: Asker(self.opened.model, arms))
