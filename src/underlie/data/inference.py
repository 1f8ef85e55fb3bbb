"""The columns of a table, an array or images: kinds by the rules, levels, location and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from underlie.data.columns import DISCRETE, Column, ColumnArrays, Kind, Level, repeated
from underlie.data.rules import (
    Coding,
    Kinds,
    NumericBlock,
    array_kinds,
    as_levels,
    code_numeric,
    require_kind,
    stated_kinds,
    table_kinds,
)
from underlie.data.schema import abridge
from underlie.data.statistics import column_statistics, row_blocks
from underlie.data.tables import RawColumn, RawTable
from underlie.data.whole import Whole
from underlie.warnings import DataWarning, warn

_MANY_LEVELS: Final = 50


# -------------------------------------------------------------------------------------------------------------- tables


def infer_table(table: RawTable, kinds: Kinds) -> ColumnArrays:
    """Columns of a table.

    Raises
    ------
    ValueError
        If a column has no observed cell or contradicts its kind.
    """
    names = tuple(c.name for c in table.columns)
    stated = stated_kinds(kinds, names, table.labels)
    numeric = [j for j, c in enumerate(table.columns) if c.form in ("integer", "float")]
    columns: dict[int, Column] = {}
    if numeric:
        columns.update(_numeric_columns(table, numeric, stated))
    for j, column in enumerate(table.columns):
        if column.form == "boolean":
            columns[j] = _boolean_column(column, stated[j])
        elif column.form == "label":
            columns[j] = _label_column(column, stated[j])
    return ColumnArrays.of([columns[j] for j in range(len(names))])


def _numeric_columns(table: RawTable, at: list[int], stated: NDArray[np.object_]) -> dict[int, Column]:
    raws = [table.columns[j] for j in at]
    values = np.stack([c.values for c in raws], axis=1)
    missing = np.isnan(values)
    names = [c.name for c in raws]
    require_columns_observed(missing, names)
    statistics = column_statistics(values)
    block = NumericBlock(values, statistics, names, np.array([c.form == "integer" for c in raws]))
    kinds = table_kinds(block)
    for k, j in enumerate(at):
        kinds[k] = stated[j] or kinds[k]
    coding = code_numeric(block, kinds)
    some_missing = missing.any(axis=0)
    return {
        j: Column(
            raws[k].name, kinds[k], coding.levels[k], float(coding.loc[k]), float(coding.scale[k]), raws[k].dtype,
            bool(some_missing[k]), float(statistics.low[k]), float(statistics.high[k]),
        )
        for k, j in enumerate(at)
    }  # fmt: skip


def _boolean_column(column: RawColumn, stated: Kind | None) -> Column:
    missing = np.isnan(column.values)
    require_columns_observed(missing[:, None], [column.name])
    if stated not in (None, "binary", "categorical"):
        raise ValueError(
            f"column {column.name!r} of X is said to be {stated}, but holds booleans, which are binary. Convert it "
            'with .astype("int64") first if it shall be a number.'
        )
    return Column(column.name, stated or "binary", (False, True), 0.0, 1.0, column.dtype, bool(missing.any()))


def _label_column(column: RawColumn, stated: Kind | None) -> Column:
    missing = np.array([v is None for v in column.values])
    require_columns_observed(missing[:, None], [column.name])
    if stated is not None and stated not in DISCRETE:
        row = int(np.argmin(missing))
        raise ValueError(
            f"column {column.name!r} of X is said to be {stated}, but row {row} holds text, {column.values[row]!r}. "
            f'Convert it with pandas.to_numeric(X["{column.name}"], errors="coerce") if it is a number.'
        )
    levels = column.levels if column.levels is not None else tuple(sorted(set(column.values[~missing])))
    kind: Kind = "binary" if len(levels) == 2 else "ordinal" if column.ordered and len(levels) > 2 else "categorical"
    if stated == "binary" and len(levels) != 2:
        raise ValueError(
            f"column {column.name!r} of X is said to be binary, but has {len(levels)} levels: {abridge(levels)}. "
            "Choose categorical, or map the levels to two."
        )
    if column.levels is None:
        _warn_of_text(column, levels, int((~missing).sum()), stated)
    return Column(column.name, stated or kind, levels, 0.0, 1.0, column.dtype, bool(missing.any()))


def _warn_of_text(column: RawColumn, levels: tuple[str, ...], n_observed: int, stated: Kind | None) -> None:
    """Text that is accepted as categories, but looks as if it were something else."""
    name = column.name
    if stated == "ordinal":
        _warn(
            f"column {name!r} of X is said to be ordinal, but text has no order of its own: the levels are taken in "
            f"alphabetical order, {abridge(levels)}. Use an ordered pandas Categorical to state the order."
        )
    elif len(levels) == n_observed and len(levels) > _MANY_LEVELS:
        _warn(
            f"column {name!r} of X has a different text in every row ({len(levels)} levels): if it is an identifier, "
            "drop it; a model cannot learn from it. (more: underlie explain identifier-column)"
        )
    elif len(levels) > 10:
        numbers = sum(_is_number(v) for v in levels)
        if numbers > 0.8 * len(levels):
            odd = next((repr(v) for v in levels if not _is_number(v)), None)
            _warn(
                f"column {name!r} of X is text, but its values look like numbers{f' (not {odd})' if odd else ''}: it "
                f"is taken as {len(levels)} categories. If it is a number, use "
                f'pandas.to_numeric(X["{name}"], errors="coerce"). (more: underlie explain numbers-as-text)'
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _warn(message: str) -> None:
    warn(message, DataWarning)


def require_columns_observed(missing: NDArray[np.bool_], names: Sequence[str]) -> None:
    """Refuse a column without any observed cell.

    Parameters
    ----------
    missing : ndarray of bool, shape (n, C)
    names : sequence of str
    """
    empty = missing.all(axis=0)
    if empty.any():
        name = names[int(np.argmax(empty))]
        raise ValueError(
            f"every cell of column {name!r} of X is missing: drop the column, nothing can be learned about it."
        )


def warn_of_empty_rows(missing: NDArray[np.bool_] | None) -> None:
    """Warn of rows without any observed cell; ``missing`` is (n, C), None where nothing is missing."""
    if missing is None:
        return
    rows = np.asarray(missing.all(axis=1))
    if rows.any():
        _warn(
            f"{int(rows.sum())} of the {len(rows)} rows of X have no observed cell (the first is row "
            f"{int(np.argmax(rows))}): they carry no information."
        )


# -------------------------------------------------------------------------------------------------------------- arrays


def infer_array(
    X: NDArray[Any],
    missing: NDArray[np.bool_] | None,
    names: Sequence[str],
    kinds: Kinds,
    whole: Whole | None = None,
) -> ColumnArrays:
    """Columns of an array (n, C) of numbers; ``missing`` has the same shape, and is None where nothing is missing.

    Where X is a sample of more rows, ``whole`` tells of all of them.

    Raises
    ------
    ValueError
        If a column has no observed cell or contradicts its kind.
    """
    if missing is not None and whole is None:
        require_columns_observed(missing, names)
    if kinds is None and X.dtype.kind == "b":
        kinds = "binary"
    if isinstance(kinds, str):
        require_kind(kinds, "kinds")
        picture = _one_kind(X, missing, names, kinds, whole)
        if picture is not None:
            return picture
    numbers = X.astype(np.uint8) if X.dtype.kind == "b" else X
    statistics = column_statistics(numbers) if whole is None else whole.statistics
    block = NumericBlock(numbers, statistics, names, np.full(X.shape[1], numbers.dtype.kind in "iu"))
    final = stated_kinds(kinds, names)
    open_ = np.array([kind is None for kind in final])
    if open_.any():
        final[open_] = array_kinds(block)[open_]
    coding = code_numeric(block, final)
    for j, values in ({} if whole is None else whole.levels).items():
        coding.levels[j] = as_levels(values, bool(block.whole_levels[j]))
    return _arrays(X, missing, names, final, coding, (statistics.low, statistics.high), whole)


def _one_kind(
    X: NDArray[Any], missing: NDArray[np.bool_] | None, names: Sequence[str], kind: str, whole: Whole | None
) -> ColumnArrays | None:
    """Columns that share kind and scale because they are cells of one picture; None if the kind has no such rule."""
    n_columns = len(names)
    if kind not in ("proportion", "binary"):
        return None
    low, high = value_range(X, whole)
    coding = Coding(np.zeros(n_columns), np.ones(n_columns), repeated(None, n_columns))
    if kind == "proportion":
        if low < 0 and whole is not None:
            j = int(np.argmin(whole.statistics.low))
            raise ValueError(
                f"column {names[j]!r} of X holds {low:.6g}, but proportions lie between 0 and a largest value: shift "
                "the values, or choose kinds='continuous'."
            )
        if low < 0:
            row, j = (int(i) for i in np.argwhere(X < 0)[0])
            raise ValueError(
                f"column {names[j]!r} of X, row {row}, holds {X[row, j]:.6g}, but proportions lie between 0 and a "
                "largest value: shift the values, or choose kinds='continuous'."
            )
        coding.scale[:] = 255.0 if X.dtype == np.uint8 else 1.0 if high <= 1 else high
    else:
        levels = _levels_of_picture(X, low, high, whole)
        if levels is None:
            return None
        coding.levels[:] = [levels] * n_columns
    ranges = (np.full(n_columns, low), np.full(n_columns, high))
    return _arrays(X, missing, names, repeated(kind, n_columns), coding, ranges, whole)


def _levels_of_picture(X: NDArray[Any], low: float, high: float, whole: Whole | None) -> tuple[Level, ...] | None:
    """The two values that the whole array takes; None where columns may have different ones."""
    if X.dtype.kind == "b":
        return (False, True)
    if low == high and low not in (0.0, 1.0):
        return None
    if not has_two_values(X, low, high, whole):
        return None
    pair = (0.0, 1.0) if low == high else (low, high)
    return as_levels(np.array(pair), X.dtype.kind in "iu")


def value_range(X: NDArray[Any], whole: Whole | None = None) -> tuple[float, float]:
    """Smallest and largest observed value of an array, or of the whole that it is a sample of."""
    if whole is not None:
        return float(whole.statistics.low.min()), float(whole.statistics.high.max())
    if X.dtype.kind == "f":
        return float(np.fmin.reduce(X, axis=None)), float(np.fmax.reduce(X, axis=None))
    return float(X.min()), float(X.max())


def has_two_values(X: NDArray[Any], low: float, high: float, whole: Whole | None = None) -> bool:
    """Whether no observed value lies strictly between the lowest and the highest."""
    if whole is not None:
        return bool(whole.statistics.within(np.asarray(low), np.asarray(high)).all())
    for rows in row_blocks(*X.shape):
        block = X[rows]
        if not ((block == low) | (block == high) | np.isnan(block)).all():
            return False
    return True


def infer_images(
    X: NDArray[Any],
    missing: NDArray[np.bool_] | None,
    names: Sequence[str],
    kinds: Kinds,
    whole: Whole | None = None,
) -> ColumnArrays:
    """Columns of images that were flattened to (n, pixels): one kind for all pixels.

    Raises
    ------
    ValueError
        If ``kinds`` names single pixels, a pixel is never observed, or the values contradict the kind.
    """
    if kinds is not None and not isinstance(kinds, str):
        raise ValueError("kinds names single pixels, but images have one kind for all: give kinds='continuous', say.")
    if kinds is None:
        low, high = value_range(X, whole)
        binary = X.dtype.kind == "b" or (low < high and has_two_values(X, low, high, whole))
        kinds = "binary" if binary else "continuous" if low < 0 else "proportion"
    return infer_array(X, missing, names, kinds, whole)


def _arrays(
    X: NDArray[Any],
    missing: NDArray[np.bool_] | None,
    names: Sequence[str],
    kinds: NDArray[np.object_],
    coding: Coding,
    ranges: tuple[NDArray[np.float64], NDArray[np.float64]],
    whole: Whole | None = None,
) -> ColumnArrays:
    n_columns = len(names)
    some_missing = np.zeros(n_columns, dtype=bool) if missing is None else np.asarray(missing.any(axis=0))
    if whole is not None:
        some_missing = whole.missing
    dtypes = repeated(str(X.dtype), n_columns)
    return ColumnArrays(names, kinds, coding.levels, coding.loc, coding.scale, dtypes, some_missing, *ranges)
