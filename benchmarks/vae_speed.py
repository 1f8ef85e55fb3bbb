"""Training time of a small VAE against plain PyTorch loops: one model, and 20 replicates.

The work: a 30-64-4-64-30 Gaussian VAE on 1,500 rows, batch 128, every variant the same number of epochs, one thread.
Variants take turns slice by slice in one process, so that whatever else the machine does hits all alike; ratios are
paired within a round, and the median over rounds is printed.

    python benchmarks/vae_speed.py [--rounds 7] [--epochs 20]
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

N, D, H, Z, BATCH, REPLICATES = 1500, 30, 64, 4, 128, 20


class PlainVAE(nn.Module):
    """What a user would write: mean and log-variance encoder, mean decoder, squared error plus analytic divergence."""

    def __init__(self) -> None:
        super().__init__()
        self.enc, self.mu, self.log_var = nn.Linear(D, H), nn.Linear(H, Z), nn.Linear(H, Z)
        self.dec, self.out = nn.Linear(Z, H), nn.Linear(H, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.enc(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        error = 0.5 * (self.out(torch.relu(self.dec(z))) - x).pow(2).sum(-1)
        return (error - 0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(-1)).mean()


def table() -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(N, 3, generator=g) @ torch.randn(3, D, generator=g) + 0.3 * torch.randn(N, D, generator=g)
    return (x - x.mean(0)) / x.std(0)


def plain_loop(x: torch.Tensor, epochs: int) -> None:
    net = PlainVAE()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in range(0, len(x), BATCH):
            loss = net(x[order[i : i + BATCH]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()


def ours(x: np.ndarray, epochs: int, replicates: int) -> None:
    model = ul.VAE(
        Z,
        hidden=(H,),
        likelihood="normal",
        n_replicates=replicates,
        batch_size=BATCH,
        max_epochs=epochs,
        patience=epochs,
        random_state=0,
        verbose=False,
    )
    with warnings.catch_warnings():  # a fixed number of epochs is the point here
        warnings.simplefilter("ignore", ul.warnings.ConvergenceWarning)
        model.fit(x)


def cpu_time(job: Callable[[], None]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x = table()
    array = x.double().numpy()
    jobs: dict[str, Callable[[], None]] = {
        "plain, one": lambda: plain_loop(x, arguments.epochs),
        "underlie, one": lambda: ours(array, arguments.epochs, 1),
        "underlie, 20 replicates": lambda: ours(array, arguments.epochs, REPLICATES),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(arguments.rounds + 1):  # the first turn warms up
        for name, job in jobs.items():
            seconds = cpu_time(job)
            if turn:
                times[name].append(seconds)
    plain = times["plain, one"]
    one = [a / b for a, b in zip(times["underlie, one"], plain, strict=True)]
    many = [a / (REPLICATES * b) for a, b in zip(times["underlie, 20 replicates"], plain, strict=True)]
    for name, seconds in times.items():
        print(f"{name:28s} median {statistics.median(seconds):.3f} s CPU for {arguments.epochs} epochs")
    for label, ratios in (("one model / plain loop", one), ("20 replicates / 20 plain loops in sequence", many)):
        print(f"{label:44s} median {statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
