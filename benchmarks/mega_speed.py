"""The moment gap as a metric and as a penalty in training, against the form that writes every draw's matrix down.

That form is the definition to the letter: m latent draws, for each the D x D matrix E[x|z] E[x|z]' + Var[x|z], all of
them in one m x D x D tensor, and then the norm of what their mean differs from the rows' second moment. The metric is
that of a fitted VAE; in training it is a penalty in every step of a plain PyTorch loop. Both forms have the same
number of draws.

    python benchmarks/mega_speed.py [--rounds 3]

One thread, processor time, forms take turns; peak memory is that of the job in a process of its own, less what was
resident before it.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import measured
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import underlie as ul

Array = NDArray[np.float64]
N_ROWS, N_LATENT, BATCH, EPOCHS = 1000, 8, 100, 2
#: Columns and draws of each table.
METRIC, TRAINING = ((100, 512), (300, 512), (100, 8192)), ((30, 512), (196, 512))


def rows(width: int) -> Array:
    """Eight directions and noise, columns of unit variance."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_ROWS, N_LATENT)) @ rng.standard_normal((N_LATENT, width))
    x += rng.standard_normal(x.shape)
    return (x - x.mean(0)) / x.std(0)


def vae(width: int, epochs: int, mega: float, draws: int) -> ul.VAE:
    """One model with a hidden layer of 64."""
    model = ul.VAE(
        N_LATENT, hidden=(64,), likelihood="normal", batch_size=BATCH, max_epochs=epochs, patience=epochs,
        mega=mega, mega_draws=draws, random_state=0, verbose=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows(width))


def naive_gap(model: ul.VAE, X: Array, draws: int) -> tuple[float, float]:
    """Norms of the gaps of orders 1 and 2, to the letter."""
    mean, variance = model.moments(model.sample_latent(draws, random_state=0))
    second = mean[:, :, None] * mean[:, None, :]
    each = np.arange(X.shape[1])
    second[:, each, each] += variance
    centred = X - X.mean(0)
    own = centred.T @ centred / (len(X) - 1) + np.outer(X.mean(0), X.mean(0))
    return float(np.linalg.norm(X.mean(0) - mean.mean(0))), float(np.linalg.norm(own - second.mean(0)))


def our_gap(model: ul.VAE, X: Array, draws: int) -> tuple[float, float]:
    """The same by `ul.mega`, which also gives standard errors and floors."""
    found = ul.mega(model, X, n_draws=draws, n_bootstrap=0, random_state=0)
    return found.first, found.second


class PlainVAE(nn.Module):
    """What a user would write, the variance of each column a parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enc, self.mu, self.log_var = nn.Linear(width, 64), nn.Linear(64, N_LATENT), nn.Linear(64, N_LATENT)
        self.dec = nn.Sequential(nn.Linear(N_LATENT, 64), nn.ReLU(), nn.Linear(64, width))
        self.log_noise = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.enc(x))
        mu, log_var = self.mu(h), self.log_var(h)
        out = self.dec(mu + torch.randn_like(mu) * torch.exp(0.5 * log_var))
        error = 0.5 * ((out - x).pow(2) / self.log_noise.exp() + self.log_noise).sum(-1)
        return (error - 0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(-1)).mean()

    def gap(self, first: Tensor, second: Tensor, draws: int) -> Tensor:
        """The penalty, to the letter."""
        mean = self.dec(torch.randn(draws, N_LATENT))
        each = mean[:, :, None] * mean[:, None, :] + torch.diag(self.log_noise.exp())
        return (first - mean.mean(0)).norm() + (second - each.mean(0)).norm().sqrt()


def plain_training(x: Tensor, epochs: int, draws: int) -> None:
    """A plain loop; with the penalty if there are draws for it."""
    net = PlainVAE(x.shape[1])
    first, second = x.mean(0), x.T @ x / len(x)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(BATCH):
            loss = net(x[part])
            if draws:
                loss = loss + 10.0 * net.gap(first, second, draws)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()


def metric_job(width: int, form: str, draws: int) -> measured.Job:
    """For a process of its own."""
    model, X = vae(width, EPOCHS, 0.0, draws), rows(width)
    return lambda: (naive_gap if form == "naive" else our_gap)(model, X, draws)


def training_job(width: int, form: str, draws: int) -> measured.Job:
    """For a process of its own; both forms have run a step before."""
    if form == "naive":
        x = torch.as_tensor(rows(width), dtype=torch.float32)
        plain_training(x[:BATCH], 1, 2)
        return lambda: plain_training(x, EPOCHS, draws)
    vae(width, 1, 10.0, 2)
    return lambda: vae(width, EPOCHS, 10.0, draws)


def peak(job: Any, width: int, form: str, draws: int) -> float:
    """MiB that a job takes beyond what was there."""
    cost = measured.in_child(job, width, form, draws)
    return cost.peak - cost.before


def metric(width: int, draws: int, rounds: int) -> dict[str, Any]:
    """One table of the metric."""
    model, X = vae(width, EPOCHS, 0.0, draws), rows(width)
    jobs = {"underlie": lambda: our_gap(model, X, draws), "naive": lambda: naive_gap(model, X, draws)}
    found = measured.ratios(measured.turns(jobs, rounds), "underlie")
    gaps = {"underlie": our_gap(model, X, draws), "naive": naive_gap(model, X, draws)}
    names = {"underlie": "underlie", "naive": "m x D x D tensor"}
    lines = [
        measured.row(
            names[form], ratios, extra_MiB=peak(metric_job, width, form, draws),
            first_gap=gaps[form][0], second_gap=gaps[form][1],
        )
        for form, ratios in found.items()
    ]  # fmt: skip
    note = (
        "Processor time relative to underlie, memory that the call takes at its peak, and the two gaps; "
        f"{N_ROWS:,} rows, no p-values. underlie's draws are quasi-random, so that its gap is closer to that of "
        "infinitely many draws, and it also gives standard errors and the floors of sampling noise."
    )
    return {"title": f"The metric: D = {width} columns, m = {draws} draws", "note": note, "rows": lines}


def training(width: int, draws: int, rounds: int) -> dict[str, Any]:
    """One table of training."""
    x = torch.as_tensor(rows(width), dtype=torch.float32)
    jobs: dict[str, measured.Job] = {
        "underlie": lambda: vae(width, EPOCHS, 10.0, draws),
        "underlie without": lambda: vae(width, EPOCHS, 0.0, draws),
        "naive": lambda: plain_training(x, EPOCHS, draws),
        "naive without": lambda: plain_training(x, EPOCHS, 0),
    }
    seconds = measured.turns(jobs, rounds)
    found = measured.ratios(seconds, "underlie")
    names = {"underlie": "underlie", "naive": "plain loop, m x D x D tensor"}
    lines = [
        measured.row(
            name,
            found[form],
            to_no_penalty=measured.ratios(seconds, f"{form} without")[form]["ratio"],
            extra_MiB=peak(training_job, width, form, draws),
        )
        for form, name in names.items()
    ]
    note = (
        f"Processor time of {EPOCHS} epochs of {N_ROWS:,} rows in batches of {BATCH}, the penalty in every step, "
        "relative to underlie's; its fit also finds where to start and judges held-out rows in every epoch. to no "
        "penalty: time relative to the same program's without the penalty. Memory that the fit takes at its peak."
    )
    return {"title": f"Training: D = {width} columns, m = {draws} draws", "note": note, "rows": lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    tables = [metric(width, draws, rounds) for width, draws in METRIC]
    tables += [training(width, draws, rounds) for width, draws in TRAINING]
    measured.keep("mega_speed", tables)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
