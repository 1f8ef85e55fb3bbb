"""Whatever a checkpoint holds, training goes on from a state that makes sense or is refused in words."""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mutations
import numpy as np
import pytest
import torch

from underlie.distributions import Normal
from underlie.engine import Checkpoint, CheckpointError, Launch, ResidentRows, Settings
from underlie.engine.captured import captured
from underlie.engine.run import Run
from underlie.graph import LatentModel, elbo
from underlie.models.vae import vae
from underlie.nn import MLP

N_FILES = 600
_EPOCHS = 2


def _build(generator: torch.Generator) -> LatentModel:
    return vae(Normal(3), 1, MLP([3], (4,), 2, generator), MLP([1], (4,), 3, generator), with_mask=False)


def _run(path: Path, seeds: tuple[int, ...] = (0, 1)) -> Run:
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    settings = Settings(_EPOCHS, 16, 1e-3, patience=100, verbose=False, launch=Launch(Checkpoint(path, every=math.inf)))
    return Run(_build, elbo, ResidentRows({"x": x}), settings, seeds)


def _outcome(run: Run) -> str:
    """What comes of going on from the file; anything but an end or a refusal is raised."""
    try:
        run.begin()
    except CheckpointError:
        return "refused"
    for _ in range(_EPOCHS + 1):
        if run.finished():
            break
        run.advance()
    assert run.finished()
    result = run.result(interrupted=False)
    assert {len(v) for v in result.history["valid"]} <= {_EPOCHS, _EPOCHS + 1}  # a state may say that all have stopped
    return "went on"


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[list[bytes]]:
    """States after one epoch, of two trainings."""
    found = []
    for i, seeds in enumerate([(0, 1), (2,)]):
        run = _run(tmp_path / str(i), seeds)
        run.begin()
        run.advance()
        assert run.launch.checkpoint is not None
        run.launch.checkpoint.write(*captured(run))
        found.append((tmp_path / str(i)).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield found


def test_an_undamaged_state_is_gone_on_from(blobs: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(blobs[0])
    assert _outcome(_run(path)) == "went on"


def test_a_damaged_state_is_gone_on_from_or_refused(blobs: list[bytes], tmp_path: Path) -> None:
    rng, outcomes, path = np.random.default_rng(0), Counter[str](), tmp_path / "damaged"
    ways = (mutations.damaged, mutations.rewritten, mutations.reshaped)
    for way in itertools.islice(itertools.cycle(ways), N_FILES):
        blob = way(blobs[0], blobs[1], rng)
        path.write_bytes(blob)
        path.with_name("damaged.previous").unlink(missing_ok=True)
        outcomes[f"{way.__name__}, {_outcome(_run(path))}"] += 1
    # The search reaches what it is to find: files that pass the checksum, of which some fit and some do not.
    for way in ("rewritten", "reshaped"):
        assert min(outcomes[f"{way}, went on"], outcomes[f"{way}, refused"]) > 15, outcomes
