"""The rules that find the kind of a column, and the checks of kinds that the user states."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from underlie.data.columns import DISCRETE, KINDS, Column, ColumnArrays, Kind, Level, repeated
from underlie.data.schema import abridge
from underlie.data.statistics import ColumnStatistics, column_statistics, row_blocks, skewness
from underlie.data.tables import RawColumn, RawTable
from underlie.warnings import DataWarning

Kinds = Mapping[str | int, Kind] | Kind | None

_MANY_LEVELS: Final = 50
#: a positive column whose values spread over more orders of magnitude than this is standardised instead
_LARGEST_RATIO: Final = 1e15
_LARGEST_COUNT: Final = 2.0**53
_FEW_ROWS: Final = 3


def stated_kinds(kinds: Kinds, names: Sequence[str], labels: Sequence[Any] | None = None) -> NDArray[np.object_]:
    """The kinds that the user states, None for the others, shape (C,).

    Parameters
    ----------
    kinds : dict of name or position to Kind, or one Kind, or None
    names : sequence of str
    labels : sequence, optional
        Names as they are in the table, where these can be integers; they come before positions.

    Raises
    ------
    ValueError
        If a kind or a column is unknown.
    """
    if kinds is None or isinstance(kinds, str):
        if kinds is not None:
            _require_kind(kinds, "kinds")
        return repeated(kinds, len(names))
    if not isinstance(kinds, Mapping):
        raise TypeError(f"kinds is a {type(kinds).__name__}: give one kind, or a dict of column names to kinds.")
    stated = repeated(None, len(names))
    by_label = {label: j for j, label in enumerate(labels if labels is not None else names)} if kinds else {}
    for key, kind in kinds.items():
        _require_kind(kind, f"kinds[{key!r}]")
        j = by_label.get(key)
        if j is None and isinstance(key, (int, np.integer)) and -len(names) <= key < len(names):
            j = int(key) % len(names)
        if j is None:
            raise ValueError(f"kinds names a column {key!r} that X does not have; its columns are {abridge(names)}.")
        stated[j] = kind
    return stated


def _require_kind(kind: object, where: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{where} is {kind!r}: choose one of {', '.join(KINDS)}.")


# ---------------------------------------------------------------------------------------------------- numeric columns


@dataclass(frozen=True, eq=False)
class NumericBlock:
    """Columns of numbers of one array: the values, their statistics, names, and whether levels are whole numbers."""

    values: NDArray[Any]
    statistics: ColumnStatistics
    names: Sequence[str]
    whole_levels: NDArray[np.bool_]

    def select(self, at: NDArray[np.intp]) -> NumericBlock:
        """The block of some of the columns."""
        s = self.statistics
        parts = {f: getattr(s, f)[at] for f in s.__dataclass_fields__}
        names = [self.names[int(j)] for j in at]
        return NumericBlock(self.values[:, at], ColumnStatistics(**parts), names, self.whole_levels[at])


def table_kinds(block: NumericBlock) -> NDArray[np.object_]:
    """Kinds of numeric columns by the rules of :meth:`Schema.infer`."""
    s = block.statistics
    kinds = repeated("continuous", len(s.low))
    two = s.two_valued & (s.observed >= _FEW_ROWS)
    open_ = ~two & ~s.constant
    kinds[two] = "binary"
    kinds[open_ & s.integer & (s.low >= 0) & (s.mean < 3 * s.sd) & (s.high <= _LARGEST_COUNT)] = "count"
    candidates = np.flatnonzero(open_ & ~s.integer & (s.low > 0))
    if len(candidates):
        kinds[candidates[_looks_lognormal(block.select(candidates))]] = "positive"
    return kinds


def _looks_lognormal(block: NumericBlock) -> NDArray[np.bool_]:
    values = np.asarray(block.values, dtype=np.float64)
    skew = skewness(values, block.statistics)
    logs = np.log(values)
    skew_of_logs = skewness(logs, column_statistics(logs))
    s = block.statistics
    spread = np.log(s.high) - np.log(s.low)
    return (skew > 1) & (np.abs(skew_of_logs) < np.abs(skew)) & (spread < np.log(_LARGEST_RATIO))


def array_kinds(block: NumericBlock) -> NDArray[np.object_]:
    """Kinds of the columns of a NumPy array by the rules of :meth:`Schema.infer`."""
    s = block.statistics
    bits = (s.low == 0) & (s.high == 1) & s.two_valued
    within = bits | (s.constant & ((s.low == 0) | (s.low == 1)))
    if bits.any() and within.all():
        return repeated("binary", len(s.low))
    if block.whole_levels.all():
        return table_kinds(block)
    kinds = repeated("continuous", len(s.low))
    kinds[bits] = "binary"
    return kinds


@dataclass(frozen=True, eq=False)
class Coding:
    """How columns are encoded: loc, scale (C,), and levels (C,) of Python objects."""

    loc: NDArray[np.float64]
    scale: NDArray[np.float64]
    levels: NDArray[np.object_]


def code_numeric(block: NumericBlock, kinds: NDArray[np.object_]) -> Coding:
    """Location, scale and levels of numeric columns of the given kinds.

    Raises
    ------
    ValueError
        If the values of a column contradict its kind.
    """
    n_columns = len(kinds)
    coding = Coding(np.zeros(n_columns), np.ones(n_columns), repeated(None, n_columns))
    of = np.asarray(kinds.astype("U12"))
    s = block.statistics
    loc, scale = s.location_scale()
    at = of == "continuous"
    coding.loc[at], coding.scale[at] = loc[at], scale[at]
    at = np.flatnonzero(of == "positive")
    if len(at):
        coding.scale[at] = _geometric_mean(block, at)
    for kind, valid, contradiction in _CONTRADICTIONS:
        at = np.flatnonzero((of == kind) & ~valid(s))
        if len(at):
            _refuse_kind(block, int(at[0]), kind, contradiction)
    for j in np.flatnonzero(of == "binary"):
        coding.levels[j] = _two_levels(block, int(j))
    for j in np.flatnonzero((of == "categorical") | (of == "ordinal")):
        column = np.asarray(block.values[:, j], dtype=np.float64)
        coding.levels[j] = _as_levels(np.unique(column[~np.isnan(column)]), bool(block.whole_levels[j]))
    return coding


Contradiction = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

#: kind, whether all of a column agrees with it, which cells do not
_CONTRADICTIONS: Final[tuple[tuple[Kind, Callable[[ColumnStatistics], NDArray[np.bool_]], Contradiction], ...]] = (
    ("proportion", lambda s: (s.low >= 0) & (s.high <= 1), lambda x: (x < 0) | (x > 1)),
    ("count", lambda s: (s.low >= 0) & s.integer, lambda x: (x < 0) | (x != np.rint(x))),
)
_DEMANDS: Final[dict[str, str]] = {
    "proportion": "proportions lie between 0 and 1 (divide percentages by 100)",
    "count": "counts are whole numbers >= 0",
    "positive": "positive values are > 0, and within 15 orders of magnitude of one another",
    "binary": "a binary column has two levels",
}


def _refuse_kind(block: NumericBlock, j: int, kind: str, contradicts: Contradiction) -> NoReturn:
    column = np.asarray(block.values[:, j], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = contradicts(column) & ~np.isnan(column)
    row = int(np.argmax(bad))
    raise ValueError(
        f"column {block.names[j]!r} of X is said to be {kind}, but row {row} holds {column[row]:.6g}: {_DEMANDS[kind]}. "
        "Correct the cell, or choose another kind for this column."
    )


def _geometric_mean(block: NumericBlock, at: NDArray[np.intp]) -> NDArray[np.float64]:
    s = block.statistics
    bad = at[s.low[at] <= 0]
    if len(bad):
        _refuse_kind(block, int(bad[0]), "positive", lambda x: x <= 0)
    logs = column_statistics(np.log(np.asarray(block.values[:, at], dtype=np.float64)))
    limit = np.log(_LARGEST_RATIO)
    far = np.maximum(logs.high - logs.mean, logs.mean - logs.low) > limit
    if far.any():
        k = int(np.argmax(far))
        _refuse_kind(block, int(at[k]), "positive", lambda x: np.abs(np.log(x) - logs.mean[k]) > limit)
    return np.asarray(np.clip(np.exp(logs.mean), s.low[at], s.high[at]))


def _two_levels(block: NumericBlock, j: int) -> tuple[Level, ...]:
    s = block.statistics
    low, high, whole = float(s.low[j]), float(s.high[j]), bool(block.whole_levels[j])
    if s.two_valued[j]:
        return _as_levels(np.array([low, high]), whole)
    if low != high:
        _refuse_kind(block, j, "binary", lambda x: (x != low) & (x != high))
    if low in (0.0, 1.0):
        return _as_levels(np.array([0.0, 1.0]), whole)
    raise ValueError(
        f"column {block.names[j]!r} of X is said to be binary, but its only value is {low:.6g}: the other level is unknown. "
        "Declare both, for example as the categories of a pandas Categorical."
    )


def _as_levels(values: NDArray[np.float64], whole: bool) -> tuple[Level, ...]:
    return tuple(int(v) if whole else float(v) for v in values)


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
            f"column {column.name!r} of X is said to be {stated}, but holds booleans, which are binary. Convert it with "
            '.astype("int64") first if it shall be a number.'
        )
    return Column(column.name, stated or "binary", (False, True), 0.0, 1.0, column.dtype, bool(missing.any()))


def _label_column(column: RawColumn, stated: Kind | None) -> Column:
    missing = np.array([v is None for v in column.values])
    require_columns_observed(missing[:, None], [column.name])
    if stated is not None and stated not in DISCRETE:
        row = int(np.argmin(missing))
        raise ValueError(
            f"column {column.name!r} of X is said to be {stated}, but holds text: row {row} holds {column.values[row]!r}. "
            f'Convert it with pandas.to_numeric(X["{column.name}"], errors="coerce") if it is a number.'
        )
    levels = column.levels if column.levels is not None else tuple(sorted(set(column.values[~missing])))
    kind: Kind = "binary" if len(levels) == 2 else "ordinal" if column.ordered and len(levels) > 2 else "categorical"
    if stated == "binary" and len(levels) != 2:
        raise ValueError(
            f"column {column.name!r} of X is said to be binary, but has {len(levels)} levels: {abridge(levels)}. Choose "
            "categorical, or map the levels to two."
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
            f"column {name!r} of X has a different text in every row ({len(levels)} levels): if it is an identifier, drop "
            "it; a model cannot learn from it."
        )
    elif len(levels) > 10:
        numbers = sum(_is_number(v) for v in levels)
        if numbers > 0.8 * len(levels):
            odd = next((repr(v) for v in levels if not _is_number(v)), None)
            _warn(
                f"column {name!r} of X is text, but its values look like numbers{f' (not {odd})' if odd else ''}: it is taken "
                f'as {len(levels)} categories. If it is a number, convert it with pandas.to_numeric(X["{name}"], '
                'errors="coerce").'
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=6)


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
    rows = missing.all(axis=1)
    if rows.any():
        _warn(
            f"{int(rows.sum())} of the {len(rows)} rows of X have no observed cell (the first is row "
            f"{int(np.argmax(rows))}): they carry no information."
        )


# -------------------------------------------------------------------------------------------------------------- arrays


def infer_array(X: NDArray[Any], missing: NDArray[np.bool_] | None, names: Sequence[str], kinds: Kinds) -> ColumnArrays:
    """Columns of an array (n, C) of numbers; ``missing`` has the same shape, and is None where nothing is missing.

    Raises
    ------
    ValueError
        If a column has no observed cell or contradicts its kind.
    """
    if missing is not None:
        require_columns_observed(missing, names)
    if kinds is None and X.dtype.kind == "b":
        kinds = "binary"
    if isinstance(kinds, str):
        _require_kind(kinds, "kinds")
        picture = _one_kind(X, missing, names, kinds)
        if picture is not None:
            return picture
    numbers = X.astype(np.uint8) if X.dtype.kind == "b" else X
    statistics = column_statistics(numbers)
    block = NumericBlock(numbers, statistics, names, np.full(X.shape[1], numbers.dtype.kind in "iu"))
    final = stated_kinds(kinds, names)
    open_ = np.array([kind is None for kind in final])
    if open_.any():
        final[open_] = array_kinds(block)[open_]
    coding = code_numeric(block, final)
    return _arrays(X, missing, names, final, coding, (statistics.low, statistics.high))


def _one_kind(
    X: NDArray[Any], missing: NDArray[np.bool_] | None, names: Sequence[str], kind: str
) -> ColumnArrays | None:
    """Columns that share one kind and one scale because they are cells of one picture; None if the kind has no such rule."""
    n_columns = len(names)
    if kind not in ("proportion", "binary"):
        return None
    low, high = value_range(X)
    coding = Coding(np.zeros(n_columns), np.ones(n_columns), repeated(None, n_columns))
    if kind == "proportion":
        if low < 0:
            row, j = (int(i) for i in np.argwhere(X < 0)[0])
            raise ValueError(
                f"column {names[j]!r} of X, row {row}, holds {X[row, j]:.6g}, but proportions lie between 0 and a largest "
                "value: shift the values, or choose kinds='continuous'."
            )
        coding.scale[:] = 255.0 if X.dtype == np.uint8 else 1.0 if high <= 1 else high
    else:
        levels = _levels_of_picture(X, names, low, high)
        if levels is None:
            return None
        coding.levels[:] = [levels] * n_columns
    ranges = (np.full(n_columns, low), np.full(n_columns, high))
    return _arrays(X, missing, names, repeated(kind, n_columns), coding, ranges)


def _levels_of_picture(X: NDArray[Any], names: Sequence[str], low: float, high: float) -> tuple[Level, ...] | None:
    """The two values that the whole array takes; None where columns may have different ones."""
    if X.dtype.kind == "b":
        return (False, True)
    if low == high and low not in (0.0, 1.0):
        return None
    if not has_two_values(X, low, high):
        return None
    pair = (0.0, 1.0) if low == high else (low, high)
    return _as_levels(np.array(pair), X.dtype.kind in "iu")


def value_range(X: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest observed value of an array."""
    if X.dtype.kind == "f":
        return float(np.fmin.reduce(X, axis=None)), float(np.fmax.reduce(X, axis=None))
    return float(X.min()), float(X.max())


def has_two_values(X: NDArray[Any], low: float, high: float) -> bool:
    """Whether no observed value lies strictly between the lowest and the highest."""
    for rows in row_blocks(*X.shape):
        block = X[rows]
        if not ((block == low) | (block == high) | np.isnan(block)).all():
            return False
    return True


def infer_images(
    X: NDArray[Any], missing: NDArray[np.bool_] | None, names: Sequence[str], kinds: Kinds
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
        low, high = value_range(X)
        binary = X.dtype.kind == "b" or (low < high and has_two_values(X, low, high))
        kinds = "binary" if binary else "continuous" if low < 0 else "proportion"
    return infer_array(X, missing, names, kinds)


def _arrays(
    X: NDArray[Any],
    missing: NDArray[np.bool_] | None,
    names: Sequence[str],
    kinds: NDArray[np.object_],
    coding: Coding,
    ranges: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> ColumnArrays:
    n_columns = len(names)
    some_missing = np.zeros(n_columns, dtype=bool) if missing is None else missing.any(axis=0)
    dtypes = repeated(str(X.dtype), n_columns)
    return ColumnArrays(names, kinds, coding.levels, coding.loc, coding.scale, dtypes, some_missing, *ranges)
