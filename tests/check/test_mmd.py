"""Laws of the maximum mean discrepancy: the direct formula, the test's level, its power, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.check import mmd as module
from underlie.check import moment_model
from underlie.check.mmd import model_mmd

IRIS = load_iris().data


def directly(x: np.ndarray, y: np.ndarray, h: float) -> tuple[float, float]:
    """Gretton et al. (2012), equations 3 and 5, written out."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-(cdist(a, b) ** 2) / (2 * h**2))

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    n, m = xy.shape
    biased = xx.mean() + yy.mean() - 2 * xy.mean()
    pairs_x, pairs_y = ~np.eye(n, dtype=bool), ~np.eye(m, dtype=bool)
    return biased, xx[pairs_x].mean() + yy[pairs_y].mean() - 2 * xy.mean()


@pytest.mark.parametrize("block", [2**21, 100])
def test_the_direct_formula_also_in_blocks_and_far_from_the_origin(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(37, 3)), rng.normal(0.4, 1.3, size=(21, 3))
    expected = directly(x, y, 1.7)
    for shift in (0.0, 1e6):
        result = ul.mmd(x + shift, y + shift, bandwidth=1.7, n_permutations=0)
        np.testing.assert_allclose([result.biased, result.unbiased], expected, rtol=1e-6 if shift else 1e-12)
        assert result.p_value is None


def test_median_heuristic() -> None:
    x, y = IRIS[:50], IRIS[50:]
    distances = cdist(IRIS, IRIS)[np.triu_indices(150, 1)]
    assert ul.mmd(x, y, n_permutations=0).bandwidth == pytest.approx(np.median(distances), rel=1e-12)


def test_floor_is_the_mean_over_permutations() -> None:
    """Mean of 2,000 permutations within 4 standard errors: fails by chance once in 16,000 seeds."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 2)), rng.normal(1.0, 1.0, size=(8, 2))
    floor = ul.mmd(x, y, bandwidth=1.0, n_permutations=0).floor
    pooled = np.concatenate([x, y])
    values = []
    for _ in range(2_000):
        order = rng.permutation(20)
        values.append(directly(pooled[order[:12]], pooled[order[12:]], 1.0)[0])
    assert abs(np.mean(values) - floor) < 4 * np.std(values) / np.sqrt(2_000)


def test_standard_error_is_the_spread_over_samples() -> None:
    """Spread of 300 replicates within 25 % of the mean standard error; its own error is 4 %."""
    rng = np.random.default_rng(2)
    results = [
        ul.mmd(rng.normal(size=(60, 2)), rng.normal(0.8, 1.0, size=(40, 2)), bandwidth=1.5, n_permutations=0)
        for _ in range(300)
    ]
    spread = np.std([result.unbiased for result in results], ddof=1)
    assert np.mean([result.se for result in results]) == pytest.approx(spread, rel=0.25)


def test_level_and_unbiasedness() -> None:
    """400 pairs of equal samples: rejections at 5 % outside 2 %..8.75 %, or a mean 4 s.e. from 0, once in 500 seeds."""
    rng = np.random.default_rng(3)
    results = [
        ul.mmd(rng.normal(size=(20, 2)), rng.normal(size=(30, 2)), n_permutations=39, random_state=rng)
        for _ in range(400)
    ]
    p = np.array([result.p_value for result in results])
    assert 8 <= (p <= 0.05).sum() <= 35
    unbiased = np.array([result.unbiased for result in results])
    assert abs(unbiased.mean()) < 4 * unbiased.std() / 20


def test_a_difference_is_found_and_equal_samples_are_not_different() -> None:
    rng = np.random.default_rng(4)
    assert ul.mmd(rng.normal(size=(100, 2)), rng.normal(1.0, 1.0, size=(100, 2)), random_state=0).p_value == 1 / 200
    same = ul.mmd(IRIS, IRIS, random_state=0)
    assert same.biased == pytest.approx(0.0, abs=1e-12)
    assert same.p_value > 0.9


def test_seed_and_column_order() -> None:
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    results = [ul.mmd(frame[:70], frame.iloc[70:][list(order)], random_state=5) for order in ("abcd", "dcba")]
    assert results[0].unbiased == pytest.approx(results[1].unbiased, rel=1e-12)
    assert results[0].p_value == results[1].p_value
    assert "p-value" in str(results[0])
    assert "<table>" in results[0]._repr_html_()


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_draws_of_mixtures_have_their_moments(kind: str) -> None:
    """Means and covariances of 40,000 draws within 5 standard errors: fails by chance once in 70,000 seeds."""
    model = GaussianMixture(3, covariance_type=kind, random_state=0).fit(IRIS)
    check_moments(model, 5.0)


@pytest.mark.parametrize("model", [PCA(2), FactorAnalysis(1)], ids=["pca", "factors"])
def test_draws_of_linear_models_have_their_moments(model: PCA | FactorAnalysis) -> None:
    """As for mixtures."""
    model.fit(IRIS)
    check_moments(model, 5.0)


def check_moments(model: PCA | FactorAnalysis | GaussianMixture, limit: float) -> None:
    draws = moment_model(model).sample(40_000, 1)
    if isinstance(model, GaussianMixture):
        mean = model.weights_ @ model.means_
        within = np.tensordot(model.weights_, dense(model), axes=1)
        covariance = within + (model.means_ - mean).T @ ((model.means_ - mean) * model.weights_[:, None])
    else:
        mean, covariance = model.mean_, model.get_covariance()
    centred = draws - mean
    products = centred[:, :, None] * centred[:, None, :]
    for found, expected in ((centred, 0.0), (products, covariance)):
        assert (np.abs(found.mean(axis=0) - expected) < limit * found.std(axis=0) / 200).all()


def dense(model: GaussianMixture) -> np.ndarray:
    """Covariances of the components, (K, P, P)."""
    eye, one = np.eye(4), np.ones((3, 1, 1))
    return {
        "full": lambda c: c,
        "tied": lambda c: c * one,
        "diag": lambda c: c[:, :, None] * eye,
        "spherical": lambda c: c[:, None, None] * eye,
    }[model.covariance_type](model.covariances_)


def test_model_against_data() -> None:
    """The true model scores near the floor; one component for two far clusters does not."""
    rng = np.random.default_rng(6)
    truth = GaussianMixture(2, random_state=0).fit(
        np.concatenate([rng.normal(-3, 1, (200, 2)), rng.normal(3, 1, (200, 2))])
    )
    X = moment_model(truth).sample(300, 9)
    wrong = GaussianMixture(1).fit(X)
    good = model_mmd(truth, X, n_permutations=99, random_state=0)
    bad = model_mmd(wrong, X, n_permutations=99, random_state=0)
    assert good.bandwidth == bad.bandwidth
    assert bad.p_value == 0.01
    assert good.p_value > 0.01
    assert good.biased < bad.biased / 3
    ours = model_mmd(
        ul.ProbabilisticPCA(1).fit(pd.DataFrame(X, columns=["a", "b"])), pd.DataFrame(X, columns=["a", "b"])
    )
    assert ours.m == 300


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x: x[:, :3], ValueError, "Y has 3"),
        (lambda x: x[:1], ValueError, "Y has 1 row;"),
        (lambda x: np.where(np.arange(4) == 2, np.nan, x), ValueError, "Y: .*column 2, row 0 is missing.*impute"),
        (lambda x: np.where(np.arange(4) == 1, np.inf, x), ValueError, "Y: infinite value in column 1, row 0"),
        (lambda x: [["a"] * 4], TypeError, "Y: expected .* numbers"),
        (lambda x: pd.DataFrame({"a": ["u"], "b": 1, "c": 1, "d": 1}), TypeError, "Y: column 'a' is .* not numbers"),
    ],
)
def test_refusals(change, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ul.mmd(IRIS, change(IRIS))


def test_refused_settings() -> None:
    with pytest.raises(ValueError, match="bandwidth=-1"):
        ul.mmd(IRIS, IRIS, bandwidth=-1)
    with pytest.raises(ValueError, match="bandwidth='wide'"):
        ul.mmd(IRIS, IRIS, bandwidth="wide")
    with pytest.raises(ValueError, match="median distance between rows is 0"):
        ul.mmd(np.zeros((5, 1)), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="n_permutations=-1"):
        ul.mmd(IRIS, IRIS, n_permutations=-1)
    with pytest.raises(ValueError, match="column 'e'"):
        ul.mmd(pd.DataFrame(IRIS, columns=list("abcd")), pd.DataFrame(IRIS, columns=list("abce")))
    with pytest.raises(NotFittedError):
        model_mmd(GaussianMixture(2), IRIS)
    with pytest.raises(ValueError, match="n_draws=1"):
        model_mmd(GaussianMixture(2).fit(IRIS), IRIS, n_draws=1)
