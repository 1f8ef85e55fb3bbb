"""Gaps entry by entry: for data of few enough columns, with everything that can be said about single entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

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
        found = {}
        for order, gap in enumerate(gaps, start=1):
            shape = monomials(len(self.frame.scale), order)
            value = entries_norm(shape, gap, self.norm)
            gradient = norm_gradient(shape.unfold(gap), self.norm)
            mc_se = 0.0 if self.model.exact else self._batch_error(shape, gradient)
            se = float(np.hypot(mc_se, self._row_error(shape, gradient)))
            noise = self._noise[order - 1] if known and self.rows is not None else None
            floor = float("nan") if noise is None else self._floor_of(shape, noise)
            if null is not None:
                noise = null.noise(order)
                if np.isnan(floor):
                    floor = float(np.sqrt(np.mean(entry_norms(shape, null.draws[order - 1], self.norm) ** 2)))
            found[order] = OrderGap(
                order=order,
                value=value,
                se=se,
                mc_se=mc_se,
                floor=floor,
                p_value=p_value(value, null_norms[order], self._rounding(shape)) if order in null_norms else None,
                entries=gap,
                noise_entries=noise,
                largest=None if null is None else null.largest(order),
                width=shape.width,
            )
        return found

    def floor(self, order: int) -> float:
        """Root mean square of the norm under sampling noise alone, by the data's own higher moments."""
        return self._floor_of(monomials(len(self.frame.scale), order), self._noise[order - 1])

    def _floor_of(self, shape: Monomials, noise: Array) -> float:
        """NaN where the norm is no sum over the entries."""
        by_entries = schatten_exponent(self.norm) == 2.0 or shape.order == 1
        return entries_norm(shape, noise, "fro") if by_entries else float("nan")

    def _rounding(self, shape: Monomials) -> float:
        """A gap this small is 0: a fit by maximum likelihood matches some moments up to rounding."""
        return 0.0 if self.rows is None else 1e-8 * entries_norm(shape, self._noise[shape.order - 1], "fro")

    @cached_property
    def _noise(self) -> list[Array]:
        """Standard deviation of each entry if the model is right, from rows and draws: (p_k,) for each degree."""
        variances = self._row_variances()
        if not self.model.exact:
            shares = self.model.shares
            variances = [
                rows + shares @ shares * batches.var(axis=0, ddof=1)
                for rows, batches in zip(variances, self._batch_gaps, strict=True)
            ]
        return [np.sqrt(one) for one in variances]

    @cached_property
    def _batch_gaps(self) -> list[Array]:
        """The gap by each batch of draws alone, (batches, p_k) for each degree."""
        return self.frame.gap(self.data.means(), self.data.counts, self.model.batches)

    def _row_variances(self) -> list[Array]:
        """Sampling variance of each entry of the data's moments, from their squares: (p_k,) for each degree."""
        assert self.rows is not None
        order, centre = self.data.order, self.data.mean()
        sums = squares = [np.zeros(1)] * order
        for block in self.rows.blocks():
            x = np.nan_to_num(self.frame.rows(block, centre), nan=0.0)
            totals, totals_of_squares = row_sums(x, order), row_sums(x**2, order)
            about = np.nan_to_num((block - centre) / self.frame.scale, nan=0.0)  # the digits of means far from 0
            totals[0], totals_of_squares[0] = about.sum(0), (about**2).sum(0)
            for k in range(3, order + 1) if self.frame.centred else ():
                totals[k - 1], totals_of_squares[k - 1] = self._sums_of_centred_terms(x, k)
            sums = [a + b for a, b in zip(sums, totals, strict=True)]
            squares = [a + b for a, b in zip(squares, totals_of_squares, strict=True)]
        variances = []
        for total, square, count in zip(sums, squares, self.data.counts, strict=True):
            mean, most = total / np.maximum(count, 1), square / np.maximum(count, 1)
            spread = most - mean**2
            spread[spread < 64 * np.finfo(float).eps * most] = 0.0
            variances.append(spread / np.maximum(count - 1, 1))
        return variances

    def _sums_of_centred_terms(self, x: Array, order: int) -> tuple[Array, Array]:
        """Sums over rows of prod x less what taking their own mean takes away, and of its square: (p,) each."""
        shape, lower = monomials(x.shape[1], order), monomials(x.shape[1], order - 1)
        moment = self._data_moment(order - 1)
        others = [lower.position(np.delete(shape.columns, p, axis=1)) for p in range(order)]
        total = square = np.zeros(len(shape))
        step = rows_per_block(len(shape), 1)
        for part in (x[start : start + step] for start in range(0, len(x), step)):
            terms = shape.evaluate(part)
            for p, rest in enumerate(others):
                terms -= part[:, shape.columns[:, p]] * moment[rest]
            total, square = total + terms.sum(0), square + (terms**2).sum(0)
        return total, square

    def _row_error(self, shape: Monomials, gradient: Array) -> float:
        """Standard error of the norm from the rows, by the delta method; NaN when only sums are at hand."""
        if self.rows is None:
            return float("nan")
        centre, mean = self.data.mean(), None
        if self.frame.centred and shape.order > 2:
            weights = np.sqrt(monomials(shape.width, shape.order - 1).multiplicity)
            mean = self._data_moment(shape.order - 1) * weights  # as the columns of an unfolding
        slopes = []
        for block in self.rows.blocks():
            x = self.frame.rows(block, centre)
            if self.data.complete:
                slopes += _slopes(x, shape, gradient, mean)
            else:
                slopes += self._available_slopes(x, shape, gradient)
        every = np.concatenate(slopes)
        if self.frame.standardized:
            every = every + self._slopes_of_scaling(shape, gradient)
        return float(np.std(every, ddof=1) / np.sqrt(len(every)))

    def _slopes_of_scaling(self, shape: Monomials, gradient: Array) -> Array:
        """What a row moves the norm by through the means and standard deviations that standardise the rows, (n,)."""
        assert self.rows is not None
        own, width, gaps = shape.fold(gradient), shape.width, self.gaps()
        by_scale, by_shift = np.zeros(width), np.zeros(width)
        for p in range(shape.order):
            columns = shape.columns[:, p]
            by_scale += np.bincount(columns, own * gaps[shape.order - 1], width)
            if shape.order > 1 and not self.frame.centred:
                rest = monomials(width, shape.order - 1).position(np.delete(shape.columns, p, axis=1))
                by_shift += np.bincount(columns, own * gaps[shape.order - 2][rest], width)
        slopes = []
        for block in self.rows.blocks():
            z = (block - self.data.mean()) / self.frame.scale
            slopes.append(-np.nan_to_num(z, nan=0.0) @ by_shift - np.nan_to_num((z**2 - 1) / 2, nan=0.0) @ by_scale)
        return np.concatenate(slopes)

    def _available_slopes(self, x: Array, shape: Monomials, gradient: Array) -> list[Array]:
        """As `_slopes` where cells are missing: each entry weighs its rows by n over their number."""
        mean = self._data_moment(shape.order)
        weights = shape.fold(gradient) * self.data.n / np.maximum(self.data.counts[shape.order - 1], 1.0)
        step = rows_per_block(len(shape), 1)
        parts = (x[start : start + step] for start in range(0, len(x), step))
        return [np.nan_to_num(shape.evaluate(part) - mean, nan=0.0) @ weights for part in parts]

    def _data_moment(self, order: int) -> Array:
        """The data's moment of that degree, in the frame: (p,)."""
        zero = [np.zeros_like(one) for one in self.data.sums]
        return self.frame.gap(self.data.means(), self.data.counts, zero)[order - 1]

    def _batch_error(self, shape: Monomials, gradient: Array) -> float:
        """Monte-Carlo standard error of the norm from the spread of the batches along its gradient."""
        slopes = self._batch_gaps[shape.order - 1] @ shape.fold(gradient)
        return float(np.std(slopes, ddof=1) * np.linalg.norm(self.model.shares))


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


def entries_norm(shape: Monomials, entries: Array, norm: Norm) -> float:
    """Norm of a symmetric tensor given by its distinct entries."""
    if shape.order == 1 or schatten_exponent(norm) == 2.0:
        return float(np.sqrt(shape.multiplicity @ entries.astype(float) ** 2))
    return schatten_norm(shape.unfold(entries), norm)


def entry_norms(shape: Monomials, many: Sequence[Array] | NDArray[np.float32], norm: Norm) -> Array:
    """Norms of several tensors, (B,)."""
    return np.array([entries_norm(shape, one, norm) for one in many])
