"""Rows and batches: which rows a step sees, and that rows from a file train the same model as rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from underlie.data import Encoder, as_source
from underlie.distributions import Normal
from underlie.engine import ResidentRows, Settings, StreamedRows, recording, train
from underlie.engine.run import Run
from underlie.graph import Batch, LatentModel, elbo
from underlie.models.vae import vae
from underlie.nn import MLP

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


@pytest.fixture(autouse=True)
def never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objectives here look at every step; a recorded one would not call them."""
    monkeypatch.setattr(recording, "STEPS_WORTH_RECORDING", 10**9)


class Recorder:
    """The evidence lower bound, which remembers the rows of every step by their numbers."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.append(batch.values["number"][:, 0, :, 0].long())
        return elbo(model, batch.without("number"), noise)


def numbered(rows: ResidentRows, n: int) -> ResidentRows:
    """The first n rows, each with its number."""
    return ResidentRows({"x": rows.values["x"][:n], "number": torch.arange(float(n))[:, None]})


# ---- batches ----
@pytest.mark.parametrize("n", [2, 3, 5, 31, 32, 33, 64, 65, 90])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 32, 500])
def test_batches_are_even_and_cover_every_row_once(
    build: Build, rows: ResidentRows, settings: MakeSettings, n: int, batch_size: int
) -> None:
    objective = Recorder()
    run = Run(build, objective, numbered(rows, n), settings(batch_size=batch_size), [1, 2])
    for epoch in (1, 2):
        objective.seen.clear()
        value = run.epoch(epoch)
        assert np.isfinite(value).all()
        sizes = [a.shape[1] for a in objective.seen]
        assert min(sizes) >= 2  # batch normalisation cannot work with one row
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= max(batch_size, 3)
        for r in range(2):
            seen = torch.cat([a[r] for a in objective.seen])
            assert sorted(seen.tolist()) == sorted(run.deals[0].train_rows[r].tolist())


def test_order_changes_from_epoch_to_epoch_and_between_replicates(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    objective = Recorder()
    run = Run(build, objective, numbered(rows, len(rows)), settings(batch_size=500), [1, 2])
    run.epoch(1)
    run.epoch(2)
    first, second = objective.seen
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("valid_fraction", [0.0, 0.1, 0.5, 0.99])
def test_few_rows_train_without_fuss(
    build: Build, rows: ResidentRows, settings: MakeSettings, n: int, valid_fraction: float
) -> None:
    objective = Recorder()
    few = numbered(rows, n)
    trained = train(build, objective, few, settings(valid_fraction=valid_fraction, max_epochs=4), [1, 2])
    assert np.isfinite(trained.best_value).all()
    assert np.isfinite(trained.history["train"][:, 1:]).all()
    assert min(a.shape[1] for a in objective.seen) >= 2  # however many are held out


def test_training_value_is_the_mean_over_the_rows(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    # With a learning rate of zero and batches of unequal size, the epoch's value is the plain mean over all rows.
    def first_column(model: LatentModel, batch: Batch, noise: object) -> Tensor:
        return batch.values["x"][:, 0, :, 0] + 0 * sum(p.sum() for p in model.parameters())

    run = Run(build, first_column, rows, settings(learning_rate=0.0, batch_size=40), [1, 2])
    expected = rows.values["x"][run.deals[0].train_rows, 0].mean(1)
    np.testing.assert_allclose(run.epoch(1), expected.numpy(), rtol=1e-5)
    held_out = rows.values["x"][run.deals[0].valid_rows, 0].mean(1)
    np.testing.assert_allclose(run._validate(), held_out.numpy(), rtol=1e-5)


# ---- resident ----
def test_resident_rows_are_gathered_for_each_replicate() -> None:
    x, y = torch.arange(20.0).reshape(10, 2), torch.arange(10.0)[:, None]
    mask = x % 3 > 0
    taken = ResidentRows({"x": x, "y": y}, {"x": mask}).take(torch.tensor([[0, 3, 3], [9, 1, 0]]))
    assert taken.values["x"].shape == (2, 1, 3, 2)
    assert torch.equal(taken.values["x"][1, 0], x[[9, 1, 0]])
    assert torch.equal(taken.values["y"][0, 0], y[[0, 3, 3]])
    assert torch.equal(taken.observed["x"][1, 0], mask[[9, 1, 0]])
    assert set(taken.observed) == {"x"}


# ---- streamed ----
@pytest.fixture(params=["memmap", "h5py"])
def file_of_numbers(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """A file of 120 rows of five numbers, some of them missing, opened without reading it."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(120, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(120, 5))).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    if request.param == "memmap":
        np.save(tmp_path / "x.npy", x)
        yield np.load(tmp_path / "x.npy", mmap_mode="r")
        return
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("x", data=x, chunks=(16, 5))
    with h5py.File(tmp_path / "x.h5", "r") as f:
        yield f["x"]


def test_streamed_rows_train_the_same_model_as_resident_ones(file_of_numbers: object, settings: MakeSettings) -> None:
    source = as_source(file_of_numbers)
    encoder = Encoder.fit(source)
    encoded = encoder.encode(source[0 : len(source)])
    assert encoded.observed is not None
    resident = ResidentRows(
        {"x": torch.as_tensor(encoded.values, dtype=torch.float32)}, {"x": torch.as_tensor(encoded.observed)}
    )
    streamed = StreamedRows("x", source, encoder, torch.device("cpu"))
    assert len(streamed) == len(resident) == 120

    def build(g: torch.Generator) -> LatentModel:
        return vae(Normal(5), 2, MLP([10], (16,), 4, g), MLP([2], (16,), 5, g), with_mask=True)

    one = train(build, elbo, resident, settings(max_epochs=8), [1, 2])
    other = train(build, elbo, streamed, settings(max_epochs=8), [1, 2])
    for name in one.history:
        assert np.array_equal(one.history[name], other.history[name], equal_nan=True)


def test_streamed_rows_read_each_row_once_and_in_order() -> None:
    class Source:
        shape, dtype = (50, 3), np.dtype(float)
        data = np.random.default_rng(0).normal(size=(50, 3))

        def __init__(self) -> None:
            self.asked: list[np.ndarray] = []

        def __len__(self) -> int:
            return 50

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            self.asked.append(rows)
            return self.data[rows]

    source = Source()
    encoder = Encoder.fit(Source.data)
    taken = StreamedRows("x", source, encoder, torch.device("cpu")).take(torch.tensor([[7, 7, 2], [40, 2, 0]]))
    assert [a.tolist() for a in source.asked] == [[0, 2, 7, 40]]
    expected = encoder.encode(Source.data).values
    np.testing.assert_allclose(taken.values["x"][1, 0].numpy(), expected[[40, 2, 0]], rtol=1e-6)
    np.testing.assert_allclose(taken.values["x"][0, 0].numpy(), expected[[7, 7, 2]], rtol=1e-6)
    assert not taken.observed
