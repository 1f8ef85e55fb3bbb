"""One of several processes that train together; what it ends with goes to a file. Started by test_ranks.py."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from underlie.distributions import Normal
from underlie.engine import Checkpoint, Group, Launch, Ranks, ResidentRows, Settings, train
from underlie.engine import run as run_module
from underlie.graph import Batch, LatentModel, elbo
from underlie.models.vae import vae
from underlie.nn import MLP, tensors

warnings.simplefilter("ignore")


def build(generator: torch.Generator) -> LatentModel:
    """A small variational autoencoder of one replicate."""
    return vae(Normal(5), 2, MLP([5], (16,), 4, generator), MLP([2], (16,), 5, generator), with_mask=False)


def rows(n: int, seed: int) -> ResidentRows:
    """Rows near a curve in five dimensions."""
    g = torch.Generator().manual_seed(seed)
    t = torch.randn(n, 2, generator=g)
    return ResidentRows({"x": torch.tanh(t @ torch.randn(2, 5, generator=g)) + 0.2 * torch.randn(n, 5, generator=g)})


def results(launch: Launch, objective: object = elbo) -> dict[str, np.ndarray]:
    """Everything that came of one model, of three replicates, of two groups of rows of which one is small."""
    settings = Settings(8, 32, 5e-3, 5, verbose=False, launch=launch)
    found: dict[str, np.ndarray] = {}
    groups = [Group(rows(90, 1), 33), Group(rows(9, 2), 4, weight=2.0)]
    for name, data, seeds in (
        ("one", rows(91, 1), [5]),
        ("several", rows(91, 1), [5, 6, 7, 8, 9]),
        ("groups", groups, [5]),
    ):
        trained = train(build, objective, data, settings, seeds)  # type: ignore[arg-type]
        found |= {f"{name}.{k}": t.detach().numpy() for k, t, _ in tensors(trained.model)}
        found |= {f"{name}.{k}": h for k, h in trained.history.items()}
        found |= {f"{name}.best_epoch": trained.best_epoch, f"{name}.best_value": trained.best_value}
    return found


class LastSteps:
    """The evidence lower bound, until this process is killed as by the system."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        self.left -= torch.is_grad_enabled()
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return elbo(model, batch, noise)


def main() -> None:
    """Train everything, or one model with a checkpoint, in which the second process may be killed."""
    out, checkpoint, left = sys.argv[1:]
    ranks = Ranks.of("ddp", torch.device("cpu"))
    if checkpoint == "-":
        found = results(Launch(ranks=ranks))
    else:
        run_module._BLOCK = 1
        launch = Launch(Checkpoint(checkpoint, every=0.0), ranks)
        objective = LastSteps(int(left)) if ranks.rank == 1 else elbo
        trained = train(build, objective, rows(91, 1), Settings(8, 32, 5e-3, 5, verbose=False, launch=launch), [5])
        found = {k: t.detach().numpy() for k, t, _ in tensors(trained.model)} | trained.history
    np.savez(f"{out}.{ranks.rank}.npz", **found)


if __name__ == "__main__":
    main()
