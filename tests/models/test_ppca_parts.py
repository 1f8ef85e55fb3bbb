"""Probabilistic PCA of a table that comes in parts: what is merged is what the whole table gives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
import pytest

from underlie.models.ppca import fit_ard, fit_em, select_rank
from underlie.models.ppca_closed_form import model_from_spectrum
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_moments import RowMoments
from underlie.models.ppca_steps import Parameters, expectation
from underlie.models.ppca_table import MatrixTable, PartedTable


def table(n: int = 120, missing: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(n, 5)) + 10
    X[rng.random(X.shape) < missing] = np.nan
    return X


def cut(X: np.ndarray, how: str) -> list[np.ndarray]:
    """Parts of rows, one of them empty."""
    if how == "rows":
        return [X[i : i + 1] for i in range(len(X))]
    return [X[:7], X[7:7], X[7:60], X[60:]]


def same(a: RowMoments, b: RowMoments) -> None:
    assert a.n_rows == b.n_rows
    assert a.complete == b.complete
    for name in ("counts", "mean", "squares", "largest"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-10, atol=1e-10)
    if a.scatter is not None:
        np.testing.assert_allclose(a.scatter, b.scatter, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("how", ["rows", "parts"])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_moments_of_parts_are_those_of_the_whole_in_any_order(how: str, missing: float) -> None:
    X = table(missing=missing)
    whole = RowMoments.of(X)
    parts = [RowMoments.of(part) for part in cut(X, how)]
    same(reduce(add, parts), whole)
    shuffled = [parts[i] for i in np.random.default_rng(1).permutation(len(parts))]
    same(reduce(add, shuffled), whole)
    while len(parts) > 1:  # as a tree
        parts = [reduce(add, parts[i : i + 2]) for i in range(0, len(parts), 2)]
    same(parts[0], whole)
    if not missing:
        np.testing.assert_allclose(whole.scatter / len(X), np.cov(X.T, bias=True), rtol=1e-10)
    np.testing.assert_allclose(whole.variances, np.nanvar(X, axis=0), rtol=1e-10)


def test_nothing_cancels_far_from_zero() -> None:
    # Sums of squares about zero would lose all digits of a variance of 1 at a mean of 1e9.
    X = table() + 1e9
    merged = RowMoments.of_parts(cut(X, "parts"))
    np.testing.assert_allclose(merged.scatter / len(X), np.cov(X.T, bias=True), rtol=1e-6)


def test_divided_moments_are_those_of_divided_rows() -> None:
    X, scale = table(missing=0.1), np.array([1.0, 2.0, 0.5, 10.0, 3.0])
    same(RowMoments.of(X).divided(scale), RowMoments.of(X / scale))
    same(RowMoments.of(table()).divided(scale), RowMoments.of(table() / scale))


def test_moments_of_other_columns_do_not_add() -> None:
    with pytest.raises(ValueError, match="5 and of 4 columns"):
        RowMoments.of(table()) + RowMoments.of(table()[:, :4])


def parted(X: np.ndarray, how: str) -> PartedTable:
    def parts() -> Iterator[np.ndarray]:
        return iter(cut(X, how))

    return PartedTable(parts)


@pytest.mark.parametrize("how", ["rows", "parts"])
def test_complete_tables_are_fitted_alike(how: str) -> None:
    X = table()
    whole, read = MatrixTable(X), parted(X, how)
    assert read.shape == whole.shape
    assert read.complete
    here, there = (model_from_spectrum(t.spectrum(2), 2) for t in (whole, read))
    np.testing.assert_allclose(there.loadings, here.loadings, rtol=1e-8)
    assert there.noise_variance == pytest.approx(here.noise_variance, rel=1e-10)
    assert read.mean_log_density(here) == pytest.approx(whole.mean_log_density(here), rel=1e-12)
    np.testing.assert_allclose(select_rank(read).bic, select_rank(whole).bic, rtol=1e-10)
    np.testing.assert_allclose(fit_ard(read).alpha, fit_ard(whole).alpha, rtol=1e-8)
    np.testing.assert_allclose(fit_em(read, 2).log_likelihood[-1], fit_em(whole, 2).log_likelihood[-1], rtol=1e-8)


def test_small_eigenvalues_keep_their_digits() -> None:
    # Of noise 1e-8 times as long as the signal the square is below the rounding of the signal's.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1)) @ rng.normal(size=(1, 6)) + 1e-8 * rng.normal(size=(300, 6))
    read = parted(X, "parts").spectrum(4)
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / len(X)
    np.testing.assert_allclose(read.values, values[:4], rtol=1e-6)


@pytest.mark.parametrize("how", ["rows", "parts"])
@pytest.mark.parametrize("missing", [0.02, 0.4])
def test_incomplete_tables_are_fitted_alike(how: str, missing: float) -> None:
    X = table(missing=missing)
    X[5] = np.nan
    whole, read = MatrixTable(X), parted(X, how)
    np.testing.assert_allclose(read.observed_shares, whole.observed_shares)
    assert not read.complete
    here, there = whole.prepared(), read.prepared()
    for name in ("n_rows", "n_informative", "n_observed"):
        assert getattr(here, name) == getattr(there, name)
    assert here.noise_floor == pytest.approx(there.noise_floor)
    at = Parameters(np.random.default_rng(3).normal(size=(5, 3)), 0.5)
    one, other = expectation(here, at), expectation(there, at)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
    for name in ("gram", "cross", "latent_mean", "latent_second"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-7, atol=1e-8)
    assert fit_em(read, 1).log_likelihood[-1] == pytest.approx(fit_em(whole, 1).log_likelihood[-1], abs=1e-6)


def test_rows_of_few_patterns_are_condensed_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("underlie.models.ppca_condensed._CELLS_TOGETHER", 5 * 60)
    X = table(5_000)
    X[::2, 1] = np.nan
    X[::3, 4] = np.nan  # four patterns in all
    parts = np.array_split(X, 50)
    prepared = IncompleteRows.from_parts(iter(parts), RowMoments.of_parts(parts))
    assert len(prepared.values) <= 4 * (6 + 24)  # a triangular factor each, and some rows not worth it
    whole = IncompleteRows.from_table(X)
    at = Parameters(np.random.default_rng(3).normal(size=(5, 3)), 0.5)
    one, other = expectation(whole, at), expectation(prepared, at)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
    assert prepared.n_residuals(2) == pytest.approx(whole.n_residuals(2))
    assert prepared.weight is not None
    assert prepared.weight.sum() == pytest.approx(5_000)
