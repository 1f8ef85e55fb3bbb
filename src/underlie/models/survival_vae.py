r"""The survival variational autoencoder: its two graphs.

.. math::
    p(z)\, p(x \mid z)\, p(t \mid x)\, p(y \mid x, t, z), \qquad q(z \mid x, y)

z is the latent health of a patient, x are covariates, t treatments, y the time to an event. The guide does not need
t: given z and x the treatment says no more of z than y does. With ``direct=None`` the outcome depends on the
covariates through z alone, p(y | t, z): the model of Beaulac, Rosenthal & Hodgson (2018).
"""

from __future__ import annotations

import copy

from torch import nn

from underlie.distributions import Gaussian, Likelihood, StandardNormal
from underlie.distributions.events import EventTime
from underlie.graph import Factor, Joint, LatentModel
from underlie.nn import Read


def survival_vae(
    x_head: Likelihood,
    y_head: EventTime,
    n_latent: int,
    encoder: nn.Module,
    decoder: nn.Module,
    outcome: nn.Module,
    *,
    with_mask: bool,
    direct: bool = True,
    t_head: Likelihood | None = None,
    propensity: nn.Module | None = None,
) -> LatentModel:
    """The two graphs, of one replicate.

    Parameters
    ----------
    x_head, y_head : Likelihood
        p(x | z) and p(y | ...); copied, so that replicates share nothing.
    n_latent : int
        Dimension of z.
    encoder : nn.Module
        Maps what it reads of x and of y to the 2 n_latent numbers of q(z | x, y); an outcome to be predicted is
        missing, and read as such.
    decoder : nn.Module
        Maps z to the numbers that ``x_head`` needs.
    outcome : nn.Module
        Maps the terms of x (where ``direct``), t (where there are treatments) and z to those that ``y_head`` needs.
    with_mask : bool
        Whether the encoder also reads which cells of x were observed.
    direct : bool
        Whether the outcome depends on x beside z, through ``terms``: x written out as the terms of a regression.
    t_head, propensity : Likelihood and nn.Module, optional
        p(t | x), from the terms of x.
    """
    x_head, y_head, t_head = copy.deepcopy(x_head), copy.deepcopy(y_head), copy.deepcopy(t_head)
    treated = t_head is not None
    parents = [*(["terms"] if direct else []), *(["t"] if treated else []), "z"]
    factors = [Factor("z", StandardNormal(n_latent)), Factor("x", x_head, ["z"], decoder)]
    reads: dict[str, nn.Module] = {}
    if t_head is not None:
        factors.append(Factor("t", t_head, ["terms"], propensity))
        reads["t"] = Read(t_head, False)
    factors.append(Factor("y", y_head, parents, outcome, reads=reads))
    guide = {"x": Read(x_head, with_mask), "y": Read(y_head, True)}
    return LatentModel(
        generative=Joint(*factors, given=["terms"]),
        inference=Joint(Factor("z", Gaussian(n_latent), ["x", "y"], encoder, reads=guide), given=["x", "y"]),
    )
