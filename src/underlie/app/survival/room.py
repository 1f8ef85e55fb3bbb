"""What the parts of the survival screen share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from underlie.app.form.fields import Field, fields_of
from underlie.app.opened import Opened
from underlie.app.survival import words
from underlie.app.survival.answer import Asker
from underlie.app.survival.question import Arm, Start, arms_of, start_of


@final
@dataclass(frozen=True, eq=False)
class Room:
    """A model, its fields and treatments, and what is shown first; the same for all pages."""

    opened: Opened
    fields: tuple[Field, ...]
    arms: tuple[Arm, ...]
    start: Start

    @classmethod
    def of(cls, opened: Opened) -> Room:
        arms = arms_of(opened.model)
        return cls(opened, fields_of(opened.model.schema_), arms, start_of(opened, arms))

    @property
    def judged(self) -> str:
        """How the rule did on patients held out, where that is known."""
        return words.judged(self.start.standing, self.start.horizon, self.start.unit)

    def asker(self, shown: tuple[str, ...]) -> Asker:
        """The model, asked about these treatments; kept, with its curves, for all pages."""
        arms = tuple(arm for arm in self.arms if arm.name in shown)
        return self.opened.remember(("survival", shown), lambda: Asker(self.opened.model, arms))
