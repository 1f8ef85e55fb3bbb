"""The VAE's conditional moments of orders 1 to 4, in the user's units, against draws of x at the same z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import underlie as ul

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

SETTINGS: dict[str, Any] = {"hidden": (8,), "max_epochs": 3, "verbose": False, "random_state": 0}
Z = np.array([[0.0, 0.0], [1.5, -0.5], [-1.0, 1.0]])


def mixed_table(n: int = 400) -> pd.DataFrame:
    """One column of each kind, in units far from those that the network sees."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "height": 1700.0 + 80 * z + 40 * rng.normal(size=n),
            "income": 3e4 * np.exp(0.3 * z + 0.3 * rng.normal(size=n)),
            "visits": rng.poisson(np.exp(1 + z / 3)),
            "clinic": np.where(z + rng.normal(size=n) > 0, 7.0, 3.0),
            "site": pd.Categorical(rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])),
            "dose": pd.Categorical(rng.choice([10, 20, 30], n), categories=[10, 20, 30], ordered=True),
            "share": rng.beta(2, 3, n),
        }
    )


@pytest.fixture(scope="module")
def model() -> ul.VAE:
    return ul.VAE(n_latent=2, kinds={"share": "proportion"}, **SETTINGS).fit(mixed_table())


def draws(model: ul.VAE, z: np.ndarray, n: int, seed: int) -> np.ndarray:
    """n draws of x given z, by the likelihood and the encoder alone, as numeric columns (n, P)."""
    conditioner = model._fitted()
    raw = conditioner._raw(ul.graph.Batch({"z": torch.as_tensor(z, dtype=torch.float32).expand(1, 1, n, -1)}))
    drawn = conditioner.head.sample(raw, torch.Generator().manual_seed(seed))[0, 0].double().numpy()
    return model.encoder_.numeric(model.encoder_.decode(drawn))


def test_moments_of_all_orders_are_those_of_draws(model: ul.VAE) -> None:
    """108 comparisons (9 coordinates, 3 points, 4 orders) at 5 standard errors as estimated from 100,000 draws."""
    n = 100_000
    moments = model.moments(Z, order=4)
    assert [m.shape for m in moments] == [(3, 9)] * 4
    for i, z in enumerate(Z):
        x = draws(model, z, n, seed=i)
        mean = moments[0][i]
        for order, stated in enumerate(moments, 1):
            power = (x if order == 1 else x - mean) ** order
            error = power.std(axis=0) / np.sqrt(n)
            z_score = (power.mean(axis=0) - stated[i]) / error
            assert (np.abs(z_score) <= 5.0).all(), (
                order,
                dict(zip(model.encoder_.numeric_names, z_score, strict=True)),
            )


def test_a_lower_order_gives_the_first_of_the_higher(model: ul.VAE) -> None:
    most = model.moments(Z, order=4)
    for order in (1, 2, 3):
        moments = model.moments(Z, order=order)
        assert len(moments) == order
        for fewer, more in zip(moments, most, strict=False):
            np.testing.assert_allclose(fewer, more, rtol=1e-4, atol=1e-7)
    assert len(model.moments(Z)) == 2


def test_every_order_follows_the_units(model: ul.VAE) -> None:
    """Indicators have moments between -1 and 1; a binary column coded 3 and 7 has those of one coded 0 and 1 times 4^k.

    m3^2 <= m2 m4 for every distribution (Cauchy-Schwarz), which a wrong power of the unit of one order would break.
    """
    mean, variance, third, fourth = model.moments(Z, order=4)
    assert (third**2 <= variance * fourth * (1 + 1e-6)).all()
    assert (variance**2 <= fourth * (1 + 1e-6)).all()
    clinic = model.encoder_.numeric_names.index("clinic")
    p = (mean[:, clinic] - 3) / 4
    np.testing.assert_allclose(variance[:, clinic], 16 * p * (1 - p), rtol=1e-4)
    np.testing.assert_allclose(third[:, clinic], 64 * p * (1 - p) * (1 - 2 * p), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fourth[:, clinic], 256 * p * (1 - p) * (1 - 3 * p * (1 - p)), rtol=1e-4)


def test_a_moment_that_does_not_exist_is_not_finite_in_its_column_alone() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"calm": rng.normal(size=200), "wild": rng.standard_t(2.2, 200)})
    model = ul.VAE(n_latent=1, likelihood={"wild": "student_t"}, **SETTINGS).fit(table)
    t = next(m for m in model._fitted().head.modules() if hasattr(m, "free_df"))
    t.free_df.fill_(-1e3)  # 2.05 degrees of freedom
    mean, variance, third, fourth = model.moments(np.zeros((2, 1)), order=4)
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()
    assert np.isfinite(third[:, 0]).all()
    assert np.isnan(third[:, 1]).all()
    assert np.isfinite(fourth[:, 0]).all()
    assert (fourth[:, 1] == np.inf).all()


@pytest.mark.parametrize("order", [0, 5, 2.0, True, "2"])
def test_an_order_that_is_none_is_refused(model: ul.VAE, order: Any) -> None:
    with pytest.raises(ValueError, match="order must be 1, 2, 3 or 4"):
        model.moments(Z, order=order)


def test_sets_of_quasi_random_draws_are_repeatable_and_differ_from_each_other(model: ul.VAE) -> None:
    sets = model.quasi_latent(16, random_state=3, n_batches=4)
    assert sets.shape == (4, 16, 2)
    np.testing.assert_array_equal(sets, model.quasi_latent(16, random_state=3, n_batches=4))
    assert len({tuple(one.ravel()) for one in sets}) == 4
    assert (sets != model.quasi_latent(16, random_state=4, n_batches=4)).all()
    with pytest.raises(ValueError, match="n_batches"):
        model.quasi_latent(16, n_batches=0)
