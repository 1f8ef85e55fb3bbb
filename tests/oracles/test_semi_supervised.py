"""Fitted semi-supervised models against brute force and against the classifier that they are without their bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import underlie as ul

#: A tiny model's guide is poor, which the number of draws makes up for; estimates are held against exact values here.
pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning")

N = 90
GROUP = np.arange(N) % 3


def images(seed: int = 0) -> np.ndarray:
    """Stripes at three places, 12 x 12, in [0, 1]."""
    rng = np.random.default_rng(seed)
    stripes = 0.6 * (np.arange(12) % 3 == GROUP[:, None])[:, None, :]
    return np.clip(stripes + 0.3 * rng.random((N, 12, 12)), 0, 1)


def table(seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(N, 10))
    X[:, :3] += 2.5 * np.eye(3)[GROUP]
    return X


def holed(seed: int = 0) -> np.ndarray:
    X = table(seed)
    X[np.random.default_rng(seed + 1).random(X.shape) < 0.2] = np.nan
    return X


@pytest.mark.parametrize(
    ("X", "network"),
    [(table(), "mlp"), (holed(), "mlp"), (images(), "mlp"), (images(), "lenet5")],
    ids=["table", "holed", "pixels", "lenet5"],
)
def test_without_the_bound_it_is_the_classifier_bit_for_bit(X: np.ndarray, network: Any) -> None:
    # Gradients are clipped at the number of columns, or at 10: this table has 10, and images do not come near.
    same: dict[str, Any] = {
        "max_epochs": 8,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "weight_decay": 0.01,
        "valid_fraction": 0.0,
        "n_replicates": 2,
        "random_state": 5,
        "verbose": False,
    }
    model = ul.SemiSupervisedVAE(3, alpha=0, hidden=(7,), classifier=network, classifier_hidden=(9,), **same)
    model.fit(X, GROUP)
    plain = ul.NeuralClassifier(network, hidden=(9,), **same).fit(X, GROUP)
    own, other = model.model_.inference["y0"].net, plain.model_.generative["y"].net
    for (name, a), (_, b) in zip(own.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(model.history_["train"][:, 1:], plain.history_["train"][:, 1:])


@pytest.fixture(scope="module", params=[False, True], ids=["m2", "sdgm"])
def fitted(request: pytest.FixtureRequest) -> ul.SemiSupervisedVAE:
    X, y = table()[:, :4], np.where(np.arange(N) < 40, GROUP, -1)
    model = ul.SemiSupervisedVAE(
        1, auxiliary=int(request.param), hidden=(8,), max_epochs=30, learning_rate=1e-2, random_state=0, verbose=False
    )
    return model.fit(X, y)


def exact(model: ul.SemiSupervisedVAE, X: np.ndarray) -> np.ndarray:
    """log p(x, y) of each class by a sum over a grid of styles (and auxiliary values), (n, K)."""
    graph = model._conditioner.model.generative
    encoded = model.encoder_.encode(X)
    line = torch.linspace(-6.0, 6.0, 241)
    auxiliary = "a" in graph
    z = line if not auxiliary else line[::3]
    wide = torch.linspace(-15.0, 15.0, 301)
    grid = torch.cartesian_prod(z, wide) if auxiliary else z[:, None]
    cell = float(z[1] - z[0]) * (float(wide[1] - wide[0]) if auxiliary else 1.0)
    x = torch.as_tensor(encoded.values, dtype=torch.float32)[None, None]
    found = []
    for k in range(3):
        values = {"x": x, "y0": torch.full((1, 1, len(X), 1), float(k)), "z": grid[None, :, None, :1]}
        if auxiliary:
            values["a"] = grid[None, :, None, 1:]
        with torch.no_grad():
            joint = graph.log_prob(ul.graph.Batch(values))
        found.append(torch.logsumexp(joint[0].double(), 0).numpy() + np.log(cell))
    return np.column_stack(found) + model.encoder_.log_abs_det(encoded.observed, len(X))[:, None]


def test_likelihoods_are_those_of_a_sum_over_a_grid(fitted: ul.SemiSupervisedVAE) -> None:
    X = table(7)[:12, :4]
    truth = exact(fitted, X)
    n = 20_000
    # Quasi-random draws are far more precise than independent ones, whose standard errors here are below 0.03.
    for k in range(3):
        np.testing.assert_allclose(fitted.score_samples(X, [k] * 12, n_importance=n), truth[:, k], atol=0.05)
    total = np.logaddexp.reduce(truth, axis=1)
    np.testing.assert_allclose(fitted.score_samples(X, n_importance=n), total, atol=0.05)
    np.testing.assert_allclose(fitted.predict_proba(X, n_importance=n), np.exp(truth - total[:, None]), atol=0.03)


def test_classes_share_out_the_likelihood(fitted: ul.SemiSupervisedVAE) -> None:
    X = table(7)[:, :4]
    total = fitted.score_samples(X)
    parts = np.column_stack([fitted.score_samples(X, [k] * N) for k in range(3)])
    np.testing.assert_allclose(np.exp(parts - total[:, None]).sum(axis=1), 1.0, rtol=1e-4)
    assert (parts <= total[:, None] + 1e-4).all()
    np.testing.assert_allclose(fitted.score_samples(X, [-1] * N), total, rtol=1e-6)
    some = fitted.score_samples(X, [1 if i % 2 else -1 for i in range(N)])
    np.testing.assert_allclose(some, np.where(np.arange(N) % 2, parts[:, 1], total), rtol=1e-5)
    posterior = np.exp(parts - total[:, None])
    np.testing.assert_allclose(fitted.predict_proba(X, n_importance=32), posterior, atol=1e-4)


def test_the_density_of_a_number_integrates_to_that_of_its_row() -> None:
    X = table()[:, :3]
    y = np.where(np.arange(N) < 60, 100.0 + 20.0 * X[:, 0], np.nan)
    settings: dict[str, Any] = {"hidden": (8,), "max_epochs": 60, "learning_rate": 1e-2, "verbose": False}
    model = ul.SemiSupervisedVAE(1, random_state=0, **settings).fit(X, y)
    row = X[[1]]
    line = np.linspace(-100.0, 300.0, 1601)
    draws = 4096  # for each number of the line and for the row, whose number is drawn from the guide too
    log_p = model.score_samples(np.repeat(row, len(line), axis=0), line, n_importance=draws)
    integral = np.exp(log_p - model.score_samples(row, n_importance=draws)).sum() * (line[1] - line[0])
    assert integral == pytest.approx(1.0, abs=0.05)
    assert model.score(X[60:], 100.0 + 20.0 * X[60:, 0]) > 0.5
