"""Replicates shared out among processes: each trains its own, and all end with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import fspath

import numpy as np
import torch

from underlie import nn as unn
from underlie.engine.best import slices
from underlie.engine.checkpoint import Checkpoint
from underlie.engine.launch import Launch
from underlie.engine.ranks import Ranks
from underlie.engine.settings import Settings, Trained

TrainAlone = Callable[[Settings, Sequence[int]], Trained]


def train_spread(train_alone: TrainAlone, settings: Settings, seeds: Sequence[int]) -> Trained:
    """Train every so many-th replicate here, and gather what the other processes trained.

    Replicates are independent of each other, so that nothing is said between processes until the end.
    """
    ranks = settings.launch.ranks
    launch = replace(
        settings.launch,
        ranks=Ranks(),
        checkpoint=_own(settings.launch, ranks),
        all_seeds=tuple(seeds),
        callbacks=settings.launch.callbacks if ranks.rank == 0 else (),
    )
    verbose = settings.verbose and ranks.rank == 0
    trained = train_alone(replace(settings, launch=launch, verbose=verbose), seeds[ranks.rank :: ranks.size])
    return _gathered(trained, ranks, len(seeds))


def _own(launch: Launch, ranks: Ranks) -> Checkpoint | None:
    """A file for each process; the first has the name that was given."""
    if launch.checkpoint is None or ranks.rank == 0:
        return launch.checkpoint
    return replace(launch.checkpoint, path=f"{fspath(launch.checkpoint.path)}.rank{ranks.rank}")


@torch.no_grad()
def _gathered(trained: Trained, ranks: Ranks, n: int) -> Trained:
    n_own = len(trained.best_epoch)
    model = unn.take(trained.model, [0] * n)
    ours, everyones = slices(trained.model, n_own), slices(model, n)
    # Replicates stop at epochs of their own: what is missing at the end is NaN, as after any replicate's end.
    lengths = [h.shape[1] for h in trained.history.values()]
    longest = [max(ranks.shared_whole(lengths, rank)[0] for rank in range(ranks.size))] * len(lengths)
    rows = {
        name: np.pad(h, ((0, 0), (0, longest[0] - h.shape[1])), constant_values=np.nan)
        for name, h in trained.history.items()
    }
    rows |= {"best_epoch": trained.best_epoch[:, None], "best_value": trained.best_value[:, None]}
    rows |= {"restarts": trained.restarts[:, None]}
    found = {name: torch.zeros((n, a.shape[1]), dtype=torch.float64) for name, a in rows.items()}
    for r in range(n):
        owner, i = r % ranks.size, r // ranks.size
        if owner == ranks.rank:
            torch._foreach_copy_(everyones[r], ours[i])
            for name, a in rows.items():
                found[name][r] = torch.as_tensor(a[i], dtype=torch.float64)
        ranks.share(everyones[r], owner)
        ranks.share([of_all[r] for of_all in found.values()], owner)
    interrupted = any(ranks.shared_whole([trained.interrupted], rank)[0] for rank in range(ranks.size))
    best_epoch, best_value, restarts = (found.pop(k).numpy()[:, 0] for k in ("best_epoch", "best_value", "restarts"))
    history = {name: of_all.numpy() for name, of_all in found.items()}
    return Trained(model, history, best_epoch.astype(int), best_value, restarts.astype(int), interrupted)
