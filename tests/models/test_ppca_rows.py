"""The batched sweep and the patterns of missing cells."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.models.ppca_rows import inverse_factors, pack, packed_size, row_patterns, sweep, unpack


@pytest.mark.parametrize("order", [1, 2, 5, 12])
def test_sweep_inverts_and_solves(order: int) -> None:
    rng = np.random.default_rng(order)
    n = 9
    roots = rng.normal(size=(n, order, order))
    matrices = np.eye(order) + roots @ roots.transpose(0, 2, 1)
    right = rng.normal(size=(n, order))
    bordered = np.zeros((n, order + 1, order + 1))
    bordered[:, :order, :order] = matrices
    bordered[:, order, :order] = bordered[:, :order, order] = right
    lower = np.tril_indices(order + 1)
    packed = np.ascontiguousarray(bordered[:, lower[0], lower[1]].T)
    log_det = sweep(packed, order + 1, order)
    swept = unpack(packed, order + 1)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-12)
    np.testing.assert_allclose(-swept[:, :order, :order], np.linalg.inv(matrices), atol=1e-12)
    solution = np.linalg.solve(matrices, right[..., None])[..., 0]
    np.testing.assert_allclose(swept[:, order, :order], solution, atol=1e-12)
    np.testing.assert_allclose(-swept[:, order, order], (right * solution).sum(axis=1), rtol=1e-11)


@pytest.mark.parametrize("order", [0, 1, 3, 12])
def test_factors_of_inverses(order: int) -> None:
    roots = np.random.default_rng(order).normal(size=(7, order, order))
    matrices = np.eye(order) + roots @ roots.transpose(0, 2, 1)
    factors, log_det = inverse_factors(matrices.transpose(1, 2, 0).copy())
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-12)
    np.testing.assert_allclose(np.einsum("kin,kjn->nij", factors, factors), np.linalg.inv(matrices), atol=1e-12)
    assert all((np.triu(one, 1) == 0).all() for one in factors.transpose(2, 0, 1))


def test_a_sweep_on_some_pivots_leaves_the_schur_complement() -> None:
    roots = np.random.default_rng(0).normal(size=(6, 20, 20))
    matrices = np.eye(20) + roots @ roots.transpose(0, 2, 1)
    lower = np.tril_indices(20)
    packed = np.ascontiguousarray(matrices[:, lower[0], lower[1]].T)
    log_det = sweep(packed, 20, 16)
    swept = unpack(packed, 20)
    a, b, c = matrices[:, :16, :16], matrices[:, 16:, :16], matrices[:, 16:, 16:]
    np.testing.assert_allclose(log_det, np.linalg.slogdet(a)[1], rtol=1e-12)
    np.testing.assert_allclose(swept[:, 16:, :16], b @ np.linalg.inv(a), atol=1e-10)
    np.testing.assert_allclose(swept[:, 16:, 16:], c - b @ np.linalg.inv(a) @ b.transpose(0, 2, 1), atol=1e-10)


def test_pack_and_unpack() -> None:
    factors = np.random.default_rng(0).normal(size=(6, 4))
    packed = pack(factors, factors)
    assert packed.shape == (6, packed_size(4))
    np.testing.assert_allclose(unpack(packed.T, 4), np.einsum("di,dj->dij", factors, factors))


@pytest.mark.parametrize("n_columns", [1, 8, 63, 64, 65, 200])
def test_patterns_restore_the_mask(n_columns: int) -> None:
    rng = np.random.default_rng(n_columns)
    pool = rng.random((5, n_columns)) < 0.5
    mask = pool[rng.integers(0, 5, size=300)]
    patterns, index = row_patterns(mask)
    np.testing.assert_array_equal(patterns[index], mask)
    assert len(np.unique(patterns, axis=0)) == len(patterns)


def test_complete_rows_are_one_pattern() -> None:
    patterns, index = row_patterns(np.ones((4, 3), dtype=bool))
    assert patterns.shape == (1, 3)
    assert not index.any()
