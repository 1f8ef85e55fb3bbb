"""What survival metrics must obey whatever the data: invariances, unbiasedness, levels of tests, coverage."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import underlie as ul
from underlie.check.survival import compare_survival

Array = NDArray[np.float64]
GRID = np.linspace(0.02, 6, 300)


def exponential(n: int, rng: np.random.Generator, censoring: float = 2.0) -> tuple[Array, np.ndarray, Array]:
    """Covariate, outcomes and event times: T ~ Exp(rate e^x), C ~ Exp(mean `censoring`)."""
    x = rng.normal(scale=0.7, size=n)
    t, c = rng.exponential(np.exp(-x)), rng.exponential(censoring, size=n)
    return x, ul.Surv(np.minimum(t, c), t <= c), t


def truth(x: Array, times: Array = GRID) -> Array:
    return np.exp(-np.exp(x[:, None]) * times)


# --- Brier score ----------------------------------------------------------------------------------


def test_perfect_prediction_scores_zero_without_censoring() -> None:
    t = np.random.default_rng(0).exponential(size=100)
    y = ul.Surv(t, np.ones(100))
    result = ul.survival_metrics(t[:, None] > GRID, GRID, y, y, interpolation="step", n_bootstrap=20)
    assert result.integrated_brier.value == result.integrated_brier.upper == 0
    assert (result.brier.value == 0).all()
    assert result.auc_at_horizon.value == 1
    assert result.harrell.value == pytest.approx(1, abs=0.01)  # equal curves where no grid time lies between


def test_without_censoring_the_score_is_the_mean_square() -> None:
    x, _, t = exponential(200, np.random.default_rng(0))
    y = ul.Surv(t, np.ones(200))
    result = ul.survival_metrics(truth(x), GRID, y, y, n_bootstrap=0)
    np.testing.assert_allclose(result.brier.value, ((truth(x) - (t[:, None] > GRID)) ** 2).mean(0), rtol=1e-12)


def test_rows_are_judged_each_by_itself() -> None:
    """A sample's score is the mean of its halves' scores, so nothing of the test fold's censoring enters."""
    rng = np.random.default_rng(0)
    train = exponential(150, rng)[1]
    x, y, _ = exponential(100, rng)
    whole, first, second = (
        ul.survival_metrics(truth(x)[rows], GRID, y[rows], train, n_bootstrap=0)
        for rows in (slice(None), slice(50), slice(50, None))
    )
    np.testing.assert_allclose(whole.brier.value, (first.brier.value + second.brier.value) / 2, rtol=1e-12)
    both = (first.integrated_brier.value + second.integrated_brier.value) / 2
    assert whole.integrated_brier.value == pytest.approx(both, rel=1e-12)
    assert whole.end == first.end == second.end


def bias(simulate: object, repeats: int, **given: object) -> tuple[float, float]:
    """Mean and its standard error of (weighted score under censoring - score of the same rows uncensored)."""
    gaps = np.array([simulate(np.random.default_rng(seed), **given) for seed in range(repeats)])
    return float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(repeats))


def smooth_gap(rng: np.random.Generator) -> float:
    times = np.linspace(0.1, 1.5, 10)
    train = exponential(300, rng)[1]
    x, y, t = exponential(300, rng)
    full = ul.Surv(t, np.ones(300))
    seen, known = (ul.survival_metrics(truth(x, times), times, part, train, n_bootstrap=0) for part in (y, full))
    uncensored = ((truth(x, times) - (t[:, None] > times)) ** 2).mean(0)
    assert np.isfinite(known.integrated_brier.value)
    return seen.integrated_brier.value - float(np.trapezoid(uncensored, times) / (times[-1] - times[0]))


def test_censoring_weights_leave_the_score_unbiased() -> None:
    # Two-sided z test at 4 standard errors: false-alarm rate 6e-5. A third of the rows is censored by 1.5.
    mean, error = bias(smooth_gap, 200)
    assert abs(mean) < 4 * error
    assert error < 0.002


def coarse_gap(rng: np.random.Generator, censoring: str) -> float:
    """Whole-number times: every event ties with censored rows."""
    n, times = 1000, np.array([1.0, 2.0, 3.0])
    t, c = np.ceil(rng.exponential(2, size=2 * n)), np.ceil(rng.exponential(4, size=2 * n))
    y = ul.Surv(np.minimum(t, c), t <= c)
    survival = np.tile(np.array([0.7, 0.5, 0.4]), (n, 1))
    result = ul.survival_metrics(survival, times, y[n:], y[:n], censoring=censoring, n_bootstrap=0)
    return float(result.brier.value[2] - ((survival[:, 2] - (t[n:] > 3)) ** 2).mean())


def test_with_tied_times_the_left_limit_is_unbiased_and_the_right_one_is_not() -> None:
    # False-alarm rate 6e-5 for the first; the second is biased by 7 standard errors and more.
    mean, error = bias(coarse_gap, 100, censoring="marginal")
    assert abs(mean) < 4 * error
    mean, error = bias(coarse_gap, 100, censoring="marginal_right")
    assert mean > 7 * error


def dependent_gap(rng: np.random.Generator, conditional: bool) -> float:
    """Censoring is faster where events are: rate e^x / 2."""
    n, times = 1000, np.linspace(0.2, 1.0, 5)
    x = rng.normal(scale=0.7, size=2 * n)
    t, c = rng.exponential(np.exp(-x)), rng.exponential(2 * np.exp(-x))
    y, survival = ul.Surv(np.minimum(t, c), t <= c), np.full((n, 5), 0.9)

    def g(at: Array) -> Array:
        return np.exp(-np.exp(x[n:, None]) * at / 2)

    result = ul.survival_metrics(
        survival,
        times,
        y[n:],
        y[:n],
        censoring=g if conditional else "marginal",
        min_censoring=0.001,
        n_bootstrap=0,
    )
    return float(result.brier.value[-1] - ((survival[:, -1] - (t[n:] > 1)) ** 2).mean())


def test_weights_given_covariates_remove_the_bias_of_marginal_ones() -> None:
    # False-alarm rate 6e-5 for the first; the second is biased by 7 standard errors and more.
    mean, error = bias(dependent_gap, 60, conditional=True)
    assert abs(mean) < 4 * error
    mean, error = bias(dependent_gap, 60, conditional=False)
    assert abs(mean) > 7 * error


# --- end of support -------------------------------------------------------------------------------


def test_integration_stops_where_censoring_leaves_too_few() -> None:
    rng = np.random.default_rng(0)
    x, y, _ = exponential(400, rng, censoring=0.7)
    result = ul.survival_metrics(truth(x), GRID, y, y, n_bootstrap=0)
    assert result.end < 0.7 * -np.log(0.05) * 1.5  # the true G reaches .05 at 2.1
    inside = result.end >= GRID
    expected = np.trapezoid(result.brier.value[inside], GRID[inside]) / np.ptp(GRID[inside])
    assert result.integrated_brier.value == pytest.approx(expected, rel=1e-12)
    tighter = ul.survival_metrics(truth(x), GRID, y, y, min_censoring=0.3, n_bootstrap=0)
    assert tighter.end < result.end


def test_times_past_training_follow_up_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, y, _ = exponential(200, rng)
    early = ul.Surv(np.minimum(y["time"], 1.0), y["event"] & (y["time"] <= 1.0))
    result = ul.survival_metrics(truth(x), GRID, y, early, horizon=0.8, n_bootstrap=10, random_state=0)
    assert result.end < 1.0
    assert np.isfinite([result.integrated_brier.value, result.uno.value, result.antolini.value]).all()
    assert np.isfinite(result.brier.value).all()
    short = ul.survival_metrics(truth(x)[:, GRID <= 1], GRID[GRID <= 1], y, early, horizon=0.8, n_bootstrap=0)
    assert short.integrated_brier.value == pytest.approx(result.integrated_brier.value, rel=1e-12)


# --- concordance ----------------------------------------------------------------------------------


def test_a_constant_has_concordance_one_half() -> None:
    _, y, _ = exponential(100, np.random.default_rng(0))
    result = ul.survival_metrics(np.tile(np.exp(-GRID), (100, 1)), GRID, y, y, n_bootstrap=20, random_state=0)
    for one in (result.harrell, result.uno, result.antolini, result.auc_at_horizon):
        np.testing.assert_allclose([one.value, one.lower, one.upper], 0.5, rtol=1e-12)


def test_concordance_depends_on_ranks_alone() -> None:
    x, y, _ = exponential(150, np.random.default_rng(0))
    first, second, reverse = (
        ul.survival_metrics(truth(x), GRID, y, y, risk=risk, n_bootstrap=0) for risk in (x, np.exp(3 * x) + 5, -x)
    )
    assert second.harrell.value == first.harrell.value
    assert second.uno.value == first.uno.value
    assert reverse.harrell.value == pytest.approx(1 - first.harrell.value, rel=1e-12)
    assert reverse.uno.value == pytest.approx(1 - first.uno.value, rel=1e-12)


def test_curves_that_do_not_cross_have_one_concordance() -> None:
    x, y, _ = exponential(150, np.random.default_rng(0))
    grid = np.linspace(0.01, float(y["time"].max()), 100)
    result = ul.survival_metrics(truth(x, grid), grid, y, y, risk=x, n_bootstrap=20, random_state=0)
    np.testing.assert_array_equal(result.antolini.replicates, result.harrell.replicates)


def test_unit_and_order_of_rows_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, y, _ = exponential(150, rng)
    order = rng.permutation(150)
    days = ul.Surv(y["time"] * 365, y["event"])
    first = ul.survival_metrics(truth(x), GRID, y, y, n_bootstrap=0).table()
    again = ul.survival_metrics(truth(x)[order], GRID * 365, days[order], days, n_bootstrap=0).table()
    np.testing.assert_allclose(again.to_numpy(), first.to_numpy(), rtol=1e-9)


def test_ten_thousand_rows_take_seconds() -> None:
    # About 1.4 s of one core with 200 resamples; the limit allows for a machine that is slow and busy.
    x, y, _ = exponential(10_000, np.random.default_rng(0))
    start = time.process_time()
    ul.survival_metrics(truth(x), GRID, y, y, random_state=0)
    assert time.process_time() - start < 15


# --- calibration ----------------------------------------------------------------------------------


def p_values(censoring: float, repeats: int, n: int) -> Array:
    """p-values of D-calibration, Pearson's and Wald's, of the truth."""
    grid = np.concatenate([np.linspace(0.005, 3, 200), np.linspace(3.1, 40, 100)])
    found = []
    for seed in range(repeats):
        x, y, _ = exponential(n, np.random.default_rng(seed), censoring)
        result = ul.survival_metrics(truth(x, grid), grid, y, y, n_bootstrap=0).d_calibration
        found.append((result.p_value, result.wald_p_value))
    return np.array(found).T


def test_d_calibration_keeps_its_level_under_the_truth() -> None:
    # Kolmogorov-Smirnov at 1e-3 for each of two uniform laws: false-alarm rate 2e-3, on fixed seeds.
    for p in p_values(censoring=1e6, repeats=300, n=300):
        assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_with_censoring_pearson_is_cautious_and_wald_keeps_its_level() -> None:
    # Wald as above, false-alarm rate 1e-3. Pearson: at 5 % it should alarm in less than 5 %, here in under 1 %.
    pearson, wald = p_values(censoring=1.0, repeats=300, n=400)
    assert stats.kstest(wald, "uniform").pvalue > 1e-3
    assert (pearson < 0.05).mean() < 0.03
    assert np.median(pearson) > 0.6


def test_the_curve_of_the_population_is_d_calibrated_and_ranks_nothing() -> None:
    # 5 of 40 seeds or more below 5 % has probability 4.8 % under a uniform law; the seeds are fixed.
    alarms = 0
    for seed in range(40):
        y = exponential(300, np.random.default_rng(seed), censoring=1e6)[1]
        draws = np.random.default_rng(1000 + seed).normal(scale=0.7, size=4000)
        population = np.tile(truth(draws).mean(0), (300, 1))
        result = ul.survival_metrics(population, GRID, y, y, n_bootstrap=0)
        alarms += result.d_calibration.p_value < 0.05
        assert result.harrell.value == 0.5
    assert alarms < 6


def test_miscalibration_is_found() -> None:
    x, y, _ = exponential(400, np.random.default_rng(0))
    right, wrong = (
        ul.survival_metrics(truth(x + shift), GRID, y, y, horizon=0.7, n_groups=4, random_state=0)
        for shift in (0.0, 0.5)
    )
    assert right.d_calibration.p_value > 0.05
    assert wrong.d_calibration.p_value < 1e-3
    assert wrong.d_calibration.wald_p_value < 1e-3
    assert right.calibration_in_the_large.lower < 0 < right.calibration_in_the_large.upper
    assert wrong.calibration_in_the_large.lower > 0
    assert wrong.weighted_calibration_in_the_large.lower > 0
    assert wrong.integrated_brier.value > right.integrated_brier.value
    over = wrong.calibration.observed.at > wrong.calibration.observed.upper
    assert over.mean() > 0.5
    assert wrong.harrell.value == pytest.approx(right.harrell.value, abs=0.005)


def test_rows_followed_past_the_last_time_are_treated_as_censored_there() -> None:
    x, y, _ = exponential(200, np.random.default_rng(0))
    end = GRID[40]
    cut = ul.Surv(np.minimum(y["time"], end), y["event"] & (y["time"] <= end))
    first, second = (ul.survival_metrics(truth(x)[:, :41], GRID[:41], part, y, n_bootstrap=0) for part in (y, cut))
    np.testing.assert_allclose(first.d_calibration.shares.value, second.d_calibration.shares.value, rtol=1e-12)
    assert first.antolini.value == second.antolini.value
    assert (y["event"] & (y["time"] > end)).sum() > 20


# --- intervals ------------------------------------------------------------------------------------


def test_intervals_cover() -> None:
    # 90 % intervals, 150 data sets, truth by 200,000 uncensored rows: binomial(150, .88) is outside [118, 144] with
    # probability 1e-3 or less (.88: percentile intervals of 150 rows cover a little less than stated).
    rng = np.random.default_rng(99)
    times = np.linspace(0.1, 1.5, 10)
    x, _, t = exponential(200_000, rng)
    large = ((truth(x, times) - (t[:, None] > times)) ** 2).mean(0)
    expected = np.trapezoid(large, times) / np.ptp(times)
    covered = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        train = exponential(400, rng)[1]
        x, y, _ = exponential(150, rng)
        result = ul.survival_metrics(truth(x, times), times, y, train, level=0.9, random_state=seed)
        covered += result.integrated_brier.lower <= expected <= result.integrated_brier.upper
    assert 118 <= covered <= 144


def test_a_paired_difference_finds_what_separate_intervals_do_not() -> None:
    rng = np.random.default_rng(0)
    train = exponential(500, rng)[1]
    x, y, _ = exponential(500, rng)
    table = compare_survival(
        {"truth": truth(x, GRID[:100]), "weaker": truth(0.5 * x, GRID[:100])},
        GRID[:100],
        y,
        train,
        n_bootstrap=300,
        random_state=0,
    )
    score = table.loc["integrated_brier"]
    assert score.loc["weaker", "difference_lower"] > 0
    assert score.loc["weaker", "lower"] < score.loc["truth", "upper"]
