"""Tables of pandas, polars and Arrow: reading their columns as numbers or labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.data.r_missing import columns_without_r_missing

Library = Literal["pandas", "polars", "pyarrow"]
Label = str | int

_DATE_REMEDY: Final = (
    "dates cannot be modelled. Convert them to a number first, for example days since a fixed day: "
    'X["column"] = (X["column"] - start).dt.days.'
)


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as it came.

    ``values`` are float64 with NaN for missing where ``form`` is "integer", "float" or "boolean" (0 and 1), and Python
    objects with None for missing where it is "label". ``levels`` are the declared categories, if there are any.
    """

    name: str
    dtype: str
    form: Literal["integer", "float", "boolean", "label"]
    values: NDArray[Any]
    levels: tuple[Any, ...] | None = None
    ordered: bool = False


@dataclass(frozen=True, eq=False)
class RawTable:
    """The columns of one table, the library it came from, and its labels (which pandas allows to be integers)."""

    library: Library
    labels: tuple[Label, ...]
    columns: tuple[RawColumn, ...]
    n_rows: int


def library_of(X: Any) -> Library | None:
    """Which library made this table; None if X is no table.

    Raises
    ------
    TypeError
        If X is a lazy table, or one of a library that is not supported.
    """
    if nw.dependencies.is_pandas_dataframe(X):
        return "pandas"
    if nw.dependencies.is_polars_dataframe(X):
        return "polars"
    if nw.dependencies.is_pyarrow_table(X):
        return "pyarrow"
    if nw.dependencies.is_polars_lazyframe(X):
        raise TypeError("X is a lazy table: give X.collect().")
    if nw.dependencies.is_into_dataframe(X):
        raise TypeError(f"X is a {type(X).__module__.split('.')[0]} table: convert it with X.to_pandas().")
    return None


def is_series(X: Any) -> bool:
    """Whether X is a single column of a table library."""
    return bool(nw.dependencies.is_into_series(X))


def read_table(X: Any) -> RawTable:
    """Read every column of a table; R's code for a missing whole number is missing.

    Raises
    ------
    ValueError
        If the table has no rows or columns, column names occur twice, or values are infinite.
    TypeError
        If a column holds dates, nested values or objects that are neither numbers nor text.
    """
    library = library_of(X)
    if library is None:
        raise TypeError(f"X is a {type(X).__name__}, not a table.")
    labels = _labels(X, library)
    n_rows = int(X.shape[0])
    if n_rows == 0:
        raise ValueError(
            f"Found table with 0 sample(s) (shape={tuple(X.shape)}) while a minimum of 1 is required: X has no rows."
        )
    if not labels:
        raise ValueError(f"Found table with 0 feature(s) (shape={tuple(X.shape)}) while a minimum of 1 is required.")
    columns = _read_pandas(X) if library == "pandas" else _read_narwhals(X)
    for column in columns:
        _refuse_infinite(column)
    return RawTable(library, labels, columns_without_r_missing(columns), n_rows)


def _labels(X: Any, library: Library) -> tuple[Label, ...]:
    names = list(X.column_names) if library == "pyarrow" else list(X.columns)
    for name in names:
        if not isinstance(name, (str, int, np.integer)):
            raise TypeError(
                f"X has a column named {name!r}, of type {type(name).__name__}: columns must be named by text or whole "
                "numbers. Rename them, for example X.columns = [str(c) for c in X.columns]."
            )
    labels = tuple(name if isinstance(name, str) else int(name) for name in names)
    seen: set[str] = set()
    for name in map(str, labels):
        if name in seen:
            raise ValueError(f"X has more than one column named {name!r}: rename or drop the duplicates.")
        seen.add(name)
    return labels


def _refuse_infinite(column: RawColumn) -> None:
    if column.form != "float":
        return
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(
            f"X contains infinity: column {column.name!r}, row {row}, holds {column.values[row]}. Replace infinite "
            "values by a finite number, or by a missing value if they are unknown. "
            "(more: underlie explain infinite-cells)"
        )


# ---------------------------------------------------------------------------------------------------------- pandas


def _read_pandas(X: pd.DataFrame) -> list[RawColumn]:
    """Columns of plain NumPy dtype are converted together, one dtype at a time; the others one by one."""
    dtypes = list(X.dtypes)
    columns: dict[int, RawColumn] = {}
    plain: dict[np.dtype[Any], list[int]] = {}
    for j, dtype in enumerate(dtypes):
        if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
            plain.setdefault(dtype, []).append(j)
    for dtype, positions in plain.items():
        block = np.asarray(X.iloc[:, positions].to_numpy(), dtype=np.float64, order="F")
        form: Any = {"b": "boolean", "f": "float"}.get(dtype.kind, "integer")
        for k, j in enumerate(positions):
            columns[j] = RawColumn(str(X.columns[j]), str(dtype), form, block[:, k])
    for j in range(len(dtypes)):
        if j not in columns:
            columns[j] = _read_pandas_column(X.iloc[:, j], str(X.columns[j]))
    return [columns[j] for j in range(len(dtypes))]


def _read_pandas_column(series: pd.Series[Any], name: str) -> RawColumn:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _read_pandas_categorical(series, name)
    if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        raise TypeError(f"column {name!r} of X holds {dtype}: {_DATE_REMEDY}")
    if pd.api.types.is_timedelta64_dtype(dtype):
        raise TypeError(
            f'column {name!r} of X holds durations ({dtype}): convert them, X["{name}"].dt.total_seconds().'
        )
    if pd.api.types.is_complex_dtype(dtype):
        raise ValueError(f"Complex data not supported: column {name!r} of X has complex numbers.")
    if pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype):
        return label_or_number(name, _dtype_name(dtype), series.astype(object).to_numpy())
    if pd.api.types.is_bool_dtype(dtype):
        return RawColumn(name, _dtype_name(dtype), "boolean", series.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_numeric_dtype(dtype):
        form: Any = "integer" if pd.api.types.is_integer_dtype(dtype) else "float"
        return RawColumn(name, _dtype_name(dtype), form, series.to_numpy(dtype=np.float64, na_value=np.nan))
    return label_or_number(name, _dtype_name(dtype), series.astype(object).to_numpy())


def _dtype_name(dtype: Any) -> str:
    """A name from which the dtype can be made again."""
    if isinstance(dtype, pd.ArrowDtype):
        return f"arrow[{dtype.pyarrow_dtype}]"
    if isinstance(dtype, pd.StringDtype) and str(dtype) == "string":
        return f"string[{dtype.storage}]"
    return str(dtype)


def _read_pandas_categorical(series: pd.Series[Any], name: str) -> RawColumn:
    categories = series.cat.categories
    levels = tuple(_plain_level(v, name) for v in categories)
    values = np.empty(len(series), dtype=object)
    codes = series.cat.codes.to_numpy()
    seen = codes >= 0
    if levels:
        values[seen] = np.array([*levels, None], dtype=object)[:-1][codes[seen]]
    ordered = bool(series.cat.ordered)
    dtype = f"category[{categories.dtype}{', ordered' if ordered else ''}]"
    return RawColumn(name, dtype, "label", values, levels, ordered)


def label_or_number(name: str, dtype: str, values: NDArray[np.object_]) -> RawColumn:
    """A column of Python objects: all text, all numbers or all booleans, beside missing ones.

    Raises
    ------
    ValueError
        If text and numbers are mixed.
    TypeError
        If the objects are something else.
    """
    missing = np.asarray(pd.isna(values))
    found = pd.api.types.infer_dtype(values[~missing], skipna=True)
    if found in ("string", "empty"):
        cleaned = values.copy()
        cleaned[missing] = None
        return RawColumn(name, dtype, "label", cleaned)
    if found in ("boolean", "integer", "floating", "mixed-integer-float"):
        form: Any = found if found in ("boolean", "integer") else "float"
        return RawColumn(name, f"{dtype}[{form}]", form, _as_floats(values, missing))
    if found in ("datetime", "datetime64", "date", "period"):
        raise TypeError(f"column {name!r} of X holds dates: {_DATE_REMEDY}")
    if found in ("mixed-integer", "mixed"):
        _refuse_mixture(name, values, missing)
    if found == "decimal":
        raise TypeError(f'column {name!r} of X holds decimals: convert them, X["{name}"].astype(float).')
    row = int(np.argmin(missing))
    raise TypeError(
        f"column {name!r} of X, row {row}, holds a {type(values[row]).__name__}: give numbers, booleans or text."
    )


def _refuse_mixture(name: str, values: NDArray[np.object_], missing: NDArray[np.bool_]) -> None:
    """Name the first cell of the rarer type."""
    text = np.array([isinstance(v, str) for v in values])
    number = np.array([isinstance(v, (int, float, np.number)) for v in values]) & ~missing
    if (text | number | missing).all():
        rarer, what = (text, "text") if text.sum() <= number.sum() else (number, "a number")
        row = int(np.argmax(rarer))
        raise ValueError(
            f"column {name!r} of X mixes numbers and text: row {row} holds {what}, {values[row]!r}. If it is a number, "
            f'convert it with pandas.to_numeric(X["{name}"], errors="coerce"); if it is a category, with .astype(str). '
            "(more: underlie explain numbers-as-text)"
        )


def _as_floats(values: NDArray[np.object_], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    floats = np.full(len(values), np.nan)
    floats[~missing] = values[~missing].astype(np.float64)
    return floats


def _plain_level(value: Any, name: str) -> str | int | float | bool:
    """A category as a type that JSON can hold."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(
        f"column {name!r} of X has categories of type {type(value).__name__}, such as {value!r}: use text or "
        f'numbers, for example X["{name}"] = X["{name}"].cat.rename_categories(str).'
    )


# ------------------------------------------------------------------------------------------------- polars and Arrow


def _read_narwhals(X: Any) -> list[RawColumn]:
    frame = nw.from_native(X, eager_only=True)
    return [_read_series(frame[name], name) for name in frame.columns]


def _read_series(series: nw.Series[Any], name: str) -> RawColumn:
    dtype = series.dtype
    native = str(series.to_native().type if hasattr(series.to_native(), "type") else series.to_native().dtype)
    if dtype == nw.Boolean:
        return RawColumn(name, native, "boolean", _series_floats(series.cast(nw.Int8)))
    if dtype.is_integer():
        return RawColumn(name, native, "integer", _series_floats(series))
    if dtype.is_float():
        return RawColumn(name, native, "float", _series_floats(series))
    if dtype in (nw.String, nw.Categorical, nw.Enum) or native.startswith("dictionary"):
        return _read_text(series, name, native)
    if dtype.is_temporal():
        raise TypeError(f"column {name!r} of X holds {native}: {_DATE_REMEDY}")
    if native in ("Null", "null"):
        return RawColumn(name, native, "label", np.full(len(series), None, dtype=object))
    raise TypeError(
        f"column {name!r} of X holds {native}: give numbers, booleans or text; cast it, for example to Float64."
    )


def _series_floats(series: nw.Series[Any]) -> NDArray[np.float64]:
    missing = series.is_null().to_numpy()
    if not missing.any():
        return np.asarray(series.to_numpy(), dtype=np.float64)
    floats = np.array(series.fill_null(0).to_numpy(), dtype=np.float64)
    floats[missing] = np.nan
    return floats


def _read_text(series: nw.Series[Any], name: str, native: str) -> RawColumn:
    values = np.empty(len(series), dtype=object)
    values[:] = series.to_list()
    levels: tuple[Any, ...] | None = None
    ordered = False
    if native.startswith("Enum"):
        native, levels = "Enum", tuple(series.to_native().dtype.categories.to_list())
    elif native.startswith("Categorical"):
        native = "Categorical"
    elif native.startswith("dictionary"):
        ordered = "ordered=1" in native
        levels = tuple(_plain_level(v, name) for v in _arrow_categories(series.to_native()))
    return RawColumn(name, native, "label", values, levels, ordered)


def _arrow_categories(array: Any) -> Sequence[Any]:
    """Categories of a dictionary-encoded column, in order of first appearance over its chunks."""
    categories: dict[Any, None] = {}
    for chunk in array.chunks:
        categories.update(dict.fromkeys(chunk.dictionary.to_pylist()))
    return list(categories)
