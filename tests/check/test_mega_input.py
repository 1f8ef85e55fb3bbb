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


class Heavy(Line):
    """No fourth moment, as Student's t of 4 degrees of freedom."""

    def moments(self, z: np.ndarray, order: int = 2) -> tuple[np.ndarray, ...]:
        one = np.ones((len(z), 4))
        return (one, one, 0 * one, np.inf * one)[: max(order, 2)]


class Known:
    """N(0, I) by its first two moments alone."""

    def exact_moments(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(4), np.eye(4)


HOLES = np.where(np.random.default_rng(0).random(IRIS.shape) < 0.1, np.nan, IRIS)


@pytest.mark.parametrize(
    ("model", "X", "how", "error", "match"),
    [
        (Heavy(), IRIS, {"order": 4}, ValueError, "fourth central moment of column 'x0' is not finite.*lower order"),
        (Line(), IRIS, {"order": 3}, TypeError, r"Line.moments\(z\) gives mean and variance only; for order=3"),
        (Known(), IRIS, {"order": 3}, TypeError, "no sample.*no orders above 2"),
        (Known(), IRIS, {"function": np.abs}, TypeError, "no sample.*no function"),
        (None, IRIS, {"order": 2.0}, ValueError, "order=2.0"),
        (None, IRIS, {"n_bootstrap": None}, ValueError, "n_bootstrap=None: give 0"),
        (None, IRIS, {"n_bootstrap": 1}, ValueError, "n_bootstrap=1"),
        (None, IRIS, {"n_draws": "many"}, ValueError, "n_draws='many'"),
        (None, IRIS, {"form": "matrix"}, ValueError, "form='matrix'"),
        (None, IRIS, {"norm": None}, ValueError, "norm=None"),
        (None, IRIS, {"form": "gram", "norm": "op"}, ValueError, 'norm="fro" or form="tensor"'),
        (None, IRIS, {"form": "gram", "refit": True}, ValueError, 'refit=False or form="tensor"'),
        (None, HOLES, {"form": "gram"}, ValueError, "missing cell; the Gram form needs complete rows"),
        (None, IRIS, {"refit": True, "n_bootstrap": 0}, ValueError, "needs n_bootstrap"),
        (None, IRIS, {"refit": True, "function": np.log}, ValueError, "not possible with function"),
        (None, HOLES, {"refit": True, "n_bootstrap": 9}, ValueError, "cannot be fitted .* with the missing cells"),
        (Known(), IRIS, {"refit": True}, ValueError, "no sample"),
        (Line(), IRIS, {"refit": True}, TypeError, "needs an estimator that can be cloned and fitted, not Line"),
        (IRIS[:50], IRIS, {"refit": True}, ValueError, "array of draws; use refit=False"),
        (IRIS[:, :3], IRIS, {}, ValueError, "X has 4 columns"),
        (IRIS[:, 0], IRIS, {}, ValueError, "at least 2 rows, and columns"),
        (HOLES, IRIS, {}, ValueError, "row . of the array of draws is not finite"),
        (pd.DataFrame(IRIS), IRIS, {}, TypeError, "table.to_numpy"),
        (IRIS.tolist(), IRIS, {}, TypeError, "list has no moments"),
        (None, IRIS, {"function": "log"}, TypeError, "function='log': give a callable"),
        (None, IRIS, {"function": np.sum}, ValueError, "function must map rows"),
        (None, IRIS, {"function": lambda x: np.sqrt(x - 5)}, ValueError, "function gives nan in row 0, output 1"),
        (None, IRIS * 1e90, {"order": 4}, ValueError, "order 2 are too large"),
        (np.zeros((5, 784)), np.ones((5, 784)), {"order": 4, "form": "tensor"}, ValueError, 'form="gram"'),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_requests_that_cannot_be_met_name_the_argument_and_the_remedy(
    model: object, X: np.ndarray, how: dict[str, object], error: type[Exception], match: str
) -> None:
    model = PCA(2).fit(IRIS) if model is None else model
    with pytest.raises(error, match=match):
        ul.mega(model, X, **({"n_bootstrap": 9} | how))


def test_results_say_what_they_do_not_have() -> None:
    gram = mega(PCA(2).fit(IRIS), IRIS, form="gram")
    assert gram.gap is None
    with pytest.raises(ValueError, match='form="tensor"'):
        gram.terms()
    with pytest.raises(ValueError, match="order=3 was not computed"):
        mega(PCA(2).fit(IRIS), IRIS).terms(3)


# --- p-values: where they come from ---------------------------------------------------------------


def test_the_result_says_what_its_p_values_rest_on() -> None:
    model = PCA(2).fit(IRIS)
    assert mega(model, IRIS).null == "none"
    assert mega(model, IRIS).p_value is None
    assert ul.mega(model, IRIS, n_bootstrap=9).null == "known"
    assert ul.mega(model, IRIS, n_bootstrap=9, refit=True).null == "refitted"
    assert ul.mega(IRIS[:50], IRIS, n_bootstrap=9).null == "permutation"
    assert ul.mega(IRIS[:50], HOLES, n_bootstrap=9).null == "none"  # cells are missing on one side alone
    assert ul.mega(Known(), IRIS, n_bootstrap=9).null == "spectrum"
    assert ul.mega(Known(), IRIS, n_bootstrap=9, norm="op").null == "none"
    assert ul.mega(model, IRIS, form="gram").null == "spectrum"
    assert ul.mega(model, HOLES, n_bootstrap=9).null == "known"


def test_functions_of_x_are_compared_by_sampling_and_arrays_by_theirs() -> None:
    model = PCA(2).fit(IRIS)
    products = mega(model, IRIS, 1, function=lambda x: x[:, [0]] * x[:, 1:], n_draws=20_000, random_state=0)
    exact = mega(model, IRIS, unbiased=False)
    assert products.feature_names == ("g0", "g1", "g2")
    assert (np.abs(products.gap_first - exact.gap[0, 1:]) < 5 * products.orders[1].mc_se + 0.01).all()
    draws = np.abs(np.random.default_rng(0).normal(size=(80, 4))) + 1
    a, b = mega(draws, IRIS, function=np.log), mega(np.log(draws), np.log(IRIS))
    np.testing.assert_allclose(a.gap, b.gap, atol=1e-12)


def test_arrays_of_draws_are_compared_whole_whatever_the_seed() -> None:
    draws = np.random.default_rng(0).normal(size=(37, 4))
    for form in ("tensor", "gram"):
        a, b = (mega(draws, IRIS, 3, form=form, unbiased=False, random_state=seed) for seed in (0, 1))
        assert a.third == pytest.approx(b.third, rel=1e-10)
        assert a.first == pytest.approx(np.linalg.norm(IRIS.mean(0) - draws.mean(0)), rel=1e-10)


# --- invariance -----------------------------------------------------------------------------------


def test_rotations_of_data_and_draws_leave_frobenius_gaps_alone() -> None:
    rng = np.random.default_rng(0)
    turn, draws = np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.gamma(2.0, size=(90, 4))
    for how in ({}, {"centred": True}, {"unbiased": False}):
        a, b = (mega(draws @ Q, IRIS @ Q, 4, random_state=0, **how) for Q in (np.eye(4), turn))
        for k in (1, 2, 3, 4):
            assert b.orders[k].value == pytest.approx(a.orders[k].value, rel=1e-9)
            assert b.orders[k].floor == pytest.approx(a.orders[k].floor, rel=1e-6)
    for norm in ("op", "nuc", 3.0):
        a, b = mega(draws, IRIS, 3, norm=norm), mega(draws @ turn, IRIS @ turn, 3, norm=norm)
        assert b.third == pytest.approx(a.third, rel=1e-9)


def test_standardised_gaps_of_all_orders_are_free_of_units() -> None:
    draws = np.random.default_rng(0).gamma(2.0, size=(90, 4))
    unit, origin = np.array([1e-3, 1.0, 30.0, 1e4]), np.array([0.0, 5.0, -1.0, 1e3])
    for form in ("tensor", "gram"):
        options = {"standardize": True, "form": form, "random_state": 0}
        a, b = mega(draws, IRIS, 4, **options), mega(draws * unit + origin, IRIS * unit + origin, 4, **options)
        for k in (1, 2, 3, 4):
            assert b.orders[k].value == pytest.approx(a.orders[k].value, rel=1e-7)
            assert b.orders[k].floor == pytest.approx(a.orders[k].floor, rel=1e-6)


def test_centred_gaps_are_of_covariances_and_free_of_the_place() -> None:
    model = PCA(2).fit(IRIS[:80])
    result = mega(model, IRIS, 4, centred=True)
    np.testing.assert_allclose(result.gap, np.cov(IRIS.T) - model.get_covariance(), atol=1e-10)
    moved = mega(model, IRIS + 10.0, 4, centred=True)
    for k in (2, 3, 4):
        np.testing.assert_allclose(moved.orders[k].gap, result.orders[k].gap, atol=1e-8)
    deviations = IRIS - IRIS.mean(0)
    skewness = np.einsum("ia,ib,ic->abc", deviations, deviations, deviations) / len(IRIS)
    np.testing.assert_allclose(result.orders[3].gap, skewness, atol=1e-8)  # a Gaussian has none
