"""The paper's estimate of a mixture's gap: right on average, exact without draws, and what selection makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.cli.reproduce_recipe import MixtureMoments, fit_sizes, noisy_path, penalty
from underlie.cli.reproduce_selection import before_one, study_paths
from underlie.cli.reproduce_toys import clusters, untrained_gap


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_exact_gap_is_that_of_mega(kind):
    X = clusters(200, 0)
    model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X[:100])
    first, second = MixtureMoments.of(model, X).gap()
    expected = ul.mega(model, X, n_bootstrap=0)
    assert first == pytest.approx(expected.first, rel=1e-9)
    assert second == pytest.approx(expected.second, rel=1e-9)


def test_forward_gaps_are_those_of_components_drawn_one_by_one():
    """Squared gaps have the mean exact² + variance / m; 20,000 seeds within 5 standard errors (one failure in 10⁶)."""
    X, m = clusters(200, 1), 50
    model = GaussianMixture(3, random_state=0).fit(X)
    moments = MixtureMoments.of(model, X)
    drawn = moments.forward_gaps(m, 20_000, np.random.default_rng(0)) ** 2
    for column, parts in enumerate((moments.firsts, moments.seconds.reshape(4, -1))):
        mean = moments.weights @ parts[1:]
        spread = moments.weights @ np.sum((parts[1:] - mean) ** 2, axis=1)
        expected = moments.gap()[column] ** 2 + spread / m
        error = drawn[:, column].std() / np.sqrt(len(drawn))
        assert abs(drawn[:, column].mean() - expected) < 5 * error


def test_em_matches_moments_whatever_the_number_of_components():
    X = clusters(300, 2)
    for model in fit_sizes(X, (1, 2, 5), 0).values():
        first, second = MixtureMoments.of(model, X, unbiased=False).gap()
        assert first == pytest.approx(0.0, abs=1e-12)
        # what is left is scikit-learn's floor of 1e-6 on both variances
        assert second == pytest.approx(1e-6 * np.sqrt(2), rel=1e-4)


def test_path_from_the_likeliest_to_the_least_penalised():
    sizes, alphas = (1, 2, 3), np.linspace(0, 100, 201)
    likelihood, penalties = np.array([0.0, 1.0, 1.5]), np.array([0.1, 0.2, 0.9])
    assert noisy_path(likelihood, penalties, sizes, alphas) == (3, 2, 1)
    assert noisy_path(likelihood, np.full(3, 0.3), sizes, alphas) == (3,)
    assert before_one((20, 3, 1)) == 3
    assert before_one((20, 2)) == 2
    assert before_one((20,)) == 20
    assert penalty(np.array([0.5, 4.0])) == pytest.approx(2.5)


def test_exact_penalty_never_leaves_the_largest_likelihood_and_noise_does():
    X = clusters(300, 3)
    study = study_paths(fit_sizes(X, (1, 2, 3, 5), 0), X, 100, 0)
    assert study.exact_path == (study.sizes[int(np.argmax(study.log_likelihood))],)
    assert np.ptp(study.exact[:, 1]) < 1e-9
    assert len(set(study.paths)) > 1
    # one component has no draws to be unlucky with
    assert np.ptp(study.gaps[:, 0], axis=0).max() < 1e-9


def test_untrained_network_is_far_from_the_clusters():
    first, second = untrained_gap(clusters(1000, 0), 0)
    assert 1.5 < first < 4.0
    assert second > 10.0
