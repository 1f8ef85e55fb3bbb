"""The closed form: optimal, exact at extreme shapes and scales, and the certified Lanczos path."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.models import ppca_closed_form
from underlie.models.ppca import LinearGaussian, fit_closed_form, noise_floor
from underlie.models.ppca_closed_form import spectrum


def make_table(n: int, n_columns: int, rank: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n, rank)) @ (rng.normal(size=(rank, n_columns)) * 2)
    return signal + rng.normal(size=(n, n_columns)) + rng.normal(size=n_columns)


@pytest.mark.parametrize(
    ("n", "n_columns", "n_components"), [(200, 6, 2), (200, 6, 5), (8, 30, 3), (40, 40, 10), (50, 3, 0)]
)
def test_is_the_eigen_solution(n: int, n_columns: int, n_components: int) -> None:
    table = make_table(n, n_columns, 2)
    model = fit_closed_form(table, n_components)
    values, vectors = np.linalg.eigh(np.cov(table.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[n_components:].mean()
    assert model.noise_variance == pytest.approx(noise, rel=1e-10)
    covariance = (vectors[:, :n_components] * (values[:n_components] - noise)) @ vectors[:, :n_components].T
    np.testing.assert_allclose(model.loadings @ model.loadings.T, covariance, atol=1e-10)
    np.testing.assert_allclose(model.mean, table.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(model.canonical().loadings, model.loadings, atol=1e-10)


def test_no_nearby_model_is_more_likely() -> None:
    table = make_table(100, 5, 2)
    model = fit_closed_form(table, 2)
    best = model.log_density(table).mean()
    rng = np.random.default_rng(1)
    for _ in range(200):
        other = LinearGaussian(
            model.mean + 0.02 * rng.normal(size=5),
            model.loadings + 0.02 * rng.normal(size=(5, 2)),
            model.noise_variance * np.exp(0.02 * rng.normal()),
        )
        assert other.log_density(table).mean() < best


def test_large_matrices_take_the_certified_path(monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table(300, 120, 3)
    exact = spectrum(table, 3)
    monkeypatch.setattr(ppca_closed_form, "_LANCZOS_ORDER", 50)
    monkeypatch.setattr(ppca_closed_form, "_LANCZOS_FRACTION", 0.1)
    fast = spectrum(table, 3)
    np.testing.assert_allclose(fast.values, exact.values, rtol=1e-11)
    np.testing.assert_allclose(np.abs((fast.vectors * exact.vectors).sum(axis=0)), 1.0, rtol=1e-10)


def test_certificate_refuses_what_lanczos_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    # A double leading eigenvalue: a Krylov space from one vector holds one of its eigenvectors only.
    square = np.diag(np.r_[5.0, 5.0, 3.0, np.full(197, 1.0)])

    def overlooking(matrix: np.ndarray, k: int, **options: object) -> tuple[np.ndarray, np.ndarray]:
        return np.array([3.0, 5.0]), np.eye(200)[:, [2, 0]]

    monkeypatch.setattr(ppca_closed_form, "eigsh", overlooking)
    assert ppca_closed_form._certified_lanczos(square, 2) is None


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_is_immaterial(scale: float) -> None:
    table = make_table(60, 5, 2)
    model, scaled = fit_closed_form(table, 2), fit_closed_form(table * scale, 2)
    np.testing.assert_allclose(scaled.loadings, model.loadings * scale, rtol=1e-9)
    assert scaled.noise_variance == pytest.approx(model.noise_variance * scale**2, rel=1e-10)


def test_small_noise_beside_large_signal_keeps_its_digits() -> None:
    # The noise is 2e-9 of the largest eigenvalue: squares of the data carry it to about 7 digits, the data to all.
    rng = np.random.default_rng(0)
    table = np.outer(rng.normal(size=400), np.ones(6)) * 1e4 + rng.normal(size=(400, 6))
    model = fit_closed_form(table, 1)
    singular = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    assert model.noise_variance == pytest.approx((singular[1:] ** 2).sum() / 400 / 5, rel=1e-11)


def test_columns_of_very_different_scale() -> None:
    table = make_table(100, 4, 2) * [1e12, 1.0, 1e-12, 1e-6]
    for n_components in range(5):
        model = fit_closed_form(table, n_components)
        assert np.isfinite(model.log_density(table)).all()
        assert np.isfinite(model.loadings).all()


def test_nothing_left_for_the_noise() -> None:
    table = make_table(50, 4, 2)
    full = fit_closed_form(table, 4)
    total = np.var(table, axis=0).sum()
    assert full.noise_variance == pytest.approx(noise_floor(total, np.abs(table).max()))
    np.testing.assert_allclose(full.covariance(), np.cov(table.T, bias=True), rtol=1e-9)
    assert np.isfinite(full.log_density(table)).all()
    few_rows = fit_closed_form(table[:3], 2)
    assert np.isfinite(few_rows.log_density(table[:3])).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -1e12])
def test_constant_table(value: float) -> None:
    table = np.full((10, 3), value)
    model = fit_closed_form(table, 2)
    np.testing.assert_allclose(model.mean, value)
    assert not model.loadings.any()
    assert model.noise_variance > 0
    assert np.isfinite(model.log_density(table)).all()


def test_constant_column_and_single_column() -> None:
    table = np.column_stack([make_table(50, 3, 1), np.full(50, 2.0)])
    model = fit_closed_form(table, 1)
    assert model.loadings[3] == pytest.approx(0.0, abs=1e-12)
    single = fit_closed_form(table[:, :1], 0)
    assert single.noise_variance == pytest.approx(table[:, 0].var())


@pytest.mark.parametrize(("shape", "n_components"), [((10, 3), 4), ((3, 10), 3), ((10, 3), -1)])
def test_refuses_impossible_ranks(shape: tuple[int, int], n_components: int) -> None:
    with pytest.raises(ValueError, match=f"n_components={n_components} must lie between 0 and"):
        fit_closed_form(np.zeros(shape), n_components)


def test_refuses_bad_tables() -> None:
    with pytest.raises(ValueError, match="n_samples=1"):
        fit_closed_form(np.zeros((1, 3)), 1)
    with pytest.raises(ValueError, match="row 0, column 1"):
        fit_closed_form(np.array([[0.0, np.nan], [1.0, 2.0]]), 1)
    with pytest.raises(ValueError, match="no columns"):
        fit_closed_form(np.zeros((3, 0)), 0)
