"""The semi-supervised model's law of x, labels summed out: its moments against exact integration and its own draws."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import underlie as ul
from underlie.check.adapters import moment_model
from underlie.check.gaps.model_moments import model_moments

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

Array = NDArray[np.float64]


def rows(n: int = 300) -> tuple[pd.DataFrame, Array, NDArray[Any]]:
    rng = np.random.default_rng(0)
    codes = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    z = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "a": 10.0 + 4 * codes + z + 0.3 * rng.normal(size=n),
            "b": rng.normal(size=n) - 2 * z,
            "c": pd.Categorical(np.array(["u", "v", "w"])[np.minimum(2, rng.poisson(0.3 + codes))]),
        }
    )
    return table, 5.0 + codes + 0.5 * rng.normal(size=n), np.array(["x", "y", "w"])[codes]


@cache
def fitted(kind: str) -> ul.SemiSupervisedVAE:
    table, continuous, names = rows()
    y: Any = {"class": names, "auxiliary": names, "two": pd.DataFrame({"kind": names, "dose": continuous})}[kind]
    model = ul.SemiSupervisedVAE(
        1, auxiliary=1 if kind == "auxiliary" else False, hidden=(8,), max_epochs=8, random_state=0, verbose=False
    )
    return model.fit(table, y)


def exact(model: ul.SemiSupervisedVAE) -> tuple[Array, Array]:
    """E[x] and E[x x'] by a sum over the classes and over a fine grid of every normal variable."""
    law = model.marginal()
    nodes = np.linspace(-7, 7, 281)
    weights = np.exp(-(nodes**2) / 2)
    width = law.sample_latent(1, 0).shape[1]
    axes: list[tuple[Array, Array]] = []
    for target in model.targets_.columns:
        if target.is_continuous:
            axes.append((nodes, weights / weights.sum()))
        else:
            axes.append((np.arange(len(target.classes)), prior(model)))
    axes += [(nodes, weights / weights.sum())] * (width - len(axes))
    grid = np.array(list(product(*[values for values, _ in axes])), dtype=float)
    share = np.prod(np.array(list(product(*[one for _, one in axes]))), axis=1)
    mean, variance = law.moments(grid)
    second = (mean * share[:, None]).T @ mean + np.diag(share @ variance)
    levels = np.arange(2, 5)  # of one category: never two at once
    off = np.ix_(levels, levels)
    second[off] = np.diag(np.diagonal(second)[levels])
    return share @ mean, second


def prior(model: ul.SemiSupervisedVAE) -> Array:
    """Frequencies of the classes, each raised by one row, as the model's."""
    _, _, names = rows()
    counts = np.array([(names == one).sum() for one in model.targets_.columns[0].classes]) + 1.0
    return np.asarray(counts / counts.sum())


@pytest.mark.parametrize("kind", ["class", "auxiliary", "two"])
def test_moments_are_those_of_the_sum_over_classes(kind: str) -> None:
    """Sixteen batches of draws: each entry within 6 of their standard errors (20 entries: 1 seed in 2,000).

    The grid knows the integral of a network with kinks to better than a thousandth of its size.
    """
    model = fitted(kind)
    mean, second = exact(model)
    found = model_moments(moment_model(model), np.zeros(len(mean)), 2, 16_384, np.random.default_rng(0))
    for batches, expected in zip(found.batches, (mean, second[np.triu_indices(len(mean))]), strict=True):
        error = batches.std(axis=0, ddof=1) / 4
        assert (np.abs(batches.mean(axis=0) - expected) < 6 * error + 1e-4 * np.abs(expected) + 1e-9).all()


def test_columns_are_those_of_the_rows() -> None:
    assert ul.mega(fitted("two"), rows()[0], n_bootstrap=0, n_draws=64).feature_names == ("a", "b", "c=u", "c=v", "c=w")


@pytest.mark.parametrize("kind", ["class", "auxiliary", "two"])
def test_own_draws_have_these_moments(kind: str) -> None:
    """40,000 rows drawn by the graph: each mean within 5 standard errors (five of them: 1 seed in 300,000)."""
    model = fitted(kind)
    mean, second = exact(model)
    X = model.encoder_.numeric(model.sample(40_000, random_state=1))
    assert (np.abs(X.mean(axis=0) - mean) < 5 * X.std(axis=0) / 200).all()
    products = X[:, :, None] * X[:, None, :]
    spread = products.std(axis=0) / 200
    assert (np.abs(products.mean(axis=0) - second) <= 5.5 * spread + 1e-12).all()


def test_own_rows_pass_the_check() -> None:
    """p is above its least, 0.01, in each of four orders: false alarm in 4 % of seeds."""
    model = fitted("class")
    result = ul.mega(
        model,
        model.sample(400, random_state=2),
        order=4,
        standardize=True,
        n_bootstrap=99,
        random_state=0,
        n_draws=4096,
    )
    assert not result.exact
    assert all(one.p_value is not None and one.p_value > 0.01 for one in result.orders.values())


def test_each_class_has_its_share_of_every_set_of_draws() -> None:
    model = fitted("class")
    draws = model.marginal().quasi_latent(64, random_state=0, n_batches=5)
    shares = np.stack([(draws[..., 0] == k).mean(axis=1) for k in range(3)], axis=1)
    assert (np.abs(shares - prior(model)) < 1 / 64 + 1e-12).all()


def test_it_cannot_be_refitted_without_labels_and_must_be_fitted() -> None:
    with pytest.raises(TypeError, match="refit=True is not possible for SemiSupervisedVAE"):
        ul.mega(fitted("class"), rows()[0], refit=True)
    with pytest.raises(Exception, match="not fitted"):
        ul.mega(ul.SemiSupervisedVAE(), rows()[0])
