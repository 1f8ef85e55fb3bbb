r"""Concordance of predictions with the order of events: Harrell's, Uno's and Antolini's, in one pass over pairs.

All three are weighted shares of concordant pairs,

.. math::
    C = \frac{\sum_{i, j} w_{ij} \, c_{ij}}{\sum_{i, j} w_{ij}}, \qquad
    c_{ij} = 1\{\text{row } i \text{ is predicted worse}\} + \tfrac12 1\{\text{tied}\},

over the pairs of which it is known that the event of i came first: delta_i = 1 and T_i < T_j, or T_i = T_j and j
censored. Predictions within 1e-8 of each other are tied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.censoring import CensoringWeights, inverse
from underlie.check.survival.curves import Curves
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Counts = NDArray[np.float32]
#: positions of some events and of the first row they can be compared with -> an array (events, rows from there on)
Block = Callable[[Index, int], NDArray]
TIED = 1e-8
CHUNK = 256


@final
@dataclass(frozen=True)
class Pairs:
    """The comparable pairs of n rows, which in the right order are suffixes.

    Attributes
    ----------
    order : (n,) array
        Rows by time, events before censored rows of the same time.
    events : (k,) array
        Positions in that order of the rows with an event.
    starts : (k,) array
        For each of them the position from which on rows are comparable with it.
    counts : (B, n) array
        Multiplicities of the rows in the resamples, in that order.
    """

    order: Index
    events: Index
    starts: Index
    counts: Counts

    @classmethod
    def of(cls, test: Outcome, counts: Counts) -> Pairs:
        """Find the pairs."""
        order = np.lexsort((~test.event, test.time))
        time = test.time[order]
        events = np.flatnonzero(test.event[order])
        # Events are a prefix of their time, so the rows after the last event of a time are comparable with all of it.
        last = np.searchsorted(time[events], time[events], side="right") - 1
        return cls(order, events, events[last] + 1, np.ascontiguousarray(counts[:, order]))

    def chunks(self) -> Iterator[tuple[slice, Index, int, NDArray[np.bool_] | None]]:
        """Blocks of events: their slice, positions, first comparable row, and the mask of comparable pairs."""
        n = len(self.order)
        for low in range(0, len(self.events), CHUNK):
            part = slice(low, min(low + CHUNK, len(self.events)))
            first = int(self.starts[part.start])
            ragged = self.starts[part.stop - 1] > first
            mask = np.arange(first, n) >= self.starts[part][:, None] if ragged else None
            yield part, self.events[part], first, mask

    def comparable(self) -> Array:
        """How many rows each event is comparable with in each resample: (B, k)."""
        after = np.cumsum(self.counts[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
        return np.pad(after, ((0, 0), (0, 1)))[:, self.starts]

    def total(self, block: Block) -> Array:
        """Sum of a block function over the rows comparable with each event, in each resample: (B, k)."""
        sums = np.empty((len(self.counts), len(self.events)))
        for part, events, first, mask in self.chunks():
            values = block(events, first)
            if mask is not None:
                values = values * mask
            sums[:, part] = self.counts[:, first:] @ values.T
        return sums

    def ratio(self, numerator: Array, denominator: Array, weight: Array | None = None) -> Array:
        """Weighted share of concordant pairs in each resample, (B,), from (B, k) sums; NaN where no pair exists."""
        times = self.counts[:, self.events] * (1.0 if weight is None else weight)
        above, below = (times * numerator).sum(1), (times * denominator).sum(1)
        return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def compare_risks(risk: Array) -> Block:
    """c_ij from one number per row (in the order of the pairs), higher for earlier events."""

    def block(events: Index, first: int) -> NDArray[np.float32]:
        return _concordant(risk[events, None] - risk[first:])

    return block


def compare_curves(curves: Curves, time: Array) -> Block:
    """c_ij from S(T_i | x_i) < S(T_i | x_j) (curves and times in the order of the pairs)."""

    def block(events: Index, first: int) -> NDArray[np.float32]:
        values = curves.at(time[events])
        return _concordant(values[:, first:] - values[np.arange(len(events)), events][:, None])

    return block


def _concordant(lead: Array) -> NDArray[np.float32]:
    """1 where the lead is positive, a half where it is nil within the tolerance, 0 elsewhere."""
    return (lead > TIED).astype(np.float32) * 0.5 + (lead >= -TIED).astype(np.float32) * 0.5


def concordance_by_risk(
    pairs: Pairs, test: Outcome, risk: Array, weights: CensoringWeights, truncation: float
) -> tuple[Array, Array]:
    r"""Harrell's and Uno's C of a risk in each resample, two (B,) arrays.

    Harrell's has :math:`w_{ij} = 1`. Uno's counts events before the truncation only, with
    :math:`w_{ij} = 1 / G(T_i-)^2`, or :math:`1 / \{G(T_i- | x_i) G(T_i- | x_j)\}` where censoring depends on
    covariates.

    References
    ----------
    Harrell, Califf, Pryor, Lee and Rosati (1982), JAMA 247. Uno, Cai, Pencina, D'Agostino and Wei (2011), Statistics
    in Medicine 30. Gerds, Kattan, Schumacher and Yu (2013), Statistics in Medicine 32.
    """
    block = compare_risks(risk[pairs.order])
    concordant, comparable = pairs.total(block), pairs.comparable()
    harrell = pairs.ratio(concordant, comparable)
    time = test.time[pairs.order]
    own = np.where(time < truncation, inverse(weights.own[pairs.order]), 0.0)[pairs.events]
    if weights.before is None:
        return harrell, pairs.ratio(concordant, comparable, own**2)
    before = weights.before

    def partner(events: Index, first: int) -> Array:
        return inverse(before(time[events])[:, pairs.order[first:]])

    weighted = pairs.total(lambda events, first: block(events, first) * partner(events, first))
    return harrell, pairs.ratio(weighted, pairs.total(partner), own)


def concordance_by_curve(pairs: Pairs, test: Outcome, curves: Curves) -> Array:
    r"""Antolini's time-dependent C in each resample, (B,), with :math:`c_{ij}` from curves read at :math:`T_i`.

    Events after the last predicted time are not counted: nothing was predicted for them.

    References
    ----------
    Antolini, Boracchi and Biganzoli (2005), Statistics in Medicine 24.
    """
    time = test.time[pairs.order]
    concordant = pairs.total(compare_curves(curves.ordered(pairs.order), time))
    predicted = (time[pairs.events] <= curves.end).astype(np.float64)
    return pairs.ratio(concordant, pairs.comparable(), predicted)
