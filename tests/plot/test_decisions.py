"""Figures of decisions agree with their numbers, stand where they are asked to, and refuse other results."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import underlie as ul

RNG = np.random.default_rng(0)
N = 300
X, ARM = RNG.uniform(size=N), RNG.integers(2, size=N)
EVENT_TIME, CENSORED = RNG.exponential(np.exp(2 * X * ARM)), RNG.exponential(4, size=N)
Y = ul.Surv(np.minimum(EVENT_TIME, CENSORED), EVENT_TIME <= CENSORED)
BENEFIT = np.exp(-np.exp(-2 * X)) - np.exp(-1)
CALIBRATION = ul.benefit_calibration(BENEFIT, Y, ARM, 1.0, random_state=0, n_bootstrap=20)
RISKS = {"truth": 1 - np.exp(-np.exp(-2 * X * ARM)), "noise": RNG.uniform(size=N)}
CURVES = ul.decision_curve(RISKS, Y, 1.0)


def values(measure: str = "survival") -> Any:
    rule = {"where x > .5": (X > 0.5).astype(int)}
    return ul.policy_value(rule, Y, ARM, propensity="shares", time=1.0, control=0, measure=measure)


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def line_named(ax: Axes, name: str) -> Any:
    return next(line for line in ax.get_lines() if line.get_label() == name)


def test_axes_given_are_used_and_no_figure_is_made() -> None:
    for draw in (
        lambda ax: ul.plot.benefit_calibration(CALIBRATION, ax=ax),
        lambda ax: ul.plot.predicted_benefit(BENEFIT, ax=ax),
        lambda ax: ul.plot.policy_values(values(), ax=ax),
        lambda ax: ul.plot.decision_curve(CURVES, ax=ax),
    ):
        _, ax = plt.subplots()
        before = len(plt.get_fignums())
        assert draw(ax) is ax
        assert len(plt.get_fignums()) == before
        assert ax.get_xlabel()


@pytest.mark.parametrize("adjusted", [False, True])
def test_benefit_calibration_shows_groups_and_diagonal(adjusted: bool) -> None:
    ax = ul.plot.benefit_calibration(CALIBRATION, adjusted=adjusted)
    (bars,) = ax.containers
    points, _, (segments,) = bars.lines
    value, lower, upper = (
        ("adjusted", "adjusted_lower", "adjusted_upper") if adjusted else ("observed", "lower", "upper")
    )
    groups = CALIBRATION.groups
    np.testing.assert_allclose(points.get_xdata(), groups["predicted"])
    np.testing.assert_allclose(points.get_ydata(), groups[value])
    ends = np.array([segment[:, 1] for segment in segments.get_segments()])
    np.testing.assert_allclose(ends, groups[[lower, upper]])
    diagonal = line_named(ax, "calibrated (slope 1)")
    np.testing.assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())
    low, high = ax.get_ylim()
    assert low < groups[lower].min()
    assert high > groups[upper].max()
    assert f"{CALIBRATION.slope.value:.2f}" in bars.get_label()
    assert "1 less 0" in ax.get_xlabel()


def test_benefit_calibration_of_one_prediction() -> None:
    result = ul.benefit_calibration(np.full(N, 0.2), Y, ARM, 1.0, random_state=0, n_bootstrap=5)
    ax = ul.plot.benefit_calibration(result)
    assert ax.containers[0].get_label() == "one prediction for all rows"


def test_predicted_benefit_counts_every_row_once_and_no_bar_crosses_the_threshold() -> None:
    ax = ul.plot.predicted_benefit(BENEFIT, min_gain=0.07)
    bars = [bar for bar in ax.patches if bar.get_height()]
    assert sum(bar.get_height() for bar in bars) == N
    reached = sum(bar.get_height() for bar in bars if bar.get_x() > 0.07 - 1e-9)
    assert reached == (BENEFIT >= 0.07).sum()
    assert f"{100 * reached / N:.0f} % of rows gain at least 7" in ax.get_title()


def test_predicted_benefit_of_a_table_with_unsupported_and_missing_rows() -> None:
    table = pd.DataFrame({"effect": BENEFIT, "supported": X > 0.3})
    table.loc[:9, "effect"] = np.nan
    ax = ul.plot.predicted_benefit(table)
    heights = [sum(bar.get_height() for bar in part) for part in ax.containers]
    assert heights[1] == (~table["supported"] & table["effect"].notna()).sum()
    assert sum(heights) == N - 10
    assert "10 rows without a prediction" in ax.get_title()
    assert "outside the support" in ax.get_title()
    constant = ul.plot.predicted_benefit([0.1] * 5, min_gain=0.07)
    assert sum(bar.get_height() for bar in constant.patches) == 5


@pytest.mark.parametrize("measure", ["survival", "rmst"])
def test_policy_values_are_those_of_the_table(measure: str) -> None:
    result = values(measure)
    table = result.table()
    ax = ul.plot.policy_values(result)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(table.index)
    spans = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2][: len(table)]
    np.testing.assert_allclose(spans, table[["lower", "upper"]])
    scale, rounding = (100, 0.0501) if measure == "survival" else (1, 0.00501)
    written = [float(text.split()[0]) for text in texts(ax)]
    np.testing.assert_allclose(written, scale * table["value"], atol=rounding)
    assert ax.get_xlabel().endswith("%") == (measure == "survival")


def test_policy_differences_leave_the_reference_out() -> None:
    result = values()
    ax = ul.plot.policy_values(result, difference=True)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["where x > .5", "treat none", "treat all: 1"]
    assert texts(ax)[0].startswith("+") == (result.table()["difference"].iloc[0] > 0)
    assert "less 'as observed'" in ax.get_xlabel()


def test_decision_curve_draws_every_curve() -> None:
    ax = ul.plot.decision_curve(CURVES)
    for name, curve in zip(CURVES.names, CURVES.net_benefit, strict=True):
        np.testing.assert_allclose(line_named(ax, name).get_ydata(), curve)
    assert not ax.collections
    styles = {(str(line_named(ax, name).get_linestyle()), line_named(ax, name).get_marker()) for name in CURVES.names}
    assert len(styles) == len(CURVES.names)  # told apart without colour
    banded = ul.plot.decision_curve(ul.decision_curve(RISKS["truth"], Y, 1.0))
    assert len(banded.collections) == 1


@pytest.mark.parametrize("name", ["benefit_calibration", "policy_values", "decision_curve"])
def test_other_results_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="result must be what underlie.*returns, got DataFrame"):
        getattr(ul.plot, name)(pd.DataFrame())


@pytest.mark.parametrize(
    ("benefit", "message"),
    [
        ([np.nan, np.nan], "no finite value"),
        (np.ones((3, 2)), r"one axis, the rows; it has shape \(3, 2\)"),
        (pd.DataFrame({"x": [1.0]}), "no column 'effect', 'gain' or 'benefit'"),
    ],
)
def test_no_benefit_to_draw(benefit: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ul.plot.predicted_benefit(benefit)
