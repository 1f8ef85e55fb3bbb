"""Patients beside each other: they are added, shown and removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from htmltools import TagChild
from shiny import Inputs, Session, reactive, render, ui

from underlie.app.form.entry import Entry
from underlie.app.survival.answer import Asker
from underlie.app.survival.asking import Asking
from underlie.app.survival.drawing import draw, legend_of, lines_of_many
from underlie.app.survival.page import Answer, answer, comparison_table
from underlie.app.survival.room import Room
from underlie.app.words import Hint, guarded

#: patients that one figure can tell apart
_MOST_PATIENTS: Final = 6


def comparison_of_patients(
    input: Inputs, session: Session, room: Room, question: Asking, entry: Callable[[], Entry]
) -> Callable[[], tuple[Answer, ...]]:
    """Keep the patients that are added; gives what the model says of each."""
    asker, asked = question.asker, question.asked
    compared: reactive.Value[tuple[tuple[str, Entry], ...]] = reactive.value(())

    @reactive.calc
    def others() -> tuple[Answer, ...]:
        return tuple(answer(asker(), name, other, asked()) for name, other in compared())

    @reactive.effect
    @reactive.event(input.add)
    @guarded
    def _add() -> None:
        if len(compared()) >= _MOST_PATIENTS:
            raise Hint(f"A figure can tell {_MOST_PATIENTS} patients apart: remove one first.")
        name, taken = named(input.name()), dict(compared())
        if name in taken and dict(taken[name].values) == dict(entry().values):
            raise Hint(f"{name} is in the comparison already.")
        name = _free_name(name, list(taken))
        compared.set((*compared(), (name, entry())))
        ui.update_text("name", value=name)

    @reactive.effect
    @reactive.event(input.remove)
    @guarded
    def _remove() -> None:
        gone = int(input.remove())
        compared.set(tuple(one for i, one in enumerate(compared()) if i != gone))

    @render.ui
    def comparison() -> TagChild:
        if not compared():
            return ui.p("None yet. Enter a patient, then “Add to the comparison”, and enter another.", class_="hint")
        return comparison_table(asker(), others(), asked(), session.ns("remove"))

    @render.ui
    def compared_legend() -> TagChild:
        return legend_of(_lines(asker(), others())) if compared() else None

    @render.ui
    def compared_curves() -> TagChild:
        if not compared():
            return None
        label = f"Predicted survival curves of {', '.join(name for name, _ in compared())}."
        width = session.clientdata.output_width("compared_curves")
        lines = _lines(asker(), others())
        return draw(lines, asked().unit, asked().horizon, room.last_event, label=label, width=width)

    return others


def named(name: str) -> str:
    """What a patient is called whose name stands in the form."""
    return name.strip()[:60] or "Patient"


def _lines(asker: Asker, others: tuple[Answer, ...]) -> list[Any]:
    return lines_of_many([(other.name, other.curves) for other in others], [arm.label for arm in asker.arms] or [""])


def _free_name(name: str, taken: list[str]) -> str:
    """The name itself, or the next number: "Patient 2" after "Patient 1"."""
    stem = name.rstrip("0123456789")
    stem = stem if stem.endswith(" ") else f"{name} "
    names = [name, *(f"{stem}{i}" for i in range(2, len(taken) + 3))]
    return next(free for free in names if free not in taken)
