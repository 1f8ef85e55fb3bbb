"""PPCAClassifier is Bayes' rule on Gaussian densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

import underlie as ul
from underlie.warnings import DataWarning


def two_groups(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    base = rng.normal(size=(n, 4)) @ np.diag([1, 2, 1, 0.5])
    X = np.where(y[:, None], base @ rng.normal(size=(4, 4)) * 0.7 + 1, base)
    return X * [1, 10, 1, 100], np.where(y, "ill", "well")


def holed(X: np.ndarray, share: float = 0.2) -> np.ndarray:
    X = X.copy()
    X[np.random.default_rng(1).random(X.shape) < share] = np.nan
    return X


def test_with_all_components_it_is_quadratic_discriminant_analysis() -> None:
    X, y = two_groups()
    ours = ul.PPCAClassifier(3).fit(X, y)
    # scikit-learn's covariances divide by n - 1, ours by n: nearly the same probabilities
    theirs = QuadraticDiscriminantAnalysis().fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=0.02)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=0.01)


def test_probabilities_are_bayes_rule_on_what_is_observed() -> None:
    X, y = two_groups()
    X = holed(X)
    model = ul.PPCAClassifier(2).fit(X, y)
    scale = np.outer(model.scale_, model.scale_)
    joint = np.zeros((20, 2))
    for k, part in enumerate(model.models_):
        mean, C = part.mean * model.scale_, part.covariance() * scale
        for i in range(20):
            seen = ~np.isnan(X[i])
            joint[i, k] = stats.multivariate_normal(mean[seen], C[np.ix_(seen, seen)]).logpdf(X[i, seen])
    joint += np.log(model.class_prior_)
    np.testing.assert_allclose(model.predict_proba(X[:20]), softmax(joint, axis=1), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(model.score_samples(X[:20]), np.logaddexp(*joint.T), rtol=1e-8)
    np.testing.assert_array_equal(model.predict(X[:20]), model.classes_[joint.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)).sum(axis=1), 1)


def test_a_row_without_cells_gets_the_priors() -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier(2).fit(X, y)
    nothing = np.full((1, 4), np.nan)
    np.testing.assert_allclose(model.predict_proba(nothing)[0], [(y == "ill").mean(), (y == "well").mean()])
    assert model.score_samples(nothing)[0] == pytest.approx(0)


def test_far_away_rows_have_finite_probabilities() -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier(2).fit(X, y)
    probabilities = model.predict_proba(X[:5] * 1e8)
    assert np.isfinite(probabilities).all()
    assert np.isfinite(model.predict_log_proba(X[:5] * 1e8)).all()


@pytest.mark.parametrize(
    ("priors", "expected"),
    [("uniform", [0.5, 0.5]), ([0.9, 0.1], [0.9, 0.1]), ({"well": 0.2, "ill": 0.8}, [0.8, 0.2])],
)
def test_priors(priors: Any, expected: list[float]) -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier(1, priors=priors).fit(X, y)
    np.testing.assert_allclose(model.class_prior_, expected)
    base = ul.PPCAClassifier(1).fit(X, y)
    assert model.n_parameters_ == base.n_parameters_ - 1
    odds = np.diff(model.predict_log_proba(X)) - np.diff(base.predict_log_proba(X))
    np.testing.assert_allclose(odds, np.diff(np.log(expected))[0] - np.diff(np.log(base.class_prior_))[0], atol=1e-6)


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ("equal", "priors must be None"),
        ([0.5, 0.6], "sum to 1"),
        ([1.0, 0.0], "positive"),
        ([0.2, 0.3, 0.5], r"shape \(3,\), but y has 2 classes"),
        ({"ill": 1.0}, "priors has the keys"),
        ([np.nan, 1.0], "positive"),
    ],
)
def test_bad_priors(priors: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ul.PPCAClassifier(1, priors=priors).fit(*two_groups())


def test_units_do_not_matter() -> None:
    X, y = two_groups()
    units = np.array([1e-6, 1e3, 7, 1])
    a, b = ul.PPCAClassifier(2).fit(X, y), ul.PPCAClassifier(2).fit(X * units, y)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X * units), atol=1e-8)


def test_digits_are_recognised() -> None:
    digits = ul.datasets.load_digits()
    train = np.arange(len(digits.data)) % 3 > 0
    model = ul.PPCAClassifier(10, standardize=False).fit(digits.data[train], digits.target[train])
    assert model.score(digits.data[~train], digits.target[~train]) > 0.95
    hidden = holed(digits.data[~train], 0.5)
    assert model.score(hidden, digits.target[~train]) > 0.85
    assert model.sample(3, y=[4, 4, 2], random_state=0).shape == (3, 8, 8)


def test_samples_of_a_class_have_its_moments() -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier(2).fit(X, y)
    drawn = model.sample(20_000, y="ill", random_state=0)
    scale = X.std(axis=0)
    # 5 standard errors of a mean are 0.035 of a standard deviation; false alarm below 1e-5
    np.testing.assert_allclose((drawn.mean(axis=0) - X[y == "ill"].mean(axis=0)) / scale, 0, atol=0.08)
    mixed = model.sample(20_000, random_state=0)
    mean, second = model.exact_moments()
    np.testing.assert_allclose((mixed.mean(axis=0) - mean) / scale, 0, atol=0.04)
    np.testing.assert_allclose(
        mixed.T @ mixed / 20_000 / np.outer(scale, scale), second / np.outer(scale, scale), atol=0.12
    )


def test_imputation_mixes_the_classes() -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier(2).fit(X, y)
    nothing = np.full((2000, 4), np.nan)
    mean, second = model.exact_moments()
    np.testing.assert_allclose(model.impute(nothing[:1])[0], mean, rtol=1e-9)
    draws = model.impute(nothing, n_draws=2, random_state=0)
    assert len(draws) == 2
    scale = np.sqrt(np.diag(second) - mean**2)
    # standard error 1 / sqrt(4000) = 0.016; 5 of them
    np.testing.assert_allclose((np.concatenate(draws).mean(axis=0) - mean) / scale, 0, atol=0.08)


def test_tables_with_labels_in_a_column() -> None:
    X, y = two_groups()
    table = pd.DataFrame(X, columns=list("abcd")).assign(group=pd.Categorical(np.where(X[:, 0] > 0, "u", "v")))
    table.loc[::7, "group"] = None
    model = ul.PPCAClassifier(2).fit(table, pd.Series(y, dtype="category"))
    assert set(model.predict(table)) <= {"ill", "well"}
    assert list(model.sample(3, y="well").columns) == list(table.columns)
    assert not model.impute(table).isna().any().any()


def test_small_classes_get_fewer_components() -> None:
    X, y = two_groups()
    y = y.astype(object)
    y[:3] = "rare"
    with pytest.warns(DataWarning, match=r"n_components=2 is reduced to 1 for class 'rare', which has 3 rows"):
        model = ul.PPCAClassifier(2).fit(X, y)
    assert model.n_components_.tolist() == [2, 1, 2]
    y[1:3] = "well"
    with pytest.warns(DataWarning, match="class 'rare' has 1 row"):
        model = ul.PPCAClassifier(2).fit(X, y)
    assert np.isfinite(model.predict_log_proba(X)).all()
    assert model.predict_proba(X)[0, 1] > model.class_prior_[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (["a", "b"], "y has 2 labels, but X has 300 rows"),
        (["a"] * 299 + [None], "row 299 has no label"),
        ([0.0] * 299 + [np.nan], "row 299 has no label"),
        ([0.0] * 299 + [np.inf], "row 299"),
        (np.linspace(0.1, 9.7, 300), "Unknown label type"),
        (np.zeros((300, 2)), "1d array"),
        (range(300), "every class in y has 1 row"),
    ],
    ids=["none", "short", "missing", "nan", "inf", "continuous", "two-columns", "all-different"],
)
def test_bad_labels(y: Any, message: str) -> None:
    labels = None if y is None else np.asarray(y)
    with pytest.raises(ValueError, match=message):
        ul.PPCAClassifier(1).fit(two_groups()[0], labels)


def test_a_column_that_a_class_never_shows() -> None:
    X, y = two_groups()
    X[y == "ill", 2] = np.nan
    with pytest.raises(ValueError, match="column 'x2' of X is missing in every row of class 'ill'"):
        ul.PPCAClassifier(1).fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [("dead", "y, row 0, is .*dead.*choose among"), (["ill"], r"y has shape \(1,\), but one label or 2")],
)
def test_bad_classes_to_sample(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ul.PPCAClassifier(1).fit(*two_groups()).sample(2, y=y)


def test_score_without_labels_is_the_log_likelihood() -> None:
    X, y = two_groups()
    model = ul.PPCAClassifier("bic").fit(X, y)
    assert model.score(X) == pytest.approx(model.score_samples(X).mean())
    assert model.score(X, y) == np.mean(model.predict(X) == y)
