"""Mixtures of laws of log time: what they contain, their inverse, their draws and their start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lifelines import datasets
from scipy import optimize, stats
from torch import Tensor, nn

import underlie as ul
from underlie.data import time_scale
from underlie.distributions import EventTime, LogLocationScale, LogLocationScaleMixture
from underlie.models.time_axis import clock_axis, encode_outcome

FAMILIES = pytest.mark.parametrize("family", ["weibull", "lognormal", "loglogistic"])
WIDTH = pytest.mark.parametrize("width", [2, 4])
# location and shape -> SciPy's distribution
SCIPY: dict[str, Callable[[float, float], Any]] = {
    "weibull": lambda m, k: stats.weibull_min(k, scale=np.exp(m)),
    "lognormal": lambda m, k: stats.lognorm(1 / k, scale=np.exp(m)),
    "loglogistic": lambda m, k: stats.fisk(k, scale=np.exp(m)),
}


def _weibull_rows(n: int, seed: int = 0, shape: float = 1.4, follow_up: float = 2.0) -> Tensor:
    rng = np.random.default_rng(seed)
    t, c = rng.weibull(shape, n), rng.uniform(0, follow_up, n)
    return torch.as_tensor(np.column_stack([np.minimum(t, c), t <= c]).astype(float))


def _two_groups(n: int, seed: int = 0) -> Tensor:
    """Three in ten have Weibull(2) times about .15, the others Weibull(3) times about 1.5; under censoring."""
    rng = np.random.default_rng(seed)
    t = np.where(rng.random(n) < 0.3, 0.15 * rng.weibull(2, n), 1.5 * rng.weibull(3, n))
    c = rng.uniform(0, 4, n)
    return torch.as_tensor(np.column_stack([np.minimum(t, c), t <= c]).astype(float))


def _with_entry_and_intervals(x: Tensor) -> Tensor:
    """The same rows, every fourth event known to half a unit only, every fifth row seen from half its time on."""
    i = torch.arange(len(x))
    interval = (i % 4 == 0) & (x[:, 1] == 1)
    low = torch.where(interval, torch.floor(2 * x[:, 0]) / 2, x[:, 0])
    entry = torch.where((i % 5 == 0) & ~interval, 0.5 * x[:, 0], 0.0)
    return torch.stack([low, x[:, 1], entry, torch.where(interval, low + 0.5, x[:, 0])], dim=1)


def _rows(x: Tensor, width: int) -> Tensor:
    return x if width == 2 else _with_entry_and_intervals(x)


def _apart(family: str, k: int = 3, *, width: int = 2, seed: int = 0) -> tuple[LogLocationScaleMixture, Tensor]:
    """A head whose components differ in everything, and raw values for four rows."""
    torch.manual_seed(seed)
    head = LogLocationScaleMixture(k, family, width=width).double()
    with torch.no_grad():
        head.free_offset += torch.randn(1, k - 1)
        head.free_logit += torch.randn(1, k - 1)
        head.free_shape += torch.randn(1, k) * 0.5 + 0.5
    return head, torch.randn(4, k, dtype=torch.float64)


def _log_likelihood(head: EventTime, x: Tensor) -> float:
    return head.log_prob(x.new_zeros(len(x), head.n_raw), x).sum().item()


# -------------------------------------------------------------------------------------------------- what it contains


@FAMILIES
@WIDTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_component_is_the_single_law(family: str, width: int, dtype: torch.dtype) -> None:
    x = _rows(_weibull_rows(200), width).to(dtype)
    single, mixture = LogLocationScale(family, width=width).to(dtype), LogLocationScaleMixture(1, family, width=width)
    mixture = mixture.to(dtype)
    assert torch.equal(single.start(x), mixture.start(x))
    raw = torch.randn(200, 1, dtype=dtype, generator=torch.Generator().manual_seed(0))
    t, p = torch.tensor([0.0, 1e-3, 0.4, 1.0, 3.0], dtype=dtype), torch.tensor([0.0, 1e-4, 0.5, 0.99], dtype=dtype)
    near = {"rtol": 1e-11, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 2e-5, "atol": 2e-6}
    for f in (
        lambda h: h.log_prob(raw, x),
        lambda h: h.log_survival(raw, t),
        lambda h: h.log_hazard(raw, t),
        lambda h: h.quantile(raw, p),
        lambda h: h.restricted_mean(raw, t),
        lambda h: h.mean(raw),
        lambda h: h.variance(raw),
    ):
        torch.testing.assert_close(f(mixture), f(single), **near)


@FAMILIES
@WIDTH
def test_identical_components_are_the_component_whatever_their_weights(family: str, width: int) -> None:
    x = _rows(_weibull_rows(200), width)
    single, mixture = LogLocationScale(family, width=width).double(), LogLocationScaleMixture(3, family, width=width)
    mixture = mixture.double()
    single.start(x)
    mixture.link.centre.copy_(single.link.centre)
    nn.init.constant_(mixture.free_shape, single.free_shape.item())
    nn.init.constant_(mixture.free_offset, 0.0)
    raw = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3.0
    shift, t = raw[:, :1], torch.tensor([0.0, 1e-3, 0.4, 1.0, 3.0], dtype=torch.float64)
    p = torch.tensor([1e-5, 0.3, 0.9999], dtype=torch.float64)
    torch.testing.assert_close(mixture.log_prob(raw, x), single.log_prob(shift, x), rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(mixture.quantile(raw, p), single.quantile(shift, p), rtol=1e-10, atol=0.0)
    torch.testing.assert_close(mixture.restricted_mean(raw, t), single.restricted_mean(shift, t))
    torch.testing.assert_close(mixture.mean(raw), single.mean(shift))
    torch.testing.assert_close(mixture.variance(raw), single.variance(shift))


@FAMILIES
def test_the_mixture_is_scipys_weighted_sum(family: str) -> None:
    head, raw = _apart(family, width=4)
    t = np.array([0.01, 0.3, 0.9, 2.0, 8.0])
    weights, locations, shapes = (
        v.expand(4, 3).detach().numpy()
        for v in (head.log_weights(raw).exp(), head.log_locations(raw), head.log_shapes(raw).exp())
    )
    np.testing.assert_allclose(weights.sum(1), 1.0, rtol=1e-12)
    for row in range(4):
        laws = [SCIPY[family](m, k) for m, k in zip(locations[row], shapes[row], strict=True)]

        def mixed(name: str, at: Any, laws: list[Any] = laws, row: int = row) -> Any:
            return sum(w * getattr(law, name)(at) for w, law in zip(weights[row], laws, strict=True))

        at = torch.as_tensor(t)
        np.testing.assert_allclose(
            head.log_survival(raw, at)[row].detach(), np.log(mixed("sf", t)), rtol=1e-8, atol=1e-14
        )
        np.testing.assert_allclose(head.log_density(raw, at)[row].detach(), np.log(mixed("pdf", t)), rtol=1e-8)
        np.testing.assert_allclose(
            head.log_hazard(raw, at)[row].detach(), np.log(mixed("pdf", t) / mixed("sf", t)), rtol=1e-8, atol=1e-10
        )
        x = torch.tensor([[0.5, 1, 0.2, 0.5], [0.5, 0, 0.2, 0.5], [0.5, 1, 0.2, 0.8]], dtype=torch.float64)
        wanted = np.array([mixed("pdf", 0.5), mixed("sf", 0.5), mixed("sf", 0.5) - mixed("sf", 0.8)]) / mixed("sf", 0.2)
        found = head.log_prob(raw[row].expand(3, -1), x).sum(-1).detach()
        np.testing.assert_allclose(found, np.log(wanted), rtol=1e-8)


# -------------------------------------------------------------------------------------------------------- the inverse


@FAMILIES
@pytest.mark.parametrize("shape", [-0.8, 0.5, 3.5])
@pytest.mark.parametrize("distance", [0.01, 2.0, 12.0])
def test_quantiles_are_accurate_however_far_apart_components_are(family: str, shape: float, distance: float) -> None:
    head = LogLocationScaleMixture(3, family).double()
    with torch.no_grad():
        head.free_shape.copy_(shape + torch.tensor([[-0.5, 0.0, 0.3]]))
        head.free_offset.copy_(distance * torch.tensor([[1.0, -0.7]]))
        head.free_logit.copy_(torch.tensor([[1.0, -4.0]]))
    raw = torch.tensor([[0.0, 0.0, 0.0], [2.0, -3.0, 6.0]], dtype=torch.float64)
    # the third just past what the first component keeps: between components, where hardly anything happens
    shares = torch.tensor([1e-5, 0.004, 0.28, 0.5, 0.75, 0.999, 1 - 1e-9], dtype=torch.float64)
    found = head.quantile(raw, shares)
    for row, p, t in ((r, p.item(), found[r, i].item()) for r in range(2) for i, p in enumerate(shares)):

        def gap(s: float, row: int = row, p: float = p) -> float:
            at = torch.tensor([s], dtype=torch.float64).exp()
            return (head.log_survival(raw[row : row + 1], at) - np.log1p(-p)).item()

        root = optimize.brentq(gap, np.log(t) - 1.0, np.log(t) + 1.0, xtol=1e-14, rtol=1e-14)
        assert abs(np.log(t) - root) < 1e-9, (row, p)
    # in float32 as accurate as the number of digits allows
    rough = head.float().quantile(raw.float(), shares[1:6].float())
    exact = head.double().quantile(raw, shares[1:6].float().double())
    torch.testing.assert_close(rough.double(), exact, rtol=2e-6, atol=0.0)


def test_quantiles_at_the_ends() -> None:
    head, raw = _apart("weibull")
    t = head.quantile(raw, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert (t[:, 0] == 0).all()
    assert (t[:, 1] == torch.inf).all()
    assert head.quantile(raw.float(), torch.rand(5, 4, 7)).shape == (5, 4, 7)


@FAMILIES
def test_gradient_of_quantiles_is_the_derivative(family: str) -> None:
    head, raw = _apart(family)
    p = torch.tensor([0.01, 0.5, 0.97], dtype=torch.float64, requires_grad=True)
    raw.requires_grad_()
    torch.autograd.gradcheck(head.quantile, [raw, p], atol=1e-6)


@FAMILIES
@WIDTH
def test_gradients_by_free_parameters_are_derivatives(family: str, width: int) -> None:
    head, raw = _apart(family, width=width)
    x = _rows(_weibull_rows(40), width)[:8]
    raw = torch.cat([raw, raw])

    def log_prob(*values: Tensor) -> Tensor:
        named = dict(zip(dict(head.named_parameters()), values, strict=True))
        return torch.func.functional_call(head, named, (raw, x)).sum()

    head.forward = head.log_prob  # what functional_call calls
    torch.autograd.gradcheck(log_prob, [p.detach().clone().requires_grad_() for p in head.parameters()], atol=1e-6)


@FAMILIES
def test_survival_near_1_keeps_its_digits_in_float32(family: str) -> None:
    head, raw = _apart(family)
    t = torch.logspace(-6, 1, 50)
    exact = head.cumulative_hazard(raw, t.double())
    rough = head.float().cumulative_hazard(raw.float(), t)
    assert exact.min() < 1e-5
    torch.testing.assert_close(rough.double(), exact, rtol=1e-4, atol=1e-30)


# -------------------------------------------------------------------------------------------------------------- draws


@FAMILIES
def test_draws_follow_the_distribution(family: str) -> None:
    # Twelve Kolmogorov-Smirnov tests at 1e-4 each: with a fresh seed a correct sampler fails once in 830 runs.
    head, raw = _apart(family, seed=1)
    n = 20_000
    drawn = head.sample(raw[:, None].expand(4, n, 3), torch.Generator().manual_seed(2))
    assert drawn.shape == (4, n, 2)
    cdf = -torch.expm1(torch.stack([head.log_survival(raw[i : i + 1], drawn[i, :, 0])[0] for i in range(4)]))
    for row in cdf.detach().numpy():
        assert stats.kstest(row, "uniform").pvalue > 1e-4


# -------------------------------------------------------------------------------------------------------------- start


def _outcomes_of(name: str) -> Tensor:
    """Data of lifelines as encoded outcomes."""
    if name == "aids":
        table = datasets.load_multicenter_aids_cohort_study()
        y = ul.Surv(table["T"], table["D"], entry=table["W"])
    elif name == "diabetes":
        table = datasets.load_diabetes()
        y = ul.Surv(table["left"], upper=table["right"])
    else:
        load, time, event = {
            "waltons": (datasets.load_waltons, "T", "E"),
            "rossi": (datasets.load_rossi, "week", "arrest"),
            "lung": (datasets.load_lung, "time", "status"),
            "gbsg2": (datasets.load_gbsg2, "time", "cens"),
        }[name]
        y = ul.Surv(load()[time], load()[event])
    return torch.as_tensor(encode_outcome(y, clock_axis(time_scale(y))))


@FAMILIES
@pytest.mark.parametrize("name", ["waltons", "rossi", "lung", "gbsg2", "aids", "diabetes"])
def test_the_start_is_at_least_as_likely_as_the_single_law(family: str, name: str) -> None:
    x = _outcomes_of(name)
    single, mixture = (
        make(width=x.shape[1]).double()
        for make in (
            lambda width: LogLocationScale(family, width=width),
            lambda width: LogLocationScaleMixture(3, family, width=width),
        )
    )
    single.start(x)
    mixture.start(x)
    assert _log_likelihood(mixture, x) >= _log_likelihood(single, x) - 1e-6


@pytest.mark.parametrize("n_components", [2, 3, 5])
@pytest.mark.parametrize("n", [3, 12, 40, 150])
def test_the_start_is_at_least_as_likely_with_few_events_and_shapes_stay_plausible(n: int, n_components: int) -> None:
    for seed in range(2):
        x = _weibull_rows(n, seed, follow_up=1.0)
        x[0, 1] = 1.0
        single, mixture = LogLocationScale("weibull").double(), LogLocationScaleMixture(n_components).double()
        raw = mixture.start(x)
        single.start(x)
        assert _log_likelihood(mixture, x) >= _log_likelihood(single, x) - 1e-6
        # no component sits on one event: the penalty keeps log shapes within a few times .75 of the single law's
        apart = mixture.log_shapes(raw) - single.log_shape(raw)
        assert apart.abs().max() < 2.5


def test_the_start_is_a_maximum_of_the_penalised_likelihood() -> None:
    for x in (_two_groups(300), _with_entry_and_intervals(_two_groups(300))):
        single, head = (
            LogLocationScale("weibull", width=x.shape[1]).double(),
            LogLocationScaleMixture(3, width=x.shape[1]).double(),
        )
        raw = head.start(x)
        single.start(x)
        m, log_k = single.log_location(raw[:1]).item(), single.log_shape(raw[:1]).item()
        leaves = [raw.clone().requires_grad_(), *head.parameters()]  # raw moves the location
        apart, unlike = (head.log_locations(leaves[0]) - m) * np.exp(log_k), head.log_shapes(leaves[0]) - log_k
        penalty = (head.log_weights(leaves[0]) + np.log(3)).sum() - ((apart / 3) ** 2 + (unlike / 0.75) ** 2).sum() / 2
        value = (head.log_prob(leaves[0].expand(len(x), -1), x).sum() + penalty) / len(x)
        assert all(g.abs().max() < 1e-5 for g in torch.autograd.grad(value, leaves))
        assert head.log_weights(raw).diff().max() <= 0  # the heaviest first


def test_the_start_finds_two_groups() -> None:
    x, fresh = _two_groups(1500), _two_groups(20_000, seed=1)
    single, mixture = LogLocationScale("weibull").double(), LogLocationScaleMixture(2).double()
    single.start(x)
    raw = mixture.start(x)
    # On fresh rows .13 nats a row better (measured); the truth itself can be no better than the fit by more than its
    # five parameters cost, about 5 / (2 n).
    gain = (_log_likelihood(mixture, fresh) - _log_likelihood(single, fresh)) / len(fresh)
    assert gain > 0.1
    t = torch.tensor([0.05, 0.15, 0.3, 0.7, 1.2, 2.0], dtype=torch.float64)
    truth = 0.3 * torch.exp(-((t / 0.15) ** 2)) + 0.7 * torch.exp(-((t / 1.5) ** 3))
    # pointwise the standard error of a survival probability is below .5 / sqrt(1500) = .013 without censoring
    assert (mixture.log_survival(raw, t).exp() - truth).abs().max() < 0.04
    torch.testing.assert_close(mixture.log_weights(raw).exp(), torch.tensor([0.7, 0.3]).double(), atol=0.04, rtol=0.0)


def test_too_many_components_cost_little_on_fresh_rows() -> None:
    # Where one Weibull law is the truth. Six parameters more would cost six halves of a nat in n rows if they were
    # estimated freely; the penalty makes it less. Mean of twelve samples, standard error .6.
    losses = []
    for seed in range(12):
        x, fresh = _weibull_rows(100, seed), _weibull_rows(20_000, 1000 + seed)
        single, mixture = LogLocationScale("weibull").double(), LogLocationScaleMixture(3).double()
        single.start(x)
        mixture.start(x)
        losses.append(100 * (_log_likelihood(single, fresh) - _log_likelihood(mixture, fresh)) / len(fresh))
    assert np.mean(losses) < 3.0


# ---------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("n_components", [0, -1, 2.0, True])
def test_number_of_components_is_checked(n_components: Any) -> None:
    with pytest.raises(ValueError, match="n_components must be a positive whole number"):
        LogLocationScaleMixture(n_components)


def test_names_are_checked() -> None:
    with pytest.raises(
        ValueError, match="family must be one of 'weibull', 'lognormal', 'loglogistic', got 'exponential'"
    ):
        LogLocationScaleMixture(2, "exponential")
    with pytest.raises(ValueError, match="width must be 2"):
        LogLocationScaleMixture(2, width=3)
