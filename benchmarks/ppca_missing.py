"""Probabilistic PCA of 20,000 x 100 cells, 20 % missing, against a plain NumPy EM; complete data against scikit-learn.

    python benchmarks/ppca_missing.py [--repeats 5]

One thread, CPU time, runs of the two sides interleaved, medians; the spread of repeated runs of the same code is the
noise of the machine. The gap is the distance of the mean log-likelihood per row to its maximum, from a fit to 1e-10.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from underlie.models.ppca import LinearGaussian, fit_closed_form, fit_em

N_ROWS, N_COLUMNS, RANK, MISSING = 20_000, 100, 10, 0.2
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


def simulate(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table of rank 10 plus noise of variance 1 (eigenvalues 26 to 3.25), complete and with missing cells."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((N_COLUMNS, RANK)))[0]
    mean = 2 * rng.standard_normal(N_COLUMNS)
    latent = rng.standard_normal((N_ROWS, RANK)) * np.linspace(5, 1.5, RANK)
    complete = latent @ axes.T + mean + rng.standard_normal((N_ROWS, N_COLUMNS))
    gone = rng.random(complete.shape) < MISSING
    gone[gone.all(axis=1), 0] = False
    return complete, np.where(gone, np.nan, complete)


def plain_em(table: np.ndarray, rank: int, tol: float = 1e-6) -> LinearGaussian:
    """Textbook EM, vectorised over rows: pairwise start, mean updated with the loadings, stops on the relative step."""
    seen = ~np.isnan(table)
    mask = seen.astype(float)
    filled = np.where(seen, table, 0.0)
    mean = filled.sum(axis=0) / mask.sum(axis=0)
    centred = np.where(seen, table - mean, 0.0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (mask.T @ mask))
    noise = values[:-rank].mean()
    loadings = vectors[:, -rank:] * np.sqrt(values[-rank:] - noise)
    previous = -np.inf
    while True:
        outer = (loadings[:, :, None] * loadings[:, None, :]).reshape(len(loadings), -1)
        precision = (mask @ outer).reshape(-1, rank, rank) / noise + np.eye(rank)
        centred = filled - mask * mean
        projected = centred @ loadings / noise
        spread = np.linalg.inv(precision)
        latent = (spread @ projected[:, :, None])[:, :, 0]
        log_det = np.linalg.slogdet(precision)[1] + mask.sum(axis=1) * np.log(2 * np.pi * noise)
        quadratic = (centred**2).sum(axis=1) / noise - (projected * latent).sum(axis=1)
        likelihood = -0.5 * (log_det + quadratic).mean()
        if likelihood - previous < tol * abs(previous):
            return LinearGaussian(mean, loadings, noise)
        previous = likelihood
        second = np.empty((len(table), rank + 1, rank + 1))
        second[:, :-1, :-1] = spread + latent[:, :, None] * latent[:, None, :]
        second[:, -1, :-1] = second[:, :-1, -1] = latent
        second[:, -1, -1] = 1.0
        gram = (mask.T @ second.reshape(len(table), -1)).reshape(-1, rank + 1, rank + 1)
        cross = np.column_stack([filled.T @ latent, filled.sum(axis=0)])
        coefficients = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
        noise = ((filled**2).sum() - (coefficients * cross).sum()) / mask.sum()
        loadings, mean = coefficients[:, :-1], coefficients[:, -1]


def cpu_seconds(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def interleaved(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    times = np.array([(cpu_seconds(first), cpu_seconds(second)) for _ in range(repeats)])
    return times[:, 0], times[:, 1]


def missing_cells(repeats: int) -> None:
    complete, table = simulate()
    gone = np.isnan(table)
    best = fit_em(table, RANK, tol=1e-10, max_iter=5000).log_likelihood[-1]
    print(f"{N_ROWS} x {N_COLUMNS}, rank {RANK}, {MISSING:.0%} missing; maximum {best:.8f} nats per row")
    sides: dict[str, Callable[[], LinearGaussian]] = {
        "underlie": lambda: fit_em(table, RANK).model,
        "plain NumPy EM": lambda: plain_em(table, RANK),
    }
    times = interleaved(*sides.values(), repeats)
    for (name, fit), seconds in zip(sides.items(), times, strict=True):
        model = fit()
        gap = best - model.log_density(table).mean()
        error = np.sqrt(np.mean((model.impute(table)[gone] - complete[gone]) ** 2))
        spread = np.ptp(seconds) / np.median(seconds)
        print(f"  {name:15s} {np.median(seconds):6.3f} s (range {spread:.0%})   gap {gap:.1e}   RMSE {error:.4f}")
    print(f"  time ratio {np.median(times[0]) / np.median(times[1]):.2f}")


def closed_form(repeats: int) -> None:
    print("complete data: closed form against sklearn.decomposition.PCA with its default solver")
    for signal in (True, False):
        print("  rank 10 plus noise" if signal else "  noise only (no eigenvalue stands out)")
        for n, n_columns, rank in SHAPES:
            rng = np.random.default_rng(0)
            table = rng.standard_normal((n, n_columns)) * np.linspace(2, 1, n_columns)
            if signal:
                table += rng.standard_normal((n, 10)) @ rng.standard_normal((10, n_columns))
            ours, theirs = interleaved(
                lambda table=table, rank=rank: fit_closed_form(table, rank),
                lambda table=table, rank=rank: PCA(rank, random_state=0).fit(table),
                repeats,
            )
            reference = PCA(rank, random_state=0).fit(table)
            model = fit_closed_form(table, rank)
            eigenvalues = ((model.loadings**2).sum(axis=0) + model.noise_variance) * n / (n - 1)
            difference = np.abs(reference.explained_variance_ / eigenvalues - 1).max()
            print(
                f"    {n:6d} x {n_columns:4d}, {rank:3d} components   {np.median(ours) * 1e3:7.1f} ms   "
                f"ratio {np.median(ours) / np.median(theirs):.2f}   {reference._fit_svd_solver:15s} "
                f"its eigenvalues differ by {difference:.0e}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    missing_cells(repeats)
    closed_form(repeats)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
