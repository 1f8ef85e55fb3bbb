"""ProbabilisticPCA: the theorems it rests on, on every container and with missing cells."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA

import underlie as ul
from underlie.warnings import ConvergenceWarning, DataWarning

Floats = np.ndarray


def low_rank(n: int = 300, d: int = 6, m: int = 2, noise: float = 0.5, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, m)) @ rng.normal(size=(m, d)) * 2 + noise * rng.normal(size=(n, d)) + rng.normal(size=d) * 5
    )


def holed(X: Floats, share: float = 0.25, seed: int = 1) -> Floats:
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def patients(n: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    health = rng.normal(size=n)
    return pd.DataFrame(
        {
            "age": 60 + 8 * health + rng.normal(size=n),
            "pressure": 130 + 15 * health + 3 * rng.normal(size=n),
            "stage": pd.Categorical(np.array(["I", "II", "III"])[np.digitize(health, [-0.5, 0.5])]),
            "smoker": health + rng.normal(size=n) > 0,
            "visits": rng.poisson(np.exp(1 + 0.3 * health)),
        },
        index=[f"p{i}" for i in range(n)],
    )


# --------------------------------------------------------------------------------------------------- maximum likelihood


def test_axes_and_variances_are_those_of_pca() -> None:
    X = low_rank()
    model, pca = ul.ProbabilisticPCA(2).fit(X), PCA(2).fit(X)
    n = len(X)
    lengths = np.linalg.norm(model.components_, axis=1)
    np.testing.assert_allclose(
        np.abs((model.components_ / lengths[:, None] * pca.components_).sum(axis=1)), 1, rtol=1e-9
    )
    # scikit-learn divides by n - 1
    np.testing.assert_allclose(lengths**2 + model.noise_variance_, pca.explained_variance_ * (n - 1) / n, rtol=1e-9)
    np.testing.assert_allclose(model.noise_variance_, pca.noise_variance_ * (n - 1) / n, rtol=1e-9)
    np.testing.assert_allclose(model.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(model.mean_, pca.mean_)


def test_em_reaches_the_closed_form() -> None:
    X = low_rank()
    closed, em = ul.ProbabilisticPCA(2).fit(X), ul.ProbabilisticPCA(2, solver="em", tol=1e-9).fit(X)
    assert 0 <= closed.score(X) - em.score(X) < 1e-7
    np.testing.assert_allclose(em.get_covariance(), closed.get_covariance(), rtol=1e-2, atol=1e-2)
    assert em.n_iter_ > 1
    assert closed.n_iter_ == 1


def test_the_observed_likelihood_never_falls() -> None:
    history = ul.ProbabilisticPCA(2).fit(holed(low_rank())).log_likelihood_
    assert len(history) > 1
    assert (np.diff(history) > -1e-10).all()


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_components", [2, "bic"])
def test_the_last_log_likelihood_is_the_score(standardize: bool, missing: bool, n_components: Any) -> None:
    X = low_rank() * [1, 10, 100, 1, 1, 0.1]
    X = holed(X) if missing else X
    model = ul.ProbabilisticPCA(n_components, standardize=standardize).fit(X)
    assert model.log_likelihood_[-1] == pytest.approx(model.score(X), abs=1e-8)
    assert model.bic_ == pytest.approx(model.bic(X))
    n_parameters = model.n_parameters_
    assert model.aic(X) == pytest.approx(-2 * model.score_samples(X).sum() + 2 * n_parameters)
    assert model.bic(X) - model.aic(X) == pytest.approx(n_parameters * (np.log(len(X)) - 2))


@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_stopping_early_warns() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = ul.ProbabilisticPCA(3, max_iter=2).fit(holed(low_rank(m=3), 0.5))
    assert not model.converged_


# ---------------------------------------------------------------------------------------- likelihood and conditionals


@pytest.mark.parametrize("standardize", [False, True])
def test_scores_are_the_gaussian_densities_of_what_is_observed(standardize: bool) -> None:
    X = holed(low_rank())
    X[0] = np.nan
    model = ul.ProbabilisticPCA(2, standardize=standardize).fit(X[1:])
    C, scores = model.get_covariance(), model.score_samples(X)
    for row, score in zip(X, scores, strict=True):
        seen = ~np.isnan(row)
        if seen.any():
            expected = stats.multivariate_normal(model.mean_[seen], C[np.ix_(seen, seen)]).logpdf(row[seen])
            assert score == pytest.approx(expected, rel=1e-9)
    assert scores[0] == 0
    np.testing.assert_array_equal(model.anomaly_score(X), -scores)


@pytest.mark.parametrize("standardize", [False, True])
def test_imputation_is_the_conditional_mean_and_draws_have_its_covariance(standardize: bool) -> None:
    X = low_rank()
    model = ul.ProbabilisticPCA(2, standardize=standardize).fit(X)
    row = X[:1].copy()
    row[0, [1, 4]] = np.nan
    missing, seen = np.array([1, 4]), np.array([0, 2, 3, 5])
    C = model.get_covariance()
    gain = C[np.ix_(missing, seen)] @ np.linalg.inv(C[np.ix_(seen, seen)])
    mean = model.mean_[missing] + gain @ (row[0, seen] - model.mean_[seen])
    covariance = C[np.ix_(missing, missing)] - gain @ C[np.ix_(seen, missing)]
    filled = model.impute(row)
    np.testing.assert_allclose(filled[0, missing], mean, rtol=1e-9)
    np.testing.assert_array_equal(filled[0, seen], row[0, seen])
    draws = np.array(model.impute(np.repeat(row, 4000, axis=0), n_draws=1, random_state=0)[0])[:, missing]
    # 5 standard errors each: false alarm below 1e-5 for the five numbers together
    error = 5 * np.sqrt(np.diag(covariance) / len(draws))
    assert (np.abs(draws.mean(axis=0) - mean) < error).all()
    np.testing.assert_allclose(
        np.cov(draws.T), covariance, atol=5 * np.diag(covariance).max() * np.sqrt(2 / len(draws))
    )


def test_posterior_is_bayes_rule() -> None:
    X = holed(low_rank(n=50))
    model = ul.ProbabilisticPCA(2).fit(X)
    posterior = model.posterior(X)
    W = model.components_.T
    for i in range(10):
        seen = ~np.isnan(X[i])
        covariance = np.linalg.inv(np.eye(2) + W[seen].T @ W[seen] / model.noise_variance_)
        mean = covariance @ W[seen].T @ (X[i, seen] - model.mean_[seen]) / model.noise_variance_
        np.testing.assert_allclose(posterior.mean[i], mean, rtol=1e-7)
        np.testing.assert_allclose(posterior.covariance[i], covariance, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(posterior.variance[i], np.diag(covariance), rtol=1e-7)
    np.testing.assert_array_equal(model.transform(X), posterior.mean)


def test_samples_and_moments_agree() -> None:
    model = ul.ProbabilisticPCA(2, standardize=True).fit(low_rank() * [1, 10, 100, 1, 1, 0.1])
    mean, second = model.exact_moments()
    np.testing.assert_allclose(second - np.outer(mean, mean), model.get_covariance(), rtol=1e-9, atol=1e-9)
    z = model.sample_latent(20_000, random_state=0)
    given_mean, given_variance = model.moments(z)
    scale = np.sqrt(np.diag(model.get_covariance()))
    # total variance: about 4 standard errors, false alarm below 1e-3
    total = np.cov(given_mean.T) + np.diag(given_variance.mean(axis=0))
    np.testing.assert_allclose(
        total / np.outer(scale, scale), model.get_covariance() / np.outer(scale, scale), atol=0.04
    )
    draws = model.sample(20_000, random_state=0)
    np.testing.assert_allclose((draws.mean(axis=0) - mean) / scale, 0, atol=0.035)
    np.testing.assert_allclose(
        np.cov(draws.T) / np.outer(scale, scale), model.get_covariance() / np.outer(scale, scale), atol=0.05
    )


# ---------------------------------------------------------------------------------------------------------- invariances


def test_with_standardisation_units_do_not_matter() -> None:
    X = holed(low_rank())
    units = np.array([1e-6, 1e6, 3, 1, 0.2, 1e3])
    a = ul.ProbabilisticPCA(2, standardize=True, tol=1e-9).fit(X)
    b = ul.ProbabilisticPCA(2, standardize=True, tol=1e-9).fit(X * units)
    np.testing.assert_allclose(b.impute(X * units) / units, a.impute(X), rtol=1e-4)
    jacobian = (~np.isnan(X)) @ np.log(units)
    np.testing.assert_allclose(b.score_samples(X * units), a.score_samples(X) - jacobian, atol=1e-3)


def test_without_standardisation_rotations_do_not_matter() -> None:
    X = low_rank()
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    a, b = ul.ProbabilisticPCA(2).fit(X), ul.ProbabilisticPCA(2).fit(X @ Q)
    np.testing.assert_allclose(b.score_samples(X @ Q), a.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(b.sample(1, random_state=0).shape, (1, 6))


def test_all_but_one_component_is_the_full_gaussian() -> None:
    X = low_rank(noise=2)
    with pytest.warns(DataWarning, match="n_components=6 is reduced to 5"):
        model = ul.ProbabilisticPCA(6).fit(X)
    np.testing.assert_allclose(model.get_covariance(), np.cov(X.T, bias=True), rtol=1e-8, atol=1e-8)


# ------------------------------------------------------------------------------------------------- choice of dimension


@pytest.mark.parametrize(
    "options", [{"n_components": "bic"}, {"n_components": None, "prior": "ard"}], ids=["bic", "ard"]
)
@pytest.mark.parametrize("missing", [False, True])
def test_the_dimension_is_found(options: dict[str, Any], missing: bool) -> None:
    X = low_rank(n=500, d=8, m=3)
    model = ul.ProbabilisticPCA(**options).fit(holed(X, 0.15) if missing else X)
    assert model.n_components_ == 3
    assert model.transform(X).shape == (500, 3)
    assert hasattr(model, "alpha_") == (options.get("prior") == "ard")


@pytest.mark.parametrize(
    "options", [{"n_components": "bic"}, {"n_components": None, "prior": "ard"}], ids=["bic", "ard"]
)
@pytest.mark.parametrize("missing", [False, True])
def test_exact_copies_do_not_fool_the_choice(options: dict[str, Any], missing: bool) -> None:
    X = low_rank(n=400, d=5, m=2)
    X = np.column_stack([X, X[:, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ul.ProbabilisticPCA(**options).fit(holed(X, 0.1) if missing else X)
    assert model.noise_variance_ > 1e-3


def test_indicators_of_a_category_do_not_fool_the_choice() -> None:
    table = patients(400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ul.ProbabilisticPCA("bic", standardize=True).fit(table)
    assert model.n_components_ <= 5
    assert model.noise_variance_ > 1e-3


def test_a_refit_forgets_the_prior() -> None:
    X = low_rank()
    model = ul.ProbabilisticPCA(None, prior="ard").fit(X)
    model.set_params(prior=None, n_components=1).fit(X)
    assert not hasattr(model, "alpha_")


# ------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_mixed_tables_come_back_as_they_were(library: str) -> None:
    table = patients()
    hidden = table.copy()
    rng = np.random.default_rng(0)
    for name in ("age", "pressure", "stage"):
        hidden.loc[rng.random(len(table)) < 0.2, name] = None
    X: Any = hidden if library == "pandas" else pl.from_pandas(hidden)
    model = ul.ProbabilisticPCA(2, standardize=True, random_state=0).fit(X)
    for filled in [model.impute(X), *model.impute(X, n_draws=2)]:
        assert type(filled) is type(X)
        assert list(filled.columns) == list(X.columns)
        assert dict(zip(filled.columns, filled.dtypes, strict=True)) == dict(zip(X.columns, X.dtypes, strict=True))
        frame = filled if library == "pandas" else filled.to_pandas()
        assert not frame.isna().any().any()
        if library == "pandas":
            assert list(filled.index) == list(X.index)
        for name in table.columns:
            kept = hidden[name].notna().to_numpy()
            assert frame[name][kept].tolist() == hidden[name][kept].tolist()
    assert type(model.sample(3)) is type(X)
    assert list(model.reconstruct(X).columns) == list(X.columns)
    assert list(model.inverse_transform(model.transform(X)).columns) == list(X.columns)
    assert list(model.feature_names_in_) == list(table.columns)


def test_imputation_of_patients_beats_the_mean() -> None:
    table = patients(400)
    hidden = table.copy()
    lost = np.random.default_rng(0).random(len(table)) < 0.3
    hidden.loc[lost, "pressure"] = np.nan
    filled = ul.ProbabilisticPCA(1, standardize=True).fit(hidden).impute(hidden)
    error = np.sqrt(((filled["pressure"] - table["pressure"])[lost] ** 2).mean())
    assert error < 0.5 * np.sqrt(((hidden["pressure"].mean() - table["pressure"])[lost] ** 2).mean())


def test_images_keep_their_shape() -> None:
    X = ul.datasets.load_digits().data[:200]
    model = ul.ProbabilisticPCA(5).fit(X)
    assert model.n_features_in_ == 64
    assert model.sample(2, random_state=0).shape == (2, 8, 8)
    assert model.reconstruct(X).shape == X.shape
    assert model.transform(X).shape == (200, 5)
    assert not hasattr(model, "feature_names_in_")


def test_transform_works_with_set_output() -> None:
    table = patients()
    model = ul.ProbabilisticPCA(2).set_output(transform="pandas")
    latent = model.fit_transform(table)
    assert list(latent.columns) == ["probabilisticpca0", "probabilisticpca1"]
    assert list(latent.index) == list(table.index)
    assert list(model.inverse_transform(latent).index) == list(table.index)
    assert isinstance(clone(model).set_output(transform="polars").fit_transform(table), pl.DataFrame)


def test_reconstruction_is_the_decoded_posterior_mean() -> None:
    X = low_rank()
    model = ul.ProbabilisticPCA(2).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), model.inverse_transform(model.transform(X)))
    np.testing.assert_allclose(model.inverse_transform(np.zeros((1, 2)))[0], model.mean_)


# ---------------------------------------------------------------------------------------------------------- randomness


def test_seeds() -> None:
    X = low_rank(50)
    model = ul.ProbabilisticPCA(2, random_state=4).fit(X)
    np.testing.assert_array_equal(model.sample(3), model.sample(3))
    np.testing.assert_array_equal(model.sample(3), model.sample(3, random_state=4))
    generator = np.random.RandomState(0)
    assert not np.array_equal(model.sample(3, random_state=generator), model.sample(3, random_state=generator))
    unseeded = clone(model).set_params(random_state=None).fit(X)
    assert not np.array_equal(unseeded.sample(3), unseeded.sample(3))


# ------------------------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"n_components": 2.5}, "n_components must be a whole number"),
        ({"n_components": True}, "n_components must be a whole number"),
        ({"n_components": "aic"}, "n_components must be a whole number"),
        ({"n_components": None}, 'prior="ard"'),
        ({"n_components": "bic", "prior": "ard"}, "both choose"),
        ({"solver": "svd"}, "solver must be"),
        ({"prior": "ARD"}, "prior must be"),
        ({"tol": 0}, "tol must be"),
        ({"tol": float("nan")}, "tol must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"max_iter": 3.0}, "max_iter must be"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ul.ProbabilisticPCA(**options).fit(low_rank(20))


def test_the_closed_form_refuses_missing_cells() -> None:
    with pytest.raises(ValueError, match=r'solver="eigh" needs complete data.*solver="em"'):
        ul.ProbabilisticPCA(1, solver="eigh").fit(holed(low_rank()))


def test_too_few_rows_say_how_many_are_needed() -> None:
    with pytest.raises(ValueError, match=r"n_components=4 needs at least 6 rows, but X has n_samples=5 .*at most 3"):
        ul.ProbabilisticPCA(4).fit(low_rank(5, 20))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.sample(0), ValueError, "n must be at least 1"),
        (lambda m: m.sample(1.5), TypeError, "n must be a whole number"),
        (lambda m: m.sample(1, random_state="a"), TypeError, "random_state"),
        (lambda m: m.sample(1, random_state=-1), ValueError, "random_state"),
        (lambda m: m.impute(np.zeros((1, 6)), n_draws=0), ValueError, "n_draws"),
        (lambda m: m.inverse_transform(np.zeros((1, 3))), ValueError, r"Z has shape \(1, 3\), but \(m, 2\)"),
        (
            lambda m: m.inverse_transform(np.full((1, 2), np.nan)),
            ValueError,
            "Z has a value that is not finite in row 0",
        ),
        (lambda m: m.moments(np.zeros(2)), ValueError, "Z has shape"),
    ],
)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(ul.ProbabilisticPCA(2).fit(low_rank(30)))


def test_data_without_noise_warn() -> None:
    X = low_rank(50, noise=0)
    with pytest.warns(DataWarning, match="no noise is left"):
        model = ul.ProbabilisticPCA(2).fit(X)
    assert np.isfinite(model.score(X))
