"""Models that answer the moment checks in their own way."""

from __future__ import annotations

import numpy as np
import pytest

import underlie as ul


def test_covariates_of_a_survival_model_are_compared_without_treatments() -> None:
    """Its own new patients have its moments: p above its least, 0.01, in each of two orders: false alarm 2 %."""
    data = ul.datasets.load_gbsg2()[["age", "menostat", "horTh", "time", "event"]]
    X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    model = ul.SurvivalVAE(
        treatments="horTh", n_latent=1, n_replicates=2, max_epochs=5, random_state=0, verbose=False
    ).fit(X, y)
    patients, _ = model.sample(400, random_state=1)
    result = ul.mega(model, patients, standardize=True, n_draws=4000, n_bootstrap=99, random_state=0)
    assert result.feature_names == ("age", "menostat")
    assert not result.exact
    assert all(result.orders[k].p_value > 0.01 for k in (1, 2))
    same = ul.mega(model, patients[["age", "menostat"]], standardize=True, n_draws=4000, n_bootstrap=0, random_state=0)
    assert same.second == result.second
    with pytest.raises(TypeError, match="refit=True is not possible for SurvivalVAE"):
        ul.mega(model, patients, refit=True)


def test_classifiers_are_mixtures_and_cannot_be_refitted_without_labels() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = rng.normal(size=(300, 3)) + 3 * y[:, None]
    model = ul.PPCAClassifier(1).fit(X, y)
    assert ul.mega(model, X, order=4, n_bootstrap=0).exact
    with pytest.raises(TypeError, match="refit=True is not possible for PPCAClassifier"):
        ul.mega(model, X, refit=True)
