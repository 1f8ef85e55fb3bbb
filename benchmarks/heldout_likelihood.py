"""Held-out log-likelihood of a default VAE against probabilistic PCA on real tables.

For each table the numeric columns with more than two values are taken as continuous for both models, so that both give
densities of the same quantity; rows are split 80/20. Printed: mean log-likelihood per held-out row in nats, and the
paired difference VAE - pPCA with its standard error over rows. pPCA has the VAE's latent dimension and sees
standardised columns.

    UNDERLIE_DATA=... python benchmarks/heldout_likelihood.py [--seeds 3] [--n-latent 2]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch

import underlie as ul

TABLES = (
    "ionosphere", "breast_cancer_wisconsin_original", "housevotes84", "pimaindiansdiabetes2", "satellite", "penguins",
    "old_faithful", "adult_train", "credit_approval_crx", "wine_quality_red",
)  # fmt: skip


def numeric_columns(name: str) -> np.ndarray | None:
    """The table's numeric columns with more than two values, as floats; None where there are none."""
    table = ul.datasets.fetch_table(name).select_dtypes("number")
    table = table.loc[:, table.nunique() > 2]
    return table.to_numpy(dtype=float) if table.shape[1] >= 2 else None


def compare(X: np.ndarray, seed: int, n_latent: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Log-likelihood of each held-out row under pPCA and VAE, and the VAE's seconds to fit."""
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = X[order[: len(X) // 5]], X[order[len(X) // 5 :]]
    keep = np.nanstd(train, axis=0) > 0  # a column constant in the training rows has no density to compare
    test, train = test[:, keep], train[:, keep]
    n_latent = min(n_latent, train.shape[1] - 1)
    linear = ul.ProbabilisticPCA(n_latent, standardize=True).fit(train)
    begun = time.perf_counter()
    vae = ul.VAE(n_latent, kinds="continuous", random_state=seed, verbose=False).fit(train)
    seconds = time.perf_counter() - begun
    return linear.score_samples(test), vae.score_samples(test), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-latent", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'table':34s} {'n x D':>12s} {'pPCA':>9s} {'VAE':>9s} {'difference':>10s} {'se':>6s} {'fit s':>6s}")
    for name in TABLES:
        X = numeric_columns(name)
        if X is None:
            print(f"{name:34s} has no numeric columns")
            continue
        found = [compare(X, seed, arguments.n_latent) for seed in range(arguments.seeds)]
        linear, vae = np.concatenate([a for a, _, _ in found]), np.concatenate([b for _, b, _ in found])
        difference = vae - linear
        se = difference.std(ddof=1) / np.sqrt(len(difference))
        nan = int(np.isnan(vae).sum())
        print(
            f"{name:34s} {f'{len(X)} x {X.shape[1]}':>12s} {linear.mean():9.3f} {vae.mean():9.3f} "
            f"{difference.mean():+10.3f} {se:6.3f} {np.mean([s for _, _, s in found]):6.1f}"
            + (f"  {nan} NaN" if nan else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
