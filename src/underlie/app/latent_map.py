"""The latent plane with the encoded rows in it, a cursor to drag, and a lasso."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
from htmltools import Tag, TagAttrs
from numpy.typing import NDArray
from shiny import ui
from shiny.module import resolve_id
from shiny.render.renderer import Jsonifiable
from shiny.session import require_active_session

from underlie.app.controls import ExplainedRenderer

Tool: TypeAlias = Literal["cursor", "lasso", "zoom"]

#: points that a browser draws at once and finds quickly
MOST_POINTS: Final = 4_000
#: groups that a legend can tell apart; more, and numbers are drawn on a scale of colours
_MOST_GROUPS: Final = 20
_TOOLS: Final = {"cursor": "Move", "lasso": "Lasso", "zoom": "Zoom"}
#: plotly's names of the marker shapes of `underlie.plot.style`
_SYMBOLS: Final = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "<": "triangle-left",
    ">": "triangle-right",
    "*": "star",
}
_NO_GROUP: Final = "#8c8c8c"


@dataclass(frozen=True, eq=False)
class MapFigure:
    """What a map shows.

    Attributes
    ----------
    points : array (n, 2)
        At most `MOST_POINTS`; see `thinned`.
    rows : array (n,) of int
        Number of the row that each point stands for.
    groups : array (n,), optional
        Colours the points: groups, or numbers on a scale. None and NaN where unknown.
    legend : str
        Title of the groups.
    axes : tuple of 2 str
        Titles of the axes.
    hover : sequence of n str, optional
        What is shown when the pointer is on a point; by default the row's number and group.
    limits : tuple of 2 pairs of float, optional
        What the axes span; by default what the points do.
    cursor : tuple of 2 float, optional
        Where the cursor is; None for a map without.
    equal : bool
        Whether a unit is as long on both axes.
    """

    points: NDArray[np.float64]
    rows: NDArray[np.intp]
    groups: NDArray[Any] | None = None
    legend: str = "label"
    axes: tuple[str, str] = ("z1", "z2")
    hover: Sequence[str] | None = None
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None
    cursor: tuple[float, float] | None = None
    equal: bool = False


def latent_map(id: str, *, label: str, tools: Sequence[Tool] = ("cursor", "lasso", "zoom")) -> Tag:
    """Where `render_map` draws.

    Parameters
    ----------
    id : str
        ``input.<id>_at()`` is where the cursor was put, ``{"x", "y", "done"}``, ``done`` once it was let go;
        ``input.<id>_point()`` the number of the row whose point was clicked; ``input.<id>_rows()`` the list of numbers
        of rows inside the lasso.
    label : str
        What the map is, for screen readers.
    tools : sequence of {"cursor", "lasso", "zoom"}
        What dragging can do; the first is chosen. With one there is no choice.
    """
    name = resolve_id(id)
    choices = [_choice(f"{name}-tool", tool, chosen=tool == tools[0]) for tool in tools]
    attributes: TagAttrs = {"role": "group", "aria-label": label, "data-tool": tools[0]}
    bar: TagAttrs = {"role": "radiogroup", "aria-label": "What dragging does"}
    return ui.div(
        attributes,
        *([ui.div(bar, *choices, class_="map-tools")] if len(tools) > 1 else []),
        ui.div(class_="map-plot"),
        id=name,
        class_="latent-map",
    )


def _choice(name: str, tool: Tool, *, chosen: bool) -> Tag:
    attributes: TagAttrs = {"type": "radio", "name": name, "value": tool, "checked": "" if chosen else None}
    return ui.tags.label(ui.tags.input(attributes), ui.span(_TOOLS[tool]))


class render_map(ExplainedRenderer[MapFigure]):
    """Output of `latent_map`: a function that returns a `MapFigure`."""

    def auto_output_ui(self) -> Tag:
        """Where Shiny Express would put it."""
        return latent_map(self.output_id, label=self.output_id)

    async def transform(self, value: MapFigure) -> Jsonifiable:
        """What the browser is sent."""
        return {
            "groups": cast(Jsonifiable, _traces(value)),
            "legend": value.legend,
            "axes": list(value.axes),
            "cursor": None if value.cursor is None else [float(v) for v in value.cursor],
            "equal": value.equal,
            "limits": None if value.limits is None else [list(pair) for pair in value.limits],
        }


async def move_cursor(id: str, x: float, y: float) -> None:
    """Put the cursor of a map somewhere; nothing is sent back for it."""
    session = require_active_session(None)
    await session.send_custom_message("underlie-cursor", {"id": session.ns(id), "x": float(x), "y": float(y)})


def thinned(n: int, most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Numbers of the rows to draw: all, or ``most`` of them, drawn at random, always the same."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def on_scale(groups: NDArray[Any]) -> bool:
    """Whether labels are numbers on a scale rather than groups."""
    if groups.dtype.kind not in "fiu":
        return False
    seen = groups[np.isfinite(groups)]
    return len(np.unique(seen)) > _MOST_GROUPS or bool(np.any(seen != np.round(seen)))


def _traces(figure: MapFigure) -> list[dict[str, Any]]:
    """The points by group, each with colour and shape; first those of no group, which lie below."""
    everything = np.ones(len(figure.points), dtype=bool)
    if figure.groups is None:
        return [_trace(figure, everything, "rows", {"color": "#0072B2", "symbol": "circle"})]
    groups = np.asarray(figure.groups)
    if on_scale(groups):
        known = np.isfinite(groups.astype(float))
        traces = [_trace(figure, known, figure.legend, {"scale": _numbers(groups[known]), "symbol": "circle"})]
    else:
        known, traces = _known(groups), _by_group(figure, groups)
    if not known.all():
        traces.insert(0, _trace(figure, ~known, "unlabelled", {"color": _NO_GROUP, "symbol": "circle-open"}))
    return traces


def _by_group(figure: MapFigure, groups: NDArray[Any]) -> list[dict[str, Any]]:
    from underlie.plot.style import markers, palette

    known = _known(groups)
    levels = sorted(set(groups[known].tolist()), key=lambda level: (isinstance(level, str), level))
    looks = zip(levels, palette(len(levels)), markers(len(levels)), strict=True)
    return [
        _trace(
            figure,
            known & np.array([value == level for value in groups]),
            f"{level:g}" if isinstance(level, float) else str(level),
            {"color": colour, "symbol": _SYMBOLS[shape]},
        )
        for level, colour, shape in looks
    ]


def _trace(figure: MapFigure, those: NDArray[np.bool_], name: str, look: dict[str, Any]) -> dict[str, Any]:
    points = figure.points[those]
    hover = None if figure.hover is None else [text for text, taken in zip(figure.hover, those, strict=True) if taken]
    return {
        "name": name,
        "x": _numbers(points[:, 0]),
        "y": _numbers(points[:, 1]),
        "rows": figure.rows[those].tolist(),
        "hover": hover,
        **look,
    }


def _known(groups: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a label: -1 among whole numbers means none, as in semi-supervised data."""
    if groups.dtype.kind in "iu":
        known: NDArray[np.bool_] = groups >= 0 if groups.min(initial=0) == -1 else np.ones(len(groups), dtype=bool)
        return known
    return np.array([value is not None and value == value for value in groups], dtype=bool)


def _numbers(values: NDArray[Any]) -> list[float]:
    rounded: list[float] = np.round(values.astype(float), 4).tolist()
    return rounded
