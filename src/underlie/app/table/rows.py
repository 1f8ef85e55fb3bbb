"""The rows that a table's screens show: its data, or draws from the model where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.app.form.entry import pick
from underlie.app.latent_map import thinned
from underlie.app.opened import Opened
from underlie.app.table.cells import Cells, Floats, cells_of_rows

#: rows that stand for the data where there are none
_N_DRAWN: Final = 1000
#: levels of a column that colours can tell apart
_MOST_GROUPS: Final = 20


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with their place in latent space.

    Attributes
    ----------
    table : table or array
        As the model takes them.
    cells : Cells
        The same as numbers.
    means : array (n, n_latent)
    numbers : array (n,)
        Places in the whole data: of very many rows only some are drawn.
    whole : int
        Rows of the whole data.
    drawn : bool
        Whether the model drew them, since there are no data.
    """

    table: Any
    cells: Cells
    means: Floats
    numbers: NDArray[np.intp]
    whole: int
    drawn: bool

    def __len__(self) -> int:
        return len(self.numbers)


def rows_of(opened: Opened) -> Rows:
    """The rows of a model's data, or 1000 rows that the model draws; computed once."""
    return opened.remember("table rows", lambda: _look_at(opened))


def _look_at(opened: Opened) -> Rows:
    model = opened.model
    drawn = not opened.n_rows
    whole = model.sample(_N_DRAWN, random_state=0) if drawn else opened.rows
    numbers = thinned(len(whole))
    table = whole if len(numbers) == len(whole) else pick(whole, numbers)
    means = np.asarray(model.transform(table), dtype=float)
    return Rows(table, cells_of_rows(model.encoder_, table), means, numbers, len(whole), drawn)


def as_frame(opened: Opened, rows: Any) -> pd.DataFrame:
    """Rows of whatever library as a pandas table; columns of an array are named by the schema."""
    if isinstance(rows, np.ndarray):
        return pd.DataFrame(rows, columns=opened.model.schema_.names)
    if isinstance(rows, pd.DataFrame):
        return rows
    return nw.from_native(rows, eager_only=True).to_pandas()


def colours_of(opened: Opened, rows: Rows) -> dict[str, NDArray[Any]]:
    """By name, what points can be coloured by: labels, and columns of the data with few levels or numbers."""
    found: dict[str, NDArray[Any]] = {}
    if opened.labels is not None and not rows.drawn:
        labels = opened.labels if opened.labels.ndim == 1 else opened.labels[:, 0]
        found["label"] = np.asarray(labels)[rows.numbers]
    if opened.table is not None and not rows.drawn:
        columns = {str(name): np.asarray(opened.table[name])[rows.numbers] for name in opened.table.columns}
    else:
        columns = _readable(opened, rows)
    for name, values in columns.items():
        if values.dtype.kind == "b":
            values = values.astype(str)
        if values.dtype.kind in "fiu" or len({v for v in values.tolist() if v == v}) <= _MOST_GROUPS:
            found.setdefault(name, values)
    return found


def _readable(opened: Opened, rows: Rows) -> dict[str, NDArray[Any]]:
    """The model's own columns, codes as levels."""
    columns: dict[str, NDArray[Any]] = {}
    for column in opened.model.schema_:
        cells = rows.cells[column.name]
        if column.levels is None:
            columns[column.name] = cells
        else:
            named = [None if np.isnan(code) else str(column.levels[int(code)]) for code in cells]
            columns[column.name] = np.array(named, dtype=object)
    return columns
