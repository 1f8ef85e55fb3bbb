"""Imputation errors by column and method."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from matplotlib.axes import Axes

from underlie.plot.style import GREY, axes_or_new, markers, open_frame, palette


def imputation(
    errors: Any,
    ax: Axes | None = None,
    *,
    column: str = "column",
    method: str = "method",
    error: str = "error",
    label: str | None = None,
) -> Axes:
    """Errors of imputed cells: one line a column, one mark a method.

    Parameters
    ----------
    errors : pandas or polars DataFrame
        Tidy: one row per column of the data and method, more where a study was repeated; the mark is then the mean
        over repeats and the bar runs from the least to the largest.
    ax : Axes, optional
        Where to draw; a new figure by default.
    column, method, error : str
        Names of the three columns of `errors`.
    label : str, optional
        Text of the error axis, with its unit; by default the column's name.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When `errors` is empty or lacks one of the three columns.

    Examples
    --------
    >>> import pandas as pd
    >>> import underlie as ul
    >>> errors = pd.DataFrame(
    ...     {"column": ["age", "age", "grade", "grade"], "method": ["mean", "pPCA"] * 2, "error": [1.0, 0.8, 0.5, 0.4]}
    ... )
    >>> ax = ul.plot.imputation(errors, label="RMSE / sd")
    >>> ax.get_xlabel()
    'RMSE / sd'
    """
    table = nw.from_native(errors, eager_only=True)
    if absent := [name for name in (column, method, error) if name not in table.columns]:
        raise ValueError(f"errors: no column {absent[0]!r} among {table.columns}")
    if not len(table):
        raise ValueError("errors: the table has no rows")
    names = list(dict.fromkeys(table[column].to_list()))
    methods = list(dict.fromkeys(table[method].to_list()))
    values: dict[tuple[Any, Any], list[float]] = {}
    for name, way, value in zip(*(table[part].to_list() for part in (column, method, error)), strict=True):
        if value is not None and np.isfinite(value):
            values.setdefault((name, way), []).append(float(value))
    ax = axes_or_new(ax, (6.6, 1.4 + 0.42 * len(names)))
    _draw(ax, values, names, methods)
    ax.set_yticks(range(len(names)), [str(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(label or error)
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(methods), 4))
    open_frame(ax, ("top", "right", "left"))
    return ax


def _draw(ax: Axes, values: dict[tuple[Any, Any], list[float]], names: list[Any], methods: list[Any]) -> None:
    lanes = np.linspace(-0.2, 0.2, len(methods)) if len(methods) > 1 else np.zeros(1)
    repeated = any(len(repeats) > 1 for repeats in values.values())
    for name_at, name in enumerate(names):
        means = [np.mean(values[name, way]) for way in methods if (name, way) in values]
        if means and not repeated:
            ax.plot([min(means), max(means)], [name_at, name_at], color=GREY, linewidth=0.8, zorder=1)
    for way, lane, colour, shape in zip(methods, lanes, palette(len(methods)), markers(len(methods)), strict=True):
        at = [i for i, name in enumerate(names) if (name, way) in values]
        repeats = [values[names[i], way] for i in at]
        y = np.array(at) + (lane if repeated else 0.0)
        ax.hlines(y, [min(r) for r in repeats], [max(r) for r in repeats], color=colour, linewidth=1.6, alpha=0.6)
        ax.plot(
            [np.mean(r) for r in repeats], y, shape, color=colour, markersize=8, mec="white", label=str(way), zorder=3
        )
