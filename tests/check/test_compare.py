"""Laws of the comparison: likelihoods by scipy, paired differences, criteria, and refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

import underlie as ul
from underlie.check.scores import n_parameters

IRIS = load_iris().data
COLUMNS = [
    "log_likelihood",
    "log_likelihood_se",
    "delta_log_likelihood",
    "delta_se",
    "n_parameters",
    "aic",
    "bic",
    "mega_1",
    "mega_1_floor",
    "mega_2",
    "mega_2_floor",
    "exact",
    "fit_time",
    "n",
]


def three() -> dict[str, object]:
    return {
        "pPCA": PCA(2).fit(IRIS),
        "factors": FactorAnalysis(1).fit(IRIS),
        "mixture": GaussianMixture(3, random_state=0).fit(IRIS),
    }


def test_columns_and_index() -> None:
    table = ul.compare(three(), IRIS)
    assert list(table.columns) == COLUMNS
    assert list(table.index) == ["pPCA", "factors", "mixture"]
    assert table.index.name == "model"
    assert table["exact"].all()
    assert (table["n"] == 150).all()
    assert table["fit_time"].isna().all()
    assert table["exact"].dtype.kind == "b"


def test_log_likelihoods_are_the_normal_densities() -> None:
    models = three()
    table = ul.compare(models, IRIS)
    for name in ("pPCA", "factors"):
        model = models[name]
        rows = multivariate_normal(model.mean_, model.get_covariance()).logpdf(IRIS)
        np.testing.assert_allclose(table.loc[name, "log_likelihood"], rows.mean(), rtol=1e-9)
        np.testing.assert_allclose(table.loc[name, "log_likelihood_se"], rows.std(ddof=1) / np.sqrt(150), rtol=1e-9)


def test_criteria_are_scikit_learn_s() -> None:
    models = three()
    table = ul.compare(models, IRIS)
    np.testing.assert_allclose(table.loc["mixture", "aic"], models["mixture"].aic(IRIS))
    np.testing.assert_allclose(table.loc["mixture", "bic"], models["mixture"].bic(IRIS))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixture_parameters_are_those_bic_implies(kind: str) -> None:
    model = GaussianMixture(3, covariance_type=kind, random_state=0).fit(IRIS)
    implied = (model.bic(IRIS) + 2 * model.score(IRIS) * 150) / np.log(150)
    assert n_parameters(model) == pytest.approx(implied)


def test_linear_models_have_the_parameters_of_their_covariance() -> None:
    """Rank D - 1 spans every covariance: D + D (D + 1) / 2; counts in between are ranks of the Jacobian."""
    assert n_parameters(PCA(3).fit(IRIS)) == n_parameters(PCA(4).fit(IRIS)) == 4 + 10
    assert n_parameters(PCA(1).fit(IRIS)) == 4 + 4 + 1
    rng = np.random.default_rng(0)
    loadings, step = rng.normal(size=(6, 2)), 1e-6

    def covariance(theta: np.ndarray) -> np.ndarray:
        W = theta[:12].reshape(6, 2)
        return (W @ W.T + np.diag(theta[12:]))[np.triu_indices(6)]

    theta = np.concatenate([loadings.ravel(), np.ones(6)])
    jacobian = [(covariance(theta + step * e) - covariance(theta - step * e)) / (2 * step) for e in np.eye(18)]
    X = rng.normal(size=(50, 6))
    assert n_parameters(FactorAnalysis(2).fit(X)) == 6 + np.linalg.matrix_rank(jacobian, tol=1e-6)


def test_differences_are_paired_by_row() -> None:
    models = three()
    table = ul.compare(models, IRIS)
    difference = models["pPCA"].score_samples(IRIS) - models["mixture"].score_samples(IRIS)
    assert table.loc["mixture", "delta_log_likelihood"] == 0.0
    assert table.loc["mixture", "delta_se"] == 0.0
    np.testing.assert_allclose(table.loc["pPCA", "delta_log_likelihood"], difference.mean())
    np.testing.assert_allclose(table.loc["pPCA", "delta_se"], difference.std(ddof=1) / np.sqrt(150))
    close = {"a": PCA(2).fit(IRIS), "b": PCA(2).fit(IRIS[1:])}
    near = ul.compare(close, IRIS)
    assert near["delta_se"].max() < 0.2 * near["log_likelihood_se"].min()


def test_log_likelihood_on_another_scale_moves_by_the_log_determinant() -> None:
    unit = np.array([10.0, 0.1, 2.0, 1.0])
    a = ul.compare({"m": GaussianMixture(1).fit(IRIS)}, IRIS)
    b = ul.compare({"m": GaussianMixture(1, reg_covar=0).fit(IRIS * unit)}, IRIS * unit)
    shift = a.loc["m", "log_likelihood"] - b.loc["m", "log_likelihood"]
    assert shift == pytest.approx(np.log(unit).sum(), abs=1e-3)


def test_moment_columns_are_mega_s() -> None:
    models = three()
    for standardize in (False, True):
        table = ul.compare(models, IRIS[:80], standardize=standardize)
        for name, model in models.items():
            result = ul.mega(model, IRIS[:80], standardize=standardize)
            assert table.loc[name, "mega_2"] == result.second
            assert table.loc[name, "mega_1_floor"] == result.floor_first


def test_images_are_flattened_for_models_of_columns() -> None:
    images = load_digits().images
    flat = images.reshape(len(images), -1)
    models = {"pPCA": PCA(10).fit(flat)}
    pd.testing.assert_frame_equal(ul.compare(models, images), ul.compare(models, flat))


def test_table_with_names_raises_no_warning() -> None:
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ul.compare({"m": PCA(2).fit(frame)}, frame[["b", "a", "d", "c"]])


def test_bad_input_is_named() -> None:
    model = PCA(2).fit(IRIS)
    with pytest.raises(ValueError, match="models is empty"):
        ul.compare({}, IRIS)
    with pytest.raises(TypeError, match="must map names"):
        ul.compare([model], IRIS)
    with pytest.raises(TypeError, match=r"model 'words' \(str\) has no score_samples"):
        ul.compare({"words": "text"}, IRIS)
    with pytest.raises(TypeError, match="KernelDensity has no moments"):
        ul.compare({"kernel": KernelDensity().fit(IRIS)}, IRIS)
    holes = IRIS.copy()
    holes[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"model 'pPCA' .* column 'x2', row 7; impute"):
        ul.compare({"pPCA": model}, holes)
