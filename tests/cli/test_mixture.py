"""The search by BIC finds what is there."""

from __future__ import annotations

import numpy as np
import pytest

from underlie.cli.mixture import mixture_by_bic


def test_one_gaussian_is_one_component():
    X = np.random.default_rng(0).normal(size=(600, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    found = mixture_by_bic(X, 0)
    assert (found.n_components, found.covariance_type) == (1, "full")


def test_separate_round_clusters_are_counted():
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(10 * k, 1, size=(300, 3)) for k in range(3)])
    found = mixture_by_bic(X, 0)
    assert (found.n_components, found.covariance_type) == (3, "diag")
    assert found.fit_time_ > 0


@pytest.mark.parametrize("n", [2, 5, 30])
def test_few_rows_are_enough(n):
    X = np.random.default_rng(2).normal(size=(n, 2))
    assert mixture_by_bic(X, 0).n_components <= max(1, n // 10)
