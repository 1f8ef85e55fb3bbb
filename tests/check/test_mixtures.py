"""Laws of the search among mixtures: mclust's numbers, invariance to units, proper fits only, and refusals."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import underlie as ul
from underlie.check.mixtures import MixtureSelection, em
from underlie.warnings import DataWarning

IRIS = load_iris().data
TYPES = ("full", "tied", "diag", "spherical")


@pytest.fixture(scope="module")
def iris() -> MixtureSelection:
    return ul.fit_mixtures(IRIS, range(1, 6), random_state=0)


def test_published_values_of_iris(iris: MixtureSelection) -> None:
    """mclust 5 on iris: BIC of VVV with 2 components -574.0178, ICL -574.0191, in its sign."""
    assert iris.best == (2, "full")
    assert iris.table.loc[iris.best, "bic"] == pytest.approx(574.0178, abs=2e-4)
    assert iris.table.loc[iris.best, "icl"] == pytest.approx(574.0191, abs=2e-4)


@pytest.mark.parametrize("kind", TYPES)
def test_at_least_scikit_learns_ten_starts(iris: MixtureSelection, kind: str) -> None:
    for k in range(1, 6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs = GaussianMixture(k, covariance_type=kind, n_init=10, random_state=0).fit(IRIS).score(IRIS) * 150
        assert iris.table.loc[(k, kind), "log_likelihood"] > theirs - 0.05


@pytest.mark.parametrize("kind", TYPES)
def test_density_and_criteria_by_scipy(iris: MixtureSelection, kind: str) -> None:
    model = iris.models[3, kind]
    covariances = dense(model)
    joint = np.stack(
        [
            w * multivariate_normal(m, c).pdf(IRIS)
            for w, m, c in zip(model.weights_, model.means_, covariances, strict=True)
        ]
    )
    total = np.log(joint.sum(axis=0)).sum()
    row = iris.table.loc[3, kind]
    k = {"full": 44, "tied": 24, "diag": 26, "spherical": 17}[kind]
    assert row["log_likelihood"] == pytest.approx(total, rel=1e-10)
    assert row["bic"] == pytest.approx(k * np.log(150) - 2 * total)
    assert row["aic"] == pytest.approx(2 * k - 2 * total)
    assert row["icl"] == pytest.approx(row["bic"] - 2 * np.log(joint.max(axis=0) / joint.sum(axis=0)).sum())
    assert model.bic(IRIS) == pytest.approx(row["bic"])
    np.testing.assert_allclose(model.precisions_cholesky_, expected_cholesky(model), rtol=1e-8, atol=1e-10)


def dense(model: GaussianMixture) -> np.ndarray:
    k, width = model.means_.shape
    return {
        "full": lambda c: c,
        "tied": lambda c: np.broadcast_to(c, (k, width, width)),
        "diag": lambda c: c[:, :, None] * np.eye(width),
        "spherical": lambda c: c[:, None, None] * np.eye(width),
    }[model.covariance_type](model.covariances_)


def expected_cholesky(model: GaussianMixture) -> np.ndarray:
    from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

    return _compute_precision_cholesky(model.covariances_, model.covariance_type)


@pytest.mark.parametrize("kind", TYPES)
def test_scikit_learn_finds_nothing_to_improve(iris: MixtureSelection, kind: str) -> None:
    """A model is a fixed point of scikit-learn's own EM, continued from it without a floor under variances."""
    model = copy.deepcopy(iris.models[3, kind])
    before = model.score(IRIS)
    model.set_params(warm_start=True, max_iter=20, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(IRIS)
    assert 0 <= model.score(IRIS) - before + 1e-9 < 1e-4


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_units_do_not_matter(kind: str) -> None:
    """Columns in other units and far from zero: the same fit, its likelihood changed by the Jacobian alone."""
    scale, shift = np.array([1e-6, 1.0, 1e5, 3.0]), np.array([0.0, 1e3, -2e6, 5.0])
    one, other = (
        ul.fit_mixtures(X, [1, 2, 3], covariance_types=kind, n_init=10, random_state=0)
        for X in (IRIS, IRIS * scale + shift)
    )
    assert one.best == other.best
    change = one.table["log_likelihood"] - other.table["log_likelihood"]
    if kind != "diag":
        np.testing.assert_allclose(change, 150 * np.log(scale).sum(), rtol=1e-6)
    assert change.loc[1, kind] == pytest.approx(150 * np.log(scale).sum(), rel=1e-8)
    key = (2, kind)
    np.testing.assert_allclose(other.models[key].means_, one.models[key].means_ * scale + shift, rtol=1e-4)


def test_em_matches_the_rows_moments_whatever_k(iris: MixtureSelection) -> None:
    for k in range(1, 6):
        gap = ul.mega(iris.models[k, "full"], IRIS, unbiased=False, n_bootstrap=0)
        assert gap.first < 1e-10
        assert gap.second < 1e-10


def test_degenerate_fits_are_missing_with_a_reason() -> None:
    """Six distinct rows, repeated: every component of an unrestricted fit would sit on too few of them."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(6, 3)), 4, axis=0)
    found = ul.fit_mixtures(X, [1, 3, 6, 30], random_state=0, covariance_types=["full", "diag"])
    for key in [(3, "full"), (6, "full"), (6, "diag"), (30, "full")]:
        row = found.table.loc[key]
        assert key not in found.models
        assert np.isnan(row[["log_likelihood", "bic", "icl", "aic", "smallest_component"]].to_numpy(float)).all()
        assert row["reason"]
    assert found.table.loc[(30, "full"), "reason"] == "30 components for 24 rows"
    assert found.table.loc[(6, "diag"), "reason"] == "singular component"
    assert (1, "full") in found.models


def test_components_have_the_rows_they_need() -> None:
    found = ul.fit_mixtures(IRIS[:40], range(1, 7), random_state=0)
    for (_, kind), model in found.models.items():
        assert model.weights_.min() * 40 >= {"full": 5, "tied": 1, "diag": 2, "spherical": 2}[kind] - 1e-9
    assert found.table.loc[(6, "full"), "reason"]


def test_constant_and_dependent_columns() -> None:
    X = np.column_stack([IRIS, IRIS[:, 0] + IRIS[:, 1]])
    found = ul.fit_mixtures(X, [1, 2], random_state=0)
    assert found.table.loc[(2, "full"), "reason"] == "singular: columns are linearly dependent"
    assert (2, "diag") in found.models
    X = np.column_stack([IRIS, np.full(150, 0.1)])
    found = ul.fit_mixtures(pd.DataFrame(X, columns=list("abcde")), [1, 2], random_state=0)
    assert found.table.loc[(2, "diag"), "reason"] == "singular: column 'e' is constant"
    assert (1, "spherical") in found.models
    with pytest.raises(ValueError, match="no mixture of the grid.*constant"):
        ul.fit_mixtures(np.ones((9, 2)), [1])


def test_uncertainty_and_labels(iris: MixtureSelection) -> None:
    posterior = iris.best_model_.predict_proba(IRIS)
    np.testing.assert_allclose(iris.uncertainty, 1 - posterior.max(axis=1), atol=1e-12)
    np.testing.assert_array_equal(iris.labels, posterior.argmax(axis=1))
    assert iris.uncertainty.max() < 0.5


def test_differences_are_paired_by_row(iris: MixtureSelection) -> None:
    row = iris.table.loc[3, "tied"]
    rows = -2 * (iris.models[3, "tied"].score_samples(IRIS) - iris.best_model_.score_samples(IRIS))
    assert row["difference"] == pytest.approx(row["bic"] - iris.table.loc[iris.best, "bic"])
    assert row["difference_se"] == pytest.approx(np.sqrt(150) * rows.std(ddof=1))
    assert iris.table.loc[iris.best, "difference"] == 0
    assert "K = 2, full" in str(iris)
    assert "<table" in iris._repr_html_()


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_tables_keep_their_names(library: type) -> None:
    frame = library({name: IRIS[:, j] for j, name in enumerate("abcd")})
    found = ul.fit_mixtures(frame, [2], random_state=0)
    assert found.feature_names == tuple("abcd")
    assert list(found.best_model_.feature_names_in_) == list("abcd")
    assert found.best_model_.predict(frame.to_pandas() if library is pl.DataFrame else frame).shape == (150,)
    assert ul.mega(found.best_model_, frame, n_bootstrap=0).first < 1e-10


def test_same_seed_same_fits_and_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ul.fit_mixtures(IRIS, [1, 3], n_init=5, random_state=3).table
    pd.testing.assert_frame_equal(first, ul.fit_mixtures(IRIS, [1, 3], n_init=5, random_state=3).table)
    monkeypatch.setattr(em, "_BLOCK", 64 * 20)
    blocked = ul.fit_mixtures(IRIS, [1, 3], n_init=5, random_state=3).table
    np.testing.assert_allclose(blocked["log_likelihood"], first["log_likelihood"], rtol=1e-8)


def test_warning_at_the_edge_of_the_grid() -> None:
    with pytest.warns(DataWarning, match="largest number"):
        ul.fit_mixtures(IRIS, [1, 2], covariance_types="full", random_state=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": [0, 1]}, ValueError, "n_components"),
        ({"n_components": []}, ValueError, "n_components"),
        ({"n_components": [1.5]}, ValueError, "n_components"),
        ({"covariance_types": ["round"]}, ValueError, "covariance_types"),
        ({"criterion": "dic"}, ValueError, "criterion='dic'"),
        ({"n_init": 0}, ValueError, "n_init=0"),
        (
            {"X": np.where(np.arange(600).reshape(150, 4) == 9, np.nan, IRIS)},
            ValueError,
            "column 1, row 2 is missing.*fill",
        ),
        ({"X": IRIS[:1]}, ValueError, "1 row"),
        ({"X": pd.DataFrame({"a": ["u", "v"], "b": [1, 2]})}, TypeError, "column 'a'"),
    ],
)
def test_refusals(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ul.fit_mixtures(**{"X": IRIS, "n_components": [1, 2], **arguments})
