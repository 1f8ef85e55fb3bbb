"""LinearGaussian: every answer equals Gaussian conditioning written out with dense matrices, whatever is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from underlie.models import ppca_rows
from underlie.models.ppca import LinearGaussian

N_COLUMNS, N_LATENT = 7, 3


def make_model(seed: int = 0, n_columns: int = N_COLUMNS, n_latent: int = N_LATENT) -> LinearGaussian:
    rng = np.random.default_rng(seed)
    return LinearGaussian(rng.normal(size=n_columns) * 3, rng.normal(size=(n_columns, n_latent)), 0.7)


def make_table(model: LinearGaussian, n: int, missing: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = model.sample(n, rng)
    table[rng.random(table.shape) < missing] = np.nan
    return table


def few_patterns(model: LinearGaussian, n: int) -> np.ndarray:
    """Three patterns, interleaved: nothing missing, two columns missing, all missing."""
    table = model.sample(n, 3)
    table[1::3, :2] = np.nan
    table[2::30] = np.nan
    return table


def dense_answers(
    model: LinearGaussian, row: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-density, mean and covariance of z, mean and covariance of the missing cells, with D x D matrices."""
    seen = ~np.isnan(row)
    full = model.loadings @ model.loadings.T + model.noise_variance * np.eye(model.n_features)
    gap = row[seen] - model.mean[seen]
    inverse = np.linalg.inv(full[np.ix_(seen, seen)])
    density = multivariate_normal(model.mean[seen], full[np.ix_(seen, seen)]).logpdf(row[seen]) if seen.any() else 0.0
    gain = model.loadings[seen].T @ inverse
    latent = gain @ gap
    latent_covariance = np.eye(model.n_components) - gain @ model.loadings[seen]
    across = full[np.ix_(~seen, seen)] @ inverse
    expected = model.mean[~seen] + across @ gap
    spread = full[np.ix_(~seen, ~seen)] - across @ full[np.ix_(seen, ~seen)]
    return float(density), latent, latent_covariance, expected, spread


@pytest.mark.parametrize("n_latent", [0, 1, 3, 7])
@pytest.mark.parametrize("layout", ["scattered", "few patterns", "complete"])
def test_agrees_with_dense_conditioning(layout: str, n_latent: int) -> None:
    model = make_model(n_latent=n_latent)
    tables = {
        "scattered": make_table(model, 60, 0.5),
        "few patterns": few_patterns(model, 120),
        "complete": model.sample(40, 0),
    }
    table = tables[layout]
    density, (latent, covariance), filled = model.log_density(table), model.posterior(table), model.impute(table)
    for i, row in enumerate(table):
        expected = dense_answers(model, row)
        assert density[i] == pytest.approx(expected[0], rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(latent[i], expected[1], atol=1e-11)
        np.testing.assert_allclose(covariance[i], expected[2], atol=1e-11)
        np.testing.assert_allclose(filled[i, np.isnan(row)], expected[3], atol=1e-10)
        np.testing.assert_array_equal(filled[i, ~np.isnan(row)], row[~np.isnan(row)])
    np.testing.assert_allclose(model.posterior_mean(table), latent, atol=1e-12)


def test_both_layouts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    table = few_patterns(model, 300)
    grouped = model.log_density(table), model.posterior(table), model.impute(table)
    monkeypatch.setattr(ppca_rows, "_ROWS_PER_PATTERN", 10**9)
    scattered = model.log_density(table), model.posterior(table), model.impute(table)
    np.testing.assert_allclose(grouped[0], scattered[0], rtol=1e-12)
    np.testing.assert_allclose(grouped[1][0], scattered[1][0], atol=1e-12)
    np.testing.assert_allclose(grouped[1][1], scattered[1][1], atol=1e-12)
    np.testing.assert_allclose(grouped[2], scattered[2], atol=1e-12)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    table = make_table(model, 500, 0.4)
    whole = model.log_density(table)
    monkeypatch.setattr(ppca_rows, "_CACHE_VALUES", 1)
    np.testing.assert_allclose(model.log_density(table), whole, rtol=1e-12)


def test_row_without_observed_cells_is_the_prior() -> None:
    model = make_model()
    table = np.full((2, N_COLUMNS), np.nan)
    mean, covariance = model.posterior(table)
    assert not model.log_density(table).any()
    assert not mean.any()
    np.testing.assert_allclose(covariance, np.broadcast_to(np.eye(N_LATENT), covariance.shape), atol=1e-14)
    np.testing.assert_allclose(model.impute(table), np.broadcast_to(model.mean, table.shape))


def test_draws_have_the_conditional_moments() -> None:
    # Each of 2 x 44 comparisons of normal means and covariances at 5 standard errors: false alarms below 1e-4.
    model = make_model()
    row = make_table(model, 1, 0.0)
    row[0, [1, 2, 5, 6]] = np.nan
    n_draws = 20_000
    *_, expected, spread = dense_answers(model, row[0])
    for table in (row, np.vstack([row, make_table(model, 50, 0.5)])):
        draws = model.impute_draws(table, n_draws if len(table) == 1 else 4000, 0)[:, 0]
        missing = draws[:, np.isnan(row[0])]
        scale = np.sqrt(np.diag(spread) / len(draws))
        assert (np.abs(missing.mean(axis=0) - expected) < 5 * scale).all()
        error = np.sqrt((np.outer(np.diag(spread), np.diag(spread)) + spread**2) / len(draws))
        assert (np.abs(np.cov(missing.T) - spread) < 5 * error).all()
        np.testing.assert_array_equal(draws[:, ~np.isnan(row[0])], np.broadcast_to(row[0, [0, 3, 4]], (len(draws), 3)))


def test_draws_of_a_row_without_observed_cells_are_samples() -> None:
    # 7 means and 28 covariances at 5 standard errors: false alarm rate below 3e-5.
    model = make_model()
    draws = model.impute_draws(np.full((1, N_COLUMNS), np.nan), 20_000, 5)[:, 0]
    full = model.covariance()
    assert (np.abs(draws.mean(axis=0) - model.mean) < 5 * np.sqrt(np.diag(full) / len(draws))).all()
    error = np.sqrt((np.outer(np.diag(full), np.diag(full)) + full**2) / len(draws))
    assert (np.abs(np.cov(draws.T) - full) < 5 * error).all()


def test_same_seed_same_draws() -> None:
    model = make_model()
    table = make_table(model, 30, 0.3)
    np.testing.assert_array_equal(model.impute_draws(table, 2, 7), model.impute_draws(table, 2, 7))
    np.testing.assert_array_equal(model.sample(5, 7), model.sample(5, np.random.default_rng(7)))


def test_samples_have_the_stated_moments() -> None:
    # 7 means, 28 second moments at 5 standard errors: false alarm rate below 3e-5.
    model = make_model()
    rows = model.sample(40_000, 2)
    assert (np.abs(rows.mean(axis=0) - model.moments(1)) < 5 * rows.std(axis=0) / np.sqrt(len(rows))).all()
    products = np.einsum("ni,nj->nij", rows, rows)
    error = products.std(axis=0) / np.sqrt(len(rows))
    assert (np.abs(products.mean(axis=0) - model.moments(2)) < 5 * error).all()


def test_density_integrates_to_one() -> None:
    model = LinearGaussian([0.5, -1.0], [[1.2], [-0.4]], 0.3)
    grid = np.linspace(-12, 12, 401)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    total = np.exp(model.log_density(points)).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1.0, abs=1e-10)


def test_canonical_form() -> None:
    model = make_model()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(N_LATENT, N_LATENT)))[0]
    turned = LinearGaussian(model.mean, model.loadings @ rotation, model.noise_variance)
    canonical = model.canonical()
    np.testing.assert_allclose(canonical.loadings, turned.canonical().loadings, atol=1e-12)
    np.testing.assert_allclose(canonical.covariance(), model.covariance(), atol=1e-12)
    gram = canonical.loadings.T @ canonical.loadings
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)
    assert (np.diff(np.diag(gram)) <= 0).all()
    largest = np.abs(canonical.loadings).argmax(axis=0)
    assert (canonical.loadings[largest, np.arange(N_LATENT)] > 0).all()
    eigenvalues = np.linalg.eigvalsh(model.covariance())[::-1][:N_LATENT]
    np.testing.assert_allclose(np.diag(gram) + model.noise_variance, eigenvalues, rtol=1e-12)


def test_conditional_of_columns_given_others() -> None:
    model = make_model()
    targets, given = [4, 0], [1, 2, 6]
    found = model.conditional(targets, given)
    full = model.covariance()
    slope = full[np.ix_(targets, given)] @ np.linalg.inv(full[np.ix_(given, given)])
    np.testing.assert_allclose(found.coefficients, slope, atol=1e-12)
    spread = full[np.ix_(targets, targets)] - slope @ full[np.ix_(given, targets)]
    np.testing.assert_allclose(found.covariance, spread, atol=1e-12)
    table = make_table(model, 5, 0.0)
    holed = np.full_like(table, np.nan)
    holed[:, given] = table[:, given]
    np.testing.assert_allclose(found.mean(table[:, given]), model.impute(holed)[:, targets], atol=1e-11)
    marginal = model.conditional(targets, [])
    np.testing.assert_allclose(marginal.covariance, full[np.ix_(targets, targets)], atol=1e-12)
    np.testing.assert_allclose(marginal.intercept, model.mean[targets])


@pytest.mark.parametrize(("targets", "given"), [([0], [0]), ([7], [0]), ([0, 0], [1]), ([-1], [0])])
def test_conditional_refuses_bad_columns(targets: list[int], given: list[int]) -> None:
    with pytest.raises(ValueError, match="distinct columns"):
        make_model().conditional(targets, given)


def test_nearly_singular_noise_stays_finite_and_right() -> None:
    # Loadings 1e6 times the noise: quadratic forms would cancel if they were written as a difference.
    rng = np.random.default_rng(0)
    model = LinearGaussian(np.zeros(5), rng.normal(size=(5, 2)), 1e-12)
    table = model.sample(200, 1)
    table[rng.random(table.shape) < 0.3] = np.nan
    density = model.log_density(table)
    complete = ~np.isnan(table).any(axis=1)
    axes, lengths, _ = np.linalg.svd(model.loadings)
    along = table[complete] @ axes
    variances = np.r_[lengths**2, 0.0, 0.0, 0.0] + model.noise_variance
    expected = -0.5 * (np.log(2 * np.pi * variances) + along**2 / variances).sum(axis=1)
    # The table itself is rounded to 1e-16, 1e-10 of the noise.
    np.testing.assert_allclose(density[complete], expected, atol=1e-3)
    assert np.isfinite(density).all()
    assert np.isfinite(model.impute_draws(table, 2, 0)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [[1.0], [2.0]], 1.0), "do not fit"),
        (([0.0], [[np.nan]], 1.0), "must be finite"),
        (([0.0], [[1.0]], 0.0), "noise_variance must be positive"),
        (([0.0], [[1.0]], np.nan), "noise_variance must be positive"),
    ],
)
def test_refuses_bad_parameters(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearGaussian(*arguments)


def test_refuses_bad_tables() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="6 columns, the model has 7"):
        model.log_density(np.zeros((2, 6)))
    table = np.zeros((2, 7))
    table[1, 3] = np.inf
    with pytest.raises(ValueError, match="row 1, column 3"):
        model.impute(table)
    with pytest.raises(ValueError, match="two-dimensional"):
        model.posterior(np.zeros(7))
    with pytest.raises(ValueError, match="n_draws"):
        model.impute_draws(np.zeros((2, 7)), 0, 0)
    with pytest.raises(ValueError, match="order"):
        model.moments(3)
    with pytest.raises(ValueError, match="n must not be negative"):
        model.sample(-1, 0)


def test_empty_tables() -> None:
    model = make_model()
    empty = np.empty((0, N_COLUMNS))
    assert model.log_density(empty).shape == (0,)
    assert model.impute(empty).shape == (0, N_COLUMNS)
    assert model.posterior(empty)[1].shape == (0, N_LATENT, N_LATENT)
    assert model.sample(0, 0).shape == (0, N_COLUMNS)


def test_input_is_left_alone() -> None:
    model = make_model()
    table = make_table(model, 20, 0.4)
    before = table.copy()
    model.impute(table)
    model.impute_draws(table, 1, 0)
    model.log_density(table)
    np.testing.assert_array_equal(table, before)
