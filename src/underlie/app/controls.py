"""Controls and outputs that answer while a pointer moves: pictures, banks of sliders, a field to draw in.

Shiny's own controls wait for a pause. These send their newest value as soon as the last one was answered, so that a
drag is as quick as the server, and never queues up. Their browser side is in ``www/``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

import numpy as np
from htmltools import Tag, TagAttrs
from numpy.typing import NDArray
from shiny import ui
from shiny.module import resolve_id
from shiny.render.renderer import Jsonifiable, Renderer
from shiny.session import require_active_session

from underlie.app.words import SILENT, in_words, kind_of

T = TypeVar("T")

#: what a slider moves by with one arrow key, of its length
_STEPS: Final = 100


@dataclass(frozen=True)
class Picture:
    """An image on a page: its data address, what it shows in words, and what stands below it."""

    src: str
    alt: str
    caption: str = ""


def pictures(id: str, *, size: int = 168, across: int | None = None, label: str) -> Tag:
    """Where `render_pictures` shows images.

    Parameters
    ----------
    id : str
    size : int
        Width of each in pixels of the screen, at most.
    across : int, optional
        So many in a row, on any screen; by default as many as there is room for.
    label : str
        Names the group for screen readers.
    """
    attributes: TagAttrs = {"role": "group", "aria-label": label, "style": f"--size: {size}px"}
    if across is not None:
        attributes["style"] = f"--size: {size}px; --across: {across}"
    return ui.div(attributes, id=resolve_id(id), class_="pictures" + (" as-grid" if across is not None else ""))


class ExplainedRenderer(Renderer[T]):
    """An output whose errors are said in its place, in words; its binding in ``www/`` shows ``{"said", "kind"}``."""

    async def render(self) -> Jsonifiable:
        """What the browser is sent."""
        try:
            return await super().render()
        except SILENT:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the page is to say it
            return {"said": in_words(error), "kind": kind_of(error)}


class render_pictures(ExplainedRenderer[Sequence[Picture]]):
    """Output of `pictures`: a function that returns a sequence of `Picture`."""

    def auto_output_ui(self) -> Tag:
        """Where Shiny Express would put it."""
        return pictures(self.output_id, label=self.output_id)

    async def transform(self, value: Sequence[Picture]) -> Jsonifiable:
        """What the browser is sent."""
        return [asdict(picture) for picture in value]


def png(image: NDArray[Any], low: float, high: float, *, dark: bool = True, scale: int = 1) -> bytes:
    """An image (h, w) or (h, w, 3) as the bytes of a PNG file.

    Parameters
    ----------
    image : array
        Pixels beyond the limits are clipped; missing ones are white.
    low, high : float
        Values at the two ends of the scale.
    dark : bool
        Whether large values of a grey image are dark, as ink is.
    scale : int
        How many pixels wide and high one value becomes.
    """
    from PIL import Image

    span = high - low if high > low else 1.0
    shares = np.clip((np.asarray(image, dtype=float) - low) / span, 0, 1)
    if dark and shares.ndim == 2:
        shares = 1 - shares
    levels = np.rint(255 * np.nan_to_num(shares, nan=1.0)).astype(np.uint8)
    levels = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[2:] == (1,) else levels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def as_address(data: bytes, kind: str = "image/png") -> str:
    """Bytes as an address that a page can show by itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def slider_bank(
    id: str, labels: Sequence[str], values: Sequence[float], limits: Sequence[tuple[float, float]], *, label: str
) -> Tag:
    """Sliders below each other. ``input.<id>()`` is ``{"index": j, "value": v}``, the one that moved last."""
    name = resolve_id(id)
    rows = []
    for j, (text, value, (low, high)) in enumerate(zip(labels, values, limits, strict=True)):
        one = f"{name}-{j}"
        step = f"{(high - low) / _STEPS:.3g}"
        control: TagAttrs = {
            "type": "range",
            "data-index": str(j),
            "value": f"{value:.6g}",
            "min": f"{low:.6g}",
            "max": f"{high:.6g}",
            "step": step,
        }
        rows.append(
            ui.div(
                ui.tags.label(text, {"for": one}),
                ui.tags.input(control, id=one),
                ui.tags.output(f"{value:.2f}", {"for": one}),
                class_="slider-row",
            )
        )
    return ui.div(*rows, {"role": "group", "aria-label": label}, id=name, class_="slider-bank")


async def set_sliders(id: str, values: Sequence[float] | NDArray[np.float64]) -> None:
    """Move the sliders of a bank to these values; nothing is sent back for it."""
    session = require_active_session(None)
    await session.send_custom_message("underlie-sliders", {"id": session.ns(id), "values": [float(v) for v in values]})


def drawing_field(id: str, *, label: str, height: int, width: int) -> Tag:
    """A field to draw in with pen, finger, mouse or keys. ``input.<id>()`` is the data address of a PNG, or None."""
    name = resolve_id(id)
    sheet: TagAttrs = {
        "width": str(width),
        "height": str(height),
        "tabindex": "0",
        "role": "application",
        "aria-label": label,
        "aria-describedby": f"{name}-keys",
    }
    return ui.div(
        ui.div(ui.tags.canvas(sheet), ui.span({"aria-hidden": "true"}, class_="pen"), class_="sheet"),
        ui.p(
            "By keyboard: arrow keys move the pen, with Shift further; Space puts it down and lifts it, and then the "
            "drawing is read.",
            id=f"{name}-keys",
            class_="hint",
        ),
        ui.p({"role": "status"}, class_="hint"),
        ui.tags.button("Clear the drawing", type="button", class_="btn btn-default"),
        id=name,
        class_="drawing-field",
    )
