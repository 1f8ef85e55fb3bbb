"""New rows that the model draws, as a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pandas as pd
from htmltools import Tag
from shiny import Inputs, Outputs, Session, module, reactive, render, req, ui

from underlie.app.file_names import file_name
from underlie.app.opened import Opened
from underlie.app.plain_table import plain_table
from underlie.app.screens import Screen
from underlie.app.table.cells import cells_of_rows
from underlie.app.table.differences import differences
from underlie.app.table.page import difference_table
from underlie.app.table.rows import as_frame, rows_of
from underlie.app.words import note

#: more are a matter of ``underlie sample``
_MOST: Final = 100_000
#: rows that are shown, and rows that are compared with the data
_SHOWN, _COMPARED = 8, 2_000
_PRIVACY = (
    "New rows are draws from the model: the same columns, types and levels as the data. That is no promise of "
    "anonymity: a model can have learned a rare row by heart."
)


def new_rows_screen(opened: Opened) -> Screen:
    """The screen that draws new rows."""
    return Screen("New rows", ui=_ui, server=lambda id: _server(id, opened))


@module.ui
def _ui() -> Tag:
    return ui.div(
        ui.div(
            ui.h2("New rows"),
            ui.p(_PRIVACY, class_="hint"),
            ui.div(
                ui.input_numeric("n", "How many", 1000, min=1, max=_MOST, step=1),
                ui.input_numeric("seed", "Seed", 0, min=0, step=1),
                ui.download_button("file", "Download as CSV", class_="btn-primary"),
                class_="controls",
            ),
            ui.p("The same number and seed give the same rows.", class_="hint"),
            ui.output_ui("first"),
            class_="block wide",
        ),
        ui.div(ui.output_ui("compared"), class_="block wide"),
        class_="columns-2",
    )


@module.server
def _server(input: Inputs, output: Outputs, session: Session, opened: Opened) -> None:
    model = opened.model

    @reactive.calc
    def problem() -> str:
        """Why no rows can be drawn; said once."""
        return _not_whole(input.n(), "How many", 1, _MOST) or _not_whole(input.seed(), "Seed", 0, 2**31 - 1)

    @reactive.calc
    def asked() -> tuple[int, int]:
        req(not problem())
        return int(input.n()), int(input.seed())

    @reactive.calc
    def some() -> Any:
        """Rows to show and to compare; not the first of the file, but drawn alike."""
        n, seed = asked()
        return model.sample(min(n, _COMPARED), random_state=seed)

    @render.ui
    def first() -> Tag:
        if problem():
            return note(problem(), "problem")
        shown = as_frame(opened, some()).head(_SHOWN)
        cells = [["" if pd.isna(cell) else _short(cell) for cell in row] for row in shown.itertuples(index=False)]
        n = asked()[0]
        caption = "Rows like those of the file" if n > _COMPARED else f"The first of {n:,}" if n > _SHOWN else "All"
        return plain_table([str(name) for name in shown.columns], cells, caption=caption)

    @render.ui
    def compared() -> Tag:
        rows = rows_of(opened)
        if rows.drawn:
            return ui.p("With data beside the model, new rows are compared with them here.", class_="hint")
        cells = cells_of_rows(model.encoder_, some())
        found = differences(model.schema_, cells, rows.cells)
        return ui.div(
            ui.h2("Are they like the data?"),
            ui.p(
                "Column by column; the largest difference first. Means and shares that agree do not show that columns "
                "hang together as they do in the data: ul.mega tests that.",
                class_="hint",
            ),
            difference_table(found, "new rows", "data"),
        )

    @render.download_button(filename=lambda: f"{file_name(opened.name)}-new-rows.csv", media_type="text/csv")
    async def file() -> AsyncIterator[str]:
        n, seed = asked()
        yield await asyncio.to_thread(lambda: csv_of(opened, model.sample(n, random_state=seed)))


def csv_of(opened: Opened, rows: Any) -> str:
    """Rows of a model as the text of a CSV file; missing cells are empty."""
    return str(as_frame(opened, rows).to_csv(index=False))


def _not_whole(value: Any, name: str, low: int, high: int) -> str:
    """What is wrong with a number that should be whole and between two others; empty when nothing is."""
    if isinstance(value, (int, float)) and value == int(value) and low <= value <= high:
        return ""
    return f"{name}: give a whole number from {low:,} to {high:,}."


def _short(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
