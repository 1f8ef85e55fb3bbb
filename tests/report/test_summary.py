"""A summary states facts of the fitted model and of the rows, as JSON types."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import underlie as ul
from underlie.report import document_from_summary, render_html
from underlie.report.facts.judged import fingerprint
from underlie.report.plain import plain
from underlie.report.summary import Effort, investigate


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
    return ul.ProbabilisticPCA(1, standardize=True, random_state=3).fit(frame)


def facts_of(*given, **options):
    return investigate(*given, **options)[0]


def codes(facts):
    return {alert["code"] for alert in facts["alerts"]}


def test_facts_agree_with_the_model(frame, model):
    facts = facts_of(model, frame, title="T", command="c", seconds=1.5)
    scores = model.score_samples(frame)
    assert facts["log_likelihood"]["mean"] == pytest.approx(scores.mean())
    assert facts["log_likelihood"]["se"] == pytest.approx(scores.std(ddof=1) / np.sqrt(300))
    assert facts["log_likelihood"]["least_likely"][0]["row"] == str(scores.argmin())
    assert facts["data"]["missing"] == pytest.approx(201 / 1200)
    assert facts["data"]["complete_rows"] == len(frame.dropna())
    by_name = {column["name"]: column for column in facts["data"]["columns"]}
    assert by_name["c"]["missing"] == pytest.approx(200 / 300)
    assert by_name["group"]["levels"] == ["high", "low"]
    gap = ul.mega(model, frame, standardize=True, n_bootstrap=199, random_state=0)
    assert facts["moments"]["second"] == pytest.approx(gap.second)
    assert facts["moments"]["floor_second"] == pytest.approx(gap.orders[2].floor)
    assert facts["moments"]["p_second"] == pytest.approx(gap.p_value)
    assert (facts["title"], facts["provenance"]["seed"], facts["provenance"]["command"]) == ("T", 3, "c")
    assert facts["provenance"]["seconds"] > 1.5


def test_facts_are_json(frame, model):
    facts = facts_of(model, frame)
    again = json.loads(json.dumps(facts, allow_nan=False))
    assert again == facts
    assert render_html(again) == render_html(facts) == render_html(document_from_summary(facts))


def test_values_beyond_the_fitted_range_are_counted(frame, model):
    moved = frame.assign(a=np.where(np.arange(300) < 30, 1e3, frame["a"]))
    facts = facts_of(model, moved, effort=Effort(held_out=True, n_simulations=0))
    assert [column["outside"] for column in facts["data"]["columns"]] == [30, 0, 0, 0]
    assert [column["far_outside"] for column in facts["data"]["columns"]] == [30, 0, 0, 0]
    assert "outside-range" in codes(facts)
    one = frame.assign(a=np.where(np.arange(300) < 1, 1e3, frame["a"]))  # a slip of the decimal point
    assert "outside-range" in codes(facts_of(model, one, effort=Effort(n_simulations=0)))
    near = frame.assign(a=np.where(np.arange(300) < 1, 1.01 * frame["a"].max(), frame["a"]))
    facts = facts_of(model, near, effort=Effort(n_simulations=0))
    assert [column["outside"] for column in facts["data"]["columns"]] == [1, 0, 0, 0]
    assert "outside-range" not in codes(facts)
    inside = facts_of(model, frame, effort=Effort(n_simulations=0))
    assert not any(column["outside"] for column in inside["data"]["columns"])


def test_a_model_that_misses_the_moments_is_told():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 4))
    fitted = ul.ProbabilisticPCA(1).fit(X)
    # judged on its own training rows a gap is never larger than by chance; doubled columns are another distribution
    assert "moment-gap" not in codes(facts_of(fitted, X))
    assert "moment-gap" in codes(facts_of(fitted, 2 * X))


def test_stopped_early_is_told():
    X = np.random.default_rng(2).normal(size=(200, 6)) @ np.random.default_rng(3).normal(size=(6, 6))
    X[np.random.default_rng(4).random(X.shape) < 0.3] = np.nan
    effort = Effort(n_simulations=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stopped = ul.ProbabilisticPCA(2, max_iter=1).fit(X)
    assert "not-converged" in codes(facts_of(stopped, X, effort=effort))
    told = codes(facts_of(stopped, X, effort=effort, caught=caught))  # the warning's own words, not both
    assert "training" in told
    assert "not-converged" not in told
    assert "not-converged" not in codes(facts_of(ul.ProbabilisticPCA(2).fit(X), X, effort=effort))


def test_replicates_and_history_of_a_vae(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = ul.VAE(2, hidden=(8,), n_replicates=2, max_epochs=3, random_state=0, verbose=False).fit(frame)
        facts = facts_of(vae, frame, effort=Effort(n_draws=16, n_simulations=0))
    assert facts["model"]["n_epochs"] == 3
    assert np.shape(facts["history"]["valid"]) == np.shape(vae.history_["valid"])
    assert facts["model"]["best_replicate"] == vae.best_replicate_
    assert facts["log_likelihood"]["monte_carlo_se"] > 0
    assert facts["moments"]["p_second"] is None


def test_unfitted_models_are_refused(frame):
    with pytest.raises(NotFittedError):
        facts_of(ul.ProbabilisticPCA(1), frame)


def test_plain_turns_everything_into_json():
    made = plain({1: np.float32(0.5), "a": np.arange(2), "b": {np.int64(3)}, "c": (True, None), "d": np.inf, "e": max})
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["1"] == 0.5
    assert made["d"] is None
    assert type(plain(np.float64(1.0))) is float


# ------------------------------------------------------------------------------------------------------- fingerprints


def test_a_fingerprint_is_of_names_and_values_and_of_nothing_else(frame):
    polars = pytest.importorskip("polars")
    own = fingerprint(frame)
    assert own == fingerprint(frame.copy()) == fingerprint(frame.set_index(frame.index + 5))
    assert own == fingerprint(polars.from_pandas(frame))
    assert fingerprint(frame.astype({"group": "category"})) == own
    others = (
        frame.rename(columns={"a": "A"}),
        frame.iloc[::-1],
        frame[["b", "a", "c", "group"]],
        frame.iloc[1:],
        frame.fillna(0),
        frame.replace("high", "High"),
    )
    assert len({own, *map(fingerprint, others)}) == 1 + len(others)
    assert fingerprint(frame, np.zeros(300)) != own


def test_a_fingerprint_ignores_layout_and_precision_that_is_not_there():
    X = np.arange(12.0).reshape(3, 4)
    assert fingerprint(X) == fingerprint(np.asfortranarray(X)) == fingerprint(X.astype(np.int64))
    assert fingerprint(X) != fingerprint(X.reshape(4, 3))
    assert fingerprint(np.array([[0.0]])) == fingerprint(np.array([[-0.0]]))
