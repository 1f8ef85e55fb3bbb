"""Moment gaps as a penalty on the variational autoencoder: what it does, what it costs, and how precise its points are.

    python benchmarks/mega_regularisation.py effect [--seeds 3]          # embedded data
    UNDERLIE_DATA=... python benchmarks/mega_regularisation.py noise     # MNIST fours: Sobol points against iid draws
    UNDERLIE_DATA=... python benchmarks/mega_regularisation.py job       # 25 epochs x 20 batches, D = 784

`effect`: held-out gaps and held-out bound against alpha, mean and standard deviation over seeds. Gaps of order k are
Frobenius norms, of standardised columns for the table and of pixels in [0, 1] for the images. `noise`: root mean square
distance of the model's moments from those by 4 x 2^14 points. `job`: wall and processor seconds, peak memory of the
process before and after; one process per line, so that peaks do not add up.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch.quasirandom import SobolEngine

import underlie as ul
from underlie.warnings import ConvergenceWarning, ImportanceSamplingWarning

warnings.simplefilter("ignore", ConvergenceWarning)
warnings.simplefilter("ignore", ImportanceSamplingWarning)
FOUR, EPOCHS, BATCH, HIDDEN = 4, 25, 293, (400,)


def fours() -> np.ndarray:
    data = ul.datasets.fetch_mnist("train")
    return np.asarray(data.data[data.target == FOUR])


def held_out(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(len(X))
    return X[order[len(X) // 4 :]], X[order[: len(X) // 4]]


def scaled(X: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale that are taken off: those of the training rows of a table; 0 and the largest value for images."""
    if X.ndim > 2:
        width = int(np.prod(X.shape[1:]))
        return np.zeros(width), np.full(width, float(train.max()))
    return train.mean(0), train.std(0)


def gaps(model: ul.VAE, X: np.ndarray, train: np.ndarray) -> list[float]:
    """Frobenius norms of the gaps of orders 1 and 2 between the model, by many points, and rows X."""
    loc, scale = scaled(X, train)
    mean, variance = model.moments(_normal(1 << 13, model.n_latent, np.random.default_rng(1)))
    rows, mean, variance = (X.reshape(len(X), -1) - loc) / scale, (mean - loc) / scale, variance / scale**2
    second = rows.T @ rows / len(rows) - mean.T @ mean / len(mean) - np.diag(variance.mean(0))
    return [float(np.linalg.norm(rows.mean(0) - mean.mean(0))), float(np.linalg.norm(second))]


def floors(X: np.ndarray, train: np.ndarray) -> list[float]:
    """What a right model would score on rows X: their sampling noise."""
    loc, scale = scaled(X, train)
    y = (X.reshape(len(X), -1) - loc) / scale
    square = (y**2).sum(1)
    first = square.mean() - (y.mean(0) ** 2).sum()
    second = (square**2).mean() - ((y.T @ y / len(y)) ** 2).sum()
    return [float(np.sqrt(first / len(y))), float(np.sqrt(second / len(y)))]


def effect(seeds: int, alphas: list[float]) -> None:
    digits = load_digits()
    sets = {"breast cancer": load_breast_cancer().data, "digits": digits.images}
    heads = ("data", "alpha", "held-out loglik", "gap 1 train", "gap 1 held out", "gap 2 train", "gap 2 held out", "s")
    print("".join(f"{h:>18s}" for h in heads))
    for name, X in sets.items():
        train, test = held_out(X)
        f_train, f_test = floors(train, train), floors(test, train)
        cells = [name, "floor", "", *(f"{f:.3f}" for f in (f_train[0], f_test[0], f_train[1], f_test[1]))]
        print("".join(f"{c:>18s}" for c in cells), flush=True)
        for alpha in alphas:
            begun = time.perf_counter()
            model = ul.VAE(
                5, mega=alpha, n_replicates=seeds, likelihood="normal" if X.ndim == 2 else "auto",
                max_epochs=150, random_state=0, verbose=False,
            ).fit(train)  # fmt: skip
            seconds = time.perf_counter() - begun
            found = []
            for r in range(seeds):
                one = model.replicate(r)
                (a, b), (c, d) = gaps(one, train, train), gaps(one, test, train)
                found.append([one.score(test), a, c, b, d])
            each = zip(np.mean(found, axis=0), np.std(found, axis=0, ddof=1), strict=True)
            cells = [name, f"{alpha:g}", *(f"{m:.3f} +- {s:.3f}" for m, s in each), f"{seconds:.1f}"]
            print("".join(f"{c:>18s}" for c in cells), flush=True)


def _normal(m: int, width: int, rng: np.random.Generator, *, sobol: bool = True) -> np.ndarray:
    if not sobol:
        return rng.standard_normal((m, width))
    u = (SobolEngine(width, scramble=True, seed=0).draw(m).double() + torch.as_tensor(rng.random(width))) % 1.0
    return torch.special.ndtri(u.clamp(1e-7, 1 - 1e-7)).numpy()


def noise(repeats: int) -> None:
    X = fours()
    print(f"{'n_latent':>8s}{'points':>10s}{'m':>8s}{'rms of moment 1':>18s}{'rms of moment 2':>18s}")
    for width in (2, 10, 20):
        model = ul.VAE(
            width, hidden=HIDDEN, max_epochs=EPOCHS, batch_size=BATCH, random_state=0, verbose=False
        ).fit(X)  # fmt: skip
        rng = np.random.default_rng(0)

        def moments(m: int, sobol: bool, model: ul.VAE = model, rng: np.random.Generator = rng) -> list[np.ndarray]:
            mean, variance = (
                a / 255.0**k for k, a in enumerate(model.moments(_normal(m, model.n_latent, rng, sobol=sobol)), 1)
            )
            return [mean.mean(0), mean.T @ mean / m + np.diag(variance.mean(0))]

        exact = [np.mean(parts, axis=0) for parts in zip(*(moments(1 << 14, True) for _ in range(4)), strict=True)]
        for sobol, m in ((False, 5000), (False, 512), (True, 512), (True, 1024), (True, 2048)):
            found = [moments(m, sobol) for _ in range(repeats)]
            rms = [np.sqrt(np.mean([((f[k] - exact[k]) ** 2).sum() for f in found])) for k in (0, 1)]
            kind = "Sobol" if sobol else "iid"
            print(f"{width:8d}{kind:>10s}{m:8d}{rms[0]:18.4f}{rms[1]:18.4f}", flush=True)


def job(alpha: float, draws: int) -> None:
    X = fours()
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    model = ul.VAE(
        20, hidden=HIDDEN, max_epochs=EPOCHS, batch_size=BATCH, patience=EPOCHS, valid_fraction=0.01, mega=alpha,
        mega_draws=draws, random_state=0, verbose=False,
    ).fit(X)  # fmt: skip
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = {k: round(float(v[0, -1]), 3) for k, v in model.history_.items()}
    print(
        f"alpha {alpha:g}, m {draws}: wall {wall:.1f} s, processor {processor:.1f} s, "
        f"peak {after.ru_maxrss / 1e3:.0f} MB "
        f"({before.ru_maxrss / 1e3:.0f} MB before); last epoch {last}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["effect", "noise", "job"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0, 0.1, 0.3, 1, 3, 10, 30, 100])
    parser.add_argument("--one", type=float, nargs=2, metavar=("ALPHA", "M"), help="one line of job, in this process")
    asked = parser.parse_args()
    if asked.part == "effect":
        effect(asked.seeds, asked.alphas)
    elif asked.part == "noise":
        noise(asked.repeats)
    elif asked.one:
        job(asked.one[0], int(asked.one[1]))
    else:
        for alpha, m in ((0, 512), (10, 512), (10, 1024), (10, 5000)):
            command = [sys.executable, __file__, "job", "--one", str(alpha), str(m)]
            subprocess.run(command, check=True, env=os.environ)


if __name__ == "__main__":
    main()
