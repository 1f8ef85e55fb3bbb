r"""The moment gap between data and model as a penalty that a bound can be trained with.

.. math:: P = \sum_k w_k \bigl[(g_k^2 + \epsilon_k^2)^{1/2k} - \epsilon_k^{1/k}\bigr], \qquad
          g_k = \lVert E_{data}[y^{\otimes k}] - E_{model}[y^{\otimes k}] \rVert_F,

in which :math:`\epsilon_k^2` is what sampling noise of the data alone contributes to :math:`g_k^2` on average. The root
of a norm has an infinite gradient at 0; here it fades where the gap is of the size of that noise, below which there is
nothing to be learned. The model's moments are means over latent points of moments of the conditional laws, so that
nothing is sampled given z.

References
----------
Beaulac (2021), A moment-matching metric for latent variable generative models, eq 34. Cranley & Patterson (1976),
Randomization of number theoretic methods for multiple integration. Owen (1998), Scrambling Sobol and
Niederreiter-Xing points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from underlie.graph.batch import Batch
from underlie.graph.joint import LatentModel
from underlie.graph.moment_coordinates import Coordinates, Points, points_of_model

#: Uniform points stay this far from 0 and 1, where normal quantiles are infinite.
_EDGE = 2.0**-24

#: (model, batch, noise) -> value of each row (R, B)
Bound = Callable[[LatentModel, Batch, Mapping[str, Tensor]], Tensor]


class SquaredGap(Protocol):
    """A squared moment gap to the data, see `underlie.graph.moment_entries` and `underlie.graph.moment_gram`."""

    def add(self, rows: Points) -> None:
        """Take in rows of data."""

    @property
    def floor(self) -> float:
        """What sampling noise of the data alone contributes on average."""

    def squared(self, model: Points) -> Tensor:
        """The squared gap to a model's points, (R,)."""


@final
@dataclass(frozen=True)
class MomentPenalty:
    """The weighted sum of moment gaps to one set of data.

    Parameters
    ----------
    gaps : mapping of int to SquaredGap
        By order; they have taken in the data.
    weights : mapping of int to float
        By order.
    at : Coordinates
        Where the gaps are taken.
    uniform : Tensor (m, width of the latent variable)
        Points of low discrepancy in the unit cube.
    latent, observed : str
        Names of the variables; the latent one is standard normal.
    """

    gaps: Mapping[int, SquaredGap]
    weights: Mapping[int, float]
    at: Coordinates
    uniform: Tensor
    latent: str = "z"
    observed: str = "x"

    def squared(self, model: LatentModel, noise: Tensor | None = None) -> dict[int, Tensor]:
        """The squared gap of each order, (R,).

        Parameters
        ----------
        model : LatentModel
            R replicates.
        noise : Tensor (R, width), optional
            Standard normal numbers by which each replicate's points are shifted at random; none are shifted without.
        """
        factor = model.generative[self.observed]
        z = self._latent(noise).unsqueeze(1)
        raw = factor.raw(Batch({self.latent: z})).squeeze(1)
        points = points_of_model(factor.head, raw, self.at, max(self.gaps))
        return {k: gap.squared(points) for k, gap in self.gaps.items()}

    def __call__(self, model: LatentModel, noise: Tensor | None = None) -> Tensor:
        """The penalty of each replicate, (R,); arguments as for `squared`."""
        return self.total(self.squared(model, noise))

    def total(self, squared: Mapping[int, Tensor]) -> Tensor:
        """The penalty of given squared gaps, (R,)."""
        return torch.stack([self._root(k, s) for k, s in squared.items()]).sum(0)

    def _root(self, order: int, squared: Tensor) -> Tensor:
        # By exp and log, not by pow, whose last bits depend on where in memory a number lies.
        noise = max(self.gaps[order].floor, 1e-12)
        root = torch.exp(torch.log(squared + noise) * (0.5 / order))
        term: Tensor = self.weights[order] * (root - noise ** (0.5 / order))
        return term

    def _latent(self, noise: Tensor | None) -> Tensor:
        """Standard normal points (R, m, width)."""
        u = self.uniform.unsqueeze(0)
        if noise is not None:
            # A standard normal number modulo 1 is uniform but for 6e-9.
            u = u + noise.unsqueeze(1)
            u = u - u.floor()
        z: Tensor = torch.special.ndtri(u.clamp(_EDGE, 1.0 - _EDGE))
        return z


def sobol_points(m: int, width: int) -> Tensor:
    """m scrambled Sobol points in the unit cube, (m, width), always the same."""
    if width > SobolEngine.MAXDIM:
        return torch.rand(m, width, generator=torch.Generator().manual_seed(0))
    return SobolEngine(width, scramble=True, seed=0).draw(m)


def penalised(
    model: LatentModel,
    batch: Batch,
    noise: Mapping[str, Tensor],
    *,
    bound: Bound,
    penalty: MomentPenalty,
    alpha: float,
    shifted: bool = True,
) -> Tensor:
    r"""A bound minus ``alpha`` times the moment penalty, the same for every row: (R, B).

    The penalty's points are shifted by the noise that draws the first row's latent variable: no more randomness is
    needed than the bound's own, and the mean over the noise is that of the two parts.

    Parameters
    ----------
    bound : callable
        What is penalised.
    penalty : MomentPenalty
        The penalty.
    alpha : float
        Its weight.
    shifted : bool
        Whether the penalty's points move with the noise; to judge by, they had better not.
    """
    shift = noise[penalty.latent][:, 0, 0] if shifted else None
    return bound(model, batch, noise) - alpha * penalty(model, shift).unsqueeze(-1)
