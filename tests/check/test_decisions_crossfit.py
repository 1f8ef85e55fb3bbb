"""Cross-fitted evaluation of a model's advice: each row judged once, by a model that has not seen it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import underlie as ul

from .decision_trials import Oracle, trial


def test_every_row_is_judged_once_by_a_model_that_has_not_seen_it() -> None:
    X, y = trial(300, 0)
    Oracle.fitted.clear()
    Oracle.asked.clear()
    result = ul.evaluate_policy(
        Oracle(), X, y, time=1.0, control="no", randomised=True, n_folds=4, rule="rmst", min_gain=0.1
    )
    assert len(Oracle.fitted) == 4
    assert [sum(row in rows for rows in Oracle.fitted) for row in X.index] == [3] * 300
    assert set(Oracle.asked) == {(1.0, 0.1, "no", "rmst")}
    assert result.rows.index.equals(X.index)
    assert result.rows["fold"].value_counts().to_dict() == {0: 75, 1: 75, 2: 75, 3: 75}
    assert result.values.measure == "mean time up to 1"
    gain = np.exp(-np.exp(-1.5 * X["x"])) - np.exp(-1)
    np.testing.assert_allclose(result.rows["gain"], gain)
    np.testing.assert_allclose(result.benefit("yes", "no"), gain)
    np.testing.assert_array_equal(result.rows["recommended"], np.where(gain >= 0.1, "yes", "no"))


class Anxious(Oracle):
    """Warns whenever it is fitted."""

    def fit(self, X: Any, y: Any) -> Anxious:
        warnings.warn("few rows", ul.warnings.DataWarning, stacklevel=1)
        super().fit(X, y)
        return self


def test_folds_side_by_side_are_folds_one_after_another() -> None:
    X, y = trial(120, 3)

    def found(n_jobs: int | None) -> pd.DataFrame:
        with pytest.warns(ul.warnings.DataWarning, match="few rows") as caught:
            rows = ul.evaluate_policy(Anxious(), X, y, time=1.0, randomised=True, censoring="model", n_jobs=n_jobs).rows
        told = [w for w in caught if "few rows" in str(w.message)]
        assert len(told) == 1  # for all folds, by the process that the user sees
        return rows

    pd.testing.assert_frame_equal(found(2), found(None))


def test_equals_policy_value_with_the_same_parts() -> None:
    X, y = trial(300, 1)
    result = ul.evaluate_policy(Oracle(propensity={"yes": 0.4, "no": 0.6}), X, y, time=1.0, control="no")
    model = Oracle().fit(X.iloc[:0], y)
    expected = ul.policy_value(
        {"recommended": result.rows["recommended"]},
        y,
        X["arm"],
        survival=lambda level, t: model.predict_survival_function(X, t, level),
        propensity=np.full(300, 0.4),
        time=1.0,
        control="no",
    )
    pd.testing.assert_frame_equal(result.table(), expected.table(), rtol=1e-3)
    assert result.rows["propensity yes"].eq(0.4).all()


def test_finds_that_advice_is_worth_following() -> None:
    """Treating the right half gains about .10 at time 1, with errors below .02: missed once in 5,000 seeds."""
    X, y = trial(3000, 2)
    result = ul.evaluate_policy(Oracle(), X, y, time=1.0, min_gain=0.0, control="no", randomised=True)
    assert result.values.names == ("recommended", "treat none", "treat all: yes", "as observed")
    for other in ("treat none", "treat all: yes", "as observed"):
        assert result.values.difference("recommended", other)[1] > 0
    calibration = result.calibration("yes", "no", random_state=0)
    assert calibration.slope.lower < 1 < calibration.slope.upper  # .05 by chance, seed fixed
    assert calibration.ranking.lower > 0
    assert "recommended" in str(result)


def test_censoring_by_the_model() -> None:
    X, y = trial(200, 3)
    Oracle.fitted.clear()
    result = ul.evaluate_policy(Oracle(), X, y, time=1.0, randomised=True, censoring="model", n_folds=3)
    assert len(Oracle.fitted) == 6  # once for events, once for censoring
    other = ul.evaluate_policy(Oracle(), X, y, time=1.0, randomised=True, n_folds=3)
    assert np.abs(result.values.value - other.values.value).max() > 0


def test_three_levels_polars_and_missing_advice() -> None:
    class Reluctant(Oracle):
        def __deepcopy__(self, memo: Any) -> Reluctant:
            return Reluctant(best="new")

        def recommend(self, X: Any, *args: Any, **named: Any) -> Any:
            x = np.asarray(X["x"])
            return pd.DataFrame({"recommended": np.where(x < -0.5, None, np.where(x > 0, "new", "a"))})

    X, y = trial(600, 4, ("a", "b", "new"))
    result = ul.evaluate_policy(Reluctant(), X, y, time=1.0, randomised=True, reference="treat all: b")
    assert result.values.names == ("recommended", "treat all: a", "treat all: b", "treat all: new", "as observed")
    shares = result.values.shares.loc["recommended"]
    np.testing.assert_allclose(shares["none"], (X["x"] < -0.5).mean())
    assert result.values.reference == "treat all: b"
    again = ul.evaluate_policy(Reluctant(), pl.from_pandas(X), y, time=1.0, randomised=True, reference="treat all: b")
    np.testing.assert_array_equal(again.values.value, result.values.value)


def test_several_treatment_columns() -> None:
    class Two(Oracle):
        def __deepcopy__(self, memo: Any) -> Two:
            return Two(["arm", "drug"])

        def predict_survival_function(self, X: Any, times: Any, treatment: Any = None) -> np.ndarray:
            return super().predict_survival_function(X, times, treatment["arm"])

        def recommend(self, X: Any, *args: Any, **named: Any) -> Any:
            return pd.DataFrame(
                {"recommended": [("yes", 0), {"drug": 1, "arm": "no"}, "arm=no, drug=0"] * (len(X) // 3)}
            )

    X, y = trial(300, 5)
    X["drug"] = np.random.default_rng(0).integers(2, size=300)
    model = Two(["arm", "drug"])
    result = ul.evaluate_policy(model, X, y, time=1.0, control={"arm": "no", "drug": 0}, randomised=True)
    assert result.values.names[1:] == (
        "treat none",
        "treat all: arm=no, drug=1",
        "treat all: arm=yes, drug=0",
        "treat all: arm=yes, drug=1",
        "as observed",
    )
    np.testing.assert_allclose(result.values.shares.loc["recommended"].iloc[:4], [1 / 3, 1 / 3, 1 / 3, 0])
