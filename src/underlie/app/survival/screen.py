"""One patient: a form, curves under each treatment, a recommendation; and patients beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from htmltools import Tag, TagChild
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from underlie.app.file_names import file_name
from underlie.app.form.entry import Entry, cells_of, pick, read_entry
from underlie.app.form.inputs import chosen_row, fill_form, hidden_part
from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.survival import words
from underlie.app.survival.answer import Asker
from underlie.app.survival.asking import Asking, asking
from underlie.app.survival.comparison import comparison_of_patients, named
from underlie.app.survival.document import document_of
from underlie.app.survival.drawing import MOST_BANDS, draw, legend_of, lines_of
from underlie.app.survival.layout import layout
from underlie.app.survival.page import (
    Answer,
    Asked,
    advice_box,
    answer,
    described,
    outlook_table,
    remark_list,
)
from underlie.app.survival.room import Room
from underlie.app.words import guarded, note
from underlie.report.render import render_html

_UNSEEN: Final = "Grey: no event was seen so late, and curves are the model's own."
_BANDS: Final = f"Bands are pointwise 95 % intervals. {_UNSEEN}"
_NO_BANDS: Final = f"Intervals are in the table. {_UNSEEN}"


def patient_screen(opened: Opened) -> Screen:
    """The screen of one patient."""
    room = Room.of(opened)
    return Screen("Patient", ui=lambda id: layout(id, room), server=lambda id: _server(id, room))


@module.server
def _server(input: Inputs, output: Outputs, session: Session, room: Room) -> None:
    hidden: reactive.Value[dict[str, Any]] = reactive.value({})
    question = asking(input, room)

    @reactive.calc
    def entry() -> Entry:
        entered = (input.patient() if "patient" in input else None) or {}
        return read_entry(room.fields, hidden() | entered, room.opened.model.encoder_)

    @reactive.calc
    def found() -> Answer:
        return answer(question.asker(), named(input.name()), entry(), question.asked())

    _answers(session, room, question, entry, found)
    _rows_of_the_data(input, room, question, entry, hidden)
    others = comparison_of_patients(input, session, room, question, entry)

    # ---- to keep ----
    def whole_page() -> str:
        return render_html(document_of(room, question.asker(), found(), question.asked(), others()))

    @render.download_button(filename=lambda: f"{file_name(input.name())}.html", media_type="text/html")
    def page() -> Iterator[str]:
        yield whole_page()

    @reactive.effect
    @reactive.event(input.print)
    @guarded
    async def _print() -> None:
        await session.send_custom_message("underlie-print", {"html": whole_page()})


def _answers(
    session: Session, room: Room, question: Asking, entry: Callable[[], Entry], found: Callable[[], Answer]
) -> None:
    """What the model says of the patient: advice, curves, numbers, limits."""
    asker, asked, problem = question.asker, question.asked, question.problem

    @render.ui
    def advice() -> Tag:
        if problem():
            return note(problem(), "problem")
        about = [said for said in (room.judged, question.left_out()) if said]
        return advice_box(asker(), found(), asked(), remarks=about)

    @render.ui
    def remarks() -> TagChild:
        return remark_list(entry())

    @render.ui
    def legend() -> TagChild:
        return legend_of(_lines(asker(), found())) if room.has_arms else None

    @render.ui
    def curves() -> Tag:
        lines = _lines(asker(), found())
        width = session.clientdata.output_width("curves")
        label = described(found(), asked())
        return draw(lines, asked().unit, asked().horizon, room.last_event, label=label, width=width)

    @render.ui
    def reading() -> Tag:
        banded = asker().has_intervals and len(asker().arms) <= MOST_BANDS
        return ui.p(_BANDS if banded else _NO_BANDS if asker().has_intervals else _UNSEEN, class_="hint")

    @render.ui
    def outlooks() -> Tag:
        return outlook_table(asker(), found(), asked())

    @render.ui
    def limits() -> Tag:
        sentences = words.limits(asker(), randomised=room.start.randomised)
        return ui.tags.ul(*(ui.tags.li(sentence) for sentence in sentences), class_="limits")


def _rows_of_the_data(
    input: Inputs, room: Room, question: Asking, entry: Callable[[], Entry], hidden: reactive.Value[dict[str, Any]]
) -> None:
    """Fill the form with a row of the data, and say what happened to it; empty what the form has no place for."""
    opened = room.opened
    source: reactive.Value[tuple[int, Entry] | None] = reactive.value(None)

    @reactive.effect
    @reactive.event(input.take)
    @guarded
    async def _take() -> None:
        i = chosen_row(input.row(), opened.n_rows)
        cells = cells_of(opened.model.covariates(pick(opened.rows, [i])), room.fields, 0)
        hidden.set(hidden_part(room.fields, cells))
        await fill_form("patient", room.fields, cells)
        source.set((i, Entry(cells)))
        ui.update_text("name", value=_label_of(opened, i))

    @reactive.effect
    @reactive.event(input.clear)
    @guarded
    def _clear() -> None:
        hidden.set({})

    @render.ui
    def outcome() -> TagChild:
        taken = source()
        if taken is None or dict(taken[1].values) != dict(entry().values):
            return None
        return ui.p(_what_happened(room, taken[0], question.asked()), class_="hint")


def _lines(asker: Asker, found: Answer) -> list[Any]:
    return lines_of(found.curves, [arm.label for arm in asker.arms] or ["predicted"], banded=asker.has_intervals)


def _label_of(opened: Opened, i: int) -> str:
    """How a row of the data is called: by its identifier, where the table has one."""
    name = opened.note.identifier if opened.note is not None else None
    if name is not None and opened.table is not None and name in opened.table:
        return str(opened.table[name].iloc[i])
    return f"Row {i + 1}"


def _what_happened(room: Room, i: int, asked: Asked) -> str:
    """Treatment and outcome of a row of the data, from which the model has learned."""
    opened = room.opened
    said = f"{_label_of(opened, i)} of the data"
    parts = [f"{name} = {opened.table[name].iloc[i]}" for name in opened.model.treatments_ if opened.table is not None]
    if parts:
        said += f" received {', '.join(parts)}"
    if opened.outcomes is not None:
        row = opened.outcomes[i]
        when = asked.unit.both(float(row["time"]))
        seen = f"had the event at {when}" if row["event"] else f"was followed to {when} without the event"
        said += f"{' and' if parts else ''} {seen}"
    return f"{said}. The model was fitted to this row among others."
