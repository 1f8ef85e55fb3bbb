"""Mixtures over K and four covariance structures, against scikit-learn's ten starts: seconds and log-likelihoods.

python benchmarks/mixtures.py            a table for iris, and the time of one fresh process (median of 5)
python benchmarks/mixtures.py --once     seconds of one search in this process, imports left out
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import underlie as ul

SIZES = range(1, 10)


def once() -> tuple[ul.check.mixtures.MixtureSelection, float]:
    """The search over K = 1..9 and all structures, with its seconds."""
    X = load_iris().data
    fit_mixtures = ul.fit_mixtures  # imports its module
    start = time.perf_counter()
    found = fit_mixtures(X, SIZES, random_state=0)
    return found, time.perf_counter() - start


def peers(X: np.ndarray) -> tuple[dict[tuple[int, str], GaussianMixture], float]:
    """scikit-learn's fits with ten starts, and seconds of all."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {
            (k, kind): GaussianMixture(k, covariance_type=kind, n_init=10, random_state=0).fit(X)
            for k in SIZES
            for kind in ("full", "tied", "diag", "spherical")
        }
    return fits, time.perf_counter() - start


def main() -> None:
    """Print both tables."""
    times = []
    for _ in range(5):
        output = subprocess.run([sys.executable, __file__, "--once"], capture_output=True, text=True, check=True)
        times.append(float(output.stdout))
    X = load_iris().data
    theirs, seconds = peers(X)
    found, _ = once()
    print(f"seconds, fresh process: median {np.median(times):.2f} of {np.round(times, 2)}; scikit-learn {seconds:.1f}")
    table = found.table[["log_likelihood", "bic", "smallest_component", "n_degenerate", "reason"]].copy()
    table["theirs"] = [theirs[key].score(X) * len(X) for key in table.index]
    table["their_smallest"] = [theirs[key].weights_.min() * len(X) for key in table.index]
    table["gain"] = table["log_likelihood"] - table["theirs"]
    print(table.round(3).to_string())


if __name__ == "__main__":
    if "--once" in sys.argv:
        print(once()[1])
    else:
        main()
