"""Where moments are compared: in the user's units, in standardised ones, or each about its own mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.gaps.monomials import monomials, scaled, shifted

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """Moments are taken of (x - shift) / scale; all work is on deviations from `reference`, which keeps the digits."""

    reference: Array
    """(P,): about the data's means; 0 for indicators of a category."""
    shift: Array
    """(P,)."""
    scale: Array
    """(P,)."""
    standardized: bool
    """Whether shift and scale are the data's own."""
    centred: bool
    """Whether data and model are each taken about their own mean, from degree 2 on."""
    unbiased: bool
    """Whether the second moment of the data has S with divisor n - 1 in it."""

    @classmethod
    def of(
        cls, mean: Array, spread: Array, reference: Array, *, standardize: bool, centred: bool, unbiased: bool
    ) -> Self:
        """Frame of data with these means and standard deviations; a constant column keeps its own unit."""
        constant = ~(spread > 8 * np.finfo(float).eps * np.maximum(np.abs(mean), 1e-300))
        scale = np.where(constant, 1.0, spread) if standardize else np.ones_like(mean)
        return cls(reference, mean if standardize else np.zeros_like(mean), scale, standardize, centred, unbiased)

    def rows(self, x: Array, centre: Array) -> Array:
        """Rows (n, P) as the moments see them; `centre` is the mean that they are taken about if centred."""
        centre = centre if self.centred else self.shift
        if centre.any():
            x = x - centre
        return x / self.scale if (self.scale != 1.0).any() else x

    def gap(self, data: Sequence[Array], counts: Sequence[Array], model: Sequence[Array]) -> list[Array]:
        """Data minus model, degree by degree, from moments about the reference point; `counts` are rows per entry.

        Several estimates of the model's moments, (batches, p_k) for each degree, give as many gaps.
        """
        if self.centred:
            own, theirs = shifted(data, -data[0], 1.0), shifted(model, -model[0], 1.0)
            gaps = [data[0] - model[0], *[d - m for d, m in zip(own[1:], theirs[1:], strict=True)]]
        else:
            about = [d - m for d, m in zip(data, model, strict=True)]
            gaps = shifted(about, self.reference - self.shift, 0.0)
        if self.unbiased and len(data) > 1:  # S is the same about any point
            j, k = monomials(len(data[0]), 2).columns.T
            covariance = data[1] - data[0][j] * data[0][k]
            gaps[1] += covariance / np.maximum(counts[1] - 1, 1.0)
        return scaled(gaps, self.scale)
