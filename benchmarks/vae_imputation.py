"""Imputation of real tables with half of their cells hidden: VAE against probabilistic PCA with its rank by BIC.

Five UCI tables, columns standardised by the full data, each cell hidden with probability one half, completely at random
(at least one cell of a row stays). Printed: mean squared error of single imputation on the hidden cells, mean over
seeds with the standard deviation, the paired difference with its standard error over seeds, and the figures that the
MIWAE paper reports (Mattei & Frellsen, 2019, table 2; other masks).

    UNDERLIE_DATA=... python benchmarks/vae_imputation.py [--seeds 5] [--n-latent 8] [--likelihood auto] [--replicates
    1]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch

import underlie as ul

MIWAE = {"banknote": 0.446, "breast": 0.280, "concrete": 0.501, "wine_red": 0.643, "yeast": 0.964}


def hidden_cells(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Which cells are hidden: half of them, but never a whole row."""
    hidden = np.random.default_rng(seed).random(shape) < 0.5
    hidden[hidden.all(axis=1), 0] = False
    return hidden


def errors(X: np.ndarray, seed: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Mean squared error on the hidden cells of pPCA and of the VAE."""
    hidden = hidden_cells(X.shape, seed)
    incomplete = np.where(hidden, np.nan, X)
    linear = ul.ProbabilisticPCA("bic").fit(incomplete)
    vae = ul.VAE(
        arguments.n_latent,
        likelihood=arguments.likelihood,
        n_replicates=arguments.replicates,
        random_state=seed,
        verbose=False,
    ).fit(incomplete)
    both = (np.mean((model.impute(incomplete)[hidden] - X[hidden]) ** 2) for model in (linear, vae))
    first, second = both
    return float(first), float(second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-latent", type=int, default=8)
    parser.add_argument("--likelihood", default="auto")
    parser.add_argument("--replicates", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'table':10s} {'pPCA (BIC)':>16s} {'VAE':>16s} {'VAE - pPCA':>18s} {'MIWAE paper':>12s}")
    for name, reported in MIWAE.items():
        X = ul.datasets.fetch_table(name).select_dtypes("number").to_numpy(dtype=float)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        found = np.array([errors(X, seed, arguments) for seed in range(arguments.seeds)])
        mean, sd = found.mean(axis=0), found.std(axis=0, ddof=1)
        difference = found[:, 1] - found[:, 0]
        se = difference.std(ddof=1) / np.sqrt(len(difference))
        print(
            f"{name:10s} {mean[0]:9.3f} ({sd[0]:.3f}) {mean[1]:9.3f} ({sd[1]:.3f}) "
            f"{difference.mean():+11.3f} ({se:.3f}) {reported:12.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
