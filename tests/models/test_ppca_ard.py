"""Automatic relevance determination: the closed form is the optimum of the bound; what is kept and what is dropped."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.models.ppca import fit_ard, fit_closed_form
from underlie.models.ppca_evidence import solve_spectrum
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_variational import climb_variational, fit_variational, initial, step


def bishop(seed: int) -> np.ndarray:
    """300 points in ten dimensions: five directions of sd 1, .8, .6, .4, .2, the others .04; randomly turned."""
    rng = np.random.default_rng(seed)
    sds = np.r_[1.0, 0.8, 0.6, 0.4, 0.2, np.full(5, 0.04)]
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    return rng.normal(size=(300, 10)) * sds @ turn


def with_holes(table: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    table = table.copy()
    table[np.random.default_rng(seed).random(table.shape) < share] = np.nan
    return table


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_bishops_example_has_five_components(share: float) -> None:
    # Deterministic given the seeds; the gap between .2 and .04 is so wide that other seeds agree.
    for seed in range(20 if share == 0 else 6):
        fit = fit_ard(with_holes(bishop(seed), share, seed))
        assert fit.model.n_components == 5
        assert fit.converged
        assert (np.diff(fit.alpha) > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_isotropic_noise_has_no_component(share: float) -> None:
    # At most 1 in any of the seeds; on average below one half.
    counts = []
    for seed in range(20 if share == 0 else 6):
        table = np.random.default_rng(seed).normal(size=(300, 10))
        counts.append(fit_ard(with_holes(table, share, seed)).model.n_components)
    assert max(counts) <= 1
    assert np.mean(counts) < 0.5


@pytest.mark.parametrize(("n", "n_columns", "rank"), [(300, 10, 3), (40, 60, 2), (50, 50, 1)])
def test_closed_form_is_the_optimum_that_variational_em_finds(n: int, n_columns: int, rank: int) -> None:
    rng = np.random.default_rng(n)
    table = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_columns)) + rng.normal(size=(n, n_columns))
    rows = IncompleteRows.from_table(table)
    squared = np.linalg.svd((table - rows.centre) / rows.scale, compute_uv=False) ** 2
    solution = solve_spectrum(squared, n, n_columns, rank, rows.noise_floor)
    assert len(solution.lengths) == rank
    state = climb_variational(rows, initial(rows, rank), 1e-12, 5000)
    order = np.argsort(state.alpha)
    assert state.bound * n == pytest.approx(solution.lower_bound, abs=1e-6 * n)
    np.testing.assert_allclose(state.alpha[order], solution.alpha, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(state.loadings[:, order], axis=0), solution.lengths, rtol=1e-4)
    assert state.noise_variance == pytest.approx(solution.noise_variance, rel=1e-5)


def test_closed_form_beats_variational_em_from_any_rank() -> None:
    for seed in range(3):
        table = np.random.default_rng(seed).normal(size=(60, 20)) * np.r_[3.0, 1.5, 1.3, np.ones(17)]
        rows = IncompleteRows.from_table(table)
        squared = np.linalg.svd((table - rows.centre) / rows.scale, compute_uv=False) ** 2
        best = solve_spectrum(squared, 60, 20, 19, rows.noise_floor)
        for n_latent in (1, 2, 4, 8):
            state = climb_variational(rows, initial(rows, n_latent), 1e-9, 2000)
            assert state.bound * 60 <= best.lower_bound + 1e-6


def test_bound_never_falls() -> None:
    rows = IncompleteRows.from_table(with_holes(bishop(0), 0.3))
    state = initial(rows, 7)
    bounds = []
    for _ in range(40):
        bound, state = step(rows, state)
        bounds.append(bound)
    assert (np.diff(bounds) > -1e-10).all()


def test_missing_cells_by_variational_em_agree_with_the_closed_form_in_the_limit() -> None:
    # The same complete table through both paths; they differ by the degree of freedom of the mean only.
    table = bishop(1)
    closed = fit_ard(table)
    rows = IncompleteRows.from_table(table)
    state = fit_variational(rows, 8, 1e-8, 2000)
    assert state.n_latent == closed.model.n_components
    assert state.noise_variance * rows.scale**2 == pytest.approx(closed.model.noise_variance, rel=0.01)
    np.testing.assert_allclose(np.sort(state.alpha) / rows.scale**2, closed.alpha, rtol=0.01)


def test_strong_columns_are_those_of_maximum_likelihood() -> None:
    table = bishop(2)
    bayes, likelihood = fit_ard(table).model, fit_closed_form(table, 5)
    cosines = np.abs((bayes.loadings * likelihood.loadings).sum(axis=0))
    cosines /= np.linalg.norm(bayes.loadings, axis=0) * np.linalg.norm(likelihood.loadings, axis=0)
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)
    ratio = np.linalg.norm(bayes.loadings, axis=0) / np.linalg.norm(likelihood.loadings, axis=0)
    # Shrunk, after the mean has taken one degree of freedom of 300.
    assert (ratio <= np.sqrt(300 / 299)).all()
    assert (np.diff(ratio) < 0).all()
    assert ratio[0] > 0.98


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_number_of_components_is_limited(share: float) -> None:
    table = with_holes(bishop(3), share)
    assert fit_ard(table, 2).model.n_components == 2
    assert fit_ard(table, 0).model.n_components == 0


def test_fewer_rows_than_columns() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 150))
    signal = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 150))
    assert fit_ard(noise).model.n_components == 0
    assert fit_ard(noise + signal).model.n_components == 2
    assert fit_ard(with_holes(noise + signal, 0.2)).model.n_components == 2


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units(scale: float) -> None:
    table = with_holes(bishop(0), 0.1)
    for rows in (bishop(0), table):
        fit, scaled = fit_ard(rows), fit_ard(rows * scale)
        np.testing.assert_allclose(scaled.alpha * scale**2, fit.alpha, rtol=1e-6)
        assert scaled.model.noise_variance == pytest.approx(fit.model.noise_variance * scale**2, rel=1e-6)
        n_seen = (~np.isnan(rows)).sum() / len(rows)
        assert scaled.lower_bound + n_seen * np.log(scale) == pytest.approx(fit.lower_bound, abs=1e-6)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_tables(value: float, holes: bool) -> None:
    table = np.full((20, 4), value)
    fit = fit_ard(with_holes(table, 0.2) if holes else table)
    assert fit.model.n_components == 0
    assert np.isfinite(fit.model.log_density(table)).all()


def test_refuses_impossible_ranks() -> None:
    with pytest.raises(ValueError, match="max_components=4 must lie between 0 and"):
        fit_ard(np.zeros((10, 3)), 4)
    with pytest.raises(ValueError, match="n_samples=1"):
        fit_ard(np.zeros((1, 3)))
