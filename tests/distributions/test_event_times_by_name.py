"""Event-time likelihoods by name, and where a hazard is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from underlie.distributions import (
    EVENT_TIMES,
    EventTime,
    LogLocationScale,
    LogLocationScaleMixture,
    PiecewiseExponential,
    event_time,
    hazard_cuts,
)


@pytest.mark.parametrize("name", EVENT_TIMES)
@pytest.mark.parametrize("width", [2, 4])
def test_every_name_gives_a_head_that_can_be_started(name: str, width: int) -> None:
    rng = np.random.default_rng(0)
    times = rng.weibull(1.5, 200)
    head = event_time(name, width=width, event_times=times)
    assert isinstance(head, EventTime)
    assert head.width == width
    x = np.column_stack([times, np.ones(200), np.zeros(200), times])[:, :width]
    raw = head.start(torch.as_tensor(x).float())
    assert raw.shape == (head.n_raw,)
    assert torch.isfinite(head.log_prob(raw.expand(200, -1), torch.as_tensor(x).float())).all()


def test_names_are_those_of_the_classes() -> None:
    assert EVENT_TIMES == ("weibull", "exponential", "lognormal", "loglogistic", "piecewise_exponential", "mixture")
    for name in EVENT_TIMES[:4]:
        head = event_time(name)
        assert isinstance(head, LogLocationScale)
        assert (head.family, head.shape) == (name, "free")
    mixture = event_time("mixture")
    assert isinstance(mixture, LogLocationScaleMixture)
    assert (mixture.n_components, mixture.family) == (3, "weibull")
    piecewise = event_time("piecewise_exponential", event_times=np.arange(1.0, 101.0))
    assert isinstance(piecewise, PiecewiseExponential)
    assert piecewise.cuts == hazard_cuts(np.arange(1.0, 101.0))


@pytest.mark.parametrize("name", ["gompertz", "Weibull", "", 3])
def test_unknown_names_are_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ValueError, match="distribution must be one of 'weibull', 'exponential', .*'mixture', got") as e:
        event_time(name)
    assert repr(name) in str(e.value)


def test_a_piecewise_hazard_needs_times_to_cut_at() -> None:
    with pytest.raises(ValueError, match="needs event_times"):
        event_time("piecewise_exponential")
    with pytest.raises(ValueError, match="width must be 2"):
        event_time("weibull", width=3)


@pytest.mark.parametrize(("n", "intervals"), [(0, 1), (1, 1), (19, 1), (20, 2), (55, 5), (100, 10), (5000, 10)])
def test_intervals_share_the_events_out(n: int, intervals: int) -> None:
    times = np.random.default_rng(0).weibull(0.8, n)
    cuts = hazard_cuts(times)
    assert len(cuts) == intervals - 1
    ranks = np.searchsorted(np.sort(times.astype(np.float32)), [0.0, *cuts, np.inf], side="right")
    if n >= 20:
        assert np.diff(ranks).min() >= 10
        assert np.ptp(np.diff(ranks)) <= 1
    assert hazard_cuts(times[::-1]) == cuts
    assert PiecewiseExponential(cuts).cuts == cuts


def test_ties_zeros_and_float32_leave_cuts_that_increase() -> None:
    assert hazard_cuts([1.0] * 100) == ()
    assert hazard_cuts([0.0] * 90 + [1.0] * 10) == ()
    tied = hazard_cuts([0.0] * 30 + [1.0] * 30 + [2.0] * 40)
    assert tied == (1.0,)
    # a value that many share ends one interval, and what is left before the next quantile is too little for another
    assert hazard_cuts([1.0] * 29 + [2.0] + [3.0] * 30) == (1.0,)
    close = hazard_cuts(1.0 + np.arange(200) * 1e-9)  # one number in float32
    assert PiecewiseExponential(close).cuts == close


@pytest.mark.parametrize(("wrong", "position"), [(np.nan, 2), (np.inf, 0), (-1.0, 1)])
def test_impossible_times_are_named(wrong: float, position: int) -> None:
    times = [1.0, 2.0, 3.0]
    times[position] = wrong
    with pytest.raises(ValueError, match=f"event_times must be finite and at least 0; number {position} is"):
        hazard_cuts(times)
