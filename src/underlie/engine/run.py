"""The state of one training, and what happens to it batch by batch and epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from underlie import nn as unn
from underlie.engine import recording
from underlie.engine.adamw import AdamW
from underlie.engine.ahead import read_ahead
from underlie.engine.best import Best, slices
from underlie.engine.callbacks import Epoch
from underlie.engine.captured import captured, restore
from underlie.engine.checkpoint import CheckpointError, Clock
from underlie.engine.flat import Flat
from underlie.engine.groups import Deal, Group
from underlie.engine.memory import Part, is_out_of_memory, pieces_of
from underlie.engine.recording import Gradient, Judge, Objective
from underlie.engine.rows import Rows
from underlie.engine.settings import Build, Monitor, Settings, Trained
from underlie.graph import Batch
from underlie.warnings import ConvergenceWarning, warn

#: Rows are read and noise is drawn for as many batches at a time as stay below this many numbers a replicate. It must
#: not depend on the number of replicates, or a replicate would draw other noise beside others.
_BLOCK = 1 << 22
_MAX_RESTARTS = 3


@dataclass
class Place:
    """How far a training has come.

    Parameters
    ----------
    epoch : int
        The epoch that is under way; 0 is the judgement of the start.
    blocks : int
        Blocks of batches of it that are done.
    totals : list of Tensor (R,)
        Sum of the objective over the rows seen in it, of each group of rows.
    seen : list of int
        How many these are.
    dealers : list of Tensor
        States of the generators of its order, as it began.
    """

    epoch: int = 0
    blocks: int = 0
    totals: list[Tensor] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    dealers: list[Tensor] = field(default_factory=list)


@final
class Run:
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
        self.build, self.settings = build, settings
        self.monitor = monitor
        self.seeds, self.launch, self.ranks = seeds, settings.launch, settings.launch.ranks
        # Models are built on the CPU.
        self.builders = [torch.Generator().manual_seed(int(s)) for s in seeds]
        self.dealers, self.generators = (_apart(seeds, which, settings.device) for which in (0, 1))
        self.model = unn.stack([build(g) for g in self.builders]).to(settings.device)
        # What was computed from the data may differ in last bits between machines.
        self.ranks.share(t.detach() for _, t, _ in unn.tensors(self.model))
        self.latent = {f.name: f.head.width for f in self.model.inference if hasattr(f.head, "rsample")}
        self.flat = Flat(self.model, len(seeds))
        self.optimizer = AdamW(self.flat, settings.weight_decay)
        self.learning_rate = settings.learning_rate
        groups = list(rows) if isinstance(rows, Sequence) else [Group(rows, settings.batch_size)]
        self.deals = [Deal(group, settings.valid_fraction, self.dealers) for group in groups]
        total = sum(deal.weight for deal in self.deals)
        self.shares = [deal.weight / total for deal in self.deals]
        # Replicates share no parameter: each learns from the mean over its own rows.
        foreign = any(isinstance(module, unn.Foreign) for module in self.model.modules())
        epochs = 0 if foreign else settings.max_epochs
        recordable = epochs * self._n_batches() >= recording.STEPS_WORTH_RECORDING
        self.gradient = Gradient(
            self.model,
            objective,
            self.flat.parameters,
            recordable=recordable,
            shares=self.shares,
            into=self.flat.slots,
        )
        recordable = recordable and epochs >= recording.JUDGEMENTS_WORTH_RECORDING
        self.judge = Judge(self.model, judge or objective, self.flat.parameters, recordable=recordable)
        # Only networks of the user's own behave otherwise in training; telling all modules takes its time.
        self._tell_mode = self.model.train if foreign else lambda training: None
        self.n_valid = sum(deal.n_valid for deal in self.deals)
        self.valid_noise = [self._noise(deal.n_valid, self._valid_draws()) for deal in self.deals]
        self.best = Best(self.model, len(seeds))
        self.history: dict[str, list[np.ndarray]] = {"train": [], "valid": []}
        self.stopped = np.zeros(len(seeds), dtype=bool)
        self.restarts = np.zeros(len(seeds), dtype=int)
        self.place, self.pieces = Place(), 1
        self.clock = Clock(math.inf if self.launch.checkpoint is None else self.launch.checkpoint.every)

    # ---- from the start, or from where it was, to the end ----
    def begin(self) -> None:
        """Go on from the checkpoint, where there is one, or judge the start."""
        state = None
        if self.launch.checkpoint is not None:
            self.launch.checkpoint.check()
            state = self.launch.checkpoint.read()
            self._check_shared(state is not None)
        if state is not None and self.launch.checkpoint is not None:
            restore(self, state, self.launch.checkpoint.file)
            self._check_shared(self.place.epoch, self.place.blocks)
        else:
            self.score_epoch(math.nan * np.ones(len(self.seeds)))
            self.place.epoch = 1

    def _check_shared(self, *found: int) -> None:
        """All processes must have read the same state."""
        if self.ranks.shared_whole(found) != list(found):
            raise CheckpointError(
                f"checkpoint {self.launch.checkpoint} is not the same file for all processes: put it in a folder that "
                "all of them see."
            )

    def advance(self) -> None:
        """One epoch, judged."""
        self.score_epoch(self.epoch(self.place.epoch))
        self.place = Place(self.place.epoch + 1)

    def finished(self) -> bool:
        """Whether every replicate has stopped, or all epochs are over."""
        return bool(self.stopped.all()) or self.place.epoch > self.settings.max_epochs

    def keep(self) -> None:
        """Write the state to the checkpoint, where one is wanted."""
        if self.launch.checkpoint is not None and self.launch.writes:
            self.launch.checkpoint.write(*captured(self))

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
    def _n_batches(self) -> int:
        return max(deal.n_batches for deal in self.deals)

    def epoch(self, epoch: int) -> np.ndarray:
        """One pass over the training rows; mean objective per row of each replicate."""
        s = self.settings
        self.learning_rate = s.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * (epoch - 1) / s.max_epochs)))
        n_batches = self._n_batches()
        place = self.place
        if not place.blocks:
            place.dealers = [g.get_state() for g in self.dealers]
            place.totals = [torch.zeros(len(self.generators), device=s.device) for _ in self.deals]
            place.seen = [0] * len(self.deals)
        dealt = [deal.batches(n_batches) for deal in self.deals]
        self._tell_mode(True)
        block = max(1, _BLOCK // self._numbers([batches[0].shape[1] for batches in dealt]))
        with ExitStack() as reading:
            starts = range(place.blocks * block, n_batches, block)
            readers = [
                reading.enter_context(read_ahead(deal.rows, self._indices(batches, starts)))
                for deal, batches in zip(self.deals, dealt, strict=True)
            ]
            for start in starts:
                parts = [
                    self._block(batches[start : start + block], next(reader))
                    for batches, reader in zip(dealt, readers, strict=True)
                ]
                with self._in_precision():
                    for step in zip(*parts, strict=True):
                        self._learn(step)
                place.blocks += 1
                if self.clock.due():
                    self.keep()
        self.ranks.add(place.totals)
        mean = sum(share * t / n for share, t, n in zip(self.shares, place.totals, place.seen, strict=True))
        assert isinstance(mean, Tensor)
        place.blocks = 0
        return mean.double().cpu().numpy()

    def _numbers(self, sizes: list[int]) -> int:
        """How many numbers of data or noise one batch of so many rows of each group takes, for one replicate."""
        first = torch.zeros(1, 1, dtype=torch.long)
        noise = self.settings.n_draws * sum(self.latent.values())
        widths = [sum(v.shape[-1] for v in deal.rows.take(first).values.values()) for deal in self.deals]
        return sum(size * max(1, width, noise) for size, width in zip(sizes, widths, strict=True))

    def _own(self, batches: list[Tensor]) -> list[Tensor]:
        """Of each batch the numbers of the rows that this process works on."""
        return [batch[:, self.ranks.own(batch.shape[1])] for batch in batches]

    def _indices(self, batches: list[Tensor], starts: range) -> Iterator[Tensor]:
        """The same, of each block of batches, (R, B)."""
        for start in starts:
            yield torch.cat(self._own(batches[start : start + starts.step]), dim=1)

    def _block(self, batches: list[Tensor], rows: Batch) -> list[Part]:
        """Rows and noise of some consecutive batches, drawn at once; of several processes each has rows of its own.

        Noise is drawn for all rows, so that it does not depend on the number of processes.
        """
        sizes = [b.shape[1] for b in batches]
        noise = {k: v.split(sizes, dim=2) for k, v in self._noise(sum(sizes), self.settings.n_draws).items()}
        if self.ranks.size > 1:
            own = [self.ranks.own(size) for size in sizes]
            noise = {k: [v[:, :, some] for v, some in zip(of_all, own, strict=True)] for k, of_all in noise.items()}
        parts = rows.split([b.shape[1] for b in self._own(batches)])
        return [(batch, {k: v[i] for k, v in noise.items()}, sizes[i]) for i, batch in enumerate(parts)]

    def _learn(self, step: Sequence[Part]) -> None:
        """One step, or several smaller ones where memory is too short for one."""
        if self.pieces == 1:
            self._learn_piece(step)
            return
        for piece in pieces_of(step, self.pieces):
            self._learn_piece(piece)

    def _learn_piece(self, piece: Sequence[Part]) -> None:
        try:
            values = self._step(piece)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._halve(piece, error)
            for half in pieces_of(piece, 2):
                self._learn_piece(half)
            return
        for i, (value, (_, _, size)) in enumerate(zip(values, piece, strict=True)):
            self.place.totals[i] += value.sum(1)
            self.place.seen[i] += self.ranks.counted(size)

    def _halve(self, piece: Sequence[Part], error: BaseException) -> None:
        """Take later batches in twice as many pieces, and say so."""
        rows = max(size for _, _, size in piece) // 2
        if rows < 2:
            raise MemoryError(
                "there is not enough memory even for batches of two rows: use a smaller network, fewer n_replicates or "
                f"n_draws, or a machine with more memory. ({error}) (more: underlie explain out-of-memory)"
            ) from error
        if self.ranks.size > 1:  # the others would have to halve at the same step
            raise MemoryError(
                f"memory was too short for a batch: give batch_size={rows} or less. ({error}) "
                "(more: underlie explain out-of-memory)"
            ) from error
        self.pieces *= 2
        if self.settings.device.type == "cuda":
            torch.cuda.empty_cache()
        warn(
            f"memory was too short for a batch; from here on batches have about {rows} rows. Give batch_size={rows} to "
            "train so from the beginning. (more: underlie explain out-of-memory)",
            ConvergenceWarning,
        )

    def _step(self, piece: Sequence[Part]) -> Sequence[Tensor]:
        batches, noise = [batch for batch, _, _ in piece], [noise for _, noise, _ in piece]
        totals = [self.ranks.counted(size) for _, _, size in piece]
        values, gradient = self.gradient(batches, noise, totals)
        self.flat.collect(gradient)
        self.ranks.add(self.flat.gradients)
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
        self._tell_mode(False)
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
        own = range(deal.n_valid)[self.ranks.own(deal.n_valid)]
        for i in range(0, len(own), chunk):
            part = own[i : i + chunk]
            some = slice(part.start, part.stop, part.step)
            of_chunk = {k: v[:, :, some] for k, v in noise.items()}
            total += self.judge(deal.held_out(some), of_chunk).sum(1)
        self.ranks.add([total])
        return (total / self.ranks.counted(deal.n_valid)).double().cpu().numpy()

    @torch.no_grad()
    def _monitored(self) -> dict[str, np.ndarray]:
        self._tell_mode(False)
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

    def told(self) -> Epoch:
        """The epoch that is over, for callbacks; copies, so that nothing in the run can be changed by them."""
        offset = {"train": self.launch.offset, "valid": self.launch.offset}
        values = {name: of_epochs[-1] + offset.get(name, 0.0) for name, of_epochs in self.history.items()}
        number, best = len(self.history["valid"]) - 1, self.best.epoch.copy()
        return Epoch(number, self.settings.max_epochs, values, best, ~self.stopped, dict(self.launch.about))

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
                f"the held-out bound was still rising after max_epochs={self.settings.max_epochs}; raise max_epochs. "
                "(more: underlie explain still-rising)",
                ConvergenceWarning,
            )
        if self.restarts.any():
            which = ", ".join(f"{r} ({k}x)" for r, k in enumerate(self.restarts) if k)
            warn(f"replicates diverged and were restarted: {which}.", ConvergenceWarning)


def _apart(seeds: Sequence[int], which: int, device: torch.device) -> list[torch.Generator]:
    """One generator per replicate for one purpose, so that what one purpose draws does not move what another does."""
    states = [int(np.random.SeedSequence([int(s), which]).generate_state(1, np.uint64)[0] >> 1) for s in seeds]
    return [torch.Generator(device).manual_seed(state) for state in states]
