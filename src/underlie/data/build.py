"""Making table columns again from numbers and codes, with the dtype that they were read with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.data.columns import Level
from underlie.data.tables import Label, Library

_INTEGER = re.compile(r"\b(u?)int(8|16|32|64)\b", re.IGNORECASE)
_NARROW_FLOATS = {"float32": "float32", "float": "float32", "float16": "float16", "halffloat": "float16"}


@dataclass(frozen=True, eq=False)
class FinishedColumn:
    """A column to be built: float64 with NaN for missing; ``levels`` where the numbers are codes of labels."""

    label: Label
    dtype: str
    values: NDArray[np.float64]
    levels: tuple[Level, ...] | None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Cells without a value."""
        return np.isnan(self.values)

    def codes(self) -> NDArray[np.int64]:
        """Codes of the levels, -1 for missing."""
        return np.where(self.missing, -1, np.nan_to_num(self.values)).astype(np.int64)

    def objects(self) -> NDArray[np.object_]:
        """Values as Python objects, None for missing."""
        levels = np.empty(len(self.levels or ()) + 1, dtype=object)
        levels[:-1] = self.levels or ()
        return levels[self.codes()]


def is_coded(dtype: str, levels: tuple[Level, ...] | None) -> bool:
    """Whether a discrete column is handled as codes of its levels, rather than as the numbers that its levels are."""
    if levels is None:
        return False
    return dtype.startswith(("category", "dictionary")) or not levels or isinstance(levels[0], (str, bool))


def dtype_limits(dtype: str) -> tuple[float, float, bool]:
    """Smallest and largest number that a numeric dtype can hold as float64, and whether it holds integers only."""
    if dtype.endswith("[integer]"):
        return _integer_limits(np.iinfo(np.int64))
    found = _INTEGER.search(dtype)
    if found:
        return _integer_limits(np.iinfo(f"{found[1].lower()}int{found[2]}"))
    narrow = _NARROW_FLOATS.get(re.sub(r"arrow\[(.*)\]", r"\1", dtype).lower(), "float64")
    largest = float(np.finfo(np.dtype(narrow)).max)
    return -largest, largest, False


def _integer_limits(info: Any) -> tuple[float, float, bool]:
    high = float(info.max)
    return float(info.min), high if high <= info.max else float(np.nextafter(high, 0.0)), True


def build_table(library: Library, columns: Sequence[FinishedColumn], index: Any = None) -> Any:
    """Make a table of the library from finished columns.

    Parameters
    ----------
    library : "pandas", "polars" or "pyarrow"
    columns : sequence of FinishedColumn
    index : pandas.Index, optional
        Row labels; only pandas has them.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
    """
    if library == "pandas":
        dtypes = {c.dtype for c in columns}
        if len(dtypes) == 1 and dtypes <= {"float64", "float32"} and all(c.levels is None for c in columns):
            matrix = np.stack([c.values for c in columns], axis=1).astype(dtypes.pop())
            return pd.DataFrame(matrix, index=index, columns=pd.Index([c.label for c in columns]))
        series = {i: pandas_column(c, index) for i, c in enumerate(columns)}
        frame = pd.DataFrame(series, index=index, copy=False)
        frame.columns = pd.Index([c.label for c in columns])
        return frame
    if library == "polars":
        import polars

        return polars.DataFrame([polars_column(c) for c in columns])
    import pyarrow

    arrays = [arrow_column(c.values, c, c.dtype) for c in columns]
    return pyarrow.Table.from_arrays(arrays, names=[str(c.label) for c in columns])


def fill_table(library: Library, X: Any, columns: Sequence[FinishedColumn]) -> Any:
    """The table X with each cell that has a value in ``columns`` replaced by it; every other cell stays as it is.

    ``columns`` are NaN where X keeps its own value.
    """
    if library == "pandas":
        filled = X.copy()
        for j, column in enumerate(columns):
            keep = column.missing
            if not keep.all():
                filled.isetitem(j, _fill_pandas(X.iloc[:, j], column, keep))
        return filled
    frame = nw.from_native(X, eager_only=True)
    series = []
    for name, column in zip(frame.columns, columns, strict=True):
        keep = column.missing
        series.append(frame[name] if keep.all() else _fill_series(frame[name], column, keep, library))
    return frame.with_columns(*series).to_native()


# ---------------------------------------------------------------------------------------------------------- pandas


def pandas_column(column: FinishedColumn, index: Any) -> pd.Series[Any]:
    """One pandas column."""
    dtype, missing = column.dtype, column.missing
    if dtype.startswith("category"):
        inner = re.fullmatch(r"category\[(.*?)(, ordered)?\]", dtype)
        categories = pd.Index(list(column.levels or ()), dtype=inner[1] if inner else None)
        ordered = bool(inner and inner[2])
        return pd.Series(
            pd.Categorical.from_codes(column.codes(), dtype=pd.CategoricalDtype(categories, ordered)), index=index
        )
    if column.levels is not None:
        values = column.objects()
        if dtype in ("bool", "object"):
            values[missing] = np.nan
        target = object if dtype == "object" or dtype.startswith("object[") else pandas_dtype(dtype)
        return pd.Series(values, index=index, dtype=object if dtype == "bool" and missing.any() else target)
    if dtype.startswith("object["):
        return pd.Series(_python_numbers(column), index=index, dtype=object)
    target = pandas_dtype(dtype)
    if not missing.any():
        kind = np.int64 if dtype_limits(dtype)[2] and "uint64" not in dtype.lower() else np.float64
        return pd.Series(column.values.astype(kind), index=index).astype(target)
    if isinstance(target, np.dtype):
        return pd.Series(column.values, index=index, dtype=target if target.kind == "f" else np.float64)
    values = column.values.astype(object)
    values[missing] = None
    return pd.Series(pd.array(values, dtype=target), index=index)


def pandas_dtype(name: str) -> Any:
    """The pandas dtype of a name given by ``tables``."""
    found = re.fullmatch(r"arrow\[(.*)\]", name)
    return pd.ArrowDtype(arrow_type(found[1])) if found else pd.api.types.pandas_dtype(name)


def _python_numbers(column: FinishedColumn) -> NDArray[np.object_]:
    values = column.values.astype(object)
    if column.dtype.endswith("[integer]"):
        present = ~column.missing
        values[present] = [int(v) for v in column.values[present]]
    return values


def _fill_pandas(series: pd.Series[Any], column: FinishedColumn, keep: NDArray[np.bool_]) -> pd.Series[Any]:
    if isinstance(series.dtype, pd.CategoricalDtype):
        new = [v for v in column.levels or () if v not in series.cat.categories]
        filled = series.cat.add_categories(new) if new else series.copy()
    else:
        filled = series.copy()
    values = pandas_column(column, series.index)
    replaced = ~keep
    filled.iloc[replaced] = values.iloc[replaced].to_numpy()
    return filled


# ------------------------------------------------------------------------------------------------- polars and Arrow


def polars_column(column: FinishedColumn) -> Any:
    """One polars column."""
    import polars

    name, missing = str(column.label), column.missing
    if column.levels is not None:
        dtype = (
            polars.Enum([str(v) for v in column.levels]) if column.dtype == "Enum" else getattr(polars, column.dtype)
        )
        return polars.Series(name, list(column.objects()), dtype=dtype)
    dtype = getattr(polars, column.dtype)
    if dtype.is_integer():
        values: Any = [None if m else int(v) for v, m in zip(column.values, missing, strict=True)]
        return polars.Series(name, values, dtype=dtype)
    return polars.Series(name, column.values, dtype=polars.Float64).fill_nan(None).cast(dtype)


def arrow_type(name: str) -> Any:
    """The Arrow type of its name."""
    import pyarrow

    found = re.fullmatch(r"dictionary<values=(.*), indices=(.*), ordered=(\d)>", name)
    if found:
        return pyarrow.dictionary(arrow_type(found[2]), arrow_type(found[1]), ordered=found[3] == "1")
    return pyarrow.type_for_alias(name)


def arrow_column(values: NDArray[np.float64], column: FinishedColumn, dtype: str) -> Any:
    """One Arrow array of the named type."""
    import pyarrow

    target = arrow_type(dtype)
    if column.levels is None:
        present = [None if m else v for v, m in zip(values.tolist(), np.isnan(values), strict=True)]
        if pyarrow.types.is_integer(target):
            present = [None if v is None else int(v) for v in present]
        return pyarrow.array(present, type=target)
    if pyarrow.types.is_dictionary(target):
        codes = [None if c < 0 else int(c) for c in column.codes()]
        indices = pyarrow.array(codes, type=target.index_type)
        levels = pyarrow.array(list(column.levels), type=target.value_type)
        return pyarrow.DictionaryArray.from_arrays(indices, levels, ordered=target.ordered)
    return pyarrow.array(list(column.objects()), type=target)


def _fill_series(
    series: nw.Series[Any], column: FinishedColumn, keep: NDArray[np.bool_], library: Library
) -> nw.Series[Any]:
    """Rebuild the column from a list of Python values: exact for every dtype."""
    values: list[Any] = list(column.objects()) if column.levels is not None else column.values.tolist()
    whole = series.dtype.is_integer()
    own = series.to_list()
    merged = [o if k else (int(v) if whole else v) for o, v, k in zip(own, values, keep, strict=True)]
    native = series.to_native()
    if library == "polars":
        import polars

        rebuilt: Any = polars.Series(series.name, merged, dtype=native.dtype, strict=False)
    else:
        import pyarrow

        rebuilt = pyarrow.chunked_array([pyarrow.array(merged, type=native.type)])
    filled: nw.Series[Any] = nw.from_native(rebuilt, series_only=True)
    return filled.alias(series.name)
