"""What the screens of tables show, as tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from htmltools import Tag

from underlie.app.form.fields import fields_of
from underlie.app.plain_table import plain_table
from underlie.app.table.differences import Difference, Group
from underlie.data.columns import Column
from underlie.report.numbers import format_number

#: lines of a table of differences
MOST_SHOWN: Final = 60


def difference_table(found: Sequence[Difference], first: str, second: str) -> Tag:
    """Two groups of rows, column by column."""
    header = ["column", f"{first}, mean or share", f"{second}, mean or share", "standardised difference"]
    medians = any(one.first.median is not None for one in found)
    missing = any(one.first.missing > 0 or one.second.missing > 0 for one in found)
    header += [f"medians, {first} and {second}"] if medians else []
    header += [f"missing, {first} and {second}"] if missing else []
    rows = [_line(one, medians=medians, missing=missing) for one in found[:MOST_SHOWN]]
    return plain_table(header, rows, caption=f"{first} and {second}".capitalize())


def difference_rows(found: Sequence[Difference]) -> Iterator[dict[str, Any]]:
    """The same as records of a file, not rounded."""
    for one in found:
        yield {
            "column": one.column,
            "level": one.level,
            "selected_mean_or_share": one.first.mean,
            "rest_mean_or_share": one.second.mean,
            "selected_median": one.first.median,
            "rest_median": one.second.median,
            "standardised_difference": one.standardised,
            "selected_missing": one.first.missing,
            "rest_missing": one.second.missing,
        }


def row_table(columns: Sequence[Column], cells: dict[str, Any], header: str) -> Tag:
    """One row, a line for each column."""
    lines = [[field.name, field.text_of(cells[field.name])] for field in fields_of(columns)[:MOST_SHOWN]]
    return plain_table(["column", "value"], lines, caption=header)


def _line(one: Difference, *, medians: bool, missing: bool) -> list[str]:
    name = one.column if one.level is None else f"{one.column} = {one.level}"
    line = [name, _centre(one, one.first), _centre(one, one.second), _signed(one.standardised)]
    if medians:
        both = (one.first.median, one.second.median)
        line.append("" if one.level is not None else " and ".join(_number(median) for median in both))
    if missing:
        line.append(f"{100 * one.first.missing:.0f} and {100 * one.second.missing:.0f} %")
    return line


def _centre(one: Difference, group: Group) -> str:
    if one.level is None or not np.isfinite(group.mean):
        return _number(group.mean)
    return f"{100 * group.mean:.0f} %"


def _signed(size: float) -> str:
    if not np.isfinite(size):
        return "–"
    return "0.00" if abs(size) < 0.005 else f"{size:+.2f}".replace("-", "−")


def _number(value: float | None) -> str:
    return "–" if value is None else format_number(value, 3)
