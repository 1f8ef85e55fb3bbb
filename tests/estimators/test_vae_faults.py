"""Wrong parameters, faults while training, and ugly tables: a clear error or a right answer, and nothing half done."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import underlie as ul
from underlie.engine import recording
from underlie.estimators import vae as module
from underlie.warnings import ConvergenceWarning, UnderlieWarning

SMALL: dict[str, Any] = {"hidden": (8,), "max_epochs": 2, "verbose": False, "random_state": 0}
X = np.random.default_rng(0).normal(size=(60, 4))
TABLE = pd.DataFrame(X, columns=list("abcd")).assign(e=list("uvw") * 20)

WRONG: dict[str, list[tuple[Any, str]]] = {
    "n_latent": [(v, "n_latent must be") for v in (0, -1, 1.5, "2", None, True)],
    "hidden": [
        (5, "sequence of whole"),
        ("abc", "sequence of whole"),
        (None, "sequence of whole"),
        ((8, 0), r"hidden\[1\] must be at least 1"),
        ((2.5,), r"hidden\[0\] must be a whole number"),
    ],
    "likelihood": [
        ("gauss", "likelihood 'gauss' is unknown; choose one of"),
        (3, "name or a dict"),
        (None, "a name"),
        ({"z": "normal"}, "likelihood names column 'z', but the columns are a, b"),
        ({"a": 1}, r"likelihood\['a'\]"),
    ],
    "beta": [(v, "beta must be a finite number of at least 0") for v in (-1, "a", None, np.nan, np.inf)],
    "n_draws": [(0, "n_draws must be at least 1"), (1.5, "n_draws must be a whole number")],
    "n_replicates": [(0, "n_replicates must be at least 1"), ("a", "n_replicates must be a whole number")],
    "max_epochs": [(0, "max_epochs must be at least 1"), (None, "max_epochs must be a whole number")],
    "batch_size": [(0, "batch_size must be at least 1"), (1.5, "batch_size must be a whole number")],
    "learning_rate": [(v, "learning_rate must be a finite number above 0") for v in (0, -1, "a", None, np.nan, np.inf)],
    "patience": [(0, "patience must be at least 1")],
    "valid_fraction": [(v, "number between 0 and 0.9") for v in (-0.1, 1.0, None, np.nan, "a")],
    "activation": [(v, "choose one of relu, silu, gelu") for v in ("tanh", None, 3, ["relu"])],
    "encoder": [(v, "encoder is .*; give 'mlp', 'conv' or an nn.Module") for v in ("cnn", 3, None)],
    "decoder": [("cnn", "decoder is 'cnn'"), ("conv", "decoder='conv' needs images")],
    "kinds": [
        ("whole", "kinds is 'whole': choose one of"),
        ({"a": "whole"}, r"kinds\['a'\]"),
        (3, "kinds is a int"),
        ({"z": "count"}, "kinds names a column 'z'"),
    ],
    "device": [("gpu", "device is 'gpu'; choose 'auto', 'cpu', 'cuda'"), (3, "device is 3"), (None, "device is None")],
    "random_state": [("a", "random_state must be"), (-1, "random_state must not"), (1.5, "random_state must be")],
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [(name, value, message) for name, cases in WRONG.items() for value, message in cases],
)
def test_wrong_parameters_are_refused_before_any_work(
    name: str, value: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in ("linear_start", "train"):
        monkeypatch.setattr(module, work, pytest.fail)
    model = ul.VAE(**{**SMALL, name: value})
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(TABLE)
    assert not [a for a in vars(model) if a.endswith("_")]
    with pytest.raises(NotFittedError):
        model.transform(TABLE)


def test_beta_and_several_draws_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="beta is 2.0 with n_draws=5.*set one of them to 1"):
        ul.VAE(beta=2.0, n_draws=5, **SMALL).fit(X)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(device: str) -> None:
    with pytest.raises(ValueError, match=f"device is '{device}', but PyTorch .* finds 0 CUDA GPUs.*use device='auto'"):
        ul.VAE(device=device, **SMALL).fit(X)


@pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")
def test_the_cpu_by_name() -> None:
    scores = [ul.VAE(device=device, **SMALL).fit(X).score_samples(X) for device in ("cpu", "cpu")]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.score_samples(X, n_importance=0), "n_importance must be at least 1"),
        (lambda m: m.log_likelihood(X, n_importance=1), "one draw has no standard error"),
        (lambda m: m.impute(X, n_importance=0), "n_importance must be at least 1"),
        (lambda m: m.impute(X, n_draws=0), "n_draws must be at least 1"),
        (lambda m: m.posterior(X, n_importance=-1), "n_importance must be at least 1"),
        (lambda m: m.posterior(X, n_importance=2.5), "n_importance must be a whole number"),
        (lambda m: m.score_samples(X, random_state="a"), "random_state must be"),
        (lambda m: m.sample(0), "n must be at least 1"),
        (lambda m: m.sample_latent(1.5), "n must be a whole number"),
        (lambda m: m.inverse_transform(np.zeros((3, 5))), r"z must have shape \(m, 2\)"),
        (lambda m: m.moments(np.zeros(2)), r"z must have shape \(m, 2\)"),
        (lambda m: m.moments(np.array([[0, 0], [np.nan, 0]])), "z, row 1, is"),
        (lambda m: m.moments(np.full((1, 2), 1e300)), "z, row 0, is .* too far from the prior"),
        (lambda m: m.transform(X[:, :3]), "3 features"),
        (lambda m: m.score_samples(X[:0]), r"0 sample\(s\)"),
    ],
)
@pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning", "ignore:overflow:RuntimeWarning")
def test_wrong_questions(call: Any, message: str) -> None:
    model = ul.VAE(**SMALL).fit(X)
    with pytest.raises((ValueError, TypeError), match=message):
        call(model)


# ------------------------------------------------------------------------------------------------------------- faults


def failing(after: int, error: type[BaseException]) -> Any:
    """The objective, which fails after some calls."""
    calls = iter(range(10**9))

    def objective(*args: Any, **keywords: Any) -> Any:
        if next(calls) >= after:
            raise error
        return ORIGINAL(*args, **keywords)

    return objective


ORIGINAL = module.elbo


@pytest.mark.parametrize("after", [2, 8, 40])
def test_an_interrupted_training_is_usable(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "STEPS_WORTH_RECORDING", 10**9)  # a recorded objective would not be called again
    monkeypatch.setattr(module, "elbo", failing(after, KeyboardInterrupt))
    model = ul.VAE(**{**SMALL, "max_epochs": 1000, "patience": 1000, "n_draws": 1})
    with pytest.warns(ConvergenceWarning, match="training was interrupted"):
        model.fit(X)
    monkeypatch.undo()
    assert np.isfinite(model.score_samples(X)).all()
    assert model.history_["valid"].shape[1] < 40
    assert model.sample(3, random_state=0).shape == (3, 4)


def test_a_failed_refit_leaves_the_earlier_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderlieWarning)
        model = ul.VAE(**SMALL).fit(X)
    before = model.score_samples(X)
    monkeypatch.setattr(module, "elbo", failing(5, MemoryError))
    with pytest.raises(MemoryError):
        model.set_params(n_draws=1).fit(TABLE)
    np.testing.assert_array_equal(model.score_samples(X), before)
    fresh = ul.VAE(n_draws=1, **SMALL)
    with pytest.raises(MemoryError):
        fresh.fit(X)
    assert not hasattr(fresh, "encoder_")


def test_divergence_everywhere_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "elbo", lambda *a, **k: ORIGINAL(*a, **k) * np.nan)
    with pytest.raises(FloatingPointError, match="use a smaller learning_rate"):
        ul.VAE(n_draws=1, **{**SMALL, "max_epochs": 20}).fit(X)


# -------------------------------------------------------------------------------------------------------- ugly tables


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Tables of every kind of column with few rows, extreme scales, one level, nearly all missing, and outliers."""
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    columns: dict[str, Any] = {}
    for j in range(draw(st.integers(1, 5))):
        columns[f"x{j}"] = pd.Series(draw(st.sampled_from(MAKERS))(rng, n))
    table = pd.DataFrame(columns)
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))
    hidden = rng.random(table.shape) < share
    hidden[0] = False  # every column has an observed cell
    return table.mask(hidden)


def _outlier(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.normal(size=n)
    x[0] = 1e9
    return x


MAKERS: list[Any] = [
    lambda rng, n: rng.normal(size=n),
    lambda rng, n: rng.normal(size=n) * 1e-12 + 1e-12,
    lambda rng, n: rng.normal(size=n) * 1e12,
    lambda rng, n: np.full(n, 3.7),
    lambda rng, n: np.exp(rng.normal(size=n) * 8),
    lambda rng, n: rng.standard_cauchy(size=n),
    _outlier,
    lambda rng, n: rng.poisson(3, n),
    lambda rng, n: rng.negative_binomial(0.1, 1e-5, n),
    lambda rng, n: np.zeros(n, dtype=int),
    lambda rng, n: rng.random(n) < 0.05,
    lambda rng, n: rng.choice(list("abc"), n),
    lambda rng, n: np.full(n, "only"),
    lambda rng, n: pd.Categorical(rng.choice(list("ab"), n), categories=list("abcdefgh"), ordered=True),
    lambda rng, n: np.arange(n).astype(str),
]


def assert_clear(error: Exception) -> None:
    assert len(str(error)) > 20
    assert "tensor" not in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(table=tables())
def test_ugly_tables_never_give_nan(table: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UnderlieWarning)
        try:
            model = ul.VAE(**SMALL).fit(table)
        except ValueError as error:
            assert_clear(error)
            return
        scores, rows = model.score_samples(table), [model.impute(table), *model.impute(table, n_draws=2)]
        rows += [model.reconstruct(table), model.sample(20)]
    assert np.isfinite(scores).all()
    assert np.isfinite(model.transform(table)).all()
    assert np.isfinite(model.history_["valid"][:, 1:]).all()
    assert np.isfinite(model.valid_bound_).all()
    for filled in rows:
        assert not filled.isna().any().any()
        assert filled.columns.equals(table.columns)
        numbers = filled.select_dtypes("number").to_numpy(dtype=float)
        assert np.isfinite(numbers).all()
