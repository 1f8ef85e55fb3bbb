"""Survival metrics equal their formulas written out by hand, and every resample equals the metric on resampled rows."""

from __future__ import annotations

from itertools import pairwise

import lifelines
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import underlie as ul
from underlie.check.survival import compare_survival
from underlie.check.survival.curves import read_curves
from underlie.check.survival.intervals import resamples
from underlie.check.survival.kaplan_meier import censoring_curve, survival_curve
from underlie.check.survival.outcomes import Outcome
from underlie.warnings import DataWarning

Array = NDArray[np.float64]
SCALARS = (
    "integrated_brier",
    "brier_at_horizon",
    "harrell",
    "uno",
    "antolini",
    "auc_at_horizon",
    "predicted_risk",
    "observed_risk",
    "weighted_calibration_in_the_large",
)


def outcome(event: object, time: object) -> np.ndarray:
    event = np.asarray(event, dtype=bool)
    y = np.empty(len(event), dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = event, time
    return y


def tied_data(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Array, Array]:
    """Whole-number times, so that events, censored rows and grid tie in every way; curves that cross, some equal."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=2 * n) / 2
    t, c = np.ceil(6 * rng.exponential(np.exp(-x))), np.ceil(rng.exponential(12, size=2 * n))
    y = outcome(t <= c, np.minimum(t, c))
    times = np.arange(1.0, 13.0)
    survival = np.exp(-((times / 6) ** (1 + 0.3 * (x[:n, None] > 0)) * np.exp(x[:n, None])))
    return y[:n], y[n:], times, survival


def reverse_product_limit(y: np.ndarray, t: float, *, strictly_before: bool) -> float:
    """P(C > t), or P(C >= t), written out: events leave before censored rows of the same time."""
    value = 1.0
    for s in sorted(set(y["time"])):
        if s < t or (s == t and not strictly_before):
            censored = int(((y["time"] == s) & ~y["event"]).sum())
            left = int((y["time"] > s).sum()) + censored
            value *= 1 - censored / left if left else 1.0
    return value


def brier_by_hand(survival: Array, j: int, t: float, y: np.ndarray, train: np.ndarray, *, left: bool) -> float:
    total = 0.0
    for i, (event, time) in enumerate(y):
        if event and time <= t:
            total += survival[i, j] ** 2 / reverse_product_limit(train, time, strictly_before=left)
        elif time > t:
            total += (1 - survival[i, j]) ** 2 / reverse_product_limit(train, t, strictly_before=False)
    return total / len(y)


def concordance_by_hand(y: np.ndarray, lead: object, weight: object) -> float:
    """Sum over comparable pairs (i, j) of weight(i, j) x [lead(i, j) > 0, a half where it is 0]."""
    above = below = 0.0
    for i, (event, time) in enumerate(y):
        for j, (other_event, other_time) in enumerate(y):
            if event and (time < other_time or (time == other_time and not other_event)):
                gap = lead(i, j)
                above += weight(i, j) * (0.5 if abs(gap) <= 1e-8 else float(gap > 0))
                below += weight(i, j)
    return above / below


# --- worked by hand -------------------------------------------------------------------------------


def test_a_worked_example() -> None:
    """Training: event at 1, censored at 2, event at 3, censored at 4. So G = 1 before 2, 2/3 on [2, 4), 0 from 4."""
    train = outcome([1, 0, 1, 0], [1, 2, 3, 4])
    test = outcome([1, 0, 1], [1, 2, 3.5])
    survival = np.array([[0.8, 0.6], [0.9, 0.5], [0.7, 0.4]])
    result = ul.survival_metrics(survival, [1.5, 3.0], test, train, horizon=3, n_bootstrap=0)
    at_first = (0.8**2 + 0.1**2 + 0.3**2) / 3
    at_second = (0.6**2 + 0.0 + 0.6**2 / (2 / 3)) / 3
    np.testing.assert_allclose(result.brier.value, [at_first, at_second], rtol=1e-14)
    assert result.integrated_brier.value == pytest.approx((at_first + at_second) / 2, rel=1e-14)
    # Comparable: (0, 1), (0, 2). Restricted means rank rows 1, 0, 2 as 2.0.., so only the pair with row 2 is wrong.
    assert result.harrell.value == 0.5
    # Row 2 has its event after the grid: Antolini's C reads S(1): .8667, .9333, .8.
    assert result.antolini.value == 0.5
    assert result.end == pytest.approx(3.0)
    # At 3 the only case is row 0 with risk .4, the only control row 2 with risk .6.
    assert result.auc_at_horizon.value == 0.0
    # Kaplan-Meier of the test rows at 3: one of three had an event at 1, one was censored at 2.
    assert result.observed_risk.value == pytest.approx(1 / 3)
    assert result.predicted_risk.value == pytest.approx(0.5)
    # By weights: 1 / (1 + 3/2) = .4.
    assert result.weighted_calibration_in_the_large.value == pytest.approx(0.5 - 0.4)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("censoring", "left"), [("marginal", True), ("marginal_right", False)])
def test_scores_equal_their_formulas_with_ties_everywhere(censoring: str, left: bool, seed: int) -> None:
    y, train, times, survival = tied_data(seed=seed)
    result = ul.survival_metrics(
        survival, times, y, train, horizon=4, censoring=censoring, min_censoring=0.6, n_bootstrap=0
    )
    brier = [brier_by_hand(survival, j, t, y, train, left=left) for j, t in enumerate(times)]
    np.testing.assert_allclose(result.brier.value, brier, rtol=1e-12)

    supported = [t for t in times if reverse_product_limit(train, t, strictly_before=False) >= 0.6]
    assert len(supported) < len(times)
    area = sum((b - a) * (brier[i] + brier[i + 1]) / 2 for i, (a, b) in enumerate(pairwise(supported)))
    assert result.integrated_brier.value == pytest.approx(area / (supported[-1] - supported[0]), rel=1e-12)

    grid, table = np.append(0, times), np.column_stack([np.ones(len(y)), survival])
    risk = -np.trapezoid(table, grid, axis=1)
    ranks = lambda i, j: risk[i] - risk[j]  # noqa: E731
    assert result.harrell.value == pytest.approx(concordance_by_hand(y, ranks, lambda i, j: 1.0), rel=1e-12)
    g = [reverse_product_limit(train, t, strictly_before=left) for t in y["time"]]
    uno = concordance_by_hand(y, ranks, lambda i, j: g[i] ** -2 if y["time"][i] <= result.end else 0.0)
    assert result.uno.value == pytest.approx(uno, rel=1e-12)
    antolini = concordance_by_hand(
        y,
        lambda i, j: np.interp(y["time"][i], grid, table[j]) - np.interp(y["time"][i], grid, table[i]),
        lambda i, j: float(y["time"][i] <= times[-1]),
    )
    assert result.antolini.value == pytest.approx(antolini, rel=1e-12)


def test_uno_with_censoring_that_depends_on_covariates_weights_both_rows_of_a_pair() -> None:
    y, train, times, survival = tied_data()
    rate = np.random.default_rng(0).uniform(0.01, 0.1, size=len(y))

    def g(t: Array) -> Array:
        return np.exp(-rate[:, None] * t)

    by_model, by_table = (
        ul.survival_metrics(survival, times, y, train, censoring=c, interpolation="step", n_bootstrap=0)
        for c in (g, (g(times), np.exp(-rate * y["time"])))
    )
    risk = -np.column_stack([np.ones(len(y)), survival[:, :-1]]).sum(1)
    expected = concordance_by_hand(
        y,
        lambda i, j: risk[i] - risk[j],
        lambda i, j: np.exp((rate[i] + rate[j]) * y["time"][i]) * (y["time"][i] <= by_model.end),
    )
    assert by_model.uno.value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(by_table.brier.value, by_model.brier.value, rtol=1e-12)
    # Between whole numbers the table is a straight line and the model is not; y has whole times, so none is read.
    assert by_table.uno.value == pytest.approx(expected, rel=1e-12)
    j = 5
    case, control = y["event"] & (y["time"] <= times[j]), y["time"] > times[j]
    hand = (case * survival[:, j] ** 2 * np.exp(rate * y["time"])).sum()
    hand += (control * (1 - survival[:, j]) ** 2 * np.exp(rate * times[j])).sum()
    assert by_model.brier.value[j] == pytest.approx(hand / len(y), rel=1e-12)


def test_auc_equals_its_formula() -> None:
    y, train, times, survival = tied_data()
    result = ul.survival_metrics(survival, times, y, train, horizon=4, n_bootstrap=0)
    risk = 1 - survival[:, 3]
    above = below = 0.0
    for i, j in np.ndindex(len(y), len(y)):
        if y["event"][i] and y["time"][i] <= 4 < y["time"][j]:
            weight = 1 / reverse_product_limit(train, y["time"][i], strictly_before=True)
            above += weight * (0.5 if abs(risk[i] - risk[j]) <= 1e-8 else float(risk[i] > risk[j]))
            below += weight
    assert result.auc_at_horizon.value == pytest.approx(above / below, rel=1e-12)


def test_d_calibration_spreads_censored_rows() -> None:
    """Events at S = .95 and .25; censored at S = .45: (.1, .1, .1, .1, .05) / .45 in the five lowest of ten bins."""
    survival = np.array([[0.95], [0.25], [0.45]])
    y = outcome([1, 1, 0], [1, 1, 1])
    train = outcome([1, 0], [2, 3])
    result = ul.survival_metrics(survival, [1.0], y, train, n_bootstrap=0).d_calibration
    counts = np.array([0.1, 0.1, 0.1, 0.1, 0.05, 0, 0, 0, 0, 0]) / 0.45
    counts[[9, 2]] += 1
    np.testing.assert_allclose(result.shares.value, counts / 3, atol=1e-14)
    assert result.statistic == pytest.approx(((counts - 0.3) ** 2 / 0.3).sum())
    assert result.p_value == pytest.approx(stats.chi2(9).sf(result.statistic))


@pytest.mark.parametrize(
    ("interpolation", "bin_", "area"), [("linear", 6, 0.9 + 0.75 * 0.725), ("step", 8, 1 + 0.75 * 0.8)]
)
def test_curves_are_read_between_times(interpolation: str, bin_: int, area: float) -> None:
    """S(1) = .8, S(3) = .4: at 1.75 the line is at .65 and the step at .8, and their areas up to 1.75 differ."""
    y, train = outcome([1], [1.75]), outcome([1, 1], [2, 4])
    result = ul.survival_metrics(
        np.array([[0.8, 0.4]]), [1.0, 3.0], y, train, interpolation=interpolation, n_bootstrap=0
    )
    assert result.d_calibration.shares.value.argmax() == bin_
    curves = read_curves([[0.8, 0.4]], np.array([1.0, 3.0]), 1, "survival", interpolation)
    assert curves.restricted_mean(1.75)[0] == pytest.approx(area, rel=1e-12)


# --- Kaplan-Meier ---------------------------------------------------------------------------------


def test_kaplan_meier_is_that_of_lifelines() -> None:
    y, _, times, _ = tied_data()
    fit = lifelines.KaplanMeierFitter().fit(y["time"], y["event"])
    ours = survival_curve(Outcome(y["event"], y["time"]))
    np.testing.assert_allclose(ours.at(times), fit.survival_function_at_times(times), rtol=1e-12)


def test_survival_times_censoring_is_the_share_still_followed() -> None:
    """S(t) G(t) is the empirical P(T > t), the identity that defines the tie rule of the censoring curve."""
    y, _, times, _ = tied_data()
    both = Outcome(y["event"], y["time"])
    followed = (y["time"][:, None] > times).mean(0)
    np.testing.assert_allclose(survival_curve(both).at(times) * censoring_curve(both).at(times), followed, rtol=1e-12)


def test_calibration_in_groups_is_kaplan_meier_in_groups() -> None:
    y, train, times, survival = tied_data(n=200)
    result = ul.survival_metrics(survival, times, y, train, horizon=5, n_groups=4, n_bootstrap=50, random_state=0)
    risk = 1 - survival[:, 4]
    assert result.calibration.sizes.sum() == len(y)
    assert len(result.calibration.sizes) > 2
    for predicted, observed, size in zip(
        result.calibration.observed.at, result.calibration.observed.value, result.calibration.sizes, strict=True
    ):
        # Groups are runs of sorted risk, so each is found again from its size and mean.
        ranked = np.argsort(risk, kind="stable")
        start = next(k for k in range(len(y)) if np.isclose(risk[ranked[k : k + size]].mean(), predicted))
        rows = ranked[start : start + size]
        fit = lifelines.KaplanMeierFitter().fit(y["time"][rows], y["event"][rows])
        assert observed == pytest.approx(1 - fit.survival_function_at_times(5.0).iloc[0], rel=1e-12)
    assert (result.calibration.observed.lower <= result.calibration.observed.value).all()
    assert (result.calibration.observed.upper >= result.calibration.observed.value).all()


def test_a_horizon_that_nobody_was_followed_to_has_no_observed_risk() -> None:
    y, train = outcome([1, 0, 0], [1, 2, 3]), outcome([1, 1, 1, 1], [1, 2, 5, 9])
    result = ul.survival_metrics(np.full((3, 2), 0.5), [1.0, 6.0], y, train, horizon=5, n_bootstrap=5, random_state=0)
    assert np.isnan(result.observed_risk.value)
    assert np.isfinite(result.integrated_brier.value)


def test_a_horizon_at_the_last_censored_time_has_an_observed_risk() -> None:
    y = outcome([1, 0], [1, 5])
    result = ul.survival_metrics(np.full((2, 2), 0.5), [1.0, 5.0], y, y, min_censoring=0, horizon=5, n_bootstrap=0)
    assert result.observed_risk.value == 0.5


def test_support_includes_times_where_censoring_is_at_its_minimum() -> None:
    y, train = outcome([1, 1], [1, 2]), outcome([0, 1], [1, 3])
    survival = np.full((2, 2), 0.5)
    assert ul.survival_metrics(survival, [1.0, 2.0], y, train, min_censoring=0.5, n_bootstrap=0).end == 2
    with pytest.warns(DataWarning, match="no entry of times"):
        ul.survival_metrics(survival, [1.0, 2.0], y, train, min_censoring=0.51, n_bootstrap=0)


# --- resamples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["marginal", "depends on covariates"])
def test_every_replicate_is_the_metric_on_the_resampled_rows(kind: str) -> None:
    y, train, times, survival = tied_data()
    rate = np.random.default_rng(3).uniform(0.01, 0.06, size=len(y))
    table = np.exp(-rate[:, None] * times)
    given = {"censoring": table} if kind != "marginal" else {}
    result = ul.survival_metrics(survival, times, y, train, horizon=5, n_bootstrap=6, random_state=7, **given)
    for b, counts in enumerate(resamples(len(y), 6, np.random.default_rng(7))[1:]):
        rows = np.repeat(np.arange(len(y)), counts.astype(int))
        assert len(rows) == len(y)
        again = {"censoring": table[rows]} if given else {}
        alone = ul.survival_metrics(survival[rows], times, y[rows], train, horizon=5, n_bootstrap=0, **again)
        for name in SCALARS:
            expected = getattr(alone, name).value
            assert getattr(result, name).replicates[b] == pytest.approx(expected, rel=1e-10), name


def test_results_repeat_with_the_seed_and_not_without() -> None:
    y, train, times, survival = tied_data()
    first, second, other = (ul.survival_metrics(survival, times, y, train, random_state=s) for s in (0, 0, 1))
    assert first.integrated_brier.lower == second.integrated_brier.lower
    assert first.integrated_brier.lower != other.integrated_brier.lower
    assert first.integrated_brier.value == other.integrated_brier.value
    assert first.integrated_brier.lower < first.integrated_brier.value < first.integrated_brier.upper


def test_the_table_and_the_text_hold_the_same_numbers() -> None:
    y, train, times, survival = tied_data()
    result = ul.survival_metrics(survival, times, y, train, random_state=0)
    table = result.table()
    assert table.loc["uno", "estimate"] == result.uno.value
    assert table.loc["d_calibration_p", "estimate"] == result.d_calibration.p_value
    assert f"{result.uno.value:.4f}" in str(result)


# --- several models -------------------------------------------------------------------------------


def test_comparison_pairs_models_by_row() -> None:
    y, train, times, survival = tied_data(n=150)
    near = np.clip(survival + 0.02, 0, 1)
    table = compare_survival(
        {"a": survival, "near a": near, "a again": survival}, times, y, train, n_bootstrap=100, random_state=0
    )
    alone = ul.survival_metrics(near, times, y, train, n_bootstrap=100, random_state=0)
    row = table.loc["integrated_brier", "near a"]
    assert row["estimate"] == alone.integrated_brier.value
    assert row["lower"] == alone.integrated_brier.lower
    assert row["difference"] == pytest.approx(row["estimate"] - table.loc[("integrated_brier", "a"), "estimate"])
    assert row["difference_upper"] - row["difference_lower"] < 0.5 * (row["upper"] - row["lower"])
    same = table.loc["uno", "a again"]
    assert same["difference"] == same["difference_lower"] == same["difference_upper"] == 0
    assert table.xs("a", level="model").filter(like="difference").isna().all(axis=None)
    other = compare_survival({"a": survival, "near a": near}, times, y, train, reference="near a", n_bootstrap=0)
    assert other.loc[("uno", "a"), "difference"] == pytest.approx(-table.loc[("uno", "near a"), "difference"])


def test_comparison_takes_risks_by_name() -> None:
    y, train, times, survival = tied_data()
    risk = 1 - survival[:, 3]
    table = compare_survival({"a": survival, "b": survival}, times, y, train, risks={"b": -risk}, n_bootstrap=0)
    direct = ul.survival_metrics(survival, times, y, train, risk=risk, n_bootstrap=0)
    assert table.loc[("harrell", "b"), "estimate"] == pytest.approx(1 - direct.harrell.value, rel=1e-12)
    with pytest.raises(ValueError, match="'c' is not among the predictions"):
        compare_survival({"a": survival}, times, y, train, risks={"c": risk})
    with pytest.raises(ValueError, match="empty"):
        compare_survival({}, times, y, train)
    with pytest.raises(TypeError, match="map names"):
        compare_survival([survival], times, y, train)
