"""Single imputation of five standardised tables, half of the cells missing: mean squared error by probabilistic PCA.

    UNDERLIE_DATA=folder python benchmarks/ppca_imputation.py

The folder holds imputation/{banknote,breast,concrete,wine_red,yeast}.parquet. Protocol of Mattei and Frellsen (2019):
columns standardised on the complete data, cells missing completely at random with probability 1/2, error over the
missing cells, mean over five masks. Columns: the mean of the observed cells; rank chosen by BIC; Bayesian choice (ARD);
and the best rank, which no one can know.

Reference
---------
Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling and imputation of incomplete data sets. ICML.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from underlie.models.ppca import fit_ard, fit_em, select_rank

TABLES = ("banknote", "breast", "concrete", "wine_red", "yeast")
MASKS = 5


def holed(complete: np.ndarray, seed: int) -> np.ndarray:
    gone = np.random.default_rng(seed).random(complete.shape) < 0.5
    gone[gone.all(axis=1), 0] = False
    return np.where(gone, np.nan, complete)


def errors(complete: np.ndarray, seed: int) -> tuple[dict[str, float], int, int]:
    """Mean squared errors on one mask, with the ranks chosen by BIC and by ARD."""
    table = holed(complete, seed)
    gone = np.isnan(table)

    def error(filled: np.ndarray) -> float:
        return float(np.mean((filled[gone] - complete[gone]) ** 2))

    chosen, bayes = select_rank(table), fit_ard(table)
    each = [error(fit_em(table, int(rank), tol=1e-4).model.impute(table)) for rank in chosen.ranks[1:]]
    found = {
        "mean": error(np.where(gone, np.nanmean(table, axis=0), table)),
        "BIC": error(chosen.model.impute(table)),
        "ARD": error(bayes.model.impute(table)),
        "best rank": min(each),
    }
    return found, chosen.n_components, bayes.model.n_components


def main() -> None:
    folder = os.environ.get("UNDERLIE_DATA")
    if folder is None:
        sys.exit("Set UNDERLIE_DATA to the folder that holds imputation/*.parquet.")
    for name in TABLES:
        complete = pd.read_parquet(Path(folder) / "imputation" / f"{name}.parquet").to_numpy(dtype=float)
        complete = (complete - complete.mean(axis=0)) / complete.std(axis=0)
        start = time.process_time()
        results = [errors(complete, seed) for seed in range(MASKS)]
        seconds = (time.process_time() - start) / MASKS
        means = pd.DataFrame([found for found, _, _ in results]).mean()
        text = "   ".join(f"{label} {value:.4f}" for label, value in means.items())
        ranks = f"ranks BIC {[bic for _, bic, _ in results]} ARD {[ard for _, _, ard in results]}"
        print(f"{name:9s} {complete.shape[0]:5d} x {complete.shape[1]:2d}   {text}   {ranks}   {seconds:.1f} s a mask")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
