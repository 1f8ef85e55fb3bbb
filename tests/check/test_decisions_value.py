"""Value of policies: Kaplan-Meier and formulas by hand where it must be, doubly robust, with right intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time
from scipy.integrate import quad

import underlie as ul
from underlie.check.decisions import PolicyValue
from underlie.check.decisions.curves import RowCurves
from underlie.check.decisions.measures import MEASURES
from underlie.check.decisions.product_limit import survival_at
from underlie.check.decisions.pseudo import pseudo_outcomes
from underlie.check.survival.outcomes import Outcome

HORIZON = 1.0
GRID = np.linspace(0.01, HORIZON, 100)


def tied_trial(seed: int = 0, n: int = 300, n_arms: int = 3) -> tuple[Any, np.ndarray]:
    """Coarse times, so that events, censoring and the horizon tie."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(n_arms, size=n)
    event_time, censored = np.ceil(rng.exponential(1 + arm) * 5) / 5, np.ceil(rng.uniform(0, 4, n) * 5) / 5
    return ul.Surv(np.minimum(event_time, censored), event_time <= censored), arm


def kaplan_meier(y: Any, measure: str, time: float) -> float:
    fitted = KaplanMeierFitter().fit(y["time"], y["event"])
    if measure == "rmst":
        return float(restricted_mean_survival_time(fitted, t=time))
    return float(fitted.survival_function_at_times(time).iloc[0])


class Confounded:
    """Treatment and censoring depend on x, as does the effect; hazards are constant, so that the truth is known."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.uniform(-1, 1, n)
        self.propensity = 1 / (1 + np.exp(-1.5 * self.x))
        self.arm = (rng.uniform(size=n) < self.propensity).astype(int)
        event_time = rng.exponential(1 / self.hazard(self.x, self.arm))
        censored = rng.exponential(1 / self.censoring_hazard(self.x, self.arm))
        self.y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
        self.rule = (self.x > 0.2).astype(int)

    @staticmethod
    def hazard(x: Any, arm: Any) -> Any:
        return np.exp(0.8 * x - 1.2 * arm * x)

    @staticmethod
    def censoring_hazard(x: Any, arm: Any) -> Any:
        return 0.6 * np.exp(x - 0.5 * arm)

    def survival(self, arm: int, t: np.ndarray) -> np.ndarray:
        return np.exp(-self.hazard(self.x, arm)[:, None] * t)

    def censoring(self, arm: int, t: np.ndarray) -> np.ndarray:
        return np.exp(-self.censoring_hazard(self.x, arm)[:, None] * t)

    @classmethod
    def truth(cls, rule: Any, measure: str) -> float:
        def value(x: float) -> float:
            rate = cls.hazard(x, rule(x))
            return float(np.exp(-rate * HORIZON) if measure == "survival" else (1 - np.exp(-rate * HORIZON)) / rate)

        return quad(value, -1, 0.2)[0] / 2 + quad(value, 0.2, 1)[0] / 2


RULES = {"rule": lambda x: int(x > 0.2), "treat none": lambda x: 0, "treat all: 1": lambda x: 1}


def wrong_survival(arm: int, t: np.ndarray, n: int) -> np.ndarray:
    return np.tile(np.exp(-(0.4 + 0.9 * arm) * t), (n, 1))


def errors(data: Confounded, measure: str, **given: Any) -> np.ndarray:
    """Estimate less truth, in standard errors, for the rule, treat none and treat all."""
    chosen: dict[str, Any] = {
        "survival": data.survival,
        "censoring": data.censoring,
        "propensity": data.propensity,
        "times": GRID,
        **given,
    }
    result = ul.policy_value(
        {"rule": data.rule}, data.y, data.arm, time=HORIZON, measure=measure, control=0, min_censoring=0.01, **chosen
    )
    found = result.table().loc[list(RULES)]
    truth = np.array([Confounded.truth(rule, measure) for rule in RULES.values()])
    return np.asarray((found["value"] - truth) / found["se"])


# --- equalities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("censoring", ["marginal", "by arm"])
@pytest.mark.parametrize("measure", ["survival", "rmst"])
def test_without_covariates_treating_all_is_kaplan_meier(measure: str, censoring: str, time: float) -> None:
    y, arm = tied_trial()
    result = ul.policy_value(
        {}, y, arm, propensity="shares", censoring=censoring, time=time, measure=measure, min_censoring=1e-9
    )
    expected = [kaplan_meier(y[arm == level], measure, time) for level in range(3)]
    np.testing.assert_allclose(result.value[:3], expected, rtol=1e-12)
    np.testing.assert_allclose(result.value[3], np.bincount(arm) / len(arm) @ expected, rtol=1e-12)


@pytest.mark.parametrize("measure", ["survival", "rmst"])
@pytest.mark.parametrize("outcome_model", ["kaplan_meier", "none"])
def test_as_observed_without_arms_is_kaplan_meier(measure: str, outcome_model: str) -> None:
    y, arm = tied_trial(1)
    fitted = KaplanMeierFitter().fit(y["time"], y["event"])
    times = np.unique(y["time"])
    curve = fitted.survival_function_at_times(times).to_numpy() if outcome_model == "kaplan_meier" else 0 * times
    result = ul.policy_value(
        {},
        y,
        arm,
        propensity="shares",
        survival=np.tile(curve, (len(y), 3, 1)),
        censoring="marginal",
        times=times,
        interpolation="step",
        time=1.5,
        measure=measure,
        min_censoring=1e-9,
    )
    np.testing.assert_allclose(result.value[-1], kaplan_meier(y, measure, 1.5), rtol=1e-12)


def test_kaplan_meier_at_a_time_has_greenwoods_variance() -> None:
    y, _ = tied_trial(2)
    fitted = KaplanMeierFitter().fit(y["time"], y["event"])
    for time in (0.6, 1.5, 2.05):
        found = survival_at(Outcome(y["event"], y["time"]), time)
        past = fitted.event_table.loc[fitted.event_table.index <= time]
        d, r = past["observed"].to_numpy(), past["at_risk"].to_numpy()
        np.testing.assert_allclose(found.value, kaplan_meier(y, "survival", time), rtol=1e-12)
        np.testing.assert_allclose(found.variance, found.value**2 * (d / (r * (r - d))).sum(), rtol=1e-12)
        np.testing.assert_allclose(found.influence.mean(), 0, atol=1e-12)


def test_error_as_observed_is_greenwoods() -> None:
    """With Kaplan-Meier as both S and G the influence functions are the same."""
    y, arm = tied_trial(3)
    times = np.unique(y["time"])
    curve = KaplanMeierFitter().fit(y["time"], y["event"]).survival_function_at_times(times).to_numpy()
    result = ul.policy_value(
        {},
        y,
        arm,
        propensity="shares",
        survival=np.tile(curve, (len(y), 3, 1)),
        censoring="marginal",
        times=times,
        interpolation="step",
        time=1.5,
        min_censoring=1e-9,
    )
    found = survival_at(Outcome(y["event"], y["time"]), 1.5)
    np.testing.assert_allclose(result.scores[:, -1] - result.value[-1], found.influence, atol=1e-12)


def test_uncensored_without_outcome_model_is_hajeks_formula() -> None:
    rng = np.random.default_rng(4)
    n = 200
    arm, rule, p = rng.integers(2, size=n), rng.integers(2, size=n), rng.uniform(0.2, 0.8, n)
    time = rng.exponential(size=n)
    result = ul.policy_value(
        {"rule": rule},
        ul.Surv(time, np.ones(n)),
        arm,
        propensity=p,
        survival=np.zeros((n, 2, 1)),
        times=[1.0],
        time=1.0,
    )
    weight = (arm == rule) / np.where(arm == 1, p, 1 - p)
    expected = (weight * (time > 1)).sum() / weight.sum()
    np.testing.assert_allclose(result.value[0], expected, rtol=1e-12)
    influence = weight / weight.mean() * ((time > 1) - expected)
    np.testing.assert_allclose(result.se[0], influence.std(ddof=1) / np.sqrt(n), rtol=1e-12)


def test_uncensored_with_shares_treating_all_is_the_mean_of_the_arm() -> None:
    """Horvitz and Thompson's formula: mean of 1{a = level} h(T) / share."""
    rng = np.random.default_rng(5)
    arm, time = rng.integers(2, size=150), rng.exponential(size=150)
    result = ul.policy_value(
        {}, ul.Surv(time, np.ones(150)), arm, propensity="shares", survival=np.zeros((150, 2, 1)), times=[1.0], time=1.0
    )
    share = (arm == 1).mean()
    np.testing.assert_allclose(result.value[1], ((arm == 1) * (time > 1) / share).mean(), rtol=1e-12)


def test_both_ways_of_integrating_agree() -> None:
    """Steps at many knots and trapezoids between them are the same integral, up to the width of the knots."""
    data = Confounded(60, 6)
    outcome = Outcome(data.y["event"], data.y["time"])
    knots = np.linspace(0, HORIZON, 4001)
    survival = RowCurves(knots, data.survival(1, knots).T, linear=True)
    for measure in MEASURES.values():
        both = [
            pseudo_outcomes(outcome, survival, RowCurves(knots, data.censoring(1, knots).T, linear), measure, HORIZON)
            for linear in (True, False)
        ]
        np.testing.assert_allclose(both[0], both[1], atol=2e-3)


def test_difference_is_paired_and_antisymmetric() -> None:
    y, arm = tied_trial()
    result = ul.policy_value({"first": np.zeros(300)}, y, arm, propensity="shares", time=1.0)
    there, back = result.difference("treat all: 1", "treat all: 2"), result.difference("treat all: 2", "treat all: 1")
    np.testing.assert_allclose(there[0], result.value[2] - result.value[3])
    np.testing.assert_allclose(there[:3], [-back[0], -back[2], -back[1]])
    assert result.difference("first", "treat all: 0") == (0.0, 0.0, 0.0, 0.0)


# --- invariance ---------------------------------------------------------------------------------------


def run_model(data: Confounded, order: np.ndarray, names: tuple[Any, Any]) -> PolicyValue:
    """All inputs by level, in another order of rows and with other names of arms."""
    label = np.array(names, dtype=object)
    return ul.policy_value(
        {"rule": label[data.rule[order]]},
        data.y[order],
        label[data.arm[order]],
        survival={names[a]: data.survival(a, GRID)[order] for a in (0, 1)},
        censoring={names[a]: data.censoring(a, GRID)[order] for a in (0, 1)},
        propensity={names[1]: data.propensity[order], names[0]: 1 - data.propensity[order]},
        times=GRID,
        time=HORIZON,
        control=names[0],
    )


def test_order_of_rows_and_names_of_arms_do_not_matter() -> None:
    data = Confounded(400, 7)
    columns = ["value", "se", "difference", "followed", "effective_n"]
    reference = run_model(data, np.arange(400), (0, 1)).table()[columns]
    for names in (("old", "new"), ("a", "b")):
        table = run_model(data, np.random.default_rng(0).permutation(400), names).table()[columns]
        table.index = [f"treat all: {1}" if name == f"treat all: {names[1]}" else name for name in table.index]
        np.testing.assert_allclose(table.loc[reference.index], reference, rtol=1e-9)


def test_forms_of_nuisances_agree() -> None:
    data = Confounded(300, 8)
    tables = np.stack([data.survival(a, GRID) for a in (0, 1)], axis=1)
    lost = np.stack([data.censoring(a, GRID) for a in (0, 1)], axis=1)
    own = lost[np.arange(300), data.arm]
    common = {"time": HORIZON, "times": GRID}
    results = [
        ul.policy_value(data.rule, data.y, data.arm, survival=s, censoring=g, propensity=p, **common).value
        for s, g, p in (
            (data.survival, data.censoring, data.propensity),
            (tables, lost, np.column_stack([1 - data.propensity, data.propensity])),
            (tables, own, data.propensity),
        )
    ]
    np.testing.assert_allclose(results[1], results[0])
    np.testing.assert_allclose(results[2], results[0])


def test_default_grid_is_fine_enough() -> None:
    data = Confounded(500, 9)
    given = {"survival": data.survival, "censoring": data.censoring, "propensity": data.propensity, "time": HORIZON}
    coarse = ul.policy_value(data.rule, data.y, data.arm, **given)
    fine = ul.policy_value(data.rule, data.y, data.arm, times=np.linspace(0.0005, 1, 2000), **given)
    assert np.abs(coarse.value - fine.value).max() < 0.01 * fine.se.min()


def test_rows_without_recommendation_stay_as_they_are() -> None:
    y, arm = tied_trial()
    nothing = ul.policy_value({"nothing": [None] * 300}, y, arm, propensity="shares", time=1.0)
    assert nothing.value[0] == nothing.value[-1]
    assert nothing.shares.loc["nothing", "none"] == 1
    mixed = np.where(np.arange(300) < 100, np.nan, 1.0)
    result = ul.policy_value(mixed, y, arm, propensity="shares", time=1.0)
    np.testing.assert_allclose(result.followed[0], (100 + (arm[100:] == 1).sum()) / 300)


# --- by simulation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["survival", "rmst"])
@pytest.mark.parametrize("wrong", ["nothing", "survival", "propensity and censoring"])
def test_doubly_robust(measure: str, wrong: str) -> None:
    """Three errors below 4 standard errors: fails by chance less than once in 5,000 seeds (18 in all: 1 in 800)."""
    data = Confounded(20_000, 10)
    given: dict[str, Any] = {}
    if wrong == "survival":
        given["survival"] = lambda arm, t: wrong_survival(arm, t, 20_000)
    if wrong == "propensity and censoring":
        given = {
            "propensity": np.full(20_000, 0.5),
            "censoring": lambda arm, t: np.exp(-0.3 * t) * np.ones((20_000, 1)),
        }
    assert np.abs(errors(data, measure, **given)).max() < 4


def test_two_wrong_models_are_found_out() -> None:
    """The simulation is hard enough: with S and p wrong, or S and G wrong, the estimate is off by far."""
    data = Confounded(20_000, 10)
    survival = lambda arm, t: wrong_survival(arm, t, 20_000)  # noqa: E731
    assert np.abs(errors(data, "survival", survival=survival, propensity=np.full(20_000, 0.5))).max() > 8
    never_mind = lambda arm, t: np.exp(-0.3 * t) * np.ones((20_000, 1))  # noqa: E731
    assert np.abs(errors(data, "survival", survival=survival, censoring=never_mind)).max() > 8


def test_unbiased_in_a_randomised_trial_and_intervals_cover() -> None:
    """300 trials of 250 rows, nothing known but the arms.

    Mean error below 4 of its standard errors: 1 in 4,000 per seed for four policies. Coverage of a right interval is
    within .95 +- .05 with all but 1 in 10,000 (binomial, sd .0126); four policies and a difference: 1 in 2,000.
    """
    rng = np.random.default_rng(11)
    found, covered = [], []
    truth: np.ndarray | None = None
    for _ in range(300):
        x, arm = rng.uniform(-1, 1, 250), rng.integers(2, size=250)
        event_time, censored = rng.exponential(np.exp(arm * x)), rng.uniform(0.2, 3, 250)
        y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
        result = ul.policy_value({"x > 0": (x > 0).astype(int)}, y, arm, propensity="shares", time=1.0)
        if truth is None:
            grid = (np.arange(20_000) + 0.5) / 10_000 - 1
            treated = np.exp(-np.exp(-grid))
            best = np.where(grid > 0, treated, np.exp(-1)).mean()
            truth = np.array([best, np.exp(-1), treated.mean(), (np.exp(-1) + treated.mean()) / 2])
        gap = result.difference("x > 0", "as observed")
        inside = np.abs(result.value - truth) <= 1.96 * result.se
        covered.append([*inside, gap[1] <= truth[0] - truth[3] <= gap[2]])
        found.append(result.value)
    assert truth is not None
    error = np.array(found) - truth
    assert (np.abs(error.mean(0)) < 4 * error.std(0) / np.sqrt(300)).all()
    assert (np.abs(np.mean(covered, axis=0) - 0.95) <= 0.05).all()


def test_intervals_cover_where_everything_is_confounded() -> None:
    """150 studies of 300 rows with S, G and p right; coverage within .95 +- .07 with all but 1 in 10,000 each."""
    inside = [np.abs(errors(Confounded(300, 1000 + seed), "rmst")) < 1.96 for seed in range(150)]
    assert (np.abs(np.mean(inside, axis=0) - 0.95) <= 0.07).all()


def test_an_outcome_model_narrows_intervals() -> None:
    """The reason for it: x explains much of the outcome of 3000 randomised rows, of whom half are treated."""
    rng = np.random.default_rng(12)
    x, arm = rng.uniform(-2, 2, 3000), rng.integers(2, size=3000)
    event_time, censored = rng.exponential(np.exp(2 * x)), rng.uniform(0.2, 3, 3000)
    y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
    curves = np.exp(-np.exp(-2 * x)[:, None] * GRID)
    common = {"propensity": "shares", "time": HORIZON, "times": GRID}
    without = ul.policy_value({}, y, arm, **common)
    with_model = ul.policy_value({}, y, arm, survival={0: curves, 1: curves}, **common)
    assert (with_model.se[:2] < 0.9 * without.se[:2]).all()
    assert (
        with_model.difference("treat all: 1", "treat all: 0")[3]
        < 0.75 * without.difference("treat all: 1", "treat all: 0")[3]
    )
