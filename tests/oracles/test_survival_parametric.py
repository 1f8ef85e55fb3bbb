"""With constant networks and no latent effect the model is the parametric distribution that lifelines fits."""

from __future__ import annotations

from typing import Any

import lifelines
import numpy as np
import pandas as pd
import pytest
from lifelines import datasets

import underlie as ul

FITTERS = {
    "weibull": lifelines.WeibullFitter,
    "exponential": lifelines.ExponentialFitter,
    "lognormal": lifelines.LogNormalFitter,
    "loglogistic": lifelines.LogLogisticFitter,
}

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning", "ignore::RuntimeWarning")


def constant_model(distribution: str, **options: Any) -> ul.SurvivalVAE:
    """One replicate, so small a step that the networks stay at the constants that they begin with, no frailty."""
    return ul.SurvivalVAE(
        distribution=distribution,
        baseline="parametric",
        heterogeneity=0.0,
        n_latent=1,
        hidden=(2,),
        n_replicates=1,
        learning_rate=1e-12,
        max_epochs=1,
        valid_fraction=0.0,
        random_state=0,
        verbose=False,
        **options,
    )


def tables() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    waltons, rossi = datasets.load_waltons(), datasets.load_rossi()
    gbsg2 = ul.datasets.load_gbsg2()
    return {
        "waltons": (waltons["T"].to_numpy(float), waltons["E"].to_numpy(bool)),
        "rossi": (rossi["week"].to_numpy(float), rossi["arrest"].to_numpy(bool)),
        "gbsg2": (gbsg2["time"].to_numpy(float), gbsg2["event"].to_numpy(bool)),
    }


@pytest.mark.parametrize("name", ["waltons", "rossi", "gbsg2"])
@pytest.mark.parametrize("distribution", FITTERS)
def test_no_covariate_tells_anything(distribution: str, name: str) -> None:
    """Survival to 3 digits, the log-likelihood in the user's units to 1e-5 of itself, the median to 3 digits."""
    time, event = tables()[name]
    X, y = pd.DataFrame({"constant": np.ones(len(time))}), ul.Surv(time, event)
    model = constant_model(distribution).fit(X, y)
    fitter = FITTERS[distribution]().fit(time, event)
    at = np.quantile(time, [0.05, 0.25, 0.5, 0.75, 0.95])
    found = model.predict_survival_function(X[:1], at)[0]
    np.testing.assert_allclose(found, fitter.survival_function_at_times(at), atol=5e-4)
    assert model.score(X, y) * len(time) == pytest.approx(fitter.log_likelihood_, rel=1e-5)
    hazard = model.predict_cumulative_hazard_function(X[:1], at)[0]
    np.testing.assert_allclose(hazard, fitter.cumulative_hazard_at_times(at), rtol=2e-3)
    if fitter.median_survival_time_ < time.max():
        assert model.predict_median(X[:1])[0] == pytest.approx(fitter.median_survival_time_, rel=1e-3)


def test_left_truncation_and_interval_censoring() -> None:
    """As lifelines fits them."""
    rng = np.random.default_rng(0)
    t, entry = 10 * rng.weibull(1.5, 300), rng.uniform(0, 6, 300)
    c = rng.uniform(4, 20, 300)
    keep = np.minimum(t, c) > entry
    time, event, entry = np.minimum(t, c)[keep], (t <= c)[keep], entry[keep]
    X = pd.DataFrame({"constant": np.ones(len(time))})
    model = constant_model("weibull").fit(X, ul.Surv(time, event, entry=entry))
    fitter = lifelines.WeibullFitter().fit(time, event, entry=entry)
    at = np.array([2.0, 5.0, 10.0, 15.0])
    np.testing.assert_allclose(
        model.predict_survival_function(X[:1], at)[0], fitter.survival_function_at_times(at), atol=1e-3
    )
    low, high = np.floor(t / 3) * 3, np.floor(t / 3) * 3 + 3
    X = pd.DataFrame({"constant": np.ones(300)})
    model = constant_model("weibull").fit(X, ul.Surv(low, upper=high))
    fitter = lifelines.WeibullFitter().fit_interval_censoring(low, high)
    np.testing.assert_allclose(
        model.predict_survival_function(X[:1], at)[0], fitter.survival_function_at_times(at), atol=1e-3
    )


def test_a_covariate_of_noise_is_shrunk_away() -> None:
    """Nothing but the evidence removes it: within .02 of lifelines' curve in every row."""
    rng = np.random.default_rng(1)
    time, event = tables()["waltons"]
    X, y = pd.DataFrame({"noise": rng.normal(size=len(time))}), ul.Surv(time, event)
    model = constant_model("weibull").fit(X, y)
    assert sum(model.effective_parameters_.values()) < 1.0
    fitter = lifelines.WeibullFitter().fit(time, event)
    at = np.quantile(time, [0.1, 0.5, 0.9])
    assert (
        np.abs(model.predict_survival_function(X, at) - fitter.survival_function_at_times(at).to_numpy()).max() < 0.02
    )
