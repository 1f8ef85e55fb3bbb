"""The estimators that the general tests run on. A new estimator joins by one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import underlie as ul


@dataclass(frozen=True)
class Factory:
    """One estimator, small enough for tests.

    Parameters
    ----------
    name : str
    make : callable that gives a new unfitted estimator
    supervised : bool
        Whether ``fit`` needs labels.
    """

    name: str
    make: Callable[[], Any]
    supervised: bool = False

    def __str__(self) -> str:
        return self.name


FACTORIES = [
    Factory("ppca", lambda: ul.ProbabilisticPCA(n_components=2, random_state=0)),
    Factory("ppca-standardized", lambda: ul.ProbabilisticPCA(n_components=1, standardize=True, random_state=0)),
    Factory("ppca-bic", lambda: ul.ProbabilisticPCA(n_components="bic", standardize=True, random_state=0)),
    Factory("ppca-ard", lambda: ul.ProbabilisticPCA(n_components=None, prior="ard", random_state=0)),
    Factory("ppca-em", lambda: ul.ProbabilisticPCA(n_components=1, solver="em", random_state=0)),
    Factory("vae", lambda: ul.VAE(n_latent=2, hidden=(8,), max_epochs=2, verbose=False, random_state=0)),
    Factory("classifier", lambda: ul.PPCAClassifier(n_components=1, random_state=0), supervised=True),
]
