"""One epoch of M2 (Kingma et al. 2014): underlie in both precisions, a naive loop, and the same model in Pyro.

Images of 28 x 28 pixels, ten classes, a hundred labels, which all take part in every step; networks with one hidden
layer of 500 units, 50 latent variables, unlabelled batches of 200, the sum over classes exact. One thread, processor
time. Of underlie, two epochs less one: the start is not part of an epoch.

    python benchmarks/m2_epoch.py [--rounds 3] [--images 6000]

MNIST comes from the folder UNDERLIE_DATA or by download. Pyro takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import measured
import numpy as np
import torch
from semi_supervised import M2, labelled
from torch import Tensor, nn
from torch.nn import functional as F

import underlie as ul

N_LATENT, HIDDEN, BATCH, CLASSES = 50, 500, 200, 10


class NaiveM2(nn.Module):
    """M2 as one would write it: the networks read x and a one-hot y side by side, once for each class."""

    def __init__(self, hidden: int = HIDDEN, n_latent: int = N_LATENT, n_classes: int = CLASSES) -> None:
        super().__init__()
        self.k = n_classes
        self.classifier = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, n_classes))
        self.encoder = nn.Sequential(nn.Linear(784 + n_classes, hidden), nn.ReLU(), nn.Linear(hidden, 2 * n_latent))
        self.decoder = nn.Sequential(nn.Linear(n_latent + n_classes, hidden), nn.ReLU(), nn.Linear(hidden, 784))

    def bound(self, x: Tensor, y: Tensor) -> Tensor:
        mu, log_var = self.encoder(torch.cat([x, y], 1)).chunk(2, 1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        logits = self.decoder(torch.cat([z, y], 1))
        fit = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return fit + 0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(1) - np.log(self.k)

    def unlabelled(self, x: Tensor) -> Tensor:
        log_q = torch.log_softmax(self.classifier(x), 1)
        one_hot = torch.eye(self.k)
        bounds = [self.bound(x, one_hot[k].expand(len(x), -1)) for k in range(self.k)]
        return (log_q.exp() * (torch.stack(bounds, 1) - log_q)).sum(1)


def naive_epoch(x: Tensor, x_l: Tensor, y_l: Tensor) -> None:
    model = NaiveM2()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    one_hot = F.one_hot(y_l, CLASSES).float()
    for index in torch.randperm(len(x)).split(BATCH):
        supervised = model.bound(x_l, one_hot).mean() - 60 * F.cross_entropy(model.classifier(x_l), y_l)
        loss = -model.unlabelled(x[index]).mean() - supervised
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def pyro_epoch(x: Tensor, x_l: Tensor, y_l: Tensor) -> None:
    """As in Pyro's example of M2: enumerated labels, and a second objective that trains the classifier."""
    import pyro
    import pyro.distributions as dist
    from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate

    nets = NaiveM2()

    def model(images: Tensor, labels: Tensor | None = None) -> None:
        pyro.module("m2", nets)
        with pyro.plate("rows", len(images)):
            z = pyro.sample("z", dist.Normal(images.new_zeros(len(images), N_LATENT), 1.0).to_event(1))
            prior = dist.OneHotCategorical(probs=images.new_full((len(images), CLASSES), 1 / CLASSES))
            y = pyro.sample("y", prior, obs=labels)
            both = torch.cat([z.expand(*y.shape[:-1], -1), y.expand(*y.shape[:-1], -1)], -1)
            pyro.sample("x", dist.Bernoulli(logits=nets.decoder(both), validate_args=False).to_event(1), obs=images)

    def guide(images: Tensor, labels: Tensor | None = None) -> None:
        with pyro.plate("rows", len(images)):
            y = labels
            if y is None:
                y = pyro.sample("y", dist.OneHotCategorical(logits=nets.classifier(images)))
            mu, log_var = nets.encoder(torch.cat([images.expand(*y.shape[:-1], -1), y], -1)).chunk(2, -1)
            pyro.sample("z", dist.Normal(mu, torch.exp(0.5 * log_var)).to_event(1))

    def classify(images: Tensor, labels: Tensor) -> None:
        pyro.module("m2", nets)
        with pyro.plate("rows", len(images)), pyro.poutine.scale(scale=60.0):
            pyro.sample("y", dist.OneHotCategorical(logits=nets.classifier(images)), obs=labels)

    def nothing(images: Tensor, labels: Tensor) -> None:
        pass

    pyro.clear_param_store()
    optimizer, one_hot = pyro.optim.Adam({"lr": 1e-3}), F.one_hot(y_l, CLASSES).float()
    enumerated = config_enumerate(guide, "parallel", expand=True)
    bound = SVI(model, enumerated, optimizer, TraceEnum_ELBO(max_plate_nesting=1))
    supervised = SVI(classify, nothing, optimizer, pyro.infer.Trace_ELBO())
    for index in torch.randperm(len(x)).split(BATCH):
        bound.step(x[index])
        bound.step(x_l, one_hot)
        supervised.step(x_l, one_hot)


def on_processor(job: Callable[[], object]) -> float:
    """Seconds that a job takes there."""
    begun = time.process_time()
    job()
    return time.process_time() - begun


def ours(precision: str, images: np.ndarray, y: np.ndarray) -> float:
    """Seconds of an epoch."""

    def seconds(epochs: int) -> float:
        how = M2 | {"max_epochs": epochs, "batch_size": BATCH, "neighbours": False, "precision": precision}
        return on_processor(lambda: ul.SemiSupervisedVAE(**how, random_state=0).fit(images, y))

    return seconds(2) - seconds(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=6000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    train = ul.datasets.fetch_mnist("train")
    images, target = train.data[: arguments.images] / 255.0, train.target[: arguments.images]
    y = labelled(target, 100, 0)
    x = torch.as_tensor(images.reshape(len(images), -1), dtype=torch.float32)
    of_labels = x[y >= 0], torch.as_tensor(target[y >= 0].astype(int))
    loops = {"naive loop": partial(naive_epoch, x, *of_labels)}
    pyro = importlib.util.find_spec("pyro") is not None
    if pyro:
        loops["Pyro"] = partial(pyro_epoch, x, *of_labels)
    seconds = {name: [] for name in (*loops, "underlie, float32", "underlie, bfloat16")}
    for turn in range(arguments.rounds + 1):
        found = {name: on_processor(loop) for name, loop in loops.items()}
        found |= {f"underlie, {p}": ours(p, images, y) for p in ("float32", "bfloat16")}
        for name, value in found.items():
            if turn:
                seconds[name].append(value)
    of_each = {name: statistics.median(own) / len(x) * 60_000 for name, own in seconds.items()}
    rows = [
        measured.row(name, found, seconds_per_60_000_images=of_each[name])
        for name, found in measured.ratios(seconds, "naive loop").items()
    ]
    note = f"Processor time of an epoch over {len(x):,} images, relative to the naive loop in the same round."
    title = "M2: an epoch over unlabelled images, the sum over ten classes exact"
    measured.keep("m2_epoch", [{"title": title, "note": note, "rows": rows}], ["pyro-ppl"] if pyro else [])


if __name__ == "__main__":
    main()
