"""Bad input to survival metrics is named, and poor input is warned of."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import underlie as ul
from underlie.check.survival import SurvivalMetrics
from underlie.warnings import DataWarning, ExtrapolationWarning

Y = ul.Surv([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 1])
TIMES = np.array([1.0, 2.0, 3.0])
SURVIVAL = np.tile([0.9, 0.6, 0.4], (4, 1))


def run(**changed: Any) -> SurvivalMetrics:
    given = {"survival": SURVIVAL, "times": TIMES, "y_test": Y, "y_train": Y, "n_bootstrap": 3, "random_state": 0}
    return ul.survival_metrics(**{**given, **changed})


def altered(value: float) -> np.ndarray:
    table = SURVIVAL.copy()
    table[2, 1] = value
    return table


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"survival": SURVIVAL.T}, r"survival must have one row per test row and one column per time, \(4, 3\)"),
        ({"survival": altered(np.nan)}, "survival .* 1 cell.* first in row 2 at time 2 "),
        ({"survival": altered(1.2)}, r"survival .* outside \[0, 1\].*row 2 at time 2 \(1.2\)"),
        ({"times": [1.0, 1.0, 3.0]}, "times must increase, entry 1"),
        ({"times": [1.0, np.nan, 3.0]}, "times must be finite.* entry 1 is nan"),
        ({"times": [-1.0, 2.0, 3.0]}, "times must be finite and not negative, entry 0"),
        ({"times": np.ones((2, 2))}, "times must be a list"),
        ({"horizon": 5.0}, "horizon must be .* whose last is 3; got 5"),
        ({"horizon": 0.0}, "horizon must be"),
        ({"censoring": "cox"}, "censoring must be 'marginal'.*got 'cox'"),
        ({"censoring": SURVIVAL[:3]}, "censoring must have one row per test row"),
        ({"censoring": altered(2.0)}, "censoring must hold probabilities"),
        ({"censoring": (SURVIVAL, np.ones(3))}, r"censoring\[1\] must hold G of each test row"),
        ({"censoring": (SURVIVAL, np.array([1, 1, np.nan, 1]))}, r"censoring\[1\] must hold probabilities, row 2"),
        ({"censoring": (SURVIVAL, np.ones(4), 1)}, "got a tuple of 3"),
        ({"censoring": lambda t: np.ones((3, len(t)))}, "censoring must return one row per test row"),
        ({"censoring": lambda t: np.full((4, len(t)), 1.5)}, "what censoring returns must hold probabilities, row 0"),
        ({"min_censoring": 1.0}, "min_censoring must be in"),
        ({"interpolation": "cubic"}, "interpolation must be"),
        ({"n_bootstrap": -1}, "n_bootstrap must be a whole number"),
        ({"n_bootstrap": 2.5}, "n_bootstrap must be a whole number"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"risk": np.ones(3)}, "risk of survival must hold one number per test row"),
        ({"risk": np.array([1.0, np.inf, 0, 0])}, "risk of survival must be finite, row 1"),
        ({"n_bins": 1}, "n_bins must be"),
        ({"n_groups": 0}, "n_groups must be"),
        ({"y_test": Y[:0]}, "y_test.* empty"),
        ({"y_test": ul.Surv([1.0, 2, 3, 4], [1, 1, 1, 1], entry=[0, 0.5, 0, 0])}, "1 left-truncated.*first row 1"),
        ({"y_train": ul.Surv([1.0, 2, 3], [1, 1, 1], upper=[1, 4, 3])}, "1 interval-censored.*first row 1"),
        ({"y_train": np.array([(True, -1.0)], dtype=[("event", bool), ("time", float)])}, "y_train .*row 0"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        run(**changed)


def test_outcomes_of_other_forms() -> None:
    theirs = np.array([(bool(e), t) for e, t in zip(Y["event"], Y["time"], strict=True)], dtype="?,f8")
    expected = run().integrated_brier.value
    assert run(y_test=theirs, y_train=theirs).integrated_brier.value == expected
    assert run(y_test=np.column_stack([Y["time"], Y["event"]])).integrated_brier.value == expected
    with pytest.raises((TypeError, ValueError), match="y_train cannot be read as an outcome"):
        run(y_train=np.arange(4.0))


def test_no_event_among_the_test_rows() -> None:
    censored = ul.Surv([1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0])
    with pytest.warns(DataWarning, match="y_test has no event"):
        result = run(y_test=censored)
    assert np.isnan([result.harrell.value, result.uno.value, result.antolini.value]).all()
    assert np.isfinite(result.integrated_brier.value)
    assert "nan" in str(result)


def test_no_supported_time() -> None:
    with pytest.warns(DataWarning, match="no entry of times is within the support"):
        result = run(y_train=ul.Surv([0.2, 0.5], [1, 0]))
    assert np.isnan(result.integrated_brier.value)


def test_horizon_past_the_support() -> None:
    with pytest.warns(ExtrapolationWarning, match="horizon 3 is beyond the support of the training data"):
        run(y_train=ul.Surv([0.2, 0.5, 1.5], [1, 0, 1]), horizon=3.0)


def test_tiny_probabilities_of_being_seen() -> None:
    with pytest.warns(DataWarning, match="gives 2 of 4 rows, the first row 1, a probability below 0.05"):
        # Row 1 was followed to time 2 with G = .001 there; row 3 past the last time, 3, where its G is .001.
        run(
            censoring=(
                np.array([[0.9, 0.5, 0.5], [0.9, 0.001, 0.001], [0.9, 0.5, 0.5], [0.9, 0.5, 0.001]]),
                np.array([0.9, 0.001, 0.5, 0.001]),
            ),
            y_train=ul.Surv([1.0, 3.5], [1, 1]),
        )


def test_one_time_and_one_row() -> None:
    result = run(survival=SURVIVAL[:, 0], times=[1.0])
    assert np.isnan(result.integrated_brier.value)
    assert result.brier.value.shape == (1,)
    alone = run(survival=SURVIVAL[:1], y_test=Y[:1])
    assert np.isnan(alone.harrell.value)
    assert np.isfinite(alone.integrated_brier.value)


def test_rounding_of_probabilities_is_forgiven() -> None:
    assert run(survival=altered(0.6) + 0.0).integrated_brier.value == run().integrated_brier.value
    assert np.isfinite(run(survival=np.vstack([SURVIVAL[:3], [1 + 1e-7, 0.5, -1e-7]])).integrated_brier.value)


def test_zero_times_are_rows_like_others() -> None:
    y = ul.Surv([0.0, 2.0, 3.0, 0.0], [1, 0, 1, 0])
    result = run(y_test=y, y_train=y)
    assert np.isfinite(result.integrated_brier.value)
    assert result.antolini.value == 0.5


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1:])
def test_every_other_order_of_the_arguments_is_named_as_such(order: tuple[int, ...]) -> None:
    """Also that of scikit-survival, whose functions begin with the outcomes."""
    y_train = ul.Surv([1.0, 2.0, 3.0, 4.0, 5.0], [1, 0, 1, 1, 1])
    given = (SURVIVAL, TIMES, Y, y_train)
    ul.survival_metrics(*given, n_bootstrap=0)
    with pytest.raises(
        (TypeError, ValueError), match=r"The order is survival_metrics\(survival, times, y_test, y_train\)"
    ):
        ul.survival_metrics(*(given[i] for i in order), n_bootstrap=0)
