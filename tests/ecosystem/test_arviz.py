"""Draws for ArviZ: named dimensions and groups, of the right law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie import optional

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

N_DRAWS = 1000


@pytest.fixture(scope="module")
def patients():
    X = ul.datasets.load_gbsg2()[["age", "tsize", "pnodes", "tgrade"]].head(40)
    holes = np.random.default_rng(1).random(X.shape) < 0.15
    return X.mask(holes).set_axis([f"p{i}" for i in range(40)])


@pytest.fixture(scope="module", params=["ppca", "vae"])
def model(request, patients):
    if request.param == "ppca":
        return ul.ProbabilisticPCA(2, standardize=True).fit(patients)
    return ul.VAE(2, hidden=(16,), max_epochs=3, random_state=0).fit(patients)


@pytest.fixture(scope="module")
def found(model, patients):
    pytest.importorskip("arviz_base")
    return ul.to_inference_data(model, patients, n_draws=N_DRAWS, n_importance=2048)


def test_groups_dimensions_and_coordinates(found, patients):
    assert set(found.children) == {"posterior", "posterior_predictive", "observed_data"}
    assert found["posterior"]["z"].dims == ("chain", "draw", "row", "latent")
    assert found["posterior"]["z"].shape == (1, N_DRAWS, 40, 2)
    assert found["observed_data"]["row"].values.tolist() == patients.index.tolist()
    assert set(found["observed_data"].data_vars) == set(patients.columns)
    assert set(found["posterior_predictive"].data_vars) == set(patients.columns[patients.isna().any()])
    assert found.attrs["inference_library"] == "underlie"
    assert found["observed_data"]["tgrade"].attrs["levels"] == ["I", "II", "III"]


def test_draws_have_the_moments_of_the_posterior(found, model, patients):
    """1,000 draws of 80 means: the largest of 80 standard normal errors is above 5 once in 20,000 times."""
    z = found["posterior"]["z"].values[0]
    options = {} if isinstance(model, ul.ProbabilisticPCA) else {"n_importance": 2048}
    posterior = model.posterior(patients, **options)
    error = np.sqrt(posterior.variance / N_DRAWS)
    # the draws of a VAE are drawn again from 2,048, which adds to their error
    assert (np.abs(z.mean(0) - posterior.mean) < 7 * error).all()
    np.testing.assert_allclose(z.var(0).mean(0), posterior.variance.mean(0), rtol=0.1)


def test_observed_cells_are_kept_and_missing_ones_vary(found, patients):
    for name, drawn in found["posterior_predictive"].data_vars.items():
        observed = found["observed_data"][name].values
        missing = patients[name].isna().to_numpy()
        np.testing.assert_array_equal(np.isnan(observed), missing)
        np.testing.assert_array_equal(drawn.values[0, :, ~missing], np.repeat(observed[~missing][:, None], N_DRAWS, 1))
        assert (drawn.values[0][:, missing].std(axis=0) > 0).mean() > 0.9
        assert np.isfinite(drawn.values).all()


def test_imputations_have_the_mean_that_impute_gives(found, model, patients):
    missing = patients["tsize"].isna().to_numpy()
    drawn = found["posterior_predictive"]["tsize"].values[0][:, missing].mean(axis=0)
    best = model.impute(patients)["tsize"].to_numpy(dtype=float)[missing]
    spread = found["posterior_predictive"]["tsize"].values[0][:, missing].std(axis=0)
    assert np.mean(np.abs(drawn - best) / spread) < 0.15


def test_discrete_columns_hold_positions_of_levels(found, patients):
    levels = found["posterior_predictive"]["tgrade"].attrs["levels"]
    drawn = found["posterior_predictive"]["tgrade"].values
    assert set(np.unique(drawn)) <= set(range(len(levels)))
    observed = found["observed_data"]["tgrade"].values
    seen = ~np.isnan(observed)
    assert [levels[int(k)] for k in observed[seen]] == patients["tgrade"].dropna().astype(str).tolist()


def test_a_seed_gives_the_same_draws(model, patients):
    pytest.importorskip("arviz_base")
    one, two = (ul.to_inference_data(model, patients.head(5), 10, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one["posterior"]["z"].values, two["posterior"]["z"].values)


def test_complete_arrays_have_no_imputations():
    pytest.importorskip("arviz_base")
    X = np.random.default_rng(0).normal(size=(30, 3))
    found = ul.to_inference_data(ul.ProbabilisticPCA(1).fit(X), X, 5)
    assert set(found.children) == {"posterior", "observed_data"}
    assert found["posterior"]["row"].values.tolist() == list(range(30))


def test_what_cannot_be_asked_is_refused(patients, monkeypatch):
    pytest.importorskip("arviz_base")
    with pytest.raises(TypeError, match="not of a SurvivalVAE"):
        ul.to_inference_data(ul.SurvivalVAE(), patients)
    images = np.random.default_rng(0).random((20, 4, 4))
    model = ul.VAE(1, hidden=(8,), max_epochs=1, random_state=0).fit(images)
    with pytest.raises(ValueError, match="fitted to images"):
        ul.to_inference_data(model, images)
    monkeypatch.setattr(optional, "find_spec", lambda module: None)
    with pytest.raises(ImportError, match=r'pip install "underlie\[arviz\]"'):
        ul.to_inference_data(model, pd.DataFrame())
