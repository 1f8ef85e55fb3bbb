"""Bad input to SurvivalVAE gives an error or a warning that names the argument, the row and the remedy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from survival_cases import small, trial

import underlie as ul
from underlie.warnings import DataWarning, ExtrapolationWarning, UnderlieWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning"),
]

X, Y = trial(80)
TIME, EVENT = Y["time"].copy(), Y["event"].copy()
A = np.column_stack([X["age"], X["size"], X["arm"] == "yes"]).astype(float)


@pytest.fixture(scope="module")
def model() -> ul.SurvivalVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return small().fit(X, Y)


def changed(values: np.ndarray, row: int, value: Any) -> np.ndarray:
    out = values.astype(object if isinstance(value, str) else float)
    out[row] = value
    return out


# ---- outcomes ----


@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        (changed(TIME, 3, -1.0), EVENT, "negative in row 3"),
        (changed(TIME, 4, np.nan), EVENT, "missing in row 4"),
        (changed(TIME, 5, np.inf), EVENT, "infinite in row 5"),
        (TIME, changed(EVENT, 6, 2), "event is 2 in row 6"),
        (TIME, changed(EVENT, 7, np.nan), "event is nan in row 7"),
        (TIME, EVENT + 1, "codes 1 and 2, as R uses, give event == 2"),
        (TIME, np.zeros(80), "no event: all 80 rows are censored"),
        (np.zeros(80), EVENT, "no time above 0"),
        (TIME[:-1], EVENT[:-1], "X has 80 rows, but y has 79"),
    ],
    ids=["negative", "nan", "infinite", "event-2", "event-nan", "R", "all-censored", "all-zero", "length"],
)
def test_outcomes_that_are_refused(time: Any, event: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        small().fit(X, np.column_stack([time, event]))


@pytest.mark.parametrize("y", [None, TIME, (TIME, EVENT), "time"])
def test_outcomes_of_no_known_form(y: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="y "):
        small().fit(X, y)


@pytest.mark.parametrize("distribution", ["weibull", "lognormal", "piecewise_exponential", "mixture"])
@pytest.mark.parametrize("n_events", [1, 3])
def test_few_events_warn_and_still_give_curves(distribution: str, n_events: int) -> None:
    few = np.zeros(80, dtype=bool)
    few[[5, 20, 44][:n_events]] = True
    with pytest.warns(DataWarning, match=rf"only {n_events} event\(s\), in row\(s\) 5"):
        found = small(distribution=distribution).fit(X, ul.Surv(TIME, few))
    curves = found.predict_survival_function(X, [1.0, 5.0, 20.0])
    assert np.isfinite(curves).all()
    assert curves.mean() > 0.75


def test_zero_times_are_kept_and_named() -> None:
    time = TIME.copy()
    time[[0, 11]] = 0.0
    with pytest.warns(DataWarning, match=r"2 time\(s\) of y are 0, in row\(s\) 0, 11: moved to"):
        model = small().fit(X, ul.Surv(time, EVENT))
    assert np.isfinite(model.predict_survival_function(X, [0.0, 1.0])).all()


def test_events_that_all_come_at_once_and_ties() -> None:
    with pytest.warns(DataWarning, match="at one time"):
        model = small().fit(X, ul.Surv(np.where(EVENT, 10.0, TIME), EVENT))
    assert np.isfinite(model.predict_survival_function(X, [5.0, 12.0])).all()
    coarse = small().fit(X, ul.Surv(np.ceil(TIME / 10.0), EVENT))
    assert np.isfinite(coarse.score(X, ul.Surv(np.ceil(TIME / 10.0), EVENT)))


# ---- leaks ----


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (TIME, "time"),
        (TIME / 365.25, "time"),
        (EVENT, "event"),
        (EVENT.astype(int), "event"),
        (1 - EVENT, "event"),
        (np.where(EVENT, "dead", "alive"), "event"),
        (np.where(EVENT, 2, 1), "event"),
    ],
    ids=["time", "years", "event", "0-1", "1-0", "text", "1-2"],
)
def test_the_outcome_among_the_covariates_is_refused(column: Any, what: str) -> None:
    with pytest.raises(ValueError, match=f"column 'leak' of X is the {what} of y in every row.*Drop the column"):
        small().fit(X.assign(leak=column), Y)
    with pytest.raises(ValueError, match=f"column 'leak' of X is the {what}"):
        small().fit(pl.from_pandas(X.assign(leak=column)), Y)


def test_what_only_resembles_the_outcome_is_no_leak() -> None:
    nearly = EVENT.copy()
    nearly[0] = ~nearly[0]
    for column in (TIME + np.arange(80), nearly, np.ones(80)):
        small().fit(X.assign(other=column), Y)
    # Without any censoring the event is a constant, and no column can tell it.
    small().fit(X.assign(other=1.0), ul.Surv(TIME, np.ones(80)))


# ---- columns ----


def test_a_column_named_twice() -> None:
    twice = pd.concat([X, X[["age"]]], axis=1)
    with pytest.raises(ValueError, match=r"column\(s\) age twice"):
        small().fit(twice, Y)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X.drop(columns="age"), r"lacks the column\(s\) age"),
        (X.assign(extra=1), r"has the column\(s\) extra that were not there"),
        (X.assign(time=TIME), r"has the column\(s\) time that were not there"),
        (X.drop(columns="arm"), r"lacks the treatment column\(s\) arm; give treatment="),
        (pd.concat([X, X[["age"]]], axis=1), r"age twice"),
        (X.assign(age="old"), "column 'age' of X, row 0, holds text"),
        (X.assign(size=np.inf), "infinity: column 'size', row 0"),
        (A, "X is an array, but the model was fitted to a table"),
        (X.iloc[:0], r"0 sample\(s\)"),
    ],
    ids=["lacking", "extra", "outcome", "no-treatment", "twice", "text", "infinite", "array", "empty"],
)
def test_other_tables_than_at_fit(model: ul.SurvivalVAE, table: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(table)


def test_other_arrays_than_at_fit() -> None:
    model = small(2).fit(A, Y)
    with pytest.raises(ValueError, match="X has 4 columns, but had 3 at fit, or 2 without the treatments"):
        model.predict(np.column_stack([A, A[:, 0]]))
    with pytest.raises(ValueError, match="X is a table, but the model was fitted to an array"):
        model.predict(pd.DataFrame(A))
    with pytest.raises(ValueError, match=r"lacks the treatment column\(s\) 2; give treatment="):
        model.predict(A[:, :2])


def test_levels_never_seen_count_as_missing(model: ul.SurvivalVAE) -> None:
    other, missing = X.copy(), X.copy()
    other["grade"] = other["grade"].astype(object)
    other.loc[[2, 7], "grade"] = "IV"
    missing.loc[[2, 7], "grade"] = None
    for table in (other, pl.from_pandas(other)):
        with pytest.warns(DataWarning, match=r"column 'grade' of X holds 'IV', not there at fit, in row\(s\) 2, 7"):
            found = model.predict(table)
        np.testing.assert_allclose(found, model.predict(missing), rtol=1e-5)


def test_numbers_a_column_cannot_hold_are_moved_inside() -> None:
    model = small(kinds={"size": "positive"}).fit(X, Y)
    table, nearest = X.copy(), X.copy()
    table.loc[3, "size"] = 0.0
    nearest.loc[3, "size"] = X["size"].min()
    with pytest.warns(DataWarning, match=r"column 'size' of X holds 0 in row\(s\) 3.*moved to the nearest"):
        found = model.predict(table)
    np.testing.assert_allclose(found, model.predict(nearest), rtol=1e-5)


def test_missing_cells_where_none_were_at_fit(model: ul.SurvivalVAE) -> None:
    blank = X.assign(age=np.nan, size=np.nan, grade=None)
    found = model.predict(blank)
    assert np.isfinite(found).all()
    nullable = blank.assign(grade=pd.array([pd.NA] * 80, dtype="string"), size=pd.array([pd.NA] * 80, dtype="Float64"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnderlieWarning)
        np.testing.assert_array_equal(model.predict(nullable), found)


# ---- treatments ----


@pytest.mark.parametrize(
    ("treatments", "message"),
    [
        ("arms", "treatments names 'arms', but X has the columns age, grade, size, arm"),
        (["arm", "arm"], "treatments names a column twice"),
        (["age", "grade", "size", "arm"], "no column beside the treatments"),
        (3.5, "treatments must be a column of X or a list of columns"),
    ],
)
def test_treatment_columns_that_are_refused(treatments: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        small(treatments).fit(X, Y)


def test_a_constant_treatment_and_missing_ones(model: ul.SurvivalVAE) -> None:
    with pytest.raises(ValueError, match="treatment 'arm' is 'no' in all rows"):
        small().fit(X.assign(arm="no"), Y)
    table = X.copy()
    table.loc[[2, 9], "arm"] = None
    for ask in (lambda: small().fit(table, Y), lambda: model.predict(table)):
        with pytest.raises(ValueError, match=r"treatment 'arm' is missing in row\(s\) 2, 9"):
            ask()
    with pytest.raises(ValueError, match=r"missing in row\(s\) 2, 9"):
        small().fit(table.assign(arm=table["arm"].astype("string")), Y)


@pytest.mark.parametrize(
    ("treatment", "message"),
    [
        ("maybe", r"treatment 'maybe', asked for in row\(s\) 0, .* was never given in column 'arm'.*'no', 'yes'"),
        (1, "treatment 1, asked for"),
        (["yes"] * 3, r"one level, or one per row of X \(80\), got 3"),
        (["yes"] * 79 + [None], r"treatment asked for in 'arm' is missing for row\(s\) 79"),
        ({"arms": "yes"}, r"treatment must name each of \['arm'\]; it has \['arms'\] beside"),
        ({}, r"it lacks \['arm'\]"),
    ],
)
def test_treatments_that_cannot_be_asked_for(model: ul.SurvivalVAE, treatment: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(X, treatment=treatment)


def test_a_level_in_x_never_seen_at_fit(model: ul.SurvivalVAE) -> None:
    with pytest.raises(ValueError, match="column 'arm' of X, row 4, holds 'maybe'"):
        model.predict(X.assign(arm=np.where(np.arange(80) == 4, "maybe", "no")))


def test_declared_levels_that_nobody_had_are_no_options() -> None:
    declared = ["yes", "no", "other"]
    for table in (
        X.assign(arm=pd.Categorical(X["arm"], categories=declared)),
        pl.from_pandas(X).with_columns(pl.col("arm").cast(pl.Enum(declared))),
    ):
        model = small().fit(table, Y)
        assert model.treatment_levels_ == {"arm": ["yes", "no"]}
        assert list(model.propensity(table).columns) == ["yes", "no"]
        with pytest.raises(ValueError, match="'other'.*never given"):
            model.predict(table, treatment="other")


def test_treatments_asked_of_a_model_without_them() -> None:
    model = small(None).fit(X, Y)
    with pytest.raises(ValueError, match="fitted without treatments"):
        model.predict(X, treatment="yes")


def test_several_columns_need_a_dict() -> None:
    model = small(["arm", "grade"]).fit(X.assign(grade=X["grade"].astype(object).fillna("I")), Y)
    with pytest.raises(ValueError, match=r"2 treatment columns: give treatment=\{'arm': \.\.\., 'grade': \.\.\.\}"):
        model.predict(X, treatment="yes")


def test_a_dose_outside_those_given_warns() -> None:
    dose = np.random.default_rng(0).uniform(1.0, 3.0, 80)
    table = X.assign(arm=dose)
    model = small().fit(table, Y)
    with pytest.warns(ExtrapolationWarning, match="dose 9, asked for.*outside those given in 'arm'"):
        model.predict(table, treatment=9.0)
    with pytest.raises(ValueError, match="is no finite number, but 'arm' is a dose"):
        model.predict(table, treatment="high")
    with pytest.raises(ValueError, match="dose with 80 distinct values: ask treatment_effect"):
        model.recommend(table, 10.0)


# ---- questions and parameters ----


@pytest.mark.parametrize("times", [[-1.0], [np.nan], [1.0, np.inf], [], [[1.0, 2.0]]])
def test_times_that_cannot_be_asked_for(model: ul.SurvivalVAE, times: Any) -> None:
    with pytest.raises(ValueError, match="times must be"):
        model.predict_survival_function(X, times)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.2, np.nan, [0.5, 2.0]])
def test_shares_that_cannot_be_asked_for(model: ul.SurvivalVAE, p: Any) -> None:
    with pytest.raises(ValueError, match="p must lie strictly between 0 and 1"):
        model.predict_quantile(X, p)


def test_proposals_and_draws(model: ul.SurvivalVAE) -> None:
    with pytest.raises(ValueError, match="proposal must be 'guide' or 'prior'"):
        model.predict_survival_function(X, 5.0, proposal="posterior")
    with pytest.raises(ValueError, match="n_importance must be at least 1"):
        model.predict_survival_function(X, 5.0, n_importance=0)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("distribution", "gamma"),
        ("baseline", "cox"),
        ("objective", "loss"),
        ("direct", "yes"),
        ("heterogeneity", -1.0),
        ("heterogeneity", "much"),
        ("n_latent", 0),
        ("n_replicates", 0),
        ("n_draws", 1.5),
        ("n_importance", 0),
        ("alpha", -0.1),
        ("alpha", np.nan),
        ("learning_rate", 0.0),
        ("valid_fraction", 1.0),
        ("max_epochs", 0),
        ("hidden", (0,)),
        ("activation", "sine"),
        ("likelihood", 3),
        ("device", "abacus"),
        ("kinds", {"weight": "count"}),
        ("random_state", "seed"),
    ],
)
def test_parameters_are_checked_before_any_work(parameter: str, value: Any) -> None:
    model = small(**{parameter: value})
    with pytest.raises((ValueError, TypeError), match=parameter):
        model.fit(X, Y)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_a_failed_fit_leaves_the_model_as_it_was() -> None:
    model = small().fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="in all rows"):
        model.fit(X.assign(arm="no"), Y)
    np.testing.assert_array_equal(model.predict(X), before)


# ---- tables at the edge ----


@pytest.mark.parametrize(
    "table",
    [
        X[["arm"]].assign(constant=1.0),
        X.assign(constant=2.0),
        X.assign(name=[f"p{i}" for i in range(80)]),
        X.assign(huge=1e12 * np.arange(80.0), tiny=1e-12 * np.arange(80.0)),
        X.assign(copy=X["age"]),
        X.join(pd.DataFrame(np.random.default_rng(0).normal(size=(80, 30))).rename(columns=lambda j: f"noise {j}")),
        X.assign(flag=np.arange(80) == 0),
        X.assign(rare=np.where(np.arange(80) < 78, "a", "b")),
        X.assign(mostly=np.where(np.arange(80) < 77, np.nan, 1.5)),
    ],
    ids=[
        "constant-alone",
        "constant",
        "identifier",
        "scales",
        "copy",
        "terms>n",
        "one-row-flag",
        "rare",
        "mostly-missing",
    ],
)
def test_odd_but_usable_tables(table: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model = small().fit(table, Y)
    curves = model.predict_survival_function(table, [2.0, 10.0])
    assert np.isfinite(curves).all()
    assert np.isfinite(model.score(table, Y))


def test_the_input_is_not_changed() -> None:
    table, y = X.copy(), Y.copy()
    small().fit(table, y).predict(table, treatment="yes")
    pd.testing.assert_frame_equal(table, X)
    np.testing.assert_array_equal(y, Y)
