"""Calibration of benefit and decision curves against Kaplan-Meier, dcurves and what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from scipy.special import expit

import underlie as ul
from underlie.check.decisions.ranking import ranked_gains

from .decision_trials import trial

# --- calibration of benefit ---------------------------------------------------------------------------


def test_groups_are_differences_of_kaplan_meier_with_greenwoods_error() -> None:
    X, y = trial(400, 6)
    benefit = np.asarray(X["x"]) / 2
    result = ul.benefit_calibration(benefit, y, X["arm"], 1.0, n_groups=3, n_bootstrap=5, random_state=0)
    cuts = np.quantile(benefit, [1 / 3, 2 / 3])
    for group, (_, row) in enumerate(result.groups.iterrows()):
        inside = np.searchsorted(cuts, benefit, side="right") == group
        ends, variances = [], []
        for level in ("yes", "no"):
            rows = inside & (X["arm"] == level).to_numpy()
            fitted = KaplanMeierFitter().fit(y["time"][rows], y["event"][rows])
            past = fitted.event_table.loc[fitted.event_table.index <= 1]
            ends.append(float(fitted.survival_function_at_times(1.0).iloc[0]))
            d, r = past["observed"], past["at_risk"]
            variances.append(ends[-1] ** 2 * (d / (r * (r - d))).sum())
        np.testing.assert_allclose(row["predicted"], benefit[inside].mean())
        np.testing.assert_allclose(row["observed"], ends[0] - ends[1])
        np.testing.assert_allclose(row["upper"] - row["observed"], 1.959964 * np.sqrt(sum(variances)), rtol=1e-6)
    assert result.groups["n"].sum() == 400


def test_slope_is_one_for_the_truth_and_a_half_for_twice_it() -> None:
    """Slopes within 4 standard errors: 1 in 16,000 by chance; and the errors are small enough to tell 1 from .5."""
    X, y = trial(6000, 7)
    truth = np.exp(-np.exp(-1.5 * X["x"])) - np.exp(-1)
    right = ul.benefit_calibration(truth, y, X["arm"], 1.0, random_state=0)
    twice = ul.benefit_calibration(2 * truth, y, X["arm"], 1.0, random_state=0)
    assert abs(right.slope.value - 1) < 4 * right.slope.se
    assert right.slope.se < 0.1
    np.testing.assert_allclose(twice.slope.value, right.slope.value / 2)
    assert abs(right.in_the_large.value) < 4 * right.in_the_large.se
    np.testing.assert_allclose(
        twice.in_the_large.value, right.overall["adjusted"].iloc[0] - 2 * truth.mean(), atol=1e-12
    )
    assert right.ranking.value == twice.ranking.value > 0


def test_swapping_treated_and_control_turns_all_signs() -> None:
    X, y = trial(400, 8)
    benefit = np.asarray(X["x"]) / 2
    there = ul.benefit_calibration(benefit, y, X["arm"], 1.0, random_state=0)
    back = ul.benefit_calibration(-benefit, y, X["arm"], 1.0, treated="no", control="yes", random_state=0)
    np.testing.assert_allclose(back.groups["observed"][::-1], -there.groups["observed"])
    np.testing.assert_allclose(back.slope.value, there.slope.value)
    assert (back.treated, back.control) == ("no", "yes")


def test_scores_correct_for_confounding_where_kaplan_meier_cannot() -> None:
    """Treatment does nothing but is given to the healthier; scores within 4 standard errors of 0 (1 in 16,000)."""
    rng = np.random.default_rng(9)
    x = rng.uniform(-1, 1, 8000)
    arm = (rng.uniform(size=8000) < expit(2 * x)).astype(int)
    event_time, censored = rng.exponential(np.exp(x)), rng.uniform(0.5, 3, 8000)
    y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
    given = {
        "propensity": expit(2 * x),
        "survival": lambda _, t: np.exp(-np.exp(-x)[:, None] * t),
    }
    overall = ul.benefit_calibration(x / 10, y, arm, 1.0, random_state=0, **given).overall.iloc[0]
    assert overall["lower"] > 0.1
    assert abs(overall["adjusted"]) < 4 * (overall["adjusted_upper"] - overall["adjusted"]) / 1.96


def test_constant_benefit_has_one_group_and_no_slope() -> None:
    X, y = trial(200, 10)
    result = ul.benefit_calibration(np.full(200, 0.1), y, X["arm"], 1.0, random_state=0)
    assert len(result.groups) == 1
    assert np.isnan(result.slope.value)
    assert abs(result.ranking.value) < 1e-12
    assert "nan" in str(result)


def test_ranking_is_the_mean_over_all_first_k() -> None:
    rng = np.random.default_rng(11)
    benefit, scores = rng.normal(size=40), rng.normal(size=40)
    order = np.argsort(-benefit)
    by_hand = np.mean([scores[order][:k].mean() for k in range(1, 41)]) - scores.mean()
    np.testing.assert_allclose(ranked_gains(benefit, scores, 0, rng), [by_hand])
    ties = np.round(benefit)  # averaged over the orders of equal rows: 4000 orders, 5 standard errors
    drawn = [ranked_gains(ties + 1e-6 * rng.permutation(40), scores, 0, rng)[0] for _ in range(4000)]
    exact = ranked_gains(ties, scores, 0, rng)[0]
    assert abs(np.mean(drawn) - exact) < 5 * np.std(drawn) / np.sqrt(4000)


# --- decision curves ----------------------------------------------------------------------------------


def censored_risks(n: int, seed: int) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    event_time, censored = rng.exponential(np.exp(-x)), rng.uniform(0.5, 3, n)
    return 1 - np.exp(-np.exp(x)), ul.Surv(np.minimum(event_time, censored), event_time <= censored)


def test_equals_dcurves() -> None:
    dcurves = pytest.importorskip("dcurves")
    risk, y = censored_risks(300, 0)
    thresholds = np.array([0.05, 0.2, 0.35, 0.5, 0.65, 0.8])
    result = ul.decision_curve({"model": risk}, y, 1.0, thresholds)
    table = pd.DataFrame({"model": risk, "time": y["time"], "event": y["event"].astype(int)})
    theirs = dcurves.dca(
        data=table,
        outcome="event",
        modelnames=["model"],
        thresholds=thresholds,
        time=1.0,
        time_to_outcome_col="time",
    )
    ours = result.table()
    for name, their_name in (("model", "model"), ("treat all", "all"), ("treat none", "none")):
        expected = theirs[theirs["model"] == their_name]
        np.testing.assert_allclose(ours.loc[name, "net_benefit"], expected["net_benefit"], atol=1e-9)
        np.testing.assert_allclose(ours.loc[name, "avoided"], expected["net_intervention_avoided"], atol=1e-9)


def test_uncensored_is_the_count_of_true_and_false_positives() -> None:
    rng = np.random.default_rng(1)
    risk, time = rng.uniform(size=200), rng.exponential(size=200)
    result = ul.decision_curve(risk, ul.Surv(time, np.ones(200)), 1.0, [0.0, 0.3])
    acted, event = risk >= 0.3, time <= 1
    expected = ((acted & event).sum() - (acted & ~event).sum() * 0.3 / 0.7) / 200
    np.testing.assert_allclose(result.net_benefit[0], [event.mean(), expected])
    each = acted * (event - ~event * 0.3 / 0.7)
    np.testing.assert_allclose(result.se[0, 1], each.std(ddof=1) / np.sqrt(200))
    assert result.over_all[0, 0] == 0  # at threshold 0 all are treated
    assert np.isnan(result.table().loc[("model", 0.0), "avoided"])
    np.testing.assert_allclose(result.acted[:, 1], [acted.mean(), 1, 0])


def test_intervals_of_net_benefit_cover() -> None:
    """400 samples of 200 rows: coverage within .95 +- .045 with all but 1 in 10,000 (binomial), of two numbers."""
    risk, _ = censored_risks(400_000, 2)
    acted = risk >= 0.5
    truth = (risk[acted] - (1 - risk[acted])).sum() / len(risk)
    gain = truth - (2 * risk.mean() - 1)
    inside = []
    for seed in range(400):
        values, y = censored_risks(200, 100 + seed)
        result = ul.decision_curve(values, y, 1.0, [0.5])
        one = abs(result.net_benefit[0, 0] - truth) < 1.96 * result.se[0, 0]
        inside.append([one, abs(result.over_all[0, 0] - gain) < 1.96 * result.over_all_se[0, 0]])
    assert (np.abs(np.mean(inside, axis=0) - 0.95) <= 0.045).all()


def test_thresholds_beyond_every_risk_and_groups_without_follow_up() -> None:
    risk, y = censored_risks(300, 3)
    result = ul.decision_curve(risk / 2, y, 1.0, [0.1, 0.9])
    assert result.net_benefit[0, 1] == 0
    lost = ul.Surv(np.append(y["time"], [0.1, 0.1]), np.append(y["event"], [False, False]))
    short = ul.decision_curve(np.append(risk / 2, [0.99, 0.99]), lost, 1.0, [0.1, 0.9])
    assert np.isnan(short.net_benefit[0, 1])
    assert np.isfinite(short.net_benefit[0, 0])
    default = ul.decision_curve(risk / 2, y, 1.0).thresholds
    assert (default[0], (risk / 2 >= default[-1]).sum() >= 10) == (0.01, True)
