"""How estimators run their training: its checkpoint, its processes and its seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import BaseEstimator

from underlie.engine import Callback, Checkpoint, Launch, Ranks
from underlie.engine.callbacks import checked_callbacks
from underlie.estimators.base import as_generator

#: parameters that do not change what is learned, and the seed, which checkpoints hold as seeds of the replicates
_APART = ("verbose", "device", "random_state")


def launch_of(
    model: BaseEstimator,
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    strategy: str | None,
    device: torch.device,
    callbacks: Sequence[Callback] | None = None,
) -> Launch:
    """How to run a training, from the arguments of ``fit``.

    Raises
    ------
    TypeError, ValueError
        If one of them cannot be used.
    """
    parameters = {k: repr(v) for k, v in model.get_params(deep=False).items() if k not in _APART}
    about = {"class": type(model).__name__} | parameters
    told = checked_callbacks(callbacks)
    return Launch(Checkpoint.of(checkpoint), Ranks.of(strategy, device), about, callbacks=told)


def drawn_seeds(model: Any, launch: Launch) -> list[int]:
    """One seed per replicate, by ``random_state``; without one, those of the checkpoint where there is one."""
    seeds = as_generator(model.random_state).integers(2**31 - 1, size=model.n_replicates)
    return launch.agreed(seeds.tolist(), chosen=model.random_state is not None)
