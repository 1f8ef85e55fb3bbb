"""The rules that find the kind of numeric columns, and the checks of kinds that the user states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from underlie.data.columns import KINDS, Kind, Level, repeated
from underlie.data.schema import abridge
from underlie.data.statistics import ColumnStatistics, column_statistics, skewness

Kinds = Mapping[str | int, Kind] | Kind | None

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
            require_kind(kinds, "kinds")
        return repeated(kinds, len(names))
    if not isinstance(kinds, Mapping):
        raise TypeError(f"kinds is a {type(kinds).__name__}: give one kind, or a dict of column names to kinds.")
    stated = repeated(None, len(names))
    by_label = {label: j for j, label in enumerate(labels if labels is not None else names)} if kinds else {}
    for key, kind in kinds.items():
        require_kind(kind, f"kinds[{key!r}]")
        j = by_label.get(key)
        if j is None and isinstance(key, (int, np.integer)) and -len(names) <= key < len(names):
            j = int(key) % len(names)
        if j is None:
            raise ValueError(f"kinds names a column {key!r} that X does not have; its columns are {abridge(names)}.")
        stated[j] = kind
    return stated


def require_kind(kind: object, where: str) -> None:
    """Refuse what is no kind; ``where`` says where it stood."""
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
    return np.asarray((skew > 1) & (np.abs(skew_of_logs) < np.abs(skew)) & (spread < np.log(_LARGEST_RATIO)))


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
        coding.levels[j] = as_levels(np.unique(column[~np.isnan(column)]), bool(block.whole_levels[j]))
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
    # Of a source, rows were read that are not in the sample.
    found = f"row {row} holds {column[row]:.6g}" if bad.any() else "not all of its rows are"
    raise ValueError(
        f"column {block.names[j]!r} of X is said to be {kind}, but {found}: "
        f"{_DEMANDS[kind]}. Correct the cell, or choose another kind for this column."
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
        return as_levels(np.array([low, high]), whole)
    if low != high:
        _refuse_kind(block, j, "binary", lambda x: (x != low) & (x != high))
    if low in (0.0, 1.0):
        return as_levels(np.array([0.0, 1.0]), whole)
    raise ValueError(
        f"column {block.names[j]!r} of X is said to be binary, but its only value is {low:.6g}: the other level is "
        "unknown. Declare both, for example as the categories of a pandas Categorical."
    )


def as_levels(values: NDArray[np.float64], whole: bool) -> tuple[Level, ...]:
    """Numbers as levels: Python integers where they are whole, floats otherwise."""
    return tuple(int(v) if whole else float(v) for v in values)
