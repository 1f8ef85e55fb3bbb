"""What the survival screen says is what the model's own methods say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.beside import Note
from underlie.app.form.entry import Entry, cells_of, pick
from underlie.app.form.fields import fields_of
from underlie.app.opened import Opened
from underlie.app.survival import words
from underlie.app.survival.answer import Advice, Asker, Curve
from underlie.app.survival.document import document_of
from underlie.app.survival.drawing import draw, lines_of, lines_of_many
from underlie.app.survival.page import Asked, answer
from underlie.app.survival.question import Dose, arms_of, doses_of, has_doses, start_of
from underlie.app.survival.room import Room
from underlie.app.words import Hint
from underlie.report.render import render_html
from underlie.report.time_unit import TimeUnit

HOSTILE = "<script>alert(1)</script>"


def patients(n: int = 150) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "Größe (cm)": rng.normal(170, 10, n),
            HOSTILE: rng.choice(["<b>", "plain"], n),
            "nodes": rng.poisson(3, n),
            "arm": rng.choice(["new", "old", "older"], n),
            "chemo": rng.choice(["yes", "no"], n),
            "dose": rng.uniform(0, 10, n).round(3),
        }
    )
    time = rng.exponential(np.exp(0.5 + 0.05 * (X["Größe (cm)"] - 170) + 0.8 * (X["arm"] == "new")))
    end = rng.uniform(1, 4, n)
    X.loc[::6, "nodes"] = np.nan
    return X, ul.Surv(np.minimum(time, end) + 1e-3, time <= end)


def fitted(treatments: Any, n_replicates: int = 2) -> tuple[Any, pd.DataFrame]:
    X, y = patients()
    model = ul.SurvivalVAE(
        treatments, n_replicates=n_replicates, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False
    )
    return model.fit(X, y), X


@pytest.fixture(scope="module")
def one() -> tuple[Any, pd.DataFrame]:
    """One treatment with three levels."""
    return fitted("arm", 4)


@pytest.fixture(scope="module")
def two() -> tuple[Any, pd.DataFrame]:
    """Two treatments."""
    return fitted(["arm", "chemo"])


@pytest.fixture(scope="module")
def none() -> tuple[Any, pd.DataFrame]:
    return fitted(None)


def patient(model: Any, X: pd.DataFrame, i: int) -> dict[str, Any]:
    return cells_of(model.covariates(pick(X, [i])), fields_of(model.schema_), 0)


def opened(model: Any, **question: Any) -> Opened:
    return Opened("m", Path("m.safetensors"), "survival", model, note=Note("x.csv", question=question))


# ---------------------------------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("which", ["one", "two"])
def test_curves_gains_and_advice_are_those_of_the_model(which: str, request: pytest.FixtureRequest) -> None:
    model, X = request.getfixturevalue(which)
    arms = arms_of(model)
    control, horizon = arms[-1], 1.0
    asker = Asker(model, arms)
    for i in (0, 6):
        row, known = X.iloc[[i]], patient(model, X, i)
        shares = model.propensity(row).iloc[0]
        found = asker.outlooks(known, horizon, control.name)
        for curve, outlook, arm in zip(asker.curves(known), found, arms, strict=True):
            expected = model.predict_survival_function(row, asker.times[::20], arm.option)[0]
            np.testing.assert_allclose(curve.value[::20], expected, atol=1e-6)
            assert outlook.propensity == pytest.approx(shares[arm.name], rel=1e-4)
            if arm is control:
                assert outlook.gain is None
                continue
            effect = model.treatment_effect(row, horizon, arm.option, control.option).iloc[0]
            assert outlook.survival.value == pytest.approx(effect["treated"], abs=1e-6)
            assert outlook.gain is not None
            ends = (outlook.gain.value, outlook.gain.lower, outlook.gain.upper)
            assert ends == pytest.approx(tuple(effect[["effect", "lower", "upper"]]), abs=1e-6)
        for threshold in (0.0, 0.5):
            own = model.recommend(row, horizon, threshold, control=control.option).iloc[0]["recommended"]
            advice = asker.advice(known, horizon, control.name, threshold)
            assert advice.arm == ("" if own is None else str(own))
            assert advice.kind == {"": "withheld", control.name: "control"}.get(advice.arm, "other")


def test_moving_the_horizon_along_the_curve_gives_the_curve(one: tuple[Any, pd.DataFrame]) -> None:
    model, X = one
    asker = Asker(model, arms_of(model))
    known = patient(model, X, 3)
    for i in (20, 100):
        found = asker.outlooks(known, float(asker.times[i]), "old")
        for outlook, curve in zip(found, asker.curves(known), strict=True):
            ends = (outlook.survival.value, outlook.survival.lower, outlook.survival.upper)
            assert ends == pytest.approx((curve.value[i], curve.lower[i], curve.upper[i]), abs=1e-6)


def test_without_treatments_there_is_one_curve_with_its_interval(none: tuple[Any, pd.DataFrame]) -> None:
    model, X = none
    asker = Asker(model, ())
    (curve,) = asker.curves(patient(model, X, 0))
    np.testing.assert_allclose(curve.value, model.predict_survival_function(X.iloc[[0]], asker.times)[0], atol=1e-6)
    (outlook,) = asker.outlooks(patient(model, X, 0), 1.0, "")
    assert outlook.survival.lower < outlook.survival.value < outlook.survival.upper
    assert outlook.gain is None
    assert asker.advice(patient(model, X, 0), 1.0, "", 0.07).kind == "impossible"


def test_quantiles_are_read_off_the_curve(none: tuple[Any, pd.DataFrame]) -> None:
    model, X = none
    asker = Asker(model, ())
    known = patient(model, X, 0)
    (curve,) = asker.curves(known)
    for p in (0.1, 0.25):
        own = float(model.predict_quantile(X.iloc[[0]], p)[0])
        assert curve.quantile(p) == pytest.approx(own, abs=asker.times[1])
    flat = Curve("", curve.times, *(np.full_like(curve.times, 0.9),) * 3)
    assert flat.quantile(0.5) == float("inf")
    assert words.quantile_text(flat, 0.5, TimeUnit()) == f"> {TimeUnit().text(float(curve.times[-1]))}"


def test_one_replicate_gives_gains_without_intervals_and_no_advice() -> None:
    model, X = fitted("arm", 1)
    arms = arms_of(model)
    asker = Asker(model, arms)
    found = asker.outlooks(patient(model, X, 0), 1.0, "old")
    survival = [float(model.predict_survival_function(X.iloc[[0]], [1.0], arm.option)[0, 0]) for arm in arms]
    for outlook, own in zip(found, survival, strict=True):
        assert outlook.survival.value == pytest.approx(own, abs=1e-6)
        assert outlook.gain is None or outlook.gain.value == pytest.approx(own - survival[1], abs=1e-6)
    advice = asker.advice(patient(model, X, 0), 1.0, "old", 0.0)
    assert advice == Advice("impossible")
    (why,) = words.advice_text(advice, asker, found, "time 1", "old", 0.0)
    assert "n_replicates" in why
    assert "(" not in words.percent(found[0].survival, intervals=False)


def test_doses_are_compared_but_not_recommended() -> None:
    model, X = fitted("dose")
    arms = arms_of(model)
    assert has_doses(model)
    assert [arm.option for arm in arms] == sorted(arm.option for arm in arms)
    assert len(arms) == 5
    assert {arm.option for arm in arms} <= set(X["dose"])
    asker = Asker(model, arms)
    found = asker.outlooks(patient(model, X, 1), 1.0, arms[0].name)
    effect = model.treatment_effect(X.iloc[[1]], 1.0, arms[-1].option, arms[0].option).iloc[0]["effect"]
    assert found[-1].gain is not None
    assert found[-1].gain.value == pytest.approx(effect, abs=1e-6)
    assert all(outlook.propensity is None for outlook in found)
    assert asker.advice(patient(model, X, 1), 1.0, arms[0].name, 0.0).kind == "impossible"


def test_chosen_doses_are_those_that_the_model_is_asked_for() -> None:
    model, X = fitted("dose")
    (dose,) = doses_of(model)
    assert (dose.low, dose.high) == (X["dose"].min(), X["dose"].max())
    assert tuple(arm.option for arm in arms_of(model)) == dose.first
    np.testing.assert_allclose(dose.read(dose.as_text(dose.first)), dose.first)
    arms = arms_of(model, {"dose": dose.read("7.5; 2.5 5, 5")})
    assert [arm.option for arm in arms] == [2.5, 5.0, 7.5]
    assert [arm.label for arm in arms] == ["dose = 2.5", "dose = 5", "dose = 7.5"]
    found = Asker(model, arms).outlooks(patient(model, X, 1), 1.0, arms[0].name)
    effect = model.treatment_effect(X.iloc[[1]], 1.0, 7.5, 2.5).iloc[0]["effect"]
    assert found[-1].gain is not None
    assert found[-1].gain.value == pytest.approx(effect, abs=1e-6)
    for text, said in [
        ("", "give 2 to 6 different doses, such as"),
        ("5, 5.0", "give 2 to 6"),
        ("1 2 3 4 5 6 7", "give 2 to 6"),
        ("1, much", "'much' is no number"),
        ("1, 11", "11 is outside the doses that were given"),
        ("1, nan", "outside"),
    ]:
        with pytest.raises(Hint, match=said):
            dose.read(text)


def test_whole_doses_stay_whole() -> None:
    dose = Dose("pills", 0, 30, is_whole=True, first=(0, 7, 15, 22, 30))
    assert dose.read("0, 4") == (0, 4)
    with pytest.raises(Hint, match="whole numbers"):
        dose.read("0, 2.5")


def test_what_was_asked_at_fit_is_asked_first_and_nonsense_beside_the_model_is_not(one: tuple[Any, Any]) -> None:
    model, _ = one
    arms = arms_of(model)
    start = start_of(opened(model, horizon=1.5, time_unit="years", control="old", min_gain=0.2, randomised=True), arms)
    assert (start.horizon, start.unit.own, start.control, start.min_gain) == (1.5, "years", "old", 0.2)
    assert start.randomised
    odd = start_of(opened(model, horizon=-1, time_unit="eons", control="nobody", min_gain="many"), arms)
    assert odd.horizon == pytest.approx(float(np.median(model.event_times_)))
    assert (odd.unit.own, odd.control, odd.min_gain, odd.randomised) == ("", "new", 0.07, False)


def test_how_the_rule_did_is_read_from_the_report_beside_the_model(one: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = one
    here = replace(opened(model, horizon=1.5), path=tmp_path / "model.safetensors")
    assert start_of(here, arms_of(model)).standing == ""
    report = tmp_path / "report.json"
    for text in ("", "[]", '{"facts": {"decisions": null}}'):
        report.write_text(text, encoding="utf-8")
        assert start_of(here, arms_of(model)).standing == ""
    report.write_text('{"facts": {"decisions": {"rule_less_best_fixed": {"standing": "undecided"}}}}', encoding="utf-8")
    start = start_of(here, arms_of(model))
    assert "do not support choosing treatment patient by patient" in words.judged(start.standing, 1.5, start.unit)
    assert words.judged("", 1.5, start.unit) == ""


# ------------------------------------------------------------------------------------------------------- what is said


def asked_of(one: tuple[Any, Any], min_gain: float, control: str = "old") -> tuple[Any, Any, Asked]:
    model, X = one
    asker = Asker(model, arms_of(model))
    asked = Asked(1.0, TimeUnit(), control, min_gain)
    return asker, answer(asker, HOSTILE, Entry(patient(model, X, 0)), asked), asked


def test_advice_says_the_gain_and_its_doubts(one: tuple[Any, pd.DataFrame]) -> None:
    asker, found, asked = asked_of(one, 0.001)
    assert found.advice == Advice("other", "new")
    text = " ".join(words.advice_text(found.advice, asker, found.outlooks, asked.at, "old", 0.001))
    gain = next(outlook.gain for outlook in found.outlooks if outlook.arm.name == "new")
    assert words.percent(gain) in text
    assert ("includes" in text) == (gain.lower < 0.001)
    asker, found, asked = asked_of(one, 0.9)
    assert found.advice == Advice("control", "old")
    assert "No other treatment" in words.advice_text(found.advice, asker, found.outlooks, asked.at, "old", 0.9)[0]


def test_advice_that_is_withheld_says_which_treatment_is_too_rare(one: tuple[Any, pd.DataFrame]) -> None:
    asker, found, asked = asked_of(one, 0.07)
    rare = tuple(replace(o, supported=o.arm.name == "old", propensity=0.001) for o in found.outlooks)
    text = " ".join(words.advice_text(Advice("withheld"), asker, rare, asked.at, "old", 0.07))
    assert "arm = new; arm = older" in text
    assert "2 %" in text
    assert words.advice_title(Advice("withheld"), asker) == "No recommendation for this patient"


def test_limits_stand_beside_every_kind_of_model(one: Any, none: Any) -> None:
    asker = Asker(one[0], arms_of(one[0]))
    assert any("not medical advice" in text for text in words.limits(asker, randomised=False))
    assert any(
        "Differences between treatments are those of a regression" in t for t in words.limits(asker, randomised=False)
    )
    assert any("by lot" in text for text in words.limits(asker, randomised=True))
    assert not any("treatment" in text for text in words.limits(Asker(none[0], ()), randomised=False)[1:])


def test_empty_fields_are_said() -> None:
    nothing = Entry(dict.fromkeys("abc"))
    assert "Nothing is entered" in words.remarks(nothing)[0]
    assert "2 of 3 fields are empty" in words.remarks(Entry({"a": 1.0, "b": None, "c": None}))[0]
    assert words.remarks(Entry({"a": 1.0, "b": 2.0, "c": None})) == ()


# ------------------------------------------------------------------------------------------------------------ drawing


def test_the_picture_is_well_formed_and_says_what_the_curves_say(one: tuple[Any, pd.DataFrame]) -> None:
    _, found, asked = asked_of(one, 0.07)
    lines = lines_of(found.curves, [HOSTILE, "b", "c"])
    svg = draw(lines, asked.unit, 1.0, 2.0, label=HOSTILE, width=500.0, named=True)
    tree = ET.fromstring(str(svg))
    space = {"s": "http://www.w3.org/2000/svg"}
    assert not tree.findall(".//s:script", space)
    drawn = tree.findall(".//s:polyline", space)
    assert len(drawn) == len(tree.findall(".//s:polygon", space)) == 3
    for line, curve in zip(drawn, found.curves, strict=True):
        x, y = np.array([[float(v) for v in point.split(",")] for point in line.get("points").split()]).T
        assert (np.diff(x) > 0).all()
        assert (np.diff(y) >= 0).all()  # survival falls, and pixels count downwards
        shares = (y.max() - y) / (y.max() - y.min())
        own = (curve.value - curve.value.min()) / (curve.value.max() - curve.value.min())
        np.testing.assert_allclose(shares, own, atol=0.01)
    assert len({line.get("stroke") for line in drawn}) == len({line.get("stroke-dasharray") for line in drawn}) == 3


def test_several_patients_have_colours_and_treatments_have_dashes(one: tuple[Any, pd.DataFrame]) -> None:
    _, found, _ = asked_of(one, 0.07)
    lines = lines_of_many([("A", found.curves), ("B", found.curves)], ["a", "b", "c"])
    assert [line.label for line in lines] == ["A, a", "A, b", "A, c", "B, a", "B, b", "B, c"]
    assert len({line.colour for line in lines[:3]}) == 1
    assert lines[0].colour != lines[3].colour
    assert [line.dash for line in lines[:3]] == [line.dash for line in lines[3:]]
    assert not any(line.banded for line in lines)


def test_the_page_to_keep_holds_everything_and_nothing_of_another_place(one: tuple[Any, pd.DataFrame]) -> None:
    asker, found, asked = asked_of(one, 0.07)
    fields = fields_of(asker.model.schema_)
    limits = words.limits(asker, randomised=False)
    room = Room.of(opened(asker.model))
    room = replace(room, start=replace(room.start, standing="worse"))
    page = render_html(document_of(room, asker, found, asked, (found,)))
    assert room.judged in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for sentence in limits:
        assert sentence.replace("'", "&#39;") in page
    for field in fields:
        assert field.text_of(found.entry.values[field.name]).replace("<b>", "&lt;b&gt;") in page
