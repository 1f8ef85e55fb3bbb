"""From rows, some of them labelled, to a trained semi-supervised model: groups of rows, networks, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from underlie import nn as unn
from underlie.distributions import Likelihood
from underlie.engine import Group, Rows, Settings, Trained, train
from underlie.estimators.feeding import StartRows
from underlie.estimators.targets import Target
from underlie.graph import Batch, LatentModel, labelled_elbo
from underlie.models.classifier import classifier_network
from underlie.models.networks import Networks
from underlie.models.semi_supervised import Label, Nets, semi_supervised_vae
from underlie.models.start import LinearStart, linear_start

Floats = NDArray[np.float64]
#: What all labels' variables are called in the graphs.
VARIABLE: Final = "y{}"


@final
@dataclass(frozen=True)
class Architecture:
    """Everything of which replicates are built.

    Attributes
    ----------
    head : Likelihood
        Of x.
    labels : tuple of Label
    n_latent, n_auxiliary : int
    networks : Networks
        Encoder and decoder.
    classifier : "mlp", "lenet5" or nn.Module
    classifier_hidden : tuple of int
    with_mask : bool
        Whether x has missing cells.
    start : LinearStart or None
        Of encoder and decoder; None where the model is only to be filled with stored numbers.
    """

    head: Likelihood
    labels: tuple[Label, ...]
    n_latent: int
    n_auxiliary: int
    networks: Networks
    classifier: Literal["mlp", "lenet5"] | nn.Module
    classifier_hidden: tuple[int, ...]
    with_mask: bool
    start: LinearStart | None = None

    def build(self, generator: torch.Generator, *, hinted: bool = False) -> LatentModel:
        """One replicate; the two graphs are in `underlie.models.semi_supervised`."""
        # The classifier has a generator of its own: it starts alike whatever is built around it.
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
        own = torch.Generator().manual_seed(seed)
        n = self.networks

        def classifier(in_sizes: Sequence[int], n_out: int) -> nn.Module:
            return classifier_network(
                self.classifier, n.row_shape, in_sizes, n_out, self.classifier_hidden, n.activation, own
            )

        def perceptron(in_sizes: Sequence[int], n_out: int) -> nn.Module:
            return unn.MLP(in_sizes, n.hidden, n_out, generator, n.activation)

        nets = Nets(
            classifier=classifier,
            encoder=lambda sizes, n_out: n.build_encoder(sizes, n_out, generator, with_mask=self.with_mask),
            decoder=lambda sizes, n_out: n.build_decoder(sizes, n_out, generator),
            auxiliary_guide=perceptron,
            auxiliary=perceptron,
        )
        model = semi_supervised_vae(
            self.head,
            self.labels,
            self.n_latent,
            self.n_auxiliary,
            nets,
            with_mask=self.with_mask,
            hinted=hinted,
        )
        if self.start is not None:
            encoder, decoder = model.inference["z"].net, model.generative["x"].net
            assert encoder is not None
            assert decoder is not None
            self.start.apply(encoder, decoder)
        return model

    def untrained(self, n_replicates: int) -> LatentModel:
        """A model of so many replicates, to be filled with numbers."""
        return unn.stack([self.build(torch.Generator().manual_seed(0)) for _ in range(n_replicates)]).eval()

    def started(
        self, first: StartRows, encoded: Floats, seen: NDArray[np.bool_], spread: NDArray[np.intp] | None
    ) -> Architecture:
        """The same, with encoder and decoder starting from rows, and from what labels explain of them.

        Labels are those seen, or what neighbours say, if most of the rows have either; else they explain nothing yet.
        """
        design: list[Floats] = []
        if first.index is not None:
            known = seen if spread is None else seen | (spread >= 0)
            has_all = np.flatnonzero(known[first.index].all(axis=1))
            if 2 * len(has_all) > len(first):
                first = first.some(has_all)
                codes = encoded if spread is None else np.where(seen, encoded, spread)
                design = [_features(label, codes[first.index, j]) for j, label in enumerate(self.labels)]
        values = torch.as_tensor(first.encoded.values, dtype=torch.float32)
        observed = None if first.encoded.observed is None else torch.as_tensor(first.encoded.observed)
        read = unn.Read(self.head, self.with_mask)
        start = linear_start(self.head, read, values, observed, first.coordinates, self.n_latent, design)
        return replace(self, start=start)


def _features(label: Label, encoded: Floats) -> Floats:
    """What networks read of a label: (n, K)."""
    column = torch.as_tensor(encoded, dtype=torch.float32)[:, None]
    return np.asarray(label.head().features(column).double().numpy())


def labels_of(targets: Sequence[Target], encoded: Floats, seen: NDArray[np.bool_]) -> tuple[Label, ...]:
    """The labels' prior distributions: their frequencies, each class raised by one row."""
    found = []
    for j, target in enumerate(targets):
        prior = None
        if target.classes is not None:
            codes = encoded[seen[:, j], j].astype(int)
            prior = torch.log(torch.as_tensor(np.bincount(codes, minlength=len(target.classes)) + 1.0)).float()
        found.append(Label(VARIABLE.format(j), prior))
    return tuple(found)


@final
class LabelledRows:
    """Some rows of a table, with those of their labels that were all seen.

    Parameters
    ----------
    rows : Rows
        The whole table.
    index : Tensor (n,)
        Which rows of it.
    others : mapping of str to Tensor (n, width)
        Encoded labels of these rows, and what is known of them beforehand.
    """

    def __init__(self, rows: Rows, index: Tensor, others: Mapping[str, Tensor]) -> None:
        self.rows, self.index, self.others = rows, index, others
        self.streamed = rows.streamed

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        batch = self.rows.take(self.index[index])
        for name, values in self.others.items():
            batch = batch.set(name, values[index].unsqueeze(1))
        return batch


def groups_of(
    rows: Rows,
    encoded: Floats,
    seen: NDArray[np.bool_],
    hints: Mapping[str, Floats],
    batch_size: int,
    label_weight: float | None,
    device: torch.device,
    *,
    with_unlabelled: bool,
) -> list[Group]:
    """Rows in groups by which of their labels were seen: in a group either all have a label, or none has.

    Parameters
    ----------
    rows : Rows
    encoded, seen : arrays (n, m)
        Encoded labels, and which there are.
    hints : mapping of str to array (n, K)
        What is known of each row's labels beforehand; see `Label.hint`.
    batch_size : int
        Rows of each group in a batch at most.
    label_weight : float or None
        How much a labelled row counts beside an unlabelled one; None: as much as makes all of them together count as
        much as all unlabelled ones together.
    with_unlabelled : bool
        Whether rows without any label take part.
    """
    n_labelled = int(seen.any(axis=1).sum())
    n_unlabelled = len(seen) - n_labelled
    if label_weight is None:
        label_weight = n_unlabelled / n_labelled if n_labelled and n_unlabelled and with_unlabelled else 1.0
    groups = []
    for pattern in np.unique(seen, axis=0):
        if not pattern.any() and not with_unlabelled:
            continue
        where = np.flatnonzero((seen == pattern).all(axis=1))
        others = {VARIABLE.format(j): encoded[where, j : j + 1] for j in np.flatnonzero(pattern)}
        others |= {name: hint[where] for name, hint in hints.items()}
        tensors = {k: torch.as_tensor(v, dtype=torch.float32, device=device) for k, v in others.items()}
        part = LabelledRows(rows, torch.as_tensor(where, device=device), tensors)
        groups.append(Group(part, batch_size, label_weight if pattern.any() else 1.0))
    return groups


def train_labelled(
    architecture: Architecture,
    groups: list[Group],
    alpha: float,
    settings: Settings,
    seeds: Sequence[int],
    *,
    hinted: bool,
) -> Trained:
    """Train all replicates; the history is on the encoded scale."""
    objective = partial(labelled_elbo, alpha=alpha)
    build = partial(architecture.build, hinted=hinted)
    trained = train(build, objective, groups, settings, seeds, "SemiSupervisedVAE")
    if not hinted:
        return trained
    # Of rows to come nothing is known beforehand: the model has priors in the place of hints.
    model = architecture.untrained(len(seeds)).to(settings.device)
    numbers = {name: tensor for part in (model, trained.model) for name, tensor, _ in unn.tensors(part)}
    unn.fill(model, numbers)
    return replace(trained, model=model)


def automatic_alpha(seen: NDArray[np.bool_]) -> float:
    r"""The weight of the bound, :math:`\min(1, 10\, n_{labelled} / n)`: one over a tenth of the rows per label.

    Without any label it is 1.

    The classifier's weight of Kingma et al. (2014) and Maaløe et al. (2016), turned round.
    """
    return float(min(1.0, 10.0 * seen.any(axis=1).mean())) if seen.any() else 1.0
