"""Labels of rows: one column or several, classes or numbers, each known for some rows and not for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from underlie.data.schema import abridge
from underlie.data.tables import library_of
from underlie.estimators.admissible import is_missing, plain
from underlie.warnings import DataWarning, warn

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: What stands for "not labelled" among whole numbers, as in scikit-learn's semi-supervised estimators.
UNLABELLED = -1
#: Texts that "not labelled" becomes among texts in an array, and that hardly anybody calls a class.
_PROBABLY_MISSING = ("-1", "nan", "None", "<NA>")


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
        values = np.zeros(len(column))
        if self.classes is None:
            seen = _there(column)  # among numbers -1 is a number
            values[seen] = (_numbers(self.name, column, seen) - self.loc) / self.scale
            return values, seen
        seen = _seen(column)
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
    """

    columns: tuple[Target, ...]

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
        return cls(tuple(_fit_column(n, c, classes) for n, c in zip(names, columns, strict=True)))

    def none_seen(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Encoded labels of no row at all, and that they were not seen: (0, m) each."""
        return np.zeros((0, len(self.columns))), np.zeros((0, len(self.columns)), dtype=bool)

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` reads."""
        columns = [{"name": c.name, "classes": c.classes, "loc": c.loc, "scale": c.scale} for c in self.columns]
        return {"columns": columns}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls(tuple(Target(**column) for column in state["columns"]))

    @property
    def single(self) -> bool:
        """Whether there is one column, which is given back without an axis of columns."""
        return len(self.columns) == 1

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
        """Labels (n,) of a single column, else (n, m); objects where columns are of several types."""
        decoded = [target.decode(v) for target, v in zip(self.columns, values.T, strict=True)]
        if self.single:
            return decoded[0]
        mixed = len({d.dtype.kind for d in decoded}) > 1
        return np.column_stack([d.astype(object) if mixed else d for d in decoded])


def _columns(y: Any) -> tuple[list[str], list[Array]]:
    """Names and columns of labels, however they came."""
    if y is None:
        raise ValueError(
            "SemiSupervisedVAE requires y to be passed, but the target y is None: give one label per row, -1 or NaN "
            "where there is none."
        )
    if library_of(y) is not None:
        frame = nw.from_native(y, eager_only=True)
        if not frame.columns:
            raise ValueError("y is a table without columns: give at least one column of labels.")
        return [str(n) for n in frame.columns], [_objects(frame[n].to_list()) for n in frame.columns]
    if nw.dependencies.is_into_series(y):
        series = nw.from_native(y, series_only=True)
        return [str(series.name or "y")], [_objects(series.to_list())]
    # A list as objects: NumPy would turn its NaN among strings into the string "nan".
    array = np.array(y, dtype=object) if isinstance(y, (list, tuple)) else np.asarray(y)
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


def _there(column: Array) -> NDArray[np.bool_]:
    """Which rows hold anything: neither NaN nor None nor null."""
    if column.dtype.kind == "f":
        return ~np.isnan(column)
    if column.dtype.kind in "mM":
        return ~np.isnat(column)
    if column.dtype.kind != "O":
        return np.ones(len(column), dtype=bool)
    return np.array([not is_missing(v) for v in column], dtype=bool)


def _seen(column: Array) -> NDArray[np.bool_]:
    """Which rows have a label: hold anything, and not -1 among whole numbers."""
    there = _there(column)
    if column.dtype.kind not in "iufO":
        return there
    held = column[there]
    if column.dtype.kind == "O" and not all(
        isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in held
    ):
        return there
    numbers = held.astype(float)
    if (numbers == np.round(numbers)).all():
        there[there] = numbers != UNLABELLED
    return there


def _fit_column(name: str, column: Array, classes: Sequence[Any] | None) -> Target:
    seen = _seen(column)
    if classes is not None:
        return Target(name, _given_classes(classes))
    if not seen.any():
        raise ValueError(
            f"no row has a label in {name!r}: give some, or the classes as the argument 'classes', or use VAE, which "
            "needs none."
        )
    labels = _of_one_type(name, column, seen)
    if labels.dtype.kind == "f":
        numbers = _numbers(name, column, seen)
        if not (numbers == np.round(numbers)).all():
            scale = float(numbers.std())
            return Target(name, None, float(numbers.mean()), scale if scale > 0 else 1.0)
        labels = labels.astype(int)
    known = np.unique(labels)
    if len(known) < 2:
        marked = bool((_there(column) & ~seen).any())
        also = f" ({UNLABELLED} marks rows without a label: call a class otherwise)" if marked else ""
        raise ValueError(
            f"{name!r} has only one class, {plain(known[0])!r}: there is nothing to tell apart{also}. Give labels of "
            "at least two."
        )
    if suspect := [text for text in known.tolist() if text in _PROBABLY_MISSING]:
        warn(
            f"the text {suspect[0]!r} in {name!r} is taken as a class; mark rows without a label None or NaN, in a "
            "list, a table or an array of objects.",
            DataWarning,
        )
    if labels.dtype.kind == "u" and known[-1] == np.iinfo(labels.dtype).max:
        warn(
            f"{known[-1]} in {name!r} is taken as a class, and is what {UNLABELLED} becomes among unsigned numbers "
            f"({labels.dtype}); if it marks rows without a label, make y.astype(int) before you mark them.",
            DataWarning,
        )
    return Target(name, known)


def _numbers(name: str, column: Array, seen: NDArray[np.bool_]) -> Floats:
    """The labels that there are, as finite numbers."""
    found = column[seen].astype(float)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(seen)[np.argmin(np.isfinite(found))])
        raise ValueError(f"label {found[~np.isfinite(found)][0]} of {name!r}, row {row}: mark unlabelled rows NaN.")
    return found


def _of_one_type(name: str, column: Array, seen: NDArray[np.bool_]) -> Array:
    """The labels that there are, of a type of their own where they came as objects."""
    labels = column[seen]
    if labels.dtype.kind != "O":
        return labels
    texts = np.array([isinstance(v, str) for v in labels])
    if texts.any() and not texts.all():
        i = int(np.argmax(texts != texts[0]))
        raise ValueError(
            f"{name!r} has labels of different types, {plain(labels[0])!r} and {plain(labels[i])!r} (row "
            f"{np.flatnonzero(seen)[i]}): give texts or numbers, and None where a row has no label."
        )
    return np.array([plain(v) for v in labels])


def _given_classes(classes: Sequence[Any]) -> Array:
    """The argument ``classes``, sorted, each once."""
    if isinstance(classes, str) or np.ndim(np.asarray(classes, dtype=object)) != 1:
        raise ValueError(f"classes must be a sequence of labels, got {classes!r}.")
    known = np.unique(_of_one_type("classes", _objects(list(classes)), np.ones(len(classes), dtype=bool)))
    if len(known) < 2:
        raise ValueError(f"classes must name at least two classes, got {known.tolist()}.")
    if known.dtype.kind in "if" and (known == UNLABELLED).any():
        raise ValueError(f"classes holds {UNLABELLED}, which marks rows without a label: call that class otherwise.")
    return known
