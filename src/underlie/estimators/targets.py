"""Labels of rows: one column or several, classes or numbers, each known for some rows and not for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

from underlie.data.schema import abridge
from underlie.data.tables import library_of
from underlie.estimators.admissible import is_missing, plain

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: What stands for "not labelled" among whole numbers, as in scikit-learn's semi-supervised estimators.
UNLABELLED = -1


@final
@dataclass(frozen=True, eq=False)
class Target:
    """One column of labels.

    Attributes
    ----------
    name : str
        As the table calls it; "y" or "y_0", "y_1", ... for an array.
    classes : array (K,) or None
        The classes, sorted; None for numbers.
    loc, scale : float
        Mean and standard deviation of numbers, which are standardised inside.
    """

    name: str
    classes: Array | None
    loc: float = 0.0
    scale: float = 1.0

    @property
    def is_continuous(self) -> bool:
        """Whether the label is a number."""
        return self.classes is None

    def encode(self, column: Array) -> tuple[Floats, NDArray[np.bool_]]:
        """Codes 0..K-1 or standardised numbers, 0 where missing, and where there is a label: (n,) each.

        Raises
        ------
        ValueError
            If a label is none of the classes.
        """
        seen = _seen(column)
        values = np.zeros(len(column))
        if self.classes is None:
            values[seen] = (column[seen].astype(float) - self.loc) / self.scale
            return values, seen
        codes = {plain(c): k for k, c in enumerate(self.classes.tolist())}
        for i in np.flatnonzero(seen):
            if plain(column[i]) not in codes:
                raise ValueError(
                    f"label {plain(column[i])!r} of {self.name!r}, row {i}, is none of the classes "
                    f"{abridge(self.classes.tolist())}; unlabelled rows are marked {UNLABELLED}, NaN or None."
                )
            values[i] = codes[plain(column[i])]
        return values, seen

    def decode(self, values: Floats) -> Array:
        """Classes of codes, or numbers in the units of the data: (n,)."""
        if self.classes is None:
            return values * self.scale + self.loc
        return self.classes[values.astype(int)]


@final
@dataclass(frozen=True, eq=False)
class Targets:
    """The columns of labels, in the order in which they came.

    Attributes
    ----------
    columns : tuple of Target
    single : bool
        Whether labels came as one column, and are given back so.
    """

    columns: tuple[Target, ...]
    single: bool

    @classmethod
    def fit(cls, y: Any, n_rows: int, classes: Sequence[Any] | None = None) -> Self:
        """Look at labels: which columns hold classes, which numbers.

        Parameters
        ----------
        y : array-like (n,) or (n, m), or table of m columns
            -1 (among whole numbers), NaN, None or null where a row has no label. A column of floats that are no whole
            numbers is continuous.
        n_rows : int
            Rows of X.
        classes : sequence, optional
            The classes of a single column, where some have no labelled row.

        Raises
        ------
        ValueError
            If the lengths differ, or a column has no label at all, or only one class.
        """
        names, columns = _columns(y)
        if any(len(c) != n_rows for c in columns):
            raise ValueError(f"y has {len(columns[0])} rows, X has {n_rows}: give one label per row of X.")
        if classes is not None and len(columns) > 1:
            raise ValueError(f"classes names those of one column of labels, but y has {len(columns)}.")
        single = np.ndim(y) == 1 if not hasattr(y, "columns") else False
        return cls(tuple(_fit_column(n, c, classes) for n, c in zip(names, columns, strict=True)), single)

    def none_seen(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Encoded labels of no row at all, and that they were not seen: (0, m) each."""
        return np.zeros((0, len(self.columns))), np.zeros((0, len(self.columns)), dtype=bool)

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` reads."""
        columns = [{"name": c.name, "classes": c.classes, "loc": c.loc, "scale": c.scale} for c in self.columns]
        return {"columns": columns, "single": self.single}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls(tuple(Target(**column) for column in state["columns"]), bool(state["single"]))

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [c.name for c in self.columns]

    def encode(self, y: Any, n_rows: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Encoded labels and which of them are there, (n, m) each; see `Target.encode`."""
        _, columns = _columns(y)
        if len(columns) != len(self.columns):
            raise ValueError(f"y has {len(columns)} columns of labels; at fit it had {len(self.columns)}.")
        if any(len(c) != n_rows for c in columns):
            raise ValueError(f"y has {len(columns[0])} rows, X has {n_rows}: give one label per row of X.")
        encoded = [target.encode(column) for target, column in zip(self.columns, columns, strict=True)]
        return np.column_stack([v for v, _ in encoded]), np.column_stack([s for _, s in encoded])

    def decode(self, values: Floats) -> Array:
        """Labels (n,) of a single column, else (n, m), of a common type."""
        decoded = [target.decode(v) for target, v in zip(self.columns, values.T, strict=True)]
        return decoded[0] if self.single else np.column_stack(decoded)


def _columns(y: Any) -> tuple[list[str], list[Array]]:
    """Names and columns of labels, however they came."""
    if y is None:
        raise ValueError("y is None: give one label per row, -1 or NaN where there is none.")
    if library_of(y) is not None:
        frame = nw.from_native(y, eager_only=True)
        return [str(n) for n in frame.columns], [_objects(frame[n].to_list()) for n in frame.columns]
    if nw.dependencies.is_into_series(y):
        series = nw.from_native(y, series_only=True)
        return [str(series.name or "y")], [_objects(series.to_list())]
    array = np.asarray(y)
    if array.ndim == 1:
        return ["y"], [array]
    if array.ndim == 2 and array.shape[1]:
        return [f"y_{j}" for j in range(array.shape[1])], list(array.T)
    raise ValueError(f"y must have shape (n,) or (n, columns), got {array.shape}.")


def _objects(values: list[Any]) -> Array:
    """A column of Python values as an array of the narrowest type that keeps them."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _seen(column: Array) -> NDArray[np.bool_]:
    """Which rows have a label."""
    if column.dtype.kind in "iu":
        return column != UNLABELLED
    if column.dtype.kind == "f":
        return ~np.isnan(column) & ~((column == UNLABELLED) & _is_whole(column))
    if column.dtype.kind != "O":
        return np.ones(len(column), dtype=bool)
    seen = np.array([not is_missing(v) for v in column], dtype=bool)
    numbers = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in column[seen])
    return seen & _seen(np.where(seen, column, UNLABELLED).astype(float)) if numbers else seen


def _is_whole(column: Array) -> bool:
    """Whether all numbers that there are are whole: then -1 means that there is no label."""
    there = column[~np.isnan(column)]
    return bool((there == np.round(there)).all())


def _fit_column(name: str, column: Array, classes: Sequence[Any] | None) -> Target:
    seen = _seen(column)
    if not seen.any() and classes is None:
        raise ValueError(
            f"no row has a label in {name!r}: give some, or the classes as the argument 'classes', or use VAE, which "
            "needs none."
        )
    labels = column[seen]
    if labels.dtype.kind == "O":
        labels = np.array([plain(v) for v in labels])
    if classes is None and labels.dtype.kind == "f" and type_of_target(labels) == "continuous":
        scale = float(labels.std())
        if not np.isfinite(labels).all():
            raise ValueError(f"{name!r} holds infinite labels; mark unlabelled rows NaN.")
        return Target(name, None, float(labels.mean()), scale if scale > 0 else 1.0)
    known = np.unique(labels) if classes is None else np.array(sorted(classes))
    if labels.dtype.kind == "f" and classes is None:
        known = known.astype(int)
    if len(known) < 2:
        raise ValueError(f"{name!r} has only one class, {plain(known[0])!r}: there is nothing to tell apart.")
    return Target(name, known)
