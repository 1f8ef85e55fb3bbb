"""An order of rows for files that are read in chunks: shuffled within a window of some chunks."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: the chunks whose rows are shuffled together have at most so many bytes
WINDOW_BYTES: Final = 2**27


@final
class Windows:
    """Deals all rows of a file in a random order that reads each chunk once.

    The chunks come in random order; as many as fit in a window are taken together, and their rows are shuffled. Two
    rows of one chunk are then never far apart, which matters only where rows of a chunk are alike (a file sorted by
    class): the window is as large as memory allows, and the next pass puts other chunks together.

    Parameters
    ----------
    starts : array (k + 1,)
        Number of the first row of each chunk, then the number of rows in all.
    row_bytes : int
        Of a row as it is read.
    """

    def __init__(self, starts: NDArray[np.intp], row_bytes: int) -> None:
        self._starts = starts
        self._most = max(1, WINDOW_BYTES // max(1, row_bytes))

    def order(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Some of the rows in such an order.

        Parameters
        ----------
        rows : Tensor (n,)
            Their numbers, ascending.
        generator : torch.Generator
            Where randomness comes from.

        Returns
        -------
        Tensor (n,)
        """
        cuts = np.searchsorted(rows.cpu().numpy(), self._starts)
        shuffled = torch.randperm(len(cuts) - 1, generator=generator, device=generator.device).cpu().numpy()
        parts: list[Tensor] = []
        window: list[Tensor] = []
        size = 0
        for chunk in shuffled:
            own = rows[int(cuts[chunk]) : int(cuts[chunk + 1])]
            if window and size + len(own) > self._most:
                parts.append(_mixed(window, generator))
                window, size = [], 0
            window.append(own)
            size += len(own)
        return torch.cat([*parts, _mixed(window, generator)])


def _mixed(chunks: list[Tensor], generator: torch.Generator) -> Tensor:
    rows = torch.cat(chunks)
    return rows[torch.randperm(len(rows), generator=generator, device=generator.device)]
