"""Labels spread over graphs of neighbours, against solved equations and hidden labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from underlie.models.neighbours import neighbour_graph, neighbour_prior, spread_labels, spreading_error


def clusters(n: int = 60, apart: float = 8.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three groups, so many standard deviations apart, and their groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    return rng.normal(size=(n, 4)) + apart * np.eye(3, 4)[group], group


def some(codes: np.ndarray, n: int) -> np.ndarray:
    return np.where(np.arange(len(codes)) < n, codes, -1)


def test_the_graph_is_symmetric_and_knows_no_unit() -> None:
    X, _ = clusters()
    graph = neighbour_graph(X)
    assert abs(graph - graph.T).max() == 0
    assert graph.diagonal().max() == 0
    np.testing.assert_array_equal(neighbour_graph(1024.0 * X).toarray(), graph.toarray())  # a power of two: no rounding
    assert ((graph > 0).sum(axis=1) >= 10).all()
    assert graph.max() <= 1


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_rows_and_equal_rows(n: int) -> None:
    for X in (np.arange(float(n))[:, None], np.ones((n, 2))):
        graph = neighbour_graph(X)
        assert graph.shape == (n, n)
        assert np.isfinite(graph.toarray()).all()
        found = spread_labels(graph, np.array([0] + [-1] * (n - 1)))
        assert (found == 0).all()


def test_spreading_is_the_solution_of_its_equation() -> None:
    X, group = clusters(apart=1.5)
    graph, codes = neighbour_graph(X), some(group, 9)
    W = graph.toarray()
    D = W.sum(axis=1)
    S = W / np.sqrt(np.outer(D, D))
    F = np.linalg.solve(np.eye(len(X)) - 0.99 * S, np.eye(3)[codes] * (codes >= 0)[:, None])
    expected = np.where(codes >= 0, codes, F.argmax(axis=1))
    # Where two classes are nearly level, an iteration that stops early may choose the other.
    top = np.sort(F, axis=1)[:, -2:]
    clear = top[:, 1] > 1.05 * top[:, 0]
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(spread_labels(graph, codes)[clear], expected[clear])


def test_labels_stay_within_what_is_connected() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    X[30:] += 1e6
    codes = np.full(60, -1)
    codes[:2] = 0, 1
    found = spread_labels(neighbour_graph(X), codes)
    assert (found[30:] == -1).all()
    assert (found[:30] >= 0).all()
    base = np.log([0.25, 0.5, 0.25])
    prior, _ = neighbour_prior(neighbour_graph(X), codes, base, 0.1)
    np.testing.assert_array_equal(prior[30:], np.tile(base, (30, 1)))


def test_the_error_is_that_of_hidden_labels() -> None:
    X, group = clusters()
    rng = np.random.default_rng(0)
    assert spreading_error(neighbour_graph(X), some(group, 30), rng) == 1 / 32  # groups far apart: none is wrong
    # Labels that have nothing to do with the rows: 2/3 wrong; 5 standard deviations of 120 trials, false alarms 6e-7.
    codes = rng.integers(3, size=120)
    error = spreading_error(neighbour_graph(np.random.default_rng(3).normal(size=(120, 4))), codes, rng)
    assert abs(error - 2 / 3) < 5 * np.sqrt(2 / 9 / 120)


def test_a_single_label_promises_nothing() -> None:
    X, group = clusters()
    assert spreading_error(neighbour_graph(X), some(group, 1), np.random.default_rng(0)) == 2 / 3


def test_the_prior_is_the_share_of_right_guesses() -> None:
    X, group = clusters()
    codes, base = some(group, 30), np.log([0.2, 0.3, 0.5])
    prior, spread = neighbour_prior(neighbour_graph(X), codes, base, 1 / 32)
    np.testing.assert_array_equal(spread, group)
    np.testing.assert_array_equal(prior[:30], np.tile(base, (30, 1)))  # of labelled rows nothing new is said
    p = softmax(prior[30:], axis=1)
    right = p[np.arange(30), group[30:]]
    np.testing.assert_allclose(right, 31 / 32)
    np.testing.assert_allclose(p.sum(axis=1) - right, 1 / 32)
    np.testing.assert_allclose(np.sort(p, axis=1)[:, 0], 1 / 64)


@pytest.mark.parametrize("error", [0.5, 0.75, 0.9])
def test_neighbours_no_better_than_chance_say_nothing(error: float) -> None:
    X, group = clusters()
    prior, _ = neighbour_prior(neighbour_graph(X), some(group % 2, 20), np.log([0.5, 0.5]), error)
    assert np.ptp(prior[20:], axis=1).max() == 0
