"""Rows in latent space: who lies where, what a point stands for, and how a group differs from the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, final

import numpy as np
import pandas as pd
from htmltools import Tag, TagChild
from numpy.typing import NDArray
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from underlie.app.form.entry import cells_of, pick
from underlie.app.form.fields import fields_of
from underlie.app.latent_map import MapFigure, latent_map, render_map
from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.table.differences import Difference, differences
from underlie.app.table.page import MOST_SHOWN, difference_rows, difference_table, row_table
from underlie.app.table.rows import Rows, as_frame, colours_of, rows_of
from underlie.app.words import Hint, guarded
from underlie.plot.latent import widest_pair

_BY_EYE: Final = (
    "The group was chosen by looking at the rows, in coordinates that were made from these very columns: it had to "
    "differ, and no p-value would mean anything. A standardised difference of 0.2 is small, of 0.8 large (Cohen, "
    "1988). Whether a difference is real, other data must show."
)
_HOW: Final = (
    "Each point is a row at the mean of its latent coordinates. Draw a lasso around some to compare them with the "
    "rest; click a point to see its row. With Move, drag the ring: what the model expects at that point is shown "
    "below."
)
_DRAWN: Final = "There are no data beside the model: these points are rows that the model itself drew."


def map_screen(opened: Opened) -> Screen:
    """The screen of the latent map."""
    rows = rows_of(opened)
    return Screen("Latent map", ui=lambda id: _ui(id, opened, rows), server=lambda id: _server(id, opened, rows))


@module.ui
def _ui(opened: Opened, rows: Rows) -> Tag:
    decodes = _decodes(opened.model)
    return ui.div(
        ui.div(
            ui.h2("Latent map"),
            ui.p(_HOW if decodes else _HOW.split(" With Move")[0], class_="hint"),
            ui.p(_DRAWN, class_="hint") if rows.drawn else None,
            ui.p(f"{len(rows):,} of {rows.whole:,} rows are shown, drawn at random.", class_="hint")
            if len(rows) < rows.whole
            else None,
            ui.div(*_look_controls(opened, rows), class_="controls"),
            latent_map(
                "map",
                label="Rows in the latent plane",
                tools=("lasso", "cursor", "zoom") if decodes else ("lasso", "zoom"),
            ),
            class_="block",
        ),
        ui.div(
            ui.h2("A group of rows"),
            ui.tags.details(
                ui.tags.summary("Choose rows by a column instead of the lasso"),
                ui.div(_by_column(opened, rows), class_="controls below"),
                ui.output_ui("condition"),
            ),
            ui.div(ui.output_ui("group"), {"aria-live": "polite"}),
            class_="block",
        ),
        ui.div(ui.output_ui("clicked"), class_="block"),
        ui.div(ui.output_ui("at_cursor"), class_="block"),
        class_="columns-2",
    )


def _look_controls(opened: Opened, rows: Rows) -> Iterator[TagChild]:
    names = {"": "nothing"} | {f"c{i}": name for i, name in enumerate(colours_of(opened, rows))}
    first = "c0" if "label" in names.values() else ""
    yield ui.input_select("colour", "Colour by", names, selected=first)
    width = rows.means.shape[1]
    if width > 2:
        axes = {str(j): f"z{j + 1}" for j in range(width)}
        shown = widest_pair(rows.means)
        yield ui.input_select("across", "Across", axes, selected=str(shown[0]))
        yield ui.input_select("up", "Up", axes, selected=str(shown[1]))


def _by_column(opened: Opened, rows: Rows) -> Tag:
    names = {f"c{i}": name for i, name in enumerate(colours_of(opened, rows))}
    return ui.input_select("by", "Column", {"": "choose"} | names)


@final
class _Looked:
    """The rows of a map as one page looks at them: which are chosen, how they are called and coloured."""

    def __init__(self, opened: Opened, rows: Rows) -> None:
        self.opened, self.rows = opened, rows
        self.schema = opened.model.schema_
        self.fields = fields_of(self.schema)
        self.place = {int(number): i for i, number in enumerate(rows.numbers)}
        self.colours = colours_of(opened, rows)
        self.columns = {f"c{i}": name for i, name in enumerate(self.colours)}
        self.chosen: reactive.Value[NDArray[np.bool_] | None] = reactive.value(None)

        @reactive.calc
        def found() -> tuple[Difference, ...]:
            inside = self.chosen()
            if inside is None or inside.all():
                return ()
            cells = rows.cells
            return differences(
                self.schema,
                {name: own[inside] for name, own in cells.items()},
                {name: own[~inside] for name, own in cells.items()},
            )

        self.found: Callable[[], tuple[Difference, ...]] = found


@module.server
def _server(input: Inputs, output: Outputs, session: Session, opened: Opened, rows: Rows) -> None:
    here = _Looked(opened, rows)

    def axes() -> tuple[int, ...]:
        width = rows.means.shape[1]
        return (int(input.across()), int(input.up())) if width > 2 else tuple(range(width))

    @render_map
    def map() -> MapFigure:
        shown, colour = axes(), here.columns.get(input.colour())
        if not shown:
            raise Hint("The model has no latent coordinate: it found nothing but noise, so that there is no map.")
        return MapFigure(
            points=_plane(rows.means, shown),
            rows=rows.numbers,
            groups=None if colour is None else here.colours[colour],
            legend=colour or "rows",
            axes=(f"z{shown[0] + 1}", f"z{shown[1] + 1}" if len(shown) > 1 else "spread at random"),
            cursor=(0.0, 0.0) if _decodes(opened.model) else None,
            equal=len(shown) > 1,
        )

    _choices(input, here)
    _group(here)
    _points(input, here, axes)
    _files(here)


def _choices(input: Inputs, here: _Looked) -> None:
    """Rows are chosen by the lasso, or by a column."""

    @reactive.effect
    @reactive.event(input.map_rows)
    @guarded
    def _by_lasso() -> None:
        inside = [here.place[int(number)] for number in input.map_rows() if int(number) in here.place]
        here.chosen.set(_mask(len(here.rows), inside) if inside else None)

    @render.ui
    def condition() -> TagChild:
        name = here.columns.get(input.by())
        if name is None:
            return None
        values = here.colours[name]
        button = ui.input_action_button("select", "Choose these rows", class_="btn-default")
        if values.dtype.kind in "fiu":
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            return ui.div(
                ui.input_numeric("low", f"{name} from", low),
                ui.input_numeric("high", "to", high),
                button,
                class_="controls",
            )
        choices = {str(i): level for i, level in enumerate(_levels(values))}
        return ui.div(ui.input_select("level", name, choices), button, class_="controls")

    @reactive.effect
    @reactive.event(input.select)
    @guarded
    def _by_condition() -> None:
        values = here.colours[here.columns[input.by()]]
        if values.dtype.kind in "fiu":
            low, high = input.low(), input.high()
            if low is None or high is None:
                raise Hint("Give both ends of the range.")
            inside = (values >= low) & (values <= high)
        else:
            level = _levels(values)[int(input.level())]
            inside = np.array([str(v) == level for v in values.tolist()])
        if not inside.any():
            raise Hint("No row is in this range.")
        here.chosen.set(inside)


def _group(here: _Looked) -> None:
    """What sets the chosen rows apart."""

    @render.ui
    def group() -> TagChild:
        inside, found = here.chosen(), here.found
        if inside is None:
            return ui.p("No rows are chosen yet: draw a lasso on the map.", class_="hint")
        if inside.all():
            return ui.p("All rows are chosen: there is no rest to compare them with.", class_="hint")
        n = int(inside.sum())
        return ui.TagList(
            ui.p(ui.tags.strong(f"{n:,} row{'s' * (n != 1)} chosen, {len(inside) - n:,} others")),
            ui.p(_BY_EYE, class_="hint"),
            ui.div(
                ui.download_button("summary_file", "This table as CSV", class_="btn-default"),
                ui.download_button("rows_file", "The chosen rows as CSV", class_="btn-default"),
                class_="controls",
            ),
            difference_table(found(), "chosen", "rest"),
            ui.p(f"The {MOST_SHOWN} lines that differ most; all are in the file.", class_="hint")
            if len(found()) > MOST_SHOWN
            else None,
        )


def _points(input: Inputs, here: _Looked, axes: Callable[[], tuple[int, ...]]) -> None:
    """The row of a point that was clicked, and what the model expects at the ring."""
    model, rows = here.opened.model, here.rows

    @render.ui
    def clicked() -> TagChild:
        number = input.map_point() if "map_point" in input else None
        if number is None or int(number) not in here.place:
            return None
        cells = cells_of(pick(rows.table, [here.place[int(number)]]), here.fields, 0)
        return ui.TagList(ui.h2("The row of a point"), row_table(here.schema, cells, f"Row {int(number) + 1}"))

    @render.ui
    def at_cursor() -> TagChild:
        where = input.map_at() if "map_at" in input else None
        if where is None or not _decodes(model):
            return None
        z = np.zeros((1, rows.means.shape[1]))
        for axis, value in zip(axes(), (where["x"], where["y"]), strict=False):
            z[0, axis] = float(value)
        cells = cells_of(model.inverse_transform(z), here.fields, 0)
        said = ", ".join(f"z{axis + 1} = {z[0, axis]:.2f}" for axis in axes())
        rest = "; the other coordinates are 0" if rows.means.shape[1] > 2 else ""
        return ui.TagList(
            ui.h2("What the model expects at the ring"),
            ui.p(f"{said}{rest}. Means of numbers, and the most probable levels.", class_="hint"),
            row_table(here.schema, cells, "Expected row"),
        )


def _files(here: _Looked) -> None:
    """The comparison, and the chosen rows, to keep."""
    opened, rows = here.opened, here.rows

    @render.download_button(filename="chosen-against-rest.csv", media_type="text/csv")
    def summary_file() -> Iterator[str]:
        yield pd.DataFrame(difference_rows(here.found())).to_csv(index=False)

    @render.download_button(filename="chosen-rows.csv", media_type="text/csv")
    def rows_file() -> Iterator[str]:
        inside = here.chosen()
        assert inside is not None
        numbers = rows.numbers[inside]
        whole = opened.table if opened.table is not None and not rows.drawn else None
        table = as_frame(opened, pick(rows.table, np.flatnonzero(inside))) if whole is None else whole.iloc[numbers]
        table = table.reset_index(drop=True)
        table.insert(0, ".row", numbers + 1)
        yield table.to_csv(index=False)


def _levels(values: NDArray[Any]) -> list[str]:
    """The levels that occur, in order, as text."""
    return sorted({str(v) for v in values.tolist() if v is not None and v == v})


def _plane(means: NDArray[np.float64], shown: tuple[int, ...]) -> NDArray[np.float64]:
    """Two coordinates of each row; of a single one the other is spread at random, so that points can be told apart."""
    if len(shown) == 2:
        return means[:, list(shown)]
    return np.column_stack([means[:, 0], np.random.default_rng(0).uniform(-1, 1, len(means))])


def _mask(n: int, inside: list[int]) -> NDArray[np.bool_]:
    found = np.zeros(n, dtype=bool)
    found[inside] = True
    return found


def _decodes(model: Any) -> bool:
    """Whether a point of the plane alone stands for a row; some models need a label beside it."""
    return len(inspect.signature(model.inverse_transform).parameters) == 1
