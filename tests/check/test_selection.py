"""Laws of the selection path: an upper envelope of lines, flat where exact gaps are equal, criteria as elsewhere."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.warnings import DataWarning

IRIS = load_iris().data
WINE = load_wine().data / load_wine().data.std(axis=0)


def linear_models() -> dict[int, PCA]:
    return {m: PCA(m).fit(WINE[::2]) for m in (1, 2, 4, 8, 10)}


def test_path_is_the_best_model_at_every_alpha() -> None:
    alphas = np.concatenate([np.linspace(0, 100, 400), [1e6]])
    found = ul.selection_path(linear_models(), WINE[1::2], alphas)
    values = found.table["log_likelihood"].to_numpy()[:, None] - np.outer(found.table["penalty"], alphas)
    assert list(found.chosen) == list(found.table.index[values.argmax(axis=0)])
    assert found.path["alpha_from"].is_monotonic_increasing
    assert (found.path["alpha_to"].to_numpy()[:-1] == found.path["alpha_from"].to_numpy()[1:]).all()
    assert found.table.loc[found.path.index, "penalty"].is_monotonic_decreasing
    assert len(found.path) > 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_penalty_is_the_sum_of_roots_of_gaps(order: int) -> None:
    models = linear_models()
    found = ul.selection_path(models, WINE[1::2], [0.0], order=order)
    for m, model in models.items():
        gaps = ul.mega(model, WINE[1::2], order, n_bootstrap=0).orders
        expected = sum(gaps[k].value ** (1 / k) for k in range(1, order + 1))
        assert found.table.loc[str(m), "penalty"] == pytest.approx(expected)


def test_exact_gaps_of_em_mixtures_choose_nothing() -> None:
    models = {k: GaussianMixture(k, reg_covar=0, n_init=3, random_state=0).fit(IRIS) for k in (1, 2, 3)}
    with pytest.warns(DataWarning, match="gaps cannot tell these models apart"):
        found = ul.selection_path(models, IRIS, [0, 1, 1e9])
    assert list(found.path.index) == ["3"]
    assert set(found.chosen) == {"3"}
    assert "penalty" in found.flat
    assert found.best("bic") == "2"
    assert found.table.loc["2", "bic"] == pytest.approx(models[2].bic(IRIS))
    assert found.table.loc["2", "aic"] == pytest.approx(models[2].aic(IRIS))


def test_result_of_fit_mixtures() -> None:
    fitted = ul.fit_mixtures(IRIS, [1, 2, 3], covariance_types=("full", "diag"), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = ul.selection_path(fitted, IRIS, [0.0])
    assert found.best("bic") == "full 2"
    for (k, kind), row in fitted.table.iterrows():
        for criterion in ("aic", "bic", "icl"):
            assert found.table.loc[f"{kind} {k}", criterion] == pytest.approx(row[criterion])
    assert "bic: full 2" in str(found)
    assert "<table" in found._repr_html_()


def test_flat_criteria_are_said_to_be() -> None:
    """Three normals near the truth: gaps are flat just where all are below their floors, and every warning is kept."""
    outcomes = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(300, 3))
        models = {s: GaussianMixture(1).fit(rng.normal(size=(30_000, 3))) for s in range(3)}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = ul.selection_path(models, X, [1.0])
        table = found.table
        below = all((table[f"mega_{k}"] <= table[f"mega_{k}_floor"]).all() for k in (1, 2))
        assert ("penalty" in found.flat) == below
        assert {str(one.message) for one in caught if one.category is DataWarning} == set(found.flat.values())
        outcomes.add(below)
        if all(table["delta_log_likelihood"].abs() <= 2 * table["delta_se"]):
            assert "log_likelihood" in found.flat
    assert outcomes == {True, False}


def test_paired_errors_and_no_icl_of_linear_models() -> None:
    models = linear_models()
    found = ul.selection_path(models, WINE[1::2], [0.0])
    scores = {name: model.score_samples(WINE[1::2]) for name, model in models.items()}
    best = found.best("log_likelihood")
    differences = scores[1] - scores[int(best)]
    assert found.table.loc["1", "delta_se"] == pytest.approx(differences.std(ddof=1) / np.sqrt(len(differences)))
    assert found.table["icl"].isna().all()
    with pytest.raises(ValueError, match="icl"):
        found.best("icl")


@pytest.mark.parametrize("alphas", [[-1.0], [np.nan], []])
def test_refused_alphas(alphas: list[float]) -> None:
    with pytest.raises(ValueError, match="alphas"):
        ul.selection_path(linear_models(), WINE, alphas)


def test_refused_models() -> None:
    with pytest.raises(ValueError, match="empty"):
        ul.selection_path({}, IRIS, [0.0])
    with pytest.raises(TypeError, match="mapping"):
        ul.selection_path(PCA(1).fit(IRIS), IRIS, [0.0])
    assert list(ul.selection_path([PCA(1).fit(IRIS)], IRIS, [0.0]).path.index) == ["0: PCA"]
