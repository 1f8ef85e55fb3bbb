"""How long a report takes, facts and page apart: ``OMP_NUM_THREADS=1 python benchmarks/report_speed.py``.

Processor time of one process, so that other programs beside it count little. docs/report.md has the figures.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")

import matplotlib.pyplot  # noqa: F401  # loaded before the clock runs

import underlie as ul
from underlie.report import Report


def clock(name: str, make: Callable[[], Report]) -> None:
    """Seconds of the processor for the facts, then for the page with its figures."""
    begun = time.process_time()
    report = make()
    facts = time.process_time() - begun
    begun = time.process_time()
    report.to_html()
    print(f"{name:<60}{facts:6.1f} s facts {time.process_time() - begun:6.1f} s page", flush=True)


def correlated(n: int, width: int) -> np.ndarray[Any, Any]:
    """Rows with five directions of variation and noise."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)) @ rng.normal(size=(5, width)) + rng.normal(size=(n, width))


def main() -> None:
    """All cases; models are hardly trained, which does not change what a report of them costs."""
    warnings.simplefilter("ignore")
    X = correlated(100_000, 20)
    linear = ul.ProbabilisticPCA(5).fit(X[:1000])
    clock("ProbabilisticPCA, 5,000 of 100,000 rows, 20 columns", lambda: Report(linear, X, held_out=True))
    network = ul.VAE(5, max_epochs=3, random_state=0, verbose=False).fit(X[:5000])
    clock("VAE, 5,000 of 100,000 rows, 20 columns", lambda: Report(network, X, held_out=True))
    data = ul.datasets.load_gbsg2()
    table, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    mixed = ul.VAE(max_epochs=3, random_state=0, verbose=False).fit(table)
    clock("VAE, 686 patients, 8 columns", lambda: Report(mixed, table))
    survival = ul.SurvivalVAE("horTh", random_state=0, verbose=False).fit(table, y)
    clock("SurvivalVAE, 686 patients, two treatments", lambda: Report(survival, table, y))
    many, outcomes = pd.concat([table] * 8, ignore_index=True), np.concatenate([y] * 8)
    clock("SurvivalVAE, 5,000 of 5,488 rows", lambda: Report(survival, many, outcomes, held_out=True))
    images = np.random.default_rng(0).random((5000, 28, 28)).astype(np.float32)
    wide = ul.VAE(10, hidden=(256,), max_epochs=2, random_state=0, verbose=False).fit(images[:1000])
    for n in (1000, 5000):
        clock(f"VAE, {n:,} images of 28 x 28", lambda n=n: Report(wide, images, max_rows=n, held_out=True))


if __name__ == "__main__":
    main()
