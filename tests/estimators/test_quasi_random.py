"""Independent sets of quasi-random draws: what each of them is, and what their spread says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import kstest, qmc

from underlie.estimators.quasi_random import quasi_normal_batches


def test_every_set_has_one_point_in_each_interval_of_every_axis() -> None:
    """A net of base 2 stays one under the scrambling: n = 2^k points, one in each of n equal intervals."""
    uniform = ndtr(quasi_normal_batches(5, 64, 10, np.random.default_rng(0)))
    cells = np.sort(np.floor(uniform * 64).astype(int), axis=1)
    assert (cells == np.arange(64)[None, :, None]).all()


def test_pairs_of_axes_stay_nets() -> None:
    """The first two axes of Sobol points are a (0, 2)-net: one point in every box of 8 x 4, 4 x 8 and 16 x 2 cells."""
    uniform = ndtr(quasi_normal_batches(4, 32, 2, np.random.default_rng(1)))
    for rows in (2, 4, 8, 16):
        boxes = np.floor(uniform[..., 0] * rows) * (32 // rows) + np.floor(uniform[..., 1] * (32 // rows))
        assert (np.sort(boxes, axis=1) == np.arange(32)).all()


def test_a_point_of_a_set_is_standard_normal() -> None:
    """Over many sets; p < 1e-4 in one of two cases by chance once in 5,000 seeds."""
    draws = quasi_normal_batches(2000, 8, 3, np.random.default_rng(2))
    for point, axis in ((0, 0), (5, 2)):
        assert kstest(draws[:, point, axis], "norm").pvalue > 1e-4


def test_sets_are_independent_of_each_other() -> None:
    """Means of 4 x 500 sets: variance of a mean over groups of four is a quarter of that of one (within 25 %)."""
    means = np.exp(0.5 * quasi_normal_batches(2000, 16, 4, np.random.default_rng(3))[..., 0]).mean(axis=1)
    assert means.reshape(500, 4).mean(axis=1).var() == pytest.approx(means.var() / 4, rel=0.25)


def test_means_vary_no_more_than_those_of_scipys_scrambling() -> None:
    """A smooth function in eight dimensions; the ratio of the variances has a standard error of .06."""

    def means(draws: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(0.3 * draws[..., 0] + 0.2 * draws[..., 5]).mean(axis=-1))

    ours = means(quasi_normal_batches(500, 32, 8, np.random.default_rng(4)))
    one_by_one = [qmc.MultivariateNormalQMC(np.zeros(8), seed=s, inv_transform=True).random(32) for s in range(500)]
    theirs = means(np.stack(one_by_one))
    assert ours.var() < 1.25 * theirs.var()
    assert abs(ours.mean() - np.exp(0.065)) < 5 * ours.std() / np.sqrt(500)


@pytest.mark.parametrize(("n", "width"), [(1, 3), (7, 2), (4, 30_000)])
def test_any_size(n: int, width: int) -> None:
    draws = quasi_normal_batches(2, n, width, np.random.default_rng(0))
    assert draws.shape == (2, n, width)
    assert np.isfinite(draws).all()
    assert (draws[0] != draws[1]).all()
