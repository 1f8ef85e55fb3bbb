"""How long survival models take to fit and to predict, and how well they then predict.

Three sets of the clinical data of `benchmarks/survival.py`, each split several times into 80 % training and 20 % test
rows; the models take turns on every split. Predicted are 100 even times from the 5 % to the 95 % quantile of training
event times, over which the Brier score is integrated with weights from the training rows.

    UNDERLIE_DATA=folder python benchmarks/survival_speed.py [--rounds 3] [--sets gbsg2 metabric rotterdam]

One thread, processor time. scikit-survival and pycox take part where they are installed:
``pip install 'underlie[peers,benchmarks]'``.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import measured
import numpy as np
import torch
from peers import DeepSurv, Forest
from survival import SETS, TEST_SHARE

import underlie as ul
from underlie.check.survival import CoxRegression
from underlie.check.survival.splits import random_splits

N_TIMES = 100
OURS = "underlie SurvivalVAE"
#: Name -> a model for a seed, and the package that it needs.
MODELS: dict[str, tuple[Callable[[int], Any], str]] = {
    OURS: (lambda seed: ul.SurvivalVAE(random_state=seed, verbose=False), "torch"),
    "underlie SurvivalVAE, one network": (
        lambda seed: ul.SurvivalVAE(n_replicates=1, random_state=seed, verbose=False),
        "torch",
    ),
    "lifelines Cox": (lambda seed: CoxRegression(), "lifelines"),
    "scikit-survival random forest": (Forest, "scikit-survival"),
    "pycox DeepSurv": (DeepSurv, "pycox"),
}
PACKAGES = ("lifelines", "scikit-survival", "pycox")
NOTE = (
    "Processor time of a fit, relative to SurvivalVAE's default (an ensemble of eight networks) on the same split; "
    "then that of predicting the test rows, and the two together; brier: integrated Brier score, mean over splits, "
    "smaller is better."
)


def one(model: Any, X: Any, y: Any, train: np.ndarray, test: np.ndarray) -> tuple[float, float, float]:
    """Processor seconds to fit and to predict, and the integrated Brier score."""
    events = y["time"][train][y["event"][train]]
    times = np.linspace(*np.quantile(events, [0.05, 0.95]), N_TIMES)
    begun = time.process_time()
    model.fit(X.iloc[train], y[train])
    fitted = time.process_time()
    survival = model.predict_survival_function(X.iloc[test], times)
    predicted = time.process_time()
    scores = ul.survival_metrics(survival, times, y[test], y[train], n_bootstrap=0)
    return fitted - begun, predicted - fitted, float(scores.integrated_brier)


def table(name: str, rounds: int) -> dict[str, Any]:
    """All models on one set."""
    data = ul.datasets.fetch_table(f"survival/{name}")
    X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    splits, _ = random_splits(y["event"], rounds, TEST_SHARE, 0)
    there = measured.versions(["torch", *PACKAGES])
    models = {model: make for model, (make, package) in MODELS.items() if package in there}
    found: dict[str, list[tuple[float, float, float]]] = {model: [] for model in models}
    for make in models.values():  # a first turn, which warms up, is not counted
        one(make(0), X, y, splits[0].train, splits[0].test)
    for seed, split in enumerate(splits):
        for model, make in models.items():
            found[model].append(one(make(seed), X, y, split.train, split.test))
    fit = measured.ratios({model: [f for f, _, _ in each] for model, each in found.items()}, OURS)
    both = measured.ratios({model: [f + p for f, p, _ in each] for model, each in found.items()}, OURS)
    predict = measured.ratios({model: [p for _, p, _ in each] for model, each in found.items()}, OURS)
    rows = [
        measured.row(
            model,
            fit[model],
            predict=predict[model]["ratio"],
            both=both[model]["ratio"],
            brier=statistics.mean(brier for _, _, brier in found[model]),
        )
        for model in models
    ]
    title = f"{name}: {len(y):,} rows, {X.shape[1]} columns, {int(y['event'].sum()):,} events"
    return {"title": title, "note": NOTE + measured.absent(PACKAGES), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["gbsg2", "metabric", "rotterdam"], metavar="SET")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tables = [table(name, arguments.rounds) for name in arguments.sets]
    measured.keep("survival_speed", tables, PACKAGES)


if __name__ == "__main__":
    main()
