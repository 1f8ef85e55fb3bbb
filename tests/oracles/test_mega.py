"""The moment gap against what is known: simulation, the other form, the identities of EM, the truth, an alternative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, kstest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

import underlie as ul
from underlie.check.mega import MegaResult

Array = NDArray[np.float64]
IRIS, SPECIES = load_iris(return_X_y=True)
COVARIANCES = ("full", "tied", "diag", "spherical")
ORDERS = (1, 2, 3, 4)


def families() -> dict[str, Any]:
    """Every model whose moments are in closed form."""
    mixtures = {f"GaussianMixture {kind}": GaussianMixture(3, covariance_type=kind) for kind in COVARIANCES}
    linear = {"PCA": PCA(2), "FactorAnalysis": FactorAnalysis(1), "ProbabilisticPCA": ul.ProbabilisticPCA(2)}
    others = {
        "PPCAClassifier": ul.PPCAClassifier(1),
        "BayesianGaussianMixture": BayesianGaussianMixture(n_components=3),
    }
    return mixtures | linear | others


def fitted(name: str, X: Array = IRIS) -> Any:
    model = families()[name]
    if "random_state" in model.get_params():
        model.set_params(random_state=0)
    return model.fit(X, SPECIES[: len(X)]) if name == "PPCAClassifier" else model.fit(X)


class Sampled:
    """A model of which nothing but rows can be had, by its own sampler or by numpy's from its mean and covariance."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.n_features_in_ = 4

    def sample(self, n: int, random_state: int) -> Array:
        if isinstance(self.model, GaussianMixture | BayesianGaussianMixture):
            self.model.random_state = random_state
            return self.model.sample(n)[0]
        rng = np.random.default_rng(random_state)
        if isinstance(self.model, ul.PPCAClassifier):
            return np.asarray(self.model.sample(n, random_state=random_state), dtype=float)
        mean, second = self.model.exact_moments() if hasattr(self.model, "exact_moments") else (self.model.mean_, None)
        covariance = self.model.get_covariance() if second is None else second - np.outer(mean, mean)
        return rng.multivariate_normal(mean, covariance, n)


class Counts:
    """Poisson counts of a rate exp(z'a): skewed given z."""

    n_features_in_ = 4
    slopes = np.array([[0.5, -0.3, 0.2, 0.0], [0.0, 0.4, 0.3, -0.6]])

    def rate(self, z: Array) -> Array:
        return np.exp(0.5 + z @ self.slopes)

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        rate = self.rate(z)
        return (rate, rate, rate, rate + 3 * rate**2)[: max(order, 2)]

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))

    def sample(self, n: int, random_state: int) -> Array:
        rng = np.random.default_rng(random_state)
        return rng.poisson(self.rate(rng.standard_normal((n, 2)))).astype(float)


class Levels(Counts):
    """A normal column and three indicators of one category, both depending on z."""

    exclusive_groups_ = ((1, 2, 3),)

    def probabilities(self, z: Array) -> Array:
        score = np.exp(np.column_stack([np.zeros(len(z)), 1.5 * z[:, 0], -z[:, 1]]))
        return score / score.sum(1, keepdims=True)

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        p, one = self.probabilities(z), np.ones((len(z), 1))
        q = p * (1 - p)
        bernoulli = (p, q, q * (1 - 2 * p), q * (1 - 3 * q))
        normal = (2 + z[:, :1], 0.25 * one, 0 * one, 3 * 0.25**2 * one)
        return tuple(np.hstack(pair) for pair in zip(normal, bernoulli, strict=True))[: max(order, 2)]

    def sample(self, n: int, random_state: int) -> Array:
        rng = np.random.default_rng(random_state)
        z = rng.standard_normal((n, 2))
        level = (rng.random((n, 1)) > self.probabilities(z).cumsum(1)).sum(1)
        return np.column_stack([2 + z[:, 0] + 0.5 * rng.standard_normal(n), np.eye(3)[np.minimum(level, 2)]])


def two_groups(n: int = 300) -> GaussianMixture:
    rng = np.random.default_rng(0)
    return GaussianMixture(2, random_state=0).fit(
        np.concatenate([rng.normal(size=(n, 3)), 2 + 0.5 * rng.normal(size=(n // 2, 3))])
    )


def mixed_table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    return pd.DataFrame(
        {
            "age": 60 + 8 * z + 4 * rng.standard_normal(n),
            "site": np.array(["colon", "lung", "skin"])[np.digitize(z + rng.standard_normal(n), [-0.5, 0.7])],
            "nodes": rng.poisson(np.exp(0.3 + 0.5 * z)),
            "smoker": rng.random(n) < 1 / (1 + np.exp(-z)),
        }
    )


def values(result: MegaResult) -> Array:
    return np.array([one.value for one in result.orders.values()])


# --- exact moments against simulation -------------------------------------------------------------


@pytest.mark.parametrize("name", families())
def test_exact_moments_of_all_orders_agree_with_simulation_within_its_standard_error(name: str) -> None:
    """A gap far from 0 on 16 batches of 2,000 rows: t of 15 degrees within 5.5, false alarm 6e-5 each of 36."""
    model = fitted(name)
    exact = ul.mega(model, IRIS + 2.0, 4, n_bootstrap=0)
    drawn = ul.mega(Sampled(model), IRIS + 2.0, 4, n_draws=32_000, n_bootstrap=0, random_state=1)
    errors = np.array([one.mc_se for one in drawn.orders.values()])
    assert exact.exact
    assert [one.mc_se for one in exact.orders.values()] == [0.0] * 4
    assert (np.abs(values(drawn) - values(exact)) < 5.5 * errors).all()
    assert (errors < 0.05 * values(exact)).all()


@pytest.mark.parametrize("model", [Counts(), Levels()], ids=["Counts", "Levels"])
def test_moments_given_z_agree_with_simulation_within_their_standard_error(model: Counts) -> None:
    """As above, both by Monte Carlo, t within 5.5: false alarm 6e-5 each of 8; and they are the better estimate."""

    class Rows:
        n_features_in_, sample = 4, staticmethod(model.sample)

    X = model.sample(300, 3) * np.array([1.5, 1.0, 1.0, 1.0])
    given, rows = (
        ul.mega(one, X, 4, n_draws=32_000, n_bootstrap=0, random_state=seed) for seed, one in enumerate((model, Rows()))
    )
    errors = [np.array([one.mc_se for one in result.orders.values()]) for result in (given, rows)]
    assert (np.abs(values(given) - values(rows)) < 5.5 * np.hypot(*errors)).all()
    assert (errors[0] < 1.1 * errors[1]).all()


def test_a_vae_of_mixed_columns_agrees_with_its_own_samples_at_all_orders() -> None:
    """126 entries within 5 noise sd, false alarm 1e-4, and the norms below 2.5 floors."""
    model = ul.VAE(2, hidden=(16,), max_epochs=5, random_state=0, verbose=False).fit(mixed_table())
    result = ul.mega(
        model, model.sample(5000, random_state=1), 4, unbiased=False, standardize=True, n_bootstrap=0, random_state=2
    )
    for one in result.orders.values():
        assert (np.abs(one.entries) <= 5 * one.noise_entries + 1e-9).all()
        assert one.value < 2.5 * one.floor


# --- two forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [{}, {"centred": True}, {"standardize": True}, {"unbiased": False}, {"centred": True, "standardize": True}],
    ids=str,
)
@pytest.mark.parametrize("name", [*families(), "Counts", "Levels", "array"])
def test_inner_products_give_what_entries_give(name: str, how: dict[str, bool]) -> None:
    if name == "array":
        model: Any = np.random.default_rng(0).gamma(2.0, size=(77, 4))
    else:
        model = {"Counts": Counts(), "Levels": Levels()}.get(name) or fitted(name)
    X = IRIS[:90] if name != "Levels" else Levels().sample(90, 0) * np.array([1.3, 1, 1, 1])
    options = {"n_draws": 64, "n_bootstrap": 0, "random_state": 0} | how
    entries = ul.mega(model, X, 4, form="tensor", **options)
    if name == "Levels" and how.get("centred"):
        with pytest.raises(ValueError, match='form="tensor"'):
            ul.mega(model, X, 4, form="gram", **options)
        return
    products = ul.mega(model, X, 4, form="gram", **options)
    one_is_rounding = values(entries) < 1e-5 * values(entries).max()  # a gap of 0 has no relative error
    np.testing.assert_allclose(values(products)[~one_is_rounding], values(entries)[~one_is_rounding], rtol=1e-10)
    assert products.gap is None
    assert (products.m, products.exact) == (entries.m, entries.exact)
    for k in ORDERS:
        a, b = entries.orders[k], products.orders[k]
        if not one_is_rounding[k - 1] and np.isfinite(b.se) and not (how.get("centred") and b.mc_se):
            np.testing.assert_allclose([b.se, b.mc_se], [a.se, a.mc_se], rtol=1e-6)
        if not how.get("centred"):
            np.testing.assert_allclose(b.floor, a.floor, rtol=1e-6)


# --- identities of EM -----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_every_em_mixture_of_full_covariances_has_the_same_second_gap(k: int) -> None:
    """Whatever K: S / n less the covariance floor; 0 with divisor n and no floor."""
    usual = GaussianMixture(k, random_state=0, tol=1e-9, max_iter=3000).fit(IRIS)
    expected = np.linalg.norm(np.cov(IRIS.T) / len(IRIS) - usual.reg_covar * np.eye(4))
    assert ul.mega(usual, IRIS, n_bootstrap=0).second == pytest.approx(expected, abs=1e-5)
    if k < 8:  # a component may collapse without the floor
        free = usual.set_params(reg_covar=0.0).fit(IRIS)
        result = ul.mega(free, IRIS, unbiased=False, n_bootstrap=0)
        assert result.first < 1e-9
        assert result.second < 1e-4 * result.floor


def test_order_four_tells_mixtures_apart_that_order_two_cannot() -> None:
    few, many = (GaussianMixture(k, random_state=0, tol=1e-6, max_iter=2000).fit(IRIS) for k in (1, 3))
    a, b = (ul.mega(model, IRIS, 4, centred=True, n_bootstrap=0) for model in (few, many))
    assert a.second == pytest.approx(b.second, abs=1e-4)
    assert a.fourth > 2 * b.fourth


# --- p-values under the truth ---------------------------------------------------------------------


def smeared(p: list[float], n_bootstrap: int) -> Array:
    """p-values of a grid spread over its cells: exactly uniform if they are uniform on the grid."""
    return np.array(p) - np.random.default_rng(0).random(len(p)) / (n_bootstrap + 1)


@pytest.fixture(scope="module")
def right() -> list[MegaResult]:
    """200 data sets of 30 rows, each compared with the mixture that they are from."""
    model = two_groups()
    rows = np.random.default_rng(1).permutation(Sampled(model).sample(6000, 5)).reshape(200, 30, 3)
    return [ul.mega(model, X, 4, n_bootstrap=39, random_state=s) for s, X in enumerate(rows)]


def test_p_values_of_a_known_model_are_uniform(right: list[MegaResult]) -> None:
    """Kolmogorov-Smirnov, false alarm 1e-3 for each of 4 orders."""
    for k in ORDERS:
        assert kstest(smeared([one.orders[k].p_value for one in right], 39), "uniform").pvalue > 1e-3


def test_adjusted_p_values_keep_the_family_wise_error(right: list[MegaResult]) -> None:
    """The smallest of 6 and of 10 adjusted p-values is at most .05 in 5 % of 200 right models; false alarm 2e-3."""
    for k in (2, 3):
        smallest = [one.terms(k)["p_adjusted"].min() for one in right]
        assert binomtest(sum(p <= 0.05 for p in smallest), 200, 0.05).pvalue > 1e-3


def test_p_values_in_standardised_coordinates_are_uniform_for_few_rows() -> None:
    """As above, 150 data sets of 15 rows: each drawn data set is standardised by itself. False alarm 1e-3."""
    model = two_groups()
    rows = np.random.default_rng(2).permutation(Sampled(model).sample(2250, 6)).reshape(150, 15, 3)
    found = [ul.mega(model, X, 3, standardize=True, n_bootstrap=19, random_state=s) for s, X in enumerate(rows)]
    for k in (2, 3):
        assert kstest(smeared([one.orders[k].p_value for one in found], 19), "uniform").pvalue > 1e-3


def test_p_values_of_a_model_known_by_few_draws_are_uniform() -> None:
    """As above, false alarm 1e-3: the same 64 draws make the noise of all data sets, the observed one too."""
    model = Counts()
    found = [
        ul.mega(model, model.sample(60, 10**6 + s), n_draws=64, n_bootstrap=19, random_state=s).p_value
        for s in range(150)
    ]
    assert kstest(smeared(found, 19), "uniform").pvalue > 1e-3


def test_p_values_of_permutations_are_uniform() -> None:
    """As above, for two samples of 40 and 60 skewed rows, false alarm 1e-3."""
    rng = np.random.default_rng(2)
    found = [
        ul.mega(rng.exponential(size=(60, 3)), rng.exponential(size=(40, 3)), n_bootstrap=39, random_state=s).p_value
        for s in range(200)
    ]
    assert kstest(smeared(found, 39), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("family", [ul.ProbabilisticPCA, PCA])
def test_p_values_of_refitted_models_are_uniform_and_conservative_otherwise(family: Any) -> None:
    """100 fits to data of the truth: rejections at 10 % binomial, false alarm 1e-3; without refit there are none."""
    loadings = np.array([[2.0, 1.0, 0.5]])
    refitted, plain = [], []
    for s in range(100):
        rng = np.random.default_rng(s)
        X = rng.standard_normal((80, 1)) @ loadings + 0.5 * rng.standard_normal((80, 3))
        model = family(1).fit(X)
        refitted.append(ul.mega(model, X, n_bootstrap=9, refit=True, random_state=s).p_value)
        if s < 20:
            plain.append(ul.mega(model, X, n_bootstrap=19, random_state=s).p_value)
    assert binomtest(sum(p <= 0.1 for p in refitted), 100, 0.1).pvalue > 1e-3
    assert min(plain) > 0.1
    assert np.mean(plain) > 0.9


def test_p_values_by_the_spectrum_are_uniform() -> None:
    """Kolmogorov-Smirnov on 120 data sets of 100 rows in the Gram form, false alarm 1e-3; orders 1 and 2."""
    model = two_groups()
    rows = np.random.default_rng(3).permutation(Sampled(model).sample(12_000, 7)).reshape(120, 100, 3)
    found = [ul.mega(model, X, form="gram", random_state=s).orders for s, X in enumerate(rows)]
    for k in (1, 2):
        assert kstest([one[k].p_value for one in found], "uniform").pvalue > 1e-3


class Plane:
    """x = W z + noise in 4 columns, by its moments given z."""

    n_features_in_ = 4
    loadings = np.array([[1.0, 0.5, -0.5, 0.2], [0.0, 0.7, 0.7, -1.0]])

    def moments(self, z: Array) -> tuple[Array, Array]:
        return z @ self.loadings, np.full((len(z), 4), 0.25)

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))


def test_p_values_by_the_spectrum_allow_for_the_noise_of_few_draws() -> None:
    """120 data sets of 200 rows against 160 draws: rejections at 10 % at most 24, false alarm 1e-3 each of 2 orders."""
    model, found = Plane(), []
    for s in range(120):
        rng = np.random.default_rng(10**6 + s)
        X = rng.standard_normal((200, 2)) @ model.loadings + 0.5 * rng.standard_normal((200, 4))
        found.append(ul.mega(model, X, form="gram", n_draws=160, random_state=s).orders)
    for k in (1, 2):
        assert sum(one[k].p_value <= 0.1 for one in found) <= 24


# --- single entries -------------------------------------------------------------------------------


def test_terms_name_the_pair_that_misfits() -> None:
    X = pair_of_ten(500, 0)
    result = ul.mega(np.random.default_rng(1).standard_normal((5000, 10)), X, n_bootstrap=199, random_state=0)
    worst = result.terms().loc[0]
    assert {worst["column_1"], worst["column_2"]} == {"x0", "x1"}
    assert worst["p_adjusted"] <= 0.05
    assert worst["z"] == pytest.approx(worst["gap"] / worst["noise"])
    assert (result.terms().loc[1:, "p_adjusted"] > 0.05).all()
    assert set(result.coordinates()["column"][:2]) == {"x0", "x1"}


# --- power ----------------------------------------------------------------------------------------


class StandardNormal:
    """N(0, I) by its moments."""

    def __init__(self, width: int) -> None:
        self.width = width

    def exact_moments(self) -> tuple[Array, Array]:
        return np.zeros(self.width), np.eye(self.width)

    def sample(self, n: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((n, self.width))


def pair_of_ten(n: int, seed: int) -> Array:
    X = np.random.default_rng(seed).standard_normal((n, 10))
    X[:, 1] = 0.36 * X[:, 0] + np.sqrt(1 - 0.36**2) * X[:, 1]
    return X


@pytest.mark.parametrize(("how", "least"), [("model", 55), ("array", 38)])
def test_power_against_one_correlated_pair_of_ten(how: str, least: int) -> None:
    """n = m = 500, 60 data sets at the 5 % level."""
    model = StandardNormal(10)
    found = [
        ul.mega(
            model if how == "model" else model.sample(500, 10**6 + s),
            pair_of_ten(500, s),
            n_bootstrap=39,
            random_state=s,
        ).p_value
        for s in range(60)
    ]
    assert sum(p <= 0.05 for p in found) >= least


def test_order_three_sees_what_second_moments_cannot() -> None:
    """Standardised gamma columns of skewness 1/2 with the mean and covariance of N(0, I)."""
    X = (np.random.default_rng(0).gamma(16.0, size=(1500, 3)) - 16) / 4
    model = PCA(3).fit(np.random.default_rng(1).standard_normal((200_000, 3)))
    result = ul.mega(model, X, 3, random_state=0)
    assert result.orders[2].p_value > 0.05
    assert result.orders[3].p_value == 1 / 200
    assert [len(set(row)) for row in result.terms().loc[:2, ["column_1", "column_2", "column_3"]].to_numpy()] == [1] * 3


def test_order_four_sees_what_second_moments_cannot() -> None:
    """A normal pair, uncorrelated, one the other up to sign: second and third moments of independence."""
    a = np.random.default_rng(0).standard_normal(2000)
    X = np.column_stack([a, np.where(np.abs(a) > 1.54, a, -a)])
    model = PCA(2).fit(np.random.default_rng(1).standard_normal((200_000, 2)))
    result = ul.mega(model, X, 4, random_state=0)
    assert result.orders[2].p_value > 0.05
    assert result.orders[4].p_value == 1 / 200
    assert result.terms().loc[0, ["column_1", "column_2", "column_3", "column_4"]].tolist() == ["x0", "x0", "x1", "x1"]
