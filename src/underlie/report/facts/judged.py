"""The rows that a model is judged on: all of them, or a random choice where there are many; and what they are."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any, Literal, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from underlie.data import as_source
from underlie.data.schema import DISCRETE, Schema
from underlie.data.sources import chunk_starts, is_source
from underlie.data.tables import library_of

Seen = Literal["training", "held out", "unknown"]

#: more cells than these are not read again for the sake of the question whether the model has seen them
_CELLS_COMPARED = 10**7
#: rows next to each other are often alike: of a file in chunks they come from at least so many
_FEWEST_CHUNKS = 16
#: kinds of columns whose location and scale only the very same rows share
_TELLING = frozenset({"continuous", "positive"})


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """Rows that a report is about.

    Attributes
    ----------
    X, y, extra
        As they came, or some of their rows.
    rows : array (n,)
        Which of the rows given these are.
    n_given : int
        How many were given.
    shape : tuple of int
        Of what was given.
    """

    X: Any
    y: Any
    extra: Any
    rows: NDArray[np.intp]
    n_given: int
    shape: tuple[int, ...]

    @property
    def n(self) -> int:
        """Rows that are judged."""
        return len(self.rows)

    @classmethod
    def of(cls, X: Any, y: Any, extra: Any, max_rows: int, seed: int) -> Judged:
        """At most ``max_rows`` rows, a random choice in their order; of a source, only these are read.

        Raises
        ------
        ValueError
            If y or extra has another number of rows, or there is no row.
        """
        X = as_source(X) if is_source(X) else X
        n, shape = _size(X)
        if n == 0:
            raise ValueError("X has no rows: give at least one to report on.")
        for name, other in (("y", y), ("extra", extra)):
            if other is not None and _size(other)[0] != n:
                raise ValueError(f"X has {n} rows, {name} has {_size(other)[0]}: give one {name} for each row of X.")
        chosen = _chosen(X, n, max_rows, np.random.default_rng(seed))
        return cls(taken(X, chosen, n), taken(y, chosen, n), taken(extra, chosen, n), chosen, n, shape)


def _chosen(X: Any, n: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows at random; of a file that is read in chunks, rows of some chunks at random."""
    if n <= most:
        return np.arange(n)
    starts = chunk_starts(X) if is_source(X) else None
    if starts is None:
        return np.sort(rng.choice(n, most, replace=False))
    order = rng.permutation(len(starts) - 1)
    enough = int(np.searchsorted(np.cumsum(np.diff(starts)[order]), most)) + 1
    among = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order[: max(enough, _FEWEST_CHUNKS)]])
    return np.sort(rng.choice(among, most, replace=False))


def taken(rows: Any, chosen: NDArray[np.intp], n: int) -> Any:
    """Some rows of a table, series, array or list, of the same type; a source is read."""
    if rows is None:
        return None
    if is_source(rows):
        return as_source(rows)[chosen]
    if len(chosen) == n:
        return rows
    if library_of(rows) is not None or nw.dependencies.is_into_series(rows):
        return nw.from_native(rows, allow_series=True)[chosen.tolist()].to_native()
    if isinstance(rows, list | tuple):
        return [rows[i] for i in chosen]
    return np.asarray(rows)[chosen]


def seen_by(model: Any, judged: Judged, held_out: bool | None) -> dict[str, str]:
    """Whether the model was fitted to these rows, and how that is known.

    A fitted model keeps location, scale and range of every column of its training rows. Where all of them are those
    of X to the last digit, and some column is continuous, X is what the model was fitted to. Otherwise nothing is
    known: X may be new, or a part of the training rows.

    Returns
    -------
    dict
        ``rows`` ("training", "held out" or "unknown") and ``known_by`` ("statement", "statistics" or "nothing").
    """
    if held_out is not None:
        return {"rows": "held out" if held_out else "training", "known_by": "statement"}
    same = judged.n == judged.n_given and _same_statistics(model, judged.X)
    return {"rows": "training" if same else "unknown", "known_by": "statistics" if same else "nothing"}


def fingerprint(X: Any, y: Any = None) -> str:
    """SHA-256 of names and values, the same for the same table in pandas and polars, and for any memory layout.

    Numbers count as 64-bit floats, so that 1 and 1.0 are the same; missing cells are one value; text counts as it is.

    Parameters
    ----------
    X : table or array
    y : table, array or list, optional

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> fingerprint(np.array([[1.0, 2.0]])) == fingerprint(np.array([[1, 2]]))
    True
    >>> fingerprint(np.array([[1.0, 2.0]])) == fingerprint(np.array([[2.0, 1.0]]))
    False
    """
    digest = hashlib.sha256()
    for part in (X, y):
        for name, column in _columns(part):
            digest.update(f"\x1e{name}\x1f{column.shape}\x1f".encode())
            digest.update(_bytes(column))
    return digest.hexdigest()


def _columns(rows: Any) -> list[tuple[str, NDArray[Any]]]:
    if rows is None:
        return []
    if library_of(rows) is not None:
        frame = nw.from_native(rows, eager_only=True)
        return [(str(name), _array(frame[name])) for name in frame.columns]
    if nw.dependencies.is_into_series(rows):
        return [("", _array(nw.from_native(rows, series_only=True)))]
    array = np.asarray(rows)
    if array.dtype.names is not None:
        return [(name, np.asarray(array[name])) for name in array.dtype.names]
    return [("", array)]


def _array(series: nw.Series[Any]) -> NDArray[Any]:
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        return np.array([np.nan if v is None else v for v in series.to_list()], dtype=np.float64)
    cells = np.empty(len(series), dtype=object)
    cells[:] = series.to_list()
    return cells


def _bytes(column: NDArray[Any]) -> bytes:
    if column.dtype.kind in "iufb":
        numbers = np.ascontiguousarray(column, dtype="<f8")
        return np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()  # one NaN, and no negative zero
    cells = ("\x00" if _is_missing(cell) else f"\x01{_word(cell)}" for cell in column.ravel().tolist())
    return "\x1f".join(cells).encode()


def _word(cell: Any) -> str:
    """A number among text in one way, so that 1 and 1.0 are the same there too."""
    return repr(float(cell)) if isinstance(cell, int | float) else str(cell)


def _is_missing(cell: Any) -> bool:
    return cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType")


def _size(rows: Any) -> tuple[int, tuple[int, ...]]:
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) == 0:
        return len(rows), (len(rows),)
    return int(shape[0]), tuple(int(k) for k in shape)


def _same_statistics(model: Any, X: Any) -> bool:
    """Whether the schema of X is that which the model keeps of its training rows."""
    covariates = getattr(model, "covariates", None)
    schema: Schema = model.schema_
    kinds = set(schema.kinds)
    if not kinds & _TELLING or _size(X)[0] * len(schema) > _CELLS_COMPARED:
        return False
    stated: Any = next(iter(kinds)) if len(kinds) == 1 else dict(zip(schema.names, schema.kinds, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            own = Schema.infer(X if covariates is None else covariates(X), stated)
        except (ValueError, TypeError):  # such as a column of which these rows hold one level only
            return False
    mine, other = schema.arrays, own.arrays
    if len(schema) != len(own) or list(schema.kinds) != list(own.kinds):
        return False
    numeric = ~np.isin(mine.kinds.astype("U12"), list(DISCRETE))
    pairs = ((getattr(mine, name)[numeric], getattr(other, name)[numeric]) for name in ("loc", "scale", "low", "high"))
    return all(np.allclose(a, b, rtol=1e-12, atol=0.0, equal_nan=True) for a, b in pairs)
