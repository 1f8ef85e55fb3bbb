r"""The classifier: one factor.

.. math:: p(y \mid x) = \mathrm{Categorical}(\mathrm{network}(x))

A latent-variable model without latent variables: its evidence lower bound is its log-likelihood.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import torch
from torch import nn

from underlie.distributions import Likelihood
from underlie.graph import Factor, Joint, LatentModel
from underlie.models.networks import fresh_copy, width_of
from underlie.nn import ACTIVATIONS, MLP, Affine, Foreign, Joined, LeNet5, Read

ClassifierNetwork = Literal["mlp", "lenet5"] | nn.Module

CLASSIFIERS: Final = ("mlp", "lenet5")


def classifier(head: Likelihood, reads: Mapping[str, Read], net: nn.Module) -> LatentModel:
    """The two graphs of one replicate; the one for inference is empty.

    Parameters
    ----------
    head : Likelihood
        Of y.
    reads : mapping of str to Read
        How the network reads each variable that y depends on, in the order of its inputs; copied, so that replicates
        share nothing.
    net : nn.Module
        Maps them to the numbers that the head needs.
    """
    # What reads an input is the head of a variable that nothing here explains: none of its parameters is learned.
    reads = {name: copy.deepcopy(read).requires_grad_(False) for name, read in reads.items()}
    return LatentModel(
        generative=Joint(Factor("y", head, list(reads), net, reads=reads), given=list(reads)),
        inference=Joint(),
    )


def classifier_network(
    network: ClassifierNetwork,
    row_shape: tuple[int, ...],
    in_sizes: Sequence[int],
    n_out: int,
    hidden: Sequence[int],
    activation: str,
    generator: torch.Generator,
) -> nn.Module:
    """A network from what is read of x, and of what else is given, to the numbers of a label's distribution.

    Parameters
    ----------
    network : "mlp", "lenet5" or nn.Module
        The user's own module maps rows (of shape (batch, columns), or images) to features of any width, which an affine
        layer joins with the other inputs; a copy of it with new starting weights is used.
    row_shape : tuple of int
        Shape of one row of x: (columns,), or (height, width[, channels]) for images.
    in_sizes : sequence of int
        Widths of the inputs, that of x first.
    n_out : int
        Width of the output.
    hidden : sequence of int
        Widths of the hidden layers of an MLP.
    activation : {"relu", "silu", "gelu"}
        Of an MLP.
    generator : torch.Generator
        Draws the starting weights.

    Returns
    -------
    nn.Module
        Maps (R, S, B, in_j) for each input j to (R, S, B, n_out).

    Raises
    ------
    ValueError
        If there is no such network, or it cannot read such rows.
    """
    check_classifier(network, activation)
    if network == "mlp":
        return MLP(in_sizes, hidden, n_out, generator, activation)
    n_in, *extra = in_sizes
    n_cells = math.prod(row_shape)
    if network == "lenet5":
        if len(row_shape) not in (2, 3):
            raise ValueError(
                "'lenet5' reads images, X of shape (n, height, width[, channels]), but rows of X have shape "
                f"{row_shape}; reshape X, or use 'mlp'."
            )
        if n_in not in (n_cells, 2 * n_cells):
            raise ValueError("'lenet5' reads one number per pixel, categorical pixels have more: use 'mlp'.")
        return LeNet5(row_shape, n_out, generator, extra, with_mask=n_in == 2 * n_cells)
    assert isinstance(network, nn.Module)
    shape = row_shape if n_in == n_cells else (n_in,)
    module = fresh_copy(network, generator)
    width = width_of(module, shape, 2, "network")
    return Joined(Foreign([module], shape), Affine([width, *extra], n_out, generator))


def check_classifier(network: object, activation: object) -> None:
    """Refuse what no classifier can be built from.

    Raises
    ------
    ValueError
        Naming the argument and what it can be.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; choose one of {', '.join(ACTIVATIONS)}.")
    if not isinstance(network, nn.Module) and not (isinstance(network, str) and network in CLASSIFIERS):
        raise ValueError(f"the network of a classifier is {network!r}; give 'auto', 'mlp', 'lenet5' or an nn.Module.")
