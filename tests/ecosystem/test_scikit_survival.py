"""scikit-survival's metrics on our outcomes, risks and curves (GPL: only here, skipped where it is not installed)."""

from __future__ import annotations

import numpy as np
import pytest

import underlie as ul

metrics = pytest.importorskip("sksurv.metrics", reason="scikit-survival is not installed (extra peers)")

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")


@pytest.fixture(scope="module")
def fitted():
    """A model, the outcome of its rows, and 100 other rows with theirs."""
    data = ul.datasets.load_gbsg2()[["pnodes", "progrec", "time", "event"]].head(400)
    X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    test = np.arange(len(y)) % 4 == 0
    model = ul.SurvivalVAE(n_replicates=1, max_epochs=2, random_state=0).fit(X[~test], y[~test])
    return model, y[~test], X[test], y[test]


def test_concordance_takes_our_outcome_and_risk(fitted):
    model, _, X, y = fitted
    theirs = metrics.concordance_index_censored(y["event"], y["time"], model.predict(X))[0]
    assert 0.55 < theirs < 0.9  # nodes and receptors tell something: higher risk is earlier


def test_ipcw_concordance_and_auc_take_structured_outcomes_as_they_are(fitted):
    model, y_train, X, y = fitted
    risk = model.predict(X)
    assert 0.55 < metrics.concordance_index_ipcw(y_train, y, risk, tau=1800)[0] < 0.9
    auc, mean = metrics.cumulative_dynamic_auc(y_train, y, risk, [365.0, 730.0, 1461.0])
    assert np.isfinite(auc).all()
    assert 0.55 < mean < 0.95


def test_integrated_brier_score_of_our_curves_is_ours(fitted):
    model, y_train, X, y = fitted
    times = np.linspace(200, 1800, 33)
    curves = model.predict_survival_function(X, times)
    theirs = metrics.integrated_brier_score(y_train, y, curves, times)
    ours = ul.survival_metrics(curves, times, y, y_train, censoring="marginal_right", n_bootstrap=0)
    assert ours.integrated_brier.value == pytest.approx(theirs, abs=1e-10)
    of_each, scores = metrics.brier_score(y_train, y, curves, times)
    np.testing.assert_array_equal(of_each, times)
    assert (scores < 0.3).all()


def test_their_own_outcome_is_taken_by_our_models(fitted):
    from sksurv.util import Surv

    from underlie.data import as_surv

    y = fitted[3]
    theirs = Surv.from_arrays(event=y["event"], time=y["time"], name_event="relapse", name_time="days")
    np.testing.assert_array_equal(as_surv(theirs), y)
