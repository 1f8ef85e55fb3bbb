"""The path over alpha: what is compared is comparable, and its table says what its runs say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

import underlie as ul
from underlie.check.alpha_path import MEASURES, _label_draws
from underlie.check.calibration import label_log_loss

DIGITS = ul.datasets.load_digits()
X, Y, X_TEST, Y_TEST = DIGITS.data[:240], DIGITS.target[:240], DIGITS.data[240:340], DIGITS.target[240:340]


def settings(**changes: object) -> ul.SemiSupervisedVAE:
    own = {"hidden": (16,), "max_epochs": 3, "batch_size": 40, "neighbours": False, "verbose": False}
    return ul.SemiSupervisedVAE(4, **(own | changes))


@pytest.fixture(scope="module")
def path() -> ul.check.alpha_path.AlphaPath:
    return ul.alpha_path(
        settings(),
        X,
        Y,
        X_TEST,
        Y_TEST,
        [1.0, 0.1],
        n_labelled=40,
        n_draws=2,
        n_replicates=2,
        n_importance=2,
        random_state=0,
    )


def test_nothing_but_alpha_differs_and_zero_is_always_there(path: ul.check.alpha_path.AlphaPath) -> None:
    assert path.alphas.tolist() == [0.0, 0.1, 1.0]
    assert len(path.runs) == 3 * 2 * 2
    assert list(path.runs.columns) == list(MEASURES)
    assert (path.n_labelled, path.n, path.n_test) == (40, 240, 100)


def test_table_is_of_the_runs_with_draws_as_the_unit(path: ul.check.alpha_path.AlphaPath) -> None:
    for measure in MEASURES:
        draws = path.runs[measure].groupby(["alpha", "draw"]).mean().unstack("draw")
        own = path.table.loc[measure]
        np.testing.assert_allclose(own["mean"], draws.mean(axis=1))
        np.testing.assert_allclose(own["se"], draws.std(axis=1) / np.sqrt(2))
        difference = draws - draws.loc[0.0]
        np.testing.assert_allclose(own["difference"], difference.mean(axis=1), atol=1e-12)
        np.testing.assert_allclose(own["difference_se"], difference.std(axis=1) / np.sqrt(2), atol=1e-12)


def test_measures_are_those_of_the_fit_itself() -> None:
    path = ul.alpha_path(settings(), X, Y, X_TEST, Y_TEST, [0.5], n_replicates=2, n_importance=2, random_state=3)
    rng = np.random.default_rng(3)
    model = settings(alpha=0.5, n_replicates=2, random_state=int(rng.integers(2**31))).fit(X, Y)
    for r in range(2):
        one, found = model.replicate(r), path.runs.loc[0.5, 0, r]
        p = one.predict_proba(X_TEST)
        p /= p.sum(axis=1, keepdims=True)  # float32 inside
        assert found["accuracy"] == accuracy_score(Y_TEST, p.argmax(axis=1))
        assert found["log_loss"] == pytest.approx(log_loss(Y_TEST, p), rel=1e-5)
        assert found["log_p_x"] == pytest.approx(one.score_samples(X_TEST, n_importance=2).mean())
        assert found["train_log_q"] == pytest.approx(-label_log_loss(one.predict_proba(X), Y), rel=1e-6)


def test_without_unlabelled_rows_a_small_weight_changes_nothing_about_the_classifier() -> None:
    """q(y | x) shares no parameter with the generative part: only unlabelled rows join the two."""
    path = ul.alpha_path(settings(), X, Y, X_TEST, Y_TEST, [1e-4], n_replicates=2, n_importance=2, random_state=0)
    for measure in ("accuracy", "log_loss", "brier_score", "train_log_q"):
        assert (path.table.loc[measure, "difference"] == 0).all()
    assert path.table.loc[("log_p_x", 1e-4), "difference"] > 0
    assert path.best() == 0.0  # the smallest of equals


def test_supervised_fit_takes_as_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[float, int] = {}
    fit = ul.SemiSupervisedVAE.fit

    def counted(self: ul.SemiSupervisedVAE, X: object, y: np.ndarray) -> ul.SemiSupervisedVAE:
        fit(self, X, y)
        n_labelled = sum(label is not None for label in y)
        rows = n_labelled if self.alpha == 0 else max(n_labelled, len(y) - n_labelled)
        taken[self.alpha] = (self.history_["train"].shape[1] - 1) * -(-rows // 40)
        return self

    monkeypatch.setattr(ul.SemiSupervisedVAE, "fit", counted)
    ul.alpha_path(
        settings(), X, Y, X_TEST, Y_TEST, [1.0], n_labelled=40, n_replicates=1, n_importance=2, random_state=0
    )
    assert taken[0.0] == taken[1.0] == 3 * 5


def test_labels_are_drawn_in_proportion_and_only_from_those_known() -> None:
    codes = np.where(np.arange(240) % 3 == 0, -1, np.arange(240) % 2)
    rng = np.random.default_rng(0)
    draws = list(_label_draws(codes, 40, 3, rng))
    assert len({draw.tobytes() for draw in draws}) == 3
    for draw in draws:
        kept = draw >= 0
        assert np.bincount(draw[kept]).tolist() == [20, 20]
        np.testing.assert_array_equal(draw[kept], codes[kept])


def test_named_classes_partly_unlabelled_rows_and_same_seed_same_path() -> None:
    names = np.array(["even", "odd"], dtype=object)[Y % 2]
    names[::4] = None
    test = np.array(["even", "odd"], dtype=object)[Y_TEST % 2]
    test[:10] = None
    both = [
        ul.alpha_path(settings(), X, names, X_TEST, test, [0.1], n_replicates=1, n_importance=2, random_state=5)
        for _ in "ab"
    ]
    pd.testing.assert_frame_equal(both[0].runs, both[1].runs)
    assert both[0].n_labelled == 180
    assert both[0].n_test == 90
    assert np.isnan(both[0].table.loc[("accuracy", 0.1), "se"])


def test_printed_and_drawn(path: ul.check.alpha_path.AlphaPath) -> None:
    assert "40 of 240 rows labelled, 100 held out" in str(path)
    assert "<table" in path._repr_html_()
    assert path.best("accuracy") == path.table.loc["accuracy", "mean"].idxmax()
    assert path.best() == path.table.loc["log_loss", "mean"].idxmin()
    for measure in MEASURES:
        ax = path.plot(measure)
        (line,) = [line for line in ax.get_lines() if line.get_linestyle() == "-" and line.get_label() == "mean"]
        np.testing.assert_allclose(line.get_ydata(), path.table.loc[measure, "mean"].iloc[1:])
        np.testing.assert_allclose(line.get_xdata(), np.log10(path.alphas[1:]))
    with pytest.raises(ValueError, match="measure='auc'"):
        path.plot("auc")
    with pytest.raises(ValueError, match="measure='auc'"):
        path.best("auc")


def test_bad_input_is_refused() -> None:
    good = (X, Y, X_TEST, Y_TEST)
    with pytest.raises(TypeError, match="model must be a SemiSupervisedVAE, got VAE"):
        ul.alpha_path(ul.VAE(), *good)
    with pytest.raises(ValueError, match="alphas must be finite"):
        ul.alpha_path(settings(), *good, [-1.0])
    with pytest.raises(ValueError, match="n_replicates must be a whole number"):
        ul.alpha_path(settings(), *good, n_replicates=0)
    with pytest.raises(ValueError, match="n_labelled=9: y has 240 labels of 10 classes"):
        ul.alpha_path(settings(), *good, n_labelled=9)
    with pytest.raises(ValueError, match="n_draws=2 draws of all labels are the same"):
        ul.alpha_path(settings(), *good, n_draws=2)
    with pytest.raises(ValueError, match="one column of classes"):
        ul.alpha_path(settings(), X, np.column_stack([Y, Y]), X_TEST, np.column_stack([Y_TEST, Y_TEST]))
    with pytest.raises(ValueError, match="one column of classes"):
        ul.alpha_path(settings(), X, Y + 0.5, X_TEST, Y_TEST + 0.5)
    with pytest.raises(ValueError, match="y_test has no label"):
        ul.alpha_path(settings(), X, Y, X_TEST, np.full(100, -1))
