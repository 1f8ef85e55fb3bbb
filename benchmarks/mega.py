"""Moment gaps: how often a right model is rejected, how often a wrong one, and what wide data cost.

Size: 1,000 data sets from the model itself; the share of p-values of at most .05, order by order, and its standard
error. Power: N(0, I) in 10 columns against data in which one pair is correlated by .36 with equal margins, by the model
itself and by an array of m = n draws. Wide: 1,000 images of 500 x 500 as float32 in memory, by a Gaussian of low rank
and by a model known by moments(z); peak memory of a process of its own, the images and the libraries included.

    python benchmarks/mega.py size  [--repeats 1000] [--cases known refitted ...]
    python benchmarks/mega.py power [--repeats 1000]
    python benchmarks/mega.py wide  [--rows 1000] [--side 500] [--order 2] [--map]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.warnings import UnderlieWarning

Array = NDArray[np.float64]


class Curve:
    """x | z normal with a curved mean and variances that depend on z, z ~ N(0, I_2): no closed form."""

    n_features_in_ = 3
    slope = np.array([[1.0, 0.5, -0.5], [0.0, 0.8, 0.6]])

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        mean, variance = z @ self.slope + 0.3 * z**2 @ self.slope, 0.3 + 0.2 * (z @ self.slope) ** 2
        return (mean, variance, np.zeros_like(mean), 3 * variance**2)[: max(order, 2)]

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))

    def sample(self, n: int, random_state: int) -> Array:
        rng = np.random.default_rng(random_state)
        mean, variance = self.moments(rng.standard_normal((n, 2)))
        return mean + np.sqrt(variance) * rng.standard_normal(mean.shape)


def mixture() -> GaussianMixture:
    """Two unequal Gaussians in three columns."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(4000, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    return GaussianMixture(2, random_state=0).fit(np.concatenate([first, rng.normal(size=(2000, 3)) * 0.5 + 2.0]))


def rows_of(model: GaussianMixture, n: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    labels = rng.choice(2, n, p=model.weights_)
    root = np.linalg.cholesky(model.covariances_)[labels]
    return model.means_[labels] + np.einsum("ijk,ik->ij", root, rng.standard_normal((n, 3)))


def p_values(model: object, X: Array, seed: int, **how: Any) -> list[float]:
    result = ul.mega(model, X, order=4, random_state=seed, **({"n_bootstrap": 99} | how))
    return [one.p_value for one in result.orders.values()]


def size_cases() -> dict[str, Callable[[int], list[float]]]:
    right, plane = mixture(), np.array([[2.0, 1.0, 0.5]])

    def factor(seed: int) -> Array:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((200, 1)) @ plane + 0.5 * rng.standard_normal((200, 3))

    def fitted(model: Any, X: Array, seed: int, **how: Any) -> list[float]:
        return p_values(model.fit(X), X, seed, **how)

    return {
        "known": lambda s: p_values(right, rows_of(right, 100, s), s),
        "known-standardised-n30": lambda s: p_values(right, rows_of(right, 30, s), s, standardize=True),
        "known-centred": lambda s: p_values(right, rows_of(right, 100, s), s, centred=True),
        "known-by-draws": lambda s: p_values(Curve(), Curve().sample(100, s), s, n_draws=256),
        "permutation": lambda s: p_values(rows_of(right, 100, s + 10**6), rows_of(right, 100, s), s),
        "spectrum": lambda s: p_values(right, rows_of(right, 500, s), s, form="gram"),
        "spectrum-centred": lambda s: p_values(right, rows_of(right, 500, s), s, form="gram", centred=True),
        "spectrum-by-draws": lambda s: p_values(Curve(), Curve().sample(500, s), s, form="gram", n_draws=256),
        "refitted-ppca": lambda s: fitted(ul.ProbabilisticPCA(1), factor(s), s, refit=True),
        "refitted-pca": lambda s: fitted(PCA(1), factor(s), s, refit=True),
        "refitted-mixture": lambda s: fitted(GaussianMixture(2, random_state=0), rows_of(right, 200, s), s, refit=True),
        "fitted-not-refitted": lambda s: fitted(PCA(1), factor(s), s),
    }


def size(repeats: int, names: list[str]) -> None:
    cases = size_cases()
    print("Share of p-values <= .05 under the truth (standard error), and CPU seconds of one test with order=4")
    print(f"{'case':26s}" + "".join(f"   order {k}      " for k in (1, 2, 3, 4)) + "  CPU s")
    for name in names or list(cases):
        begun = time.process_time()
        rejected = np.mean([[p <= 0.05 for p in cases[name](seed)] for seed in range(repeats)], axis=0)
        seconds = (time.process_time() - begun) / repeats
        error = np.sqrt(rejected * (1 - rejected) / repeats)
        cells = "".join(f"  {share:.3f} ({se:.3f})" for share, se in zip(rejected, error, strict=True))
        print(f"{name:26s}{cells}  {seconds:.3f}", flush=True)


class StandardNormal:
    """N(0, I) by its moments."""

    def __init__(self, width: int) -> None:
        self.width = width

    def exact_moments(self) -> tuple[Array, Array]:
        return np.zeros(self.width), np.eye(self.width)

    def sample(self, n: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((n, self.width))


def correlated(n: int, seed: int) -> Array:
    X = np.random.default_rng(seed).standard_normal((n, 10))
    X[:, 1] = 0.36 * X[:, 0] + np.sqrt(1 - 0.36**2) * X[:, 1]
    return X


def power(repeats: int) -> None:
    model = StandardNormal(10)
    print("Power at .05 (standard error): one pair of 10 columns correlated by .36; CPU seconds of one test")
    for n in (100, 200, 350, 500, 1000):
        for name in ("model", "array"):
            begun, found = time.process_time(), []
            for seed in range(repeats):
                other = model if name == "model" else model.sample(n, seed + 10**6)
                result = ul.mega(other, correlated(n, seed), random_state=seed)
                worst = result.terms().loc[0]
                pair = {worst["column_1"], worst["column_2"]} == {"x0", "x1"} and worst["p_adjusted"] <= 0.05
                found.append((result.p_value <= 0.05, pair))
            seconds = (time.process_time() - begun) / repeats
            norm, pair = np.mean(found, axis=0)
            errors = [np.sqrt(share * (1 - share) / repeats) for share in (norm, pair)]
            print(
                f"n = {n:5d}  {name}: norm {norm:.3f} ({errors[0]:.3f}), the pair named by terms() {pair:.3f} "
                f"({errors[1]:.3f}); {seconds:.3f} s",
                flush=True,
            )


class LowRank:
    """x = W z + noise, W (P, 8): by the Gaussian itself, or by its moments given z alone."""

    def __init__(self, width: int, closed_form: bool) -> None:
        self.loadings = np.random.default_rng(1).standard_normal((width, 8)) / 4
        self.n_features_in_ = width
        if closed_form:
            self.gaussian_components = self._components

    def _components(self) -> tuple[Array, Array, list[Array], list[Array]]:
        width = self.n_features_in_
        return np.ones(1), np.zeros((1, width)), [self.loadings], [np.ones(width)]

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        mean = z @ self.loadings.T
        one = np.ones_like(mean)
        return (mean, one, 0 * one, 3 * one)[: max(order, 2)]

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 8))


def images(n: int, side: int, path: str | None) -> NDArray[np.float32]:
    """Draws from `LowRank`, as float32 images: in memory, or in a file."""
    rng, loadings = np.random.default_rng(2), LowRank(side**2, False).loadings
    X: Any = np.empty((n, side, side), np.float32)
    if path is not None:
        X = np.lib.format.open_memmap(path, "w+", np.float32, (n, side, side))
    for i in range(n):
        X[i] = (loadings @ rng.standard_normal(8) + rng.standard_normal(side**2)).reshape(side, side)
    return X


def one_wide(n: int, side: int, order: int, closed_form: bool, mapped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        X = images(n, side, f"{folder}/images.npy" if mapped else None)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        begun, cpu = time.perf_counter(), time.process_time()
        result = ul.mega(LowRank(side**2, closed_form), X, order=order, random_state=0)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    name = "closed form" if closed_form else "moments(z)"
    print(f"{name}: peak {peak:.2f} GiB (images and libraries alone {before:.2f}); {wall:.0f} s, {cpu:.0f} s CPU")
    print(result, flush=True)


def wide(n: int, side: int, order: int, mapped: bool) -> None:
    for closed_form in (True, False):
        job = multiprocessing.get_context("spawn").Process(target=one_wide, args=(n, side, order, closed_form, mapped))
        job.start()
        job.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["size", "power", "wide"])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--cases", nargs="*", default=[], choices=list(size_cases()))
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--side", type=int, default=500)
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("--map", action="store_true", help="images in a file instead of memory")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UnderlieWarning)
    if arguments.what == "size":
        size(arguments.repeats, arguments.cases)
    elif arguments.what == "power":
        power(arguments.repeats)
    else:
        wide(arguments.rows, arguments.side, arguments.order, arguments.map)


if __name__ == "__main__":
    main()
