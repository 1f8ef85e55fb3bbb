"""SurvivalVAE as a generative model: new patients look like those of the fit, and gaps are filled with sense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import underlie as ul

N = 400


def patients() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=N)
    return pd.DataFrame(
        {
            "a": a,
            "t": np.where(rng.random(N) < 0.4, "new", "old"),
            "b": 2.0 * a + 0.3 * rng.normal(size=N),
            "g": np.where(a + 0.5 * rng.normal(size=N) > 0, "high", "low"),
        }
    )


def outcomes(X: pd.DataFrame) -> np.ndarray:
    rng = np.random.default_rng(1)
    time = rng.weibull(1.5, N) * np.exp(-0.8 * X["a"] + 0.5 * (X["t"] == "new")) * 10.0
    end = rng.uniform(5.0, 40.0, N)
    return ul.Surv(np.minimum(time, end), time <= end)


@pytest.fixture(scope="module")
def model() -> ul.SurvivalVAE:
    X = patients()
    return ul.SurvivalVAE("t", n_replicates=2, max_epochs=3, heterogeneity=0.0, random_state=0, verbose=False).fit(
        X, outcomes(X)
    )


def test_new_patients_have_the_columns_levels_and_outcomes_of_the_fit(model: ul.SurvivalVAE) -> None:
    X, y = model.sample(1001, random_state=0)
    assert list(X.columns) == ["a", "t", "b", "g"]
    assert set(X["t"]) == {"new", "old"}
    assert set(X["g"]) == {"high", "low"}
    assert len(X) == len(y) == 1001
    assert y["event"].all()
    assert np.isfinite(y["time"]).all()
    assert (y["time"] > 0).all()
    # Means of 1,000 draws lie within 4 standard errors of the model's, which those of 400 patients set: about 1e-4
    # false alarms for each of the two.
    seen = patients()
    assert abs(X["a"].mean() - seen["a"].mean()) < 4.0 * np.sqrt(1 / 1001 + 1 / N)
    assert abs((X["t"] == "new").mean() - (seen["t"] == "new").mean()) < 4.0 * np.sqrt(0.25 / 1001 + 0.25 / N)
    again, times = model.sample(1001, random_state=0)
    pd.testing.assert_frame_equal(X, again)
    np.testing.assert_array_equal(times, y)


def test_outcomes_of_new_patients_are_those_the_model_predicts(model: ul.SurvivalVAE) -> None:
    """The share still event-free at a time is the mean prediction, within 4 standard errors: false alarms 1e-4."""
    X, y = model.sample(4000, random_state=1)
    at = float(np.median(y["time"]))
    predicted = model.predict_survival_function(X, [at])[:, 0]
    assert abs((y["time"] > at).mean() - predicted.mean()) < 4.0 * 0.5 / np.sqrt(4000) + 0.01


def test_gaps_are_filled_better_than_by_the_mean_and_the_rest_is_left_alone(model: ul.SurvivalVAE) -> None:
    X = patients()
    holed = X.copy()
    rng = np.random.default_rng(2)
    hidden = rng.random(N) < 0.3
    holed.loc[hidden, "b"] = np.nan
    filled = model.impute(holed)
    assert list(filled.columns) == list(X.columns)
    pd.testing.assert_frame_equal(filled.drop(columns="b"), X.drop(columns="b"))
    pd.testing.assert_series_equal(filled.loc[~hidden, "b"], X.loc[~hidden, "b"])
    error = np.sqrt(np.mean((filled.loc[hidden, "b"] - X.loc[hidden, "b"]) ** 2))
    assert error < 0.6 * X["b"].std()


def test_other_containers(model: ul.SurvivalVAE) -> None:
    X = patients()
    numbers = X[["a", "b"]].to_numpy()
    of_array = ul.SurvivalVAE(n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False).fit(
        numbers, outcomes(X)
    )
    drawn, _ = of_array.sample(5, random_state=0)
    assert drawn.shape == (5, 2)
    holed = numbers.copy()
    holed[0, 1] = np.nan
    assert np.isfinite(of_array.impute(holed)).all()
    table = pl.from_pandas(X).with_columns(pl.when(pl.col("a") > 1).then(None).otherwise(pl.col("b")).alias("b"))
    of_polars = ul.SurvivalVAE("t", n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False).fit(
        table, outcomes(X)
    )
    assert isinstance(of_polars.sample(3, random_state=0)[0], pl.DataFrame)
    assert of_polars.impute(table)["b"].null_count() == 0


def test_what_cannot_be_drawn_is_refused(model: ul.SurvivalVAE) -> None:
    with pytest.raises(ValueError, match="n must be at least 1"):
        model.sample(0)
