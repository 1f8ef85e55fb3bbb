"""Choice of the number of components by BIC."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.models.ppca import bic, fit_closed_form, fit_em, n_parameters, select_rank


def make_table(n: int, n_columns: int, rank: int, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_columns)) + 0.5 * rng.normal(size=(n, n_columns))
    table[rng.random(table.shape) < missing] = np.nan
    return table


def test_number_of_parameters() -> None:
    # The covariance W W' + s2 I with M = D - 1 is unrestricted: D (D + 1) / 2 entries, and the mean.
    for n_columns in range(1, 8):
        assert n_parameters(n_columns, 0) == n_columns + 1
        assert n_parameters(n_columns, n_columns - 1) == n_columns * (n_columns + 1) // 2 + n_columns


def test_one_spectrum_serves_all_ranks() -> None:
    table = make_table(80, 6, 2)
    found = select_rank(table, 6)
    np.testing.assert_array_equal(found.ranks, np.arange(7))
    for rank in found.ranks:
        model = fit_closed_form(table, int(rank))
        assert found.log_likelihood[rank] == pytest.approx(model.log_density(table).mean(), rel=1e-9)
        assert found.bic[rank] == pytest.approx(bic(model, table), rel=1e-9)
    best = fit_closed_form(table, found.n_components)
    np.testing.assert_allclose(found.model.loadings, best.loadings, atol=1e-12)
    assert found.bic[found.n_components] == found.bic.min()


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_finds_the_rank(rank: int, missing: float) -> None:
    # BIC is consistent; with this signal it is far from the next rank in each of the seeds.
    for seed in range(3):
        found = select_rank(make_table(400, 8, rank, seed, missing))
        assert found.n_components == rank
        assert found.model.n_components == rank
        assert found.converged


def test_search_by_em_is_as_good_as_a_fit_of_each_rank() -> None:
    table = make_table(200, 7, 2, missing=0.3)
    found = select_rank(table)
    for rank in found.ranks:
        alone = fit_em(table, int(rank))
        assert found.log_likelihood[rank] > alone.log_likelihood[-1] - 0.02
    assert bic(found.model, table) == pytest.approx(found.bic.min(), abs=1e-6)
    assert (np.diff(found.log_likelihood) > -1e-2).all()


def test_complete_table_through_em_agrees() -> None:
    table = make_table(300, 6, 2)
    closed = select_rank(table)
    holed = np.vstack([table, np.full((1, 6), np.nan)])
    by_em = select_rank(holed)
    assert by_em.n_components == closed.n_components
    np.testing.assert_allclose(by_em.log_likelihood[:3] * 301 / 300, closed.log_likelihood[:3], atol=2e-3)


def test_ranks_without_a_maximum_are_no_candidates() -> None:
    # Half the cells of 12 columns in 60 rows: from some rank on a plane fits all rows exactly and the noise vanishes.
    table = make_table(60, 12, 8, seed=1, missing=0.5)
    found = select_rank(table, 11)
    average = np.nanvar(table, axis=0).mean()
    assert found.model.noise_variance > 1e-4 * average
    assert np.isfinite(found.bic).all()


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_degenerate_tables(missing: float) -> None:
    for table in (np.full((20, 3), 2.0), make_table(20, 1, 1), np.outer(np.arange(20.0), [1.0, 2.0, -1.0])):
        holed = table.copy()
        holed[np.random.default_rng(0).random(table.shape) < missing] = np.nan
        found = select_rank(holed)
        assert np.isfinite(found.bic).all()
        assert np.isfinite(found.model.impute(holed)).all()


def test_refuses_impossible_ranks() -> None:
    with pytest.raises(ValueError, match="max_components=4 must lie between 0 and"):
        select_rank(np.zeros((10, 3)), 4)
    with pytest.raises(ValueError, match="n_samples=1"):
        select_rank(np.zeros((1, 3)))
