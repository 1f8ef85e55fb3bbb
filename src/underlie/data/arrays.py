"""Checks of NumPy arrays, lists and images, in the words that scikit-learn uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from underlie.data.columns import GridNames


def checked_array(X: Any) -> NDArray[Any]:
    """X as an array of numbers (n, D), (n, height, width) or (n, height, width, channels), its dtype kept.

    Masked arrays become floats with NaN; arrays of Python objects that are numbers become floats.

    Raises
    ------
    ValueError
        If X has no rows or columns, fewer than two axes or more than four, or complex numbers.
    TypeError
        If X is sparse, or holds objects that are no numbers.
    """
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    if isinstance(X, np.ndarray) and X.dtype.names is not None:
        raise TypeError("X is a structured array: give pandas.DataFrame(X).")
    array: NDArray[Any] = check_array(X, allow_nd=True, ensure_all_finite=False, input_name="X")
    if array.dtype.kind not in "iufb":
        raise TypeError(f"X has dtype {array.dtype}: give numbers, or a table for text.")
    if array.ndim > 4:
        raise ValueError(
            f"X has {array.ndim} axes: give a table (n, D), images (n, height, width), or images with channels "
            "(n, height, width, channels)."
        )
    if 0 in array.shape:
        raise ValueError(f"X has shape {array.shape}: an image needs at least one pixel.")
    return array


def missing_cells(X: NDArray[Any], names: Sequence[str]) -> NDArray[np.bool_] | None:
    """Which cells of a flattened array (n, C) are NaN; None if there are none.

    Raises
    ------
    ValueError
        If a value is infinite.
    """
    if X.dtype.kind != "f":
        return None
    cells = X.ravel(order="K")
    if np.isfinite(np.vdot(cells, cells)):  # in most tables: one pass, nothing written
        return None
    finite: NDArray[np.bool_] = np.isfinite(X)
    if finite.all():
        return None
    missing: NDArray[np.bool_] = np.isnan(X)
    infinite = ~(finite | missing)
    if infinite.any():
        row, j = (int(i) for i in np.unravel_index(int(np.argmax(infinite)), infinite.shape))
        raise ValueError(
            f"Input X contains infinity or a value too large for {X.dtype!r}: column {names[j]!r}, row {row}, holds "
            f"{X[row, j]}. Replace infinite values by a finite number, or by NaN if they are unknown. "
            "(more: underlie explain infinite-cells)"
        )
    return missing


def grid_names(row_shape: tuple[int, ...]) -> GridNames:
    """``x0``, ``x1``, ... for the columns of an array, ``pixel_0_0``, ... for images."""
    return GridNames("x" if len(row_shape) == 1 else "pixel", row_shape)
