"""A fitted semi-supervised model, asked about rows: which label, which style, what another label would look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from underlie.estimators.conditioning import Conditioner, Floats, Labels, normal_draws
from underlie.estimators.labelled_fit import VARIABLE
from underlie.estimators.targets import Targets
from underlie.graph import Batch, Joint, LatentModel, log_weights

#: Draws of the auxiliary variable over which a prediction is averaged.
_AUXILIARY_DRAWS = 16


@final
class LabelledQueries:
    """Labels, styles and new rows from a fitted model.

    Parameters
    ----------
    conditioner : Conditioner
        The replicate that has styles and generates.
    members : LatentModel
        All replicates; their predictions are averaged.
    targets : Targets
        The labels.
    """

    def __init__(self, conditioner: Conditioner, members: LatentModel, targets: Targets) -> None:
        self.conditioner, self.members, self.targets = conditioner, members, targets
        self.names = [VARIABLE.format(j) for j in range(len(targets.columns))]

    # ---- labels ----
    @torch.no_grad()
    def predictions(self, X: Any) -> list[Floats]:
        """For each label, probabilities of its classes (n, K), or its mean (n, 1), by the guide, averaged."""
        noise = self._auxiliary_noise()
        parts: list[list[Floats]] = [[] for _ in self.names]
        for chunk in self.conditioner.chunks(X, _AUXILIARY_DRAWS if noise is not None else 1):
            batch = with_auxiliary(self.members.inference, chunk.batch, noise)
            for part, name in zip(parts, self.names, strict=True):
                factor = self.members.inference[name]
                part.append(factor.head.mean(factor.raw(batch).double()).mean((0, 1)).cpu().numpy())
        return [np.concatenate(part) for part in parts]

    @torch.no_grad()
    def posterior(self, X: Any, n_importance: int, seed: int) -> list[Floats]:
        """For each label of classes, p(y | x) by importance sampling in the generating replicate: (n, K) each."""
        noise = self.conditioner.noise(n_importance, seed)
        parts: list[list[Floats]] = [[] for _ in self.names]
        for chunk in self.conditioner.chunks(X, n_importance):
            for part, name in zip(parts, self.names, strict=True):
                n_classes = self.conditioner.model.generative[name].head.n_raw
                like = chunk.batch.values["x"][..., :1]
                joint = [
                    torch.logsumexp(
                        log_weights(self.conditioner.model, chunk.batch.set(name, torch.full_like(like, k)), noise), 1
                    )
                    for k in range(n_classes)
                ]
                part.append(torch.softmax(torch.stack(joint, -1)[0].double(), -1).cpu().numpy())
        return [np.concatenate(part) for part in parts]

    def most_probable(self, X: Any) -> Floats:
        """Encoded labels of each row, by the guide: (n, m)."""
        found = [p.argmax(axis=1) if p.shape[1] > 1 else p[:, 0] for p in self.predictions(X)]
        return np.column_stack(found).astype(float)

    # ---- style ----
    @torch.no_grad()
    def styles(self, X: Any, labels: Floats) -> Floats:
        """Style of each row given its labels (n, m): means of q(z | ..., x, y), (n, M)."""
        model, parts = self.conditioner.model, []
        for chunk in self.conditioner.chunks(X, 1, as_evidence(labels, np.ones(labels.shape, dtype=bool))):
            batch = with_auxiliary(model.inference, chunk.batch, None)
            factor = model.inference["z"]
            parts.append(factor.head.mean(factor.raw(batch))[0, 0].double().cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def given(self, z: Floats, labels: Floats, noise: Floats | None = None) -> Batch:
        """What x depends on: z, the labels, and the auxiliary variable, at its mean or of standard normal noise."""
        variables = {"z": z} | {name: labels[:, j : j + 1] for j, name in enumerate(self.names)}
        batch = Batch(
            {k: v for name, a in variables.items() for k, v in self.conditioner.batch(name, a).values.items()}
        )
        drawn = None if noise is None else self.conditioner.batch("a", noise).values["a"]
        return with_auxiliary(self.conditioner.model.generative, batch, drawn)

    def expected(self, z: Floats, labels: Floats) -> Floats:
        """E[x | z, y] in numeric units: (n, P)."""
        others = {k: v[0, 0].double().cpu().numpy() for k, v in self.given(z, labels).values.items() if k != "z"}
        return self.conditioner.moments(z, 1, others)[0]

    @torch.no_grad()
    def sample(self, n: int, labels: Floats | None, seed: int) -> tuple[Any, Floats]:
        """n new rows of the given labels, or of labels drawn too; and the labels (n, m)."""
        generator = torch.Generator(self.conditioner.device).manual_seed(seed)
        fixed: Mapping[str, Tensor] = {}
        if labels is not None:
            fixed = {
                name: self.conditioner.batch(name, labels[:, j : j + 1]).values[name]
                for j, name in enumerate(self.names)
            }
        drawn = self.conditioner.model.generative.sample((1, 1, n), generator, Batch(fixed))
        rows, *known = (drawn.values[v][0, 0].double().cpu().numpy() for v in ("x", *self.names))
        return self.conditioner.encoder.decode(rows), np.column_stack(known)

    # ---- the auxiliary variable ----
    def _auxiliary_noise(self) -> Tensor | None:
        if "a" not in self.members.inference:
            return None
        width = self.members.inference["a"].head.width
        return normal_draws(_AUXILIARY_DRAWS, width, seed=0).to(self.conditioner.device)


def with_auxiliary(graph: Joint, batch: Batch, noise: Tensor | None) -> Batch:
    """The batch with the auxiliary variable, where there is one: draws of it, or its mean without noise."""
    if "a" not in graph:
        return batch
    factor = graph["a"]
    raw = factor.raw(batch)
    head: Any = factor.head
    return batch.set("a", head.mean(raw) if noise is None else head.rsample(raw, noise))


def as_evidence(encoded: Floats, seen: NDArray[np.bool_]) -> Labels:
    """Encoded labels (n, m) and which of them were seen, by the names of their variables."""
    return {VARIABLE.format(j): (encoded[:, j : j + 1], seen[:, j : j + 1]) for j in range(encoded.shape[1])}


def great_circle(first: Floats, last: Floats, n: int) -> Floats:
    """n points from one to another along a great circle, the length changing evenly: (n, M)."""
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    share = np.linspace(0.0, 1.0, n)[:, None]
    straight = (1.0 - share) * first + share * last
    if not all(lengths):  # the origin has no direction
        return straight
    angle = float(np.arccos(np.clip(first @ last / (lengths[0] * lengths[1]), -1.0, 1.0)))
    if np.sin(angle) < 1e-6:  # on one line there is no circle
        return straight
    direction = (
        np.sin((1.0 - share) * angle) * first / lengths[0] + np.sin(share * angle) * last / lengths[1]
    ) / np.sin(angle)
    return np.asarray(((1.0 - share) * lengths[0] + share * lengths[1]) * direction)
