"""Neural classifiers: what they learn, committees, further predictors, saving, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import underlie as ul
from underlie.estimators.persistence import LoadError
from underlie.warnings import DataWarning

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def make(**parameters: Any) -> ul.NeuralClassifier:
    small = {"hidden": (16,), "max_epochs": 3, "random_state": 0, "verbose": False, "precision": "float32"}
    return ul.NeuralClassifier(**(small | parameters))


def two_groups(n: int = 60, d: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.normal(size=(n, d)) + 3 * y[:, None], y


def bars(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of 12 x 14 with a bright row or a bright column somewhere."""
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(0, 0.3, size=(n, 12, 14)), np.arange(n) % 2
    for i in range(n):
        at = rng.integers(2, 10)
        X[i][(at, slice(None)) if y[i] else (slice(None), at)] = 1.0
    return X, y


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [make(max_epochs=30, learning_rate=0.02)],
    expected_failed_checks=lambda _: {
        "check_methods_subset_invariance": "in single precision the last digits depend on the number of rows",
        "check_classifier_data_not_an_array": "whole numbers are counts in a table, continuous in an array",
    },
)
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


# ---- learning ----
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_reads_digits(precision: str) -> None:
    digits = ul.datasets.load_digits()
    model = make(hidden=(64,), max_epochs=15, precision=precision).fit(digits.data[:1000], digits.target[:1000])
    # chance is 0.1; 797 digits, so that a classifier right in 0.9 of all cases would fall below 0.85 less than once
    # in a million times (5 standard errors of 0.011)
    assert model.score(digits.data[1000:], digits.target[1000:]) > 0.85


def test_lenet_tells_rows_from_columns() -> None:
    X, y = bars(200)
    model = make(network="auto", max_epochs=15).fit(X, y)
    assert "LeNet5" in str(model.model_.generative["y"].net)
    # 100 images: at an error rate of 1 % more than 10 errors happen less than once in a million times
    assert model.score(*bars(100, seed=1)) >= 0.9


def test_further_predictors_are_learned_from() -> None:
    rng = np.random.default_rng(0)
    X, _ = bars(200)
    extra = pd.DataFrame({"kind": rng.choice(["a", "b"], 200), "dose": rng.normal(size=200)})
    extra.loc[::9, "dose"] = np.nan
    y = (extra["kind"] == "b").to_numpy()
    model = make(max_epochs=20, learning_rate=0.01).fit(X, y, extra=extra)
    assert model.score(X, y, extra=extra) == 1.0
    other = extra.assign(kind=np.where(y, "a", "b"))
    np.testing.assert_array_equal(model.predict(X, extra=other), ~y)


def test_missing_cells_are_told_to_the_network() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 2)), np.arange(300) % 2
    X[y == 1, 0] = np.where(rng.random(150) < 0.95, np.nan, X[y == 1, 0])  # whether it is missing tells the class
    model = make(max_epochs=40, learning_rate=0.01).fit(X, y)
    assert model.score(X, y) > 0.9
    images = bars()[0]
    images[::2, :2] = np.nan
    assert make(network="lenet5").fit(images, bars()[1]).predict_proba(images).shape == (80, 2)


# ---- committees ----
@pytest.mark.parametrize("network", ["mlp", "lenet5"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_member_is_the_same_bits_alone_and_in_a_committee(network: str, precision: str) -> None:
    X, y = bars()
    committee = make(network=network, n_replicates=3, precision=precision).fit(X, y)
    alone = make(network=network, precision=precision).fit(X, y)
    np.testing.assert_array_equal(committee.replicate(0).predict_proba(X), alone.predict_proba(X))
    np.testing.assert_array_equal(committee.history_["valid"][0], alone.history_["valid"][0])


def test_a_committee_averages_its_members() -> None:
    X, y = two_groups()
    model = make(n_replicates=3).fit(X, y)
    members = [model.replicate(r).predict_proba(X) for r in range(3)]
    np.testing.assert_allclose(model.predict_proba(X), np.mean(members, axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-9)
    assert np.ptp(members, axis=0).max() > 1e-3  # they differ
    assert model.history_["train"].shape == (3, 4)
    with pytest.raises(ValueError, match="between 0 and 2"):
        model.replicate(3)


def test_the_network_starts_from_a_generator_of_its_own() -> None:
    X, y = two_groups()
    model = make().fit(X, y)
    given = torch.Generator().manual_seed(7)
    own = torch.Generator().manual_seed(int(torch.randint(2**31 - 1, (1,), generator=torch.Generator().manual_seed(7))))
    built = model._build(given).generative["y"].net
    expected = ul.nn.MLP([3], (16,), 2, own)
    assert all(torch.equal(a, b) for a, b in zip(built.parameters(), expected.parameters(), strict=True))


def test_each_image_is_predicted_by_itself() -> None:
    X, y = bars(40)
    model = make(n_replicates=2).fit(X, y)
    many = np.concatenate([X] * 30)  # more than are predicted at a time
    np.testing.assert_allclose(model.predict_proba(many), np.concatenate([model.predict_proba(X)] * 30), rtol=1e-4)


# ---- saving ----
class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(168, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x.flatten(1)))


@pytest.mark.parametrize("network", ["mlp", "lenet5", "own"])
def test_a_loaded_model_gives_the_same_bits(network: str, tmp_path: Path) -> None:
    X, y = bars(30)
    extra = pd.DataFrame({"kind": list("uvw") * 10, "size": np.random.default_rng(0).lognormal(size=30)})
    model = make(network=Own() if network == "own" else network, n_replicates=2).fit(X, np.array(["p", "q"])[y], extra)
    model.save(tmp_path / "model")
    if network == "own":
        with pytest.raises(LoadError, match="network"):
            ul.load(tmp_path / "model")
        again = ul.load(tmp_path / "model", network=Own())
    else:
        again = ul.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X, extra), model.predict_proba(X, extra))
    assert again.predict(X, extra).dtype == model.classes_.dtype
    assert {n for n in vars(model) if n.endswith("_")} == {n for n in vars(again) if n.endswith("_")}
    np.testing.assert_array_equal(
        again.replicate(1).predict_proba(X, extra), model.replicate(1).predict_proba(X, extra)
    )


# ---- bad input ----
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        ([0, 1] * 9, "y has 18 labels, but X has 20 rows"),
        ([0.0, 1.0] * 9 + [np.nan, 1.0], "row 18 has no label.*SemiSupervisedVAE"),
        (["a", "b"] * 9 + [None, "b"], "row 18 has no label.*SemiSupervisedVAE"),
        (["a"] * 20, "one class only, 'a'"),
    ],
)
def test_labels_that_cannot_be_used(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().fit(two_groups(20)[0], y)


def test_a_class_of_one_row_is_named() -> None:
    X, _ = two_groups(20)
    with pytest.warns(DataWarning, match="'rare'.*single row"):
        model = make().fit(X, ["a", "b"] * 9 + ["a", "rare"])
    assert model.classes_.tolist() == ["a", "b", "rare"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "cnn"}, "give 'auto', 'mlp', 'lenet5' or an nn.Module"),
        ({"network": "lenet5"}, "reads images"),
        ({"precision": "float16"}, "precision"),
        ({"activation": "tanh"}, "activation is 'tanh'"),
        ({"n_replicates": 0}, "n_replicates"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"hidden": (0,)}, r"hidden\[0\]"),
        ({"valid_fraction": 1.5}, "valid_fraction"),
    ],
)
def test_parameters_that_cannot_be_used(parameters: dict[str, Any], message: str) -> None:
    model = make(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(*two_groups(20))
    with pytest.raises(NotFittedError):
        model.predict(two_groups(20)[0])


def test_images_too_small_for_lenet() -> None:
    X, y = np.random.default_rng(0).uniform(size=(20, 8, 8)), np.arange(20) % 2
    with pytest.raises(ValueError, match="at least 12 x 12 pixels, these have 8 x 8"):
        make(network="lenet5").fit(X, y)
    assert make().fit(X, y).predict(X).shape == (20,)  # "auto" takes a multilayer perceptron


def test_further_predictors_that_do_not_fit() -> None:
    X, y = two_groups(20)
    extra = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="extra has 19 rows, but X has 20"):
        make().fit(X, y, extra=extra[:19])
    model = make().fit(X, y, extra=extra)
    with pytest.raises(ValueError, match="give them as extra="):
        model.predict(X)
    with pytest.raises(ValueError, match="extra has 5 rows, but X has 20"):
        model.predict(X, extra=extra[:5])
    with pytest.raises(ValueError, match="without extra: leave it out"):
        make().fit(X, y).predict_proba(X, extra=extra)
