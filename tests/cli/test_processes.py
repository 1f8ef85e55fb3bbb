"""``torchrun -m underlie fit``: several processes fit one model, and the first writes it; other commands refuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import underlie as ul


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(120, 4))
    path = tmp_path / "t.csv"
    pd.DataFrame(rows, columns=list("abcd")).to_csv(path, index=False)
    return path


def together(folder: Path, *words: str) -> list[subprocess.CompletedProcess[str]]:
    """Two processes of one command, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "underlie", *words]
    started = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**common, "RANK": str(r), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    ended = [process.communicate(timeout=200) for process in started]
    return [
        subprocess.CompletedProcess(command, process.returncode, *said)
        for process, said in zip(started, ended, strict=True)
    ]


def test_fit_is_shared_and_written_once(table, tmp_path):
    words = ("fit", "t.csv", "--out", "o", "--max-epochs", "6", "--n-latent", "2", "--checkpoint", "state")
    first, second = together(tmp_path, *words)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "model   " in first.stdout
    assert second.stdout == ""
    assert (tmp_path / "state").exists()
    found = ul.load(tmp_path / "o" / "model.safetensors")
    alone = ul.VAE(2, max_epochs=6, random_state=0, verbose=False).fit(pd.read_csv(table))
    np.testing.assert_allclose(found.history_["valid"], alone.history_["valid"], rtol=1e-4)


def test_other_commands_refuse(run, table, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    done = run("schema", str(table))
    assert done.exit_code == 2
    assert "start schema without torchrun" in " ".join(done.stderr.split())


@pytest.mark.parametrize("option", [("--checkpoint", "f"), ("--replicates", "3")])
def test_what_is_for_training_is_not_for_ppca(run, table, tmp_path, option):
    done = run("fit", str(table), "--model", "ppca", "--out", str(tmp_path / "o"), *option)
    assert done.exit_code == 2
    assert "ppca is computed, not trained" in " ".join(done.stderr.split())
