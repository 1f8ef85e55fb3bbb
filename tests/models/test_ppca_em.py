"""EM with missing cells: monotone, at the maximum when it says so, and invariant to what should not matter."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.models.ppca import LinearGaussian, fit_em
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import as_matrix
from underlie.models.ppca_steps import Parameters, expectation, gradient, moved, starting_point, working_parameters


def make_table(n: int = 300, n_columns: int = 8, rank: int = 2, missing: float = 0.3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_columns)) + 0.5 * rng.normal(size=(n, n_columns))
    table += 3 * rng.normal(size=n_columns)
    table[rng.random(table.shape) < missing] = np.nan
    return table


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.5, 0.7])
@pytest.mark.parametrize("n_components", [0, 1, 2, 5])
def test_likelihood_never_falls_and_is_the_models(missing: float, n_components: int) -> None:
    table = make_table(missing=missing)
    fit = fit_em(table, n_components)
    assert (np.diff(fit.log_likelihood) >= 0).all()
    assert fit.converged
    assert fit.gap <= 1e-6
    assert fit.log_likelihood[-1] == pytest.approx(fit.model.log_density(table).mean(), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n_components", "missing"), [(1, 0.2), (2, 0.5), (4, 0.5), (6, 0.3)])
def test_stops_within_the_tolerance_of_the_maximum(seed: int, n_components: int, missing: float) -> None:
    table = make_table(n=150, missing=missing, seed=seed)
    rough = fit_em(table, n_components, tol=1e-4)
    fine = fit_em(table, n_components, tol=1e-10, max_iter=20_000, init=rough.model)
    assert rough.converged
    assert fine.log_likelihood[-1] - rough.log_likelihood[-1] < 1e-4


def test_gradient_vanishes_at_the_fit() -> None:
    table = make_table()
    rows = IncompleteRows.from_table(table)
    for n_components in (1, 3):
        parameters = working_parameters(rows, fit_em(table, n_components, tol=1e-12).model)
        slope = gradient(rows, parameters, expectation(rows, parameters))
        assert np.abs(slope).max() < 1e-5


def test_gradient_is_the_derivative() -> None:
    rows = IncompleteRows.from_table(make_table(n=80))
    parameters = starting_point(rows, 3)
    slope = gradient(rows, parameters, expectation(rows, parameters))
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.normal(size=slope.shape)
        step = 1e-5
        up = expectation(rows, moved(rows, parameters, step * direction)).log_likelihood
        down = expectation(rows, moved(rows, parameters, -step * direction)).log_likelihood
        assert (up - down) / (2 * step) == pytest.approx(slope @ direction, rel=1e-6)


def test_condensed_rows_say_the_same() -> None:
    # Two frequent patterns and scattered rows: the condensed table has far fewer rows and the same likelihood.
    table = make_table(n=400, missing=0.0)
    table[::2, :3] = np.nan
    table[1:60:2] = np.where(np.random.default_rng(0).random((30, 8)) < 0.4, np.nan, table[1:60:2])
    rows = IncompleteRows.from_table(table)
    assert rows.intercept is not None
    assert len(rows.values) < 60
    rng = np.random.default_rng(1)
    model = LinearGaussian(rng.normal(size=8), rng.normal(size=(8, 3)), 0.4)
    found = expectation(rows, working_parameters(rows, model))
    assert rows.on_data_scale([found.log_likelihood])[0] == pytest.approx(model.log_density(table).mean(), rel=1e-12)
    posterior, covariance = model.posterior(table)
    second = (covariance + posterior[:, :, None] * posterior[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(found.latent_mean, posterior.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.latent_second, second, atol=1e-12)
    augmented = np.concatenate([posterior, np.ones((400, 1))], axis=1)
    outer = augmented[:, :, None] * augmented[:, None, :]
    outer[:, :3, :3] += covariance
    expected = np.einsum("nd,nij->dij", ~np.isnan(table), outer)
    np.testing.assert_allclose(found.gram, expected, atol=1e-9)


@pytest.mark.parametrize("condensed", [False, True])
def test_rows_of_one_pattern_share_their_posterior_covariance(condensed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over rows with a matrix inverted for each pattern, and for each row, are the same."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(400, 6)) + 3.0
    X[rng.random(400) < 0.6, 1] = np.nan
    X[rng.random(400) < 0.3, 4] = np.nan
    if not condensed:
        monkeypatch.setattr("underlie.models.ppca_condensed._ROWS_TO_SPARE", 400)
    rows = IncompleteRows.from_table(X)
    assert (rows.weight is not None) == condensed
    assert rows.shared is not None
    assert len(rows.shared.patterns) == 4
    assert rows.shared.weight.sum() == pytest.approx(400)
    at = Parameters(rng.normal(size=(6, 4)), 0.4)
    together = expectation(rows, at)
    monkeypatch.setitem(rows.__dict__, "shared", None)
    each = expectation(rows, at)
    assert together.log_likelihood == pytest.approx(each.log_likelihood, rel=1e-12)
    for name in ("gram", "cross", "latent_mean", "latent_second"):
        np.testing.assert_allclose(getattr(together, name), getattr(each, name), rtol=1e-10, atol=1e-10)


def test_order_of_rows_and_columns_is_immaterial() -> None:
    table = make_table(n=120)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(120), rng.permutation(8)
    model = fit_em(table, 2, tol=1e-11).model
    shuffled = fit_em(table[rows][:, columns], 2, tol=1e-11).model
    np.testing.assert_allclose(shuffled.mean, model.mean[columns], atol=1e-5)
    np.testing.assert_allclose(shuffled.covariance(), model.covariance()[np.ix_(columns, columns)], atol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_and_shift_are_immaterial(scale: float) -> None:
    table = make_table(n=120)
    fit, scaled = fit_em(table, 2), fit_em(table * scale, 2)
    np.testing.assert_allclose(scaled.model.loadings, fit.model.loadings * scale, rtol=1e-6)
    n_seen = (~np.isnan(table)).sum() / len(table)
    np.testing.assert_allclose(scaled.log_likelihood + n_seen * np.log(scale), fit.log_likelihood, atol=1e-9)
    shifted = fit_em(table + 1e5, 2).model
    np.testing.assert_allclose(shifted.mean - 1e5, fit.model.mean, atol=1e-6)
    np.testing.assert_allclose(shifted.covariance(), fit.model.covariance(), rtol=1e-5)


def test_rows_without_observed_cells_change_nothing_but_the_average() -> None:
    table = make_table(n=100)
    padded = np.vstack([table, np.full((25, 8), np.nan)])
    fit, other = fit_em(table, 2), fit_em(padded, 2)
    np.testing.assert_allclose(other.model.covariance(), fit.model.covariance(), rtol=1e-4)
    assert other.log_likelihood[-1] == pytest.approx(fit.log_likelihood[-1] * 0.8, rel=1e-6)
    assert other.log_likelihood[-1] == pytest.approx(other.model.log_density(padded).mean(), rel=1e-10)


def test_start_is_used() -> None:
    table = make_table()
    best = fit_em(table, 2, tol=1e-10).model
    again = fit_em(table, 2, tol=1e-6, init=best)
    assert again.n_iter < 5
    np.testing.assert_allclose(again.model.covariance(), best.covariance(), rtol=1e-3)


def test_iteration_limit_is_kept_and_reported() -> None:
    table = make_table(missing=0.6)
    fit = fit_em(table, 4, tol=1e-12, max_iter=4)
    assert fit.n_iter <= 4
    assert not fit.converged


def test_missing_at_random_is_corrected_for() -> None:
    # The second column is missing where the first is large, so the mean of its observed cells is biased by -0.8.
    # 3 means at 5 standard errors: false alarm rate below 1e-5.
    rng = np.random.default_rng(0)
    n = 8000
    z = rng.normal(size=(n, 1))
    table = z * [2.0, 2.0, 1.0] + 0.5 * rng.normal(size=(n, 3)) + [1.0, -1.0, 0.0]
    full_mean = table.mean(axis=0)
    table[table[:, 0] > 1.0, 1] = np.nan
    model = fit_em(table, 1).model
    assert abs(np.nanmean(table[:, 1]) - full_mean[1]) > 0.8
    error = 5 * 2.5 / np.sqrt(n)
    assert (np.abs(model.mean - [1.0, -1.0, 0.0]) < error).all()
    assert model.noise_variance == pytest.approx(0.25, abs=0.03)


def test_saddle_points_are_left() -> None:
    # Loadings of zero are a stationary point; from a little beside it the fit must still find the structure.
    table = make_table(n=400, missing=0.2)
    tiny = 0.05 * np.random.default_rng(1).normal(size=(8, 2))
    almost_zero = LinearGaussian(np.nanmean(table, axis=0), tiny, float(np.nanvar(table, axis=0).mean()))
    stuck, free = fit_em(table, 2, init=almost_zero), fit_em(table, 2)
    assert stuck.log_likelihood[-1] == pytest.approx(free.log_likelihood[-1], abs=1e-3)


DEGENERATE = {
    "constant table": np.full((20, 3), 7.0),
    "constant column": np.column_stack([make_table(60, 3, 1, 0.0), np.full(60, 2.0)]),
    "rank one": np.outer(np.arange(30.0), [1.0, -2.0, 3.0, 0.5]),
    "two rows": make_table(2, 5, 2, 0.0),
    "wide": make_table(6, 200, 2, 0.0),
    "one column": make_table(50, 1, 1, 0.0),
    "repeated rows": np.repeat(make_table(5, 4, 2, 0.0), 20, axis=0),
    "scales": make_table(100, 4, 2, 0.0) * [1e12, 1.0, 1e-12, 1e-6],
    "binary": (make_table(80, 4, 2, 0.0) > 0).astype(float),
}


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_tables_never_yield_nan(name: str, holes: bool) -> None:
    table = DEGENERATE[name].copy()
    n, n_columns = table.shape
    if holes:
        gone = np.random.default_rng(0).random(table.shape) < 0.25
        gone[0] = False
        table[gone] = np.nan
    for n_components in {0, 1, n_columns - 1, min(n - 1, n_columns)}:
        if n_components > min(n - 1, n_columns):
            continue
        fit = fit_em(table, n_components)
        assert (np.diff(fit.log_likelihood) >= 0).all()
        assert np.isfinite(fit.log_likelihood).all()
        assert np.isfinite(fit.model.impute(table)).all()
        assert np.isfinite(fit.model.log_density(table)).all()
        assert np.isfinite(fit.model.posterior(table)[1]).all()


def test_nearly_empty_columns() -> None:
    table = make_table(n=200, missing=0.2)
    table[1:, 3] = np.nan
    table[0, 3] = 4.0
    table[2:, 4] = np.nan
    table[:2, 4] = [1.0, 2.0]
    fit = fit_em(table, 2)
    assert np.isfinite(fit.model.loadings).all()
    assert np.isfinite(fit.model.impute(table)).all()
    assert (np.diff(fit.log_likelihood) >= 0).all()


def test_refuses_bad_input() -> None:
    table = make_table(n=20)
    empty = table.copy()
    empty[:, 5] = np.nan
    with pytest.raises(ValueError, match="no observed value in column 5"):
        fit_em(empty, 1)
    with pytest.raises(ValueError, match="n_samples=1"):
        fit_em(table[:1], 0)
    with pytest.raises(ValueError, match="at least 2 are needed"):
        fit_em(np.vstack([np.ones((1, 3)), np.full((3, 3), np.nan)]), 1)
    with pytest.raises(ValueError, match="must lie between 0 and"):
        fit_em(table, 9)
    with pytest.raises(ValueError, match="tol must be positive"):
        fit_em(table, 1, tol=0.0)
    with pytest.raises(ValueError, match="max_iter"):
        fit_em(table, 1, max_iter=0)
    with pytest.raises(ValueError, match="init has loadings of shape"):
        fit_em(table, 1, init=LinearGaussian(np.zeros(8), np.zeros((8, 2)), 1.0))
    with pytest.raises(ValueError, match="row 0, column 0"):
        fit_em(np.full((3, 2), np.inf), 1)


def test_prepared_rows_are_exact() -> None:
    table = make_table(n=50, missing=0.4)
    rows = IncompleteRows.from_table(as_matrix(table, missing=True))
    seen = ~np.isnan(table)
    restored = rows.values * rows.scale + rows.centre
    np.testing.assert_allclose(restored[seen], table[seen], rtol=1e-12)
    assert rows.n_observed == seen.sum()
    assert rows.n_residuals(3) == np.maximum(seen.sum(axis=1) - 3, 0).sum()
