"""What is asked of the model, as the controls of the survival screen say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from htmltools import Tag, TagChild
from shiny import Inputs, reactive, render, req, ui

from underlie.app.controls import slider_bank
from underlie.app.survival.answer import Asker
from underlie.app.survival.page import Asked
from underlie.app.survival.question import MOST_ARMS, Arm, unit_named
from underlie.app.survival.room import Room
from underlie.app.words import Hint, guarded

#: where the horizon's slider begins, as a share of follow-up
_FIRST: Final = 0.01


@final
@dataclass(frozen=True, eq=False)
class Asking:
    """What is asked, each by a reactive calculation.

    Attributes
    ----------
    problem : callable
        Why nothing can be asked, in a sentence; empty where all is well.
    asker : callable
        The model, asked about the treatments that are shown.
    asked : callable
        Horizon, unit, control, least gain.
    left_out : callable
        What to say where not all treatments are shown.
    """

    problem: Callable[[], str]
    asker: Callable[[], Asker]
    asked: Callable[[], Asked]
    left_out: Callable[[], str]


def asking(input: Inputs, room: Room) -> Asking:
    """Read the controls of the question; shows the horizon's slider and, of many treatments, the choice of some."""
    arms, shown, control, problem = _arms(input, room)

    @reactive.calc
    def asker() -> Asker:
        return room.asker(shown())

    @reactive.calc
    def asked() -> Asked:
        unit = unit_named(input.unit(), room.follow_up)
        moved = input.horizon() if "horizon" in input else None
        share = room.start.horizon / room.follow_up if moved is None else float(moved["value"]) / _end(unit)
        gain = input.gain() if room.has_arms else None
        req(not problem())
        min_gain = room.start.min_gain if gain is None else gain / 100
        return Asked(min(share, 1.0) * room.follow_up, unit, control(), min_gain)

    def _end(unit: Any) -> float:
        return float(room.follow_up / unit.per_shown)

    @render.ui
    def horizon_slider() -> Tag:
        unit = unit_named(input.unit(), room.follow_up)
        with reactive.isolate():
            now = asked().horizon / unit.per_shown
        label = f"Horizon, {unit.shown}" if unit.shown else "Horizon"
        return slider_bank("horizon", [label], [now], [(_FIRST * _end(unit), _end(unit))], label="Horizon")

    def left_out() -> str:
        return "" if len(arms()) == len(shown()) else f"Only the {len(shown())} treatments chosen above are considered."

    return Asking(problem, asker, asked, left_out)


def _arms(
    input: Inputs, room: Room
) -> tuple[Callable[[], tuple[Arm, ...]], Callable[[], tuple[Arm, ...]], Callable[[], str], Callable[[], str]]:
    """Treatments that there are, those that are shown, the name of the control, and why nothing can be asked."""

    @reactive.calc
    def doses() -> dict[str, tuple[float, ...]] | Hint:
        try:
            return {dose.name: dose.read(input[f"doses{j}"]()) for j, dose in enumerate(room.doses)}
        except Hint as hint:
            return hint

    @reactive.calc
    def arms() -> tuple[Arm, ...]:
        chosen = doses()
        req(not isinstance(chosen, Hint))
        return room.arms(chosen)  # type: ignore[arg-type]  # no hint

    @reactive.calc
    def control() -> str:
        names = [arm.name for arm in arms()]
        return "" if not names else input.control() if input.control() in names else names[0]

    def _chosen() -> set[str]:
        """Names of the treatments that are ticked; at first the control and those after it."""
        names = [arm.name for arm in arms()]
        ticked = {name for name in input.arms() if name in names} if "arms" in input else set()
        return {control(), *(ticked or _first(names, control()))}

    @reactive.calc
    def problem() -> str:
        """Said once, in the place of the advice."""
        unread = doses()
        if isinstance(unread, Hint):
            return str(unread)
        if room.has_arms and input.gain() is not None and not 0 <= input.gain() <= 100:
            return "Least gain: give percentage points between 0 and 100."
        if len(arms()) > MOST_ARMS and len(_chosen()) > MOST_ARMS:
            return f"A figure can tell {MOST_ARMS} treatments apart, the control among them: choose fewer."
        return ""

    @reactive.calc
    def shown() -> tuple[Arm, ...]:
        if len(arms()) <= MOST_ARMS:
            return arms()
        req(not problem())
        return tuple(arm for arm in arms() if arm.name in _chosen())

    @reactive.effect
    @guarded
    def _offer_controls() -> None:
        if not room.doses:
            return
        labels = {arm.name: arm.label for arm in arms()}
        with reactive.isolate():  # a choice that was just made must not be sent back, perhaps over the next one
            ui.update_select("control", choices=labels, selected=control())

    @render.ui
    def choice_of_arms() -> TagChild:
        if len(arms()) <= MOST_ARMS:
            return None
        labels = {arm.name: arm.label for arm in arms()}
        with reactive.isolate():
            first = _first(list(labels), control())
        return ui.input_checkbox_group(
            "arms", f"Treatments to compare, at most {MOST_ARMS}", labels, selected=first, inline=True
        )

    return arms, shown, control, problem


def _first(names: list[str], control: str) -> list[str]:
    return [control, *(name for name in names if name != control)][:MOST_ARMS]
