"""Standard errors from inner products alone, where rows and model are each taken about their own mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

import underlie as ul

Array = NDArray[np.float64]
X = np.random.default_rng(0).gamma(2.0, size=(90, 4)) @ np.random.default_rng(1).normal(size=(4, 4)) + 3.0


class Decoder:
    """Skew columns given two latent variables, so that every cumulant takes part."""

    n_features_in_ = 4
    loadings = np.random.default_rng(2).normal(size=(2, 4))

    def moments(self, z: Array, order: int = 2) -> tuple[Array, ...]:
        shape, mean = 2.0, np.exp(0.3 * z @ self.loadings)  # gamma
        scale = mean / shape
        return (mean, shape * scale**2, 2 * shape * scale**3, 3 * shape * (shape + 2) * scale**4)[:order]

    def sample_latent(self, m: int, random_state: int) -> Array:
        return np.random.default_rng(random_state).standard_normal((m, 2))


def models() -> dict[str, Any]:
    rows = np.random.default_rng(3).normal(size=(300, 4)) + 3.0
    return {
        "one Gaussian": GaussianMixture(1, random_state=0).fit(rows),
        "mixture": GaussianMixture(2, covariance_type="diag", random_state=0).fit(rows * [1.0, 2.0, 1.0, 0.5]),
        "given z": Decoder(),
        "draws": rows,
    }


@pytest.mark.parametrize("name", list(models()))
@pytest.mark.parametrize("unbiased", [True, False])
def test_the_rows_part_is_that_of_the_tensor(name: str, unbiased: bool) -> None:
    """One formula, summed over entries or over rows."""
    settings: dict[str, Any] = {"order": 4, "centred": True, "unbiased": unbiased, "n_bootstrap": 0, "random_state": 0}
    model = models()[name]
    tensor = ul.mega(model, X, form="tensor", n_draws=64, **settings)
    gram = ul.mega(model, X, form="gram", n_draws=64, **settings)
    for k in (1, 2, 3, 4):
        one, other = tensor.orders[k], gram.orders[k]
        assert other.value == pytest.approx(one.value, rel=1e-7)
        from_rows = [np.sqrt(gap.se**2 - gap.mc_se**2) for gap in (one, other)]
        assert from_rows[1] == pytest.approx(from_rows[0], rel=1e-6)


def test_standardised_rows_have_none() -> None:
    result = ul.mega(models()["draws"], X, order=3, centred=True, standardize=True, form="gram", n_bootstrap=0)
    assert np.isnan(result.orders[3].se)
