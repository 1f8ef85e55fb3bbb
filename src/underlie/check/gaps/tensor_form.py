"""Gaps entry by entry: for data of few enough columns, with everything that can be said about single entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.model_moments import ModelMoments
from underlie.check.gaps.monomials import Monomials, monomials
from underlie.check.gaps.null import NullGaps, p_value
from underlie.check.gaps.raw_moments import row_sums, rows_per_block
from underlie.check.gaps.result import OrderGap
from underlie.check.gaps.rows import Rows
from underlie.check.gaps.sums import MomentSums
from underlie.check.norms import Norm, norm_gradient, schatten_exponent, schatten_norm

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class TensorForm:
    """Data and model seen in one frame."""

    view: MomentModel
    data: MomentSums
    rows: Rows | None
    """None when only sums are at hand."""
    model: ModelMoments
    frame: Frame
    norm: Norm

    def gaps(self) -> list[Array]:
        """Data minus model, (p_k,) for each degree."""
        return self.frame.gap(self.data.means(), self.data.counts, self.model.mean())

    def order_gaps(self, null: NullGaps | None, null_norms: Mapping[int, Array], *, known: bool) -> dict[int, OrderGap]:
        """One result per order.

        Parameters
        ----------
        null : NullGaps, optional
            Gaps of data sets drawn from the model.
        null_norms : mapping of int to array
            Norms that a right model would score, for each order; none where there is no p-value.
        known : bool
            Whether the model was not fitted to these rows.
        """
        gaps = self.gaps()
        spread = None if self.model.exact else self._batch_gaps()
        variances = None if self.rows is None or not known else self._entry_variances()
        found = {}
        for order, gap in enumerate(gaps, start=1):
            shape = monomials(len(self.frame.scale), order)
            value = entries_norm(shape, gap, self.norm)
            gradient = norm_gradient(shape.unfold(gap), self.norm)
            mc_se = 0.0 if spread is None else _batch_error(shape, spread[order - 1], gradient)
            se = float(np.hypot(mc_se, self._row_error(shape, gradient)))
            noise, floor = self._chance(shape, spread, variances, null)
            found[order] = OrderGap(
                order=order,
                value=value,
                se=se,
                mc_se=mc_se,
                floor=floor,
                p_value=p_value(value, null_norms[order]) if order in null_norms else None,
                entries=gap,
                noise_entries=noise,
                largest=None if null is None else null.largest(order),
                width=shape.width,
            )
        return found

    def _chance(
        self, shape: Monomials, spread: list[Array] | None, variances: list[Array] | None, null: NullGaps | None
    ) -> tuple[Array | None, float]:
        """Noise of each entry and floor of the norm: from drawn data sets, or from the data's own higher moments."""
        order, noise, floor = shape.order, None, float("nan")
        if variances is not None:
            variance = variances[order - 1]
            if spread is not None:
                variance = variance + spread[order - 1].var(axis=0, ddof=1) / len(spread[order - 1])
            noise = np.sqrt(variance)
            if schatten_exponent(self.norm) == 2.0 or order == 1:
                floor = entries_norm(shape, noise, "fro")
        if null is not None:
            noise = null.noise(order)
            if np.isnan(floor):
                floor = float(np.sqrt(np.mean(entry_norms(shape, null.draws[order - 1], self.norm) ** 2)))
        return noise, floor

    def draw_noise(self, order: int) -> float:
        """Squared Monte-Carlo error of the gap, in Frobenius norm."""
        if self.model.exact:
            return 0.0
        spread = self._batch_gaps()[order - 1]
        weights = monomials(len(self.frame.scale), order).multiplicity
        return float(weights @ spread.var(axis=0, ddof=1) / len(spread))

    def _batch_gaps(self) -> list[Array]:
        """The gap by each batch of draws alone, (batches, p_k) for each degree."""
        each = [self.frame.gap(self.data.means(), self.data.counts, one) for one in self.model.batches]
        return [np.stack(parts) for parts in zip(*each, strict=True)]

    def _entry_variances(self) -> list[Array]:
        """Sampling variance of each entry of the data's moments, from their squares: (p_k,) for each degree."""
        assert self.rows is not None
        order, centre = self.data.order, self.data.mean()
        sums = squares = [np.zeros(1)] * order
        for block in self.rows.blocks():
            x = np.nan_to_num(self.frame.rows(block, centre), nan=0.0)
            sums = [a + b for a, b in zip(sums, row_sums(x, order), strict=True)]
            squares = [a + b for a, b in zip(squares, row_sums(x**2, order), strict=True)]
        variances = []
        for total, square, count in zip(sums, squares, self.data.counts, strict=True):
            mean, most = total / np.maximum(count, 1), square / np.maximum(count, 1)
            spread = most - mean**2
            spread[spread < 64 * np.finfo(float).eps * most] = 0.0
            variances.append(spread / np.maximum(count - 1, 1))
        return variances

    def _row_error(self, shape: Monomials, gradient: Array) -> float:
        """Standard error of the norm from the rows, by the delta method; NaN when only sums are at hand."""
        if self.rows is None:
            return float("nan")
        centre, mean = self.data.mean(), None
        if self.frame.centred and shape.order > 2:
            mean = self._weighted_data_moment(shape.order - 1)
        slopes = []
        for block in self.rows.blocks():
            x = self.frame.rows(block, centre)
            if self.data.complete:
                slopes += _slopes(x, shape, gradient, mean)
            else:
                slopes += self._available_slopes(x, shape, gradient)
        every = np.concatenate(slopes)
        return float(np.std(every, ddof=1) / np.sqrt(len(every)))

    def _available_slopes(self, x: Array, shape: Monomials, gradient: Array) -> list[Array]:
        """As `_slopes` where cells are missing: each entry weighs its rows by n over their number."""
        zero = [np.zeros_like(one) for one in self.data.sums]
        mean = self.frame.gap(self.data.means(), self.data.counts, zero)[shape.order - 1]
        weights = shape.fold(gradient) * self.data.n / np.maximum(self.data.counts[shape.order - 1], 1.0)
        step = rows_per_block(len(shape), 1)
        parts = (x[start : start + step] for start in range(0, len(x), step))
        return [np.nan_to_num(shape.evaluate(part) - mean, nan=0.0) @ weights for part in parts]

    def _weighted_data_moment(self, order: int) -> Array:
        """The data's central moment of that degree, in the frame, as the columns of an unfolding."""
        zero = [np.zeros_like(one) for one in self.data.sums]
        central = self.frame.gap(self.data.means(), self.data.counts, zero)[order - 1]
        return central * np.sqrt(monomials(len(self.frame.scale), order).multiplicity)


def _slopes(x: Array, shape: Monomials, gradient: Array, mean: Array | None) -> list[Array]:
    """<U, T(x_i)> of each row, U the gradient of the norm; less what centring at the rows' own mean takes away."""
    if shape.order == 1:
        return [x @ gradient[:, 0]]
    rest = monomials(shape.width, shape.order - 1)
    root = np.sqrt(rest.multiplicity)
    step = max(1, rows_per_block(len(rest), 1))
    out = []
    for start in range(0, len(x), step):
        part = x[start : start + step]
        others = rest.evaluate(part) * root
        if mean is not None:
            others = others - shape.order * mean
        out.append(np.einsum("ij,ij->i", part, others @ gradient.T))
    return out


def _batch_error(shape: Monomials, batches: Array, gradient: Array) -> float:
    """Monte-Carlo standard error of the norm from the spread of the batches along its gradient."""
    slopes = [float(np.sum(gradient * shape.unfold(one))) for one in batches]
    return float(np.std(slopes, ddof=1) / np.sqrt(len(slopes)))


def entries_norm(shape: Monomials, entries: Array, norm: Norm) -> float:
    """Norm of a symmetric tensor given by its distinct entries."""
    if shape.order == 1 or schatten_exponent(norm) == 2.0:
        return float(np.sqrt(shape.multiplicity @ entries.astype(float) ** 2))
    return schatten_norm(shape.unfold(entries), norm)


def entry_norms(shape: Monomials, many: Sequence[Array] | NDArray[np.float32], norm: Norm) -> Array:
    """Norms of several tensors, (B,)."""
    return np.array([entries_norm(shape, one, norm) for one in many])
