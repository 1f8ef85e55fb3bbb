"""Small models to train, and the settings to train them by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from underlie.distributions import Normal
from underlie.engine import ResidentRows, Settings, recording
from underlie.graph import LatentModel
from underlie.models.vae import vae
from underlie.nn import MLP

sys.path.insert(0, str(Path(__file__).parent))  # for what tests share with the processes that they start

Build = Callable[[torch.Generator], LatentModel]


@pytest.fixture
def build() -> Build:
    """A 5-16-2-16-5 variational autoencoder of one replicate."""

    def one(generator: torch.Generator) -> LatentModel:
        return vae(Normal(5), 2, MLP([5], (16,), 4, generator), MLP([2], (16,), 5, generator), with_mask=False)

    return one


@pytest.fixture
def rows() -> ResidentRows:
    """90 rows near a curve in five dimensions."""
    g = torch.Generator().manual_seed(100)
    t = torch.randn(90, 2, generator=g)
    x = torch.tanh(t @ torch.randn(2, 5, generator=g)) + 0.2 * torch.randn(90, 5, generator=g)
    return ResidentRows({"x": x})


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """Settings of a short training, some of them changed."""

    def changed(**changes: Any) -> Settings:
        usual: dict[str, Any] = {
            "max_epochs": 30,
            "batch_size": 32,
            "learning_rate": 5e-3,
            "patience": 1000,
            "verbose": False,
        }
        return Settings(**{**usual, **changes})

    return changed


@pytest.fixture
def unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step calls the objective, as tests need whose objectives count their calls (which no true one may)."""
    monkeypatch.setattr(recording, "STEPS_WORTH_RECORDING", 10**9)
