"""What the engine is told and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from underlie.engine.launch import Launch
from underlie.graph import LatentModel

#: Builds one replicate on the CPU, every random number from the generator.
Build = Callable[[torch.Generator], LatentModel]
#: Looks at a model: by name, one number per replicate, (R,).
Monitor = Callable[[LatentModel], Mapping[str, Tensor]]


@final
@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    max_epochs : int
        Passes over the data at most.
    batch_size : int
        Rows per step at most, at least 2. Batches of an epoch differ in size by at most one row, and none is ever of
        one row alone, which batch normalisation could not work with (so with 2, the odd row makes one of three).
    learning_rate : float
        Of AdamW; it falls to a tenth along a half cosine over ``max_epochs``.
    patience : int
        Epochs without a better held-out bound after which a replicate stops.
    valid_fraction : float
        Share of the rows held out for that; 0 trains on all rows for ``max_epochs``.
    n_draws : int
        Draws of the latent variables per row and step.
    max_norm : float
        Gradients of a replicate are scaled down to this Euclidean norm.
    weight_decay : float
        Of AdamW.
    precision : torch.dtype
        Of matrix products and convolutions in training; parameters, sums and likelihoods are in float32 in any case.
    launch : Launch
        The checkpoint, and the processes that train together: of several, each trains some of the replicates, or,
        where there are fewer replicates than processes, its part of every batch.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    valid_fraction: float = 0.1
    n_draws: int = 1
    max_norm: float = 10.0
    weight_decay: float = 0.0
    precision: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    verbose: bool = True
    launch: Launch = field(default_factory=Launch)


@final
@dataclass(frozen=True)
class Trained:
    """What training gives back.

    Attributes
    ----------
    model : LatentModel
        All replicates, each with its best weights.
    history : dict of str to array (R, epochs)
        ``train`` and ``valid``: mean objective per row after each epoch, NaN after a replicate's end. ``valid`` starts
        with epoch 0, the model before any step. Then what was monitored, likewise.
    best_epoch : array (R,)
        Epoch whose weights were kept.
    best_value : array (R,)
        Held-out objective there (the training one where no rows were held out).
    restarts : array (R,)
        How often a replicate diverged and was begun again.
    interrupted : bool
        Whether the user stopped training.
    """

    model: LatentModel
    history: dict[str, np.ndarray]
    best_epoch: np.ndarray
    best_value: np.ndarray
    restarts: np.ndarray
    interrupted: bool
