"""One small fitted model, or a few, of every class that can be saved, with the networks that loading them needs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from survival_cases import small, trial

import underlie as ul

_QUICK: dict[str, Any] = {"max_epochs": 1, "random_state": 0, "verbose": False}


def own_network() -> torch.nn.Module:
    """A user's encoder of three columns."""
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())


#: What `underlie.load` must be given beside the path, by name of the model.
NETWORKS: dict[str, Callable[[], dict[str, torch.nn.Module]]] = {"vae-own": lambda: {"encoder": own_network()}}


def save_all(folder: Path, only: str | None = None) -> dict[str, Path]:
    """Fit every model, or only one, and save it; the files by name of the model."""
    paths = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _MAKERS if only is None else [only]:
            paths[name] = folder / name
            _MAKERS[name]().save(paths[name])
    return paths


def table(n: int = 40) -> pd.DataFrame:
    """One column of most kinds, with missing cells."""
    rng = np.random.default_rng(0)
    columns = {
        "age": rng.normal(50, 10, n),
        "stage": pd.Categorical(rng.choice(["I", "II", "III"], n)),
        "grade": pd.Categorical(rng.choice(["low", "high"], n), ordered=True),
        "nodes": rng.poisson(3, n).astype(float),
        "size": np.exp(rng.normal(3, 1.5, n)),
    }
    frame = pd.DataFrame(columns)
    frame.iloc[1, 0] = np.nan
    frame.iloc[2, 1] = None
    return frame


def _images(n: int = 30) -> np.ndarray:
    return np.random.default_rng(0).random((n, 12, 12)).astype(np.float32)


def _labels(n: int = 40) -> np.ndarray:
    return np.array(["a", "b", "c"])[np.arange(n) % 3]


def _two_labels() -> pd.DataFrame:
    return pd.DataFrame({"kind": _labels(), "dose": np.arange(40) / 7.0})


def _survival(treatments: Any, **options: Any) -> Any:
    X, y = trial(40)
    return small(treatments, max_epochs=1, **options).fit(X if treatments else X.drop(columns="arm"), y)


_MAKERS: dict[str, Callable[[], Any]] = {
    "ppca": lambda: ul.ProbabilisticPCA(2, standardize=True, random_state=3).fit(table()),
    "ppca-ard": lambda: ul.ProbabilisticPCA(None, prior="ard", random_state=0).fit(table().to_numpy()[:, [0, 3, 4]]),
    "ppca-classifier": lambda: ul.PPCAClassifier(1, random_state=0).fit(table(), _labels()),
    "classifier": lambda: ul.NeuralClassifier(hidden=(4,), n_replicates=2, **_QUICK).fit(
        table(), _labels(), extra=table()[["age", "stage"]]
    ),
    "classifier-lenet": lambda: ul.NeuralClassifier(network="lenet5", **_QUICK).fit(_images(), np.arange(30) % 2),
    "vae": lambda: ul.VAE(2, hidden=(4,), n_replicates=2, **_QUICK).fit(table()),
    "vae-conv": lambda: ul.VAE(2, encoder="conv", decoder="conv", **_QUICK).fit(_images()),
    "vae-own": lambda: ul.VAE(2, hidden=(4,), encoder=own_network(), **_QUICK).fit(
        np.random.default_rng(0).normal(size=(40, 3))
    ),
    "m2": lambda: ul.SemiSupervisedVAE(2, hidden=(4,), **_QUICK).fit(table(), _labels()),
    "sdgm": lambda: ul.SemiSupervisedVAE(2, hidden=(4,), auxiliary=True, **_QUICK).fit(table(), _two_labels()),
    "survival": lambda: _survival("arm", n_replicates=1),
    "survival-pieces": lambda: _survival(None, distribution="piecewise_exponential", n_replicates=1),
}
