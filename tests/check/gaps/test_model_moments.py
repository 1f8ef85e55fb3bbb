"""A model's moments from batches of its draws: how many draws the model is asked for at a time changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from underlie.check.adapters import moment_model
from underlie.check.gaps import model_moments as module
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.model_moments import model_moments
from underlie.check.gaps.monomials import n_monomials

Array = NDArray[np.float64]


class Decoder:
    """Three columns given two latent variables, each gamma given them; it keeps what it was asked for."""

    n_features_in_ = 3

    def __init__(self) -> None:
        self.asked: list[int] = []

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        self.asked.append(len(z))
        mean = np.exp(0.3 * z @ np.array([[1.0, 0.5, 0.0], [0.0, -0.5, 1.0]]))
        return (mean, mean**2 / 4, mean**3 / 8, 3 * mean**4 * (1 + 2 / 4 / 1) / 16)[:order]

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))


def found(n_draws: int, order: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Array], list[int]]:
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", cells)
    decoder = Decoder()
    moments = model_moments(moment_model(decoder), np.full(3, 1.1), order, n_draws, np.random.default_rng(0))
    return moments.batches, decoder.asked


@pytest.mark.parametrize("order", [1, 2, 4])
def test_batches_asked_for_together_or_a_few_draws_at_a_time(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together, once = found(100, order, 10**6, monkeypatch)
    apart, often = found(100, order, 3 * 7, monkeypatch)  # 7 draws at a time: batches of 6 and 7 draws are cut
    assert once == [100]
    assert often == [7] * 14 + [2]
    for degree, (one, other) in enumerate(zip(together, apart, strict=True), start=1):
        assert one.shape == (16, n_monomials(3, degree))
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("centred", [False, True])
def test_gaps_of_many_batches_are_those_of_each(centred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, _ = found(64, 4, 10**6, monkeypatch)
    rng = np.random.default_rng(1)
    data = [rng.normal(size=one.shape[1]) for one in batches]
    counts = [np.full(one.shape[1], 50.0) for one in batches]
    reference = np.full(3, 1.1)
    frame = Frame(reference, np.array([0.2, 1.0, -1.0]), np.array([1.0, 2.0, 0.5]), True, centred, True)
    before = [one.copy() for one in batches]
    together = frame.gap(data, counts, batches)
    for r in range(16):
        for one, other in zip(together, frame.gap(data, counts, [batch[r] for batch in batches]), strict=True):
            np.testing.assert_allclose(one[r], other, rtol=1e-12, atol=1e-12)
    for one, other in zip(batches, before, strict=True):
        np.testing.assert_array_equal(one, other)
