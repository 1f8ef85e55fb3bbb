"""What is exported: modules that take rows in the user's units and hold everything between these and the answer.

Rows are one matrix (n, C) of float64 (images as they are): numbers in the units of the data, the position of its level
where a column is discrete, NaN where a cell is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from underlie.data import Encoder
from underlie.data.codec import FILL
from underlie.data.columns import DISCRETE
from underlie.estimators.scaled_gaussian import ScaledGaussian
from underlie.graph import Batch, Factor


@final
class ReadRows(nn.Module):
    """Rows in the units of the data -> encoded values and which cells were observed, as the graphs take them."""

    loc: Tensor
    scale: Tensor
    fill: Tensor

    def __init__(self, encoder: Encoder, n_replicates: int = 1) -> None:
        super().__init__()
        self.n_replicates = n_replicates
        loc, scale = affine(encoder)
        fill = [FILL.get(kind, 0.0) for kind in encoder.schema.arrays.kinds]
        for name, numbers in (("loc", loc), ("scale", scale), ("fill", fill)):
            self.register_buffer(name, torch.as_tensor(np.asarray(numbers), dtype=torch.float64))

    def forward(self, x: Tensor) -> Batch:
        x = x.flatten(1)
        missing = torch.isnan(x)
        values = torch.where(missing, self.fill, (x - self.loc) / self.scale)
        rows = values.float().expand(self.n_replicates, 1, -1, -1)
        return Batch({"x": rows}, {"x": ~missing.expand(self.n_replicates, 1, -1, -1)})


@final
class Latent(nn.Module):
    """Rows (and labels) -> mean and variance of q(z | x), (n, M) each."""

    def __init__(self, encoder: Encoder, factor: Factor, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.read, self.factor, self.labels = ReadRows(encoder), factor, tuple(labels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raw = self.factor.raw(_with_labels(self.read(x), self.labels, y))
        return self.factor.head.mean(raw)[0, 0].double(), self.factor.head.variance(raw)[0, 0].double()


@final
class Rows(nn.Module):
    """Latent coordinates (and labels) -> means of the numeric columns in the units of the data, (n, P)."""

    loc: Tensor
    scale: Tensor

    def __init__(self, encoder: Encoder, factor: Factor, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.factor, self.labels = factor, tuple(labels)
        self.register_buffer("loc", torch.as_tensor(encoder.numeric_loc))
        self.register_buffer("scale", torch.as_tensor(encoder.numeric_scale))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        given = _with_labels(Batch({"z": z.float()[None, None]}), self.labels, y)
        return self.factor.head.mean(self.factor.raw(given))[0, 0].double() * self.scale + self.loc


@final
class Classes(nn.Module):
    """Rows -> probabilities of the classes, (n, K), averaged over replicates."""

    def __init__(self, encoder: Encoder, factor: Factor, n_replicates: int) -> None:
        super().__init__()
        self.read, self.factor = ReadRows(encoder, n_replicates), factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor.head.mean(self.factor.raw(self.read(x)).double()).mean((0, 1))


@final
class LinearLatent(nn.Module):
    r"""Rows -> mean and variance of z given what is observed, of a linear-Gaussian model; exact.

    .. math:: (W_o' W_o + \sigma^2 I)^{-1} W_o' (x_o - \mu_o)
    """

    centre: Tensor
    loadings: Tensor
    scale: Tensor

    def __init__(self, gaussian: ScaledGaussian) -> None:
        super().__init__()
        model = gaussian.model
        for name, numbers in (("centre", model.mean), ("loadings", model.loadings), ("scale", gaussian.scale)):
            self.register_buffer(name, torch.as_tensor(numbers))
        self.noise = float(model.noise_variance)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        missing = torch.isnan(x)
        centred = torch.where(missing, 0.0, x / self.scale - self.centre)
        seen = (~missing).double()[:, :, None] * self.loadings  # (n, P, M)
        ridge = self.noise * torch.eye(self.loadings.shape[1], dtype=torch.float64)
        precision = seen.mT @ self.loadings + ridge
        inverse = _inverse(precision)
        mean = (inverse @ (seen.mT @ centred[:, :, None]))[:, :, 0]
        return mean, self.noise * inverse.diagonal(dim1=1, dim2=2)


@final
class LinearRows(nn.Module):
    """Latent coordinates -> means of the numeric columns of a linear-Gaussian model, (n, P)."""

    centre: Tensor
    loadings: Tensor

    def __init__(self, gaussian: ScaledGaussian) -> None:
        super().__init__()
        self.register_buffer("centre", torch.as_tensor(gaussian.mean))
        self.register_buffer("loadings", torch.as_tensor(gaussian.loadings))

    def forward(self, z: Tensor) -> Tensor:
        return self.centre + z @ self.loadings.mT


def affine(encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """(loc, scale) of each column, (C,): encoded = (number - loc) / scale; positions of levels stay as they are."""
    arrays = encoder.schema.arrays
    discrete = np.isin(arrays.kinds, list(DISCRETE))
    moved = np.equal(arrays.kinds, "continuous")
    divided = ~discrete & np.not_equal(arrays.kinds, "count")
    return np.where(moved, arrays.loc, 0.0), np.where(divided, arrays.scale, 1.0)


def _inverse(matrices: Tensor) -> Tensor:
    """Inverses of positive definite matrices (n, M, M), by elimination: ONNX has no operator for them.

    Positive definite matrices need no exchange of rows.
    """
    size = matrices.shape[-1]
    identity = torch.eye(size, dtype=matrices.dtype)
    both = torch.cat([matrices, identity.expand_as(matrices)], dim=2)
    for k in range(size):
        pivot = both[:, k : k + 1] / both[:, k : k + 1, k : k + 1]
        both = both - (both[:, :, k : k + 1] - identity[:, k : k + 1]) * pivot
    return both[:, :, size:]


def _with_labels(batch: Batch, names: Sequence[str], y: Tensor | None) -> Batch:
    """The batch with its labels, (n, m), as variables of their own."""
    if y is None:
        return batch
    columns = {name: y[:, j : j + 1].float()[None, None] for j, name in enumerate(names)}
    return Batch({**batch.values, **columns}, batch.observed)
