"""What is asked of a survival model: which treatments, at what horizon, for what gain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from underlie.app.form.fields import Field
from underlie.app.opened import Opened
from underlie.app.words import Hint
from underlie.estimators.survival_effects import option_name, treatment_options
from underlie.report.numbers import format_number
from underlie.report.time_unit import DAYS, TimeUnit

#: a number with more distinct values than these is a dose, as for `treatment_options`
_FEW: Final = 12
#: doses that are compared until others are asked for, by their place among those given
_DOSES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
#: more treatments than these cannot be told apart in a figure
MOST_ARMS: Final = 6
_MIN_GAIN: Final = 0.07


@final
@dataclass(frozen=True)
class Arm:
    """A treatment that can be compared.

    Attributes
    ----------
    name : str
        As the model's tables name it: "yes", or "horTh=yes, chemo=no".
    label : str
        As a sentence names it: "horTh = yes".
    option : level or dict
        As the model's methods take it.
    """

    name: str
    label: str
    option: Any


@final
@dataclass(frozen=True)
class Start:
    """What the screen shows first: as it was asked when the model was fitted, or what is usual.

    Attributes
    ----------
    horizon : float
        In the unit of the outcome.
    unit : TimeUnit
    control : str
        Name of an arm; empty without treatments.
    min_gain : float
    randomised : bool
        Whether treatment is known to have been assigned by lot.
    standing : str
        "better", "worse", "undecided" or "same": the rule against the best fixed policy on patients held out, as the
        report beside the model has it; empty where there is none.
    """

    horizon: float
    unit: TimeUnit
    control: str
    min_gain: float
    randomised: bool
    standing: str = ""


@final
@dataclass(frozen=True)
class Dose:
    """A treatment with so many values that the person at the page says which are compared.

    Attributes
    ----------
    name : str
    low, high : float
        Least and largest that were given.
    is_whole : bool
        Whether only whole numbers are doses.
    first : tuple of float
        Five that were given, from the least to the largest, to begin with.
    """

    name: str
    low: float
    high: float
    is_whole: bool
    first: tuple[float, ...]

    @property
    def given(self) -> str:
        """The range in words."""
        return f"{format_number(self.low)} to {format_number(self.high)}"

    def read(self, text: str) -> tuple[float, ...]:
        """The doses in a text such as "0, 2.5, 10", each once, in order.

        Raises
        ------
        Hint
            If one is no number or was outside those given, or they are fewer than two or too many for a figure.
        """
        doses = sorted({self._read_one(word) for word in text.replace(";", " ").replace(",", " ").split()})
        if not 2 <= len(doses) <= MOST_ARMS:
            raise Hint(f"{self.name}: give 2 to {MOST_ARMS} different doses, such as {self.as_text(self.first[:3])}.")
        return tuple(doses)

    def as_text(self, doses: Sequence[float]) -> str:
        """Doses as they are typed."""
        return ", ".join(f"{dose:.10g}" for dose in doses)

    def _read_one(self, word: str) -> float:
        try:
            dose = float(word)
        except ValueError:
            raise Hint(f"{self.name}: {word!r} is no number. Write such as {self.as_text(self.first[:3])}.") from None
        rounded = 1e-9 * (self.high - self.low)  # what was offered has ten digits
        if not self.low - rounded <= dose <= self.high + rounded:
            raise Hint(f"{self.name}: {word} is outside the doses that were given, {self.given}.")
        if self.is_whole and dose != round(dose):
            raise Hint(f"{self.name}: doses are whole numbers, and {word} is none.")
        return min(max(dose, self.low), self.high)


def doses_of(model: Any) -> tuple[Dose, ...]:
    """The treatments of a model that are doses with many values."""
    if not has_doses(model):
        return ()
    columns = model._rows.treatment_encoder.schema
    return tuple(
        Dose(str(name), min(values), max(values), Field("", column).is_whole, _spread(values))
        for (name, values), column in zip(model.treatment_levels_.items(), columns, strict=True)
        if _is_dose(values)
    )


def arms_of(model: Any, doses: Mapping[str, Sequence[float]] | None = None) -> tuple[Arm, ...]:
    """The treatments that a model can compare.

    Parameters
    ----------
    model : SurvivalVAE
    doses : dict of str to sequence of float, optional
        Which to compare of a treatment that is a dose with many values; by default those that it begins with.
    """
    if not model.treatments_:
        return ()
    options = _with_doses(model.treatment_levels_, doses or {}) if has_doses(model) else treatment_options(model)
    single = f"{model.treatments_[0]} = " if len(model.treatments_) == 1 else ""
    return tuple(Arm(option_name(option), f"{single}{_said(option)}", option) for option in options)


def has_doses(model: Any) -> bool:
    """Whether a treatment has so many values that the model recommends none of them."""
    if not model.treatments_:
        return False
    try:
        treatment_options(model)
    except ValueError:
        return True
    return False


def start_of(opened: Opened, arms: Sequence[Arm]) -> Start:
    """What was asked when the model was fitted, as far as it is written beside it and still fits the model."""
    asked = opened.note.question if opened.note is not None else {}
    model = opened.model
    horizon = asked.get("horizon")
    if not isinstance(horizon, (int, float)) or not 0 < horizon <= model.follow_up_:
        horizon = float(np.median(model.event_times_))
    names = [arm.name for arm in arms]
    control, gain = str(asked.get("control")), asked.get("min_gain")
    return Start(
        horizon=float(horizon),
        unit=unit_named(asked.get("time_unit"), model.follow_up_),
        control=control if control in names else (names[0] if names else ""),
        min_gain=float(gain) if isinstance(gain, (int, float)) and 0 <= gain < 1 else _MIN_GAIN,
        randomised=asked.get("randomised") is True,
        standing=_standing(opened.path.parent / "report.json") if asked else "",
    )


def unit_named(name: Any, longest: float) -> TimeUnit:
    """The unit of that name; times without a unit where there is none such."""
    return TimeUnit.of(name if name in DAYS else None, longest)


def _standing(report: Path) -> str:
    """What the report beside a model says of its advice."""
    try:
        facts = json.loads(report.read_text(encoding="utf-8"))["facts"]
        return str(facts["decisions"]["rule_less_best_fixed"]["standing"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _said(option: Any) -> str:
    """A treatment in a sentence."""
    return format_number(option) if isinstance(option, float) else option_name(option)


def _is_dose(values: Sequence[Any]) -> bool:
    return len(values) > _FEW


def _with_doses(levels: Mapping[Any, Sequence[Any]], doses: Mapping[str, Sequence[float]]) -> list[Any]:
    """Combinations of levels, with a few values of each dose."""
    few = [
        doses.get(str(name), _spread(values)) if _is_dose(values) else tuple(values) for name, values in levels.items()
    ]
    if len(few) == 1:
        return list(few[0])
    return [dict(zip(levels, combination, strict=True)) for combination in product(*few)]


def _spread(values: Sequence[Any]) -> tuple[Any, ...]:
    """Of many values a few, from the least to the largest."""
    ordered = sorted(values)
    return tuple(dict.fromkeys(ordered[round(share * (len(ordered) - 1))] for share in _DOSES))
