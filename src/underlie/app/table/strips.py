"""Intervals and shares as pictures: what is expected now, over what is expected when nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from htmltools import Tag, TagAttrValue, TagChild
from shiny import ui

from underlie.app.form.fields import Field
from underlie.app.table.imputation import Guess, Guesses, Spread
from underlie.report.numbers import format_number

#: columns that are shown
_MOST_COLUMNS: Final = 60
#: levels that are drawn, the most probable; the others together
_MOST_LEVELS: Final = 6
_WIDTH, _HEIGHT = 200.0, 26.0
_NOW, _BEFORE = "#0b5c94", "#8f989f"


def guess_list(fields: tuple[Field, ...], values: Mapping[str, Any], found: Guesses, before: Guesses) -> Tag:
    """One line per column: what stands in the form, or what the model expects in its place."""
    lines = []
    shown = _moved_most(fields, found, before)
    for field in shown:
        lines.append(ui.tags.dt(field.name))
        if field.name in found.by_column:
            lines.append(ui.tags.dd(*_shown(field, found.by_column[field.name], before.by_column[field.name])))
        else:
            lines.append(
                ui.tags.dd(ui.span(field.text_of(values[field.name])), ui.span("entered", class_="field-hint"))
            )
    table = ui.tags.dl(*lines, class_="guesses")
    if len(fields) <= _MOST_COLUMNS:
        return table
    said = f"Of {len(found.by_column):,} empty columns these {len(shown)} moved most by what is entered."
    return ui.div(ui.p(said, class_="hint"), table)


def _moved_most(fields: tuple[Field, ...], found: Guesses, before: Guesses) -> tuple[Field, ...]:
    """All fields, or of very many the empty ones whose guesses moved most, in their own order."""
    if len(fields) <= _MOST_COLUMNS:
        return fields
    moves = {name: _move(now, before.by_column[name]) for name, now in found.by_column.items()}
    chosen = set(sorted(moves, key=lambda name: -moves[name])[:_MOST_COLUMNS])
    return tuple(field for field in fields if field.name in chosen)


def _move(now: Guess, before: Guess) -> float:
    """How far a median moved, in halves of the 95 % interval, or by how much the share of a level changed."""
    if now.number is not None and before.number is not None:
        width = before.number.high - before.number.low
        return 2 * abs(now.number.median - before.number.median) / width if width > 0 else 0.0
    return max(abs(a - b) for a, b in zip(now.shares, before.shares, strict=True))


def text_of(guess: Guess) -> str:
    """A guess in words: median and 95 % interval, or the level that is most probable with its share."""
    if guess.number is not None:
        low, median, high = (format_number(v, 3) for v in (guess.number.low, guess.number.median, guess.number.high))
        return f"{median} ({low} to {high})"
    best = max(range(len(guess.shares)), key=lambda i: guess.shares[i])
    return f"{_level(guess, best)} ({100 * guess.shares[best]:.0f} %)"


def _shown(field: Field, now: Guess, before: Guess) -> list[TagChild]:
    if now.number is not None and before.number is not None:
        return [_strip(field.name, now.number, before.number), ui.span(text_of(now), class_="guess-text")]
    order = sorted(range(len(now.shares)), key=lambda i: -now.shares[i])
    if len(order) > _MOST_LEVELS:
        shown = sorted(order[:_MOST_LEVELS])
        rest = 1 - sum(now.shares[i] for i in shown)
        others = ui.div(ui.span(f"{len(order) - _MOST_LEVELS} others"), ui.span(), ui.span(f"{100 * rest:.0f} %"))
    else:
        shown, others = list(range(len(now.shares))), None
    lines = [_share_line(_level(now, i), now.shares[i], before.shares[i]) for i in shown]
    return [ui.div(*lines, others, class_="shares")]


def _share_line(level: str, now: float, before: float) -> Tag:
    bar = _svg(
        {"role": "img", "aria-label": f"{100 * now:.0f} %, {100 * before:.0f} % when nothing is known"},
        _rect(0, 6, _WIDTH * now, 14, _NOW),
        _rect(min(max(0.0, _WIDTH * before - 1.5), _WIDTH - 3), 2, 3, 22, _BEFORE),
    )
    return ui.div(ui.span(level), bar, ui.span(f"{100 * now:.0f} %"))


def _strip(name: str, now: Spread, before: Spread) -> Tag:
    """Grey: 95 % when nothing is known. Pale: 95 % now; dark: the middle half; line: the median."""
    low, high = min(now.low, before.low), max(now.high, before.high)
    span = high - low if high > low else 1.0

    def x(value: float) -> float:
        return 4 + (_WIDTH - 8) * (value - low) / span

    label = (
        f"{name}: median {format_number(now.median, 3)}, 95 % from {format_number(now.low, 3)} to "
        f"{format_number(now.high, 3)}; when nothing is known from {format_number(before.low, 3)} to "
        f"{format_number(before.high, 3)}"
    )
    return _svg(
        {"role": "img", "aria-label": label},
        _rect(x(before.low), 11, x(before.high) - x(before.low), 4, _BEFORE),
        _rect(x(now.low), 7, x(now.high) - x(now.low), 12, "#9cc4e0"),
        _rect(x(now.quarter), 7, x(now.three_quarters) - x(now.quarter), 12, _NOW),
        _rect(x(now.median) - 1.5, 2, 3, 22, "#22272c"),
    )


def _level(guess: Guess, i: int) -> str:
    assert guess.column.levels is not None
    return str(guess.column.levels[i])


def _svg(attributes: dict[str, TagAttrValue], *children: Tag) -> Tag:
    size: dict[str, TagAttrValue] = {"viewBox": f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", "class": "strip"}
    return Tag("svg", size, attributes, *children)


def _rect(x: float, y: float, width: float, height: float, colour: str) -> Tag:
    place: dict[str, TagAttrValue] = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{max(width, 0.5):.1f}"}
    return Tag("rect", place | {"height": f"{height:.1f}", "fill": colour})
