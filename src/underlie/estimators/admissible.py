"""New rows brought to what the encoder can encode: the world goes on after a model was fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.data import Encoder
from underlie.data.columns import DISCRETE, Column
from underlie.data.schema import abridge
from underlie.data.tables import library_of
from underlie.warnings import DataWarning, warn

Array = NDArray[Any]

#: of each kind with a bounded support, which numbers are inside
_INSIDE: dict[str, Callable[[Array, Column], Array]] = {
    "positive": lambda x, _: x > 0,
    "proportion": lambda x, c: (x >= 0) & (x <= (np.inf if c.high is None else c.high)),
    "count": lambda x, _: (x >= 0) & (x == np.round(x)),
}


def admissible(X: Any, encoder: Encoder) -> Any:
    """The table with levels that were not there at fit set to missing, and numbers that the kind of their column
    cannot hold (a laboratory value of 0 where all were positive) moved to the nearest that were seen.

    Warns
    -----
    DataWarning
        For each column so changed, naming rows.
    """
    if library_of(X) is None:
        return _array(np.asarray(X), encoder)
    frame = nw.from_native(X, eager_only=True)
    for column in encoder.schema:
        series = frame[str(column.name)]
        if column.kind in DISCRETE:
            kept = _of_known_levels(series.to_list(), column)
            if kept is not None:
                mask = nw.new_series("kept", kept.tolist(), backend=frame.implementation)
                frame = frame.with_columns(nw.when(mask).then(series).otherwise(None).alias(str(column.name)))
        elif column.kind in _INSIDE and series.dtype.is_numeric():
            moved = _moved_inside(np.asarray(series.to_numpy(), dtype=float), column)
            if moved is not None:
                new = nw.new_series(str(column.name), moved, backend=frame.implementation)
                frame = frame.with_columns(new.alias(str(column.name)))
    return frame.to_native()


def is_missing(value: Any) -> bool:
    """Whether a cell is None, NaN, or pandas' NA or NaT."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and bool(np.isnan(value)))


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _array(X: Array, encoder: Encoder) -> Array:
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.shape[1] != encoder.n_columns:
        return X  # the encoder says what is wrong with it
    changed = X
    for j, column in enumerate(encoder.schema):
        if column.kind in DISCRETE:
            kept = _of_known_levels(X[:, j].tolist(), column)
            moved = None if kept is None else np.where(kept, X[:, j], np.nan)
        else:
            moved = _moved_inside(X[:, j].astype(float), column) if column.kind in _INSIDE else None
        if moved is not None:
            changed = changed.astype(float) if changed is X else changed
            changed[:, j] = moved
    return changed


def _of_known_levels(values: list[Any], column: Column) -> NDArray[np.bool_] | None:
    """Which cells are missing or of a level seen at fit; None where all are."""
    known = set(column.levels or ())
    wrong = [i for i, v in enumerate(values) if not is_missing(v) and plain(v) not in known]
    if not wrong:
        return None
    levels = sorted({repr(plain(values[i])) for i in wrong})
    warn(
        f"column {column.name!r} of X holds {abridge(levels)}, not there at fit, in row(s) {abridge(wrong)}: "
        "taken as missing. (more: underlie explain unseen-level)",
        DataWarning,
    )
    kept = np.ones(len(values), dtype=bool)
    kept[wrong] = False
    return kept


def _moved_inside(x: Array, column: Column) -> Array | None:
    """The numbers with those outside the column's support at the nearest seen at fit; None where all are inside."""
    wrong = np.isfinite(x) & ~_INSIDE[column.kind](x, column)
    if not wrong.any():
        return None
    rows = np.flatnonzero(wrong)
    warn(
        f"column {column.name!r} of X holds {x[rows[0]]:g} in row(s) {abridge(rows.tolist())}, but is {column.kind} "
        "since fit: moved to the nearest value seen there.",
        DataWarning,
    )
    nearest = np.clip(np.round(x) if column.kind == "count" else x, column.low, column.high)
    return np.where(wrong, nearest, x)
