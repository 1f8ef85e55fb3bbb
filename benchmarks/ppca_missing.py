"""Probabilistic PCA with missing cells against other programs, and of complete data against scikit-learn.

Missing cells: tables of rank 10 plus noise with 20 % of the cells missing, and five real tables with half of them
missing (Mattei and Frellsen 2019: columns standardised on the complete data, cells missing completely at random).
Every program has its defaults and the same rank: 10, or on a real table that of the smallest BIC. The gap is the
distance of the mean observed-data log-likelihood per row to its maximum, from a fit to 1e-10. Complete data: the
closed form against scikit-learn's PCA with its default solver.

One thread, processor time, programs take turns.

    [UNDERLIE_DATA=folder] python benchmarks/ppca_missing.py [--rounds 3]

The real tables are imputation/{banknote,breast,concrete,wine_red,yeast}.parquet of that folder; without it they are
left out. ppca-py and rustypca take part where they are installed: ``pip install 'underlie[benchmarks]'``.

Reference
---------
Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling and imputation of incomplete data sets. ICML.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measured
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from ppca_imputation import TABLES, holed
from ppca_peers import iterative_imputer, plain_em, ppca_py, rustypca
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from underlie.models.ppca import LinearGaussian, fit_closed_form, fit_em, select_rank

Array = NDArray[np.float64]
N_ROWS, N_COLUMNS, RANK, MISSING = 5000, 100, 10, 0.2
#: Rows and columns of the part of the table that also a chain of regressions can fill in within seconds.
SMALL = 2000, 50
SHAPES = [
    (20_000, 100, 2),
    (20_000, 100, 10),
    (20_000, 100, 90),
    (500, 2000, 10),
    (500, 2000, 100),
    (1000, 1000, 10),
    (1000, 1000, 100),
    (1797, 64, 2),
]
PEERS = ("ppca-py", "rustypca")
GAUSSIANS: dict[str, Callable[[Array, int], LinearGaussian]] = {
    "underlie": lambda table, rank: fit_em(table, rank).model,
    "plain NumPy EM": plain_em,
    "ppca-py": ppca_py,
    "rustypca": rustypca,
}
#: What stops early by default, run for longer; only on the smaller tables.
LONGER: dict[str, Callable[[Array, int], LinearGaussian]] = {
    "rustypca, tol=1e-6": partial(rustypca, tol=1e-6, max_iterations=10_000)
}
CHAIN = "scikit-learn IterativeImputer"
NOTE = (
    "Processor time of a fit and of filling in the table, relative to underlie in the same round. gap: nats per row "
    "that the observed-data log-likelihood stays below its maximum. rmse: of the cells filled in. Tables of the EM "
    "programs are filled in from their parameters by the same exact formula. "
)


def simulate(n_rows: int = N_ROWS, n_columns: int = N_COLUMNS, seed: int = 0) -> tuple[Array, Array]:
    """A table of rank 10 plus noise of variance 1 (eigenvalues 26 to 3.25), complete and with missing cells."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((n_columns, RANK)))[0]
    mean = 2 * rng.standard_normal(n_columns)
    latent = rng.standard_normal((n_rows, RANK)) * np.linspace(5, 1.5, RANK)
    complete = latent @ axes.T + mean + rng.standard_normal((n_rows, n_columns))
    gone = rng.random(complete.shape) < MISSING
    gone[gone.all(axis=1), 0] = False
    return complete, np.where(gone, np.nan, complete)


def compare(complete: Array, table: Array, rank: int, rounds: int, *, small: bool) -> list[dict[str, Any]]:
    """One line for each program, with its time relative to underlie's, its gap and its error."""
    there = measured.versions(PEERS)
    filled: dict[str, tuple[Array, LinearGaussian | None]] = {}

    def gaussian(name: str, fit: Callable[[Array, int], LinearGaussian]) -> None:
        model = fit(table, rank)
        filled[name] = model.impute(table), model

    def chained() -> None:
        filled[CHAIN] = iterative_imputer(table), None

    jobs: dict[str, measured.Job] = {
        name: partial(gaussian, name, fit)
        for name, fit in (GAUSSIANS | (LONGER if small else {})).items()
        if (package := name.split(",")[0]) not in PEERS or package in there
    }
    if small:
        jobs[CHAIN] = chained
    seconds = measured.turns(jobs, rounds)
    best = fit_em(table, rank, tol=1e-10, max_iter=20_000).log_likelihood[-1]
    gone = np.isnan(table)
    lines = []
    for name, found in measured.ratios(seconds, "underlie").items():
        answer, model = filled[name]
        gap = None if model is None else float(best - model.log_density(table).mean())
        rmse = float(np.sqrt(np.mean((answer[gone] - complete[gone]) ** 2)))
        lines.append(measured.row(name, found, gap=gap, rmse=rmse))
    return lines


def missing_cells(rounds: int) -> list[dict[str, Any]]:
    """Two simulated tables."""
    tables = []
    for n_rows, n_columns in ((N_ROWS, N_COLUMNS), SMALL):
        complete, table = simulate(n_rows, n_columns)
        small = (n_rows, n_columns) == SMALL
        without = "" if small else "IterativeImputer, which would take minutes, is left out."
        tables.append(
            {
                "title": f"{n_rows:,} x {n_columns} cells, {MISSING:.0%} missing, rank {RANK}",
                "note": NOTE + without + measured.absent(PEERS),
                "rows": compare(complete, table, RANK, rounds, small=small),
            }
        )
    return tables


def real_tables(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Five tables with half of their cells missing."""
    tables = []
    for name in TABLES:
        complete = pd.read_parquet(folder / f"{name}.parquet").to_numpy(dtype=float)
        complete = (complete - complete.mean(axis=0)) / complete.std(axis=0)
        table = holed(complete, 0)
        rank = max(1, select_rank(table).n_components)
        n_rows, n_columns = table.shape
        tables.append(
            {
                "title": f"{name}: {n_rows:,} x {n_columns} cells, half of them missing, rank {rank}",
                "note": NOTE + measured.absent(PEERS),
                "rows": compare(complete, table, rank, rounds, small=True),
            }
        )
    return tables


def closed_form(rounds: int) -> list[dict[str, Any]]:
    """Complete data of several shapes, with ten strong directions and without."""
    tables = []
    for signal in (True, False):
        lines = []
        for n, n_columns, rank in SHAPES:
            rng = np.random.default_rng(0)
            table = rng.standard_normal((n, n_columns)) * np.linspace(2, 1, n_columns)
            if signal:
                table += rng.standard_normal((n, 10)) @ rng.standard_normal((10, n_columns))
            lines.append(_beside_sklearn(table, rank, rounds))
        what = "ten directions and noise" if signal else "noise alone, no eigenvalue of which stands out"
        note = (
            "Processor time of underlie's closed form relative to sklearn.decomposition.PCA with its default solver "
            "in the same round, and the largest relative error of the eigenvalues that PCA reports. Where that is not "
            "zero up to rounding, PCA has found them at random, and something else; to exact PCA: time relative to its "
            'solver that finds them exactly, "covariance_eigh".'
        )
        tables.append({"title": f"Complete data: {what}", "note": note, "reference": "PCA", "rows": lines})
    return tables


def _beside_sklearn(table: Array, rank: int, rounds: int) -> dict[str, Any]:
    seconds = measured.turns(
        {
            "underlie": lambda: fit_closed_form(table, rank),
            "PCA": lambda: PCA(rank, random_state=0).fit(table),
            "exact PCA": lambda: PCA(rank, svd_solver="covariance_eigh").fit(table),
        },
        rounds,
    )
    n, n_columns = table.shape
    reference, model = PCA(rank, random_state=0).fit(table), fit_closed_form(table, rank)
    eigenvalues = ((model.loadings**2).sum(axis=0) + model.noise_variance) * n / (n - 1)
    return measured.row(
        f"underlie, {n:,} x {n_columns:,}, {rank} components",
        measured.ratios(seconds, "PCA")["underlie"],
        to_exact_PCA=measured.ratios(seconds, "exact PCA")["underlie"]["ratio"],
        solver_of_PCA=reference._fit_svd_solver,
        error_of_PCA=float(np.abs(reference.explained_variance_ / eigenvalues - 1).max()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")  # chained regressions that stop early
    tables = missing_cells(rounds)
    if folder := os.environ.get("UNDERLIE_DATA"):
        tables += real_tables(Path(folder) / "imputation", rounds)
    measured.keep("ppca_missing", tables + closed_form(rounds), PEERS)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
