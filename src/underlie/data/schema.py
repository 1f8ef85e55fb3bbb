"""The schema of a table: names, kinds, levels, location and scale of its columns; printed, and stored as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from underlie.data.columns import DISCRETE, KINDS, Column, ColumnArrays, GridNames, Kind, Level, objects, repeated

__all__ = ["DISCRETE", "KINDS", "Column", "Kind", "Level", "Schema"]

_SHOWN_COLUMNS: Final = 60
_SHOWN_LEVELS: Final = 5
_HEADER: Final = ("name", "kind", "values", "location", "scale", "missing")


@final
class Schema:
    """The columns of a table, in order.

    Parameters
    ----------
    columns : sequence of Column

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [61.5, 48.2, 70.1], "nodes": [0, 5, 12], "hormone": ["no", "yes", "no"]})
    >>> print(Schema.infer(X))
    3 columns: 1 continuous, 1 count, 1 binary
    name     kind        values         location  scale  missing
    age      continuous  48.2 ... 70.1     59.93  9.009       no
    nodes    count       0 ... 12                             no
    hormone  binary      no, yes                              no
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._arrays = ColumnArrays.of(columns)
        self.__dict__["columns"] = tuple(columns)

    @classmethod
    def from_arrays(cls, arrays: ColumnArrays) -> Self:
        """Build a schema from arrays; single columns are made only when they are asked for."""
        self = cls.__new__(cls)
        self._arrays = arrays
        return self

    @classmethod
    def infer(cls, X: Any, kinds: Mapping[str | int, Kind] | Kind | None = None) -> Schema:
        """Find the kind of each column of X.

        The rules, in this order; ``kinds`` overrules them:

        =============================================  ==========================================================
        a column of                                    is
        =============================================  ==========================================================
        booleans                                       binary
        text, or an unordered categorical              categorical; binary if it has two levels
        an ordered pandas or Arrow categorical         ordinal; binary if it has two levels
        numbers, all equal                             continuous, with scale 1
        numbers, two distinct values in >= 3 rows      binary
        whole numbers >= 0, with mean < 3 sd           count
        other whole numbers                            continuous
        numbers > 0 with skewness > 1,                 positive
        whose logarithms are less skewed
        other numbers                                  continuous
        =============================================  ==========================================================

        Levels are kept in the order of a categorical's categories (unused ones too), and are sorted otherwise. Whole
        numbers may be stored as floats, as pandas does where cells are missing. Dates are refused.

        NumPy arrays (n, D) say less about themselves than tables: integer arrays follow the rules above; in float
        arrays every column is continuous, except those that hold exactly 0 and 1, which are binary (an array of
        nothing but 0 and 1 is binary throughout).

        Images (n, height, width) and (n, height, width, channels) have one kind for all pixels: binary if the pixels
        have two distinct values, continuous if some are negative, else proportion of the largest possible value: 255
        for bytes, 1 for floats within [0, 1], else the largest that occurs.

        Parameters
        ----------
        X : table, array or images of n rows, or a row source
            NaN or null where missing.
        kinds : dict of name or position to Kind, or one Kind for all columns, optional
            Overrules the rules above.

        Returns
        -------
        Schema

        Raises
        ------
        ValueError
            If a column has no observed cell, or contradicts its kind (negative counts, a third binary value, ...).
        TypeError
            If a column holds dates or objects that are neither numbers nor text.
        """
        from underlie.data.encoder import Encoder

        return Encoder.fit(X, kinds).schema

    @property
    def arrays(self) -> ColumnArrays:
        """The same as arrays of shape (C,)."""
        return self._arrays

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in order."""
        return tuple(self._arrays.column(j) for j in range(len(self)))

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._arrays.names)

    @property
    def kinds(self) -> list[Kind]:
        """Kinds of the columns."""
        return list(self._arrays.kinds)

    def __len__(self) -> int:
        return len(self._arrays)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, key: int | str) -> Column:
        if isinstance(key, str):
            try:
                key = self.names.index(key)
            except ValueError:
                raise KeyError(f"no column is named {key!r}; the columns are {abridge(self.names)}") from None
        if not -len(self) <= key < len(self):
            raise IndexError(f"column {key} of {len(self)}")
        return self._arrays.column(key % len(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Schema of {self._summary()}>"

    def __str__(self) -> str:
        rows = [_HEADER, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
        lines = [f"{self._summary()}"]
        for row in rows:
            cells = [c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        if len(self) > _SHOWN_COLUMNS:
            lines.append(f"... and {len(self) - _SHOWN_COLUMNS:,} more columns")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(h)}</th>" for h in _HEADER)
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in self._rows())
        more = len(self) - _SHOWN_COLUMNS
        tail = f"<p>... and {more:,} more columns</p>" if more > 0 else ""
        return (
            f"<table><caption>{escape(self._summary())}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{tail}"
        )

    def _summary(self) -> str:
        counts = Counter(self._arrays.kinds)
        parts = ", ".join(f"{counts[k]:,} {k}" for k in KINDS if counts[k])
        return f"{len(self):,} column{'' if len(self) == 1 else 's'}: {parts}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [_row(self._arrays.column(j)) for j in range(min(len(self), _SHOWN_COLUMNS))]

    def to_json(self) -> dict[str, Any]:
        """The schema as plain JSON types; what all columns share is stored once.

        Returns
        -------
        dict
        """
        a = self._arrays
        names: Any = (
            {"prefix": a.names.prefix, "shape": list(a.names.shape)} if isinstance(a.names, GridNames) else None
        )
        return {
            "n_columns": len(a),
            "names": names or list(a.names),
            "kinds": _pack(a.kinds.tolist()),
            "levels": _pack(a.levels.tolist()),
            "loc": _pack(a.loc.tolist()),
            "scale": _pack(a.scale.tolist()),
            "dtypes": _pack(a.dtypes.tolist()),
            "missing": _pack(a.missing.tolist()),
            "low": _pack([None if np.isnan(v) else v for v in a.low.tolist()]),
            "high": _pack([None if np.isnan(v) else v for v in a.high.tolist()]),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Restore what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If the fields are missing or do not fit together.
        """
        try:
            n = int(data["n_columns"])
            raw_names = data["names"]
            fields = {key: _unpack(data[key], n) for key in ("kinds", "levels", "loc", "scale", "dtypes", "missing")}
            ranges = {key: _floats(_unpack(data[key], n)) for key in ("low", "high")}
            grid = isinstance(raw_names, dict)
            names = _grid_names(raw_names) if grid else tuple(map(str, raw_names))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no schema: {error!r} is missing or of the wrong type.") from error
        if len(names) != n or not set(fields["kinds"]) <= set(KINDS):
            raise ValueError("this is no schema: its names and kinds do not fit together.")
        levels = _shared_tuples(fields["levels"])
        arrays = ColumnArrays(
            names=names,
            kinds=objects(fields["kinds"]),
            levels=levels,
            loc=_floats(fields["loc"]),
            scale=_floats(fields["scale"]),
            dtypes=objects(fields["dtypes"]),
            missing=np.array(fields["missing"], dtype=bool),
            **ranges,
        )
        return cls.from_arrays(arrays)


def abridge(items: Sequence[object], shown: int = _SHOWN_LEVELS) -> str:
    """A comma-separated list, cut after a few items."""
    text = ", ".join(str(i) for i in items[:shown])
    return text if len(items) <= shown else f"{text}, ... ({len(items):,} in all)"


def _row(column: Column) -> tuple[str, ...]:
    numeric = column.kind in ("continuous", "positive", "proportion")
    if column.levels is not None:
        values = (" < " if column.kind == "ordinal" else ", ").join(str(v) for v in column.levels[:_SHOWN_LEVELS])
        values += f", ... ({len(column.levels):,} levels)" if len(column.levels) > _SHOWN_LEVELS else ""
    elif column.low is not None and column.high is not None:
        values = f"{column.low:.6g} ... {column.high:.6g}"
    else:
        values = ""
    loc = f"{column.loc:.4g}" if column.kind == "continuous" else ""
    scale = f"{column.scale:.4g}" if numeric else ""
    return (column.name, column.kind, values, loc, scale, "yes" if column.missing else "no")


def _pack(items: list[Any]) -> Any:
    """{"all": item} where the items are equal, else the items; tuples become lists."""
    first = items[0]
    if all(item is first or _same(item, first) for item in items):
        return {"all": _plain(first)}
    return [_plain(item) for item in items]


def _same(a: Any, b: Any) -> bool:
    """Equal in value and in type: 1, 1.0 and True are three different levels."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def _plain(item: Any) -> Any:
    return list(item) if isinstance(item, tuple) else item


def _unpack(packed: Any, n: int) -> list[Any]:
    if isinstance(packed, dict):
        return [packed["all"]] * n
    items = list(packed)
    if len(items) != n:
        raise ValueError(f"this is no schema: a field has {len(items)} entries for {n} columns.")
    return items


def _floats(items: list[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if i is None else float(i) for i in items], dtype=np.float64)


def _grid_names(data: Mapping[str, Any]) -> GridNames:
    """Names of the cells of an array, stored as what they have in common; short, since each cell repeats it."""
    prefix, shape = str(data["prefix"]), tuple(data["shape"])
    if len(prefix) > 20 or len(shape) > 3:
        raise ValueError("this is no schema: cells of an array are not named so.")
    return GridNames(prefix, shape)


def _shared_tuples(items: list[Any]) -> NDArray[np.object_]:
    """Lists of levels as tuples; the same list becomes the same tuple, so that 250,000 pixels share one."""
    if items and all(item is items[0] for item in items):
        return repeated(None if items[0] is None else tuple(items[0]), len(items))
    return objects([None if item is None else tuple(item) for item in items])
