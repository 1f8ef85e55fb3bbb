"""A regression with given coefficients, and a network that adds to it what it learns."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from underlie.distributions.base import across_rows
from underlie.nn.layers import MLP, batched


@final
class Regression(nn.Module):
    r"""Raw numbers of a likelihood, linear in terms with fixed coefficients, for R replicates at once.

    .. math:: \mathrm{raw} = C\,(b + \phi\, \Theta + (\tau, \phi \otimes \tau)\, \Gamma), \qquad
              \tau = t - \bar t

    Parameters
    ----------
    intercept : Tensor (c,)
        b.
    weight : Tensor (p, c)
        Θ, of the terms.
    components : Tensor (n_raw, c)
        C.
    treatment : Tensor (k + k p, c), optional
        Γ: k main effects of the treatment's features, then those modified by each of the terms, feature by feature.
    centre : Tensor (k,), optional
        Of the treatment's features.
    """

    intercept: Tensor
    weight: Tensor
    components: Tensor
    treatment: Tensor | None
    centre: Tensor | None

    def __init__(
        self,
        intercept: Tensor,
        weight: Tensor,
        components: Tensor,
        treatment: Tensor | None = None,
        centre: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("intercept", intercept[None, None].float())
        self.register_buffer("weight", weight[None].float())
        self.register_buffer("components", components.T[None].float())
        self.register_buffer("treatment", None if treatment is None else treatment[None].float())
        self.register_buffer("centre", None if centre is None else centre[None].float())

    def scores(self, terms: Tensor, t: Tensor | None = None) -> Tensor:
        """(R, ..., B, p) and (R, ..., B, k) -> (R, ..., B, c)."""
        out = batched(terms, self.weight, self.intercept)
        if t is None or self.treatment is None:
            return out
        assert self.centre is not None
        design = treatment_terms(t - across_rows(self.centre, t.ndim), terms)
        return out + batched(design, self.treatment)

    def forward(self, terms: Tensor, t: Tensor | None = None) -> Tensor:
        """(R, 1, B, p) and (R, 1, B, k) -> (R, 1, B, n_raw)."""
        return batched(self.scores(terms, t), self.components)


def treatment_terms(tau: Tensor, terms: Tensor) -> Tensor:
    """Features of a treatment (..., k), alone and times each term (..., p) that may modify them: (..., k + k p)."""
    if not terms.shape[-1]:
        return tau
    tau, modified = torch.broadcast_tensors(tau[..., :, None], terms[..., None, :])
    return torch.cat([tau[..., 0], (tau * modified).flatten(-2)], dim=-1)


@final
class Outcome(nn.Module):
    r"""What the likelihood of an outcome needs: a regression, and what a network adds.

    .. math:: \mathrm{raw} = \mathrm{regression}(\phi, t) + \mathrm{network}(\phi, t, z)

    The network's last layer starts at zero: before its first step the model is the regression.

    Parameters
    ----------
    regression : Regression
    network : MLP
        Of the terms, the treatment's features (where there are any) and z.
    """

    def __init__(self, regression: Regression, network: MLP) -> None:
        super().__init__()
        self.regression = regression
        self.network = network
        last = network.layers[-1]
        with torch.no_grad():
            for p in last.parameters():
                p.zero_()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Terms (R, 1, B, p), t (R, 1, B, k) where there are treatments, z (R, S, B, M) -> (R, S, B, n_raw)."""
        added: Tensor = self.network(*inputs)
        raw: Tensor = self.regression(*inputs[:-1]) + added
        return raw
