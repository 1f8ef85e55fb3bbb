"""Axes of time: monotone, invertible, with the slope that turns densities, and the population following its law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import logistic, norm

import underlie as ul
from underlie.data import time_scale
from underlie.models.survival_start import law_quantile
from underlie.models.time_axis import TimeAxis, clock_axis, encode_outcome, log_slopes, population_axis


def outcome(n: int = 300, seed: int = 0, scale: float = 7.0) -> np.ndarray:
    """Log-logistic times with a third censored."""
    rng = np.random.default_rng(seed)
    t = scale * np.exp(rng.logistic(size=n) / 1.7)
    c = scale * rng.uniform(0.2, 4.0, n)
    return ul.Surv(np.minimum(t, c), t <= c)


def kaplan_hazard(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nelson-Aalen by the definition: event times, and the mean of the estimate just before and just after each."""
    times = np.unique(y["time"][y["event"]])
    steps = [np.sum((y["time"] == t) & y["event"]) / np.sum(y["time"] >= t) for t in times]
    after = np.cumsum(steps)
    return times, 0.5 * (after + np.concatenate([[0.0], after[:-1]]))


AXES = {
    "clock": lambda: clock_axis(3.5),
    "weibull": lambda: population_axis(outcome(), law_quantile("weibull", 0.0)),
    "lognormal": lambda: population_axis(outcome(), law_quantile("lognormal", 0.0)),
    "loglogistic": lambda: population_axis(outcome(), law_quantile("loglogistic", 0.0)),
    "frailty": lambda: population_axis(outcome(), law_quantile("weibull", 1.5)),
    "one-event": lambda: population_axis(ul.Surv([1.0, 2.0, 5.0], [0, 1, 0]), law_quantile("weibull", 0.0)),
}


@pytest.fixture(params=AXES, scope="module")
def axis(request: pytest.FixtureRequest) -> TimeAxis:
    return AXES[request.param]()


def test_monotone_and_invertible(axis: TimeAxis) -> None:
    t = np.geomspace(1e-4, 1e4, 2_000)
    u = axis.encode(t)
    assert (np.diff(u) > 0).all()
    usable = (u > 1e-290) & (u < 1e290)
    np.testing.assert_allclose(axis.decode(u)[usable], t[usable], rtol=1e-9)


def test_ends(axis: TimeAxis) -> None:
    assert axis.encode(np.array([0.0, np.inf])).tolist() == [0.0, np.inf]
    assert axis.decode(np.array([0.0, np.inf])).tolist() == [0.0, np.inf]


def test_log_slope_is_the_derivative(axis: TimeAxis) -> None:
    rng = np.random.default_rng(0)
    t = np.exp(rng.uniform(-3, 4, 400))
    near = np.abs(np.log(t)[:, None] - axis.log_time).min(1) < 1e-4  # at a knot the slope jumps
    t = t[~near]
    numerical = (axis.encode(t * (1 + 1e-6)) - axis.encode(t * (1 - 1e-6))) / (2e-6 * t)
    np.testing.assert_allclose(np.exp(axis.log_slope(t)), numerical, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "hazard"),
    [
        ("weibull", lambda u: u),
        ("exponential", lambda u: u),
        ("lognormal", lambda u: -norm.logsf(np.log(u))),
        ("loglogistic", lambda u: -logistic.logsf(np.log(u))),
    ],
)
def test_the_population_follows_the_law(name: str, hazard: object) -> None:
    """At every knot, up to the shift that gives events the mean logarithm 0."""
    y = outcome(60)
    axis = population_axis(y, law_quantile(name, 0.0))
    times, expected = kaplan_hazard(y)
    u = axis.encode(times)
    shift = np.log(u)[0] - np.log(_inverse(hazard, expected[0]))
    np.testing.assert_allclose(hazard(u * np.exp(-shift)), expected, rtol=1e-8)  # type: ignore[operator]
    assert np.log(axis.encode(y["time"][y["event"]])).mean() == pytest.approx(0, abs=1e-9)


def _inverse(hazard: object, goal: float) -> float:
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if hazard(np.exp(middle)) < goal else (low, middle)  # type: ignore[operator]
    return float(np.exp(low))


def test_many_events_are_followed_between_knots_too() -> None:
    """1,000 events and at most 60 knots: the encoded Nelson-Aalen curve stays within .01 of the law's survival."""
    y = outcome(1_500)
    axis = population_axis(y, law_quantile("weibull", 0.0))
    assert len(axis.log_time) <= 62
    times, expected = kaplan_hazard(y)
    u = axis.encode(times)
    ratio = np.exp(np.median(np.log(u / expected)))
    assert np.abs(np.exp(-u / ratio) - np.exp(-expected)).max() < 0.01


def test_truncated_rows_are_at_risk_from_their_entry_on() -> None:
    """Against Nelson-Aalen with the risk set written out."""
    rng = np.random.default_rng(3)
    t, e = rng.exponential(3.0, 200), rng.uniform(0, 2, 200)
    keep = t > e
    y = ul.Surv(t[keep], rng.random(keep.sum()) < 0.7, entry=e[keep])
    times = np.unique(y["time"][y["event"]])
    steps = [np.sum((y["time"] == s) & y["event"]) / np.sum((y["time"] >= s) & (y["entry"] < s)) for s in times]
    after = np.cumsum(steps)
    middle = 0.5 * (after + np.concatenate([[0.0], after[:-1]]))
    axis = population_axis(y, law_quantile("weibull", 0.0))
    chosen = np.isclose(np.log(times)[:, None], axis.log_time).any(1)
    log_u = np.log(axis.encode(times[chosen]))
    assert chosen.sum() >= 50
    np.testing.assert_allclose(log_u - log_u[0], np.log(middle[chosen] / middle[chosen][0]), atol=1e-8)


def test_units_and_powers_of_time_change_nothing_between_the_events() -> None:
    """The encoded time of an event is a function of its rank alone."""
    y = outcome()
    event_times = np.sort(y["time"][y["event"]])
    inside = y["time"][(y["time"] >= event_times[0]) & (y["time"] <= event_times[-1])]
    u = population_axis(y, law_quantile("weibull", 0.0)).encode(inside)
    for change in (lambda t: t / 365.25, lambda t: t**2, lambda t: 1e6 * t**0.3):
        other = population_axis(ul.Surv(change(y["time"]), y["event"]), law_quantile("weibull", 0.0))
        np.testing.assert_allclose(other.encode(change(inside)), u, rtol=1e-8)


def test_a_change_of_units_changes_nothing_anywhere() -> None:
    y, t = outcome(), np.geomspace(1e-3, 1e4, 100)
    axis = population_axis(y, law_quantile("weibull", 1.0))
    other = population_axis(ul.Surv(y["time"] * 12.0, y["event"]), law_quantile("weibull", 1.0))
    np.testing.assert_allclose(other.encode(12.0 * t), axis.encode(t), rtol=1e-8)
    np.testing.assert_allclose(other.log_slope(12.0 * t), axis.log_slope(t) - np.log(12.0), atol=1e-8)


def test_log_slopes_are_zero_where_the_likelihood_is_a_probability() -> None:
    y = ul.Surv([1.0, 2.0, 3.0, 0.0], upper=[1.0, np.inf, 5.0, 2.0])
    slopes = log_slopes(y, clock_axis(4.0))
    np.testing.assert_allclose(slopes, [-np.log(4.0), 0, 0, 0])
    columns = encode_outcome(y, clock_axis(4.0))
    np.testing.assert_allclose(columns, np.array([[1, 4, 0, 1], [2, 0, 0, 2], [3, 4, 0, 5], [0, 4, 0, 2]]) / 4.0)


def test_encoded_outcomes_have_their_times_on_the_axis_and_the_unit_of_their_density() -> None:
    y = ul.Surv([1.0, 2.0, 3.0, 0.0], [1, 0, 1, 1], entry=[0, 1, 2, 0], upper=[2.0, np.inf, np.nan, 4.0])
    values = encode_outcome(y, clock_axis(2.0))
    expected = [[0.5, 1, 0, 1], [1.0, 0, 0.5, 1.0], [1.5, 1, 1.0, 1.5], [0.0, 1, 0, 2.0]]
    np.testing.assert_allclose(values, expected, atol=1e-15)
    # only the exact event has a density
    np.testing.assert_allclose(log_slopes(y, clock_axis(2.0)), [0.0, 0.0, -np.log(2.0), 0.0])
    assert np.isclose(time_scale(y), np.exp(np.log([1.5, 2.0, 3.0, 2.0]).mean()))
    plain = ul.Surv([1.0, 4.0], [1, 0])
    np.testing.assert_allclose(encode_outcome(plain, clock_axis(time_scale(plain))), [[0.5, 1], [2.0, 0]])
