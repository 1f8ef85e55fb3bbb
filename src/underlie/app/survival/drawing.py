"""Survival curves as SVG: drawn on the server in a millisecond, sharp on paper, and read out by its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from htmltools import Tag, TagAttrValue, tags
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from underlie.app.survival.answer import Curve
from underlie.plot.style import palette
from underlie.report.numbers import format_number
from underlie.report.time_unit import TimeUnit

#: pixels: width where none is known, limits of the height, and room for the numbers at the axes
_WIDTH: Final = 640.0
_HEIGHTS: Final = (260.0, 400.0)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 12.0, 46.0
#: height of one name below the picture
_ENTRY: Final = 20.0
#: more bands than these hide each other
MOST_BANDS: Final = 3
#: lines are told apart by their dashes too
#: looks of straight lines; in the picture itself, so that it can leave the page
_RULES: Final = {
    "grid": {"stroke": "#e3e6e8"},
    "tick": {"stroke": "#7b858e"},
    "at": {"stroke": "#59626b", "stroke-dasharray": "3 3", "stroke-width": "1.5"},
}
_FONT: Final = {"font-family": "system-ui, sans-serif", "font-size": "13", "fill": "#22272c"}
DASHES: Final = ("", "9 4", "2 3", "9 3 2 3", "14 4", "5 5")


@final
@dataclass(frozen=True, eq=False)
class Line:
    """A curve with its look.

    Attributes
    ----------
    label : str
    curve : Curve
    colour, dash : str
    banded : bool
        Whether its interval is drawn.
    """

    label: str
    curve: Curve
    colour: str
    dash: str
    banded: bool = True


@final
@dataclass(frozen=True)
class _Frame:
    """From times and probabilities to pixels."""

    width: float
    height: float
    end: float

    def x(self, time: Any) -> Any:
        return _LEFT + (self.width - _LEFT - _RIGHT) * np.asarray(time) / self.end

    def y(self, share: Any) -> Any:
        return _TOP + (self.height - _TOP - _BOTTOM) * (1.0 - np.asarray(share))


def lines_of(curves: Sequence[Curve], labels: Sequence[str], *, banded: bool = True) -> list[Line]:
    """A line for each treatment of one patient; with its interval, where there are few."""
    looks = zip(curves, labels, palette(len(curves)), strict=True)
    shown = banded and len(curves) <= MOST_BANDS
    return [Line(label, curve, colour, _dash(i), shown) for i, (curve, label, colour) in enumerate(looks)]


def lines_of_many(patients: Sequence[tuple[str, Sequence[Curve]]], labels: Sequence[str]) -> list[Line]:
    """Lines for several patients: a colour for each patient, dashes for each treatment."""
    return [
        Line(f"{name}, {label}" if label else name, curve, colour, _dash(i), banded=False)
        for (name, curves), colour in zip(patients, palette(len(patients)), strict=True)
        for i, (curve, label) in enumerate(zip(curves, labels, strict=True))
    ]


def draw(
    lines: Sequence[Line],
    unit: TimeUnit,
    horizon: float,
    last_event: float,
    *,
    label: str,
    width: float | None = None,
    named: bool = False,
) -> Tag:
    """Curves over time, with bands, a line at the horizon, and shade where nobody was seen to have the event.

    Parameters
    ----------
    lines : sequence of Line
    unit : TimeUnit
    horizon, last_event : float
        In the unit of the curves.
    label : str
        What the figure shows, for those who do not see it.
    width : float, optional
        Pixels.
    named : bool
        Whether names of the lines stand below; a page has `legend` instead.
    """
    wide = max(260.0, width or _WIDTH)
    frame = _Frame(wide, float(np.clip(0.56 * wide, *_HEIGHTS)), float(lines[0].curve.times[-1]))
    height = frame.height + (_ENTRY * len(lines) if named else 0.0)
    size = {"viewBox": f"0 0 {frame.width:.0f} {height:.0f}", "role": "img", "aria-label": label}
    return _element(
        "svg",
        size | {"class": "curves", "xmlns": "http://www.w3.org/2000/svg", "width": f"{wide:.0f}"} | _FONT,
        *_axes(frame, unit),
        *_unseen(frame, last_event),
        *(_band(frame, line) for line in lines if line.banded),
        *(_curve(frame, line) for line in lines),
        _at_horizon(frame, lines, horizon, unit),
        *(_names(frame, lines) if named else ()),
    )


def legend_of(lines: Sequence[Line]) -> Tag:
    """Names of the lines beside samples of them."""
    return tags.ul(
        *(tags.li(_sample(line), tags.span(line.label)) for line in lines),
        class_="curve-legend",
    )


def _dash(i: int) -> str:
    return DASHES[i % len(DASHES)]


def _sample(line: Line) -> Tag:
    look = {"x1": "0", "x2": "32", "y1": "6", "y2": "6", "stroke": line.colour, "stroke-width": "2.5"}
    return _element(
        "svg",
        {"width": "32", "height": "12", "aria-hidden": "true"},
        _element("line", look | {"stroke-dasharray": line.dash}),
    )


def _names(frame: _Frame, lines: Sequence[Line]) -> list[Tag]:
    """A sample and a name for each line, below the time axis."""
    found = []
    for i, line in enumerate(lines):
        y = frame.height + _ENTRY * (i + 0.5)
        look = {"x1": f"{_LEFT:.1f}", "x2": f"{_LEFT + 32:.1f}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        look |= {"stroke": line.colour, "stroke-width": "2.5", "stroke-dasharray": line.dash}
        found += [_element("line", look), _text(line.label, _LEFT + 42, y + 4, "start")]
    return found


def _axes(frame: _Frame, unit: TimeUnit) -> list[Tag]:
    shown_end = frame.end / unit.per_shown
    steps = np.asarray(_ticks(frame).tick_values(0.0, shown_end))
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = float(frame.y(share))
        found.append(_rule(_LEFT, frame.width - _RIGHT, y, y, "grid"))
        found.append(_text(f"{100 * share:.0f}", _LEFT - 8, y + 4, "end"))
    base = float(frame.y(0.0))
    for step in steps[(steps >= 0) & (steps <= shown_end * 1.0001)]:
        x = float(frame.x(step * unit.per_shown))
        found.append(_rule(x, x, base, base + 5, "tick"))
        found.append(_text(format_number(float(step), 3), x, base + 19, "middle"))
    named = f"time, {unit.shown}" if unit.shown else "time"
    middle = (_LEFT + frame.width - _RIGHT) / 2
    upright = {"transform": f"translate(12 {(_TOP + base) / 2:.1f}) rotate(-90)", "text-anchor": "middle"}
    return [*found, _text(named, middle, frame.height - 6, "middle"), _element("text", upright, "survival, %")]


def _ticks(frame: _Frame) -> MaxNLocator:
    return MaxNLocator(nbins=max(3, int(frame.width // 90)), steps=[1, 2, 2.5, 5, 10])


def _unseen(frame: _Frame, last_event: float) -> list[Tag]:
    """Shade beyond the last event: there the curves are the model's own."""
    if last_event >= 0.995 * frame.end:
        return []
    x, right = float(frame.x(last_event)), frame.width - _RIGHT
    box = {"x": f"{x:.1f}", "y": f"{_TOP:.1f}", "width": f"{right - x:.1f}"}
    box |= {"height": f"{float(frame.y(0.0)) - _TOP:.1f}", "fill": "#59626b", "fill-opacity": "0.08"}
    return [_element("rect", box, _title("no event was seen after this time"))]


def _band(frame: _Frame, line: Line) -> Tag:
    curve = line.curve
    x, top, bottom = frame.x(curve.times), frame.y(curve.upper), frame.y(curve.lower)
    points = _points(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]]))
    return _element("polygon", {"points": points, "fill": line.colour, "fill-opacity": "0.13"})


def _curve(frame: _Frame, line: Line) -> Tag:
    points = _points(frame.x(line.curve.times), frame.y(line.curve.value))
    look = {"fill": "none", "stroke": line.colour, "stroke-width": "2.25", "stroke-dasharray": line.dash}
    return _element("polyline", {"points": points, "class": "curve"} | look, _title(line.label))


def _at_horizon(frame: _Frame, lines: Sequence[Line], horizon: float, unit: TimeUnit) -> Tag:
    x = float(frame.x(horizon))
    marks = []
    for line in lines:
        share = float(np.interp(horizon, line.curve.times, line.curve.value))
        place = {"cx": f"{x:.1f}", "cy": f"{float(frame.y(share)):.1f}", "r": "4.5", "fill": line.colour}
        said = _title(f"{line.label}: {100 * share:.1f} % at {unit.text(horizon)}")
        marks.append(_element("circle", place | {"stroke": "#fff", "stroke-width": "1.5"}, said))
    return _element("g", {}, _rule(x, x, _TOP, float(frame.y(0.0)), "at"), *marks)


def _rule(x1: float, x2: float, y1: float, y2: float, kind: str) -> Tag:
    ends = {"x1": x1, "x2": x2, "y1": y1, "y2": y2}
    return _element("line", {name: f"{value:.1f}" for name, value in ends.items()} | _RULES[kind])


def _text(words: str, x: float, y: float, anchor: str) -> Tag:
    return _element("text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}, words)


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _title(words: str) -> Tag:
    """Shown by the browser when the pointer rests on an element."""
    return _element("title", {}, words)


def _element(name: str, look: Mapping[str, str], *children: Any) -> Tag:
    attributes: dict[str, TagAttrValue] = {**look}
    return Tag(name, attributes, *children)
