"""Several processes end with the model of one; one that is killed is said, and the run goes on from its checkpoint."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks_child import build, results, rows

from underlie.engine import Launch, Ranks, Settings, train
from underlie.engine import run as run_module
from underlie.graph import elbo
from underlie.nn import tensors

CHILD = Path(__file__).with_name("ranks_child.py")

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def started(n: int, *arguments: str) -> list[subprocess.Popen[str]]:
    """So many processes on this machine, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, str(CHILD), *arguments],
            env={**os.environ, **address, "RANK": str(r)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(n)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each said."""
    return [process.communicate(timeout=120)[1] for process in processes]


@pytest.mark.parametrize("n", [2, 4])
def test_several_processes_end_with_the_model_of_one(n: int, tmp_path: Path) -> None:
    processes = started(n, str(tmp_path / "out"), "-", "0")
    alone = results(Launch())
    assert all(said == "" for said in ended(processes)), processes
    found = [dict(np.load(tmp_path / f"out.{r}.npz")) for r in range(n)]
    for name, expected in alone.items():
        for other in found[1:]:
            np.testing.assert_array_equal(other[name], found[0][name], err_msg=name)
        if name.startswith("several") and n <= 5:  # replicates were shared out, and each is trained by one process
            np.testing.assert_array_equal(found[0][name], expected, err_msg=name)
        else:
            np.testing.assert_allclose(found[0][name], expected, rtol=2e-4, atol=2e-5, err_msg=name)
    assert alone["one.best_epoch"] > 0  # so that learning was compared


def test_a_killed_process_is_said_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_BLOCK", 1)
    file = str(tmp_path / "run.checkpoint")
    processes = started(2, str(tmp_path / "killed"), file, "10")
    said = ended(processes)
    assert processes[1].returncode == -signal.SIGKILL
    assert processes[0].returncode == 1
    assert "LostProcessError: another process of this training ended" in said[0]
    assert not list(tmp_path.glob("killed.*"))

    processes = started(2, str(tmp_path / "out"), file, "16")  # 24 steps in all; 16 would not do from the beginning
    assert ended(processes) == ["", ""]
    found = np.load(tmp_path / "out.0.npz")
    alone = train(build, elbo, rows(91, 1), Settings(8, 32, 5e-3, 5, verbose=False), [5])
    for name, tensor, _ in tensors(alone.model):
        np.testing.assert_allclose(found[name], tensor.detach().numpy(), rtol=2e-4, atol=2e-5, err_msg=name)
    np.testing.assert_allclose(found["valid"], alone.history["valid"], rtol=1e-5)


def test_every_row_is_worked_on_by_one_process() -> None:
    for n in (1, 5, 7, 8, 31, 32):
        several = [Ranks(r, 4) for r in range(4)]
        seen = [i for ranks in several for i in torch.arange(n)[ranks.own(n)].tolist()]
        assert len(seen) == several[0].counted(n)
        assert len(seen) == (n if n >= 8 else 4 * n)  # too few to share: all of them in every process
        assert set(seen) == set(range(n))


def test_without_torchrun_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="torchrun --nproc-per-node"):
        Ranks.of("ddp", torch.device("cpu"))
    with pytest.raises(ValueError, match="choose None or 'ddp'"):
        Ranks.of("fsdp", torch.device("cpu"))
    assert Ranks.of(None, torch.device("cpu")) == Ranks()
