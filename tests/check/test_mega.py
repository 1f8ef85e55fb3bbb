"""Laws of the moment gap: exact = Monte Carlo, the identities of maximum likelihood, norms, floors."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.check.adapters import moment_model
from underlie.check.gaps.monomials import monomials
from underlie.check.norms import norm_gradient, schatten_norm

Array = NDArray[np.float64]
IRIS = load_iris().data
COVARIANCES = ("full", "tied", "diag", "spherical")


class Curve:
    """x | z ~ N(mu(z), sd(z)^2) on P columns with a curved mean and variances that depend on z; z ~ N(0, I_2)."""

    def __init__(self, width: int = 4, shift: float = 0.0) -> None:
        rng = np.random.default_rng(width)
        self.slope = rng.normal(size=(2, width))
        self.bend = 0.4 * rng.normal(size=(2, width))
        self.shift = shift
        self.n_features_in_ = width

    def moments(self, z: Array) -> tuple[Array, Array]:
        return self.shift + z @ self.slope + z**2 @ self.bend, 0.3 + 0.2 * (z @ self.slope) ** 2

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))

    def sample(self, n: int, random_state: int) -> Array:
        rng = np.random.default_rng(random_state)
        mean, variance = self.moments(rng.standard_normal((n, 2)))
        return mean + np.sqrt(variance) * rng.standard_normal(mean.shape)


class Normal:
    """N(shift, scale^2 I), seen only through draws from it."""

    n_features_in_ = 3

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        self.scale, self.shift = scale, shift

    def sample(self, n: int, random_state: int) -> Array:
        return self.shift + self.scale * np.random.default_rng(random_state).standard_normal((n, 3))


class Drawn:
    """A model with closed-form moments, seen only through its latent draws."""

    def __init__(self, model: object) -> None:
        self.view = moment_model(model)
        self.n_features_in_ = len(self.view.names)

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        return self.view.conditional(z, order)

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.asarray(self.view.latent_batches(m, 1, np.random.default_rng(random_state))[0])


class Labels:
    """One continuous column and one categorical column of 3 levels, seen as indicators, that depend on z ~ N(0, 1)."""

    exclusive_groups_ = ((1, 2, 3),)
    n_features_in_ = 4

    def probabilities(self, z: Array) -> Array:
        score = np.exp(np.column_stack([np.zeros(len(z)), 1.5 * z[:, 0], -z[:, 0]]))
        return score / score.sum(1, keepdims=True)

    def moments(self, z: Array) -> tuple[Array, Array]:
        p = self.probabilities(z)
        return np.column_stack([2 + z[:, 0], p]), np.column_stack([np.full(len(z), 0.25), p * (1 - p)])

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 1))

    def sample(self, n: int, random_state: int) -> Array:
        rng = np.random.default_rng(random_state)
        z = rng.standard_normal((n, 1))
        level = (rng.random((n, 1)) > self.probabilities(z).cumsum(1)).sum(1)
        return np.column_stack([2 + z[:, 0] + 0.5 * rng.standard_normal(n), np.eye(3)[level]])


def mixture(kind: str, X: np.ndarray = IRIS, k: int = 3) -> GaussianMixture:
    return GaussianMixture(k, covariance_type=kind, random_state=0, tol=1e-10, max_iter=2000).fit(X)


# --- exact moments --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COVARIANCES)
def test_exact_moments_of_a_mixture_match_its_samples(kind: str) -> None:
    """14 means and second moments against 200,000 samples, each within 4.5 noise sd: false alarm 1e-4."""
    model = mixture(kind)
    sample, _ = model.sample(200_000)
    result = ul.mega(model, sample, n_bootstrap=0)
    assert result.exact
    assert (np.abs(result.gap_first) < 4.5 * result.orders[1].noise).all()
    assert (np.abs(result.gap) < 4.5 * result.orders[2].noise).all()


@pytest.mark.parametrize("model", [PCA(2), PCA(4), FactorAnalysis(2)], ids=str)
def test_exact_moments_of_linear_models_are_their_covariance(model: PCA) -> None:
    model.fit(IRIS)
    at = np.array([1.0, -2.0, 3.0, 0.5])
    (first, second), d = moment_model(model).gaussians().moments(at, 2), IRIS.mean(0) - at
    np.testing.assert_allclose(first, d, atol=1e-12)
    expected = model.get_covariance() + np.outer(d, d)
    np.testing.assert_allclose(monomials(4, 2).tensor(second), expected, atol=1e-12)


@pytest.mark.parametrize(
    "model", [PCA(2), FactorAnalysis(1), GaussianMixture(3, covariance_type="diag", random_state=0)], ids=str
)
@pytest.mark.parametrize("norm", ["fro", "op", "nuc", 3.0])
def test_monte_carlo_agrees_with_exact_within_its_standard_error(model: PCA, norm: str | float) -> None:
    """Norms far from the floor (X is shifted), within 4 se: false alarm 6e-5 each, 12 cases x 2 norms: 1.5e-3."""
    model.fit(IRIS)
    shifted = IRIS + 3.0
    exact = ul.mega(model, shifted, norm=norm, n_bootstrap=0)
    drawn = ul.mega(Drawn(model), shifted, norm=norm, n_draws=20_000, n_bootstrap=0, random_state=1)
    assert not drawn.exact
    assert drawn.m == 20_000
    assert exact.orders[1].mc_se == exact.orders[2].mc_se == 0.0
    assert abs(drawn.first - exact.first) < 4 * drawn.orders[1].mc_se
    assert abs(drawn.second - exact.second) < 4 * drawn.orders[2].mc_se


def test_standard_errors_are_the_spread_over_repeats() -> None:
    """40 repeats: the sd over them is within 40 % of the mean stated se (3.6 relative sd of a sd): false alarm 3e-4."""
    X = Curve().sample(300, 0) + 1.0
    results = [ul.mega(Curve(), X, n_draws=1000, n_bootstrap=0, random_state=seed) for seed in range(40)]
    for k in (1, 2):
        spread = np.std([r.orders[k].value for r in results], ddof=1)
        assert 0.6 < spread / np.mean([r.orders[k].mc_se for r in results]) < 1.4


@pytest.mark.parametrize(
    "how", [{}, {"centred": True}, {"standardize": True}, {"norm": "nuc"}, {"form": "gram"}], ids=str
)
def test_standard_errors_are_the_spread_over_new_rows_and_draws(how: dict[str, object]) -> None:
    """80 data sets of a wrong model: the sd over them is within 40 % of the mean stated error.

    The relative sd of a sd over 80 is 8 % for light tails and at most 12 % here: false alarm below 1e-3 each.
    """
    orders = (1, 2) if how.get("form") == "gram" else (1, 2, 3)
    results = [
        ul.mega(
            Normal(scale=1.5, shift=1.0),
            np.random.default_rng(s).exponential(size=(200, 3)),
            orders[-1],
            n_draws=512,
            n_bootstrap=0,
            random_state=s,
            **how,
        )
        for s in range(80)
    ]
    for k in orders:
        spread = np.std([r.orders[k].value for r in results], ddof=1)
        assert 0.6 < spread / np.mean([r.orders[k].se for r in results]) < 1.4


# --- identities of maximum likelihood -------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_em_mixture_scores_only_the_divisor_and_the_covariance_floor(k: int) -> None:
    """At an EM fixed point weights, means and full covariances reproduce x-bar and S (n - 1) / n + reg I."""
    model = mixture("full", k=k)
    result = ul.mega(model, IRIS, n_bootstrap=0)
    n = len(IRIS)
    expected = np.cov(IRIS.T) / n - model.reg_covar * np.eye(4)
    np.testing.assert_allclose(result.gap_first, 0.0, atol=1e-10)
    np.testing.assert_allclose(result.gap, expected, atol=2e-6)
    assert result.second < result.floor


def test_whitening_does_not_change_the_model() -> None:
    plain, white = PCA(2).fit(IRIS), PCA(2, whiten=True).fit(IRIS)
    gaps = [ul.mega(model, IRIS[:90], n_bootstrap=0).gap for model in (plain, white)]
    np.testing.assert_allclose(*gaps, atol=1e-12)
    table = ul.compare({"plain": plain, "white": white}, IRIS)
    np.testing.assert_allclose(table.loc["white", "log_likelihood"], table.loc["plain", "log_likelihood"], rtol=1e-12)


def test_ppca_matches_the_trace_and_the_leading_eigenvalues() -> None:
    """pPCA's covariance (with S of divisor n - 1) has S's trace and leading eigenpairs, so the gap lies in the rest."""
    result = ul.mega(PCA(2).fit(IRIS), IRIS, n_bootstrap=0)
    values, vectors = np.linalg.eigh(np.cov(IRIS.T))
    rest, small = vectors[:, :2], values[:2]
    np.testing.assert_allclose(result.gap, (rest * (small - small.mean())) @ rest.T, atol=1e-12)


# --- norms ----------------------------------------------------------------------------------------


def test_norms_are_numpy_s_and_gradients_are_their_slopes() -> None:
    rng = np.random.default_rng(0)
    A, H = (M + M.T for M in rng.normal(size=(2, 6, 6)))
    for norm, order in (("fro", "fro"), ("op", 2), ("nuc", "nuc")):
        np.testing.assert_allclose(schatten_norm(A, norm), np.linalg.norm(A, order), rtol=1e-12)
    np.testing.assert_allclose(schatten_norm(A, 4.0), (np.linalg.svd(A)[1] ** 4).sum() ** 0.25, rtol=1e-12)
    for norm in ("fro", "op", "nuc", 1.5, 4.0):
        step = 1e-5
        slope = (schatten_norm(A + step * H, norm) - schatten_norm(A - step * H, norm)) / (2 * step)
        np.testing.assert_allclose(np.sum(norm_gradient(A, norm) * H), slope, rtol=1e-5)
    assert not norm_gradient(np.zeros((3, 3)), "op").any()


def test_gap_matrix_is_the_definition() -> None:
    model = PCA(1).fit(IRIS[:60])
    result = ul.mega(model, IRIS, n_bootstrap=0)
    mean, cov = IRIS.mean(0), np.cov(IRIS.T)
    second = cov + np.outer(mean, mean) - model.get_covariance() - np.outer(model.mean_, model.mean_)
    np.testing.assert_allclose(result.gap, second, atol=1e-11)
    np.testing.assert_allclose(result.second, np.linalg.norm(second), rtol=1e-10)
    np.testing.assert_allclose(result.first, np.linalg.norm(mean - model.mean_), rtol=1e-10)


def test_shift_keeps_digits_in_standardised_coordinates() -> None:
    """A column of mean 1e9 and sd 1 keeps its correlations."""
    shift = np.array([1e9, 0, 0, 0])
    near = ul.mega(FactorAnalysis(1).fit(IRIS), IRIS, standardize=True, n_bootstrap=0)
    far = ul.mega(FactorAnalysis(1).fit(IRIS + shift), IRIS + shift, standardize=True, n_bootstrap=0)
    np.testing.assert_allclose(far.gap, near.gap, atol=1e-5)
    np.testing.assert_allclose(far.orders[2].noise, near.orders[2].noise, rtol=1e-5)


def test_standardised_gap_does_not_depend_on_units() -> None:
    unit, origin = np.array([1e-6, 1.0, 30.0, 1e6]), np.array([0.0, 5.0, -1.0, 1e5])
    model, moved = mixture("full", IRIS[:100], 2), mixture("full", IRIS[:100], 2)
    moved.means_ = model.means_ * unit + origin
    moved.covariances_ = model.covariances_ * np.outer(unit, unit)
    a, b = (
        ul.mega(model, IRIS, standardize=True, n_bootstrap=0),
        ul.mega(moved, IRIS * unit + origin, standardize=True, n_bootstrap=0),
    )
    np.testing.assert_allclose(a.gap, b.gap, atol=1e-8)
    np.testing.assert_allclose(a.floor, b.floor, rtol=1e-8)
    assert a.standardized


def test_constant_column_keeps_its_unit_when_standardised() -> None:
    X = np.column_stack([IRIS, np.full(len(IRIS), 7.0)])
    result = ul.mega(PCA(2).fit(X), X, standardize=True, n_bootstrap=0)
    assert np.isfinite(result.gap).all()
    assert np.isfinite(result.floor)


# --- floors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("norm", ["fro", "op", "nuc"])
def test_a_right_model_scores_its_floor(norm: str, standardize: bool) -> None:
    """Root mean square over 60 data sets against the mean floor.

    The sd of the mean of 60 squared norms is about 13 % of it where one eigenvalue dominates, so 7 % of the root:
    within 30 % is over 4 sd, false alarm below 1e-4. (Over 300 data sets the ratios lie between 0.95 and 1.04.)
    """
    results = [
        ul.mega(
            Curve(),
            Curve().sample(400, seed),
            norm=norm,
            standardize=standardize,
            n_draws=400,
            n_bootstrap=0 if norm == "fro" else 20,
            random_state=seed,
        )
        for seed in range(60)
    ]
    for k in (1, 2):
        rms = np.sqrt(np.mean([r.orders[k].value ** 2 for r in results]))
        ratio = rms / np.sqrt(np.mean([r.orders[k].floor ** 2 for r in results]))
        assert 0.7 < ratio < 1.3


def test_a_wrong_model_exceeds_its_floor_and_more_rows_show_it_better() -> None:
    ratios = []
    for n in (100, 1000, 10_000):
        result = ul.mega(Curve(shift=0.5), Curve().sample(n, 0), n_draws=20_000, n_bootstrap=0, random_state=0)
        ratios.append(result.second / result.floor)
    assert ratios[0] < ratios[1] < ratios[2]
    assert ratios[2] > 5


def test_floor_falls_with_rows_and_draws() -> None:
    X = Curve().sample(4000, 0)
    few, many = (ul.mega(Curve(), X, n_draws=m, n_bootstrap=0, random_state=0) for m in (200, 20_000))
    assert few.floor > 1.5 * many.floor
    exact = [ul.mega(PCA(1).fit(X), part, n_bootstrap=0).floor for part in (X, X[:1000])]
    assert 1.6 < exact[1] / exact[0] < 2.5


# --- mixed columns and missing cells --------------------------------------------------------------


@pytest.mark.parametrize("standardize", [False, True])
def test_indicators_of_one_category_exclude_each_other(standardize: bool) -> None:
    """Within the group the second moment is diag(p); all entries within 4.5 noise sd: false alarm 2e-4.

    The data estimator S + x-bar x-bar' has a bias of S / n, at most 1.5 / n here.
    """
    X = Labels().sample(5000, 0)
    result = ul.mega(Labels(), X, standardize=standardize, n_draws=40_000, n_bootstrap=0, random_state=0)
    assert (np.abs(result.gap) <= 4.5 * result.orders[2].noise + 1.5 / len(X)).all()
    if not standardize:
        group = result.gap[1:, 1:]
        np.testing.assert_allclose(group[~np.eye(3, dtype=bool)], 0.0, atol=1e-4)
        assert result.orders[2].noise[1, 2] < 1e-8
    ignoring = Labels()
    ignoring.exclusive_groups_ = ()
    wrong = ul.mega(ignoring, X, standardize=standardize, n_draws=40_000, n_bootstrap=0, random_state=0)
    assert wrong.second > 3 * result.second


def test_standard_error_with_indicators_is_the_spread_over_repeats() -> None:
    """As above for 40 repeats, within 40 %: false alarm 3e-4."""
    X = Labels().sample(500, 0) + np.array([1.0, 0, 0, 0])
    results = [
        ul.mega(Labels(), X, standardize=True, n_draws=1000, n_bootstrap=0, random_state=seed) for seed in range(40)
    ]
    spread = np.std([r.second for r in results], ddof=1)
    assert 0.6 < spread / np.mean([r.orders[2].mc_se for r in results]) < 1.4


def test_available_cases_are_products_of_deviations_from_each_column_s_own_mean() -> None:
    rng = np.random.default_rng(0)
    X = np.where(rng.random(IRIS.shape) < 0.2, np.nan, IRIS)
    model = PCA(2).fit(IRIS)
    result = ul.mega(model, X, n_bootstrap=0)
    own, mean, cov = np.nanmean(X, axis=0), model.mean_, model.get_covariance()
    for j in range(4):
        for k in range(4):
            both = np.isfinite(X[:, j]) & np.isfinite(X[:, k])
            deviations = (X[both, j] - own[j]) * (X[both, k] - own[k])
            expected = deviations.sum() / (both.sum() - 1) + own[j] * own[k]
            np.testing.assert_allclose(result.gap[j, k], expected - cov[j, k] - mean[j] * mean[k], atol=1e-10)
    np.testing.assert_allclose(result.gap_first, own - mean, atol=1e-12)
    assert result.floor > ul.mega(model, IRIS, n_bootstrap=0).floor
    assert np.isfinite(ul.mega(model, X, norm="op", n_bootstrap=9, random_state=0).floor)


# --- cost -----------------------------------------------------------------------------------------


def test_memory_stays_far_below_draws_times_columns_squared() -> None:
    """D = 784, m = 5000, n = 1000: m D D doubles would be 24 GB."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(2, 784))

    class Wide:
        n_features_in_ = 784

        def moments(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean = z @ loadings
            return mean, np.ones_like(mean)

        def sample_latent(self, m: int, random_state: int) -> np.ndarray:
            return np.random.default_rng(random_state).standard_normal((m, 2))

    X = rng.normal(size=(1000, 2)) @ loadings + rng.normal(size=(1000, 784))
    tracemalloc.start()
    result = ul.mega(Wide(), X, n_draws=5000, n_bootstrap=0, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert result.second < 3 * result.floor
