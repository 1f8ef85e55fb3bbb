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
from sklearn.svm import OneClassSVM

import underlie as ul
from underlie.check.scores import n_parameters
from underlie.warnings import ImportanceSamplingWarning

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
    "mega_1_p",
    "mega_2",
    "mega_2_floor",
    "mega_2_p",
    "exact",
    "mmd2",
    "mmd_p",
    "trained_on",
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
            assert table.loc[name, "mega_1_floor"] == result.orders[1].floor


def test_images_are_flattened_for_models_of_columns() -> None:
    images = load_digits().images
    flat = images.reshape(len(images), -1)
    models = {"pPCA": PCA(10).fit(flat)}
    once, again = (ul.compare(models, X, n_bootstrap=19, random_state=0) for X in (images, flat))
    pd.testing.assert_frame_equal(once, again)


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
    with pytest.raises(TypeError, match="OneClassSVM has no moments"):
        ul.compare({"margin": OneClassSVM().fit(IRIS)}, IRIS)
    holes = IRIS.copy()
    holes[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"model 'pPCA' .* column 'x2', row 7; impute"):
        ul.compare({"pPCA": model}, holes)


def test_order_adds_columns_and_bootstrap_none_leaves_p_values_out() -> None:
    table = ul.compare(three(), IRIS, order=4, n_bootstrap=0)
    for k in range(1, 5):
        assert (table[f"mega_{k}"] >= 0).all()
        assert table[f"mega_{k}_p"].isna().all()
    assert table["mmd_p"].isna().all()
    assert table["mmd2"].notna().all()


def test_whatever_can_be_sampled_and_scored_is_compared() -> None:
    """A kernel density of bandwidth 0.1 reproduces the moments of iris; nothing of it is known but draws."""
    table = ul.compare({"kernel": KernelDensity(bandwidth=0.1).fit(IRIS)}, IRIS, random_state=0)
    assert not table.loc["kernel", "exact"]
    assert table.loc["kernel", "mega_2"] < 3 * table.loc["kernel", "mega_2_floor"]


def test_a_wrong_model_is_rejected_and_a_right_one_is_not() -> None:
    """The true model has p below 0.01 with probability 0.01 in each of three tests: false alarm 3 %; seeded."""
    rng = np.random.default_rng(0)
    truth = GaussianMixture(2, random_state=0).fit(IRIS)
    X = ul.check.moment_model(truth).sample(400, 5)
    table = ul.compare({"true": truth, "wrong": PCA(1).fit(IRIS[:50])}, X, n_bootstrap=99, random_state=rng)
    assert (table.loc["true", ["mega_1_p", "mega_2_p", "mmd_p"]] > 0.01).all()
    assert (table.loc["wrong", ["mega_2_p", "mmd_p"]] <= 0.05).all()


def test_a_model_trained_on_its_judge_is_marked() -> None:
    class Trained:
        penalised_moments_ = (1, 2)

        def __init__(self, model: PCA) -> None:
            self.model, self.n_features_in_ = model, 4
            self.score_samples = model.score_samples

        def exact_moments(self) -> tuple[np.ndarray, np.ndarray]:
            mean = self.model.mean_
            return mean, self.model.get_covariance() + np.outer(mean, mean)

    models = {"plain": PCA(2).fit(IRIS), "aimed": Trained(PCA(2).fit(IRIS))}
    with pytest.warns(ul.warnings.DataWarning, match="'aimed' was trained to make mega_1 and mega_2 small"):
        table = ul.compare(models, IRIS, n_bootstrap=0)
    assert table["trained_on"].to_dict() == {"plain": "", "aimed": "mega_1 mega_2"}
    assert np.isnan(table.loc["aimed", "mmd2"])


def test_a_likelihood_not_to_be_depended_on_is_said_with_the_name_of_its_model() -> None:
    class Unsure(PCA):
        def score_samples(self, X: object) -> np.ndarray:
            warnings.warn("rests on few draws", ImportanceSamplingWarning, stacklevel=2)
            return super().score_samples(X)

    models = {"sure": PCA(2).fit(IRIS), "not sure": Unsure(2).fit(IRIS)}
    with pytest.warns(ImportanceSamplingWarning, match="^not sure: rests on few draws$") as caught:
        ul.compare(models, IRIS, n_bootstrap=0)
    assert len(caught) == 1
