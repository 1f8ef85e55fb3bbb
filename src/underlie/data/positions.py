"""What stands between the brackets of a row source: a slice, a mask, or integers in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def positions_of(rows: Any, n: int) -> NDArray[np.intp]:
    """Numbers from 0 to n - 1 of the rows asked for.

    Raises
    ------
    IndexError
        If there is no such row, or it is no way to ask for rows.
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n), dtype=np.intp)
    positions = np.asarray(rows)
    if positions.dtype.kind == "b":
        if positions.shape != (n,):
            raise IndexError(f"a mask of shape {positions.shape} cannot select among {n} rows.")
        return np.flatnonzero(positions)
    if positions.size == 0:
        return np.empty(0, dtype=np.intp)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise IndexError("rows must be a slice, a mask, or a one-axis array of integers.")
    if positions.min() < -n or positions.max() >= n:
        raise IndexError(f"row {int(positions[(positions < -n) | (positions >= n)][0])} of {n} rows.")
    return np.where(positions < 0, positions + n, positions).astype(np.intp)
