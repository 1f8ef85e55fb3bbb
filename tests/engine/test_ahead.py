"""Reading ahead and windows: the same numbers as without, errors where they belong, no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from underlie.engine import Group, ResidentRows, Settings, train
from underlie.engine import rows as rows_module
from underlie.engine.ahead import read_ahead
from underlie.engine.groups import Deal
from underlie.engine.windows import Windows
from underlie.graph import Batch, LatentModel, elbo

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]


class Slow:
    """Rows that pretend to come from a file; may fail at some read."""

    streamed = True

    def __init__(self, rows: ResidentRows, fails_at: int = -1, error: type[BaseException] = OSError) -> None:
        self.rows, self.fails_at, self.error = rows, fails_at, error
        self.threads: list[str] = []

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Batch:
        self.threads.append(threading.current_thread().name)
        if len(self.threads) == self.fails_at:
            raise self.error("the disk is gone")
        return self.rows.take(index)


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("underlie-read-ahead")]


# ---- reading ahead ----
def test_reading_ahead_changes_no_bit(
    build: Build, rows: ResidentRows, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underlie.engine.run._BLOCK", 200)  # a batch or two at a time
    slow = Slow(rows)
    here = train(build, elbo, rows, settings(max_epochs=5), [1, 2])
    ahead = train(build, elbo, slow, settings(max_epochs=5), [1, 2])
    for name in here.history:
        np.testing.assert_array_equal(here.history[name], ahead.history[name])
    for a, b in zip(here.model.parameters(), ahead.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(name.startswith("underlie-read-ahead") for name in slow.threads)
    assert not readers()


def test_the_next_rows_are_read_while_the_caller_works(rows: ResidentRows) -> None:
    slow = Slow(rows)
    with read_ahead(slow, (torch.tensor([[i]]) for i in range(5))) as taken:
        for i, batch in enumerate(taken):
            assert float(batch.values["x"][0, 0, 0, 0]) == float(rows.values["x"][i, 0])
            deadline = time.monotonic() + 10
            while len(slow.threads) < min(i + 2, 5) and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(slow.threads) == min(i + 2, 5)  # one ahead, and no more
    assert not readers()


def test_nothing_to_read_and_rows_in_memory_need_no_thread(rows: ResidentRows) -> None:
    with read_ahead(Slow(rows), iter(())) as taken:
        assert list(taken) == []
    with read_ahead(rows, [torch.tensor([[0]])]) as taken:
        assert not readers()
        assert len(list(taken)) == 1


@pytest.mark.parametrize("fails_at", [3, 4, 9])
def test_an_error_of_the_reader_is_that_of_training(
    build: Build, rows: ResidentRows, settings: MakeSettings, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underlie.engine.run._BLOCK", 200)
    with pytest.raises(OSError, match="the disk is gone"):
        train(build, elbo, Slow(rows, fails_at), settings(max_epochs=5), [1])
    assert not readers()


def test_an_error_of_the_body_ends_the_reader(rows: ResidentRows) -> None:
    slow = Slow(rows)

    def body() -> None:
        with read_ahead(slow, (torch.tensor([[i]]) for i in range(90))) as taken:
            next(taken)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    assert not readers()
    assert len(slow.threads) <= 3  # what was queued has been given up


@pytest.mark.usefixtures("unrecorded")
def test_interrupted_training_keeps_what_it_has_and_ends_the_reader(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    calls = 0

    def impatient(model: LatentModel, batch: Batch, noise: dict[str, Tensor]) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return elbo(model, batch, noise)

    trained = train(build, impatient, Slow(rows), settings(max_epochs=50), [1])
    assert trained.interrupted
    assert not readers()


# ---- windows ----
STARTS = np.array([0, 7, 20, 21, 50, 64, 90])


def chunk_of(rows: np.ndarray) -> np.ndarray:
    return np.searchsorted(STARTS, rows, side="right") - 1


@pytest.mark.parametrize("window_rows", [1, 10, 30, 45, 1000])
def test_windows_deal_every_row_once_and_read_every_chunk_once(
    window_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underlie.engine.windows.WINDOW_BYTES", 8 * window_rows)
    windows = Windows(STARTS, 8)
    rows = torch.arange(90)[torch.arange(90) % 10 != 3]
    g = torch.Generator().manual_seed(0)
    first, second = windows.order(rows, g), windows.order(rows, g)
    assert sorted(first.tolist()) == rows.tolist()
    assert not torch.equal(first, second)
    assert torch.equal(first, windows.order(rows, torch.Generator().manual_seed(0)))
    # Whatever is read between two rows of a chunk is at most a window long, or the chunk itself.
    chunks = chunk_of(first.numpy())
    for chunk in np.unique(chunks):
        at = np.flatnonzero(chunks == chunk)
        assert at[-1] - at[0] < max(window_rows, len(at))


def test_within_a_window_every_order_is_as_likely() -> None:
    # Chunks of two rows in one window: 4! orders of 24 x 200 deals; chi-square on 23 degrees of freedom above 52.6 has
    # probability 4e-4. The generator is seeded.
    windows = Windows(np.array([0, 2, 4]), 8)
    g = torch.Generator().manual_seed(0)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(24 * 200):
        order = tuple(windows.order(torch.arange(4), g).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 24
    assert sum((count - 200) ** 2 / 200 for count in seen.values()) < 52.6


def test_a_replicate_is_dealt_the_same_windows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from underlie.data import Encoder
    from underlie.engine import StreamedRows

    monkeypatch.setattr(rows_module, "WINDOW_BYTES", 1)
    monkeypatch.setattr("underlie.engine.windows.WINDOW_BYTES", 8 * 3 * 30)

    class Source:
        data = np.random.default_rng(0).normal(size=(90, 3))
        shape, dtype, starts = data.shape, data.dtype, STARTS

        def __len__(self) -> int:
            return 90

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            return self.data[rows]

    streamed = StreamedRows("x", Source(), Encoder.fit(Source.data), torch.device("cpu"))
    assert streamed.windows is not None

    def deal(*seeds: int) -> Deal:
        return Deal(Group(streamed, 8), 0.2, [torch.Generator().manual_seed(s) for s in seeds])

    both, alone = deal(1, 2), deal(2)
    assert torch.equal(both.valid_rows[1], alone.valid_rows[0])
    for a, b in zip(both.batches(both.n_batches), alone.batches(alone.n_batches), strict=True):
        assert torch.equal(a[1], b[0])
    held, direct = alone.held_out(slice(2, 7)), streamed.take(alone.valid_rows[:, 2:7])
    assert torch.equal(held.values["x"], direct.values["x"])
    every = torch.cat([alone.train_rows, alone.valid_rows], 1)
    assert sorted(every[0].tolist()) == list(range(90))
