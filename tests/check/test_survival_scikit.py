"""Equality with scikit-survival, where it is installed: it is no requirement, and the formulas are tested without it.

The survival curves are those of lifelines' Cox fit on two clinical data sets, whose times tie in many ways.
"""

from __future__ import annotations

import lifelines
import numpy as np
import pytest
from lifelines.datasets import load_gbsg2, load_lung
from numpy.typing import NDArray

import underlie as ul

metrics = pytest.importorskip("sksurv.metrics")

Array = NDArray[np.float64]
Case = tuple[np.ndarray, np.ndarray, Array, Array, Array]


def cox(name: str) -> Case:
    """Test and training outcomes, times between the 5 % and 95 % quantiles of events, curves, risk."""
    if name == "gbsg2":
        frame, time, event = load_gbsg2(), "time", "cens"
        frame = frame[["age", "pnodes", "progrec", "estrec", "tsize", time, event]]
    else:
        frame, time, event = load_lung(), "time", "status"
        frame = frame[["age", "sex", "ph.ecog", time, event]].dropna()
    frame = frame.sample(frac=1, random_state=1).astype(float)
    train, test = frame.iloc[: len(frame) * 2 // 3], frame.iloc[len(frame) * 2 // 3 :]
    test = test[test[time] < train[time].max()]  # scikit-survival reads no censoring curve past the training follow-up
    fit = lifelines.CoxPHFitter().fit(train, time, event)
    times = np.unique(np.quantile(train[time][train[event] == 1], np.linspace(0.05, 0.95, 40)))
    times = times[(times >= test[time].min()) & (times < test[time].max())]
    survival = fit.predict_survival_function(test, times=times).to_numpy().T
    outcomes = [ul.Surv(part[time].to_numpy(), part[event].to_numpy()) for part in (test, train)]
    return outcomes[0], outcomes[1], times, survival, fit.predict_log_partial_hazard(test).to_numpy()


def without_ties(case: Case) -> Case:
    """The same with test events moved off the training times of censoring (and the training times kept)."""
    test, train, times, survival, risk = case
    moved = test.copy()
    moved["time"] = test["time"] - 0.25 - 0.001 * np.arange(len(test)) / len(test)
    return moved, train, times, survival, risk


@pytest.mark.parametrize("name", ["gbsg2", "lung"])
def test_equal_with_ties_when_the_censoring_curve_is_read_alike(name: str) -> None:
    check_equal(cox(name), "marginal_right")


def test_equal_by_default_when_events_do_not_tie_with_censoring() -> None:
    check_equal(without_ties(cox("gbsg2")), "marginal")


def check_equal(case: Case, censoring: str) -> None:
    test, train, times, survival, risk = case
    horizon = float(times[len(times) // 2])
    ours = ul.survival_metrics(
        survival,
        times,
        test,
        train,
        horizon=horizon,
        risk=risk,
        censoring=censoring,
        min_censoring=0,
        n_bootstrap=0,
    )
    _, brier = metrics.brier_score(train, test, survival, times)
    np.testing.assert_allclose(ours.brier.value, brier, rtol=0, atol=1e-10)
    integrated = metrics.integrated_brier_score(train, test, survival, times)
    assert ours.integrated_brier.value == pytest.approx(integrated, abs=1e-10)
    harrell = metrics.concordance_index_censored(test["event"], test["time"], risk)[0]
    assert ours.harrell.value == pytest.approx(harrell, abs=1e-10)
    uno = metrics.concordance_index_ipcw(train, test, risk, tau=np.nextafter(ours.end, np.inf))[0]
    assert ours.uno.value == pytest.approx(uno, abs=1e-10)
    auc = metrics.cumulative_dynamic_auc(train, test, 1 - survival[:, len(times) // 2], [horizon])[0]
    assert ours.auc_at_horizon.value == pytest.approx(auc[0], abs=1e-10)


def test_tied_risks_are_equal_too() -> None:
    test, train, times, survival, risk = cox("gbsg2")
    coarse = np.round(risk)
    ours = ul.survival_metrics(survival, times, test, train, risk=coarse, censoring="marginal_right", n_bootstrap=0)
    assert len(np.unique(coarse)) < 12
    harrell = metrics.concordance_index_censored(test["event"], test["time"], coarse)[0]
    assert ours.harrell.value == pytest.approx(harrell, abs=1e-10)
    uno = metrics.concordance_index_ipcw(train, test, coarse, tau=np.nextafter(ours.end, np.inf))[0]
    assert ours.uno.value == pytest.approx(uno, abs=1e-10)
