"""Some fields are filled in, and the model says what it expects of the others."""

from __future__ import annotations

from typing import Any

from htmltools import Tag, TagChild
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from underlie.app.form.entry import Entry, cells_of, pick, read_entry
from underlie.app.form.fields import Field, fields_of
from underlie.app.form.inputs import chosen_row, empty_button, fill_form, form, hidden_part, row_controls
from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.table.imputation import Guesses, guess, nothing_known
from underlie.app.table.strips import guess_list
from underlie.app.words import guarded

_READ = (
    "1000 draws from the model. Numbers: the median (black), the middle half (blue) and 95 % (pale). Levels: their "
    "probabilities. Grey: the same when nothing is known. The fitted model is treated as true, and cells as missing at "
    "random."
)
_POOR = (
    "Few draws explain these values together: the row is unlike those that the model was fitted to, and what it says "
    "of the rest is not dependable."
)


def what_if_screen(opened: Opened) -> Screen:
    """The screen of what-if imputation."""
    fields = fields_of(opened.model.schema_)
    return Screen("What if", ui=lambda id: _ui(id, opened, fields), server=lambda id: _server(id, opened, fields))


@module.ui
def _ui(opened: Opened, fields: tuple[Field, ...]) -> Tag:
    return ui.div(
        ui.div(
            ui.h2("What is known"),
            ui.p(
                "Fill in what is known. Every field may stay empty; the model says what it expects there.",
                class_="hint",
            ),
            row_controls(opened.n_rows),
            form("known", fields, label="What is known of the row"),
            ui.output_ui("remarks"),
            ui.div(empty_button("known"), class_="controls below"),
            class_="block",
        ),
        ui.div(
            ui.h2("What the model expects"),
            ui.p(_READ, class_="hint"),
            ui.div(ui.output_ui("expected"), {"aria-live": "polite"}),
            class_="block",
        ),
        class_="columns-2",
    )


@module.server
def _server(input: Inputs, output: Outputs, session: Session, opened: Opened, fields: tuple[Field, ...]) -> None:
    model = opened.model
    hidden: reactive.Value[dict[str, Any]] = reactive.value({})

    @reactive.calc
    def entry() -> Entry:
        return read_entry(fields, hidden() | ((input.known() if "known" in input else None) or {}), model.encoder_)

    @reactive.calc
    def found() -> Guesses:
        return guess(model, entry().values)

    @render.ui
    def remarks() -> TagChild:
        said = [*entry().remarks, *(() if found().dependable else (_POOR,))]
        return ui.tags.ul(*(ui.tags.li(sentence) for sentence in said), class_="remarks") if said else None

    @render.ui
    def expected() -> Tag:
        before = opened.remember("nothing known", lambda: guess(model, nothing_known(model.schema_.columns)))
        return guess_list(fields, entry().values, found(), before)

    @reactive.effect
    @reactive.event(input.take)
    @guarded
    async def _take() -> None:
        row = pick(opened.rows, [chosen_row(input.row(), opened.n_rows)])
        cells = cells_of(row, fields, 0)
        hidden.set(hidden_part(fields, cells))
        await fill_form("known", fields, cells)

    @reactive.effect
    @reactive.event(input.clear)
    @guarded
    def _clear() -> None:
        hidden.set({})
