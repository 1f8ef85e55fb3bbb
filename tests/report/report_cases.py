"""Every estimator fitted, small and fast, to rows that it can be reported on; an estimator joins by one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import underlie as ul


@dataclass(frozen=True)
class Case:
    """A fitted model, the rows that a report is made of, and what belongs to the report."""

    model: Any
    X: Any
    y: Any = None


def patients(n: int = 160, seed: int = 0) -> pd.DataFrame:
    """Columns of several kinds with names that markup would trip over, and missing cells."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    table = pd.DataFrame({"age_|50%": 60 + 8 * z + rng.normal(size=n), "b<i>&": z + rng.normal(size=n)})
    table["count"] = rng.poisson(np.exp(0.5 * z + 1))
    table["arm"] = rng.choice(["new", "old"], n)
    table.loc[rng.choice(n, n // 10, replace=False), "b<i>&"] = np.nan
    return table


def outcome(table: pd.DataFrame, seed: int = 0) -> Any:
    """Censored times that depend on the first column."""
    rng = np.random.default_rng(seed)
    time = rng.exponential(np.exp(1 - 0.1 * (table["age_|50%"].to_numpy() - 60)))
    end = rng.uniform(1, 12, len(table))
    return ul.Surv(np.minimum(time, end) + 0.01, time <= end)


def images(n: int = 120) -> tuple[Any, Any]:
    """Some digits and their labels."""
    digits = ul.datasets.load_digits()
    return digits.data[:n], digits.target[:n]


def _ppca() -> Case:
    return Case(ul.ProbabilisticPCA(2, standardize=True).fit(patients()), patients(80, seed=1))


def _ppca_classifier() -> Case:
    train, test = patients(), patients(80, seed=1)
    label = train["b<i>&"].fillna(0) > 0
    model = ul.PPCAClassifier(1).fit(train.drop(columns="b<i>&"), np.where(label, "a_b", "c&d"))
    return Case(model, test.drop(columns="b<i>&"), np.where(test["b<i>&"].fillna(0) > 0, "a_b", "c&d"))


def _vae() -> Case:
    model = ul.VAE(2, hidden=(8,), n_replicates=2, max_epochs=3, random_state=0, verbose=False)
    return Case(model.fit(patients()), patients(60, seed=1))


def _vae_of_images() -> Case:
    return Case(ul.VAE(2, hidden=(8,), max_epochs=2, random_state=0, verbose=False).fit(images()[0]), images()[0][:50])


def _semi_supervised() -> Case:
    X, y = images()
    model = ul.SemiSupervisedVAE(3, hidden=(8,), max_epochs=2, random_state=0, verbose=False)
    return Case(model.fit(X, np.where(np.arange(len(y)) < 80, y, -1)), X, y)


def _neural_classifier() -> Case:
    X, y = images()
    return Case(ul.NeuralClassifier("mlp", max_epochs=2, random_state=0, verbose=False).fit(X, y), X, y)


def _survival() -> Case:
    table, new = patients(), patients(90, seed=1)
    model = ul.SurvivalVAE("arm", n_replicates=2, max_epochs=2, heterogeneity=0.0, random_state=0, verbose=False)
    return Case(model.fit(table, outcome(table)), new, outcome(new, seed=1))


#: by the name of the class in the file format; one more for images
CASES: dict[str, Callable[[], Case]] = {
    "ProbabilisticPCA": _ppca,
    "PPCAClassifier": _ppca_classifier,
    "NeuralClassifier": _neural_classifier,
    "VAE": _vae,
    "VAE of images": _vae_of_images,
    "SemiSupervisedVAE": _semi_supervised,
    "SurvivalVAE": _survival,
}


@cache
def case(name: str) -> Case:
    """A case, fitted once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CASES[name]()


@cache
def report(name: str) -> Any:
    """The report on a case, made once; a test that changes anything makes its own."""
    one = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ul.Report(one.model, one.X, one.y, n_draws=32, n_simulations=39)
