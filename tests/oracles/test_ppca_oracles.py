"""Probabilistic PCA against what it must equal: the eigen solution, scikit-learn's score, itself after a rotation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from underlie.models.ppca import fit_closed_form, fit_em


def make_table(n: int, n_columns: int, rank: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_columns)) * 2 + rng.normal(size=(n, n_columns)) + 5


@pytest.mark.parametrize(("n", "n_columns", "n_components"), [(200, 6, 1), (200, 6, 3), (500, 20, 5), (30, 50, 4)])
def test_em_on_complete_data_is_the_eigen_solution(n: int, n_columns: int, n_components: int) -> None:
    table = make_table(n, n_columns, n_components)
    eigen, em = fit_closed_form(table, n_components), fit_em(table, n_components)
    np.testing.assert_allclose(em.model.loadings, eigen.loadings, atol=1e-4)
    assert em.model.noise_variance == pytest.approx(eigen.noise_variance, rel=1e-5)
    assert em.log_likelihood[-1] == pytest.approx(eigen.log_density(table).mean(), abs=1e-6)


def test_em_from_a_bad_start_is_the_eigen_solution() -> None:
    table = make_table(300, 8, 2)
    start = fit_closed_form(np.random.default_rng(0).normal(size=(50, 8)), 2)
    found = fit_em(table, 2, tol=1e-11, init=start).model
    eigen = fit_closed_form(table, 2)
    np.testing.assert_allclose(found.covariance(), eigen.covariance(), atol=1e-3)


@pytest.mark.parametrize(("n", "n_columns", "n_components"), [(200, 6, 2), (40, 6, 5), (500, 30, 3)])
def test_score_is_scikit_learns_up_to_its_divisor(n: int, n_columns: int, n_components: int) -> None:
    # scikit-learn divides sums of squares by n - 1: its covariance is n / (n - 1) times ours.
    table = make_table(n, n_columns, n_components)
    theirs = PCA(n_components, svd_solver="full").fit(table)
    ours = fit_closed_form(table, n_components)
    inflation = n / (n - 1)
    assert theirs.noise_variance_ == pytest.approx(inflation * ours.noise_variance, rel=1e-10)
    np.testing.assert_allclose(theirs.get_covariance(), inflation * ours.covariance(), rtol=1e-8, atol=1e-10)
    quadratic = n_columns  # trace of the maximum-likelihood covariance times its own inverse
    expected = theirs.score(table) + 0.5 * (n_columns * np.log(inflation) + quadratic / inflation - quadratic)
    assert ours.log_density(table).mean() == pytest.approx(expected, rel=1e-10)


def test_one_component_less_than_columns_is_the_unrestricted_gaussian() -> None:
    table = make_table(300, 5, 2)
    free = multivariate_normal(table.mean(axis=0), np.cov(table.T, bias=True)).logpdf(table)
    np.testing.assert_allclose(fit_closed_form(table, 4).log_density(table), free, rtol=1e-9)


def test_rotation_of_the_data_rotates_the_model() -> None:
    table = make_table(200, 6, 2)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    model, turned = fit_closed_form(table, 2), fit_closed_form(table @ turn, 2)
    np.testing.assert_allclose(turned.log_density(table @ turn), model.log_density(table), rtol=1e-10)
    np.testing.assert_allclose(turned.covariance(), turn.T @ model.covariance() @ turn, atol=1e-10)
    latent, other = model.posterior_mean(table), turned.posterior_mean(table @ turn)
    np.testing.assert_allclose(np.abs((latent * other).sum(axis=0)), (latent**2).sum(axis=0), rtol=1e-8)


def test_gaussian_with_missing_cells_by_an_independent_em() -> None:
    """M = D - 1 is the unrestricted Gaussian, whose EM (Little and Rubin) is a few lines of dense algebra."""
    rng = np.random.default_rng(4)
    table = make_table(150, 4, 2)
    table[rng.random(table.shape) < 0.2] = np.nan
    mean, covariance = np.nanmean(table, axis=0), np.diag(np.nanvar(table, axis=0))
    for _ in range(3000):
        filled, extra = table.copy(), np.zeros((4, 4))
        for row in filled:
            gone = np.isnan(row)
            slope = covariance[np.ix_(gone, ~gone)] @ np.linalg.pinv(covariance[np.ix_(~gone, ~gone)])
            row[gone] = mean[gone] + slope @ (row[~gone] - mean[~gone])
            extra[np.ix_(gone, gone)] += covariance[np.ix_(gone, gone)] - slope @ covariance[np.ix_(~gone, gone)]
        new_mean = filled.mean(axis=0)
        new = ((filled - new_mean).T @ (filled - new_mean) + extra) / len(table)
        done = np.abs(new - covariance).max() < 1e-9
        mean, covariance = new_mean, new
        if done:
            break
    found = fit_em(table, 3, tol=1e-12).model
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance(), covariance, atol=1e-4)
