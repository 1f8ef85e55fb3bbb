"""What a pass over all rows of a source tells of its columns, so that nothing in them comes as a surprise later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.data.arrays import missing_cells
from underlie.data.rules import Kinds, stated_kinds
from underlie.data.sources import RowSource, blocks
from underlie.data.statistics import ColumnStatistics, column_statistics, value_statistics


@final
@dataclass(frozen=True, eq=False)
class Whole:
    """Statistics of the columns of all rows.

    Attributes
    ----------
    statistics : ColumnStatistics
    levels : dict of int to array
        Of columns that are said to be categorical or ordinal, all values in order.
    n_rows : int
    """

    statistics: ColumnStatistics
    levels: dict[int, NDArray[np.float64]]
    n_rows: int

    @classmethod
    def of(cls, source: RowSource, names: Sequence[str], kinds: Kinds) -> Whole:
        """Read a source from the first row to the last.

        Of images, whose pixels share one scale, location and scale of single pixels are left out, which takes longest.

        Raises
        ------
        ValueError
            If a value is infinite, or a column has no observed cell.
        """
        look = column_statistics if len(source.shape) == 2 else value_statistics
        stated = stated_kinds(kinds, names)
        discrete = np.flatnonzero([kind in ("categorical", "ordinal") for kind in stated])
        found: ColumnStatistics | None = None
        levels = {int(j): np.empty(0) for j in discrete}
        for block in blocks(source):
            flat = block.reshape(len(block), -1)
            flat = flat.astype(np.uint8) if flat.dtype.kind == "b" else flat
            missing_cells(flat, names)  # refuses what is infinite
            with np.errstate(invalid="ignore", divide="ignore"):  # a column may be unobserved in a block
                part = look(flat)
            found = part if found is None else found + part
            for j, known in levels.items():
                levels[j] = np.union1d(known, flat[:, j][~np.isnan(flat[:, j])])
        assert found is not None
        unseen = found.observed == 0
        if unseen.any():
            raise ValueError(
                f"every cell of column {names[int(np.argmax(unseen))]!r} of X is missing: drop the column, nothing can "
                "be learned about it."
            )
        return cls(found, levels, len(source))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which columns have missing cells, (C,)."""
        return np.asarray(self.statistics.observed < self.n_rows)
