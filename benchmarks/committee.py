"""A committee of 25 LeNet-5 as one computation, against the same 25 one after another, and against plain PyTorch loops.

The work: images of 28 x 28 in 10 classes, the same number of epochs, rows and rows per step for all. Variants take
turns in one process, on one thread, and processor time is taken, so that whatever else the machine does hits all alike;
ratios are paired within a round, and the median over rounds is printed.

    python benchmarks/committee.py [--rounds 3] [--epochs 1] [--members 25] [--rows 5000] [--batch 64]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from torch import nn

import underlie as ul


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Each class a smooth pattern of its own, shifted and with noise."""
    rng = np.random.default_rng(0)
    patterns = np.kron(rng.uniform(size=(10, 7, 7)), np.ones((4, 4)))
    y = rng.integers(10, size=n)
    shifted = np.stack([np.roll(patterns[k], rng.integers(-2, 3, size=2), axis=(0, 1)) for k in y])
    return np.clip(shifted + 0.2 * rng.normal(size=shifted.shape), 0.0, 1.0), y


def plain_lenet() -> nn.Sequential:
    """What a user would write."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def plain_loop(x: torch.Tensor, y: torch.Tensor, epochs: int, batch: int, dtype: torch.dtype) -> None:
    net = plain_lenet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                out = net(x[rows])
            nn.functional.cross_entropy(out.float(), y[rows]).backward()
            optimizer.step()


def ours(X: np.ndarray, y: np.ndarray, members: int, seed: int, epochs: int, batch: int, precision: str) -> None:
    model = ul.NeuralClassifier(
        "lenet5",
        n_replicates=members,
        max_epochs=epochs,
        batch_size=batch,
        valid_fraction=0.0,
        precision=precision,
        device="cpu",
        random_state=seed,
        verbose=False,
    )
    with warnings.catch_warnings():  # a fixed number of epochs is the point here
        warnings.simplefilter("ignore", ul.warnings.ConvergenceWarning)
        model.fit(X, y)


def seconds(job: Callable[[], None]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 3), ("epochs", 1), ("members", 25), ("rows", 5000), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    torch.set_num_threads(1)
    X, y = images(a.rows)
    x, codes = torch.as_tensor(X, dtype=torch.float32)[:, None], torch.as_tensor(y)
    print(f"{a.members} LeNet-5, {a.rows} images, {a.epochs} epochs, {a.batch} rows per step, medians of {a.rounds}")
    for precision in ("float32", "bfloat16"):
        dtype = torch.float32 if precision == "float32" else torch.bfloat16

        def together(p: str = precision) -> None:
            ours(X, y, a.members, 0, a.epochs, a.batch, p)

        def in_sequence(p: str = precision) -> None:
            for r in range(a.members):
                ours(X, y, 1, r, a.epochs, a.batch, p)

        def plain(d: torch.dtype = dtype) -> None:
            for _ in range(a.members):
                plain_loop(x, codes, a.epochs, a.batch, d)

        jobs = {"together": together, "one after another": in_sequence, "plain PyTorch loops": plain}
        ours(X[:200], y[:200], 2, 0, 1, a.batch, precision)  # warms up
        plain_loop(x[:200], codes[:200], 1, a.batch, dtype)
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(a.rounds):
            for name, job in jobs.items():
                times[name].append(seconds(job))
        for name, measured in times.items():
            ratios = [t / m for t, m in zip(times["together"], measured, strict=True)]
            print(
                f"{precision:9s} {name:20s} {statistics.median(measured):7.2f} s CPU   together / this: "
                f"{statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
