"""The encoder: a table, array or images to numbers that models take, and back to what the user gave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self, cast, final

import numpy as np
from numpy.typing import NDArray

from underlie.data import arrays as array_checks
from underlie.data.build import FinishedColumn, build_table, fill_table
from underlie.data.chunks import ParquetSource
from underlie.data.codec import Codec, Floats
from underlie.data.inference import has_two_values, infer_array, infer_images, infer_table, warn_of_empty_rows
from underlie.data.r_missing import array_without_r_missing
from underlie.data.reading import Container, Raw, Reader, refuse_series
from underlie.data.rules import Kinds
from underlie.data.schema import Schema
from underlie.data.sources import RowSource, as_source, blocks, is_source, sample_rows
from underlie.data.tables import Label, RawTable, library_of, read_table
from underlie.data.whole import Whole

_FORMAT: Final = 1
#: a row source is looked at through this many random rows, fewer where they would exceed the bytes
_SAMPLE_ROWS: Final = 20_000
_SAMPLE_BYTES: Final = 2**28


@dataclass(frozen=True, eq=False)
class Encoded:
    """Numbers that models take.

    Parameters
    ----------
    values : ndarray of float64, shape (n, C)
        Always finite; missing cells hold a harmless valid value.
    observed : ndarray of bool, shape (n, C), or None
        Which cells are observed; None where all are.
    """

    values: NDArray[np.float64]
    observed: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.values)


@final
class Encoder:
    """Turns tables, arrays and images into numbers and back, without loss of type, order, or level.

    Encoded values are (x - loc) / scale for continuous columns, x / scale for positive columns (scale is the geometric
    mean) and proportions (scale is the largest possible value), x for counts, and codes 0, 1, ... for discrete columns.

    Use :meth:`fit`; the constructor takes what a fitted encoder holds.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"age": [50.0, None, 70.0, 60.0], "grade": ["I", "III", "II", "I"]})
    >>> encoder = Encoder.fit(X)
    >>> encoded = encoder.encode(X)
    >>> encoded.values[:, 1]
    array([0., 2., 1., 0.])
    >>> encoded.observed[:, 0]
    array([ True, False,  True,  True])
    >>> encoder.decode(encoded.values, observed=encoded.observed).equals(X)
    True
    >>> encoder.numeric_names
    ['age', 'grade=I', 'grade=II', 'grade=III']
    """

    def __init__(
        self,
        schema: Schema,
        container: Container,
        row_shape: tuple[int, ...],
        labels: tuple[Label, ...] | None = None,
    ) -> None:
        self.schema = schema
        self.row_shape = row_shape
        self._container = container
        self._labels = labels
        self._codec = Codec(schema.arrays)
        self._reader = Reader(schema.arrays, self._codec.coded, container, row_shape, labels)

    # ------------------------------------------------------------------------------------------------------ fitting

    @classmethod
    def fit(cls, X: Any, kinds: Kinds = None) -> Self:
        """Look at X, find the kind of each column (see :meth:`underlie.Schema.infer`), and return the encoder.

        A row source too large for memory is read once from the first row to the last for ranges, location, scale,
        levels and missing cells, so that no later row comes as a surprise. What needs all values at once (whether a
        column looks lognormal, and its geometric mean) is that of 20,000 random rows (fewer if they exceed 256 MiB; the
        seed is fixed). Grey images in bytes are not read, if those rows have more than two values.

        Parameters
        ----------
        X : pandas, polars or Arrow table; array (n, D); images (n, h, w) or (n, h, w, c); row source; Parquet path
            NaN or null where missing.
        kinds : dict of name or position to Kind, or one Kind for all columns, optional

        Returns
        -------
        Encoder

        Raises
        ------
        ValueError
            If X is empty, has infinite values, duplicated names, a column without observed cells or with both text and
            numbers, or contradicts ``kinds``.
        TypeError
            If X is sparse, or a column holds dates or other objects.
        """
        library = library_of(X)
        if library is not None:
            return cls._fit_table(read_table(X), kinds)
        if is_source(X):
            return cls._fit_source(as_source(X), kinds)
        refuse_series(X)
        return cls._fit_array(array_without_r_missing(array_checks.checked_array(X)), kinds)

    @classmethod
    def _fit_table(cls, table: RawTable, kinds: Kinds) -> Self:
        arrays = infer_table(table, kinds)
        encoder = cls(Schema.from_arrays(arrays), table.library, (len(table.labels),), table.labels)
        warn_of_empty_rows(encoder._reader.of_table(table).missing)
        return encoder

    @classmethod
    def _fit_array(
        cls, X: NDArray[Any], kinds: Kinds, names: Sequence[str] | None = None, whole: Whole | None = None
    ) -> Self:
        names = names or array_checks.grid_names(X.shape[1:])
        flat = X.reshape(len(X), -1)
        missing = array_checks.missing_cells(flat, names)
        infer = infer_array if X.ndim == 2 else infer_images
        encoder = cls(Schema.from_arrays(infer(flat, missing, names, kinds, whole)), "array", X.shape[1:])
        warn_of_empty_rows(missing)
        return encoder

    @classmethod
    def _fit_source(cls, source: RowSource, kinds: Kinds) -> Self:
        row_bytes = max(1, int(np.prod(source.shape[1:])) * source.dtype.itemsize)
        sample = sample_rows(source, max(1, min(_SAMPLE_ROWS, _SAMPLE_BYTES // row_bytes)))
        names = source.names if isinstance(source, ParquetSource) else None
        looked_at = array_checks.checked_array(sample)
        columns = names or array_checks.grid_names(source.shape[1:])
        if len(source) == len(sample) or _is_grey(looked_at, kinds):
            return cls._fit_array(looked_at, kinds, names)
        return cls._fit_array(looked_at, kinds, names, Whole.of(source, columns, kinds))

    # ---------------------------------------------------------------------------------------------------- properties

    @property
    def n_columns(self) -> int:
        """C, the number of columns of the encoded values."""
        return len(self.schema)

    @property
    def n_numeric(self) -> int:
        """P, the number of columns of the numeric view."""
        return int(self._codec.offsets[-1])

    @property
    def numeric_loc(self) -> Floats:
        """(P,): numeric = loc + scale * coordinate; coordinates are encoded values, or indicators of levels."""
        return self._codec.numeric_affine[0]

    @property
    def numeric_scale(self) -> Floats:
        """(P,): see :attr:`numeric_loc`."""
        return self._codec.numeric_affine[1]

    @cached_property
    def numeric_names(self) -> list[str]:
        """Names of the P numeric columns; ``column=level`` for the indicators of a categorical column."""
        names: list[str] = []
        for name, kind, levels in zip(
            self.schema.arrays.names, self.schema.arrays.kinds, self.schema.arrays.levels, strict=True
        ):
            names.extend([f"{name}={level}" for level in levels] if kind == "categorical" else [name])
        return names

    # ------------------------------------------------------------------------------------------------------ encoding

    def encode(self, X: Any) -> Encoded:
        """Encoded values of new rows.

        Parameters
        ----------
        X : table, array, images or row source of n rows
            The columns that ``fit`` saw, in the same order.

        Returns
        -------
        Encoded
            ``values`` (n, C), ``observed`` (n, C) or None.

        Raises
        ------
        ValueError
            If columns are unknown, missing or in another order, or a cell has a level, or a value, that its column
            cannot have.
        TypeError
            If X is of another sort (images instead of a table, text instead of numbers).
        """
        raw = self._reader.read(X)
        values = self._codec.encode(raw.values, raw.missing)
        return Encoded(values, None if raw.missing is None else ~raw.missing)

    def numeric(self, X: Any) -> NDArray[np.float64]:
        """The rows of X as numbers in the user's units, with indicators for the levels of categorical columns.

        Binary columns are their two numbers, or 0 and 1 where they are text or booleans; ordinal columns are their
        numbers where these are equally spaced, and codes 0, 1, ... otherwise.

        Parameters
        ----------
        X : as for :meth:`encode`

        Returns
        -------
        ndarray of float64, shape (n, P)
            NaN where missing.
        """
        raw = self._reader.read(X)
        return self._codec.numeric(raw.values, raw.missing)

    def some(self, X: Any, most: int) -> tuple[Encoded, Floats, NDArray[np.intp]]:
        """What :meth:`encode` and :meth:`numeric` say of at most so many rows, at random but always the same.

        Parameters
        ----------
        X : table, array or images of n rows
        most : int

        Returns
        -------
        encoded : Encoded
        numeric : ndarray of float64, shape (k, P)
        index : ndarray of int, shape (k,)
            Which rows they are, in ascending order; k is n or ``most``, whichever is smaller.
        """
        raw = self._reader.read(X)
        n = len(raw.values)
        index = np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))
        if n > most:
            raw = Raw(raw.values[index], None if raw.missing is None else raw.missing[index])
        values = self._codec.encode(raw.values, raw.missing)
        numeric = self._codec.numeric_from_encoded(values, raw.missing, raw.values)
        return Encoded(values, None if raw.missing is None else ~raw.missing), numeric, index

    def numeric_parts(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """:meth:`numeric` of X, a part at a time where X is a row source, else all at once.

        Parameters
        ----------
        X : as for :meth:`encode`

        Yields
        ------
        ndarray of float64, shape (k, P)
        """
        source = as_source(X) if is_source(X) else None
        if source is None or len(source) == 0:
            yield self.numeric(X)
            return
        for part in blocks(source):
            yield self.numeric(part)

    def log_abs_det(self, observed: NDArray[np.bool_] | None, n: int) -> NDArray[np.float64]:
        """What to add to the log density of encoded values to have that of the data: the sum of -log scale, per row.

        Parameters
        ----------
        observed : ndarray of bool, shape (n, C), or None
        n : int
            Number of rows.

        Returns
        -------
        ndarray of shape (n,)
            Over the observed cells of continuous, positive and proportion columns, in nats.
        """
        return self._codec.log_abs_det(observed, n)

    # ------------------------------------------------------------------------------------------------------ decoding

    def decode(self, values: Any, *, observed: NDArray[np.bool_] | None = None, like: Any = None) -> Any:
        """Encoded values as a table, array or images of the sort that ``fit`` saw.

        Values are rounded or clipped to the nearest that a column can hold: whole numbers in integer columns, counts
        >= 0, proportions within [0, 1], positive values > 0, one of the levels.

        Parameters
        ----------
        values : array-like of shape (n, C)
            NaN becomes a missing cell.
        observed : ndarray of bool, shape (n, C), optional
            Cells that are not observed become missing.
        like : pandas.DataFrame, optional
            Its index becomes the index of the result.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame, pyarrow.Table or ndarray of shape (n, *row_shape)
        """
        encoded = self._as_matrix(values, self.n_columns, "values")
        if observed is not None:
            encoded = np.where(observed, encoded, np.nan)
        return self._finish(self._codec.decode(encoded), like)

    def from_numeric(self, A: Any, *, like: Any = None) -> Any:
        """The numeric view as a table, array or images again: nearest level, largest indicator, rounded counts.

        Parameters
        ----------
        A : array-like of shape (n, P)
            NaN becomes a missing cell.
        like : pandas.DataFrame, optional
            Its index becomes the index of the result.

        Returns
        -------
        as for :meth:`decode`
        """
        return self._finish(self._codec.decode(self.encoded_from_numeric(A)), like)

    def encoded_from_numeric(self, A: Any) -> NDArray[np.float64]:
        """Nearest valid encoded values (n, C) of the numeric view (n, P); NaN stays NaN."""
        return self._codec.encoded_from_numeric(self._as_matrix(A, self.n_numeric, "A"))

    def numeric_moments(self, mean: NDArray[Any], *central: NDArray[Any]) -> tuple[Floats, ...]:
        """Means and central moments of the coordinates, in the units of the numeric view.

        Parameters
        ----------
        mean : ndarray of shape (..., P)
            Of encoded values, and of the indicators of categorical columns.
        *central : ndarray of shape (..., P)
            Their variances, third, fourth, ... central moments.

        Returns
        -------
        tuple of ndarray of shape (..., P)
            As many: loc + scale * mean, and scale^k times the central moment of order k.
        """
        loc, scale = self._codec.numeric_affine
        with np.errstate(over="ignore"):
            in_units = [np.asarray(moment) * scale**order for order, moment in enumerate(central, 2)]
            return np.asarray(mean) * scale + loc, *in_units

    def fill(self, X: Any, values: Any) -> Any:
        """X with its missing cells replaced by decoded values; observed cells stay exactly as they are.

        Parameters
        ----------
        X : as for :meth:`encode`
        values : array-like of shape (n, C)
            Encoded values; only those of missing cells are used.

        Returns
        -------
        same type, columns, order and index as X
        """
        raw = self._reader.read(X)
        encoded = self._as_matrix(values, self.n_columns, "values")
        if len(encoded) != len(raw.values):
            raise ValueError(f"values has {len(encoded)} rows, but X has {len(raw.values)}.")
        missing = np.zeros(encoded.shape, dtype=bool) if raw.missing is None else raw.missing
        decoded = np.where(missing, self._codec.decode(np.where(missing, encoded, np.nan)), np.nan)
        library = library_of(X)
        if library is not None:
            return fill_table(library, X, self._finished(decoded))
        array = np.array(np.ma.filled(X.astype(np.float64), np.nan) if isinstance(X, np.ma.MaskedArray) else X)
        flat = array.reshape(len(array), -1)
        flat[missing] = decoded[missing].astype(flat.dtype)
        return flat.reshape(array.shape)

    # ----------------------------------------------------------------------------------------------------------- JSON

    def to_json(self) -> dict[str, Any]:
        """Everything the encoder holds, as plain JSON types."""
        return {
            "format": _FORMAT,
            "container": self._container,
            "row_shape": list(self.row_shape),
            "labels": None if self._labels is None else list(self._labels),
            "schema": self.schema.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Restore what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If it is no encoder, or one of a later format.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ValueError(f"this is no encoder of format {_FORMAT}: it was written by another version, or altered.")
        container, labels = data.get("container"), data.get("labels")
        if container not in ("array", "pandas", "polars", "pyarrow"):
            raise ValueError(f"this is no encoder: its container is {container!r}.")
        try:
            row_shape = tuple(int(s) for s in data["row_shape"])
            schema = Schema.from_json(data["schema"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no encoder: {error!r} is missing or of the wrong type.") from error
        n_cells = math.prod(row_shape) if min(row_shape, default=0) > 0 else 0
        if n_cells != len(schema) or (labels is not None and len(labels) != len(schema)):
            raise ValueError("this is no encoder: its columns, labels and shape do not fit together.")
        return cls(schema, cast(Container, container), row_shape, None if labels is None else tuple(labels))

    # ------------------------------------------------------------------------------------------------------- writing

    def _as_matrix(self, values: Any, width: int, name: str) -> Floats:
        matrix = np.asarray(values, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise ValueError(f"{name} has shape {matrix.shape}, but (n, {width}) is expected.")
        return matrix

    def _finish(self, raw: Floats, like: Any) -> Any:
        if self._container == "array":
            dtype = np.dtype(self.schema.arrays.dtypes[0])
            if dtype.kind != "f" and np.isnan(raw).any():
                dtype = np.dtype(np.float64)
            return raw.astype(dtype).reshape(len(raw), *self.row_shape)
        index = getattr(like, "index", None) if like is not None and library_of(like) == "pandas" else None
        return build_table(self._container, self._finished(raw), index)

    def _finished(self, raw: Floats) -> Sequence[FinishedColumn]:
        a, coded = self.schema.arrays, self._codec.coded
        labels = self._labels or tuple(a.names)
        return [
            FinishedColumn(labels[j], a.dtypes[j], raw[:, j], a.levels[j] if coded[j] else None)
            for j in range(self.n_columns)
        ]

    def __repr__(self) -> str:
        return f"<Encoder of {repr(self.schema)[11:-1]}>"


def _is_grey(X: NDArray[Any], kinds: Kinds) -> bool:
    """Whether X is images in bytes of which nothing else is to be found out."""
    if X.dtype != np.uint8 or X.ndim < 3 or kinds not in (None, "proportion"):
        return False
    flat = X.reshape(len(X), -1)
    return kinds == "proportion" or not has_two_values(flat, float(flat.min()), float(flat.max()))
