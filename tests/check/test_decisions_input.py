"""Bad input to the checks of decisions is named, and poor input is warned of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import underlie as ul
from underlie.warnings import DataWarning

from .decision_trials import Oracle, trial

X0, Y0 = trial(60, 20)
ARM = X0["arm"].to_numpy()
CURVES = np.full((60, 2, 2), 0.5)


def value(**changed: Any) -> Any:
    given: dict[str, Any] = {"policy": ARM, "y": Y0, "treatment": ARM, "propensity": "shares", "time": 1.0}
    return ul.policy_value(**{**given, **changed})


def benefit(**changed: Any) -> Any:
    given: dict[str, Any] = {"benefit": np.linspace(0, 0.5, 60), "y": Y0, "treatment": ARM, "time": 1.0}
    return ul.benefit_calibration(**{**given, **changed}, random_state=0)


def curve(**changed: Any) -> Any:
    given: dict[str, Any] = {"risk": np.linspace(0, 1, 60), "y": Y0, "time": 1.0}
    return ul.decision_curve(**{**given, **changed})


def evaluate(model: Any = None, **changed: Any) -> Any:
    given: dict[str, Any] = {"X": X0, "y": Y0, "time": 1.0, "randomised": True}
    return ul.evaluate_policy(model or Oracle(), **{**given, **changed})


def replaced(values: Any, row: int, by: Any) -> Any:
    changed = np.array(values, dtype=object if isinstance(by, str | None) else None)
    changed[row] = by
    return changed


@pytest.mark.parametrize(
    ("call", "changed", "message"),
    [
        (value, {"policy": ARM[:5]}, r"policy 'policy' must hold one level for each of the 60 rows of y, it has 5"),
        (value, {"policy": {"mine": replaced(ARM, 3, "never")}}, "'mine' recommends 'never' in row 3.*'no', 'yes'"),
        (value, {"policy": {"as observed": ARM}}, "policy has the name 'as observed'"),
        (value, {"treatment": replaced(ARM, 2, None)}, "treatment is missing in 1 row.*first row 2"),
        (value, {"treatment": ["no"] * 60, "policy": {}}, "treatment is 'no' in every row"),
        (value, {"treatment": "arm"}, "treatment must hold one level for each"),
        (value, {"treatment": np.ones((60, 2))}, "treatment must have one axis"),
        (value, {"time": 0}, "time must be a number after 0"),
        (value, {"time": 50.0}, "time is 50, but nobody with treatment 'no' was followed beyond"),
        (value, {"measure": "median"}, "measure must be 'survival' or 'rmst'"),
        (value, {"level": 95}, "level must be between 0 and 1"),
        (value, {"control": "placebo"}, "control is 'placebo', which is not among the treatments 'no', 'yes'"),
        (value, {"reference": "best"}, "reference is 'best'.*'as observed'"),
        (value, {"survival": CURVES}, "times is missing"),
        (value, {"survival": CURVES[:, :1], "times": [0.5, 1]}, r"survival must have the axes .*\(60, 2, n_times\)"),
        (value, {"survival": CURVES + 1, "times": [0.5, 1]}, "survival of 'no' must hold probabilities"),
        (value, {"survival": {"no": CURVES[:, 0]}, "times": [0.5, 1]}, "survival has nothing for treatment 'yes'"),
        (value, {"survival": {"nay": CURVES[:, 0]}, "times": [0.5, 1]}, "a key of survival is 'nay'"),
        (value, {"survival": "cox"}, "survival must be curves"),
        (value, {"survival": CURVES, "times": [0.5, 0.9]}, "times end at 0.9, before time 1"),
        (value, {"censoring": "cox"}, "censoring must be 'by arm'"),
        (value, {"censoring": CURVES[:, 0]}, "times is missing: give the times at which censoring"),
        (value, {"propensity": "model"}, "propensity must be probabilities or 'shares'"),
        (value, {"propensity": np.full((60, 3), 1 / 3)}, r"propensity must have one row.*\(60, 2\)"),
        (value, {"propensity": np.full((60, 2), 0.6)}, r"sum to 1 in each row; 60 row\(s\) do not, the first row 0"),
        (value, {"propensity": replaced(np.full(60, 0.5), 4, np.nan)}, r"first row 4"),
        (value, {"min_propensity": 0.0}, "min_propensity must be between 0 and 1"),
        (value, {"min_censoring": 1.0}, "min_censoring must be between 0 and 1"),
        (value, {"y": Y0[:0], "policy": {}, "treatment": []}, "y.* empty"),
        (benefit, {"benefit": np.ones(5)}, "benefit must hold one number per row"),
        (benefit, {"benefit": replaced(np.zeros(60), 7, np.nan)}, "benefit must hold differences.* row 7"),
        (benefit, {"benefit": np.full(60, 7.0)}, "row 0 has 7"),
        (benefit, {"n_groups": 0}, "n_groups must be"),
        (benefit, {"treated": "no", "control": "no"}, "both 'no'"),
        (benefit, {"treated": "maybe"}, "treated is 'maybe'"),
        (benefit, {"treatment": np.arange(60) % 3}, "name the two to compare"),
        (curve, {"risk": {}}, "risk is empty"),
        (curve, {"risk": {"treat all": np.zeros(60)}}, "risk has the name 'treat all'"),
        (curve, {"risk": np.zeros(6)}, "risk of 'model' must hold one number per row"),
        (curve, {"risk": replaced(np.zeros(60), 9, -2.0)}, "row 9 has -2.0. A ranking"),
        (curve, {"thresholds": [0.5, 0.4]}, "thresholds must be increasing"),
        (curve, {"thresholds": [1.0]}, "thresholds must be"),
        (curve, {"time": 50.0}, "nobody was followed beyond"),
        (evaluate, {"model": Oracle(None)}, "has no treatments"),
        (evaluate, {"model": Oracle("drug")}, "X has no column 'drug'"),
        (evaluate, {"n_folds": 1}, "n_folds must be"),
        (evaluate, {"n_folds": 40}, "fewer than n_folds=40"),
        (evaluate, {"censoring": "cox"}, "censoring must be"),
        (evaluate, {"control": "placebo"}, "control is 'placebo'"),
        (evaluate, {"X": X0.assign(arm=replaced(ARM, 6, None))}, "treatment 'arm' is missing in 1 row.*first row 6"),
        (evaluate, {"model": Oracle(propensity={"no": 0.9, "yes": 0.9}), "randomised": False}, "propensity must hold"),
    ],
)
def test_what_is_wrong_is_named(call: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(**changed)


def test_a_model_without_advice_is_refused() -> None:
    class Silent:
        treatments = "arm"

        def fit(self, X: Any, y: Any) -> None: ...

    with pytest.raises(TypeError, match=r"model \(Silent\) has no method recommend"):
        evaluate(Silent())


def test_small_probabilities_are_raised_counted_and_warned_of() -> None:
    low = np.full(60, 0.5)
    low[np.flatnonzero(ARM == "yes")[:3]] = 0.001
    with pytest.warns(DataWarning, match="3 of 60 rows, .* less than 0.02"):
        assert value(propensity=low).n_low_propensity == 3
    rare = np.full((60, 1), 0.001)
    with pytest.warns(DataWarning, match="probability of not being censored is below 0.05"):
        result = value(censoring=lambda level, t: rare * np.ones(len(t)))
    assert result.n_low_censoring > 0
    assert "below the floor" in str(result)


def test_policies_that_few_rows_followed() -> None:
    few = np.where(np.arange(60) < 5, ARM, np.where(ARM == "yes", "no", "yes"))
    with pytest.warns(DataWarning, match=r"'policy': only 5 row\(s\) were treated as it recommends"):
        value(policy=few)
    with pytest.raises(ValueError, match="no row was treated as it recommends"):
        value(policy=np.where(ARM == "yes", "no", "yes"))
