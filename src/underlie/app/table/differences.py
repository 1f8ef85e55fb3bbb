r"""Two groups of rows compared column by column, by standardised differences.

.. math:: d = \frac{\bar x_1 - \bar x_2}{\sqrt{(s_1^2 + s_2^2) / 2}}, \qquad
          d = \frac{p_1 - p_2}{\sqrt{\{p_1 (1 - p_1) + p_2 (1 - p_2)\} / 2}}

for numbers and for shares of a level (Austin, 2009, Statistics in Medicine 28). They do not grow with the number of
rows, as test statistics do; tests would mean nothing where the groups were chosen by looking at the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from underlie.app.table.cells import Cells, Floats
from underlie.data.columns import Column

#: levels of a categorical column that are listed, those that differ most
_MOST_LEVELS: Final = 5


@final
@dataclass(frozen=True)
class Group:
    """One group's cells of a column: mean, or share of a level; median of a number; share of cells that are missing."""

    mean: float
    median: float | None
    missing: float


@final
@dataclass(frozen=True)
class Difference:
    """A column, or a level of one, in two groups of rows.

    Attributes
    ----------
    column : str
    level : str or None
        None for a number.
    first, second : Group
    standardised : float
        NaN where a group has no cells, or none of the two varies.
    """

    column: str
    level: str | None
    first: Group
    second: Group
    standardised: float

    @property
    def size(self) -> float:
        """For sorting: large differences first, unknown ones last."""
        return abs(self.standardised) if np.isfinite(self.standardised) else -1.0


def differences(columns: Iterable[Column], first: Cells, second: Cells) -> tuple[Difference, ...]:
    """Every column in both groups, the one that differs most first; levels of a column stay together.

    Parameters
    ----------
    columns : columns of the schema
    first, second : cells by column
        At least one row each.

    Raises
    ------
    ValueError
        If a group has no rows.
    """
    by_column = [_of_column(column, first[column.name], second[column.name]) for column in columns]
    by_column.sort(key=lambda found: -max(one.size for one in found))
    return tuple(one for found in by_column for one in found)


def _of_column(column: Column, first: Floats, second: Floats) -> list[Difference]:
    if not len(first) or not len(second):
        raise ValueError("a group has no rows: there is nothing to compare.")
    if column.levels is None:
        one, two = _number(first), _number(second)
        return [Difference(column.name, None, one, two, _standardised(one.mean, two.mean, _spread(first, second)))]
    # Of two levels the share of one says all.
    codes = [1] if len(column.levels) == 2 else range(len(column.levels))
    found = [_of_level(column, code, first, second) for code in codes]
    if len(found) <= _MOST_LEVELS:
        return found
    return sorted(found, key=lambda one: -one.size)[:_MOST_LEVELS]


def _of_level(column: Column, code: int, first: Floats, second: Floats) -> Difference:
    assert column.levels is not None
    one, two = _share(first, code), _share(second, code)
    spread = np.sqrt((one.mean * (1 - one.mean) + two.mean * (1 - two.mean)) / 2)
    return Difference(column.name, str(column.levels[code]), one, two, _standardised(one.mean, two.mean, float(spread)))


def _number(values: Floats) -> Group:
    there = values[~np.isnan(values)]
    if not len(there):
        return Group(np.nan, np.nan, 1.0)
    return Group(float(there.mean()), float(np.median(there)), 1 - len(there) / len(values))


def _share(codes: Floats, code: int) -> Group:
    there = codes[~np.isnan(codes)]
    share = float((there == code).mean()) if len(there) else np.nan
    return Group(share, None, 1 - len(there) / len(codes))


def _spread(first: Floats, second: Floats) -> float:
    """Root of the mean of both variances; of a single row no variance is known, and that of the others stands alone."""
    counted = [v[~np.isnan(v)] for v in (first, second)]
    variances = [float(v.var(ddof=1)) for v in counted if len(v) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else np.nan


def _standardised(one: float, two: float, spread: float) -> float:
    if one == two:
        return 0.0
    return (one - two) / spread if spread > 0 else np.nan
