"""Axes through latent space: moving along them does what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.app.images.plane import Axes


@pytest.fixture(scope="module")
def encoded():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 2


@pytest.mark.parametrize("chosen", [(0, 1), (0, 7), (6, 5), (9, 2)])
def test_a_place_that_was_moved_has_the_position_asked_for(encoded, chosen):
    axes = Axes.of(5, encoded)
    moved = axes.moved(encoded[3], chosen, (1.5, -0.25))
    np.testing.assert_allclose(axes.positions(moved[None], chosen)[0], [1.5, -0.25], atol=1e-9)


def test_coordinates_that_are_not_shown_stay(encoded):
    axes = Axes.of(5, encoded)
    across, up = axes.names.index("z2"), axes.names.index("z4")
    moved = axes.moved(encoded[0], (across, up), (9.0, 8.0))
    assert np.array_equal(np.delete(moved, [1, 3]), np.delete(encoded[0], [1, 3]))
    np.testing.assert_allclose(moved[[1, 3]], [9, 8])


def test_no_shorter_move_leads_there(encoded):
    axes = Axes.of(5, encoded)
    step = axes.moved(encoded[0], (0, 1), (0.0, 0.0)) - encoded[0]
    shown = axes.directions[:2]
    np.testing.assert_allclose(step - np.linalg.pinv(shown) @ shown @ step, 0, atol=1e-9)


def test_principal_axes_are_those_of_the_covariance(encoded):
    axes = Axes.of(5, encoded)
    positions = axes.positions(encoded, (0, 1))
    np.testing.assert_allclose(positions.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(positions.var(axis=0), np.linalg.eigvalsh(np.cov(encoded.T, ddof=0))[:-3:-1])


@pytest.mark.parametrize(("n_latent", "rows"), [(1, 9), (2, 9), (4, 0), (4, 2)])
def test_few_coordinates_or_rows_have_no_principal_axes(n_latent, rows):
    axes = Axes.of(n_latent, np.ones((rows, n_latent)) if rows else None)
    assert axes.names == tuple(f"z{j + 1}" for j in range(n_latent))
    chosen = tuple(range(min(2, n_latent)))
    assert axes.positions(np.zeros((3, n_latent)), chosen).shape == (3, 2)
    assert axes.moved(np.zeros(n_latent), chosen, (1.0, 2.0))[0] == 1


def test_rows_that_all_lie_in_one_place_have_axes_too():
    axes = Axes.of(4, np.ones((10, 4)))
    assert np.isfinite(axes.positions(np.ones((10, 4)), (0, 1))).all()
