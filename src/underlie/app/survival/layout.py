"""Where things are on the survival screen: the form, the question, and places for the answers."""

from __future__ import annotations

from collections.abc import Iterator

from htmltools import Tag, TagChild
from shiny import module, ui

from underlie.app.form.inputs import empty_button, form, row_controls
from underlie.app.survival.room import Room
from underlie.report.time_unit import DAYS


@module.ui
def layout(room: Room) -> Tag:
    """Everything on the screen, before it is filled."""
    return ui.div(
        ui.div(*_patient_controls(room), class_="block"),
        ui.div(
            ui.h2("Survival"),
            ui.div(*_question_controls(room), class_="question"),
            ui.output_ui("horizon_slider", class_="horizon"),
            ui.div(ui.output_ui("advice"), {"aria-live": "polite"}),
            ui.output_ui("legend"),
            ui.div(id=module.resolve_id("curves"), class_="shiny-html-output shiny-report-size"),
            ui.output_ui("reading"),
            ui.output_ui("outlooks"),
            ui.output_ui("outcome"),
            ui.div(
                ui.download_button("page", "Download as HTML", class_="btn-default"),
                ui.input_action_button("print", "Print, or save as PDF", class_="btn-default"),
                class_="controls",
            ),
            class_="block",
        ),
        ui.div(
            ui.h2("Patients beside each other"),
            ui.div(
                ui.div(ui.output_ui("comparison"), class_="block"),
                ui.div(
                    ui.output_ui("compared_legend"),
                    ui.div(id=module.resolve_id("compared_curves"), class_="shiny-html-output shiny-report-size"),
                    class_="block",
                ),
                class_="columns-2",
            ),
            class_="block wide",
        ),
        ui.div(ui.h2("What these numbers cannot tell"), ui.output_ui("limits"), class_="block wide"),
        class_="columns-2",
    )


def _patient_controls(room: Room) -> Iterator[TagChild]:
    yield ui.h2("The patient")
    yield ui.p(
        "Any field may stay empty: it then counts as missing, and the prediction averages over what it may be. Numbers "
        "outside the data are taken, with a warning.",
        class_="hint",
    )
    yield row_controls(room.opened.n_rows)
    yield form("patient", room.fields, label="The patient")
    yield ui.output_ui("remarks")
    yield ui.div(
        ui.input_text("name", "Name", "Patient 1"),
        ui.input_action_button("add", "Add to the comparison", class_="btn-primary"),
        empty_button("patient"),
        class_="controls below",
    )


def _question_controls(room: Room) -> Iterator[TagChild]:
    if room.has_arms:
        labels = {arm.name: arm.label for arm in room.arms()}
        yield ui.div(
            ui.input_select("control", "Compared with", labels, selected=room.start.control),
            ui.input_numeric("gain", "Least gain, points", round(100 * room.start.min_gain, 3), min=0, max=100, step=1),
            _unit_select(room),
            class_="controls",
        )
    else:
        yield ui.div(_unit_select(room), class_="controls")
    for j, dose in enumerate(room.doses):
        yield ui.input_text(
            f"doses{j}",
            f"{dose.name}: doses to compare, of {dose.given}",
            dose.as_text(dose.first),
            width="100%",
            update_on="blur",
        )
    yield ui.output_ui("choice_of_arms")


def _unit_select(room: Room) -> Tag:
    units = {"": "not known"} | {unit: unit for unit in DAYS}
    return ui.input_select("unit", "Times in the data are", units, selected=room.start.unit.own)
