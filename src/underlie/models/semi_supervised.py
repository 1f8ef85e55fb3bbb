r"""Labels and style: the two graphs of M2, and of its extension by an auxiliary variable.

.. math::
    p(z) = N(0, I), \quad p(y), \quad p(x \mid z, y), \qquad q(y \mid x), \quad q(z \mid x, y)

and with the auxiliary variable a, which makes the guide's posterior of z richer than a Gaussian:

.. math::
    p(z), \quad p(y), \quad p(a \mid z, y), \quad p(x \mid a, z, y), \qquad
    q(a \mid x), \quad q(y \mid a, x), \quad q(z \mid a, x, y)

y may be several labels y_1, y_2, ..., independent of each other a priori and given x.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from underlie.distributions import Categorical, Gaussian, Likelihood, StandardNormal
from underlie.graph import Factor, Joint, LatentModel
from underlie.nn import Read

#: ``net(widths of the inputs, width of the output)``
MakeNet = Callable[[Sequence[int], int], nn.Module]


@final
@dataclass(frozen=True)
class Label:
    """One label: what it is called, and how it is distributed before anything is seen.

    Parameters
    ----------
    name : str
        Of the variable.
    prior : Tensor (K,) or None
        Logarithms of the probabilities of its K classes, up to a constant; None for a continuous label, which is
        standard normal.
    """

    name: str
    prior: Tensor | None

    @property
    def hint(self) -> str:
        """Name of the variable that holds what is known of a row's label beforehand."""
        return f"hint_{self.name}"

    def factor(self, *, hinted: bool) -> Factor:
        """p(y), or p(y | hint), the logarithm of whose probabilities is the hint."""
        if hinted and self.prior is not None:
            return Factor(self.name, self.head(), [self.hint], nn.Identity())
        return Factor(self.name, self.head(), constant=self.prior)

    def head(self) -> Likelihood:
        """Of p(y)."""
        return StandardNormal(1) if self.prior is None else Categorical(len(self.prior))

    def guide_head(self) -> Gaussian | Categorical:
        """Of q(y | x)."""
        return Gaussian(1) if self.prior is None else Categorical(len(self.prior))


@final
@dataclass(frozen=True)
class Nets:
    """What builds the networks of one replicate: each maps several inputs, which it is told the widths of, to one.

    Attributes
    ----------
    classifier : callable
        Of q(y | x) of each label: reads x (and a).
    encoder, decoder : callable
        Of q(z | ...), which reads x first, then the labels (and a); of p(x | ...), which reads z, then the same.
    auxiliary_guide, auxiliary : callable
        Of q(a | x); and of p(a | z, y).
    """

    classifier: MakeNet
    encoder: MakeNet
    decoder: MakeNet
    auxiliary_guide: MakeNet
    auxiliary: MakeNet


def semi_supervised_vae(
    head: Likelihood,
    labels: Sequence[Label],
    n_latent: int,
    n_auxiliary: int,
    nets: Nets,
    *,
    with_mask: bool,
    hinted: bool = False,
) -> LatentModel:
    """The two graphs of one replicate of M2, or with auxiliary dimensions of the skip deep generative model (SDGM).

    Parameters
    ----------
    head : Likelihood
        p(x | ...); copied, so that replicates share nothing.
    labels : sequence of Label
        What may have been seen of each row beside x.
    n_latent, n_auxiliary : int
        Dimensions of z, and of a; M2 has none of a.
    nets : Nets
        What builds the networks.
    with_mask : bool
        Whether networks that read x also read which of its cells were observed.
    hinted : bool
        Whether the prior of a row's label is given with the row, as it may be in training.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling (2014), Semi-supervised learning with deep generative models. Maaløe, Sønderby,
    Sønderby & Winther (2016), Auxiliary deep generative models.
    """
    head = copy.deepcopy(head)
    ys, a = [label.name for label in labels], ["a"] if n_auxiliary else []
    read_x = {"x": Read(head, with_mask)}
    read_y = {label.name: Read(label.head(), with_mask=False) for label in labels}
    width = {"x": read_x["x"].width, "z": n_latent, "a": n_auxiliary} | {y: r.width for y, r in read_y.items()}

    def given(make: MakeNet, parents: list[str], n_out: int) -> tuple[list[str], nn.Module, dict[str, nn.Module]]:
        reads: dict[str, nn.Module] = {v: r for v, r in (read_x | read_y).items() if v in parents}
        return parents, make([width[v] for v in parents], n_out), reads

    guides = [
        Factor(label.name, label.guide_head(), *given(nets.classifier, ["x", *a], label.guide_head().n_raw))
        for label in labels
    ]
    q_a = [Factor("a", Gaussian(n_auxiliary), *given(nets.auxiliary_guide, ["x"], 2 * n_auxiliary)) for _ in a]
    p_a = [Factor("a", Gaussian(n_auxiliary), *given(nets.auxiliary, ["z", *ys], 2 * n_auxiliary)) for _ in a]
    return LatentModel(
        generative=Joint(
            *(label.factor(hinted=hinted) for label in labels),
            Factor("z", StandardNormal(n_latent)),
            *p_a,
            Factor("x", head, *given(nets.decoder, ["z", *ys, *a], head.n_raw)),
            given=[label.hint for label in labels if hinted and label.prior is not None],
        ),
        inference=Joint(
            *q_a,
            *guides,
            Factor("z", Gaussian(n_latent), *given(nets.encoder, ["x", *ys, *a], 2 * n_latent)),
            given=["x"],
        ),
    )
