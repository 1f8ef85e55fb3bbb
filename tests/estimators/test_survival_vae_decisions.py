"""Effects are differences of predictions, recommendations follow the rule, and nothing is advised outside the data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from survival_cases import small, trial

import underlie as ul

pytestmark = [
    pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ExtrapolationWarning"),
]

X, Y = trial(160)
HORIZON = 15.0


def fitted(X: Any = X, y: Any = Y, **options: Any) -> ul.SurvivalVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return small(**options).fit(X, y)


@pytest.fixture(scope="module")
def model() -> ul.SurvivalVAE:
    return fitted()


@pytest.fixture(scope="module")
def arms() -> tuple[ul.SurvivalVAE, pd.DataFrame]:
    """Three arms, of which the third was never given to patients of grade III."""
    rng = np.random.default_rng(1)
    table, y = trial(600, seed=4)
    table["arm"] = rng.choice(["none", "radio", "chemo"], len(table))
    table.loc[(table["grade"] == "III") & (table["arm"] == "chemo"), "arm"] = "none"
    return fitted(table, y), table


# ---- effects ----


@pytest.mark.parametrize(
    ("measure", "predict"),
    [
        ("survival", lambda m, t: m.predict_survival_function(X, HORIZON, t)[:, 0]),
        ("rmst", lambda m, t: m.predict_rmst(X, HORIZON, t)),
    ],
)
def test_the_effect_is_the_difference_of_predictions(model: ul.SurvivalVAE, measure: Any, predict: Any) -> None:
    table = model.treatment_effect(X, HORIZON, "yes", "no", measure=measure)
    assert list(table.columns) == ["effect", "lower", "upper", "treated", "control", "supported"]
    pd.testing.assert_index_equal(table.index, X.index)
    np.testing.assert_allclose(table["effect"], table["treated"] - table["control"], atol=1e-5)
    np.testing.assert_allclose(table["treated"], predict(model, "yes"), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(table["control"], predict(model, "no"), rtol=1e-5, atol=1e-5)
    assert (table["lower"] <= table["effect"]).all()
    assert (table["effect"] <= table["upper"]).all()
    # Turned round it is the same with the other sign.
    turned = model.treatment_effect(X, HORIZON, "no", "yes", measure=measure)
    np.testing.assert_allclose(turned["effect"], -table["effect"], atol=1e-9)
    np.testing.assert_allclose(turned["lower"], -table["upper"], atol=1e-9)


def test_the_median_effect_is_a_difference_of_medians_of_the_members(model: ul.SurvivalVAE) -> None:
    table = model.treatment_effect(X, HORIZON, "yes", "no", measure="median")
    np.testing.assert_allclose(table["effect"], table["treated"] - table["control"], rtol=1e-5, atol=1e-4)
    medians = model.predict_median(X, "yes")
    early = medians < 0.4 * model.follow_up_  # those of the members spread widely where they are extrapolated
    assert np.median(np.abs(table["treated"][early] / medians[early] - 1.0)) < 0.1
    # The time asked for has no part in it.
    other = model.treatment_effect(X, 3.0, "yes", "no", measure="median")
    pd.testing.assert_frame_equal(table, other)


def test_a_treatment_has_no_effect_against_itself(model: ul.SurvivalVAE) -> None:
    table = model.treatment_effect(X, HORIZON, "yes", "yes")
    assert (table[["effect", "lower", "upper"]].to_numpy() == 0).all()


def test_wider_levels_give_wider_intervals(model: ul.SurvivalVAE) -> None:
    widths = [
        (t["upper"] - t["lower"]).to_numpy()
        for t in (model.treatment_effect(X, HORIZON, "yes", "no", level=level) for level in (0.5, 0.9, 0.99))
    ]
    assert (widths[0] < widths[1]).all()
    assert (widths[1] < widths[2]).all()


@pytest.mark.parametrize("measure", ["survival", "rmst", "median"])
def test_the_average_is_the_mean_of_individuals(model: ul.SurvivalVAE, measure: Any) -> None:
    each = model.treatment_effect(X, HORIZON, "yes", "no", measure=measure)
    whole = model.average_effect(X, HORIZON, "yes", "no", measure=measure)
    assert len(whole) == 1
    for column in ("effect", "treated", "control", "supported"):
        assert whole[column].iloc[0] == pytest.approx(each[column].mean(), rel=1e-6)
    assert whole["n"].iloc[0] == len(X)
    # An average over patients is known better than the effect in most of them.
    assert whole["upper"].iloc[0] - whole["lower"].iloc[0] < (each["upper"] - each["lower"]).mean() + 1e-9


def test_a_treatment_may_differ_by_row(model: ul.SurvivalVAE) -> None:
    mixed = np.where(np.arange(len(X)) % 2, "yes", "no")
    table = model.treatment_effect(X, HORIZON, mixed, "no")
    whole = model.treatment_effect(X, HORIZON, "yes", "no")
    np.testing.assert_allclose(table["effect"][1::2], whole["effect"][1::2], atol=1e-6)
    assert (table["effect"][::2] == 0).all()


def test_the_index_of_the_table_is_kept(model: ul.SurvivalVAE) -> None:
    named = X.iloc[:5].set_axis(list("vwxyz"))
    for table in (
        model.treatment_effect(named, HORIZON, "yes", "no"),
        model.recommend(named, HORIZON),
        model.propensity(named),
    ):
        assert list(table.index) == list("vwxyz")


# ---- propensity ----


def test_the_propensity_is_a_distribution_and_that_of_the_trial(model: ul.SurvivalVAE) -> None:
    """Randomised one to one; 160 patients: the mean is the share in the arm, and nobody is far from it."""
    table = model.propensity(X)
    assert list(table.columns) == ["no", "yes"]
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)
    assert table["yes"].mean() == pytest.approx((X["arm"] == "yes").mean(), abs=0.02)
    assert table["yes"].between(0.2, 0.8).all()
    np.testing.assert_array_equal(table, model.propensity(X.drop(columns="arm")))


def test_treatments_that_follow_a_covariate_are_seen(arms: tuple[ul.SurvivalVAE, pd.DataFrame]) -> None:
    model, table = arms
    propensity = model.propensity(table)
    severe = (table["grade"] == "III").to_numpy()
    assert propensity["chemo"][severe].mean() < 0.05
    assert propensity["chemo"][~severe].mean() == pytest.approx(1 / 3, abs=0.08)


# ---- recommendations ----


def test_the_rule_of_the_clinicians(model: ul.SurvivalVAE) -> None:
    """Another treatment only where it gains at least so much; the control elsewhere."""
    effect = model.treatment_effect(X, HORIZON, "yes", "no")
    for min_gain in (-1.0, 0.0, float(effect["effect"].median()), 1.0):
        table = model.recommend(X, HORIZON, min_gain=min_gain, control="no")
        assert list(table.columns) == [
            *("recommended", "gain", "lower", "upper", "supported", "survival no", "survival yes")
        ]
        supported = effect["supported"].to_numpy()
        gains = (effect["effect"] >= min_gain).to_numpy()
        # With a threshold below 0 the better of both is taken, which may be the control.
        better = (effect["effect"] > 0).to_numpy()
        chosen = np.where(gains & (better | (min_gain > 0)), "yes", "no")
        np.testing.assert_array_equal(table["recommended"][supported], chosen[supported])
        np.testing.assert_allclose(table["survival yes"], effect["treated"], atol=1e-6)
        np.testing.assert_allclose(table["survival no"], effect["control"], atol=1e-6)
        took = (table["recommended"] == "yes").to_numpy()
        np.testing.assert_allclose(table["gain"][took], effect["effect"][took], atol=1e-6)
        np.testing.assert_allclose(table["lower"][took], effect["lower"][took], atol=1e-6)
        assert (table["gain"][~took & supported] == 0).all()


def test_the_control_may_be_any_option(model: ul.SurvivalVAE) -> None:
    """With a threshold of 0 the better treatment is taken, whichever is the control."""
    from_no, from_yes = (model.recommend(X, HORIZON, 0.0, control=c) for c in ("no", "yes"))
    np.testing.assert_array_equal(from_no["recommended"], from_yes["recommended"])
    assert model.recommend(X, HORIZON, 2.0, control="yes")["recommended"].dropna().eq("yes").all()
    assert model.recommend(X, HORIZON, 2.0)["recommended"].dropna().eq("no").all()  # the first level


def test_the_rule_may_be_a_function(model: ul.SurvivalVAE) -> None:
    """Survival less a price of the treatment; the identity is the default rule."""
    asked: list[Any] = []

    def rule(survival: np.ndarray, treatment: Any) -> np.ndarray:
        asked.append(treatment)
        return survival - (0.5 if treatment == "yes" else 0.0)

    assert (model.recommend(X, HORIZON, 0.0, control="no", rule=rule)["recommended"].dropna() == "no").all()
    assert set(asked) == {"no", "yes"}
    pd.testing.assert_frame_equal(
        model.recommend(X, HORIZON, 0.05, rule=lambda s, _: s), model.recommend(X, HORIZON, 0.05)
    )
    for wrong in (lambda s, _: s[:3], lambda s, _: s * np.nan):
        with pytest.raises(ValueError, match="one finite number for each of 160 rows"):
            model.recommend(X, HORIZON, rule=wrong)


def test_the_rule_may_be_restricted_mean_survival(model: ul.SurvivalVAE) -> None:
    effect = model.treatment_effect(X, HORIZON, "yes", "no", measure="rmst")
    threshold = float(effect["effect"].median())
    table = model.recommend(X, HORIZON, threshold, control="no", rule="rmst")
    took = (table["recommended"] == "yes").to_numpy()
    np.testing.assert_array_equal(took, (effect["effect"] >= threshold) & effect["supported"])
    np.testing.assert_allclose(table["gain"][took], effect["effect"][took], atol=1e-5)


def test_nothing_is_recommended_outside_the_support(arms: tuple[ul.SurvivalVAE, pd.DataFrame]) -> None:
    """A treatment that patients like these never had is neither advised nor compared."""
    model, table = arms
    chemo = model.propensity(table)["chemo"].to_numpy()
    assert (chemo < 0.02).any()
    advice = model.recommend(table, HORIZON, -1.0, control="none")
    assert not (advice["recommended"][chemo < 0.02] == "chemo").any()
    effect = model.treatment_effect(table, HORIZON, "chemo", "none")
    np.testing.assert_array_equal(effect["supported"], chemo >= 0.02)
    assert model.average_effect(table, HORIZON, "chemo", "none")["supported"].iloc[0] == pytest.approx(
        (chemo >= 0.02).mean()
    )
    # Where the control itself is outside, nothing can be said.
    withheld = model.recommend(table, HORIZON, 0.0, control="chemo")
    assert withheld["recommended"][chemo < 0.02].isna().all()
    assert not withheld["supported"][chemo < 0.02].any()
    assert withheld["recommended"][chemo >= 0.02].notna().all()


def test_several_arms(arms: tuple[ul.SurvivalVAE, pd.DataFrame]) -> None:
    model, table = arms
    advice = model.recommend(table, HORIZON, 0.0, control="none")
    columns = ["survival chemo", "survival none", "survival radio"]
    assert [c for c in advice.columns if c.startswith("survival")] == columns
    open_to_all = (model.propensity(table) >= 0.02).all(axis=1).to_numpy()
    best = advice[columns].to_numpy().argmax(1)
    np.testing.assert_array_equal(
        advice["recommended"][open_to_all], np.array(["chemo", "none", "radio"])[best][open_to_all]
    )


def test_several_columns_of_treatments() -> None:
    rng = np.random.default_rng(2)
    table = X.assign(radio=rng.random(len(X)) < 0.5)
    model = fitted(table, treatments=["arm", "radio"])
    advice = model.recommend(table, HORIZON, -1.0)
    options = ["arm=no, radio=False", "arm=no, radio=True", "arm=yes, radio=False", "arm=yes, radio=True"]
    assert [c for c in advice.columns if c.startswith("survival")] == [f"survival {o}" for o in options]
    assert set(advice["recommended"].dropna()) <= set(options)
    assert list(model.propensity(table).columns) == options
    effect = model.treatment_effect(table, HORIZON, {"arm": "yes", "radio": True}, {"arm": "no", "radio": True})
    np.testing.assert_allclose(effect["treated"], advice[f"survival {options[3]}"], atol=1e-6)
    named = model.recommend(table, HORIZON, 2.0, control={"arm": "yes", "radio": False})
    assert (named["recommended"].dropna() == options[2]).all()


# ---- what is refused ----


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.recommend(X, HORIZON, control="maybe"), "control is 'maybe'; choose one of no, yes"),
        (lambda m: m.recommend(X, HORIZON, rule="best"), "rule must be 'survival', 'rmst' or a function"),
        (lambda m: m.recommend(X, HORIZON, min_gain=np.nan), "min_gain must be a finite number"),
        (lambda m: m.recommend(X, -1.0), "time must be finite and at least 0"),
        (lambda m: m.treatment_effect(X, HORIZON, "yes", "no", level=1.0), "level must lie strictly between 0 and 1"),
        (lambda m: m.treatment_effect(X, HORIZON, "yes", "no", measure="hazard"), "measure must be one of"),
        (lambda m: m.treatment_effect(X, HORIZON, "maybe", "no"), "'maybe'.*never given.*'no', 'yes'"),
        (lambda m: m.average_effect(X, np.inf, "yes", "no"), "time must be finite"),
    ],
)
def test_questions_that_cannot_be_answered(model: ul.SurvivalVAE, ask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(model)


def test_models_that_cannot_answer() -> None:
    plain = fitted(treatments=None)
    for ask in (
        lambda: plain.recommend(X, HORIZON),
        lambda: plain.propensity(X),
        lambda: plain.treatment_effect(X, HORIZON, "yes", "no"),
    ):
        with pytest.raises(ValueError, match="fitted without treatments"):
            ask()
    with pytest.raises(ValueError, match="n_replicates of at least 2"):
        fitted(n_replicates=1).treatment_effect(X, HORIZON, "yes", "no")


def test_advice_for_the_control_is_withheld_where_no_alternative_is_supported() -> None:
    """Men always get the control: that it is better for them than the alternative, these data cannot say."""
    rng = np.random.default_rng(0)
    n = 400
    sex = np.where(rng.random(n) < 0.5, "man", "woman")
    arm = np.where((sex == "woman") & (rng.random(n) < 0.5), "new", "old")
    table = pd.DataFrame({"sex": sex, "age": rng.normal(60, 8, n), "arm": arm})
    time = rng.weibull(1.3, n) * np.where(arm == "new", 2.0, 1.0)
    model = ul.SurvivalVAE("arm", n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False)
    model.fit(table, ul.Surv(time, np.ones(n, dtype=bool)))
    rare = model.propensity(table)["new"].to_numpy() < 0.02
    assert rare[sex == "man"].all()
    advice = model.recommend(table, 1.0, control="old")
    assert advice["recommended"][rare].isna().all()
    assert advice["recommended"][~rare].notna().all()
