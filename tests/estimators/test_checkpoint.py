"""``fit(..., checkpoint=file)``: every estimator that is learned by gradients goes on where it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import underlie as ul
from underlie.engine import Checkpoint, CheckpointError
from underlie.engine import run as run_module
from underlie.engine.run import Run

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4)) @ RNG.normal(size=(4, 4))
CLASS = (X[:, 0] > 0).astype(int)
FEW = np.where(np.arange(150) < 40, CLASS, -1)
TIME = ul.Surv(RNG.exponential(np.exp(0.3 * X[:, 0])), RNG.random(150) < 0.7)
SHORT: dict[str, Any] = {"max_epochs": 4, "batch_size": 32, "verbose": False, "n_replicates": 2}

Fit = Callable[..., Any]
FITS: dict[str, Fit] = {
    "VAE": lambda seed, **how: ul.VAE(**SHORT, random_state=seed).fit(X, **how),
    "VAE with mega": lambda seed, **how: ul.VAE(**SHORT, mega=1.0, random_state=seed).fit(X, **how),
    "SemiSupervisedVAE": lambda seed, **how: ul.SemiSupervisedVAE(**SHORT, random_state=seed).fit(X, FEW, **how),
    "NeuralClassifier": lambda seed, **how: ul.NeuralClassifier(**SHORT, random_state=seed).fit(X, CLASS, **how),
    "SurvivalVAE": lambda seed, **how: ul.SurvivalVAE(**SHORT, random_state=seed).fit(X, TIME, **how),
}


class Killed(BaseException):
    """Stands for the end of the process."""


def numbers(model: Any) -> dict[str, Any]:
    """Everything that was learned."""
    state, arrays = model._state()
    return {k: v for k, v in state.items() if k != "fit_time_"} | {
        k: torch.as_tensor(v).detach().numpy() for k, v in arrays.items()
    }


def assert_same(a: Any, b: Any) -> None:
    first, second = numbers(a), numbers(b)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_equal(second[name], value, err_msg=name)


@pytest.mark.parametrize("name", FITS)
def test_every_estimator_goes_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_BLOCK", 1)
    file = Checkpoint(tmp_path / "run.checkpoint", every=0.0)
    whole = FITS[name](7)
    learn, n_steps = Run._learn, 0

    def fatal(self: Run, step: Any) -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 9:
            raise Killed
        learn(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_learn", fatal)
        with pytest.raises(Killed):
            FITS[name](7, checkpoint=file)
    before = file.file.read_bytes()
    assert_same(FITS[name](7, checkpoint=file), whole)
    assert file.file.read_bytes() != before
    with pytest.raises(CheckpointError, match="seeds differ"):
        FITS[name](8, checkpoint=file)


def test_without_a_seed_the_checkpoints_serves(tmp_path: Path) -> None:
    first = FITS["VAE"](None, checkpoint=tmp_path / "run.checkpoint")
    assert_same(FITS["VAE"](None, checkpoint=str(tmp_path / "run.checkpoint")), first)


def test_other_parameters_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.checkpoint"
    ul.VAE(**SHORT, random_state=0).fit(X, checkpoint=file)
    with pytest.raises(CheckpointError, match=r"beta is 1\.0, here it is 2\.0"):
        ul.VAE(**SHORT, beta=2.0, random_state=0).fit(X, checkpoint=file)
    with pytest.raises(CheckpointError, match="class is VAE, here it is NeuralClassifier"):
        ul.NeuralClassifier(**SHORT, random_state=0).fit(X, CLASS, checkpoint=file)
    with pytest.raises(CheckpointError, match="other rows"):
        ul.VAE(**SHORT, random_state=0).fit(X[::-1], checkpoint=file)
    again = ul.VAE(**{**SHORT, "verbose": True}, device="cpu", random_state=0).fit(X, checkpoint=file)
    assert again.history_["train"].shape == (2, 5)


CHILD = """
import sys
import numpy as np
import underlie as ul
from underlie.engine import run
run._BLOCK = 1
X = np.random.default_rng(0).normal(size=(400, 30))
model = ul.VAE(max_epochs=25, batch_size=20, random_state=3, verbose=False)
model.fit(X, checkpoint=ul.Checkpoint(sys.argv[1], every=0.02)).save(sys.argv[2])
"""


def test_killed_by_the_system_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL, as by an out-of-memory killer or a power cut, at moments that nobody chose."""
    monkeypatch.setattr(run_module, "_BLOCK", 1)
    file, out = tmp_path / "run.checkpoint", tmp_path / "model"

    def started() -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        return subprocess.Popen([sys.executable, "-c", CHILD, str(file), str(out)], env=environment)

    rng, killed = np.random.default_rng(1), 0
    for _ in range(2):
        written = file.stat().st_mtime_ns if file.exists() else 0
        child, deadline = started(), time.monotonic() + 100
        while time.monotonic() < deadline and (not file.exists() or file.stat().st_mtime_ns == written):
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed  # a child may have been faster than the signal, but not both
    assert started().wait() == 0
    whole = ul.VAE(max_epochs=25, batch_size=20, random_state=3, verbose=False)
    whole.fit(np.random.default_rng(0).normal(size=(400, 30)))
    found = ul.load(out)
    assert_same(found, whole)
