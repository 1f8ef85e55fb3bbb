r"""The variational autoencoder: its two graphs.

.. math::
    p(z) = N(0, I), \quad p(x \mid z) = \prod_j p_j(x_j \mid \theta_j(z)), \qquad q(z \mid x) = N(\mu(x),
    \mathrm{diag}\,\sigma^2(x))
"""

from __future__ import annotations

import copy

from torch import nn

from underlie.distributions import Gaussian, Likelihood, StandardNormal
from underlie.graph import Factor, Joint, LatentModel
from underlie.nn import Read


def vae(head: Likelihood, n_latent: int, encoder: nn.Module, decoder: nn.Module, *, with_mask: bool) -> LatentModel:
    """The two graphs of a variational autoencoder (Kingma & Welling, 2013) of one replicate.

    Parameters
    ----------
    head : Likelihood
        p(x | z); copied, so that replicates share nothing.
    n_latent : int
        Dimension of z.
    encoder : nn.Module
        Maps what it reads of x to the 2 n_latent numbers of q(z | x).
    decoder : nn.Module
        Maps z to the numbers that the likelihood needs.
    with_mask : bool
        Whether the encoder also reads which cells were observed.
    """
    head = copy.deepcopy(head)
    return LatentModel(
        generative=Joint(
            Factor("z", StandardNormal(n_latent)),
            Factor("x", head, ["z"], decoder),
        ),
        inference=Joint(
            Factor("z", Gaussian(n_latent), ["x"], encoder, reads={"x": Read(head, with_mask)}),
            given=["x"],
        ),
    )
