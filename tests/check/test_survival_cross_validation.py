"""Survival models over repeated splits: the same rows for all, nothing learned from test rows, honest intervals."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any

import lifelines
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import RepeatedStratifiedKFold, train_test_split

import underlie as ul
from underlie.check.survival.baselines import CoxRegression, KaplanMeier, WeibullRegression, _first_sound
from underlie.check.survival.bench import Fold, make_bench
from underlie.check.survival.design_matrix import DesignMatrix
from underlie.check.survival.kaplan_meier import censoring_curve
from underlie.check.survival.outcomes import read_outcome
from underlie.check.survival.splits import corrected_interval
from underlie.warnings import ConvergenceWarning, DataWarning

GBSG2 = ul.datasets.load_gbsg2()
X, Y = GBSG2.drop(columns=["time", "event"]), ul.Surv(GBSG2["time"], GBSG2["event"])
BASELINES = {"Kaplan-Meier": "kaplan-meier", "Cox": "cox", "Weibull": "weibull"}


def simulated(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Exponential times with hazard e^x, censored independently."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=n), "noise": rng.normal(size=n)}, index=np.arange(n) * 3 + 7)
    time, censored = rng.exponential(np.exp(-table["x"])), rng.exponential(2.0, size=n)
    return table, ul.Surv(np.minimum(time, censored), time <= censored)


class Truth(BaseEstimator):
    """Knows the distribution of `simulated`, and keeps a diary of what it was given."""

    diary: list[dict[str, Any]] = []  # noqa: RUF012 - shared by clones on purpose

    def __init__(self, factor: float = 1.0, random_state: int | None = None, verbose: bool = True) -> None:
        self.factor = factor
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Truth:
        Truth.diary.append({"train": list(X.index), "seed": self.random_state, "verbose": self.verbose})
        self.fitted_ = True
        return self

    def predict_survival_function(self, X: Any, times: Any) -> np.ndarray:
        if Truth.diary:
            Truth.diary[-1]["test"] = list(X.index)
        return np.exp(-self.factor * np.exp(X["x"].to_numpy())[:, None] * np.asarray(times))


class Fragile(BaseEstimator):
    """Truth that fails, or warns, where the training rows hold a certain row."""

    def __init__(self, row: int, *, fails: bool = True) -> None:
        self.row = row
        self.fails = fails

    def fit(self, X: Any, y: Any) -> Fragile:
        if self.row in X.index:
            if self.fails:
                raise FloatingPointError(f"met row {self.row}")
            warnings.warn(f"{len(X)} rows were met", RuntimeWarning, stacklevel=2)
        return self

    def predict_survival_function(self, X: Any, times: Any) -> np.ndarray:
        return np.exp(-np.exp(X["x"].to_numpy())[:, None] * np.asarray(times))


# --- the baselines ------------------------------------------------------------------------------------


def numbers() -> pd.DataFrame:
    return X[["age", "tsize", "pnodes", "progrec"]]


def test_cox_is_that_of_lifelines() -> None:
    frame = numbers().assign(time=Y["time"], event=Y["event"])
    theirs = lifelines.CoxPHFitter().fit(frame, "time", "event")
    ours = CoxRegression().fit(numbers(), Y)
    assert ours.penalty_ == 0
    spread = numbers().std(ddof=0)
    np.testing.assert_allclose(ours.coefficients_ / spread, theirs.params_, rtol=1e-4)
    at_jumps = np.unique(Y["time"][Y["event"]])
    np.testing.assert_allclose(
        ours.predict_survival_function(numbers(), at_jumps),
        theirs.predict_survival_function(numbers(), times=at_jumps).T,
        atol=1e-5,
    )


def test_cox_curves_are_steps_between_events() -> None:
    ours = CoxRegression().fit(numbers(), Y)
    jumps = np.unique(Y["time"][Y["event"]])
    between = ours.predict_survival_function(numbers()[:5], (jumps[:-1] + jumps[1:]) / 2)
    np.testing.assert_array_equal(between, ours.predict_survival_function(numbers()[:5], jumps[:-1]))
    assert (ours.predict_survival_function(numbers()[:5], [0.0, jumps[0] - 1e-6]) == 1).all()


def test_kaplan_meier_and_weibull_are_those_of_lifelines() -> None:
    times = np.array([100.0, 500.5, 1500, 2400])
    km = lifelines.KaplanMeierFitter().fit(Y["time"], Y["event"]).predict(times)
    np.testing.assert_allclose(KaplanMeier().fit(X, Y).predict_survival_function(X, times), np.tile(km, (len(X), 1)))
    frame = numbers().assign(time=Y["time"], event=Y["event"])
    theirs = lifelines.WeibullAFTFitter().fit(frame, "time", "event").predict_survival_function(numbers(), times=times)
    ours = WeibullRegression().fit(numbers(), Y)
    np.testing.assert_allclose(ours.predict_survival_function(numbers(), times), theirs.T, atol=1e-4)
    half = ours.predict_survival_function(numbers()[:1], np.exp(-ours.predict(numbers()[:1])))
    np.testing.assert_allclose(half, 0.5, atol=1e-9)


def test_columns_that_repeat_one_another_get_a_small_penalty_and_a_warning() -> None:
    doubled = numbers().assign(again=numbers()["age"] * 2 + 1)
    with pytest.warns(DataWarning, match=r"without a penalty failed \(.*ridge penalty 0.0001"):
        cox = CoxRegression().fit(doubled, Y)
    weibull = WeibullRegression().fit(doubled, Y)
    for model in (cox, weibull):
        single = type(model)().fit(numbers(), Y).predict_survival_function(numbers(), [400.0, 1200.0])
        np.testing.assert_allclose(model.predict_survival_function(doubled, [400.0, 1200.0]), single, atol=0.01)


def test_a_column_that_gives_events_away_makes_no_wild_coefficients() -> None:
    table, y = simulated(300)
    with pytest.warns(DataWarning, match=r"failed \(a coefficient of a standardised column is .*ridge penalty"):
        weibull = WeibullRegression().fit(table.assign(dead=y["event"]), y)
    assert weibull.penalty_ > 0


def test_a_fit_worse_than_no_covariates_is_not_accepted_nor_a_wild_one() -> None:
    def attempt(penalty: float, gain: float, largest: float = 1.0) -> Any:
        test = SimpleNamespace(test_statistic=gain)
        return SimpleNamespace(params_=pd.Series([0.5, -largest]), log_likelihood_ratio_test=lambda: test)

    outcome = read_outcome(Y, "y")
    attempts: list[tuple[float, ...]] = [(0.0, -118.0), (0.0, 180.0, 11.0), (0.0, 180.0, np.inf), (0.0, 176.0)]
    fitted, penalty = _first_sound(attempt, attempts, outcome, "Cox regression")
    assert penalty == 0
    assert fitted.log_likelihood_ratio_test().test_statistic == 176
    with pytest.warns(DataWarning, match="log-likelihood ratio to the null model is -118"):
        assert _first_sound(attempt, [(0.0, -118.0), (0.1, 5.0)], outcome, "Cox regression")[1] == 0.1
    with pytest.raises(ValueError, match="failed, also with a ridge penalty of 0.1"):
        _first_sound(attempt, [(0.0, -118.0), (0.1, -5.0)], outcome, "Cox regression")


def test_zero_times_do_not_stop_weibull_regression() -> None:
    table, y = simulated(100)
    y["time"][:3] = 0
    survival = WeibullRegression().fit(table, y).predict_survival_function(table, [0.1, 1.0])
    assert ((survival > 0) & (survival < 1)).all()


# --- the design matrix --------------------------------------------------------------------------------


def messy(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "number": rng.normal(50, 10, n),
            "empty": np.full(n, np.nan),
            "constant": 1,
            "flag": rng.random(n) < 0.5,
            "label": np.where(np.arange(n) < 3, "rare", rng.choice(["a", "b"], n)),
            "few": pd.Categorical(rng.choice([1, 2], n)),
        }
    )
    table.loc[4, "number"] = table.loc[7, "label"] = None
    return table


def test_the_matrix_is_standardised_and_has_no_empty_or_constant_column() -> None:
    design = DesignMatrix().fit(messy())
    matrix = design(messy())
    assert design.names == ("number", "flag", "label=b", "label=infrequent_sklearn", "few=2")
    np.testing.assert_allclose(matrix.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(matrix.std(0), 1)
    train = messy()["number"]
    filled = train.fillna(train.median())
    np.testing.assert_allclose(matrix[4, 0], (train.median() - filled.mean()) / filled.std(ddof=0))


def test_other_rows_change_nothing_and_unseen_levels_join_the_rare() -> None:
    design = DesignMatrix().fit(messy())
    other = messy()[:2].assign(label=["rare", "never seen"], number=[1e6, np.nan])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone, together = design(other[:1]), design(other)
    np.testing.assert_array_equal(alone, together[:1])
    np.testing.assert_array_equal(together[0, 2:4], together[1, 2:4])


def test_tables_of_pandas_and_polars_and_arrays_give_one_matrix() -> None:
    table = messy().drop(columns="empty").astype({"few": "int64"})
    np.testing.assert_array_equal(DesignMatrix().fit(table)(table), DesignMatrix().fit(pl.from_pandas(table))(table))
    values = messy()[["number"]].to_numpy()
    np.testing.assert_array_equal(DesignMatrix().fit(values)(values), DesignMatrix().fit(messy())(messy())[:, :1])


def test_a_matrix_needs_a_column_that_varies_and_the_columns_it_was_fitted_to() -> None:
    with pytest.raises(ValueError, match="no column of X varies among the 60 training rows"):
        DesignMatrix().fit(messy()[["constant", "empty"]])
    with pytest.raises(ValueError, match="has the columns"):
        DesignMatrix().fit(messy())(messy()[["number"]])


# --- splits and fitting -------------------------------------------------------------------------------


def test_all_models_see_the_same_rows_and_never_a_row_twice() -> None:
    table, y = simulated()
    Truth.diary.clear()
    model = Truth()
    ul.compare_survival_models({"one": model, "two": Truth(2.0)}, table, y, n_splits=3, random_state=5)
    assert len(Truth.diary) == 6
    for i, (one, two) in enumerate(zip(Truth.diary[::2], Truth.diary[1::2], strict=True)):
        assert one == two
        train, test = train_test_split(table.index, test_size=0.2, random_state=5 + i, stratify=y["event"])
        assert one["train"] == list(train)
        assert one["test"] == list(test)
        assert one["seed"] == 5 + i
        assert not one["verbose"]
    assert not hasattr(model, "fitted_")
    assert model.random_state is None


@pytest.mark.parametrize("cv", [4, RepeatedStratifiedKFold(n_splits=4, n_repeats=1, random_state=0)])
def test_folds_judge_every_row_once(cv: Any) -> None:
    table, y = simulated()
    Truth.diary.clear()
    result = ul.compare_survival_models({"truth": Truth()}, table, y, cv=cv)
    assert sorted(row for fold in Truth.diary for row in fold["test"]) == sorted(table.index)
    shares = result.splits["events_test"] / result.splits["n_test"]
    assert np.ptp(shares) < 0.03
    assert "4" in result.scheme


def test_splits_may_be_given() -> None:
    table, y = simulated()
    Truth.diary.clear()
    half = np.arange(len(table)) < 150
    ul.compare_survival_models({"truth": Truth()}, table, y, cv=[(half, ~half), (np.arange(150, 300), np.arange(150))])
    assert [len(fold["train"]) for fold in Truth.diary] == [150, 150]
    assert Truth.diary[0]["test"] == Truth.diary[1]["train"]


@pytest.mark.parametrize("kind", ["polars", "arrow", "array"])
def test_any_table_gives_the_same_scores(kind: str) -> None:
    polars = pl.from_pandas(X)
    given = {"polars": polars, "arrow": polars.to_arrow(), "array": numbers().to_numpy()}[kind]
    other = numbers() if kind == "array" else X
    metrics = ["integrated_brier", "uno"]
    ours = ul.compare_survival_models(BASELINES, given, Y, n_splits=1, metrics=metrics)
    same = ul.compare_survival_models(BASELINES, other, GBSG2[["time", "event"]], n_splits=1, metrics=metrics)
    np.testing.assert_allclose(ours.scores["value"], same.scores["value"], rtol=1e-9)


# --- scores -------------------------------------------------------------------------------------------


def test_scores_are_those_of_survival_metrics() -> None:
    result = ul.compare_survival_models(BASELINES, X, Y, n_splits=1, random_state=3)
    train, test = train_test_split(np.arange(len(X)), test_size=0.2, random_state=3, stratify=Y["event"])
    fold = result.splits.loc[0]
    events = Y["time"][train][Y["event"][train]]
    np.testing.assert_allclose(fold[["start", "end"]].astype(float), np.quantile(events, [0.05, 0.95]))
    assert fold["horizon"] == np.median(events)
    grid = np.linspace(fold["start"], fold["end"], 100)
    fits = {"Kaplan-Meier": KaplanMeier(), "Cox": CoxRegression(), "Weibull": WeibullRegression()}
    values = result.scores.set_index(["model", "metric"])["value"]
    every = np.unique(np.concatenate([Y["time"][test], grid, [fold["horizon"]]]))
    every = every[every <= Y["time"][train].max()]
    for name, model in fits.items():
        model.fit(X.iloc[train], Y[train])
        over_grid, over_all = (
            ul.survival_metrics(
                model.predict_survival_function(X.iloc[test], times),
                times,
                Y[test],
                Y[train],
                horizon=fold["horizon"],
                n_bootstrap=0,
            )
            for times in (grid, every)
        )
        assert values[name, "integrated_brier"] == pytest.approx(over_grid.integrated_brier.value, rel=1e-9)
        for metric in ("antolini", "brier_at_horizon", "calibration_in_the_large", "auc_at_horizon"):
            assert values[name, metric] == pytest.approx(getattr(over_all, metric).value, rel=1e-9), metric
        assert values[name, "d_calibration_p"] == pytest.approx(over_all.d_calibration.p_value, rel=1e-9)


def test_the_unit_of_time_does_not_matter() -> None:
    years = ul.Surv(Y["time"] / 365.25, Y["event"])
    ours = ul.compare_survival_models(BASELINES, X, Y, n_splits=1)
    theirs = ul.compare_survival_models(BASELINES, X, years, n_splits=1)
    np.testing.assert_allclose(theirs.scores["value"], ours.scores["value"], atol=1e-5)


def test_the_truth_is_best_and_two_equal_models_tie() -> None:
    table, y = simulated(600)
    models = {"truth": Truth(), "again": Truth(), "late": Truth(0.5), "early": Truth(2.0), "km": "kaplan-meier"}
    result = ul.compare_survival_models(models, table, y, n_splits=4)
    assert result.reference == "truth"
    brier = result.table().loc["integrated_brier"]
    assert brier.loc["again", ["difference", "standard_error"]].tolist() == [0, 0]
    assert brier.loc["again", "better"] == 2  # four ties count a half each
    assert (brier.loc[["late", "early", "km"], "better"] == 0).all()
    assert (brier.loc[["late", "early", "km"], "ratio"] > 1).all()
    large = result.table().loc["calibration_in_the_large", "mean"]
    assert large["late"] < -0.05 < abs(large["truth"]) < 0.05 < large["early"]
    assert result.table().loc["harrell", "mean"]["km"] == 0.5
    assert result.table().loc["d_calibration_rejected", "mean"]["early"] == 1


def test_the_table_is_what_the_scores_say() -> None:
    models = {"Kaplan-Meier": "kaplan-meier", "Cox": "cox"}
    result = ul.compare_survival_models(models, X, Y, n_splits=4, test_size=0.25, level=0.9)
    row = result.table().loc[("integrated_brier", "Kaplan-Meier")]
    wide = result.values("integrated_brier")
    differences = (wide["Kaplan-Meier"] - wide["Cox"]).to_numpy()
    share = float((result.splits["n_test"] / result.splits["n_train"]).mean())
    error = np.sqrt((1 / 4 + share) * differences.var(ddof=1))
    assert row["mean"] == pytest.approx(wide["Kaplan-Meier"].mean())
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["standard_error"] == pytest.approx(error)
    assert row["upper"] - row["lower"] == pytest.approx(2 * 2.3533634 * error)  # t, 3 degrees of freedom, 95 %
    assert row["better"] == (differences < 0).sum()
    assert result.table(["uno"]).index.get_level_values(0).unique().tolist() == ["uno"]
    with pytest.raises(ValueError, match="was not computed"):
        result.table(["mse"])


def test_the_corrected_interval_covers_where_the_naive_one_does_not() -> None:
    """A mean over overlapping test sets, whose true value is known; 400 data sets, false alarm below 1e-4."""
    rng = np.random.default_rng(0)
    n, n_splits, repeats = 100, 10, 400
    hits = np.zeros(2)
    for _ in range(repeats):
        gaps = rng.normal(0.3, 1.0, n)
        splits = [rng.permutation(n) for _ in range(n_splits)]
        # The "model" shrinks what it learned in training, so that splits share training noise, too.
        found = np.array([gaps[s[:20]].mean() + gaps[s[20:]].mean() for s in splits])
        for j, share in enumerate((20 / 80, 0.0)):
            _, lower, upper = corrected_interval(found, share, 0.95)
            hits[j] += lower <= 0.6 <= upper
    assert hits[0] / repeats > hits[1] / repeats + 0.15
    lone = corrected_interval(np.array([1.0]), 0.25, 0.95)
    assert np.isnan(lone).all()


def test_results_repeat_with_the_seed() -> None:
    one, two, other = (
        ul.compare_survival_models({"Cox": "cox"}, X, Y, n_splits=2, random_state=seed) for seed in (1, 1, 2)
    )
    assert one.scores["value"].tolist() == two.scores["value"].tolist()
    assert one.scores["value"].tolist() != other.scores["value"].tolist()
    fresh = ul.compare_survival_models({"Cox": "cox"}, X, Y, n_splits=1, random_state=np.random.default_rng(3))
    assert len(fresh.splits) == 1


def test_one_estimator_is_compared_with_the_baselines() -> None:
    table, y = simulated()
    result = ul.compare_survival_models(Truth(), table, y, n_splits=2, metrics="integrated_brier")
    assert result.models == ("Kaplan-Meier", "Cox", "Weibull", "Truth")
    assert result.reference == "Cox"
    assert set(result.scores["metric"]) == {"integrated_brier"}


# --- censoring ----------------------------------------------------------------------------------------


def censored_by_covariate(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Hazard e^x, as in `simulated`, and rows of low risk are censored early; also the times without censoring."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=n)})
    time, censored = rng.exponential(np.exp(-table["x"])), rng.exponential(np.exp(0.7 * table["x"]))
    return table, ul.Surv(np.minimum(time, censored), time <= censored), np.asarray(time)


def test_a_cox_model_of_censoring_removes_the_bias_of_marginal_weights() -> None:
    """10 data sets, paired with the same rows uncensored: marginal weights are some 12 standard errors off."""
    half = np.arange(1000)
    gaps: dict[str, list[float]] = {"marginal": [], "cox": []}
    for seed in range(10):
        table, y, time = censored_by_covariate(2000, seed)
        for censoring, found in gaps.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)  # of the floor under the weights, which is rarely met
                result = ul.compare_survival_models(
                    {"truth": Truth()},
                    table,
                    y,
                    cv=[(half, half + 1000)],
                    censoring=censoring,  # type: ignore[arg-type]
                    metrics=["integrated_brier"],
                    min_censoring=0.1,
                )
            grid = np.linspace(result.splits["start"][0], result.splits["end"][0], 100)
            survival = Truth().predict_survival_function(table[1000:], grid)
            losses = ((time[1000:, None] > grid) - survival) ** 2
            whole = np.trapezoid(losses.mean(0), grid) / (grid[-1] - grid[0])
            found.append(result.scores["value"][0] - whole)
    error = {name: np.std(gap, ddof=1) / np.sqrt(10) for name, gap in gaps.items()}
    assert np.mean(gaps["marginal"]) > 6 * error["marginal"]
    assert abs(np.mean(gaps["cox"])) < 4 * error["cox"] < 0.01  # false alarm below 1 % over seeds (t, 9 degrees)


def test_a_cox_model_of_independent_censoring_is_kaplan_meier_ties_included() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    table = pd.DataFrame({"noise": rng.integers(0, 2, n)})
    time, censored = rng.geometric(0.05, n), rng.geometric(0.05, n)
    y = ul.Surv(np.minimum(time, censored), time <= censored)
    fold = Fold(table[:3000], y[:3000], table[3000:], y[3000:])
    bench = make_bench(fold, None, "cox", 0.05)
    curve = censoring_curve(read_outcome(fold.y_train, "y"))
    own = y["time"][3000:]
    within = own <= bench.setting.end
    np.testing.assert_allclose(bench.setting.weights.own[within], curve.before(own)[within], atol=0.03)
    assert np.abs(curve.at(own) - curve.before(own))[within].max() > 0.04  # reading it after a tie would be seen
    grid = bench.grid[::10]
    np.testing.assert_allclose(bench.setting.weights.at(grid).mean(1), curve.at(np.floor(grid)), atol=0.03)


def test_nothing_is_weighted_where_nobody_is_censored() -> None:
    table, y = simulated(200)
    y["event"] = True
    values = [
        ul.compare_survival_models({"truth": Truth()}, table, y, n_splits=2, censoring=way).scores["value"].tolist()  # type: ignore[arg-type]
        for way in ("marginal", "cox")
    ]
    assert values[0] == values[1]


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_failing_model_is_recorded_and_the_others_go_on() -> None:
    table, y = simulated()
    with pytest.warns(DataWarning, match=r"fragile failed in \d of 5 splits.*met row 7"):
        result = ul.compare_survival_models({"Cox": "cox", "fragile": Fragile(7)}, table, y)
    failed = len(result.errors)
    assert 0 < failed < 5
    assert set(result.errors["model"]) == {"fragile"}
    assert result.errors["error"][0] == "FloatingPointError: met row 7"
    rows = result.table().loc["uno"]
    assert rows["n_splits"].to_dict() == {"Cox": 5, "fragile": 5 - failed}
    assert rows.loc["fragile", "n_pairs"] == 5 - failed
    assert "met row 7" in str(result)


def test_a_model_that_predicts_no_probabilities_is_recorded() -> None:
    table, y = simulated()
    with pytest.warns(DataWarning, match="survival of negative must hold probabilities"):
        result = ul.compare_survival_models({"Cox": "cox", "negative": Truth(-1.0)}, table, y, n_splits=2)
    assert len(result.errors) == 2


def test_when_nothing_can_be_fitted_the_first_error_is_raised() -> None:
    table, y = simulated()
    with pytest.raises(ValueError, match="no model could be fitted to any split.*'negative'.*probabilities"):
        ul.compare_survival_models({"negative": Truth(-1.0)}, table, y, n_splits=2)


def test_warnings_of_a_model_are_told_once() -> None:
    table, y = simulated()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ul.compare_survival_models({"loud": Fragile(7, fails=False)}, table, y, n_splits=6, test_size=0.1)
    told = [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    assert len(told) == 1
    assert re.match(r"loud, in \d of 6 splits \(first \d\): RuntimeWarning: 270 rows were met", told[0])


def test_an_interruption_keeps_complete_splits() -> None:
    table, y = simulated()

    class Interrupted(Truth):
        fits = 0

        def fit(self, X: Any, y: Any) -> Any:
            Interrupted.fits += 1
            if Interrupted.fits == 3:
                raise KeyboardInterrupt
            return super().fit(X, y)

    with pytest.warns(ConvergenceWarning, match="2 of 5 splits are complete"):
        result = ul.compare_survival_models({"Cox": "cox", "slow": Interrupted()}, table, y)
    assert set(result.scores["split"]) == {0, 1}
    assert len(result.splits) == 2
    Interrupted.fits = 2
    with pytest.raises(KeyboardInterrupt):
        ul.compare_survival_models({"Cox": "cox", "slow": Interrupted()}, table, y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": "cox"}, TypeError, "must map names to models"),
        ({"models": {}}, ValueError, "models is empty"),
        ({"models": {"a": "coxph"}}, ValueError, r"models\['a'\] must be one of 'kaplan-meier', 'cox', 'weibull'"),
        ({"models": {"a": Truth}}, TypeError, r"is the class Truth: give an estimator"),
        ({"models": {"a": 3}}, TypeError, r"models\['a'\] is a int, which cannot be fitted"),
        ({"reference": "RSF"}, ValueError, "'RSF' is not among the models"),
        ({"metrics": ["ibs"]}, ValueError, "no metric 'ibs'; choose from integrated_brier"),
        ({"metrics": []}, ValueError, "metrics is empty"),
        ({"X": X[:-1]}, ValueError, "X has 685 rows, but y has 686"),
        ({"X": GBSG2.drop(columns="event")}, ValueError, "column 'time' of X is the time of y"),
        ({"X": GBSG2.drop(columns="time")}, ValueError, "column 'event' of X is the event of y"),
        ({"y": np.zeros(686)}, ValueError, "y"),
        ({"y": ul.Surv(Y["time"], np.arange(686) < 3)}, ValueError, "y has 3 event"),
        ({"n_splits": 0}, ValueError, "n_splits must be a positive whole number, got 0"),
        ({"test_size": 20}, ValueError, "test_size must be a share"),
        ({"cv": 1}, ValueError, "cv must be at least 2"),
        ({"cv": "loo"}, TypeError, "cv must be a number of folds"),
        ({"cv": [([0, 1, 2], [2, 3])]}, ValueError, r"split 0 has 1 row\(s\) on both sides, the first row 2"),
        ({"cv": [([0, 1], [900])]}, ValueError, "split 0 has test rows outside 0 to 685"),
        ({"cv": [([0, 1], [])]}, ValueError, "split 0"),
        ({"cv": [(np.flatnonzero(~Y["event"]), np.flatnonzero(Y["event"]))]}, ValueError, r"split 0 has 0 event\(s\)"),
        ({"horizon": 1e6}, ValueError, "horizon must be a time after 0 and within follow-up, which ends at 2659"),
        ({"censoring": "weibull"}, ValueError, "censoring must be one of 'marginal', 'marginal_right', 'cox'"),
        ({"min_censoring": 1.0}, ValueError, "min_censoring"),
        ({"level": 95}, ValueError, "level"),
        ({"random_state": "a"}, TypeError, "random_state"),
    ],
)
def test_bad_input_is_refused_before_anything_is_fitted(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"models": BASELINES, "X": X, "y": Y, **change}
    with pytest.raises(error, match=message):
        ul.compare_survival_models(given.pop("models"), given.pop("X"), given.pop("y"), **given)


# --- scikit-survival ----------------------------------------------------------------------------------


def test_its_cox_model_scores_as_ours() -> None:
    linear = pytest.importorskip("sksurv.linear_model")
    models = {"Cox": "cox", "theirs": linear.CoxPHSurvivalAnalysis(ties="efron")}
    result = ul.compare_survival_models(models, X, Y, n_splits=2)
    wide = result.scores.pivot(index=["split", "metric"], columns="model", values="value")
    np.testing.assert_allclose(wide["theirs"], wide["Cox"], atol=1e-5)


def test_its_models_without_curves_are_ranked_and_pipelines_code_for_themselves() -> None:
    svm = pytest.importorskip("sksurv.svm")
    trees = pytest.importorskip("sksurv.tree")
    from sklearn.pipeline import make_pipeline
    from sksurv.preprocessing import OneHotEncoder

    models = {
        "ranking": svm.FastSurvivalSVM(max_iter=50),
        "regression": svm.FastSurvivalSVM(max_iter=50, rank_ratio=0),
        "pipeline": make_pipeline(OneHotEncoder(), trees.SurvivalTree(max_depth=3)),
    }
    plain = X.assign(tgrade=X["tgrade"].astype(str).astype("category"))
    result = ul.compare_survival_models(models, plain, Y, n_splits=2)
    own = result.scores.groupby("model")["metric"].apply(set)
    assert own["ranking"] == own["regression"] == {"harrell", "uno"}
    assert "integrated_brier" in own["pipeline"]
    # Predicted times rank the other way than risks; the wrong sign would give 1 - C.
    assert (result.table().loc["harrell", "mean"] > 0.55).all()


def test_side_by_side_is_one_after_another() -> None:
    """By joblib's processes, and by a dask cluster of two processes that joblib hands the splits to."""
    from dask.distributed import Client, LocalCluster
    from joblib import parallel_config

    table, y = simulated()
    models = {"Cox": "cox", "Weibull": "weibull"}

    def found(**how: Any) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = ul.compare_survival_models(models, table, y, n_splits=2, metrics=["harrell"], verbose=False, **how)
        return result.scores.drop(columns=["fit_seconds", "predict_seconds"])

    expected = found()
    pd.testing.assert_frame_equal(found(n_jobs=2), expected)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        pd.testing.assert_frame_equal(found(), expected)
