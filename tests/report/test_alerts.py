"""An alert is there when its condition is, and not otherwise; every code of the list has a rule that was tried."""

from __future__ import annotations

import copy
import warnings

import pytest
from report_cases import report

from underlie.report import CODES, find_alerts
from underlie.warnings import (
    CheckpointWarning,
    ConvergenceWarning,
    DataWarning,
    ExtrapolationWarning,
    ImportanceSamplingWarning,
    UnderlieWarning,
)


def column(**changed):
    base = {
        "name": "a",
        "kind": "continuous",
        "levels": None,
        "low": 0.0,
        "high": 1.0,
        "missing": 0.0,
        "outside": 0,
        "far_outside": 0,
    }
    return base | changed


def calm():
    """Facts of a fit of which nothing is to be said."""
    interval = {"value": 0.0, "lower": -0.01, "upper": 0.01}
    data = {
        "n_rows": 500,
        "n_given": 500,
        "n_columns": 2,
        "empty_rows": 0,
        "columns": [column(), column(name="b")],
        "seen": {"rows": "held out", "known_by": "statement"},
    }
    model = {"converged": True, "restarts": [0, 0], "n_parameters": 10}
    moments = {"first": 0.1, "floor_first": 0.1, "p_first": 0.4, "second": 0.5, "floor_second": 0.5, "p_second": 0.3}
    label = {
        "name": "y",
        "n": 100,
        "kind": "classes",
        "majority": 0.5,
        "majority_class": "no",
        "accuracy": {"value": 0.8, "lower": 0.7, "upper": 0.9},
        "per_class": [{"class": "no", "n": 50}, {"class": "yes", "n": 50}],
        "calibration": {
            "p": 0.5,
            "error": 0.1,
            "error_by_chance": 0.1,
            "overconfidence": 0.2,
            "overconfidence_se": 0.01,
        },
    }
    survival = {
        "n_events": 60,
        "at_risk": 50,
        "horizon": 10.0,
        "d_calibration_p": 0.5,
        "integrated_brier_less_kaplan_meier": {"value": -0.05, "lower": -0.08, "upper": -0.02},
        "calibration_in_the_large": interval,
    }
    treated = {"treatment": "new", "supported": 1.0}
    return {
        "data": data,
        "model": model,
        "history": {"valid": [[-5.0, -3.0], [-5.0, -3.5]]},
        "latent": {"n_latent": 2, "n_active": 2},
        "log_likelihood": {"n": 100, "poor_rows": 3},
        "moments": moments,
        "labels": [label, {"name": "score", "n": 50, "kind": "number", "r_squared": 0.4}],
        "survival": survival,
        "effects": {"randomised": True, "control": "old", "compared": [treated]},
    }


#: code -> where in the facts, the value that calls for it
INJECTED = {
    "not-converged": (("model", "converged"), False),
    "restarted": (("model", "restarts"), [0, 2]),
    "replicates-differ": (("history", "valid"), [[-5.0, None, -3.0], [-9.0, -8.0, None]]),
    "training-rows": (("data", "seen", "rows"), "training"),
    "rows-unknown": (("data", "seen", "rows"), "unknown"),
    "few-rows": (("data", "n_rows"), 29),
    "some-rows": (("data", "n_given"), 501),
    "mostly-missing": (("data", "columns", 0, "missing"), 0.51),
    "empty-rows": (("data", "empty_rows"), 1),
    "outside-range": (("data", "columns", 1, "outside"), 26),
    "unused-latent": (("latent", "n_active"), 1),
    "uncertain-likelihood": (("log_likelihood", "poor_rows"), 11),
    "moment-gap": (("moments", "p_second"), 0.005),
    "not-better-than-majority": (("labels", 0, "accuracy", "lower"), 0.49),
    "miscalibrated": (("labels", 0, "calibration", "p"), 0.005),
    "rare-classes": (("labels", 0, "per_class", 1, "n"), 9),
    "not-better-than-mean": (("labels", 1, "r_squared"), -0.1),
    "few-events": (("survival", "n_events"), 9),
    "few-at-risk": (("survival", "at_risk"), 19),
    "not-better-than-kaplan-meier": (("survival", "integrated_brier_less_kaplan_meier", "upper"), 0.001),
    "risk-off": (("survival", "calibration_in_the_large", "lower"), 0.001),
    "shape-off": (("survival", "d_calibration_p"), 0.001),
    "not-randomised": (("effects", "randomised"), False),
    "outside-support": (("effects", "compared", 0, "supported"), 0.9),
}
WARNINGS = {
    "training": ConvergenceWarning,
    "data": DataWarning,
    "importance-sampling": ImportanceSamplingWarning,
    "extrapolation": ExtrapolationWarning,
    "checkpoint": CheckpointWarning,
    "warning": UnderlieWarning,
}
#: raised by the command that judges treatment rules
ELSEWHERE = {"not-supported"}


def codes(facts, caught=()):
    return [alert.code for alert in find_alerts(facts, caught)]


def test_calm_facts_raise_nothing():
    assert codes(calm()) == []


def test_every_code_is_tried():
    assert set(CODES) == set(INJECTED) | set(WARNINGS) | ELSEWHERE | {"many-parameters"}


@pytest.mark.parametrize("code", sorted(INJECTED))
def test_an_alert_is_raised_by_its_condition_alone(code):
    facts = calm()
    path, value = INJECTED[code]
    place = facts
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert set(codes(facts)) - {"some-rows"} == {code} - {"some-rows"}
    assert code in codes(facts)
    (alert,) = (a for a in find_alerts(facts) if a.code == code)
    assert alert.title
    assert alert.text.endswith((".", "?"))


@pytest.mark.parametrize("empty", ["history", "latent", "log_likelihood", "moments", "labels", "survival", "effects"])
def test_parts_that_are_not_there_raise_nothing(empty):
    assert codes(calm() | {empty: None}) == []


def test_without_intervals_a_score_below_kaplan_meier_is_no_alarm():
    facts = calm()
    facts["survival"]["integrated_brier_less_kaplan_meier"] = {"value": -0.05, "lower": None, "upper": None}
    assert codes(facts) == []
    facts["survival"]["integrated_brier_less_kaplan_meier"]["value"] = 0.01
    assert codes(facts) == ["not-better-than-kaplan-meier"]


def test_many_parameters_matter_on_training_rows_only():
    facts = calm()
    facts["model"]["n_parameters"] = 1001
    assert "many-parameters" not in codes(facts)
    facts["data"]["seen"]["rows"] = "training"
    assert "many-parameters" in codes(facts)


@pytest.mark.parametrize("code", sorted(WARNINGS))
def test_warnings_of_this_package_become_alerts_in_their_own_words(code):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("column x is odd", WARNINGS[code], stacklevel=1)
        warnings.warn("not ours", UserWarning, stacklevel=1)
    (alert,) = find_alerts(calm(), caught)
    assert (alert.level, alert.code, alert.text) == ("warning", code, "Column x is odd.")


def test_a_warning_is_not_said_twice():
    facts = calm()
    facts["model"]["converged"] = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("still rising; raise max_epochs.", ConvergenceWarning, stacklevel=1)
    assert codes(facts, caught) == ["training"]


def test_a_large_gap_is_a_warning_and_a_small_one_a_note():
    facts = calm()
    facts["moments"] |= {"p_second": 0.001}
    assert [a.level for a in find_alerts(facts)] == ["note"]
    facts["moments"] |= {"second": 5.0}
    (alert,) = find_alerts(facts)
    assert (alert.level, "10 times" in alert.text) == ("warning", True)


def test_alerts_are_found_again_from_the_facts():
    facts = copy.deepcopy(report("SurvivalVAE").facts)
    again = find_alerts(facts)
    assert {a.code for a in again} <= {a["code"] for a in facts["alerts"]}
    assert {a["code"] for a in facts["alerts"]} - {a.code for a in again} <= set(WARNINGS)
