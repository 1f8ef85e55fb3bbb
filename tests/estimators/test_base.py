"""What every estimator shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import is_classifier
from sklearn.utils import get_tags

import underlie as ul
from underlie.estimators.base import as_generator, checked_count


def table() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["a", "b", "c"])


@pytest.mark.parametrize(
    "X", [table(), pl.from_pandas(table()), pa.Table.from_pandas(table())], ids=["pandas", "polars", "arrow"]
)
def test_names_of_tables(X: object) -> None:
    model = ul.ProbabilisticPCA(1).fit(X)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.n_features_in_ == 3
    assert model.schema_.names == ["a", "b", "c"]
    model.fit(table().to_numpy())
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(ul.ProbabilisticPCA(1).fit(table().set_axis([0, 1, 2], axis=1)), "feature_names_in_")


def test_columns_are_compared_with_those_of_fit() -> None:
    model = ul.ProbabilisticPCA(1).fit(table())
    with pytest.raises(ValueError, match=r"missing:\n- c"):
        model.score(table()[["a", "b"]])
    with pytest.raises(ValueError, match="same order"):
        model.score(table()[["b", "a", "c"]])


def test_score_is_the_mean_of_score_samples() -> None:
    X = table()
    model = ul.ProbabilisticPCA(1).fit(X)
    assert model.score(X) == model.score_samples(X).mean()
    assert type(model.score(X)) is float


def test_tags() -> None:
    tags = get_tags(ul.ProbabilisticPCA())
    assert tags.estimator_type == "density_estimator"
    assert tags.input_tags.allow_nan
    assert is_classifier(ul.PPCAClassifier())
    assert get_tags(ul.PPCAClassifier()).input_tags.allow_nan


def test_row_sources_on_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    X = table().to_numpy()
    np.save(tmp_path / "rows.npy", X)
    source = np.load(tmp_path / "rows.npy", mmap_mode="r")
    ours, theirs = ul.ProbabilisticPCA(1).fit(source), ul.ProbabilisticPCA(1).fit(X)
    np.testing.assert_array_equal(ours.score_samples(source), theirs.score_samples(X))


def test_generators() -> None:
    assert as_generator(3).random() == as_generator(np.int64(3)).random()
    generator = np.random.default_rng(0)
    assert as_generator(generator) is generator
    state = np.random.RandomState(0)
    assert as_generator(state).random() != as_generator(state).random()
    assert as_generator(None).random() != as_generator(None).random()


@pytest.mark.parametrize("value", [True, "a", 1.0])
def test_no_seed(value: object) -> None:
    with pytest.raises(TypeError, match="random_state"):
        as_generator(value)  # type: ignore[arg-type]


def test_counts() -> None:
    assert checked_count(np.int32(3), "n") == 3
    with pytest.raises(ValueError, match="n must be at least 1, got -2"):
        checked_count(-2, "n")
    with pytest.raises(TypeError, match="n must be a whole number, got True"):
        checked_count(True, "n")
