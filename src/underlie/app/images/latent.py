"""The latent map of images: drag through latent space and watch the image change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

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


@module.server
def map_server(input: Inputs, output: Outputs, session: Session, view: ImageView) -> None:
    """Keeps one place in latent space, which map and sliders move alike."""
    opened = view.opened
    place = reactive.value(np.zeros(view.n_latent))
    picked: reactive.Value[int | None] = reactive.value(None)
    shown_label = reactive.value(view.first_label())

    @reactive.extended_task
    async def encoding() -> Encoded:
        return await asyncio.to_thread(encoded_rows, view)

    encoding()

    @reactive.calc
    def chosen() -> tuple[int, ...]:
        names = encoding.result().axes.names
        if len(names) <= 2:
            return tuple(range(len(names)))
        asked = [input[which]() if which in input else None for which in ("across", "up")]
        return tuple(int(number) if number is not None else j for j, number in enumerate(asked))

    def position() -> tuple[float, float]:
        x, y = encoding.result().axes.positions(place()[None], chosen())[0]
        return float(x), float(y)

    # ---- what is chosen ----
    @render.ui
    def axes() -> Any:
        names = encoding.result().axes.names
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
        encoding.result()  # a row can be shown once the rows have places
        controls = [_label_control(j, target, view.named(j)) for j, target in enumerate(view.targets)]
        if opened.n_rows:
            controls.append(ui.input_numeric("row", "Show row", value=1, min=1, max=opened.n_rows, width="8rem"))
        return ui.div(*controls, class_="controls")

    @render.ui
    def sliders() -> Any:
        return _sliders(encoding.result(), view.n_latent)

    # ---- the map ----
    @render_map
    def map() -> MapFigure:
        found = encoding.result()
        with reactive.isolate():
            at = position()
        names = found.axes.names
        titles = (names[chosen()[0]], names[chosen()[1]] if len(chosen()) > 1 else "(spread at random)")
        reach = None if len(found.rows) else ((-_REACH, _REACH),) * 2
        return MapFigure(
            _spread(found.axes.positions(found.z, chosen()), len(chosen())),
            found.rows,
            groups=_first_labels(opened, found.rows),
            legend=(view.named(0) if view.targets else "") or "label",
            axes=titles,
            limits=reach,
            cursor=at,
        )

    # ---- moving ----
    @reactive.effect
    @reactive.event(input.map_at)
    @guarded
    async def by_map() -> None:
        at = input.map_at()
        place.set(encoding.result().axes.moved(place(), chosen(), (at["x"], at["y"])))
        await move_sliders()

    def slid(source: str, first: int) -> None:
        @reactive.effect
        @reactive.event(input[source])
        @guarded
        async def by_slider() -> None:
            moved, order = input[source](), encoding.result().order
            z = place().copy()
            z[order[first + int(moved["index"])]] = float(moved["value"])
            place.set(z)
            await move_cursor("map", *encoding.result().axes.positions(z[None], chosen())[0])

    slid("bank", 0)
    slid("more", _FIRST)

    async def move_sliders() -> None:
        values = place()[encoding.result().order]
        await set_sliders("bank", values[:_FIRST])
        if view.n_latent > _FIRST:
            await set_sliders("more", values[_FIRST:])

    async def show_row(row: int) -> None:
        picked.set(row)
        image = np.asarray(opened.rows[[row]])
        labels = None if opened.labels is None else opened.labels[[row]]
        z = view.encode(image, labels)[0]
        place.set(z)
        if view.targets:
            said = view.read_labels(image)
            shown_label.set(said)
            for j, label in enumerate(said):
                ui.update_select(f"label{j}", selected=said_label(label))
        await move_cursor("map", *encoding.result().axes.positions(z[None], chosen())[0])
        await move_sliders()

    @reactive.effect
    @reactive.event(input.map_point)
    @guarded
    async def by_point() -> None:
        await show_row(int(input.map_point()))

    @reactive.effect
    @reactive.event(input.row)
    @guarded
    async def by_number() -> None:
        if input.row() is None:
            return
        if not 1 <= input.row() <= opened.n_rows:
            raise Hint(f"There are rows 1 to {opened.n_rows:,}; row {input.row()} is not among them.")
        await show_row(int(input.row()) - 1)

    def labelled(j: int, target: Any) -> None:
        @reactive.effect
        @reactive.event(input[f"label{j}"])
        @guarded
        def by_label() -> None:
            label = list(shown_label())
            label[j] = _label_of(target, input[f"label{j}"]())
            shown_label.set(label)

    for j, target in enumerate(view.targets):
        labelled(j, target)

    # ---- what is seen ----
    @render_pictures
    def shown() -> list[Picture]:
        here = view.decode(place()[None], shown_label())[0]
        at = ", ".join(f"{value:.2f}" for value in place()[:4]) + (", …" if view.n_latent > 4 else "")
        found = [view.picture(here, f"Image that the model generates at z = {at}", f"here: z = {at}")]
        row = picked()
        if row is None:
            return found
        image = np.asarray(opened.rows[[row]])
        label = "" if opened.labels is None else f", {said_label(np.atleast_1d(opened.labels[row])[0])}"
        seen = view.reconstruct(image, None if opened.labels is None else opened.labels[[row]])
        return [
            *found,
            view.picture(image[0], f"Row {row + 1}{label}, as it is", f"row {row + 1}{label}: as it is"),
            view.picture(seen[0], f"Row {row + 1}, reconstructed", f"row {row + 1}: reconstructed"),
        ]


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
