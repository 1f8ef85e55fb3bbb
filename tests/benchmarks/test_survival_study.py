"""The comparison of survival models: its times, its summary, its record of failures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import survival as study
from scipy import stats

import underlie as ul
from underlie.check.survival.outcomes import Outcome


@pytest.fixture
def gbsg2(monkeypatch):
    monkeypatch.setattr(ul.datasets, "fetch_table", lambda name: ul.datasets.load_gbsg2())


def test_times_end_where_the_censoring_weights_do():
    time = np.arange(1.0, 101.0)
    train = Outcome(np.arange(100) < 60, time)  # all censored after 60: G falls by 1/40 at each of 61, ..., 100
    train.event[99] = True
    grid = study.time_grid(train, Outcome(np.ones(50, bool), np.arange(60.0, 110.0)))
    low = np.quantile(time[train.event], 0.05)
    assert grid[0] == low
    assert grid[-1] == pytest.approx(np.quantile(time[train.event], 0.95))
    heavy = Outcome(np.append(np.tile([True, False], 25), [True] * 2), np.append(np.arange(50.0), [200.0, 201.0]))
    heavy.time[49] = 300.0
    inside = study.time_grid(heavy, Outcome(np.ones(3, bool), np.array([5.0, 30.0, 250.0])))
    assert inside[-1] == 30.0  # the second longest test time
    assert len(inside) == 100


def test_settings_of_the_command_line():
    assert study.parse_settings("default") == {}
    text = "alpha=0.5; hidden=(16, 8); distribution=lognormal; heterogeneity=auto"
    assert study.parse_settings(text) == {
        "alpha": 0.5,
        "hidden": (16, 8),
        "distribution": "lognormal",
        "heterogeneity": "auto",
    }
    with pytest.raises(ValueError, match="KEY=VALUE, got 'alpha'"):
        study.parse_settings("alpha")


def test_halves_share_the_sets():
    assert sorted(study.HALVES["odd"] + study.HALVES["even"]) == sorted(study.SETS)
    assert len(study.SETS) == 17


def test_each_model_is_judged_and_failures_are_kept(gbsg2, monkeypatch):
    rows = [study.judge(study.Task("gbsg2", 1, m, "default"))[0] for m in ("Cox", "Kaplan-Meier", "Weibull")]
    cox, kaplan_meier, weibull = rows
    assert cox["integrated_brier"] < kaplan_meier["integrated_brier"]
    assert abs(weibull["integrated_brier"] / cox["integrated_brier"] - 1) < 0.05
    assert kaplan_meier["antolini"] == 0.5
    assert cox["penalty"] == 0.0
    assert cox["first_time"] < cox["last_time"]
    monkeypatch.setitem(study.BASELINES, "Cox", None)
    (failed,) = study.judge(study.Task("gbsg2", 1, "Cox", "default"))
    assert "TypeError" in failed["error"]


def test_calibration_of_kaplan_meier_on_its_own_rows_is_nil(gbsg2):
    table = ul.datasets.load_gbsg2()
    y = ul.Surv(table["time"], table["event"])
    bench = study.bench_of(y, y)
    model = study.KaplanMeier().fit(table, y)
    survival = model.predict_survival_function(table, bench.setting.times)
    step = study.Judged(bench, survival, None, "Kaplan-Meier")
    # The curve is read between the rows' own times along straight lines, a step of 1 / n at most.
    assert study.calibration(step) < 1 / len(table)
    shifted = study.Judged(bench, np.clip(survival - 0.1, 0, 1), None, "Kaplan-Meier")
    assert study.calibration(shifted) == pytest.approx(0.1, abs=0.002)


def test_summary_over_sets():
    ratios = np.array([0.9] * 13 + [1.1] * 4)
    sets = _sets(ratios)
    summary = study.over_sets(sets)
    assert summary["ratio"] == pytest.approx(np.exp(np.log(ratios).mean()))
    assert summary["lower"] < summary["ratio"] < summary["upper"]
    assert (summary["better"], summary["worst"]) == (13, 1.1)
    assert summary["sign_p"] == pytest.approx(stats.binom.sf(12, 17, 0.5))
    assert summary["sign_p"] < 0.05  # 13 of 17 are enough, 12 are not
    assert study.over_sets(_sets(np.array([0.9] * 12 + [1.1] * 5)))["sign_p"] > 0.05
    assert study.over_sets(_sets(np.full(3, 1 + 1e-7)))["better"] == 0
    assert summary["splits"] == 17 * 5


def test_pairs_by_split():
    cox = pd.DataFrame({"set": ["lung"] * 2, "split": [0, 1], "integrated_brier": [0.2, 0.1], "antolini": [0.6, 0.8]})
    cox = cox.assign(d_calibration_p=[0.01, 0.5], calibration=0.05, cpu_seconds=0.1, n=228, events=165)
    other = cox.assign(integrated_brier=[0.1, 0.1], antolini=[0.7, 0.9], d_calibration_p=0.02)[::-1]
    found = study.by_set(other, cox).loc["lung"]
    assert found["ratio"] == pytest.approx(2 / 3)
    assert found["gain"] == pytest.approx(0.1)
    assert (found["rejected"], found["rejected_cox"], found["splits"]) == (2, 1, 2)
    spread = np.std([np.log(0.5), 0.0], ddof=1)
    assert found["error"] == pytest.approx(spread * np.sqrt(1 / 2 + 0.25))


def _sets(ratios):
    names = list(study.SETS[: len(ratios)])
    zero = dict.fromkeys(("gain", "rejected", "rejected_cox", "calibration", "calibration_cox", "seconds"), 0.0)
    return pd.DataFrame({"ratio": ratios, "splits": 5, "longest": 1.0, **zero}, index=names)
