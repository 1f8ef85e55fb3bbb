"""The checks on this package's own estimators, through their public faces."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

import underlie as ul
from underlie.check import moment_model
from underlie.warnings import ConvergenceWarning, DataWarning

IRIS = load_iris().data


def patients(n: int = 300) -> pd.DataFrame:
    """A table of mixed columns that depend on each other, with a category of three levels."""
    rng = np.random.default_rng(0)
    severity = rng.normal(size=n)
    stage = np.digitize(severity + 0.5 * rng.normal(size=n), [-0.5, 0.7])
    return pd.DataFrame(
        {
            "age": 60 + 8 * severity + 5 * rng.normal(size=n),
            "site": np.array(["colon", "lung", "skin"])[stage],
            "nodes": rng.poisson(np.exp(0.5 + 0.5 * severity)),
            "smoker": np.where(rng.random(n) < 1 / (1 + np.exp(-severity)), "yes", "no"),
        }
    )


def vae(X: object, **settings: object) -> ul.VAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ul.VAE(n_latent=2, hidden=(16,), random_state=0, verbose=False, **settings).fit(X)


def through_draws(model: object) -> SimpleNamespace:
    """The same model without its closed form."""
    return SimpleNamespace(encoder_=model.encoder_, moments=model.moments, sample_latent=model.sample_latent)


@pytest.mark.parametrize("standardize", [False, True])
def test_ppca_exact_agrees_with_its_draws(standardize: bool) -> None:
    """14 entries within 4.5 sd of the Monte-Carlo noise: false alarm 1e-4."""
    model = ul.ProbabilisticPCA(2).fit(IRIS)
    exact = ul.mega(model, IRIS + 1.0, standardize=standardize, n_bootstrap=0)
    drawn = ul.mega(through_draws(model), IRIS + 1.0, standardize=standardize, n_bootstrap=0, random_state=0)
    noise = np.sqrt(np.maximum(drawn.orders[2].noise ** 2 - exact.orders[2].noise ** 2, 0))
    assert exact.exact
    assert not drawn.exact
    assert (np.abs(drawn.gap - exact.gap) <= 4.5 * noise + 1e-9).all()
    assert abs(drawn.second - exact.second) < 4 * drawn.orders[2].mc_se


def test_ppca_scores_what_scikit_learn_s_pca_scores() -> None:
    ours, theirs = ul.mega(ul.ProbabilisticPCA(2).fit(IRIS), IRIS), ul.mega(PCA(2).fit(IRIS), IRIS)
    divisor = PCA(2).fit(IRIS).get_covariance() / len(IRIS)  # ours is n, scikit-learn's n - 1
    np.testing.assert_allclose(ours.gap, theirs.gap + divisor, atol=1e-8)
    table = ul.compare({"ours": ul.ProbabilisticPCA(2).fit(IRIS), "theirs": PCA(2).fit(IRIS)}, IRIS)
    assert table["n_parameters"].nunique() == 1
    assert table.loc["ours", "log_likelihood"] >= table.loc["theirs", "log_likelihood"]
    assert table["delta_log_likelihood"].min() > -1e-3
    assert table.loc["ours", "fit_time"] > 0


def test_mixed_table_names_its_indicators_and_their_group() -> None:
    table = patients()
    view = moment_model(vae(table, max_epochs=1))
    assert view.names == ("age", "site=colon", "site=lung", "site=skin", "nodes", "smoker")
    assert [group.tolist() for group in view.exclusive_groups] == [[1, 2, 3]]


def test_a_vae_scores_its_floor_on_its_own_samples() -> None:
    """Own samples are data from the right model, whatever it learned: 21 + 6 entries within 4.5 sd, false alarm 2e-4.

    The data estimator's bias of S / n is added to the bound.
    """
    model = vae(patients(), max_epochs=5)
    rows = model.sample(4000, random_state=1)
    result = ul.mega(model, rows, standardize=True, n_bootstrap=0, random_state=2)
    assert (np.abs(result.gap_first) < 4.5 * result.orders[1].noise).all()
    assert (np.abs(result.gap) < 4.5 * result.orders[2].noise + 2 / len(rows)).all()
    assert result.second < 2.5 * result.floor
    wrong = ul.mega(model, patients(), standardize=True, n_bootstrap=0, random_state=2)
    assert wrong.n == 300


def test_missing_cells_are_available_cases() -> None:
    whole, table = patients(), patients()
    table.loc[:50, "site"] = None
    table.loc[100:150, "age"] = np.nan
    model = vae(whole, max_epochs=1)
    full, holed = (ul.mega(model, X, random_state=0) for X in (whole, table))
    assert np.isfinite(holed.gap).all()
    assert holed.gap_first[0] - full.gap_first[0] == pytest.approx(table["age"].mean() - whole["age"].mean())
    assert holed.gap[1, 2] == pytest.approx(full.gap[1, 2], abs=2e-3)  # exclusive: 0 up to S / n


def test_compare_warns_where_densities_meet_probabilities() -> None:
    table = patients()
    models = {"pPCA": ul.ProbabilisticPCA(2).fit(table), "VAE": vae(table, max_epochs=2)}
    with pytest.warns(DataWarning, match="'VAE' gives probabilities .* 'nodes', for which 'pPCA' has a density"):
        result = ul.compare(models, table, random_state=0)
    assert result["exact"].tolist() == [True, False]
    again = {"one": models["VAE"], "two": vae(table, max_epochs=3)}
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        ul.compare(again, table, random_state=0)
        ul.compare({"pPCA": models["pPCA"]}, table)
