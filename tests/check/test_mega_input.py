"""The moment gap's input and output: containers, printing, seeds, refusals."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture

import underlie as ul

IRIS = load_iris().data
mega = partial(ul.mega, n_bootstrap=0)


class Line:
    """x_j | z ~ N(z, 1) for 4 columns, z ~ N(0, 1)."""

    n_features_in_ = 4

    def moments(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat(z, 4, axis=1), np.ones((len(z), 4))

    def sample_latent(self, m: int, random_state: int) -> np.ndarray:
        return np.random.default_rng(random_state).standard_normal((m, 1))

    def sample(self, n: int, random_state: int) -> np.ndarray:
        rng = np.random.default_rng(random_state)
        return rng.standard_normal((n, 1)) + rng.standard_normal((n, 4))


# --- containers and printing ----------------------------------------------------------------------


def test_tables_are_matched_by_name_and_images_are_flattened() -> None:
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    model = PCA(2).fit(frame)
    expected = mega(model, IRIS)
    assert expected.feature_names == ("a", "b", "c", "d")
    for X in (frame, frame[["d", "c", "b", "a"]], pl.from_pandas(frame), frame.astype("Float64")):
        np.testing.assert_allclose(mega(model, X).gap, expected.gap, atol=1e-12)
    np.testing.assert_allclose(mega(PCA(2).fit(IRIS), frame).gap, expected.gap, atol=1e-12)
    np.testing.assert_allclose(mega(PCA(2).fit(IRIS), IRIS.reshape(-1, 2, 2)).gap, expected.gap, atol=1e-12)
    holes = frame.astype("Float64")
    holes.iloc[3, 1] = pd.NA
    np.testing.assert_allclose(mega(model, holes).gap, mega(model, pl.from_pandas(holes.astype(float))).gap, atol=1e-12)


def test_order_k_gives_the_moments_up_to_k() -> None:
    model = PCA(1).fit(IRIS[:50])
    results = {k: mega(model, IRIS, order=k) for k in (1, 2, 3, 4)}
    values = ("first", "second", "third", "fourth")
    for k, result in results.items():
        assert [getattr(result, name) is None for name in values] == [number > k for number in (1, 2, 3, 4)]
        for lower in range(1, k + 1):
            np.testing.assert_allclose(result.orders[lower].value, results[lower].orders[lower].value, rtol=1e-12)
            np.testing.assert_allclose(result.orders[lower].floor, results[lower].floor, rtol=1e-12)
            assert result.orders[lower].gap.shape == (4,) * lower
    assert results[1].gap is None
    assert "second" not in str(results[1])
    drawn, both = (mega(Line(), IRIS, order=k, random_state=0) for k in (1, 2))
    for part in ("value", "mc_se", "floor"):
        np.testing.assert_allclose(getattr(drawn.orders[1], part), getattr(both.orders[1], part))


def test_result_prints_its_numbers() -> None:
    result = mega(Line(), IRIS, n_draws=500, random_state=0)
    for text in (str(result), result._repr_html_()):
        for part in (
            f"{result.second:.4g}",
            f"{result.floor:.4g}",
            f"{result.orders[2].mc_se:.2g}",
            "500 latent draws",
        ):
            assert part in text


def test_same_seed_same_numbers() -> None:
    X = IRIS
    a, b = (ul.mega(Line(), X, norm="op", n_bootstrap=9, random_state=np.random.RandomState(3)) for _ in range(2))
    assert (a.second, a.floor) == (b.second, b.floor)


# --- refusals -------------------------------------------------------------------------------------


def test_bad_input_is_named() -> None:
    model = PCA(2).fit(pd.DataFrame(IRIS, columns=["a", "b", "c", "d"]))
    with pytest.raises(NotFittedError):
        ul.mega(GaussianMixture(2), IRIS)
    with pytest.raises(TypeError, match="LinearRegression has no moments"):
        ul.mega(LinearRegression().fit(IRIS, IRIS[:, 0]), IRIS)
    with pytest.raises(TypeError, match="no moments"):
        ul.mega(Line, IRIS)
    with pytest.raises(ValueError, match="order=5 is not supported; use 1"):
        ul.mega(model, IRIS, order=5)
    with pytest.raises(ValueError, match="norm='frobenius'"):
        ul.mega(model, IRIS, norm="frobenius")
    with pytest.raises(ValueError, match="at least 1"):
        ul.mega(model, IRIS, norm=0.5)
    with pytest.raises(ValueError, match="X has 3 columns, but PCA was fitted to 4"):
        ul.mega(model, IRIS[:, :3])
    with pytest.raises(ValueError, match="1 row"):
        ul.mega(model, IRIS[:1])
    with pytest.raises(TypeError, match="random_state"):
        ul.mega(model, IRIS, random_state="seed")
    with pytest.raises(ValueError, match="n_draws=1"):
        ul.mega(Line(), IRIS, n_draws=1)


def test_bad_cells_are_named() -> None:
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    model = PCA(2).fit(frame)
    with pytest.raises(ValueError, match="missing 'd', unknown 'e'"):
        ul.mega(model, frame.rename(columns={"d": "e"}))
    with pytest.raises(ValueError, match="more than one column named 'a'"):
        ul.mega(model, pd.DataFrame(IRIS, columns=["a", "a", "c", "d"]))
    with pytest.raises(TypeError, match="column 'b'"):
        ul.mega(model, frame.assign(b="text"))
    with pytest.raises(ValueError, match="column 'c', row 5"):
        ul.mega(model, frame.assign(c=np.where(np.arange(150) == 5, np.inf, 1.0)))
    with pytest.raises(ValueError, match="column 'c' has 0 value"):
        ul.mega(model, frame.assign(c=np.nan))
    apart = frame.assign(a=np.where(np.arange(150) < 75, IRIS[:, 0], np.nan))
    apart["b"] = np.where(np.arange(150) >= 75, IRIS[:, 1], np.nan)
    with pytest.raises(ValueError, match="'a' and 'b' are seen together in 0 row"):
        ul.mega(model, apart)
    assert ul.mega(model, apart, order=1).first >= 0


def test_moments_that_are_none_are_refused() -> None:
    class Bad(Line):
        def __init__(self, mean: float, variance: float) -> None:
            self.put = mean, variance

        def moments(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return tuple(np.full((len(z), 4), value) for value in self.put)

    with pytest.raises(ValueError, match="variance of column 'x0' is not finite"):
        ul.mega(Bad(0.0, np.inf), IRIS)
    with pytest.raises(ValueError, match="mean of column 'x0' is not finite"):
        ul.mega(Bad(np.nan, 1.0), IRIS)
    with pytest.raises(ValueError, match="not their logarithms"):
        ul.mega(Bad(0.0, -1.0), IRIS)
