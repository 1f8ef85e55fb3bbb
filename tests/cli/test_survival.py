"""The survival command from a table to a page, and what the page claims of treatments."""

from __future__ import annotations

import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.check.decisions import PolicyValue
from underlie.cli.survival_input import Question, make_study
from underlie.report import Document, Table
from underlie.report.study.advice import judge, verdict_text
from underlie.report.study.findings import Decisions

FAST = ("--splits", 1, "--folds", 2, "--replicates", 2, "--max-epochs", 2, "--quiet")


def make(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.normal(60, 10, n).round(1)
    arm, chemo = rng.choice(["new", "old"], n), rng.integers(2, size=n)
    time = rng.exponential(np.exp(3.5 - 0.03 * (age - 60) + 0.5 * (arm == "new")))
    end = rng.uniform(20, 60, n)
    stage = rng.choice(["I", "II", None], n)
    months = np.minimum(time, end).round(2) + 0.01
    status = np.where(time <= end, "dead", "alive")
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "age": age,
            "stage": stage,
            "arm": arm,
            "chemo": chemo,
            "months": months,
            "status": status,
        }
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("tables") / "patients.csv"
    make().to_csv(file, index=False)
    return file


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """The search for the heterogeneity takes most of the time of so small a fit, and no result is judged here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ul, "SurvivalVAE", partial(ul.SurvivalVAE, heterogeneity=0.0))
        yield


def analyse(run, table, out, *words):
    done = run("survival", table, "--time", "months", "--event", "status=dead", *words, *FAST, "--out", out)
    assert (done.exit_code, done.output) == (0, "")
    report = Document.from_json(json.loads((out / "report.json").read_text(encoding="utf-8")))
    return report, (out / "report.html").read_text(encoding="utf-8")


WORDS = ("--treatment", "arm", "--control", "old", "--horizon", "2y", "--time-unit", "months", "--id", "id")


@pytest.fixture(scope="module")
def treated(run, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("treated") / "out"
    return *analyse(run, table, out, *WORDS, "--drop", "chemo"), out


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_page_has_what_a_clinician_asks_for_and_needs_no_other_file(treated):
    report, page, _ = treated
    assert [section.heading for section in report.sections] == [
        "How good the predictions are",
        "Treatment on average",
        "Who could have received what",
        "Who is predicted to benefit",
        "What it says of single patients",
        "Recommendations, and what they are worth",
        "Limits",
        "Data and model",
    ]
    assert page.count("<figure>") == 6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    for words in ("Confounding", "withheld", "arm = old for all", "arm = new for all", "as observed", "2 years"):
        assert words in page
    assert not re.findall(r"\b(?:nan|None|inf)\b", re.sub(r'src="data:[^"]*"', "", page))


def test_the_model_is_saved_and_answers(treated):
    _, _, out = treated
    model = ul.load(out / "model.safetensors")
    X = make().drop(columns=["id", "months", "status", "chemo"])
    advice = pd.read_csv(out / "recommendations.csv")
    expected = model.predict_survival_function(X, [24.0], "new")[:, 0]
    np.testing.assert_allclose(advice["survival new"], expected, atol=6e-5)


def test_recommendations_follow_the_rule(treated):
    report, _, out = treated
    advice = pd.read_csv(out / "recommendations.csv", keep_default_na=False, na_values=[""])
    table = make()
    assert list(advice["patient"]) == list(table["id"])
    assert list(advice["received"]) == list(table["arm"])
    np.testing.assert_allclose(advice["gain new"], advice["survival new"] - advice["survival old"], atol=1.1e-4)
    assert ((advice["lower new"] <= advice["gain new"]) & (advice["gain new"] <= advice["upper new"])).all()
    np.testing.assert_allclose(advice["propensity new"] + advice["propensity old"], 1, atol=1.1e-4)
    given = advice[advice["supported"]]
    clear = (given["gain new"] - 0.07).abs() > 1e-4  # the file is rounded
    assert clear.any()
    np.testing.assert_array_equal(given["recommended"][clear] == "new", given["gain new"][clear] >= 0.07)
    assert advice["recommended"][~advice["supported"]].isna().all()
    assert report.facts["decisions"]["withheld"] == (~advice["supported"]).sum()


def test_facts_are_those_of_the_question(treated):
    facts = treated[0].facts
    assert (facts["horizon"], facts["time_unit"], facts["event"], facts["n"]) == (24.0, "months", "status = dead", 120)
    assert facts["n_events"] == (make()["status"] == "dead").sum()
    assert {row["model"] for row in facts["comparison"]} == {"SurvivalVAE", "Cox", "Kaplan-Meier"}
    assert set(facts["calibration"]) == {"SurvivalVAE", "Cox"}
    decisions = facts["decisions"]
    assert (decisions["control"], decisions["min_gain"], decisions["randomised"]) == ("old", 0.07, False)
    policies = [row["policy"] for row in decisions["policy_values"]]
    assert set(policies) == {"recommended", "treat all: new", "treat none", "as observed"}


def test_observed_survival_is_kaplan_meier(treated):
    from lifelines import KaplanMeierFitter

    report, _, _ = treated
    (shown,) = (
        b for s in report.sections for b in s.blocks if isinstance(b, Table) and b.caption == "Survival at 2 years"
    )
    frame = make()
    for row in shown.rows:
        arm = frame[frame["arm"] == row[0]]
        km = KaplanMeierFitter().fit(arm["months"], arm["status"] == "dead").predict(24.0)
        assert row[2].value == pytest.approx(100 * km)
        assert row[1] == len(arm)


def test_the_same_seed_gives_the_same_numbers(run, table, treated, tmp_path):
    report, _ = analyse(run, table, tmp_path / "again", *WORDS, "--drop", "chemo")
    mine, other = report.facts, treated[0].facts
    assert mine["decisions"] == other["decisions"]
    assert mine["calibration"] == other["calibration"]


def test_a_lot_is_taken_at_its_word(run, table, tmp_path):
    out = tmp_path / "out"
    words = ("--treatment", "arm", "--treatment", "chemo", "--randomised", "--drop", "id", "--min-gain", "0.02")
    report, page = analyse(run, table, out, *words)
    assert report.facts["decisions"]["randomised"]
    assert "Confounding." not in page
    assert "Not from a randomised comparison" not in page
    assert len(report.facts["decisions"]["options"]) == 4
    advice = pd.read_csv(out / "recommendations.csv")
    assert set(advice["recommended"].dropna()) <= set(report.facts["decisions"]["options"])


def test_without_treatments_it_is_a_plain_report(run, table, tmp_path):
    out = tmp_path / "out"
    report, page = analyse(run, table, out, "--drop", "id")
    assert "decisions" not in report.facts
    assert not (out / "recommendations.csv").exists()
    headings = [section.heading for section in report.sections]
    assert headings == [
        "How good the predictions are",
        "What it says of single patients",
        "Limits",
        "Data and model",
    ]
    assert "recommend" not in re.sub(r'src="data:[^"]*"', "", page).lower()


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--time", "day", "--event", "status=dead"), "--time day: patients.csv has no such column"),
        (("--time", "months", "--event", "status"), "--event status=VALUE"),
        (("--time", "months", "--event", "status=dead", "--folds", "1"), "--folds 1: give at least 2"),
        (("--time", "months", "--event", "status=dead", "--splits", "0"), "--splits 0: give at least 1"),
        (
            ("--time", "months", "--event", "status=dead", "--treatment", "arm", "--replicates", "1"),
            "--replicates 1: intervals",
        ),
        (("--time", "months", "--event", "status=dead", "--treatment", "arm", "--folds", "60"), "was received by"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(run, table, tmp_path, words, message):
    done = run("survival", table, *words, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert message in re.sub(r"\s+", " ", done.stderr)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_and_an_array_no_table(run, table, tmp_path):
    words = ("--time", "months", "--event", "status=dead", "--out")
    assert "is a file; give a folder" in run("survival", table, *words, table).stderr
    np.save(tmp_path / "a.npy", np.ones((5, 3)))
    assert "columns have no names" in run("survival", tmp_path / "a.npy", *words, tmp_path / "out").stderr


# ------------------------------------------------------------------------------------------------------------ verdicts


def decisions_of(recommended: np.ndarray, fixed: np.ndarray) -> Decisions:
    """Only what the verdict reads: scores of policies, two of them fixed."""
    n = len(fixed)
    scores = np.column_stack([recommended, fixed - 0.3, fixed, fixed - 0.1])
    names = ("recommended", "treat none", "treat all: new", "as observed")
    ones = np.ones(4)
    values = PolicyValue(
        names, scores.mean(0), scores, pd.DataFrame(), ones, ones, "as observed", "survival at 1", True, 1.0, 1.0, 0.95,
        n, n, 0, 0,
    )  # fmt: skip
    empty = pd.DataFrame()
    return Decisions({}, empty, empty, {}, {}, SimpleNamespace(values=values), {})


@pytest.mark.parametrize(
    ("gain", "noise", "standing", "words"),
    [
        (0.1, 0.2, "better", "more than chance would make"),
        (-0.1, 0.2, "worse", "are worse than the best fixed policy"),
        (0.0, 0.2, "undecided", "are not shown to be better"),
        (0.0, 0.0, "same", "does not individualise"),
    ],
)
def test_the_rule_is_held_against_the_best_fixed_policy(gain, noise, standing, words):
    rng = np.random.default_rng(0)
    fixed = rng.uniform(size=400)
    shift = rng.normal(size=400)
    shift -= shift.mean()
    decisions = decisions_of(fixed + gain + noise * shift, fixed)
    verdict = judge(decisions)
    assert (verdict.best, verdict.standing) == ("treat all: new", standing)
    assert verdict.gain.value == pytest.approx(100 * gain, abs=1e-9)
    study = make_study(make(), "t", Question("months", "status=dead", ("arm",), control="old"))
    text = verdict_text(study, verdict)
    assert words in text
    assert "arm = new for all" in text


def test_rows_outside_the_support_are_counted_though_the_control_can_be_recommended():
    advice = pd.DataFrame({"supported": [True, True, False]})
    propensity = pd.DataFrame({"old": [0.5, 0.995, 0.01], "new": [0.5, 0.005, 0.99]})
    decisions = Decisions({}, advice, propensity, {}, {}, None, {})
    assert (decisions.withheld, decisions.narrowed) == (1, 2)
