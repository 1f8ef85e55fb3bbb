r"""Sampling noise of a gap: its norm's standard error, and the floor that a right model would score.

The gap is a difference of two means, of T_i = x_i x_i' over n rows and of T_i = Var(x|z_i) + E(x|z_i) E(x|z_i)' over m
draws. Every quantity here is a functional of those terms: \sum_i w_i T_i for chosen weights w, and <U, T_i>.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.moments import Coordinates, Gap, blocks, conditional_blocks
from underlie.check.norms import Norm, schatten_exponent, symmetric_norm

Array = NDArray[np.float64]
_FEWEST, _MOST = 32, 400  # bootstrap gaps: many for few columns, few where each costs much


class Terms(Protocol):
    """The terms T_i of a block of rows or draws, in the coordinates of the gap, never formed one by one."""

    def __len__(self) -> int:
        """Number of terms."""

    def weighted(self, weights: Array) -> Array:
        """sum_i w_i T_i, (P, P)."""

    def present(self, weights: Array) -> Array | float:
        """sum_i w_i over the terms that each entry rests on: (P, P), or one number when none is missing."""


@dataclass(frozen=True)
class RowTerms:
    """T_i = x_i x_i' of data rows."""

    values: Array
    """(rows, P), NaN for missing."""

    def __len__(self) -> int:
        return len(self.values)

    def weighted(self, weights: Array) -> Array:
        filled = np.nan_to_num(self.values)
        return (filled * weights[:, None]).T @ filled

    def present(self, weights: Array) -> Array | float:
        seen = np.isfinite(self.values)
        if seen.all():
            return float(weights.sum())
        return (seen * weights[:, None]).T @ seen


@dataclass(frozen=True)
class DrawTerms:
    """T_i = Var(x|z_i) + E(x|z_i) E(x|z_i)' of latent draws."""

    mean: Array
    """(rows, P), in the coordinates of the gap."""
    variance: Array
    """(rows, P)."""
    uncentred: Array
    """(rows, P): the same means without the shift, for indicators: Cov(x_a, x_b | z) = -p_a p_b."""
    groups: tuple[NDArray[np.intp], ...]

    def __len__(self) -> int:
        return len(self.mean)

    def weighted(self, weights: Array) -> Array:
        out = (self.mean * weights[:, None]).T @ self.mean
        out[np.diag_indices_from(out)] += weights @ self.variance
        for group in self.groups:
            p = self.uncentred[:, group]
            joint = (p * weights[:, None]).T @ p
            np.fill_diagonal(joint, 0.0)
            out[np.ix_(group, group)] -= joint
        return out

    def present(self, weights: Array) -> Array | float:
        return float(weights.sum())

    def inner(self, direction: Array) -> Array:
        """<U, T_i> for a symmetric direction U (P, P): one number per draw."""
        out = self.variance @ np.diagonal(direction) + np.einsum("ij,ij->i", self.mean @ direction, self.mean)
        for group in self.groups:
            within = direction[np.ix_(group, group)].copy()
            np.fill_diagonal(within, 0.0)
            p = self.uncentred[:, group]
            out -= np.einsum("ij,ij->i", p @ within, p)
        return np.asarray(out)


def row_terms(values: Array, at: Coordinates) -> Iterator[RowTerms]:
    """Terms of the data (n, P), block by block."""
    for rows in blocks(*values.shape):
        yield RowTerms((values[rows] - at.reference + at.offset) / at.scale)


def draw_terms(model: MomentModel, latent: NDArray[Any], at: Coordinates) -> Iterator[DrawTerms]:
    """Terms of the model's latent draws, block by block."""
    for mean, variance in conditional_blocks(model, latent, len(at.reference)):
        shifted = (mean - at.reference + at.offset) / at.scale
        yield DrawTerms(shifted, variance / at.scale**2, mean / at.scale, model.exclusive_groups)


def standard_errors(
    model: MomentModel, latent: NDArray[Any], at: Coordinates, first_direction: Array, direction: Array | None
) -> tuple[float, float]:
    """Monte-Carlo standard errors of the two norms by the delta method.

    With U the gradient of the norm at the gap, se^2 = Var_i(<U, T_i>) / m; for the first moment U = gap / norm and T_i
    is E[x|z_i].
    """
    first, second = [], []
    for terms in draw_terms(model, latent, at):
        first.append(terms.mean @ first_direction)
        if direction is not None:
            second.append(terms.inner(direction))
    root = np.sqrt(len(latent))
    first_se = float(np.std(np.concatenate(first), ddof=1) / root)
    return first_se, float(np.std(np.concatenate(second), ddof=1) / root) if second else 0.0


def floor_of_second(
    gap: Gap,
    norm: Norm,
    values: Array,
    draws: tuple[MomentModel, NDArray[Any]] | None,
    at: Coordinates,
    rng: np.random.Generator,
) -> float:
    """Root mean square norm of the second-moment gap of a right model.

    For the Frobenius norm, sqrt(sum_jk Var(T_jk) (1/n_jk + 1/m)) entry by entry from fourth moments; for the others a
    multiplier bootstrap: gaps sum_i e_i (T_i - mean T) / n with e_i ~ N(0, 1), from the rows and from the draws.
    """
    if gap.second_noise is None:
        raise ValueError("the floor of second moments needs order 2")
    if schatten_exponent(norm) == 2.0:
        return float(np.linalg.norm(gap.second_noise))
    size = int(np.clip(10**6 // values.shape[1] ** 2, _FEWEST, _MOST))
    noise = _multiplier_gaps(row_terms(values, at), size, rng)
    if draws is not None:
        noise -= _multiplier_gaps(draw_terms(*draws, at), size, rng)
    return float(np.sqrt(np.mean([symmetric_norm(one, norm) ** 2 for one in noise])))


def _multiplier_gaps(pieces: Iterator[Terms], size: int, rng: np.random.Generator) -> Array:
    """Draws of the noise in the mean of T, (size, P, P)."""
    weighted: Array | float = 0.0
    present: Array | float = 0.0
    total: Array | float = 0.0
    count: Array | float = 0.0
    for terms in pieces:
        multipliers = rng.standard_normal((size, len(terms)))
        ones = np.ones(len(terms))
        weighted = weighted + np.stack([terms.weighted(e) for e in multipliers])
        present = present + np.stack([np.atleast_2d(terms.present(e)) for e in multipliers])
        total = total + terms.weighted(ones)
        count = count + np.atleast_2d(terms.present(ones))
    return np.asarray((weighted - present * (total / count)) / count)
