"""Predictions are distributions, whatever the settings: curves, densities, hazards, quantiles and means agree."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from survival_cases import small, trial

import underlie as ul
from underlie.warnings import ConvergenceWarning, ExtrapolationWarning, ImportanceSamplingWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning"),
]

SETTINGS: dict[str, dict[str, Any]] = {
    "weibull": {},
    "exponential": {"distribution": "exponential"},
    "lognormal": {"distribution": "lognormal"},
    "loglogistic": {"distribution": "loglogistic"},
    "piecewise": {"distribution": "piecewise_exponential"},
    "mixture": {"distribution": "mixture"},
    "frailty": {"heterogeneity": 1.0},
    "clock": {"baseline": "parametric"},
    "supervised": {"alpha": 0.0},
    "elbo": {"objective": "elbo"},
    "original": {"objective": "elbo", "direct": False, "baseline": "parametric"},
}
X, Y = trial()
GRID = np.linspace(0.0, Y["time"].max(), 25)


@pytest.fixture(scope="module", params=SETTINGS)
def model(request: pytest.FixtureRequest) -> ul.SurvivalVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return small(**SETTINGS[request.param]).fit(X, Y)


def test_survival_falls_from_one(model: ul.SurvivalVAE) -> None:
    curves = model.predict_survival_function(X, np.concatenate([GRID, [1e-9]]))
    assert curves.shape == (len(X), 26)
    np.testing.assert_allclose(curves[:, [0, -1]], 1, atol=1e-5)
    assert ((curves >= 0) & (curves <= 1 + 1e-6)).all()
    assert (np.diff(curves[:, :-1]) <= 1e-6).all()
    assert (curves[:, 24] < 0.95).all()
    assert curves[:, 12].std() > 0.01 or not model.direct  # patients differ


def test_density_and_hazard_belong_to_survival(model: ul.SurvivalVAE) -> None:
    """The density integrates to what survival loses, 1e-3 of probability; the hazard is their ratio."""
    some = X.iloc[:4]
    times = _fine(model)
    survival, density = model.predict_survival_function(some, times), model.predict_density(some, times)
    assert (density >= 0).all()
    lost = np.trapezoid(density, times, axis=1)
    np.testing.assert_allclose(lost, survival[:, 0] - survival[:, -1], atol=2e-3)
    hazard = model.predict_hazard_function(some, times)
    np.testing.assert_allclose(hazard * survival, density, rtol=1e-5)
    cumulative = model.predict_cumulative_hazard_function(some, times)
    np.testing.assert_allclose(np.exp(-cumulative), survival, rtol=1e-6)


def _fine(model: ul.SurvivalVAE) -> np.ndarray:
    """Times between which no density jumps: just before and after each step of the axis, and many between."""
    knots = np.exp(model._axis.log_time)
    knots = knots[(knots > 1e-3) & (knots < model.follow_up_)]
    steps = np.concatenate([knots * (1 - 1e-9), knots * (1 + 1e-9)])
    return np.unique(np.concatenate([np.geomspace(1e-3, model.follow_up_, 600), np.sort(steps)]))


@pytest.mark.filterwarnings("ignore::underlie.warnings.ExtrapolationWarning")
def test_quantiles_invert_survival(model: ul.SurvivalVAE) -> None:
    some, p = X.iloc[:3], [0.01, 0.3, 0.5, 0.9]
    at = model.predict_quantile(some, p)
    assert at.shape == (3, 4)
    assert (np.diff(at) > 0).all()
    curves = model.predict_survival_function(some, at.ravel()).reshape(3, 3, 4)
    np.testing.assert_allclose(curves[np.arange(3), np.arange(3)], 1 - np.tile(p, (3, 1)), atol=1e-4)
    np.testing.assert_array_equal(at[:, 2], model.predict_median(some))


def test_restricted_mean_is_the_integral(model: ul.SurvivalVAE) -> None:
    """Within 1e-4 of the horizon, as documented; and the risk is what is lost of it."""
    some, horizon = X.iloc[:3], 30.0
    times = np.concatenate([[0.0], np.geomspace(1e-4, horizon, 3_000)])
    exact = np.trapezoid(model.predict_survival_function(some, times), times, axis=1)
    np.testing.assert_allclose(model.predict_rmst(some, horizon), exact, atol=1e-4 * horizon)
    assert (model.predict_rmst(some, 0.0) == 0).all()
    risk = model.predict(some)
    np.testing.assert_allclose(risk, model.follow_up_ - model.predict_rmst(some, model.follow_up_))


@pytest.mark.filterwarnings("ignore::underlie.warnings.ExtrapolationWarning")
def test_the_mean_is_the_integral_to_infinity(model: ul.SurvivalVAE) -> None:
    """By another rule, where the tail is light; never below the restricted mean."""
    some = X.iloc[:3]
    mean = model.predict_mean(some)
    assert (mean > model.predict_rmst(some, model.follow_up_)).all()
    times = np.concatenate([[0.0], np.geomspace(1e-4, model.follow_up_ * 1e6, 6_000)])
    curve = model.predict_survival_function(some, times)
    light = curve[:, -1] * times[-1] < 1e-4
    exact = np.trapezoid(curve, times, axis=1)
    np.testing.assert_allclose(mean[light], exact[light], rtol=2e-3)


def test_the_score_is_the_likelihood_of_the_curves(model: ul.SurvivalVAE) -> None:
    """log density of an event, log survival of a censored row."""
    some, y = X.iloc[:12], Y[:12]
    scores = model.score_samples(some, y)
    density = np.diagonal(model.predict_density(some, y["time"]))
    survival = np.diagonal(model.predict_survival_function(some, y["time"]))
    np.testing.assert_allclose(scores, np.log(np.where(y["event"], density, survival)), atol=2e-4)
    assert model.score(some, y) == pytest.approx(scores.mean())


def test_attributes(model: ul.SurvivalVAE) -> None:
    assert model.treatments_ == ["arm"]
    assert model.treatment_levels_ == {"arm": ["no", "yes"]}
    assert model.follow_up_ == Y["time"].max()
    np.testing.assert_array_equal(model.event_times_, np.unique(Y["time"][Y["event"]]))
    assert set(model.history_) == {"train", "valid"}
    for curve in model.history_.values():
        assert curve.shape[0] == 2
    assert model.best_epoch_.shape == model.restarts_.shape == (2,)
    assert model.n_features_in_ == 4
    assert list(model.feature_names_in_) == list(X.columns)
    assert [c.name for c in model.schema_] == ["age", "grade", "size"]
    assert model.fit_time_ > 0
    assert "p(z)" in str(model.generative_) or "z" in str(model.generative_)


def test_latent_space(model: ul.SurvivalVAE) -> None:
    posterior = model.posterior(X)
    assert posterior.mean.shape == posterior.variance.shape == (len(X), 2)
    assert (posterior.variance > 0).all()
    np.testing.assert_array_equal(model.transform(X), posterior.mean)
    np.testing.assert_array_equal(model.transform(X.drop(columns="arm")), posterior.mean)


@pytest.mark.filterwarnings("ignore::underlie.warnings.ExtrapolationWarning")
def test_earlier_events_have_higher_risk() -> None:
    """On 300 rows of which the truth ranks .69; chance would be .5 with a standard error of .02."""
    train, test = trial(300, seed=1), trial(300, seed=2)
    model = small(max_epochs=5).fit(*train)
    risk = model.predict(test[0])
    assert concordance_index(test[1]["time"], -risk, test[1]["event"]) > 0.6
    assert np.corrcoef(risk, -np.log(model.predict_median(test[0])))[0, 1] > 0.9


def test_horizons_beyond_follow_up_warn() -> None:
    model = small().fit(X, Y)
    late = model.follow_up_ * 1.01
    for ask in (
        lambda: model.predict_survival_function(X, late),
        lambda: model.predict_density(X, late),
        lambda: model.predict_hazard_function(X, late),
        lambda: model.predict_cumulative_hazard_function(X, late),
        lambda: model.predict_rmst(X, late),
        lambda: model.treatment_effect(X, late, "yes", "no"),
        lambda: model.recommend(X, late),
        lambda: model.predict_quantile(X, 0.9999),
    ):
        with pytest.warns(ExtrapolationWarning, match="beyond the longest follow-up"):
            ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExtrapolationWarning)
        model.predict_survival_function(X, model.follow_up_)
        model.predict(X)


def test_importance_sampling_is_reported_and_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small().fit(X, Y)
    quality = model.prediction_quality(X, n_importance=64)
    assert quality.ess.shape == quality.se.shape == quality.pareto_k.shape == (len(X),)
    assert ((quality.ess >= 1) & (quality.ess <= 64.001)).all()
    assert (model.prediction_quality(X, n_importance=512).se.mean()) < quality.se.mean()
    monkeypatch.setattr("underlie.estimators.survival_warnings._POOR_SE", 1e-9)
    with pytest.warns(ImportanceSamplingWarning, match=r"standard error .* raise n_importance"):
        model.predict_survival_function(X, [10.0], proposal="prior", n_importance=2)


def test_more_draws_converge_to_the_same_from_either_proposal() -> None:
    model = small(max_epochs=3).fit(X.drop(columns="grade"), Y)
    some = X.drop(columns="grade").iloc[:20]
    guide = model.predict_survival_function(some, [10.0, 20.0], n_importance=512)
    prior = model.predict_survival_function(some, [10.0, 20.0], proposal="prior", n_importance=2048)
    np.testing.assert_allclose(guide, prior, atol=0.02)


def test_parameters_are_scikit_learns() -> None:
    model = small(alpha=0.3)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert again.set_params(alpha=1.0).alpha == 1.0
    assert model.fit(X, Y) is model


@pytest.mark.parametrize(
    "method", ["predict", "predict_median", "predict_mean", "propensity", "transform", "posterior"]
)
def test_questions_before_fit(method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(small(), method)(X)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("predict_survival_function", (10.0,)),
        ("predict_density", (10.0,)),
        ("predict_rmst", (10.0,)),
        ("predict_quantile", (0.5,)),
        ("treatment_effect", (10.0, "yes", "no")),
        ("average_effect", (10.0, "yes", "no")),
        ("recommend", (10.0,)),
        ("score", (Y,)),
    ],
)
def test_questions_with_arguments_before_fit(method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotFittedError):
        getattr(small(), method)(X, *arguments)
