"""Bad input gives a clear error or a right answer: never NaN, never an error from deep inside.

Every test runs on every estimator in ``factories.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import FACTORIES, Factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import underlie as ul
from underlie.estimators.persistence import LoadError
from underlie.warnings import UnderlieWarning

pytestmark = pytest.mark.parametrize("factory", FACTORIES, ids=str)

#: words that only numerical libraries use
FOREIGN = (
    "broadcast",
    "singular matrix",
    "svd did not converge",
    "not positive definite",
    "mat1 and mat2",
    "nonetype",
    "index",
)


@contextmanager
def only_our_warnings() -> Iterator[None]:
    """Numerical warnings are faults; the package's own are answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UnderlieWarning)
        yield


def labels_for(n: int) -> np.ndarray:
    return np.array(["a", "b"])[np.arange(n) % 2]


def fit(factory: Factory, X: Any, y: Any = None) -> Any:
    model = factory.make()
    if factory.supervised:
        return model.fit(X, labels_for(len(X)) if y is None else y)
    return model.fit(X)


def has_missing(X: Any) -> bool:
    return bool(pd.DataFrame(np.asarray(X).reshape(len(X), -1)).isna().any().any())


def assert_answers(model: Any, X: Any) -> None:
    """Everything the model says about X, and by itself, is a number."""
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.score(X))
    if hasattr(model, "transform"):
        assert np.isfinite(model.transform(X)).all()
        assert np.isfinite(model.posterior(X).variance).all()
        assert not has_missing(model.inverse_transform(model.transform(X)))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    completed = [model.impute(X), *model.impute(X, n_draws=2, random_state=0)]
    for filled in completed:
        assert not has_missing(filled)
        seen = ~pd.isna(np.asarray(X))
        assert np.array_equal(np.asarray(filled)[seen], np.asarray(X)[seen])
    assert not has_missing(model.sample(3, random_state=0))


def assert_clear(error: Exception) -> None:
    message = str(error)
    assert len(message) > 20, message
    assert not any(word in message.lower() for word in FOREIGN), message


def assert_answers_or_clear_error(factory: Factory, X: Any) -> None:
    with only_our_warnings():
        try:
            model = fit(factory, X)
        except (ValueError, TypeError) as error:
            assert_clear(error)
            return
        assert_answers(model, X)


# ----------------------------------------------------------------------------------------------------- generated arrays


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Small tables with extreme scales and offsets, copies, constants, and holes of every shape."""
    n, d = draw(st.integers(1, 14)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    X = rng.normal(size=(n, d))
    scales = [0.0, 1e-300, 1e-12, 1.0, 1e12, 1e100]
    X *= [draw(st.sampled_from(scales)) for _ in range(d)]
    X += [draw(st.sampled_from([0.0, 0.0, 1.0, -1e6, 1e12])) for _ in range(d)]
    if draw(st.booleans()):
        X[:, 0] = X[:, -1]
    if draw(st.booleans()):
        X[0] = X[-1]
    if draw(st.booleans()):
        X = np.rint(np.clip(X, -100, 100))
    X[rng.random(X.shape) < draw(st.sampled_from([0.0, 0.0, 0.2, 0.6]))] = np.nan
    if draw(st.integers(0, 9)) == 0:
        X[:, draw(st.integers(0, d - 1))] = np.nan
    if draw(st.integers(0, 4)) == 0:
        X[draw(st.integers(0, n - 1))] = np.nan
    return X


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(X=arrays())
def test_any_array(factory: Factory, X: np.ndarray) -> None:
    assert_answers_or_clear_error(factory, X)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(X=arrays(), value=st.sampled_from([np.inf, -np.inf]), at=st.integers(0, 83))
def test_infinities_are_refused_by_place(factory: Factory, X: np.ndarray, value: float, at: int) -> None:
    X.flat[at % X.size] = value
    with only_our_warnings(), pytest.raises(ValueError, match="infin"):
        fit(factory, X)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(seed=st.integers(0, 2**16), bad=st.sampled_from([np.inf, 1e200, 1e-200, np.nan, 1e15]))
def test_bad_cells_after_a_good_fit(factory: Factory, seed: int, bad: float) -> None:
    rng = np.random.default_rng(seed)
    model = fit(factory, rng.normal(size=(20, 4)))
    X = rng.normal(size=(5, 4))
    X[rng.integers(5), rng.integers(4)] = bad
    with only_our_warnings():
        try:
            scores = model.score_samples(X)
        except (ValueError, TypeError) as error:
            assert_clear(error)
            return
        assert np.isfinite(scores).all()


# --------------------------------------------------------------------------------------------------- the list, by name


def good(n: int = 30, d: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.empty((0, 3)), r"0 sample\(s\)"),
        (np.empty((5, 0)), r"0 feature\(s\)"),
        (pd.DataFrame({"a": []}), r"0 sample\(s\)"),
        (pd.DataFrame(index=range(5)), r"0 feature\(s\)"),
        (good(1), r"n_samples.*1"),
        (np.full((10, 3), np.nan), "missing|observed"),
        (np.column_stack([good(10), np.full(10, np.nan)]), "'x4'"),
        (pd.DataFrame(good(10, 2), columns=["a", "a"]), "more than one column named 'a'"),
        (pd.DataFrame({"a": good(6, 1)[:, 0], "b": [1.5, 2, "n/a", 4, 5, 6]}), "column 'b'.*row 2.*'n/a'"),
        (good(10) * 1j, "[Cc]omplex"),
        (pd.DataFrame({"a": pd.date_range("2020-01-01", periods=6), "b": range(6)}), "column 'a'.*dates"),
        (good(10)[:, 0], "1D array"),
        ("table.csv", "table.csv"),
        (None, "."),
    ],
    ids=[
        *("no-rows", "no-columns", "table-no-rows", "table-no-columns", "one-row", "all-missing", "missing-column"),
        *("duplicated", "text", "complex", "dates", "one-axis", "path", "none"),
    ],
)
def test_refused_with_a_reason(factory: Factory, X: Any, message: str) -> None:
    y = labels_for(10) if X is None or isinstance(X, str) else None
    with only_our_warnings(), pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        fit(factory, X, y)


@pytest.mark.parametrize(
    "X",
    [
        np.column_stack([good(), np.ones(30)]),
        np.ones((30, 4)),
        np.column_stack([good() * 1e12, good() * 1e-12]),
        good(8, 200),
        np.vstack([good(), np.full((1, 4), np.nan)]),
        good().astype(np.float32),
        (good() * 10).astype(np.int8),
        good() > 0,
        good() + 1e15,
        np.asfortranarray(good()),
        good().tolist(),
        good(30, 12).reshape(30, 3, 4),
    ],
    ids=[
        *("constant-column", "all-constant", "1e12-beside-1e-12", "n<<d", "missing-row", "float32", "int8", "bool"),
        *("far-from-zero", "fortran", "lists", "images"),
    ],
)
def test_odd_but_usable_arrays(factory: Factory, X: Any) -> None:
    if isinstance(X, list):
        with only_our_warnings():
            np.testing.assert_array_equal(fit(factory, X).score_samples(X), fit(factory, np.array(X)).score_samples(X))
        return
    assert_answers_or_clear_error(factory, X)


def test_a_category_with_ten_thousand_levels(factory: Factory) -> None:
    levels = [f"level {i}" for i in range(10_000)]
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    table["c"] = pd.Categorical(rng.choice(levels[:30], 60), categories=levels)
    assert_answers_or_clear_error(factory, table)


def test_an_unseen_level_is_named(factory: Factory) -> None:
    table = pd.DataFrame({"a": good(30, 1)[:, 0], "b": good(30, 2)[:, 1], "c": list("uvw") * 10})
    with only_our_warnings():
        model = fit(factory, table)
    table.loc[4, "c"] = "x"
    with pytest.raises(ValueError, match="column 'c' of X, row 4, holds 'x'"):
        model.score_samples(table)


def test_labels_of_another_length(factory: Factory) -> None:
    model = factory.make()
    if factory.supervised:
        with pytest.raises(ValueError, match="y has 7 labels, but X has 30 rows"):
            model.fit(good(), labels_for(7))
    else:
        scores = model.fit(good(), labels_for(7)).score_samples(good())
        np.testing.assert_array_equal(scores, fit(factory, good()).score_samples(good()))


def test_columns_of_another_table(factory: Factory) -> None:
    with only_our_warnings():
        model = fit(factory, pd.DataFrame(good(), columns=list("abcd")))
    with pytest.raises(ValueError, match=r"missing:\n- d"):
        model.score_samples(pd.DataFrame(good(30, 3), columns=list("abc")))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- e"):
        model.score_samples(pd.DataFrame(good(), columns=list("abce")))


def test_a_wrong_file(factory: Factory, tmp_path: Path) -> None:
    with only_our_warnings():
        fit(factory, good()).save(tmp_path / "model")
    np.save(tmp_path / "data.npy", good())
    with pytest.raises(LoadError, match="data.npy is not a model"):
        ul.load(tmp_path / "data.npy")
    (tmp_path / "cut").write_bytes((tmp_path / "model").read_bytes()[:-5])
    with pytest.raises(LoadError, match="cut"):
        ul.load(tmp_path / "cut")


def test_the_input_is_not_changed(factory: Factory) -> None:
    X = good()
    X[3, 1] = np.nan
    before = X.copy()
    with only_our_warnings():
        model = fit(factory, X)
        assert_answers(model, X)
    np.testing.assert_array_equal(X, before)
