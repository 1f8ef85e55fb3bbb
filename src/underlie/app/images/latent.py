"""The latent map of images: drag through latent space and watch the image change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from underlie.app.controls import Picture, pictures, render_pictures, set_sliders, slider_bank
from underlie.app.images.plane import Axes
from underlie.app.images.view import Floats, ImageView, said_label
from underlie.app.latent_map import MapFigure, latent_map, move_cursor, render_map, thinned
from underlie.app.opened import Opened
from underlie.app.words import Hint, guarded

_SIZE: Final = 146
#: sliders that are shown at once; the coordinates in which the rows vary more come first
_FIRST: Final = 8
#: how far from the middle sliders and empty maps reach, in standard deviations of the prior
_REACH: Final = 3.5


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows in latent space: their numbers, their places (n, M), and the axes to look at them along."""

    rows: NDArray[np.intp]
    z: Floats
    axes: Axes

    @property
    def order(self) -> list[int]:
        """The coordinates, those in which the rows vary most first; two are left as they are."""
        if self.z.shape[1] <= 2:
            return list(range(self.z.shape[1]))
        spread = self.z.var(axis=0) if len(self.z) else np.zeros(self.z.shape[1])
        return [int(j) for j in np.argsort(-spread, kind="stable")]


def encoded_rows(view: ImageView) -> Encoded:
    """The rows that are drawn, encoded; computed once for all pages. Slow for large images: call it on a thread."""
    opened = view.opened

    def compute() -> Encoded:
        rows = thinned(opened.n_rows)
        if not len(rows):
            return Encoded(rows, np.zeros((0, view.n_latent)), Axes.of(view.n_latent, None))
        labels = None if opened.labels is None else opened.labels[rows]
        z = view.encode(np.asarray(opened.rows[rows]), labels)
        return Encoded(rows, z, Axes.of(view.n_latent, z))

    return opened.remember("encoded", compute)


@module.ui
def map_ui(view: ImageView) -> ui.Tag:
    """The map, and what stands at its cursor."""
    opened = view.opened
    what = "styles: how an image looks beside what it shows" if hasattr(opened.model, "targets_") else "codes"
    hint = f"Drag, click or use the arrow keys: beside the map is what the model makes of that place ({what})."
    if opened.rows is not None:
        hint += " A click on a point shows that row and what the model keeps of it."
    return ui.div(
        ui.div(
            ui.tags.p(hint, class_="hint"),
            ui.output_ui("axes"),
            latent_map("map", label="Encoded images in the latent space, with a cursor", tools=("cursor", "zoom")),
            class_="block",
        ),
        ui.div(pictures("shown", size=_SIZE, label="The image at the cursor"), class_="block first-when-narrow"),
        ui.div(ui.output_ui("asked"), ui.h3("Traverse"), ui.output_ui("sliders"), class_="block"),
        class_="columns-2 wide-first beside-a-map",
    )


@final
class _Here:
    """The place in latent space that map and sliders move alike, and what is shown there: a row, labels."""

    def __init__(self, input: Inputs, view: ImageView) -> None:
        self.input, self.view = input, view
        self.place: reactive.Value[Floats] = reactive.value(np.zeros(view.n_latent))
        self.picked: reactive.Value[int | None] = reactive.value(None)
        self.labels: reactive.Value[list[Any]] = reactive.value(view.first_label())

        @reactive.extended_task
        async def encoding() -> Encoded:
            return await asyncio.to_thread(encoded_rows, view)

        encoding()
        self.encoded: Callable[[], Encoded] = encoding.result

    def axes(self) -> tuple[int, ...]:
        """The axes that the map shows."""
        names = self.encoded().axes.names
        if len(names) <= 2:
            return tuple(range(len(names)))
        asked = [self.input[which]() if which in self.input else None for which in ("across", "up")]
        return tuple(int(number) if number is not None else j for j, number in enumerate(asked))

    def position(self) -> tuple[float, float]:
        """The place on the map."""
        x, y = self.encoded().axes.positions(self.place()[None], self.axes())[0]
        return float(x), float(y)

    async def move_on_map(self, x: float, y: float) -> None:
        """Go where the map's cursor went; sliders follow."""
        self.place.set(self.encoded().axes.moved(self.place(), self.axes(), (x, y)))
        await self._move_sliders()

    async def move_coordinate(self, j: int, value: float) -> None:
        """Go along one coordinate; the map's cursor follows."""
        z = self.place().copy()
        z[j] = value
        self.place.set(z)
        await move_cursor("map", *self.position())

    async def show_row(self, row: int) -> None:
        """Go to a row; labels, cursor and sliders follow."""
        opened = self.view.opened
        self.picked.set(row)
        image = np.asarray(opened.rows[[row]])
        self.place.set(self.view.encode(image, _labels_of(opened, row))[0])
        if self.view.targets:
            said = self.view.read_labels(image)
            self.labels.set(said)
            for j, label in enumerate(said):
                ui.update_select(f"label{j}", selected=said_label(label))
        await move_cursor("map", *self.position())
        await self._move_sliders()

    async def _move_sliders(self) -> None:
        values = self.place()[self.encoded().order]
        await set_sliders("bank", values[:_FIRST])
        if self.view.n_latent > _FIRST:
            await set_sliders("more", values[_FIRST:])


@module.server
def map_server(input: Inputs, output: Outputs, session: Session, view: ImageView) -> None:
    """Keeps one place in latent space, which map and sliders move alike."""
    here = _Here(input, view)
    _controls(here)
    _map(here)
    _moves(input, here)
    _pictures(here)


def _controls(here: _Here) -> None:
    """Axes of the map, labels, row, sliders; there once the rows have places."""
    view, opened = here.view, here.view.opened

    @render.ui
    def axes() -> Any:
        names = here.encoded().axes.names
        if len(names) <= 2:
            return None
        choices = {str(j): name for j, name in enumerate(names)}
        return ui.div(
            ui.input_select("across", "Across", choices, selected="0"),
            ui.input_select("up", "Up", choices, selected="1"),
            class_="controls",
        )

    @render.ui
    def asked() -> Any:
        here.encoded()  # a row can be shown once the rows have places
        controls = [_label_control(j, target, view.named(j)) for j, target in enumerate(view.targets)]
        if opened.n_rows:
            controls.append(ui.input_numeric("row", "Show row", value=1, min=1, max=opened.n_rows, width="8rem"))
        return ui.div(*controls, class_="controls")

    @render.ui
    def sliders() -> Any:
        return _sliders(here.encoded(), view.n_latent)


def _map(here: _Here) -> None:
    @render_map
    def map() -> MapFigure:
        view, found, shown = here.view, here.encoded(), here.axes()
        with reactive.isolate():
            at = here.position()
        names = found.axes.names
        return MapFigure(
            _spread(found.axes.positions(found.z, shown), len(shown)),
            found.rows,
            groups=_first_labels(view.opened, found.rows),
            legend=(view.named(0) if view.targets else "") or "label",
            axes=(names[shown[0]], names[shown[1]] if len(shown) > 1 else "(spread at random)"),
            limits=None if len(found.rows) else ((-_REACH, _REACH),) * 2,
            cursor=at,
        )


def _moves(input: Inputs, here: _Here) -> None:
    """What moves the place: the map, sliders, a point, a row's number; and what changes the labels shown there."""
    opened = here.view.opened

    @reactive.effect
    @reactive.event(input.map_at)
    @guarded
    async def by_map() -> None:
        await here.move_on_map(input.map_at()["x"], input.map_at()["y"])

    def slid(source: str, first: int) -> None:
        @reactive.effect
        @reactive.event(input[source])
        @guarded
        async def by_slider() -> None:
            moved = input[source]()
            await here.move_coordinate(here.encoded().order[first + int(moved["index"])], float(moved["value"]))

    slid("bank", 0)
    slid("more", _FIRST)

    @reactive.effect
    @reactive.event(input.map_point)
    @guarded
    async def by_point() -> None:
        await here.show_row(int(input.map_point()))

    @reactive.effect
    @reactive.event(input.row)
    @guarded
    async def by_number() -> None:
        if input.row() is None:
            return
        if not 1 <= input.row() <= opened.n_rows:
            raise Hint(f"There are rows 1 to {opened.n_rows:,}; row {input.row()} is not among them.")
        await here.show_row(int(input.row()) - 1)

    def labelled(j: int, target: Any) -> None:
        @reactive.effect
        @reactive.event(input[f"label{j}"])
        @guarded
        def by_label() -> None:
            labels = list(here.labels())
            labels[j] = _label_of(target, input[f"label{j}"]())
            here.labels.set(labels)

    for j, target in enumerate(here.view.targets):
        labelled(j, target)


def _pictures(here: _Here) -> None:
    """What is seen: the image at the place, and the row that was picked, as it is and reconstructed."""

    @render_pictures
    def shown() -> list[Picture]:
        view, z = here.view, here.place()
        at = ", ".join(f"{value:.2f}" for value in z[:4]) + (", …" if view.n_latent > 4 else "")
        image = view.decode(z[None], here.labels())[0]
        found = view.picture(image, f"Image that the model generates at z = {at}", f"here: z = {at}")
        row = here.picked()
        return [found] if row is None else [found, *_row_pictures(view, row)]


def _row_pictures(view: ImageView, row: int) -> list[Picture]:
    image, labels = np.asarray(view.opened.rows[[row]]), _labels_of(view.opened, row)
    label = "" if labels is None else f", {said_label(np.atleast_1d(labels[0])[0])}"
    seen = view.reconstruct(image, labels)
    return [
        view.picture(image[0], f"Row {row + 1}{label}, as it is", f"row {row + 1}{label}: as it is"),
        view.picture(seen[0], f"Row {row + 1}, reconstructed", f"row {row + 1}: reconstructed"),
    ]


def _labels_of(opened: Opened, row: int) -> Any:
    """Labels of one row, as an array of one; None where there are none."""
    return None if opened.labels is None else opened.labels[[row]]


def _label_control(j: int, target: Any, name: str) -> ui.Tag:
    text = f"Shown as {name}".rstrip()
    if target.is_continuous:
        value = round(float(target.loc), 3)
        return ui.input_numeric(f"label{j}", text, value=value, width="10rem")
    names = [said_label(value) for value in target.classes]
    return ui.input_select(f"label{j}", text, names, width="10rem")


def _label_of(target: Any, said: Any) -> Any:
    """A label from the text of a control."""
    if target.is_continuous:
        if said is None:
            raise Hint(f"Give a number for {target.name}.")
        return float(said)
    return next(value for value in target.classes if said_label(value) == said)


def _sliders(found: Encoded, n_latent: int) -> ui.TagList:
    """Sliders of the coordinates; those in which the rows vary least stand behind a fold."""
    order = found.order
    reach = np.maximum(_REACH, np.abs(found.z).max(axis=0)) if len(found.z) else np.full(n_latent, _REACH)

    def bank(id: str, those: list[int]) -> ui.Tag:
        return slider_bank(
            id,
            [f"z{j + 1}" for j in those],
            [0.0] * len(those),
            [(-float(reach[j]), float(reach[j])) for j in those],
            label="Coordinates of the place in latent space",
        )

    if n_latent <= _FIRST:
        return ui.TagList(bank("bank", order))
    rest = ui.tags.details(
        ui.tags.summary(f"{n_latent - _FIRST} more, in which the rows vary less"), bank("more", order[_FIRST:])
    )
    return ui.TagList(bank("bank", order[:_FIRST]), rest)


def _spread(points: Floats, n_axes: int) -> Floats:
    """Points on one axis, spread along the other, where they would hide each other."""
    if n_axes > 1:
        return points
    return np.column_stack([points[:, 0], np.random.default_rng(0).uniform(-1, 1, len(points))])


def _first_labels(opened: Opened, rows: NDArray[np.intp]) -> Any:
    """Labels to colour the points by: the first column of several."""
    if opened.labels is None:
        return None
    labels = opened.labels[rows]
    return labels if labels.ndim == 1 else labels[:, 0]
