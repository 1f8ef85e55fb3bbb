"""Images of digits for the reproduction, and a small network that is trained on them for its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import underlie as ul
from underlie.datasets import FetchError
from underlie.datasets._fetch import cache_folder, find_local

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Digits:
    """Flat images (n, D) with pixels in [0, 1], and their labels, to train and to test on."""

    name: str
    train: Array
    train_label: NDArray[np.int_]
    test: Array
    test_label: NDArray[np.int_]
    side: int


def mnist() -> Digits:
    """MNIST from this machine; never by download, which is left to the user.

    Raises
    ------
    FetchError
        If it is not here.
    """
    if find_local("mnist.npz") is None and not (cache_folder() / "mnist.npz").is_file():
        raise FetchError(
            "MNIST is not on this machine. Put mnist.npz in the folder named by the variable UNDERLIE_DATA, or let "
            "underlie.datasets.fetch_mnist() download it once (11 MB, checked)"
        )
    train, test = ul.datasets.fetch_mnist("train"), ul.datasets.fetch_mnist("test")
    assert train.target is not None
    assert test.target is not None
    return Digits("MNIST", _flat(train.data, 255), train.target, _flat(test.data, 255), test.target, 28)


def small_digits(seed: int) -> Digits:
    """scikit-learn's digits of 8 by 8 pixels, four fifths of them to train on: for the quick version."""
    digits = ul.datasets.load_digits()
    assert digits.target is not None
    order = np.random.default_rng(seed).permutation(len(digits.data))
    flat, label = _flat(digits.data, 16)[order], digits.target[order]
    cut = round(0.8 * len(flat))
    return Digits("scikit-learn's digits", flat[:cut], label[:cut], flat[cut:], label[cut:], 8)


def _flat(images: NDArray[np.generic], white: int) -> Array:
    return np.asarray(images, dtype=float).reshape(len(images), -1) / white


class FeatureNetwork(nn.Module):
    """Two convolutions, a layer of 64 features, ten classes."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side
        self._body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (side // 4) ** 2, 64),
            nn.ReLU(),
        )
        self._classes = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten classes of flat images (n, D)."""
        return self._classes(self._body(x.view(-1, 1, self._side, self._side)))

    def features(self, flat: Array) -> Array:
        """Output of the penultimate layer for flat images (n, D): (n, 64)."""
        self.eval()
        with torch.no_grad():
            parts = torch.as_tensor(flat, dtype=torch.float32).split(2000)
            return torch.cat([self._body(p.view(-1, 1, self._side, self._side)) for p in parts]).double().numpy()

    def accuracy(self, flat: Array, label: NDArray[np.int_]) -> float:
        """Share of images that are named right."""
        self.eval()
        with torch.no_grad():
            parts = torch.as_tensor(flat, dtype=torch.float32).split(2000)
            named = torch.cat([self(p).argmax(1) for p in parts]).numpy()
        return float(np.mean(named == label))


def train_features(digits: Digits, epochs: int, seed: int) -> FeatureNetwork:
    """The network trained to tell the ten digits apart; same seed, same network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FeatureNetwork(digits.side)
        x = torch.as_tensor(digits.train, dtype=torch.float32)
        y = torch.as_tensor(digits.train_label, dtype=torch.long)
        steps = epochs * -(-len(x) // 128)
        optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(128):
                optimiser.zero_grad()
                nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
                optimiser.step()
                schedule.step()
    return network
