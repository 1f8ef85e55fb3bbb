"""One patient: a form, curves under each treatment, a recommendation; and patients beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from htmltools import Tag, TagChild
from shiny import Inputs, Outputs, Session, module, reactive, render, req, ui

from underlie.app.controls import slider_bank
from underlie.app.file_names import file_name
from underlie.app.form.entry import Entry, cells_of, pick, read_entry
from underlie.app.form.inputs import chosen_row, fill_form, hidden_part
from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.survival import words
from underlie.app.survival.answer import Asker
from underlie.app.survival.document import document_of
from underlie.app.survival.drawing import MOST_BANDS, draw, legend_of, lines_of, lines_of_many
from underlie.app.survival.layout import layout
from underlie.app.survival.page import (
    Answer,
    Asked,
    advice_box,
    answer,
    comparison_table,
    described,
    outlook_table,
    remark_list,
)
from underlie.app.survival.question import MOST_ARMS, unit_named
from underlie.app.survival.room import Room
from underlie.app.words import Hint, guarded, note
from underlie.report.render import render_html

#: patients that one figure can tell apart
_MOST_PATIENTS: Final = 6
#: where the horizon's slider begins, as a share of follow-up
_FIRST: Final = 0.01
_UNSEEN: Final = "Grey: no event was seen so late, and curves are the model's own."
_BANDS: Final = f"Bands are pointwise 95 % intervals. {_UNSEEN}"
_NO_BANDS: Final = f"Intervals are in the table. {_UNSEEN}"


def patient_screen(opened: Opened) -> Screen:
    """The screen of one patient."""
    room = Room.of(opened)
    return Screen("Patient", ui=lambda id: layout(id, room), server=lambda id: _server(id, room))


@module.server
def _server(input: Inputs, output: Outputs, session: Session, room: Room) -> None:
    opened, model = room.opened, room.opened.model
    compared: reactive.Value[tuple[tuple[str, Entry], ...]] = reactive.value(())
    hidden: reactive.Value[dict[str, Any]] = reactive.value({})
    source: reactive.Value[tuple[int, Entry] | None] = reactive.value(None)

    # ---- what is asked ----
    @reactive.calc
    def entry() -> Entry:
        return read_entry(
            room.fields, hidden() | ((input.patient() if "patient" in input else None) or {}), model.encoder_
        )

    @reactive.calc
    def problem() -> str:
        """Why nothing can be asked; said once, in the place of the advice."""
        if room.arms and input.gain() is not None and not 0 <= input.gain() <= 100:
            return "Least gain: give percentage points between 0 and 100."
        if len(room.arms) > MOST_ARMS and len({input.control(), *input.arms()}) > MOST_ARMS:
            return f"A figure can tell {MOST_ARMS} treatments apart, the control among them: choose fewer."
        return ""

    @reactive.calc
    def shown() -> tuple[str, ...]:
        if len(room.arms) <= MOST_ARMS:
            return tuple(arm.name for arm in room.arms)
        req(not problem())
        chosen = {input.control(), *input.arms()}
        return tuple(arm.name for arm in room.arms if arm.name in chosen)

    @reactive.calc
    def asker() -> Asker:
        return room.asker(shown())

    @reactive.calc
    def asked() -> Asked:
        unit = unit_named(input.unit(), model.follow_up_)
        moved = input.horizon() if "horizon" in input else None
        share = room.start.horizon / model.follow_up_ if moved is None else float(moved["value"]) / _end(unit)
        gain = input.gain() if room.arms else None
        req(not problem())
        control = input.control() if room.arms else ""
        min_gain = room.start.min_gain if gain is None else gain / 100
        return Asked(min(share, 1.0) * model.follow_up_, unit, control, min_gain)

    def _end(unit: Any) -> float:
        return float(model.follow_up_ / unit.per_shown)

    @reactive.calc
    def found() -> Answer:
        return answer(asker(), _named(input.name()), entry(), asked())

    @reactive.calc
    def others() -> tuple[Answer, ...]:
        return tuple(answer(asker(), name, other, asked()) for name, other in compared())

    @render.ui
    def horizon_slider() -> Tag:
        unit = unit_named(input.unit(), model.follow_up_)
        with reactive.isolate():
            now = asked().horizon / unit.per_shown
        label = f"Horizon, {unit.shown}" if unit.shown else "Horizon"
        return slider_bank("horizon", [label], [now], [(_FIRST * _end(unit), _end(unit))], label="Horizon")

    # ---- what is said ----
    def _about_advice() -> list[str]:
        left_out = len(room.arms) > len(shown())
        considered = f"Only the {len(shown())} treatments chosen above are considered." if left_out else ""
        return [said for said in (room.judged, considered) if said]

    @render.ui
    def advice() -> Tag:
        if problem():
            return note(problem(), "problem")
        return advice_box(asker(), found(), asked(), remarks=_about_advice())

    @render.ui
    def remarks() -> TagChild:
        return remark_list(entry())

    @render.ui
    def legend() -> TagChild:
        return legend_of(_lines(asker(), found())) if room.arms else None

    @render.ui
    def curves() -> Tag:
        lines = _lines(asker(), found())
        width = session.clientdata.output_width("curves")
        last = float(model.event_times_[-1])
        return draw(lines, asked().unit, asked().horizon, last, label=described(found(), asked()), width=width)

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

    # ---- patients of the data ----
    @reactive.effect
    @reactive.event(input.take)
    @guarded
    async def _take() -> None:
        i = chosen_row(input.row(), opened.n_rows)
        cells = cells_of(model.covariates(pick(opened.rows, [i])), room.fields, 0)
        hidden.set(hidden_part(room.fields, cells))
        await fill_form("patient", room.fields, cells)
        source.set((i, Entry(cells)))
        ui.update_text("name", value=_label_of(opened, i))

    @render.ui
    def outcome() -> TagChild:
        taken = source()
        if taken is None or dict(taken[1].values) != dict(entry().values):
            return None
        return ui.p(_what_happened(room, taken[0], asked()), class_="hint")

    @reactive.effect
    @reactive.event(input.clear)
    @guarded
    def _clear() -> None:
        hidden.set({})

    # ---- comparison ----
    @reactive.effect
    @reactive.event(input.add)
    @guarded
    def _add() -> None:
        if len(compared()) >= _MOST_PATIENTS:
            raise Hint(f"A figure can tell {_MOST_PATIENTS} patients apart: remove one first.")
        name, taken = _named(input.name()), dict(compared())
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
        return legend_of(_compared_lines(asker(), others())) if compared() else None

    @render.ui
    def compared_curves() -> TagChild:
        if not compared():
            return None
        label = f"Predicted survival curves of {', '.join(name for name, _ in compared())}."
        width = session.clientdata.output_width("compared_curves")
        last = float(model.event_times_[-1])
        return draw(
            _compared_lines(asker(), others()),
            asked().unit,
            asked().horizon,
            last,
            label=label,
            width=width,
        )

    # ---- to keep ----
    def whole_page() -> str:
        return render_html(document_of(room, asker(), found(), asked(), others()))

    @render.download_button(filename=lambda: f"{file_name(input.name())}.html", media_type="text/html")
    def page() -> Iterator[str]:
        yield whole_page()

    @reactive.effect
    @reactive.event(input.print)
    @guarded
    async def _print() -> None:
        await session.send_custom_message("underlie-print", {"html": whole_page()})


def _lines(asker: Asker, found: Answer) -> list[Any]:
    return lines_of(found.curves, [arm.label for arm in asker.arms] or ["predicted"], banded=asker.has_intervals)


def _compared_lines(asker: Asker, others: tuple[Answer, ...]) -> list[Any]:
    return lines_of_many([(other.name, other.curves) for other in others], [arm.label for arm in asker.arms] or [""])


def _named(name: str) -> str:
    return name.strip()[:60] or "Patient"


def _free_name(name: str, taken: list[str]) -> str:
    """The name itself, or the next number: "Patient 2" after "Patient 1"."""
    stem = name.rstrip("0123456789")
    stem = stem if stem.endswith(" ") else f"{name} "
    names = [name, *(f"{stem}{i}" for i in range(2, len(taken) + 3))]
    return next(free for free in names if free not in taken)


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
