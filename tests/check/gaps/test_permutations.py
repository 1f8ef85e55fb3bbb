"""Two samples compared by permutation, the rows read in parts: what is held, and that it is a permutation."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

import underlie as ul
from underlie.check.gaps import rows as rows_module
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.monomials import n_monomials
from underlie.check.gaps.null import _RandomHalves

Array = NDArray[np.float64]


class Counted:
    """Rows that are made when they are asked for; it counts how many of them are held by whoever asked."""

    def __init__(self, n: int, width: int) -> None:
        self.shape, self.dtype = (n, width), np.dtype(float)
        self.held = self.most = self.read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        at = np.arange(len(self))[index]
        out = np.sin(np.outer(at + 1.0, np.arange(1, self.shape[1] + 1))) * 1.7
        self.held, self.read = self.held + len(out), self.read + len(out)
        self.most = max(self.most, self.held)
        weakref.finalize(out, self._freed, len(out))
        return out

    def _freed(self, n: int) -> None:
        self.held -= n


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CELLS_AT_ONCE", 100 * 4)


@pytest.mark.parametrize("settings", [{}, {"standardize": True, "order": 3}, {"centred": True}], ids=str)
@pytest.mark.usefixtures("small_parts")
def test_rows_of_a_source_are_held_some_at_a_time(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is that of the same rows in memory, to the last p-value."""
    source = Counted(2_000, 4)
    draws = np.random.default_rng(0).normal(size=(300, 4))
    whole = ul.mega(draws, source[:], n_bootstrap=39, random_state=1, **settings)
    source.most = source.read = 0
    monkeypatch.setattr(rows_module, "_CELLS_KEPT", 0)
    parted = ul.mega(draws, source, n_bootstrap=39, random_state=1, **settings)
    assert parted.null == "permutation"
    assert source.read > 2_000
    assert source.most <= 3 * 100
    for k, one in whole.orders.items():
        other = parted.orders[k]
        assert (other.value, other.p_value) == (pytest.approx(one.value, rel=1e-12), one.p_value)
        assert other.floor == pytest.approx(one.floor, rel=1e-12)


def halves(n: int, m: int, parts: int, n_permutations: int, order: int = 2, seed: int = 0) -> tuple[Array, list[Any]]:
    x = np.random.default_rng(9).gamma(2.0, size=(n + m, 2))
    made = _RandomHalves(np.full(2, 2.0), order, n, m, n_permutations)
    rng = np.random.default_rng(seed)
    for part in np.array_split(x, parts):
        made.add(part, rng)
    return x, list(made.each())


@pytest.mark.parametrize("parts", [1, 3, 30])
def test_halves_partition_the_rows(parts: int) -> None:
    x, found = halves(20, 10, parts, 5)
    about = x - 2.0
    for half in found:
        for k, total in enumerate((about.sum(0), np.array([*(about[:, :1] * about).sum(0), (about[:, 1] ** 2).sum()]))):
            np.testing.assert_allclose(20 * half.first[k] + 10 * half.second[k], total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("parts", [1, 7])
def test_every_row_is_chosen_equally_often_however_the_rows_come(parts: int) -> None:
    """Means of a random half of 12 of 20 rows: expectation, and the variance of sampling without replacement.

    4,000 permutations: the mean is off by more than 5 standard errors once in 2 million, the variance by 12 % about as
    seldom.
    """
    x, found = halves(12, 8, parts, 4_000, order=1)
    means = np.stack([half.first[0] for half in found]) + 2.0
    spread = x.var(axis=0, ddof=1) / 12 * (1 - 12 / 20)
    assert (np.abs(means.mean(axis=0) - x.mean(axis=0)) < 5 * np.sqrt(spread / 4_000)).all()
    np.testing.assert_allclose(means.var(axis=0), spread, rtol=0.12)


def test_standard_deviations_are_those_of_the_half() -> None:
    x, (half,) = halves(19, 1, 4, 1)
    total = (x - 2.0).sum(axis=0)
    left_out = int(np.argmin(np.abs((total - 19 * half.first[0]) - (x - 2.0)).sum(axis=1)))
    np.testing.assert_allclose(half.spread, np.delete(x, left_out, axis=0).std(axis=0, ddof=1), rtol=1e-10)


@pytest.mark.usefixtures("small_parts")
def test_p_values_of_equal_distributions_are_uniform() -> None:
    """120 pairs of samples; p < 1e-3 by chance once in a thousand seeds."""
    rng = np.random.default_rng(4)
    p = [
        ul.mega(rng.normal(size=(150, 4)), rng.normal(size=(250, 4)), n_bootstrap=39, random_state=rng)
        .orders[2]
        .p_value
        for _ in range(120)
    ]
    assert kstest(np.array(p) - rng.uniform(0, 1 / 40, 120), "uniform").pvalue > 1e-3


@pytest.mark.usefixtures("small_parts")
def test_passes_over_the_rows_when_not_all_sums_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CELLS_KEPT", 0)
    draws = np.random.default_rng(0).normal(size=(300, 4))
    reads = []
    for kept in (10**6, 10 * (n_monomials(4, 1) + n_monomials(4, 2))):
        monkeypatch.setattr("underlie.check.gaps.null._SUMS_AT_ONCE", kept)
        source = Counted(500, 4)
        assert ul.mega(draws, source, n_bootstrap=39, random_state=1).null == "permutation"
        reads.append(source.read)
    assert reads[1] == reads[0] + 3 * 500  # 39 permutations, ten at a time


def test_a_frame_of_other_rows_is_only_made_where_rows_standardise_themselves() -> None:
    frame = Frame.of(np.zeros(2), np.ones(2), np.full(2, 2.0), standardize=False, centred=False, unbiased=True)
    _, (half,) = halves(20, 10, 2, 1)
    gap = half.gap(frame)[0]
    np.testing.assert_allclose(gap, half.first[0] - half.second[0], rtol=1e-12)
