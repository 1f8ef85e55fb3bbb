"""What must not matter does not: containers, order, chunks, units, neighbours, storage; what must, does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from survival_cases import small, trial

import underlie as ul
from underlie.estimators import survival_predictor

pytestmark = [
    pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ExtrapolationWarning"),
]

X, Y = trial()
TIMES = np.array([3.0, 10.0, 25.0])


def fitted(X: Any = X, y: Any = Y, **options: Any) -> ul.SurvivalVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return small(**options).fit(X, y)


@pytest.fixture(scope="module")
def model() -> ul.SurvivalVAE:
    return fitted()


# ---- the rows that are asked about ----


def test_the_order_of_rows_is_theirs(model: ul.SurvivalVAE) -> None:
    order = np.random.default_rng(0).permutation(len(X))
    curves = model.predict_survival_function(X, TIMES)
    np.testing.assert_allclose(model.predict_survival_function(X.iloc[order], TIMES), curves[order], atol=1e-5)
    np.testing.assert_allclose(
        model.score_samples(X.iloc[order], Y[order]), model.score_samples(X, Y)[order], atol=1e-4
    )


def test_a_row_alone_is_the_row_among_others(model: ul.SurvivalVAE) -> None:
    for i in (0, 3, 50):
        alone = model.predict_survival_function(X.iloc[[i]], TIMES)
        np.testing.assert_allclose(alone[0], model.predict_survival_function(X, TIMES)[i], atol=1e-5)


def test_chunks_do_not_matter(model: ul.SurvivalVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = (
        lambda: model.predict_survival_function(X, TIMES),
        lambda: model.predict_density(X, TIMES),
        lambda: model.predict_quantile(X, [0.2, 0.5]),
        lambda: model.score_samples(X, Y),
        lambda: model.prediction_quality(X).se,
        lambda: model.propensity(X).to_numpy(),
        lambda: model.posterior(X).variance,
        lambda: model.treatment_effect(X, 10, "yes", "no").drop(columns="supported").to_numpy(),
        lambda: model.treatment_effect(X, 10, "yes", "no", measure="median")["effect"].to_numpy(),
    )
    whole = [ask() for ask in questions]
    monkeypatch.setattr(survival_predictor, "_CHUNK", 1 << 15)
    for ask, expected in zip(questions, whole, strict=True):
        np.testing.assert_allclose(ask(), expected, rtol=1e-3, atol=2e-5)


def test_times_may_be_asked_in_any_order_and_one_alone(model: ul.SurvivalVAE) -> None:
    curves = model.predict_survival_function(X, TIMES)
    np.testing.assert_allclose(model.predict_survival_function(X, TIMES[::-1]), curves[:, ::-1], atol=1e-6)
    assert model.predict_survival_function(X, 10).shape == (len(X), 1)
    np.testing.assert_allclose(model.predict_survival_function(X, 10)[:, 0], curves[:, 1], atol=1e-6)


def test_columns_are_found_by_name(model: ul.SurvivalVAE) -> None:
    np.testing.assert_array_equal(model.predict(X[["arm", "size", "grade", "age"]]), model.predict(X))


# ---- containers ----


@pytest.mark.parametrize("library", ["polars", "arrow", "nullable", "string-categories"])
def test_every_table_library_gives_the_same(model: ul.SurvivalVAE, library: str) -> None:
    table = {
        "polars": lambda: pl.from_pandas(X),
        "arrow": lambda: pa.Table.from_pandas(X),
        "nullable": lambda: X.convert_dtypes(),
        "string-categories": lambda: X.assign(grade=X["grade"].astype("string")),
    }[library]()
    again = fitted(table)
    np.testing.assert_allclose(again.predict(table), model.predict(X), rtol=1e-5)
    np.testing.assert_allclose(model.predict(table), model.predict(X), rtol=1e-5)
    theirs, ours = again.treatment_effect(table, 10, "yes", "no"), model.treatment_effect(X, 10, "yes", "no")
    np.testing.assert_allclose(theirs.to_numpy(float), ours.to_numpy(float), atol=1e-4)


def test_an_array_gives_the_same_as_its_table() -> None:
    A = np.column_stack([X["age"], X["size"], X["arm"] == "yes"]).astype(float)
    of_array = fitted(A, treatments=2)
    for names in (list("abc"), [0, 1, 2], [10, "b", 12]):
        table = pd.DataFrame(A, columns=names)
        of_table = fitted(table, treatments=names[2])
        np.testing.assert_allclose(of_table.predict(table), of_array.predict(A), rtol=1e-4)
    assert of_array.treatments_ == [2]
    assert of_array.treatment_levels_ == {2: [0.0, 1.0]}
    asked = of_array.predict(A, treatment=1)
    np.testing.assert_array_equal(of_array.predict(A[:, :2], treatment=1), asked)
    np.testing.assert_array_equal(of_array.predict(A.tolist(), treatment=1), asked)
    first = fitted(A[:, [2, 0, 1]], treatments=0)
    np.testing.assert_allclose(first.predict(A[:, :2], treatment=1), asked, rtol=1e-4)


@pytest.mark.parametrize("form", ["structured", "theirs", "table", "array", "polars"])
def test_every_form_of_outcome_gives_the_same(model: ul.SurvivalVAE, form: str) -> None:
    forms = {
        "structured": Y,
        "theirs": np.array(list(zip(Y["event"], Y["time"], strict=True)), dtype=[("cens", bool), ("days", float)]),
        "table": pd.DataFrame({"time": Y["time"], "event": Y["event"].astype(int)}),
        "array": np.column_stack([Y["time"], Y["event"]]),
        "polars": pl.DataFrame({"t": Y["time"], "e": Y["event"]}),
    }
    assert model.score(X, forms[form]) == model.score(X, Y)


# ---- treatments ----


def test_all_forms_of_a_treatment_agree(model: ul.SurvivalVAE) -> None:
    everyone = X.assign(arm="yes")
    expected = model.predict_survival_function(everyone, TIMES)
    for asked in ("yes", {"arm": "yes"}, ["yes"] * len(X), np.array("yes"), pd.Series(["yes"] * len(X))):
        np.testing.assert_array_equal(model.predict_survival_function(X, TIMES, asked), expected)
    without = X.drop(columns="arm")
    np.testing.assert_array_equal(model.predict_survival_function(without, TIMES, "yes"), expected)
    own = model.predict_survival_function(X, TIMES)
    np.testing.assert_array_equal(model.predict_survival_function(without, TIMES, X["arm"]), own)
    np.testing.assert_array_equal(model.predict_survival_function(X, TIMES, {"arm": X["arm"].to_numpy()}), own)
    for method, arguments in (("predict_rmst", (20,)), ("predict_quantile", (0.5,)), ("predict_density", (TIMES,))):
        ask = getattr(model, method)
        np.testing.assert_array_equal(ask(X, *arguments, treatment="no"), ask(X.assign(arm="no"), *arguments))


def test_several_treatments_of_mixed_kinds() -> None:
    rng = np.random.default_rng(5)
    table = X.assign(radio=rng.random(len(X)) < 0.5, cycles=rng.choice(["3", "4", "6"], len(X)))
    model = fitted(table, treatments=["arm", "radio", "cycles"])
    assert model.treatment_levels_ == {"arm": ["no", "yes"], "radio": [False, True], "cycles": ["3", "4", "6"]}
    asked = {"cycles": "4", "arm": "yes", "radio": True}
    given = table.assign(arm="yes", radio=True, cycles="4")
    np.testing.assert_array_equal(model.predict(table, treatment=asked), model.predict(given))
    per_row = {**asked, "radio": table["radio"]}
    np.testing.assert_array_equal(
        model.predict(table, treatment=per_row), model.predict(table.assign(arm="yes", cycles="4"))
    )
    propensity = model.propensity(table)
    assert propensity.shape == (len(X), 12)
    np.testing.assert_allclose(propensity.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("doses", ["few", "continuous"])
def test_a_dose(doses: str) -> None:
    rng = np.random.default_rng(6)
    values = rng.choice([0.5, 1.0, 2.0, 3.5], len(X)) if doses == "few" else rng.uniform(0.5, 3.5, len(X))
    table = X.assign(arm=values)
    model = fitted(table)
    effect = model.treatment_effect(table, 10, 2.0, 1.0)
    np.testing.assert_allclose(effect["effect"], effect["treated"] - effect["control"], atol=1e-6)
    assert effect["supported"].all()
    np.testing.assert_allclose(model.predict(table, treatment=2.0), model.predict(table.assign(arm=2.0)), rtol=1e-6)


# ---- seeds and neighbours ----


def test_a_seed_gives_the_same_numbers(model: ul.SurvivalVAE) -> None:
    np.testing.assert_array_equal(
        fitted().predict_survival_function(X, TIMES), model.predict_survival_function(X, TIMES)
    )
    other = fitted(random_state=1).predict_survival_function(X, TIMES)
    assert np.abs(other - model.predict_survival_function(X, TIMES)).max() > 1e-4
    # Questions leave no trace.
    np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_a_replicate_trains_as_it_would_beside_others() -> None:
    """History and networks of the first two replicates of four are those of two, to the last bit."""
    two, four = fitted(n_replicates=2, max_epochs=3), fitted(n_replicates=4, max_epochs=3)
    for name in ("train", "valid"):
        shared = min(two.history_[name].shape[1], four.history_[name].shape[1])
        np.testing.assert_array_equal(two.history_[name][:, :shared], four.history_[name][:2, :shared])
    np.testing.assert_array_equal(two.best_epoch_, four.best_epoch_[:2])


# ---- time ----


def test_units_of_time_do_not_matter(model: ul.SurvivalVAE) -> None:
    """Survival is the same at the same moment, the score moves by the log of the unit for each event."""
    for options in ({}, {"baseline": "parametric"}):
        months = model if not options else fitted(**options)
        days = fitted(y=ul.Surv(Y["time"] * 30.4375, Y["event"]), **options)
        found = days.predict_survival_function(X, TIMES * 30.4375)
        np.testing.assert_allclose(found, months.predict_survival_function(X, TIMES), atol=1e-4)
        shift = np.log(30.4375) * Y["event"]
        in_days = days.score_samples(X, ul.Surv(Y["time"] * 30.4375, Y["event"]))
        np.testing.assert_allclose(in_days, months.score_samples(X, Y) - shift, atol=1e-3)
        np.testing.assert_allclose(days.predict_median(X), 30.4375 * months.predict_median(X), rtol=1e-3)
        for ours, theirs in zip(days.history_.values(), months.history_.values(), strict=True):
            assert ours.shape == theirs.shape


def test_any_monotone_clock_gives_the_same_survival() -> None:
    """On the population's axis only the order of times counts, as in Cox's regression.

    The first and the last time are events: beyond events the axis goes on as a constant rate, on each clock another.
    """
    order = np.argsort(Y["time"])
    y = Y[order].copy()
    y["event"][[0, -1]] = True
    table = X.iloc[order]
    own = fitted(table, y)
    expected = own.predict_survival_function(table, TIMES)
    for change in (lambda t: t**2, lambda t: t / 365.25, lambda t: np.expm1(t / 20.0)):
        other = fitted(table, ul.Surv(change(y["time"]), y["event"]))
        found = other.predict_survival_function(table, change(TIMES))
        # Between events the axis is log-linear in its own clock: exact at events, near between them.
        np.testing.assert_allclose(found, expected, atol=0.01)
        at = y["time"][y["event"]][5:40:7]
        np.testing.assert_allclose(
            other.predict_survival_function(table, change(at)),
            own.predict_survival_function(table, at),
            atol=2e-3,
        )


# ---- storage ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"distribution": "lognormal", "heterogeneity": 1.0},
        {"distribution": "loglogistic"},
        {"distribution": "exponential", "heterogeneity": "auto"},
        {"distribution": "piecewise_exponential"},
        {"distribution": "mixture"},
        {"baseline": "parametric", "n_replicates": 1},
        {"direct": False, "objective": "elbo"},
        {"alpha": 0.0, "n_replicates": 3},
    ],
    ids=["default", "lognormal", "loglogistic", "auto", "piecewise", "mixture", "clock", "original", "supervised"],
)
def test_a_saved_model_gives_the_same_bits(options: dict[str, Any], tmp_path: Path) -> None:
    model = fitted(**options)
    model.save(tmp_path / "model")
    again = ul.load(tmp_path / "model")
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.predict_survival_function(X, TIMES), model.predict_survival_function(X, TIMES))
    np.testing.assert_array_equal(again.score_samples(X, Y), model.score_samples(X, Y))
    np.testing.assert_array_equal(again.predict_rmst(X, 20.0, "yes"), model.predict_rmst(X, 20.0, "yes"))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    if model.n_replicates > 1:
        for ask in ("treatment_effect", "average_effect"):
            pd.testing.assert_frame_equal(
                getattr(again, ask)(X, 10, "yes", "no"), getattr(model, ask)(X, 10, "yes", "no")
            )
        pd.testing.assert_frame_equal(again.recommend(X, 10), model.recommend(X, 10))
    pd.testing.assert_frame_equal(again.propensity(X), model.propensity(X))
    for name in vars(model):
        if name.endswith("_") and not name.startswith("_") and name not in ("model_", "generative_", "inference_"):
            ours, theirs = getattr(again, name), getattr(model, name)
            if not type(theirs).__module__.startswith("underlie"):
                np.testing.assert_equal(ours, theirs)
    assert str(again.model_) == str(model.model_)


def test_storage_of_awkward_treatments_truncated_rows_and_no_treatment(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = X.assign(arm=rng.random(len(X)) < 0.5, other=rng.choice([1, 2, 7], len(X)))
    y = ul.Surv(Y["time"], Y["event"], entry=np.minimum(1.0, 0.5 * Y["time"]))
    for k, treatments in enumerate((["arm", "other"], "other", None)):
        model = fitted(table, y, treatments=treatments)
        model.save(tmp_path / str(k))
        again = ul.load(tmp_path / str(k))
        np.testing.assert_array_equal(again.predict(table), model.predict(table))
        assert again.treatment_levels_ == model.treatment_levels_
        assert [type(v) for levels in again.treatment_levels_.values() for v in levels] == [
            type(v) for levels in model.treatment_levels_.values() for v in levels
        ]
        if treatments:
            pd.testing.assert_frame_equal(again.recommend(table, 10), model.recommend(table, 10))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    fitted().save(tmp_path / "model")
    blob = bytearray((tmp_path / "model").read_bytes())
    blob[-20] ^= 0x40
    (tmp_path / "model").write_bytes(bytes(blob))
    with pytest.raises(ValueError, match="damaged"):
        ul.load(tmp_path / "model")
