"""Laws of the bootstrap likelihood-ratio test: its formula, its level, and that it finds separate groups."""

from __future__ import annotations

import numpy as np
import pytest

import underlie as ul

RNG = np.random.default_rng(0)
GROUPS = np.concatenate([RNG.normal(centre, 1.0, size=(40, 2)) for centre in (-4.0, 0.0, 4.0)])


def test_sequence_finds_three_separate_groups() -> None:
    found = ul.fit_mixtures(GROUPS, range(1, 6), random_state=0)
    test = found.bootstrap_test(covariance_type="spherical", n_bootstrap=39, random_state=0)
    assert test.n_components == 3
    assert list(test.table.index) == [1, 2, 3]
    assert (test.table.loc[[1, 2], "p_value"] <= 1 / 36).all()
    for k, row in test.table.iterrows():
        assert row["p_value"] == (1 + (test.simulated[k] >= row["statistic"]).sum()) / (1 + row["n_bootstrap"])
    assert "K = 3 at level 0.05" in str(test)
    difference = (
        found.table.loc[(3, "spherical"), "log_likelihood"] - found.table.loc[(2, "spherical"), "log_likelihood"]
    )
    assert test.table.loc[2, "statistic"] == pytest.approx(2 * difference, abs=0.05)


def test_samples_side_by_side_are_samples_one_after_another() -> None:
    found = ul.fit_mixtures(GROUPS, [1, 2], covariance_types="tied", random_state=0)
    one, two = (found.bootstrap_test(1, n_bootstrap=8, n_init=4, random_state=0, n_jobs=jobs) for jobs in (None, 2))
    np.testing.assert_array_equal(one.simulated[1], two.simulated[1])


def test_level_of_one_against_two() -> None:
    """40 tables of one normal at level .2: outside 1..17 rejections once in 3,000 seeds (binomial, 8 expected)."""
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(40):
        found = ul.fit_mixtures(rng.normal(size=(40, 1)), [1], covariance_types="full", random_state=rng)
        test = found.bootstrap_test(1, n_bootstrap=4, n_init=4, random_state=rng)
        rejected += test.table.loc[1, "p_value"] <= 0.2
    assert 1 <= rejected <= 17


def test_refusals() -> None:
    found = ul.fit_mixtures(GROUPS, [1, 2], covariance_types="tied", random_state=0)
    with pytest.raises(ValueError, match="level=1.5"):
        found.bootstrap_test(level=1.5)
    with pytest.raises(ValueError, match="covariance_types='round'"):
        found.bootstrap_test(covariance_type="round")
    with pytest.raises(ValueError, match="n_bootstrap=0"):
        found.bootstrap_test(n_bootstrap=0)
