"""A regression with given coefficients, for any number of axes between replicates and rows."""

from __future__ import annotations

import torch

from underlie.nn import Regression, stack


def one(seed: int) -> Regression:
    """Three terms, two features of a treatment, two components."""
    g = torch.Generator().manual_seed(seed)
    return Regression(
        torch.randn(2, generator=g),
        torch.randn(3, 2, generator=g),
        torch.eye(2),
        torch.randn(2 + 2 * 3, 2, generator=g),
        torch.randn(2, generator=g),
    )


def test_every_replicate_has_its_own_centre_whatever_the_axes() -> None:
    """Three replicates against each alone, with an axis of views of the data behind the replicates."""
    g = torch.Generator().manual_seed(9)
    alone = [one(seed) for seed in range(3)]
    terms, t = torch.randn(3, 1, 5, 3, generator=g), torch.randn(3, 1, 5, 2, generator=g)
    together = stack(alone)
    plain, enumerated = together(terms, t), together(terms[:, None], t[:, None])
    assert enumerated.shape == (3, 1, 1, 5, 2)
    torch.testing.assert_close(enumerated[:, 0], plain)
    for r, regression in enumerate(alone):
        torch.testing.assert_close(plain[r : r + 1], regression(terms[r : r + 1], t[r : r + 1]))


def test_the_formula() -> None:
    """b + phi Theta + (tau, phi x tau) Gamma, feature by feature."""
    g, found = torch.Generator().manual_seed(4), one(0)
    terms, t = torch.randn(1, 1, 5, 3, generator=g), torch.randn(1, 1, 5, 2, generator=g)
    assert found.treatment is not None
    assert found.centre is not None
    tau, gamma = t - found.centre, found.treatment[0]
    by_hand = found.intercept[0] + terms @ found.weight[0] + tau @ gamma[:2]
    for k in range(2):
        by_hand = by_hand + (tau[..., k : k + 1] * terms) @ gamma[2 + 3 * k : 5 + 3 * k]
    torch.testing.assert_close(found(terms, t), by_hand)
