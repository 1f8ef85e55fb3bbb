"""A model's moments about a reference point: in closed form, or batch by batch from its latent draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.gaps.monomials import monomials, n_monomials, shifted
from underlie.check.gaps.raw_moments import conditional_means

Array = NDArray[np.float64]
N_BATCHES = 16
_CELLS_AT_ONCE = 2**17


@final
@dataclass(frozen=True, eq=False)
class ModelMoments:
    """Moments of a model about a reference point, degree by degree."""

    batches: list[Array]
    """One estimate per batch of draws, (batches, p_k) for each degree; a single exact one otherwise."""
    shares: Array
    """Share of each batch in all draws, (batches,)."""
    m: int
    """Latent draws, 0 when exact."""

    @property
    def exact(self) -> bool:
        """Whether this is no estimate."""
        return self.m == 0

    def mean(self) -> list[Array]:
        """The estimate: the mean over all draws."""
        return [self.shares @ one for one in self.batches]


def model_moments(
    view: MomentModel, reference: Array, order: int, n_draws: int, rng: np.random.Generator
) -> ModelMoments:
    """Moments of the model up to `order`; exact where there is a closed form."""
    exact = _closed_form(view, reference, order)
    if exact is not None:
        return ModelMoments([one[None] for one in exact], np.ones(1), m=0)
    latents = draw_batches(view, n_draws, rng)
    return ModelMoments(_of_batches(view, latents, reference, order), shares_of(latents), m=sum(map(len, latents)))


def draw_batches(view: MomentModel, n_draws: int, rng: np.random.Generator) -> list[Any]:
    """Independent batches of latent draws: their spread is the Monte-Carlo error, also of quasi-random draws.

    Raises
    ------
    ValueError
        When fewer than two draws are asked for.
    """
    if n_draws < 2:
        raise ValueError(f"n_draws={n_draws!r}: at least 2 latent draws are needed")
    return view.latent_batches(n_draws, min(N_BATCHES, n_draws), rng)


def shares_of(latents: Sequence[Any]) -> Array:
    """Share of each batch in all draws, (batches,)."""
    sizes = np.array([len(latent) for latent in latents], dtype=float)
    return sizes / sizes.sum()


def _closed_form(view: MomentModel, reference: Array, order: int) -> list[Array] | None:
    mixture = view.gaussians()
    if mixture is not None:
        return mixture.moments(reference, order)
    known = view.exact_moments()
    if known is None or order > 2:
        return None
    mean, second = known
    if mean.shape != reference.shape or second.shape != (len(mean), len(mean)):
        raise ValueError(
            f"exact_moments() gives shapes {mean.shape} and {second.shape}; expected ({len(reference)},) and its square"
        )
    central = second - np.outer(mean, mean)
    j, k = monomials(len(mean), 2).columns.T
    return shifted([np.zeros_like(mean), central[j, k]], mean - reference, 1.0)[:order]


def _of_batches(view: MomentModel, latents: Sequence[Any], reference: Array, order: int) -> list[Array]:
    """Moments by each batch of draws, (batches, p_k) for each degree; the model is asked for many draws at a time."""
    every = np.concatenate(latents)
    ends = np.cumsum([len(latent) for latent in latents])
    totals = [np.zeros((len(latents), n_monomials(len(reference), k))) for k in range(1, order + 1)]
    step = max(1, _CELLS_AT_ONCE // max(1, len(reference)))
    for start in range(0, len(every), step):
        part = every[start : start + step]
        central = conditional(view, part, order)
        about = [central[0] - reference, *central[1:]]
        cuts = [0, *np.clip(ends - start, 0, len(part))]
        for batch, (first, last) in enumerate(pairwise(cuts)):
            if first < last:
                means = conditional_means([one[first:last] for one in about], view.exclusive_groups)
                for total, one in zip(totals, means, strict=True):
                    total[batch] += (last - first) / len(latents[batch]) * one
    return totals


def conditional(view: MomentModel, latent: Any, order: int) -> Sequence[Array]:
    """Mean, variance and central moments given the draws, (rows, P) each, `order` of them at least.

    Raises
    ------
    ValueError
        When they are not finite, or not what moments can be.
    """
    central = view.conditional(latent, max(order, 1))
    names = ("mean", "variance", "third central moment", "fourth central moment")
    expected = (len(latent), len(view.names))
    if len(central) < order:
        raise ValueError(f"moments(z): {len(central)} arrays, but order={order} needs {order}")
    for name, value in zip(names, central, strict=False):
        if value.shape != expected:
            raise ValueError(f"moments(z): the {name} has shape {value.shape}, expected {expected}")
        if not np.isfinite(value).all():
            column = view.names[int(np.argmin(np.isfinite(value).all(axis=0)))]
            raise ValueError(
                f"moments(z): the conditional {name} of column {column!r} is not finite, so the model has no such "
                "moment there (Student's t has a k-th moment only with more than k degrees of freedom); ask for a "
                "lower order"
            )
    if len(central) > 1 and (central[1] < 0).any():
        column = view.names[int(np.argmax((central[1] < 0).any(axis=0)))]
        raise ValueError(f"moments(z): negative variance in column {column!r}; pass variances, not their logarithms")
    return central[:order]
