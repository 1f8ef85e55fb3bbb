"""Training killed at any moment goes on and ends with the same bits; faults of disk, clock and memory are survived."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from underlie.distributions import Normal
from underlie.engine import Checkpoint, CheckpointError, Group, Launch, ResidentRows, Settings, Trained, train
from underlie.engine import checkpoint as module
from underlie.engine import run as run_module
from underlie.engine.sealed import DamagedFile, seal, unseal
from underlie.graph import Batch, LatentModel, elbo
from underlie.models.networks import Networks
from underlie.models.vae import vae
from underlie.nn import MLP, tensors
from underlie.warnings import CheckpointWarning

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")

SEEDS = [3, 4]


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it, nothing is tidied up."""


class Fatal:
    """The evidence lower bound, until a chosen step of learning."""

    def __init__(self, last: float) -> None:
        self.left = last

    def __call__(self, model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            if self.left <= 0:
                raise Killed
            self.left -= 1
        return elbo(model, batch, noise)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one batch, so that there are moments within epochs."""
    monkeypatch.setattr(run_module, "_BLOCK", 1)


@pytest.fixture
def kept(settings: MakeSettings, tmp_path: Path) -> Settings:
    """A short training that writes as often as it can."""
    return settings(max_epochs=4, launch=Launch(Checkpoint(tmp_path / "run.checkpoint", every=0.0)))


def same(a: Trained, b: Trained) -> None:
    """All numbers of two trainings are the same bits."""
    for (name, x, _), (_, y, _) in zip(tensors(a.model), tensors(b.model), strict=True):
        assert torch.equal(x, y), name
    assert a.history.keys() == b.history.keys()
    for name, values in a.history.items():
        np.testing.assert_array_equal(values, b.history[name])
    np.testing.assert_array_equal(a.best_epoch, b.best_epoch)
    np.testing.assert_array_equal(a.best_value, b.best_value)
    np.testing.assert_array_equal(a.restarts, b.restarts)


# ---- killed ----
def test_killed_at_any_step_it_ends_with_the_same_bits(build: Build, rows: ResidentRows, kept: Settings) -> None:
    whole = train(build, elbo, rows, replace(kept, launch=Launch()), SEEDS)
    n_steps = 4 * 3  # 72 rows in batches of 32 at most
    assert kept.launch.checkpoint is not None
    for last in range(n_steps):
        for file in (kept.launch.checkpoint.file, kept.launch.checkpoint.previous):
            file.unlink(missing_ok=True)
        with pytest.raises(Killed):
            train(build, Fatal(last), rows, kept, SEEDS)
        rest = Fatal(n_steps - last)  # not a step more than is left
        same(train(build, rest, rows, kept, SEEDS), whole)
        assert rest.left == 0


def test_killed_again_and_again_it_comes_to_the_same_end(build: Build, rows: ResidentRows, kept: Settings) -> None:
    whole = train(build, elbo, rows, replace(kept, launch=Launch()), SEEDS)
    for _ in range(20):
        try:
            found = train(build, Fatal(1), rows, kept, SEEDS)
            break
        except Killed:
            continue
    same(found, whole)


def test_killed_between_two_renamings_a_state_is_left(
    build: Build, rows: ResidentRows, kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(build, elbo, rows, replace(kept, launch=Launch()), SEEDS)
    n_calls = 0
    rename = os.replace

    def fatal(source: object, target: object, at: int) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == at:
            raise Killed
        rename(source, target)  # type: ignore[arg-type]

    assert kept.launch.checkpoint is not None
    for at in range(4, 10):
        n_calls = 0
        for file in (kept.launch.checkpoint.file, kept.launch.checkpoint.previous):
            file.unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda a, b, at=at: fatal(a, b, at))
            with pytest.raises(Killed):
                train(build, elbo, rows, kept, SEEDS)
        left = Fatal(11)
        same(train(build, left, rows, kept, SEEDS), whole)


def test_groups_stopping_and_networks_with_dropout(rows: ResidentRows, kept: Settings) -> None:
    """Several groups of rows, early stopping, a user's own network that draws from the global generator."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 4))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.inner(x)
            return found

    def build(generator: torch.Generator) -> LatentModel:
        encoder = Networks((5,), (8,), "relu", Own(), "mlp").build_encoder([5], 4, generator, with_mask=False)
        return vae(Normal(5), 2, encoder, MLP([2], (8,), 5, generator), with_mask=False)

    few = ResidentRows({"x": rows.values["x"][:20] + 1.0})
    groups = [Group(rows, 32), Group(few, 8, weight=3.0)]
    settings = replace(kept, max_epochs=12, patience=3, learning_rate=0.05)
    state = torch.get_rng_state()
    whole = train(build, elbo, groups, replace(settings, launch=Launch()), SEEDS)
    torch.set_rng_state(state)
    found = None
    while found is None:
        try:
            found = train(build, Fatal(13), groups, settings, SEEDS)
        except Killed:
            continue
    same(found, whole)


def test_a_finished_training_is_not_trained_again(build: Build, rows: ResidentRows, kept: Settings) -> None:
    first = train(build, elbo, rows, kept, SEEDS)
    same(train(build, Fatal(0), rows, kept, SEEDS), first)


# ---- of another training ----
def test_another_training_is_refused(build: Build, rows: ResidentRows, kept: Settings) -> None:
    train(build, elbo, rows, kept, SEEDS)
    others = ResidentRows({"x": rows.values["x"] * 1.01})
    fewer = ResidentRows({"x": rows.values["x"][:80]})
    about = replace(kept, launch=replace(kept.launch, about={"beta": "2.0"}))
    for match, arguments in {
        "max_epochs is 4, here it is 5": (build, elbo, rows, replace(kept, max_epochs=5), SEEDS),
        "seeds differ": (build, elbo, rows, kept, [3, 5]),
        "other rows": (build, elbo, others, kept, SEEDS),
        "numbers of rows": (build, elbo, fewer, kept, SEEDS),
        "beta is None, here it is 2.0": (build, elbo, rows, about, SEEDS),
    }.items():
        with pytest.raises(CheckpointError, match=match):
            train(*arguments)


# ---- faults ----
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_state_is_passed_over(build: Build, rows: ResidentRows, kept: Settings, damage: str) -> None:
    whole = train(build, elbo, rows, replace(kept, launch=Launch()), SEEDS)
    with pytest.raises(Killed):
        train(build, Fatal(7), rows, kept, SEEDS)
    assert kept.launch.checkpoint is not None
    file = kept.launch.checkpoint.file
    blob = bytearray(file.read_bytes())
    blob[len(blob) // 2] ^= 4
    file.write_bytes({"cut": blob[:900], "flip": blob, "empty": b"", "other": b"PK\x03\x04 no checkpoint"}[damage])
    left = Fatal(12 - 6)  # one step back, to the state before
    with pytest.warns(CheckpointWarning, match="is no checkpoint, or is damaged"):
        same(train(build, left, rows, kept, SEEDS), whole)
    assert left.left == 0


def test_a_file_of_the_users_is_never_written_over(build: Build, rows: ResidentRows, kept: Settings) -> None:
    assert kept.launch.checkpoint is not None
    file = kept.launch.checkpoint.file
    file.write_text("age,grade\n50,2\n")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="is no checkpoint.*Give another path"):
            train(build, Fatal(0), rows, kept, SEEDS)
    assert file.read_text() == "age,grade\n50,2\n"
    assert not kept.launch.checkpoint.previous.exists()


def test_every_flipped_bit_shows() -> None:
    blob = seal({"a": 1}, {"x": torch.arange(5.0)})
    for i in range(len(blob)):
        with pytest.raises(DamagedFile):
            unseal(blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :])
        with pytest.raises(DamagedFile):
            unseal(blob[:i])


def test_a_full_disk_costs_no_state_and_no_training(
    build: Build, rows: ResidentRows, kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(build, elbo, rows, replace(kept, launch=Launch()), SEEDS)
    write, n_calls = module.write_atomically, 0

    def full(target: Path, blob: bytes) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(target, blob)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", full)
        with pytest.warns(CheckpointWarning, match="No space left on device"):
            same(train(build, elbo, rows, kept, SEEDS), whole)
    left = Fatal(12 - 5)
    same(train(build, left, rows, kept, SEEDS), whole)
    assert left.left == 0


def test_a_folder_that_cannot_be_written_is_said_before_training(
    build: Build, rows: ResidentRows, settings: MakeSettings, tmp_path: Path
) -> None:
    for path in (tmp_path / "missing" / "run.checkpoint", Path("/proc/run.checkpoint"), tmp_path):
        with pytest.raises(CheckpointError, match="nothing can be written|is a folder"):
            train(build, Fatal(0), rows, settings(launch=Launch(Checkpoint(path))), SEEDS)


def test_a_changed_clock_does_not_matter(
    build: Build, rows: ResidentRows, settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(max_epochs=3, launch=Launch(Checkpoint(tmp_path / "run.checkpoint", every=3600.0)))
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: (-1.0) ** next(jumps) * 1e9)
    n_written = 0
    write = module.write_atomically

    def counted(target: Path, blob: bytes) -> None:
        nonlocal n_written
        n_written += 1
        write(target, blob)

    monkeypatch.setattr(module, "write_atomically", counted)
    train(build, elbo, rows, chosen, SEEDS)
    assert n_written == 1  # the end; an hour did not pass before


# ---- memory ----
@pytest.mark.parametrize(
    "shortage",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99999 bytes."),
    ],
)
def test_a_batch_too_large_for_memory_is_halved(
    build: Build, rows: ResidentRows, settings: MakeSettings, shortage: Exception
) -> None:
    sizes = []

    def short(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        n = batch.values["x"].shape[2]
        if torch.is_grad_enabled():
            if n > 15:
                raise shortage
            sizes.append(n)
        return elbo(model, batch, noise)

    with pytest.warns(UserWarning, match="batches have about"):
        trained = train(build, short, rows, settings(max_epochs=3), SEEDS)
    assert set(sizes) == {12}  # 24 rows a batch
    assert len(sizes) == 3 * 6
    assert np.isfinite(trained.best_value).all()
    assert (trained.best_epoch > 0).all()


def test_no_row_is_learned_from_twice_where_a_later_piece_is_too_large(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    seen: list[int] = []

    def short(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        n = batch.values["x"].shape[2]
        if torch.is_grad_enabled():
            if n > 15 or (len(seen) == 1 and n > 6):  # the second half of the first batch is again too large
                raise MemoryError
            seen.append(n)
        return elbo(model, batch, noise)

    with pytest.warns(UserWarning, match="batches have about"):
        train(build, short, rows, settings(max_epochs=1), SEEDS)
    assert seen[:3] == [12, 6, 6]
    assert sum(seen) == 72


def test_halving_comes_to_an_end(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    def never(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            raise MemoryError
        return elbo(model, batch, noise)

    with (
        pytest.warns(UserWarning, match="batches have about"),
        pytest.raises(MemoryError, match="even for batches of two"),
    ):
        train(build, never, rows, settings(), SEEDS)


def test_other_errors_are_passed_on(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    def wrong(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("sizes do not fit")
        return elbo(model, batch, noise)

    with pytest.raises(RuntimeError, match="sizes do not fit"):
        train(build, wrong, rows, settings(), SEEDS)


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="must be a path"):
        Checkpoint.of(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seconds"):
        Checkpoint("x", every=-1)
    with pytest.raises(ValueError, match="seconds"):
        Checkpoint("x", every=float("nan"))
