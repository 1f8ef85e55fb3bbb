"""The marginal fit of event-time likelihoods against lifelines' fitters, on lifelines' data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lifelines
import numpy as np
import pytest
import torch
from lifelines import datasets

import underlie as ul
from underlie.data import time_scale
from underlie.distributions import EventTime, LogLocationScale, PiecewiseExponential
from underlie.models.time_axis import clock_axis, encode_outcome, log_slopes

FITTERS = {
    "weibull": lifelines.WeibullFitter,
    "exponential": lifelines.ExponentialFitter,
    "lognormal": lifelines.LogNormalFitter,
    "loglogistic": lifelines.LogLogisticFitter,
}
FAMILIES = pytest.mark.parametrize("family", FITTERS)


def _maximised(make: Callable[[int], EventTime], y: np.ndarray) -> tuple[EventTime, float, float]:
    """The started head, its scale of time, and its maximised log-likelihood in the user's units."""
    scale = time_scale(y)
    x = torch.as_tensor(encode_outcome(y, clock_axis(scale)))
    head = make(x.shape[1]).double()
    raw = head.start(x)
    cells = head.log_prob(raw.expand(len(x), -1), x)
    return head, scale, cells.sum().item() + log_slopes(y, clock_axis(scale)).sum()


def _same(family: str, y: np.ndarray, fitter: Any) -> None:
    head, scale, log_likelihood = _maximised(lambda width: LogLocationScale(family, width=width), y)
    assert np.isclose(log_likelihood, fitter.log_likelihood_, rtol=1e-6, atol=0.0)
    raw = torch.zeros(1, 1, dtype=torch.float64)
    location, shape = np.exp(head.log_location(raw).item()) * scale, head.log_shape(raw).exp().item()
    theirs = {
        "weibull": lambda f: (f.lambda_, f.rho_),
        "exponential": lambda f: (f.lambda_, 1.0),
        "lognormal": lambda f: (np.exp(f.mu_), 1.0 / f.sigma_),
        "loglogistic": lambda f: (f.alpha_, f.beta_),
    }[family](fitter)
    np.testing.assert_allclose((location, shape), theirs, rtol=1e-3)
    t = np.quantile(y["time"], [0.1, 0.5, 0.9])
    ours = head.log_survival(raw, torch.as_tensor(t / scale)).exp().detach().numpy()[0]
    np.testing.assert_allclose(ours, fitter.survival_function_at_times(t), atol=1e-3)


@FAMILIES
@pytest.mark.parametrize(
    ("load", "time", "event"),
    [
        (datasets.load_waltons, "T", "E"),
        (datasets.load_rossi, "week", "arrest"),
        (datasets.load_lung, "time", "status"),
        (datasets.load_gbsg2, "time", "cens"),
    ],
)
def test_right_censored(family: str, load: Callable[[], Any], time: str, event: str) -> None:
    table = load()
    y = ul.Surv(table[time], table[event])
    _same(family, y, FITTERS[family]().fit(table[time], table[event]))


@FAMILIES
def test_left_truncated(family: str) -> None:
    table = datasets.load_multicenter_aids_cohort_study()
    y = ul.Surv(table["T"], table["D"], entry=table["W"])
    _same(family, y, FITTERS[family]().fit(table["T"], table["D"], entry=table["W"]))


@FAMILIES
def test_interval_censored(family: str) -> None:
    table = datasets.load_diabetes()
    right = np.where(
        np.arange(len(table)) % 5 == 0, np.inf, table["right"]
    )  # every fifth row only followed to its left
    y = ul.Surv(table["left"], upper=right)
    exact = y["event"] & (y["upper"] == y["time"])
    assert (exact.any(), (~y["event"]).any(), (y["event"] & ~exact).any()) == (True, True, True)
    _same(family, y, FITTERS[family]().fit_interval_censoring(table["left"], right))


def test_piecewise_exponential() -> None:
    table = datasets.load_waltons()
    cuts = [20.0, 40.0, 60.0]
    # An event at a cut point belongs to the interval that ends there, in lifelines to the next: such rows are left out.
    inside = ~np.isin(table["T"], cuts)
    assert inside.mean() > 0.9
    kept = table[inside]
    y = ul.Surv(kept["T"], kept["E"])
    head, scale, log_likelihood = _maximised(
        lambda w: PiecewiseExponential([c / time_scale(y) for c in cuts], width=w), y
    )
    fitter = lifelines.PiecewiseExponentialFitter(cuts).fit(kept["T"], kept["E"])
    assert np.isclose(log_likelihood, fitter.log_likelihood_, rtol=1e-5)
    means = torch.exp(-head.log_hazards(torch.zeros(1, 1, dtype=torch.float64))).detach().numpy()[0] * scale
    np.testing.assert_allclose(means, [getattr(fitter, f"lambda_{j}_") for j in range(4)], rtol=1e-2)


def test_a_linear_network_is_weibull_regression() -> None:
    table = datasets.load_rossi()
    y = ul.Surv(table["week"], table["arrest"])
    X = table.drop(columns=["week", "arrest"])
    scale = time_scale(y)
    x, design = (
        torch.as_tensor(encode_outcome(y, clock_axis(scale))),
        torch.as_tensor(((X - X.mean()) / X.std()).to_numpy()),
    )
    head = LogLocationScale("weibull").double()
    head.start(x)
    beta, intercept = (torch.zeros(k, 1, dtype=torch.float64, requires_grad=True) for k in (design.shape[1], 1))
    optimizer = torch.optim.LBFGS([beta, intercept, *head.parameters()], max_iter=200, line_search_fn="strong_wolfe")

    def log_likelihood() -> torch.Tensor:
        return head.log_prob(design @ beta + intercept, x).sum()

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = -log_likelihood() / len(x)
        loss.backward()
        return loss

    optimizer.step(step)
    fitter = lifelines.WeibullAFTFitter().fit(table, "week", "arrest")
    ours = log_likelihood().item() + log_slopes(y, clock_axis(scale)).sum()
    # the link bends by a quarter of a percent at 1.3 log units: not the same digits, but the same model
    assert np.isclose(ours, fitter.log_likelihood_, rtol=1e-5)
    theirs = fitter.params_["lambda_"][X.columns] * X.std()
    np.testing.assert_allclose(beta.detach().numpy()[:, 0], theirs, atol=2e-3)
    shape = head.log_shape(torch.zeros(1, 1)).exp().item()
    assert np.isclose(shape, np.exp(fitter.params_["rho_"]["Intercept"]), rtol=1e-3)
