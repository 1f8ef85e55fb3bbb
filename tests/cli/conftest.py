"""A small messy table, and a model fitted to it once."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

# Before matplotlib is imported by anything: the tests run where there is no display.
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def run():
    """Type a command: ``run("fit", table, "--out", folder)`` gives click's result."""
    from underlie.cli import app

    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words], env={"NO_COLOR": "1", "COLUMNS": "200"})


def make_patients(n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    age = rng.normal(60, 10, n)
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "age": age.round(1),
            "dose": np.exp(rng.normal(0, 1, n) + age / 50).round(3),
            "nodes": rng.poisson(3, n).astype(float),
            "stage": rng.choice(["I", "II", "III"], n),
        }
    )


@pytest.fixture(scope="session")
def patients(tmp_path_factory):
    """Path of a CSV with an identifier, mixed columns and missing cells."""
    frame = make_patients()
    holes = np.random.default_rng(4).random(frame.shape) < 0.1
    holes[:, 0] = False
    file = tmp_path_factory.mktemp("tables") / "patients.csv"
    frame.mask(holes).to_csv(file, index=False)
    return file


@pytest.fixture(scope="session", params=["ppca", "vae"])
def fitted(request, run, patients, tmp_path_factory):
    """Folder that ``underlie fit`` wrote, one per family."""
    out = tmp_path_factory.mktemp(request.param) / "fit"
    done = run("fit", patients, "--drop", "id", "--model", request.param, "--max-epochs", 5, "--out", out)
    assert done.exit_code == 0, done.output
    return out
