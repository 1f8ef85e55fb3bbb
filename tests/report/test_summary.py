"""A summary states facts of the fitted model and raises the alerts that they call for."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import underlie as ul
from underlie.report import render_html, report_from_summary, summarize
from underlie.report.plain import plain
from underlie.warnings import DataWarning


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    table = pd.DataFrame({"a": 3 * z + rng.normal(size=300), "b": z + 10, "c": rng.normal(size=300)})
    table["group"] = np.where(z > 0, "high", "low")
    table.loc[:199, "c"] = np.nan
    table.loc[5, "b"] = np.nan
    return table


@pytest.fixture(scope="module")
def model(frame):
    return ul.ProbabilisticPCA(1, standardize=True).fit(frame)


def titles(facts):
    return {alert["title"] for alert in facts["alerts"]}


def test_facts_agree_with_the_model(frame, model):
    facts = summarize(model, frame, title="T", seed=3, command="c", seconds=1.5)
    scores = model.score_samples(frame)
    assert facts["log_likelihood"]["mean"] == pytest.approx(scores.mean())
    assert facts["log_likelihood"]["se"] == pytest.approx(scores.std(ddof=1) / np.sqrt(300))
    assert facts["data"]["missing"] == pytest.approx(201 / 1200)
    by_name = {column["name"]: column for column in facts["data"]["columns"]}
    assert by_name["c"]["missing"] == pytest.approx(200 / 300)
    assert by_name["group"]["levels"] == ["high", "low"]
    gap = ul.mega(model, frame, standardize=True, random_state=0)
    assert facts["moments"]["second"] == pytest.approx(gap.second)
    assert facts["moments"]["floor_second"] == pytest.approx(gap.orders[2].floor)
    assert (facts["title"], facts["provenance"]["seed"], facts["provenance"]["command"]) == ("T", 3, "c")


def test_facts_are_json(frame, model):
    facts = summarize(model, frame)
    again = json.loads(json.dumps(facts, allow_nan=False))
    assert again == facts
    assert render_html(again) == render_html(facts) == render_html(report_from_summary(facts))


def test_mostly_missing_columns_are_told(frame, model):
    facts = summarize(model, frame)
    assert "Mostly missing columns" in titles(facts)
    text = next(alert["text"] for alert in facts["alerts"] if alert["title"] == "Mostly missing columns")
    assert ": c." in text
    assert "Mostly missing columns" not in titles(summarize(model, frame.iloc[200:]))


def test_a_model_that_misses_the_moments_is_told():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 4))
    fitted = ul.ProbabilisticPCA(1).fit(X)
    told = "The model does not reproduce the data's moments"
    # judged on its own training rows a gap is never larger than by chance; doubled columns are another distribution
    assert told not in titles(summarize(fitted, X))
    assert told in titles(summarize(fitted, 2 * X))


def test_stopped_early_is_told():
    X = np.random.default_rng(2).normal(size=(200, 6)) @ np.random.default_rng(3).normal(size=(6, 6))
    X[np.random.default_rng(4).random(X.shape) < 0.3] = np.nan
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stopped = ul.ProbabilisticPCA(2, max_iter=1).fit(X)
    assert "Not converged" in titles(summarize(stopped, X))
    assert "Training" in titles(summarize(stopped, X, caught=caught))  # the warning's own words, not both
    assert "Not converged" not in titles(summarize(stopped, X, caught=caught))
    assert "Not converged" not in titles(summarize(ul.ProbabilisticPCA(2).fit(X), X))


def test_warnings_caught_while_fitting_become_alerts(frame, model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("column x is odd", DataWarning, stacklevel=1)
        warnings.warn("not ours", UserWarning, stacklevel=1)
    alerts = summarize(model, frame, caught=caught)["alerts"]
    assert alerts[0] == {"level": "warning", "title": "Data", "text": "Column x is odd"}
    assert "not ours" not in str(alerts)


def test_replicates_and_history_of_a_vae(frame):
    vae = ul.VAE(2, hidden=(8,), n_replicates=2, max_epochs=3, random_state=0, verbose=False).fit(frame)
    facts = summarize(vae, frame)
    assert facts["model"]["n_epochs"] == 3
    assert np.shape(facts["history"]["valid"]) == np.shape(vae.history_["valid"])
    assert facts["model"]["best_replicate"] == vae.best_replicate_
    apart = {**facts["history"], "valid": [[-5.0, None, -3.0], [-9.0, -8.0, None]]}
    from underlie.report.summary import _replicate_alerts

    assert _replicate_alerts({"history": apart})[0]["title"] == "Replicates found different solutions"
    assert "5.0 nats" in _replicate_alerts({"history": apart})[0]["text"]
    assert _replicate_alerts({"history": {"valid": [[-5.0], [-5.5]]}}) == []


def test_unfitted_models_are_refused(frame):
    with pytest.raises(NotFittedError):
        summarize(ul.ProbabilisticPCA(1), frame)


def test_plain_turns_everything_into_json():
    made = plain({1: np.float32(0.5), "a": np.arange(2), "b": {np.int64(3)}, "c": (True, None), "d": np.inf, "e": max})
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["1"] == 0.5
    assert made["d"] is None
