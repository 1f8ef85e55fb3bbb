"""The VAE on tables: every kind of column, missing cells, every container, and scikit-learn's tools around it."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import underlie as ul
from underlie.estimators import conditioning
from underlie.warnings import UnderlieWarning

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

SMALL: dict[str, Any] = {"hidden": (8,), "max_epochs": 3, "verbose": False, "random_state": 0}
#: the weights of the last epoch, which the seed has marked; without held-out rows the start itself is not a candidate
TO_THE_END = {**SMALL, "valid_fraction": 0.0}
COLUMNS = ["age", "size", "nodes", "men", "site", "grade", "flag", "share"]


def mixed_table(n: int = 150, seed: int = 0, missing: float = 0.15) -> pd.DataFrame:
    """Every kind of column that a table can have, all driven by one cause, with missing cells in each."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "age": 50 + 10 * z + rng.normal(size=n),
            "size": np.exp(z + rng.normal(size=n)),
            "nodes": pd.array(rng.poisson(np.exp(z / 2)), dtype="Int64"),
            "men": np.where(z + rng.normal(size=n) > 0, "post", "pre"),
            "site": pd.Categorical(rng.choice(list("cab"), n)),
            "grade": pd.Categorical(rng.choice(["I", "II", "III"], n), categories=["I", "II", "III"], ordered=True),
            "flag": pd.array(rng.random(n) < 0.4, dtype="boolean"),
            "share": rng.beta(2, 3, n).astype(np.float32),
        },
        index=pd.RangeIndex(100, 100 + n),
    )
    for name in table.columns:
        table.loc[rng.random(n) < missing, name] = None if table[name].dtype == object else pd.NA
    return table


TABLE = mixed_table()
KINDS = {"share": "proportion"}


@pytest.fixture(scope="module")
def model() -> ul.VAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderlieWarning)
        return ul.VAE(kinds=KINDS, **SMALL).fit(TABLE)


# ------------------------------------------------------------------------------------------------------- mixed tables


def test_every_kind_is_there(model: ul.VAE) -> None:
    expected = ["continuous", "positive", "count", "binary", "categorical", "ordinal", "binary", "proportion"]
    assert list(model.schema_.kinds) == expected


@pytest.mark.parametrize("give", ["sample", "inverse_transform", "reconstruct", "impute", "draws"])
def test_rows_come_back_as_they_went_in(model: ul.VAE, give: str) -> None:
    given: dict[str, Any] = {
        "sample": lambda: model.sample(150, random_state=0),
        "inverse_transform": lambda: model.inverse_transform(model.transform(TABLE)),
        "reconstruct": lambda: model.reconstruct(TABLE),
        "impute": lambda: model.impute(TABLE),
        "draws": lambda: model.impute(TABLE, n_draws=2)[1],
    }
    rows = given[give]()
    assert list(rows.columns) == COLUMNS
    assert rows.dtypes.equals(TABLE.dtypes)  # with the levels of categoricals and their order
    assert len(rows) == 150
    assert not rows.isna().any().any()
    assert set(rows["men"]) <= {"post", "pre"}
    assert (rows["size"] > 0).all()
    assert (rows["nodes"] >= 0).all()
    if give in ("reconstruct", "impute", "draws"):
        assert rows.index.equals(TABLE.index)


def test_observed_cells_are_bit_identical_after_imputation(model: ul.VAE) -> None:
    copies = model.impute(TABLE, n_draws=3, random_state=1)
    for filled in [model.impute(TABLE), *copies]:
        pd.testing.assert_frame_equal(filled.where(TABLE.notna()), TABLE.where(TABLE.notna()), check_exact=True)
    assert not copies[0].equals(copies[1])
    complete = model.impute(TABLE)
    pd.testing.assert_frame_equal(model.impute(complete), complete, check_exact=True)


def test_a_row_imputed_alone_is_imputed_alike(model: ul.VAE) -> None:
    whole, part = model.impute(TABLE), model.impute(TABLE.iloc[7:9])
    for name in ("age", "size", "share"):  # single precision: rounding depends on the number of rows
        np.testing.assert_allclose(part[name], whole[name].iloc[7:9], rtol=1e-5)


def test_answers_are_finite_and_shaped(model: ul.VAE) -> None:
    n = len(TABLE)
    assert model.transform(TABLE).shape == (n, 2)
    likelihood = model.log_likelihood(TABLE)
    np.testing.assert_array_equal(likelihood.value, model.score_samples(TABLE))
    np.testing.assert_array_equal(model.anomaly_score(TABLE), -model.score_samples(TABLE))
    assert model.score(TABLE) == pytest.approx(model.score_samples(TABLE).mean())
    for answer in (likelihood.value, likelihood.se, likelihood.ess, likelihood.pareto_k):
        assert answer.shape == (n,)
        assert np.isfinite(answer).all()
    assert (likelihood.se >= 0).all()
    assert (likelihood.ess >= 1).all()
    assert (likelihood.ess <= 128.01).all()
    for posterior in (model.posterior(TABLE), model.posterior(TABLE, n_importance=0)):
        assert posterior.mean.shape == posterior.variance.shape == (n, 2)
        assert np.isfinite(posterior.mean).all()
        assert (posterior.variance > 0).all()


def test_moments_agree_with_samples_at_one_point(model: ul.VAE) -> None:
    """E and Var of the numeric columns at a point z, against draws of x there."""
    mean, variance = model.moments(np.zeros((1, 2)))
    assert mean.shape == variance.shape == (1, model.encoder_.n_numeric)
    assert (variance >= 0).all()
    site = [model.encoder_.numeric_names.index(f"site={level}") for level in "abc"]
    assert mean[0, site].sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(variance[0, site], mean[0, site] * (1 - mean[0, site]), rtol=1e-4)


def test_nothing_observed_is_the_marginal(model: ul.VAE) -> None:
    empty = TABLE.reindex([-1])
    assert abs(model.score_samples(empty)[0]) < 0.2  # log of 1, estimated by 128 draws from an imperfect guide
    assert not model.impute(empty).isna().any().any()


def test_save_and_load(model: ul.VAE, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = ul.load(tmp_path / "model")
    assert_same_answers(again, model)
    for name, values in model.history_.items():
        np.testing.assert_array_equal(again.history_[name], values)


def assert_same_answers(one: ul.VAE, other: ul.VAE) -> None:
    np.testing.assert_array_equal(one.score_samples(TABLE), other.score_samples(TABLE))
    np.testing.assert_array_equal(one.transform(TABLE), other.transform(TABLE))
    pd.testing.assert_frame_equal(one.sample(5, random_state=3), other.sample(5, random_state=3))
    pd.testing.assert_frame_equal(one.impute(TABLE), other.impute(TABLE))


def test_pickle(model: ul.VAE) -> None:
    assert_same_answers(pickle.loads(pickle.dumps(model)), model)


def test_parameters_changed_after_the_fit_wait_for_the_next(model: ul.VAE) -> None:
    changed = pickle.loads(pickle.dumps(model)).set_params(n_latent=5, n_replicates=9)
    np.testing.assert_array_equal(changed.score_samples(TABLE), model.score_samples(TABLE))
    assert changed.moments(np.zeros((1, 2)))[0].shape[0] == 1
    assert changed.sample_latent(3).shape == (3, 2)
    assert changed.score_replicates(TABLE).shape == (1,)
    assert list(changed.get_feature_names_out()) == ["vae0", "vae1"]


def test_answers_do_not_depend_on_how_rows_are_cut_into_chunks(model: ul.VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers() -> list[np.ndarray]:
        posterior = model.posterior(TABLE)
        numeric = model.encoder_.numeric(model.impute(TABLE))
        return [model.transform(TABLE), model.score_samples(TABLE), posterior.mean, posterior.variance, numeric]

    whole = answers()
    monkeypatch.setattr(conditioning, "_CHUNK", 1 << 16)  # a few rows at a time
    for found, expected in zip(answers(), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert len(model.sample(1500, random_state=0)) == 1500
    assert not model.impute(TABLE, n_draws=2)[1].isna().any().any()


# ---------------------------------------------------------------------------------------------------------- containers


def test_polars() -> None:
    table = pl.from_pandas(TABLE[["age", "nodes", "men", "site"]].astype({"site": "object"}))
    model = ul.VAE(**SMALL).fit(table)
    for rows in (model.impute(table), model.reconstruct(table), model.sample(4, random_state=0)):
        assert isinstance(rows, pl.DataFrame)
        assert rows.schema == table.schema
        assert rows.null_count().sum_horizontal().item() == 0
    assert np.isfinite(model.score_samples(table)).all()


def test_the_container_does_not_matter() -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[::7, 1] = np.nan
    table = pd.DataFrame(X, columns=list("abcd"))
    scores = ul.VAE(**SMALL).fit(X).score_samples(X)
    np.testing.assert_array_equal(ul.VAE(**SMALL).fit(table).score_samples(table), scores)
    polars = pl.from_pandas(table)
    np.testing.assert_array_equal(ul.VAE(**SMALL).fit(polars).score_samples(polars), scores)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_arrays_keep_their_dtype(dtype: Any) -> None:
    X = (np.random.default_rng(0).normal(size=(60, 4)) * 100).astype(dtype)
    model = ul.VAE(**SMALL).fit(X)
    for rows in (model.sample(5, random_state=0), model.reconstruct(X), model.impute(X)):
        assert rows.dtype == dtype
        assert rows.shape[1:] == (4,)


# ------------------------------------------------------------------------------------------------- likelihoods, kinds


def test_likelihood_by_name_and_by_column() -> None:
    table = TABLE[["age", "size", "nodes"]].astype(float)
    notation = {
        "normal": "Normal",
        "student_t": "StudentT",
    }
    for name, symbol in notation.items():
        model = ul.VAE(likelihood=name, **SMALL).fit(table)
        assert symbol in str(model.generative_["x"])
        assert set(model.schema_.kinds) == {"continuous"}
        assert np.isfinite(model.score(table))
    model = ul.VAE(likelihood={"nodes": "poisson", "size": "exponential", 0: "student_t"}, **SMALL).fit(table)
    assert {"Poisson", "Exponential", "StudentT"} <= set(str(model.generative_["x"]).replace("(", " ").split())
    assert np.isfinite(model.score(table))


def test_stated_kinds_are_joined_with_those_of_likelihoods() -> None:
    table = TABLE[["age", "nodes", "grade"]]
    model = ul.VAE(likelihood={"nodes": "normal"}, kinds={"grade": "categorical"}, **SMALL).fit(table)
    assert list(model.schema_.kinds) == ["continuous", "continuous", "categorical"]
    with pytest.raises(ValueError, match="likelihood 'normal' cannot describe column 'nodes'"):
        ul.VAE(likelihood={"nodes": "normal"}, kinds={"nodes": "count"}, **SMALL).fit(table)


# ------------------------------------------------------------------------------------- randomness, replicates, bounds


@pytest.mark.parametrize(
    "make", [lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)], ids=["int", "new", "old"]
)
def test_the_same_seed_gives_the_same_numbers(make: Any) -> None:
    models = [ul.VAE(**{**SMALL, "random_state": make()}).fit(TABLE) for _ in range(2)]
    np.testing.assert_array_equal(models[0].transform(TABLE), models[1].transform(TABLE))
    one, other = (m.impute(TABLE, n_draws=2, random_state=make())[0] for m in models)
    pd.testing.assert_frame_equal(one, other)
    for method in ("score_samples", "posterior", "log_likelihood"):
        getattr(models[0], method)(TABLE, random_state=make())


def test_no_seed_is_another_run_each_time() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    one, other = (ul.VAE(**{**TO_THE_END, "random_state": None}).fit(X) for _ in range(2))
    assert not np.array_equal(one.transform(X), other.transform(X))
    assert not np.array_equal(one.sample(3), one.sample(3))


def test_draws_without_a_seed_follow_the_estimators(model: ul.VAE) -> None:
    pd.testing.assert_frame_equal(model.sample(4), model.sample(4, random_state=0))
    np.testing.assert_array_equal(model.sample_latent(4), model.sample_latent(4, random_state=0))


def test_replicates() -> None:
    several = ul.VAE(n_replicates=3, **TO_THE_END).fit(TABLE)
    alone = ul.VAE(**TO_THE_END).fit(TABLE)
    np.testing.assert_array_equal(several.replicate(0).score_samples(TABLE), alone.score_samples(TABLE))
    np.testing.assert_array_equal(several.replicate(0).transform(TABLE), alone.transform(TABLE))
    np.testing.assert_array_equal(several.history_["train"][0], alone.history_["train"][0])
    scores = several.score_replicates(TABLE)
    assert scores.shape == (3,)
    assert len(set(scores)) == 3
    assert scores[several.best_replicate_] == several.score(TABLE)
    assert several.best_replicate_ == np.argmax(several.valid_bound_)
    for r in (3, -1, 1.0, "a"):
        with pytest.raises(ValueError, match="r must be a whole number between 0 and 2"):
            several.replicate(r)


def test_replicates_are_saved(tmp_path: Path) -> None:
    several = ul.VAE(n_replicates=2, **TO_THE_END).fit(TABLE)
    several.save(tmp_path / "model")
    again = ul.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score_replicates(TABLE), several.score_replicates(TABLE))
    assert again.best_replicate_ == several.best_replicate_


def test_beta_and_the_importance_weighted_bound() -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    scores = set()
    for parameters in ({"beta": 1.0, "n_draws": 1}, {"beta": 4.0}, {"beta": 0.0}, {"n_draws": 5}):
        model = ul.VAE(**{**TO_THE_END, **parameters}).fit(X)
        assert np.isfinite(model.history_["train"][:, 1:]).all()
        scores.add(model.score(X))
    assert len(scores) == 4
    assert np.isfinite(list(scores)).all()


def test_a_heavier_divergence_gives_a_wider_guide() -> None:
    X = np.random.default_rng(0).normal(size=(300, 1)) @ np.ones((1, 5)) + 0.1
    settings = {**SMALL, "max_epochs": 60, "n_latent": 1, "n_draws": 1}
    light, heavy = (ul.VAE(beta=beta, **settings).fit(X) for beta in (0.1, 20.0))
    spread = [m.posterior(X, n_importance=0).variance.mean() for m in (light, heavy)]
    assert spread[0] < spread[1]


# ------------------------------------------------------------------------------------------------ scikit-learn's tools


def test_clone_pipeline_search_and_set_output() -> None:
    X = np.random.default_rng(0).normal(size=(80, 4))
    model = ul.VAE(n_latent=1, **SMALL)
    assert clone(model).get_params() == model.get_params()
    pipe = make_pipeline(StandardScaler(), model).fit(X)
    assert pipe.transform(X).shape == (80, 1)
    assert np.isfinite(pipe.score(X))
    search = GridSearchCV(model, {"n_latent": [1, 2]}, cv=2).fit(X)
    assert search.best_params_["n_latent"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    frame = pd.DataFrame(X, columns=list("abcd"))
    Z = model.set_output(transform="pandas").fit(frame).transform(frame)
    assert list(Z.columns) == ["vae0"]
    assert Z.index.equals(frame.index)


def test_sample_sizes() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    for parameters in ({"batch_size": 1}, {"batch_size": 1000}, {"valid_fraction": 0.0}, {"hidden": ()}):
        model = ul.VAE(**{**SMALL, **parameters}).fit(X)
        assert np.isfinite(model.score_samples(X)).all()
    for n in (2, 3):
        assert np.isfinite(ul.VAE(**SMALL).fit(X[:n]).score_samples(X)).all()
    assert np.isfinite(ul.VAE(n_latent=30, **SMALL).fit(X).score_samples(X)).all()
