"""Laws of moments entry by entry: monomials, shifts, unfoldings, Gaussians, moments given z."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from underlie.check.gaps.frame import Frame
from underlie.check.gaps.gaussians import Full, Gaussians, LowRank
from underlie.check.gaps.monomials import monomials, n_monomials, scaled, shifted
from underlie.check.gaps.raw_moments import available_means, conditional_means, gaussian_means, row_sums

Array = NDArray[np.float64]
ORDERS = (1, 2, 3, 4)


def rows(n: int = 20, width: int = 3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).gamma(2.0, size=(n, width))


def full(x: Array, order: int) -> Array:
    """E[x (x) ... (x) x] by einsum."""
    letters = "abcd"[:order]
    return np.einsum(",".join("i" + one for one in letters) + "->" + letters, *[x] * order) / len(x)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_monomials_are_the_distinct_entries_of_the_tensor(width: int, order: int) -> None:
    shape, x = monomials(width, order), rows(width=width)
    assert len(shape) == n_monomials(width, order)
    assert [tuple(one) for one in shape.columns] == [
        index for index in product(range(width), repeat=order) if list(index) == sorted(index)
    ]
    np.testing.assert_array_equal(shape.position(shape.columns), np.arange(len(shape)))
    assert shape.multiplicity.sum() == width**order
    means = shape.evaluate(x).mean(axis=0)
    np.testing.assert_allclose(shape.tensor(means), full(x, order), rtol=1e-12)
    np.testing.assert_allclose(row_sums(x, 4)[order - 1] / len(x), means, rtol=1e-12)
    np.testing.assert_allclose(shape.multiplicity @ means**2, np.sum(full(x, order) ** 2), rtol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_unfolding_has_the_singular_values_of_the_tensor_and_folding_is_its_adjoint(order: int) -> None:
    shape, rng = monomials(4, order), np.random.default_rng(0)
    values = rng.normal(size=len(shape))
    plain = shape.tensor(values).reshape(4, -1)
    ours = shape.unfold(values)
    size = min(ours.shape)
    np.testing.assert_allclose(
        np.linalg.svd(ours, compute_uv=False)[:size], np.linalg.svd(plain, compute_uv=False)[:size], rtol=1e-10
    )
    other = rng.normal(size=ours.shape)
    assert np.sum(other * ours) == pytest.approx(shape.fold(other) @ values, rel=1e-12)


def test_shifted_and_scaled_moments_are_those_of_shifted_and_scaled_rows() -> None:
    x, by, scale = rows(), np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.1, 3.0])
    means, moved = (available_means(one, 4)[0] for one in (x, x + by))
    for found, expected in zip(shifted(means, by, 1.0), moved, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    y = rows(seed=1)
    gaps = [a - b for a, b in zip(means, available_means(y, 4)[0], strict=True)]
    expected_gaps = [a - b for a, b in zip(moved, available_means(y + by, 4)[0], strict=True)]
    for found, expected in zip(shifted(gaps, by, 0.0), expected_gaps, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    for found, expected in zip(scaled(means, scale), available_means(x / scale, 4)[0], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_sums_in_blocks_and_with_weights_are_the_sums() -> None:
    x = rows(3_000_000 // 400, 400)[:, :3]
    wide = rows(12_000, 400)
    for found, expected in zip(row_sums(wide, 2), (wide.sum(0), (wide.T @ wide)[np.triu_indices(400)]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    weights = np.random.default_rng(0).random(len(x))
    for order, found in enumerate(row_sums(x, 4, weights), start=1):
        np.testing.assert_allclose(found, weights @ monomials(3, order).evaluate(x), rtol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "low rank"])
def test_gaussian_moments_are_those_of_gauss_hermite_quadrature(covariance: str) -> None:
    """Exact for polynomials up to degree 15."""
    rng = np.random.default_rng(0)
    mean, loadings, noise = rng.normal(size=3), rng.normal(size=(3, 1)), np.array([0.3, 0.5, 1.0])
    which = LowRank(loadings, noise)
    one = which if covariance == "low rank" else Full(which.dense())
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    grid = np.array(list(product(nodes, repeat=3)))
    weight = np.prod(np.array(list(product(weights, repeat=3))), axis=1) / (2 * np.pi) ** 1.5
    x = mean + grid @ np.linalg.cholesky(which.dense()).T
    for found, again, expected in zip(
        gaussian_means(mean, one.dense(), 4),
        Gaussians(np.ones(1), mean[None], [one]).moments(np.zeros(3), 4),
        row_sums(x, 4, weight),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(again, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("low_rank", [False, True])
def test_products_of_two_mixtures_are_inner_products_of_their_tensors(low_rank: bool) -> None:
    rng = np.random.default_rng(1)
    parts = [LowRank(rng.normal(size=(3, m)), rng.random(3) + 0.1) for m in (0, 2)]
    mixture = Gaussians(
        np.array([0.3, 0.7]), rng.normal(size=(2, 3)), parts if low_rank else [Full(c.dense()) for c in parts]
    )
    points = rng.normal(size=(5, 3))
    moments = mixture.moments(np.zeros(3), 4)
    with_points, with_itself = mixture.products_with(points, 4), mixture.products_with_itself(4)
    for order, moment in enumerate(moments, start=1):
        shape = monomials(3, order)
        np.testing.assert_allclose(
            with_points[order - 1], shape.evaluate(points) @ (shape.multiplicity * moment), rtol=1e-10
        )
        assert with_itself[order - 1] == pytest.approx(shape.multiplicity @ moment**2, rel=1e-10)
    moved = mixture.transformed(np.array([1.0, 0.0, -1.0]), np.array([2.0, 1.0, 0.5]))
    np.testing.assert_allclose(
        moved.moments(np.zeros(3), 2)[0], (mixture.mean() - [1, 0, -1]) / [2, 1, 0.5], rtol=1e-10
    )
    d = mixture.covariance() / np.outer([2, 1, 0.5], [2, 1, 0.5])
    np.testing.assert_allclose(moved.covariance(), d, rtol=1e-10)


def test_moments_given_z_are_those_of_independent_skewed_columns() -> None:
    """Columns of two values each: every conditional moment by enumeration, means over 4 draws of z."""
    rng = np.random.default_rng(0)
    low, high, p = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)) + 2, rng.random((4, 3))
    mean = (1 - p) * low + p * high
    central = [mean, *[(1 - p) * (low - mean) ** k + p * (high - mean) ** k for k in (2, 3, 4)]]
    for order, found in enumerate(conditional_means(central, ()), start=1):
        total = np.zeros(len(found))
        for pattern in product((0, 1), repeat=3):
            chosen = np.where(pattern, high, low)
            chance = np.prod(np.where(pattern, p, 1 - p), axis=1)
            total += chance @ monomials(3, order).evaluate(chosen) / 4
        np.testing.assert_allclose(found, total, rtol=1e-10)


def test_moments_given_z_of_indicators_exclude_each_other() -> None:
    """One Poisson-like column beside three indicators, by enumeration over the level."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 5)
    rate = rng.random((5, 1)) + 1
    q = p * (1 - p)
    central = [
        np.hstack([rate, p]),
        np.hstack([rate, q]),
        np.hstack([rate, q * (1 - 2 * p)]),
        np.hstack([rate + 3 * rate**2, q * (1 - 3 * q)]),
    ]
    raw = [np.ones(5), *(one[:, 0] for one in (rate, rate + rate**2, rate + 3 * rate**2 + rate**3))]
    raw.append((rate + 7 * rate**2 + 6 * rate**3 + rate**4)[:, 0])
    for order, found in enumerate(conditional_means(central, (np.array([1, 2, 3]),)), start=1):
        columns = monomials(4, order).columns
        expected = np.zeros(len(columns))
        for i, one in enumerate(columns):
            count, levels = int(np.sum(one == 0)), {j for j in one.tolist() if j}
            if len(levels) < 2:
                chance = p[:, levels.pop() - 1] if levels else np.ones(5)
                expected[i] = np.mean(raw[count] * chance)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_available_means_are_over_the_rows_where_all_columns_are_seen() -> None:
    x = rows(50, 3)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    means, counts = available_means(x, 4)
    for order in ORDERS:
        terms = monomials(3, order).evaluate(x)
        np.testing.assert_array_equal(counts[order - 1], np.isfinite(terms).sum(0))
        np.testing.assert_allclose(means[order - 1], np.nanmean(terms, axis=0), rtol=1e-10)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_a_frame_s_gap_is_that_of_rows_in_it(centred: bool, standardize: bool) -> None:
    x, y = rows(40), rows(50, seed=1)
    mean, spread = x.mean(0), x.std(0, ddof=1)
    frame = Frame.of(mean, spread, mean, standardize=standardize, centred=centred, unbiased=False)
    data, counts = available_means(x - mean, 4)
    found = frame.gap(data, counts, available_means(y - mean, 4)[0])
    u, v = frame.rows(x, mean), frame.rows(y, y.mean(0))
    for order in ORDERS:
        if order == 1 and centred:
            expected = (mean - y.mean(0)) / frame.scale
        else:
            expected = monomials(3, order).evaluate(u).mean(0) - monomials(3, order).evaluate(v).mean(0)
        np.testing.assert_allclose(found[order - 1], expected, rtol=1e-9, atol=1e-10)


def test_a_constant_column_keeps_its_unit() -> None:
    mean, spread = np.array([1e6, 2.0]), np.array([1e-12, 0.5])
    frame = Frame.of(mean, spread, mean, standardize=True, centred=False, unbiased=True)
    np.testing.assert_array_equal(frame.scale, [1.0, 0.5])
