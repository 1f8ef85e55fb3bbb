"""The semi-supervised autoencoder as an estimator: what its answers have to do with one another, and odd input."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import underlie as ul
from underlie.engine.run import Run
from underlie.nn import take, tensors

N = 60
GROUP = np.arange(N) % 3


def make(**changes: Any) -> ul.SemiSupervisedVAE:
    usual: dict[str, Any] = {
        "n_latent": 2,
        "hidden": (8,),
        "max_epochs": 10,
        "learning_rate": 1e-2,
        "verbose": False,
        "random_state": 0,
    }
    return ul.SemiSupervisedVAE(**{**usual, **changes})


def table(n: int = N, d: int = 4, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, d))
    X[:, 0] += 5.0 * (np.arange(n) % 3)
    return X


def holed() -> np.ndarray:
    X = table()
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    X[[5, 40]] = np.nan  # one labelled and one unlabelled row of which nothing was seen
    return X


def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    stripes = 0.6 * (np.arange(6) % 3 == GROUP[:, None])[:, None, :]
    return np.clip(stripes + 0.3 * rng.random((N, 6, 6)), 0, 1)


def patients() -> pd.DataFrame:
    data = ul.datasets.load_gbsg2()
    return data.drop(columns=["horTh"]).iloc[:N].reset_index(drop=True)


FEW = np.where(np.arange(N) < 20, GROUP, -1)
TWO = pd.DataFrame(
    {
        "shape": [["a", "b", "c"][k] if i < 20 else None for i, k in enumerate(GROUP)],
        "size": [np.sqrt(i + 0.5) if 10 <= i < 40 else np.nan for i in range(N)],
    }
)
DATA: dict[str, Any] = {
    "table": table(),
    "holed": holed(),
    "images": images(),
    "mixed": patients(),
    "binary": (table() > 0).astype(int),
    "one column": table(d=1),
    "constant column": np.column_stack([table(), np.ones(N)]),
    "all constant": np.ones((N, 3)),
    "equal rows": np.repeat(table(6), 10, axis=0),
    "more styles than columns": table(d=2),
}


@pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning")
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("auxiliary", [False, True])
def test_every_answer_to_every_data(data: str, auxiliary: bool, tmp_path: Path) -> None:
    X = DATA[data]
    model = make(auxiliary=auxiliary, max_epochs=3, n_latent=3).fit(X, FEW)
    y = model.predict(X)
    proba = model.predict_proba(X)
    assert set(y) <= {0, 1, 2}
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], y)
    assert model.transform(X).shape == (N, 3)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.score_samples(X, FEW)).all()
    two = X[:2]
    for answer in (
        model.reconstruct(X),
        model.restyle(X, 1),
        model.sample(N, y=GROUP),
        model.sample(N),
        model.impute(X),
        model.interpolate(two, N),
    ):
        assert type(answer) is type(X)
        assert answer.shape == X.shape
        assert not pd.isna(np.asarray(answer, dtype=object)).any()
    model.save(tmp_path / "model")
    again = ul.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), proba)
    np.testing.assert_array_equal(again.score_samples(X, FEW), model.score_samples(X, FEW))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


# ---- answers agree ----
@pytest.fixture(scope="module")
def two() -> ul.SemiSupervisedVAE:
    """A class and a number, each known of some rows."""
    return make(max_epochs=60).fit(table(), TWO)


def test_two_labels_of_two_types(two: ul.SemiSupervisedVAE, tmp_path: Path) -> None:
    X = table()
    found = two.predict(X)
    assert found.shape == (N, 2)
    assert {type(v) for v in found[:, 0]} == {str}
    assert {type(v) for v in found[:, 1]} == {float}
    assert two.classes_[0].tolist() == ["a", "b", "c"]
    assert two.classes_[1] is None
    assert two.sample(3, y=["b", 2.5], random_state=1).shape == (3, 4)
    assert two.restyle(X, ["b", 2.5]).shape == X.shape
    rows, labels = two.sample_labelled(5, random_state=0)
    assert rows.shape == (5, 4)
    assert labels.shape == (5, 2)
    with pytest.raises(ValueError, match="'size' is continuous and has no class probabilities"):
        two.predict_proba(X)
    with pytest.raises(ValueError, match="y, row 0, lacks a label"):
        two.sample(2, y=["b", np.nan])
    assert np.isfinite(two.score_samples(X, TWO)).all()
    two.save(tmp_path / "two")
    again = ul.load(tmp_path / "two")
    assert (again.predict(X) == found).all()


def test_styles_labels_and_rows_agree() -> None:
    X = images()
    model = make(max_epochs=150, hidden=(32,)).fit(X, FEW)
    shown = model.predict(X)
    picture = model.reconstruct(X)
    np.testing.assert_allclose(model.restyle(X, shown), picture, atol=1e-6)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X), shown), picture, atol=1e-6)
    path = model.interpolate(X[:2], 5, from_y=[1, 2])
    np.testing.assert_allclose(path[0], model.reconstruct(X[:1], [1])[0], atol=1e-6)
    np.testing.assert_allclose(path[-1], model.restyle(X[1:2], 1, from_y=[2])[0], atol=1e-6)
    np.testing.assert_allclose(model.interpolate(X[:2], 2, y=0)[1], model.restyle(X[1:2], 0)[0], atol=1e-6)
    # What a new row of a class shows is that class: the classifier, which was not asked, says so too.
    for k in range(3):
        assert (model.predict(model.restyle(X, k)) == k).mean() > 0.9
    rows, labels = model.sample_labelled(50, random_state=0)
    again, same = model.sample_labelled(50, random_state=0)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(labels, same)


def test_labels_drawn_have_the_frequencies_of_the_prior() -> None:
    y = np.array([0] * 30 + [1] * 8 + [-1] * 22)
    model = make(max_epochs=1).fit(table(), y)
    _, labels = model.sample_labelled(4000, random_state=3)
    p = 31 / 40
    assert abs((labels == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / 4000)  # one normal z-score: false alarms 6e-7


def test_the_score_is_the_accuracy_on_rows_with_a_label() -> None:
    model = make().fit(table(), FEW)
    X, truth = table(seed=3), np.where(np.arange(N) % 4 == 0, -1, GROUP)
    known = truth >= 0
    assert model.score(X, truth) == pytest.approx((model.predict(X)[known] == truth[known]).mean())
    weights = np.random.default_rng(0).random(N)
    right = (model.predict(X) == truth)[known]
    assert model.score(X, truth, weights) == pytest.approx(np.average(right, weights=weights[known]))
    with pytest.raises(ValueError, match="nothing to score"):
        model.score(X, np.full(N, -1))


# ---- replicates ----
@pytest.mark.parametrize(
    "changes", [{}, {"auxiliary": True}, {"likelihood": "bernoulli"}, {"valid_fraction": 0.3}, {"alpha": 0.0}], ids=str
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")
def test_a_replicate_is_the_same_alone_and_beside_others(changes: dict[str, Any], precision: str) -> None:
    X = images()
    settings = {"max_epochs": 6, "precision": precision, **changes}
    batch = make(n_replicates=3, random_state=np.random.default_rng(0), **settings).fit(X, FEW)
    for r in (0, 2):
        state = np.random.default_rng(0)
        state.integers(2**31 - 1, size=r)  # the seeds of those before it
        alone = make(n_replicates=1, random_state=state, **settings).fit(X, FEW)
        one = take(batch.model_, [r])
        for (name, a, _), (_, b, _) in zip(tensors(alone.model_), tensors(one), strict=True):
            if precision == "float32":
                assert torch.equal(a, b), name
            else:  # products in half precision are rounded as their shape has it
                torch.testing.assert_close(a, b, rtol=0.05, atol=0.02, msg=name)
        if precision == "float32":
            np.testing.assert_array_equal(batch.replicate(r).predict_proba(X), alone.predict_proba(X))


def test_predictions_are_averaged_over_replicates() -> None:
    X = table()
    model = make(n_replicates=3).fit(X, FEW)
    own = [model.replicate(r).predict_proba(X) for r in range(3)]
    np.testing.assert_allclose(np.mean(own, axis=0), model.predict_proba(X), atol=1e-6)
    best = model.replicate(model.best_replicate_)
    np.testing.assert_array_equal(best.transform(X, FEW.clip(0)), model.transform(X, FEW.clip(0)))
    with pytest.raises(ValueError, match="between 0 and 2"):
        model.replicate(3)


def test_a_saved_replicate_is_that_replicate_when_loaded(tmp_path: Path) -> None:
    X = table()
    model = make(n_replicates=3).fit(X, FEW)
    model.replicate(1).save(tmp_path / "one")
    loaded = ul.load(tmp_path / "one")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.replicate(1).predict_proba(X))
    assert model.n_replicates == 3
    assert (loaded.predict_proba(X) != model.predict_proba(X)).any()


def test_neighbours_hints_do_not_outlive_training() -> None:
    X = table()
    model = make().fit(X, FEW)
    assert model.spread_.shape == (N, 1)
    assert (model.spread_[20:, 0] == GROUP[20:]).mean() > 0.8
    assert not any("hint" in str(name) for name, _ in model.model_.named_buffers())
    assert "hint" not in str(model.model_)
    assert make(neighbours=False).fit(X, FEW).spread_ is None
    assert make().fit(X, GROUP).spread_ is None  # every row has its label


# ---- what users do ----
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [make(max_epochs=30, learning_rate=0.02)],
    expected_failed_checks=lambda _: {
        "check_methods_subset_invariance": "in single precision the last digits may depend on the number of rows",
        "check_classifier_data_not_an_array": "whole numbers are counts in a table, continuous in an array",
        "check_classifiers_classes": "-1 marks rows without a label",
        "check_classifiers_regression_target": "labels may be continuous",
        "check_supervised_y_2d": "labels may have several columns, of which one is as good as none",
    },
)
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


def test_parameters_and_copies() -> None:
    model = make(classes=[0, 1, 2], auxiliary=3)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(alpha=0.5).alpha == 0.5


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(max_epochs=2).fit(table(), FEW)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_an_interrupted_training_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Run.epoch

    def interrupted(self: Any, epoch: int) -> Any:
        if epoch == 4:
            raise KeyboardInterrupt
        return whole(self, epoch)

    monkeypatch.setattr(Run, "epoch", interrupted)
    with pytest.warns(ul.warnings.ConvergenceWarning, match="interrupted after 3 epochs"):
        model = make().fit(table(), FEW)
    assert model.history_["train"].shape == (1, 4)
    assert np.isfinite(model.score_samples(table())).all()


def test_a_divergence_is_said_and_leaves_no_model() -> None:
    model = make(learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="diverged"):
        model.fit(table(), FEW)
    assert not hasattr(model, "model_")


def test_no_labels_at_all_but_classes() -> None:
    model = make(classes=["u", "v"]).fit(table(), [None] * N)
    assert model.alpha_ == 1.0
    assert model.predict_proba(table()).shape == (N, 2)
    with pytest.raises(ValueError, match="alpha is 0"):
        make(classes=["u", "v"], alpha=0).fit(table(), [None] * N)


def test_a_class_without_labelled_rows_can_be_asked_for() -> None:
    model = make(classes=[0, 1, 2, 3]).fit(table(), FEW)
    assert model.predict_proba(table()).shape == (N, 4)
    assert model.sample(2, y=3).shape == (2, 4)


def test_at_alpha_zero_steps_are_counted_by_labelled_rows() -> None:
    model = make(alpha=0, max_epochs="auto").fit(table(), FEW)
    assert model.history_["train"].shape[1] - 1 == 200  # one step an epoch, and at most 200 epochs


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_rows(n: int) -> None:
    y = np.array([0, 1, -1, -1])[:n]
    model = make(max_epochs=2).fit(table(n), y)
    assert np.isfinite(model.score_samples(table(n))).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": "much"}, "alpha"),
        ({"label_weight": 0.0}, "label_weight"),
        ({"auxiliary": -1}, "auxiliary"),
        ({"auxiliary": 1.5}, "auxiliary"),
        ({"neighbours": "yes"}, "neighbours"),
        ({"classifier": "cnn"}, "classifier is 'cnn'; give 'mlp'"),
        ({"classifier": "auto"}, "classifier is 'auto'; give 'mlp'"),
        ({"classifier": "lenet5"}, "lenet5"),
        ({"classifier_hidden": (0,)}, "classifier_hidden"),
        ({"n_latent": 0}, "n_latent"),
        ({"precision": "half"}, "precision"),
        ({"batch_size": 0}, "batch_size"),
        ({"encoder": "conv"}, "encoder"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_used(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make(**changes).fit(table(), FEW)


def test_rows_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="1"):
        make(classes=[0, 1]).fit(table(1), [0])
    model = make(max_epochs=1).fit(images(), FEW)
    with pytest.raises(ValueError, match="6"):
        model.predict(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="2 rows"):
        model.interpolate(images()[:3])
    with pytest.raises(ValueError, match="at least 2"):
        model.interpolate(images()[:2], 1)
    with pytest.raises(ValueError, match="Z must have shape"):
        model.inverse_transform(np.zeros((2, 5)), 1)
    with pytest.raises(ValueError, match="lacks a label"):
        model.sample(2, y=-1)
    with pytest.raises(ValueError, match="label 7"):
        model.sample(2, y=7)
    with pytest.raises(ValueError, match="y has 3 rows, X has 2"):
        model.sample(2, y=[0, 1, 2])
