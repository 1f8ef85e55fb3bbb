"""One variational autoencoder, fitted by underlie, by plain PyTorch loops, and by trainers of other libraries.

Two tasks: a table of 1,500 rows and 30 columns by a 30-64-4-64-30 network with batches of 128, and 10,000 images of 28
x 28 pixels by a 784-400-20-400-784 network with batches of 100. Every variant makes the same number of passes over the
same rows, by Adam or AdamW, on one thread; times are of whole fits on the processor, what a library does before and
after training included. The reference is a plain loop over rows in memory.

    python benchmarks/single_fits.py [--rounds 5] [--only table images]

pythae and Lightning take part where they are installed (``pip install 'underlie[benchmarks]'``).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO

import measured
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import underlie as ul

PEERS = ("pythae", "lightning")


@dataclass(frozen=True)
class Task:
    """What is to be learned, and for how long."""

    name: str
    title: str
    n_rows: int
    width: int
    hidden: int
    n_latent: int
    batch_size: int
    epochs: int
    images: bool

    def rows(self) -> Tensor:
        """Numbers in [0, 1] for images, standardised ones for the table."""
        g = torch.Generator().manual_seed(1)
        axes = torch.randn(3, self.width, generator=g)
        x = torch.randn(self.n_rows, 3, generator=g) @ axes + 0.3 * torch.randn(self.n_rows, self.width, generator=g)
        return torch.sigmoid(x) if self.images else (x - x.mean(0)) / x.std(0)


TASKS = {
    "table": Task("table", "A table: 1,500 x 30, network 30-64-4-64-30, 40 epochs", 1500, 30, 64, 4, 128, 40, False),
    "images": Task(
        "images", "Images: 10,000 x 784, network 784-400-20-400-784, 4 epochs", 10_000, 784, 400, 20, 100, 4, True
    ),
}


class PlainVAE(nn.Module):
    """What a user would write."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.enc, self.mu, self.log_var = (
            nn.Linear(task.width, task.hidden),
            nn.Linear(task.hidden, task.n_latent),
            nn.Linear(task.hidden, task.n_latent),
        )
        self.dec, self.out = nn.Linear(task.n_latent, task.hidden), nn.Linear(task.hidden, task.width)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.enc(x))
        return self.mu(h), self.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.out(torch.relu(self.dec(z)))

    def forward(self, x: Tensor) -> Tensor:
        mu, log_var = self.encode(x)
        out = self.decode(mu + torch.randn_like(mu) * torch.exp(0.5 * log_var))
        if self.task.images:
            error = F.binary_cross_entropy(torch.sigmoid(out), x, reduction="none").sum(-1)
        else:
            error = 0.5 * (out - x).pow(2).sum(-1)
        return (error - 0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(-1)).mean()


def plain(task: Task, batches: Callable[[], Iterable[Tensor]]) -> None:
    """The loop of every tutorial."""
    net = PlainVAE(task)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(task.epochs):
        for x in batches():
            loss = net(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()


def in_memory(task: Task, rows: Tensor) -> None:
    def batches() -> Iterable[Tensor]:
        order = torch.randperm(len(rows))
        return (rows[order[i : i + task.batch_size]] for i in range(0, len(rows), task.batch_size))

    plain(task, batches)


def with_loader(task: Task, rows: Tensor) -> None:
    loader = DataLoader(TensorDataset(rows), batch_size=task.batch_size, shuffle=True)
    plain(task, lambda: (x for (x,) in loader))


def underlie(task: Task, rows: Tensor, n_replicates: int = 1) -> None:
    model = ul.VAE(
        task.n_latent,
        hidden=(task.hidden,),
        likelihood="bernoulli" if task.images else "normal",
        batch_size=task.batch_size,
        max_epochs=task.epochs,
        patience=task.epochs,
        n_replicates=n_replicates,
        random_state=0,
        verbose=False,
    )
    model.fit(rows.reshape(-1, 28, 28).numpy() if task.images else rows.numpy())


def pythae(task: Task, rows: Tensor) -> None:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    net = PlainVAE(task)
    shape = (1, 28, 28) if task.images else (1, task.width, 1)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.enc, self.mu, self.log_var = net.enc, net.mu, net.log_var

        def forward(self, x: Tensor) -> object:
            h = torch.relu(self.enc(x.reshape(len(x), -1)))
            return ModelOutput(embedding=self.mu(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.dec, self.out = net.dec, net.out

        def forward(self, z: Tensor) -> object:
            out = self.out(torch.relu(self.dec(z)))
            return ModelOutput(reconstruction=(torch.sigmoid(out) if task.images else out).reshape(-1, *shape))

    error = "bce" if task.images else "mse"
    model = VAE(VAEConfig(input_dim=shape, latent_dim=task.n_latent, reconstruction_loss=error), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=task.epochs,
            learning_rate=1e-3,
            per_device_train_batch_size=task.batch_size,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        data = BaseDataset(rows.reshape(-1, *shape), torch.zeros(len(rows)))
        BaseTrainer(model, data, training_config=how).train()


def lightning(task: Task, rows: Tensor) -> None:
    import lightning as L

    class Module(L.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = PlainVAE(task)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            loss: Tensor = self.net(batch[0])
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    loader = DataLoader(TensorDataset(rows), batch_size=task.batch_size, shuffle=True)
    trainer = L.Trainer(
        max_epochs=task.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(Module(), loader)


Fit = Callable[[Task, Tensor], None]
VARIANTS: dict[str, Fit] = {
    "plain loop in memory": in_memory,
    "underlie": underlie,
    "plain loop, DataLoader": with_loader,
    "pythae": pythae,
    "Lightning": lightning,
}


#: What a fit by underlie may take at most, relative to the plain loop.
REACH = {"table": 0.6, "images": 0.7}


def compared(task: Task, variants: dict[str, Fit], rounds: int, absent: str) -> dict[str, object]:
    """The table of one task."""
    rows = task.rows()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the trainers' own bars
        seconds = measured.turns({name: partial(fit, task, rows) for name, fit in variants.items()}, rounds)
    found = measured.ratios(seconds, "plain loop in memory")
    note = "Processor time of a whole fit, relative to the plain loop in memory in the same round." + absent
    rows_found = [
        measured.row(name, r, **({"reach": REACH[task.name]} if name == "underlie" else {}))
        for name, r in found.items()
    ]
    return {"title": task.title, "note": note, "rows": rows_found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    there = [name for name in PEERS if importlib.util.find_spec(name)]
    variants = {name: fit for name, fit in VARIANTS.items() if name.lower() not in PEERS or name.lower() in there}
    absent = "" if len(there) == len(PEERS) else f" Not installed: {', '.join(set(PEERS) - set(there))}."
    tables = [compared(TASKS[name], variants, arguments.rounds, absent) for name in arguments.only]
    measured.keep("single_fits", tables, there)


if __name__ == "__main__":
    main()
