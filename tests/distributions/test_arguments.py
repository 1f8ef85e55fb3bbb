"""Arguments that no head can be built from."""

from __future__ import annotations

import pytest

from underlie.distributions import Bernoulli, ContinuousBernoulli, Gaussian, LogNormal, Normal, StudentT


@pytest.mark.parametrize("width", [0, -1, 2.0, True])
def test_width_must_be_a_positive_whole_number(width: object) -> None:
    with pytest.raises(ValueError, match="width must be a positive whole number"):
        Bernoulli(width)


@pytest.mark.parametrize("head", [Normal, StudentT, LogNormal])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.1, float("inf"))])
def test_scale_bounds_must_be_ordered(head: type, bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 < min_scale < max_scale"):
        head(1, min_scale=bounds[0], max_scale=bounds[1])


def test_other_bounds() -> None:
    with pytest.raises(ValueError, match="'column', 'shared' or 'network'"):
        Normal(1, "diagonal")
    with pytest.raises(ValueError, match="min_scale must lie in"):
        ContinuousBernoulli(1, min_scale=0.5)
    with pytest.raises(ValueError, match="bound must lie in"):
        Gaussian(1, bound=0.0)
