"""The one training loop: any objective over any graph, R replicates at once, each with its own luck and its own end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from underlie import nn as unn
from underlie.engine.adamw import AdamW
from underlie.engine.best import Best, slices
from underlie.engine.flat import Flat
from underlie.engine.groups import Deal, Group
from underlie.engine.progress import progress_bar
from underlie.engine.recording import Gradient, Objective
from underlie.engine.rows import Rows
from underlie.engine.threads import suitable_threads
from underlie.graph import Batch, LatentModel
from underlie.warnings import ConvergenceWarning, warn

#: Builds one replicate on the CPU, every random number from the generator.
Build = Callable[[torch.Generator], LatentModel]
#: Looks at a model: by name, one number per replicate, (R,).
Monitor = Callable[[LatentModel], Mapping[str, Tensor]]

#: Rows are read and noise is drawn for as many batches at a time as stay below this many numbers a replicate. It must
#: not depend on the number of replicates, or a replicate would draw other noise beside others.
_BLOCK = 1 << 22
_MAX_RESTARTS = 3


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


def train(
    build: Build,
    objective: Objective,
    rows: Rows | Sequence[Group],
    settings: Settings,
    seeds: Sequence[int],
    label: str = "training",
    judge: Objective | None = None,
    monitor: Monitor | None = None,
) -> Trained:
    """Train one replicate per seed, all in one batched computation.

    A replicate draws everything (starting weights, held-out rows and order, noise) from generators of its own, stops on
    its own held-out rows and keeps its own best weights: it ends with the same numbers whatever trains beside it. Rows
    and order do not depend on the model: models trained with the same seeds see the same batches, so that comparisons
    between them are paired.

    Parameters
    ----------
    build : callable
        ``build(generator)`` gives a model of one replicate.
    objective : callable
        ``objective(model, batch, noise)`` gives the value of each row, (R, B).
    rows : Rows or sequence of Group
        The data. Of several groups every batch has its part of each; an epoch is one pass
        over the group with the most batches.
    settings : Settings
        How to train.
    seeds : sequence of int
        One per replicate.
    label : str
        Shown beside the progress bar.
    judge : callable, optional
        What held-out rows are judged by, if not by the objective; called as it is.
    monitor : callable, optional
        What else to keep in the history: ``monitor(model)`` gives numbers by name, one per replicate, (R,).

    Returns
    -------
    Trained

    Raises
    ------
    FloatingPointError
        When every replicate diverged and could not be restarted.
    KeyboardInterrupt
        When the user stopped training before there was anything to keep; later the best so far is returned.
    """
    run = _Run(build, objective, rows, settings, seeds, judge, monitor)
    interrupted = False
    with (
        suitable_threads(run.flops_per_step()),
        progress_bar(label, settings.max_epochs, enabled=settings.verbose) as say,
    ):
        try:
            run.score_epoch(math.nan * np.ones(len(seeds)))
            for epoch in range(1, settings.max_epochs + 1):
                run.score_epoch(run.epoch(epoch))
                say(epoch, run.describe())
                if run.finished():
                    break
        except KeyboardInterrupt:
            if not run.has_learned():
                raise
            interrupted = True
    return run.result(interrupted)


class _Run:
    """The state of one training: model, optimiser, generators, best weights, history."""

    def __init__(
        self,
        build: Build,
        objective: Objective,
        rows: Rows | Sequence[Group],
        settings: Settings,
        seeds: Sequence[int],
        judge: Objective | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.build, self.judge, self.settings = build, judge or objective, settings
        self.monitor = monitor
        # Models are built on the CPU.
        self.builders = [torch.Generator().manual_seed(int(s)) for s in seeds]
        dealers, self.generators = (_apart(seeds, which, settings.device) for which in (0, 1))
        self.model = unn.stack([build(g) for g in self.builders]).to(settings.device)
        self.latent = {f.name: f.head.width for f in self.model.inference if hasattr(f.head, "rsample")}
        self.flat = Flat(self.model, len(seeds))
        self.optimizer = AdamW(self.flat, settings.weight_decay)
        self.learning_rate = settings.learning_rate
        groups = list(rows) if isinstance(rows, Sequence) else [Group(rows, settings.batch_size)]
        self.deals = [Deal(group, settings.valid_fraction, dealers) for group in groups]
        total = sum(deal.weight for deal in self.deals)
        self.shares = [deal.weight / total for deal in self.deals]
        # Replicates share no parameter: each learns from the mean over its own rows.
        self.gradient = Gradient(
            self.model, objective, self.flat.parameters, recordable=not any(self.flat.foreign), shares=self.shares
        )
        self.n_valid = sum(deal.n_valid for deal in self.deals)
        self.valid_noise = [self._noise(deal.n_valid, self._valid_draws()) for deal in self.deals]
        self.best = Best(self.model, len(seeds))
        self.history: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
        self.stopped = np.zeros(len(seeds), dtype=bool)
        self.restarts = np.zeros(len(seeds), dtype=int)

    # ---- data ----
    def _valid_draws(self) -> int:
        """Draws per held-out row: as in training where that matters to the bound, or enough for a steady figure."""
        if self.settings.n_draws > 1:
            return self.settings.n_draws
        return max(1, min(16, 500 // max(1, self.n_valid)))

    def _noise(self, n_rows: int, n_draws: int) -> dict[str, Tensor]:
        return {
            name: torch.stack(
                [torch.randn((n_draws, n_rows, width), generator=g, device=g.device) for g in self.generators]
            )
            for name, width in self.latent.items()
        }

    def flops_per_step(self) -> float:
        """Multiply-adds of one replicate's forward and backward pass over one batch, to first order."""
        n_parameters = self.flat.value.numel() / len(self.generators) + sum(p.numel() for p in self.flat.foreign[0])
        n_rows = sum(min(deal.batch_size, deal.n_train) for deal in self.deals)
        return 6.0 * n_parameters * n_rows * self.settings.n_draws

    # ---- one epoch ----
    def epoch(self, epoch: int) -> np.ndarray:
        """One pass over the training rows; mean objective per row of each replicate."""
        s = self.settings
        self.learning_rate = s.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * (epoch - 1) / s.max_epochs)))
        n_batches = max(deal.n_batches for deal in self.deals)
        dealt = [deal.batches(n_batches) for deal in self.deals]
        total = [torch.zeros(len(self.generators), device=s.device) for _ in self.deals]
        self.model.train()
        block = max(1, _BLOCK // self._numbers([batches[0].shape[1] for batches in dealt]))
        for start in range(0, n_batches, block):
            parts = [
                self._block(deal, batches[start : start + block])
                for deal, batches in zip(self.deals, dealt, strict=True)
            ]
            for step in zip(*parts, strict=True):
                values = self._step([batch for batch, _ in step], [noise for _, noise in step])
                for of_group, value in zip(total, values, strict=True):
                    of_group += value.sum(1)
        seen = [sum(batch.shape[1] for batch in batches) for batches in dealt]
        mean = sum(share * t / n for share, t, n in zip(self.shares, total, seen, strict=True))
        assert isinstance(mean, Tensor)
        return mean.double().cpu().numpy()

    def _numbers(self, sizes: list[int]) -> int:
        """How many numbers of data or noise one batch of so many rows of each group takes, for one replicate."""
        first = torch.zeros(1, 1, dtype=torch.long)
        noise = self.settings.n_draws * sum(self.latent.values())
        widths = [sum(v.shape[-1] for v in deal.rows.take(first).values.values()) for deal in self.deals]
        return sum(size * max(1, width, noise) for size, width in zip(sizes, widths, strict=True))

    def _block(self, deal: Deal, batches: list[Tensor]) -> list[tuple[Batch, dict[str, Tensor]]]:
        """Rows and noise of some consecutive batches, read and drawn at once."""
        sizes = [b.shape[1] for b in batches]
        noise = {k: v.split(sizes, dim=2) for k, v in self._noise(sum(sizes), self.settings.n_draws).items()}
        rows = deal.rows.take(torch.cat(batches, dim=1)).split(sizes)
        return [(batch, {k: v[i] for k, v in noise.items()}) for i, batch in enumerate(rows)]

    def _step(self, batches: Sequence[Batch], noise: Sequence[Mapping[str, Tensor]]) -> Sequence[Tensor]:
        with self._in_precision():
            values, gradient = self.gradient(batches, noise)
        self.flat.collect(gradient)
        self.flat.clip(self.settings.max_norm)
        self.optimizer.step(self.learning_rate)
        return values

    def _in_precision(self) -> torch.autocast:
        reduced = self.settings.precision is not torch.float32
        kind, dtype = self.settings.device.type, self.settings.precision if reduced else None
        # Without a cache of converted weights, which a recording would take for the weights of every step.
        return torch.autocast(kind, dtype, enabled=reduced, cache_enabled=False)

    # ---- after each epoch ----
    def score_epoch(self, train_value: np.ndarray) -> None:
        """Judge each replicate on its held-out rows; keep what is best so far, restart what diverged."""
        valid = self._validate() if self.n_valid else train_value
        running = ~self.stopped
        self.history["train"].append(np.where(running, train_value, math.nan))
        self.history["valid"].append(np.where(running, valid, math.nan))
        for name, seen in self._monitored().items():
            self.history.setdefault(name, []).append(np.where(running, seen, math.nan))
        epoch = len(self.history["valid"]) - 1
        sound = np.isfinite(valid)
        if not self.n_valid:
            sound &= self._finite_weights()  # a value from during the epoch does not tell of its last step
        for r in np.flatnonzero(running & ~sound & (epoch > 0)):
            self._restart(int(r))
        # Without held-out rows there is nothing to choose by: the last epoch is kept.
        better = sound & (valid > self.best.value) if self.n_valid else sound
        self.best.keep(running & better, valid, epoch)
        if self.n_valid:
            self.stopped |= epoch - self.best.epoch >= self.settings.patience

    def _finite_weights(self) -> np.ndarray:
        """Which replicates have finite weights (R,)."""
        flat = self.flat
        weights = [[*flat.of_replicate(flat.value, r), *own] for r, own in enumerate(flat.foreign)]
        return np.array([all(bool(w.isfinite().all()) for w in own) for own in weights])

    @torch.no_grad()
    def _validate(self) -> np.ndarray:
        self.model.eval()
        means = [self._judged(d, noise) for d, noise in zip(self.deals, self.valid_noise, strict=True)]
        held = [(share, mean) for share, mean in zip(self.shares, means, strict=True) if mean is not None]
        total = np.sum([share * mean for share, mean in held], axis=0)
        return np.asarray(total / sum(share for share, _ in held))

    def _judged(self, deal: Deal, noise: Mapping[str, Tensor]) -> np.ndarray | None:
        """Mean value of a group's held-out rows, of each replicate; None where none were held out."""
        if not deal.n_valid:
            return None
        chunk = max(deal.batch_size, 1024)
        total = torch.zeros(len(self.generators), device=self.settings.device)
        for i in range(0, deal.n_valid, chunk):
            of_chunk = {k: v[:, :, i : i + chunk] for k, v in noise.items()}
            total += self.judge(self.model, deal.rows.take(deal.valid_rows[:, i : i + chunk]), of_chunk).sum(1)
        return (total / deal.n_valid).double().cpu().numpy()

    @torch.no_grad()
    def _monitored(self) -> dict[str, np.ndarray]:
        self.model.eval()
        found = {} if self.monitor is None else self.monitor(self.model)
        return {name: value.double().cpu().numpy() for name, value in found.items()}

    def _restart(self, replicate: int) -> None:
        """Go back to the replicate's best weights, or to new ones if no value was ever finite; forget the moments."""
        self.restarts[replicate] += 1
        if self.restarts[replicate] > _MAX_RESTARTS:
            self.stopped[replicate] = True
        if np.isfinite(self.best.value[replicate]):
            self.best.restore(replicate)
        else:
            fresh = self.build(self.builders[replicate]).to(self.settings.device)
            with torch.no_grad():
                torch._foreach_copy_(slices(self.model, len(self.generators))[replicate], slices(fresh, 1)[0])
        self.optimizer.forget(replicate)

    def has_learned(self) -> bool:
        """Whether any replicate has weights worth keeping."""
        return bool(np.isfinite(self.best.value).any())

    def finished(self) -> bool:
        """Whether every replicate has stopped."""
        return bool(self.stopped.all())

    def describe(self) -> str:
        """The best held-out value so far, for the progress bar."""
        return f"held-out bound {np.nanmax(self.best.value):.4g}"

    def result(self, interrupted: bool) -> Trained:
        """Every replicate with its best weights; warns of what the user should know."""
        if not self.has_learned():
            raise FloatingPointError(
                f"training diverged in all {len(self.generators)} replicates, {_MAX_RESTARTS} restarts each; "
                "use a smaller learning_rate, or look for columns with extreme outliers."
            )
        for r in range(len(self.generators)):
            self.best.restore(r)
        self._warn(interrupted)
        self.model.eval()
        history = {k: np.stack(v, axis=1) for k, v in self.history.items()}
        return Trained(
            self.model, history, self.best.epoch.copy(), self.best.value.copy(), self.restarts.copy(), interrupted
        )

    def _warn(self, interrupted: bool) -> None:
        epochs = len(self.history["valid"]) - 1
        if interrupted:
            warn(
                f"training was interrupted after {epochs} epochs; the best weights so far were kept.",
                ConvergenceWarning,
            )
        elif self.n_valid and not self.stopped.all() and (self.best.epoch >= epochs - 1).any():
            warn(
                f"the held-out bound was still rising after max_epochs={self.settings.max_epochs}; raise max_epochs.",
                ConvergenceWarning,
            )
        if self.restarts.any():
            which = ", ".join(f"{r} ({k}x)" for r, k in enumerate(self.restarts) if k)
            warn(f"replicates diverged and were restarted: {which}.", ConvergenceWarning)


def _apart(seeds: Sequence[int], which: int, device: torch.device) -> list[torch.Generator]:
    """One generator per replicate for one purpose, so that what one purpose draws does not move what another does."""
    states = [int(np.random.SeedSequence([int(s), which]).generate_state(1, np.uint64)[0] >> 1) for s in seeds]
    return [torch.Generator(device).manual_seed(state) for state in states]
