"""Laws that every likelihood head obeys, whatever its formula."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from underlie.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    Gaussian,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    Normal,
    Ordinal,
    Poisson,
    Product,
    StandardNormal,
    StudentT,
)


def _real(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 3)) * [1.0, 0.5, 2.0] + [0.0, 1.0, -1.0]


def _mixed(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack(
        [rng.integers(0, 3, n), rng.normal(size=n), rng.poisson(2.0, n), rng.integers(0, 2, n), rng.normal(size=n)]
    )


@dataclass(frozen=True)
class Case:
    """A head, how to draw plausible columns for it, and the kind of its support."""

    name: str
    make: Callable[[], Likelihood]
    data: Callable[[np.random.Generator, int], np.ndarray]
    support: str


CASES = [
    Case("normal", lambda: Normal(3), _real, "real"),
    Case("normal-shared", lambda: Normal(3, "shared"), _real, "real"),
    Case("normal-network", lambda: Normal(3, "network"), _real, "real"),
    Case("gaussian", lambda: Gaussian(3), _real, "real"),
    Case("standard-normal", lambda: StandardNormal(3), _real, "real"),
    Case("student-t", lambda: StudentT(3), lambda rng, n: rng.standard_t(10, size=(n, 3)), "real"),
    Case("lognormal", lambda: LogNormal(2), lambda rng, n: rng.lognormal([0.0, 0.3], [0.4, 0.2], (n, 2)), "positive"),
    Case("exponential", lambda: Exponential(2), lambda rng, n: rng.exponential([1.0, 4.0], (n, 2)), "positive"),
    Case(
        "continuous-bernoulli",
        lambda: ContinuousBernoulli(3),
        lambda rng, n: rng.beta([1, 2, 1], [3, 2, 1], (n, 3)),
        "unit",
    ),
    Case("bernoulli", lambda: Bernoulli(3), lambda rng, n: rng.random((n, 3)) < [0.1, 0.5, 0.8], "codes"),
    Case("poisson", lambda: Poisson(2), lambda rng, n: rng.poisson([0.4, 7.0], (n, 2)), "count"),
    Case(
        "negative-binomial",
        lambda: NegativeBinomial(2),
        lambda rng, n: rng.negative_binomial(3, [0.8, 0.3], (n, 2)),
        "count",
    ),
    Case(
        "categorical", lambda: Categorical([3, 5, 2, 9]), lambda rng, n: rng.integers(0, [3, 5, 2, 9], (n, 4)), "codes"
    ),
    Case("ordinal", lambda: Ordinal([3, 2, 6, 1]), lambda rng, n: rng.integers(0, [3, 2, 6, 1], (n, 4)), "codes"),
    Case(
        "product",
        lambda: Product([Normal(2), Categorical([3]), Poisson(1), Bernoulli(1)], [[1, 4], [0], [2], [3]]),
        _mixed,
        "mixed",
    ),
]
ALL = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
#: The central moments of a head, by their order.
CENTRAL: dict[int, Callable[[Likelihood, Tensor], Tensor]] = {
    2: lambda head, raw: head.variance(raw),
    3: lambda head, raw: head.third_moment(raw),
    4: lambda head, raw: head.fourth_moment(raw),
}
SINGLE = pytest.mark.parametrize("case", [c for c in CASES if c.support != "mixed"], ids=lambda c: c.name)


def _data(case: Case, n: int = 500, seed: int = 0) -> Tensor:
    return torch.as_tensor(case.data(np.random.default_rng(seed), n).astype(float))


def _ready(case: Case, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Likelihood, Tensor]:
    """A started head whose free parameters are then moved away from the start, and raw values for three rows."""
    torch.manual_seed(seed)
    head = case.make().to(dtype)
    marginal = head.start(_data(case, seed=seed).to(dtype))
    with torch.no_grad():
        for p in head.parameters():
            p += 0.2 * torch.randn_like(p)
    return head, marginal + 0.5 * torch.randn(3, head.n_raw, dtype=dtype)


def _quadrature(case: Case, head: Likelihood, raw: Tensor) -> tuple[Tensor, Tensor]:
    """Points (m, 1, width) and weights (m, 1, 1|width) that integrate over the support of each column."""
    if case.support == "real":
        t = torch.linspace(-18.0, 18.0, 4001, dtype=raw.dtype)[:, None, None]
        centre, sd = head.mean(raw), head.variance(raw).sqrt()
        return centre + sd * torch.sinh(t), sd * torch.cosh(t) * (t[1] - t[0])
    if case.support == "positive":
        t = torch.linspace(-60.0, 12.0, 8001, dtype=raw.dtype)[:, None, None]
        return t.exp().expand(-1, 1, head.width), t.exp() * (t[1] - t[0])
    if case.support == "unit":
        nodes, weights = np.polynomial.legendre.leggauss(200)
        x = torch.as_tensor((nodes + 1) / 2)[:, None, None]
        return x.expand(-1, 1, head.width), torch.as_tensor(weights / 2)[:, None, None]
    if case.support == "count":
        x = torch.arange(3000, dtype=raw.dtype)[:, None, None]
        return x.expand(-1, 1, head.width), torch.ones(1, 1, 1, dtype=raw.dtype)
    levels = torch.tensor(getattr(head, "levels", (2,) * head.width))
    x = torch.arange(int(levels.max()))[:, None, None]
    valid = x < levels
    return torch.where(valid, x, 0).to(raw.dtype), valid.to(raw.dtype)


@SINGLE
def test_density_integrates_to_one(case: Case) -> None:
    head, raw = _ready(case)
    x, weight = _quadrature(case, head, raw)
    total = (head.log_prob(raw, x).exp() * weight).sum(0)
    # constants of the heads (log 2 pi) are float32
    torch.testing.assert_close(total, torch.ones(3, head.width, dtype=raw.dtype), rtol=1e-7, atol=1e-7)


@SINGLE
def test_moments_are_those_of_the_density(case: Case) -> None:
    """Exact sums over the support of discrete columns, quadrature for continuous ones."""
    head, raw = _ready(case)
    x, weight = _quadrature(case, head, raw)
    mass = head.log_prob(raw, x).exp() * weight
    if isinstance(head, Categorical):  # coordinates are indicators, whose means are the probabilities themselves
        p = torch.cat([mass[:k, :, j].T for j, k in enumerate(head.levels)], dim=-1)
        mass, x = torch.stack([1 - p, p]), torch.tensor([0.0, 1.0], dtype=p.dtype)[:, None, None]
    mean = (mass * x).sum(0)
    torch.testing.assert_close(head.mean(raw), mean, rtol=1e-6, atol=1e-8)
    for order, moment in CENTRAL.items():
        torch.testing.assert_close(moment(head, raw), (mass * (x - mean) ** order).sum(0), rtol=1e-6, atol=1e-6)


@ALL
def test_samples_have_the_stated_moments(case: Case) -> None:
    # Two comparisons for each of about 170 coordinates at 4.5 standard errors, 7e-6 each: with a fresh seed correct
    # heads would fail once in some 400 runs of all cases. The seed is fixed.
    head, raw = _ready(case, dtype=torch.float32)
    n = 40_000
    x = head.sample(raw.expand(n, *raw.shape), torch.Generator().manual_seed(1))
    assert x.shape == (n, 3, head.width)
    assert x.dtype == raw.dtype
    drawn = _coordinates(head, x).double()
    mean, variance = head.mean(raw).double(), head.variance(raw).double()
    deviation = drawn - mean
    assert ((drawn.mean(0) - mean).abs() <= 4.5 * (variance / n).sqrt() + 1e-6).all()
    fourth = (deviation.square() - variance).square().mean(0)
    assert ((deviation.square().mean(0) - variance).abs() <= 4.5 * (fourth / n).sqrt() + 1e-6).all()


@ALL
def test_samples_have_the_stated_third_and_fourth_moments(case: Case) -> None:
    """Two comparisons for each of about 170 coordinates, at 5 standard errors as estimated from the sample.

    With 150 other seeds correct heads failed once in all: the log-normal, whose fourth powers are so heavy-tailed that
    a sample without an extreme draw underestimates its own standard error. The seed is fixed.
    """
    head, raw = _ready(case, dtype=torch.float32)
    n = 40_000
    drawn = _coordinates(head, head.sample(raw.expand(n, *raw.shape), torch.Generator().manual_seed(2))).double()
    deviation = drawn - head.mean(raw).double()
    for order in (3, 4):
        power = deviation**order
        error = (power.var(0) / n).sqrt()
        assert ((power.mean(0) - CENTRAL[order](head, raw)).abs() <= 5.0 * error + 1e-6).all(), order


def _coordinates(head: Likelihood, x: Tensor) -> Tensor:
    """Values as coordinates: categorical columns as indicators."""
    if isinstance(head, Categorical):
        return head.features(x)
    if isinstance(head, Product):
        parts = [_coordinates(h, c) for h, c in zip(head.heads, head.cells.split(x), strict=True)]
        return head.coordinates.join(parts)
    return x


@ALL
def test_sampling_is_reproducible_by_its_generator_alone(case: Case) -> None:
    head, raw = _ready(case, dtype=torch.float32)
    torch.manual_seed(1)
    first = head.sample(raw, torch.Generator().manual_seed(3))
    torch.manual_seed(2)
    assert torch.equal(first, head.sample(raw, torch.Generator().manual_seed(3)))


EXTREME = {
    "real": (-1e6, 0.0, 1e6),
    "positive": (0.0, 1e-30, 1e6),
    "unit": (0.0, 1.0),
    "count": (0.0, 1.0, 1e6),
    "codes": (0.0,),
    "mixed": (0.0, 1.0),
}


@ALL
def test_values_and_gradients_are_finite_at_extreme_inputs(case: Case) -> None:
    head, _ = _ready(case, dtype=torch.float32)
    for level in (-1e4, -30.0, 0.0, 30.0, 1e4):
        for value in EXTREME[case.support]:
            raw = torch.full((2, head.n_raw), level)
            raw[1, ::2] *= -1.0
            raw.requires_grad_()
            log_p = head.log_prob(raw, torch.full((2, head.width), value))
            for out in (log_p, head.mean(raw), head.variance(raw)):
                assert torch.isfinite(out).all(), (level, value)
                head.zero_grad()
                leaves = [raw, *head.parameters()]
                if not out.requires_grad:
                    continue
                grads = torch.autograd.grad(out.sum(), leaves, allow_unused=True)
                assert all(torch.isfinite(g).all() for g in grads if g is not None), (level, value)
            assert torch.isfinite(head.sample(raw.detach())).all()


@ALL
def test_higher_moments_are_finite_in_double_precision_at_extreme_inputs(case: Case) -> None:
    head, _ = _ready(case)
    for level in (-1e4, -30.0, 0.0, 30.0, 1e4):
        raw = torch.full((2, head.n_raw), level, dtype=torch.float64)
        raw[1, ::2] *= -1.0
        raw.requires_grad_()
        for order in (3, 4):
            out = CENTRAL[order](head, raw)
            assert torch.isfinite(out).all(), (level, order)
            if not out.requires_grad:
                continue
            grads = torch.autograd.grad(out.sum(), [raw, *head.parameters()], allow_unused=True)
            assert all(torch.isfinite(g).all() for g in grads if g is not None), (level, order)


@ALL
def test_free_parameters_may_go_anywhere(case: Case) -> None:
    head, raw = _ready(case, dtype=torch.float32)
    x = _data(case, 3).float()
    for level in (-1e4, 1e4):
        for p in head.parameters():
            nn.init.constant_(p, level)
        log_p = head.log_prob(raw, x)
        assert torch.isfinite(log_p).all()
        assert torch.isfinite(head.mean(raw)).all()
        assert torch.isfinite(head.variance(raw)).all()
        for p in head.parameters():
            (g,) = torch.autograd.grad(head.log_prob(raw, x).sum(), [p], allow_unused=True)
            assert g is None or torch.isfinite(g).all()


@SINGLE
def test_gradient_is_the_derivative(case: Case) -> None:
    head, raw = _ready(case)
    if head.n_raw == 0:
        pytest.skip("nothing to differentiate by")
    x = _data(case, 3)
    raw.requires_grad_()
    torch.autograd.gradcheck(lambda r: head.log_prob(r, x), [raw], atol=1e-6)
    torch.autograd.gradcheck(head.mean, [raw], atol=1e-6)


@ALL
def test_values_broadcast_against_samples(case: Case) -> None:
    head, _ = _ready(case)
    raw = 0.3 * torch.randn(1, 4, 5, head.n_raw, dtype=torch.float64)
    x = _data(case, 5)
    together = head.log_prob(raw, x[None, None])
    assert together.shape == (1, 4, 5, head.width) or (head.n_raw == 0 and together.shape == (1, 1, 5, head.width))
    for s in range(together.shape[1]):
        torch.testing.assert_close(together[0, s], head.log_prob(raw[0, s], x))
    # and raw values against several x, with one more axis than they have
    many = torch.stack([_data(case, 5, seed=s) for s in range(3)])[None, :, None]
    wide = head.log_prob(raw, many)
    for k in range(3):
        torch.testing.assert_close(wide[0, k], head.log_prob(raw[0], many[0, k]))


def _stacked(heads: list[Likelihood]) -> Likelihood:
    """Heads of one replicate as one head of several: parameters and persistent buffers concatenated along axis 0."""
    joint = copy.deepcopy(heads[0])
    for name in joint.state_dict():
        path, _, leaf = name.rpartition(".")
        value = torch.cat([h.state_dict()[name] for h in heads])
        owner = joint.get_submodule(path)
        setattr(owner, leaf, nn.Parameter(value) if leaf in owner._parameters else value)
    return joint


def _gradients(head: Likelihood, raw: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Derivatives of the log-likelihood by raw values and free parameters."""
    leaf = raw.clone().requires_grad_()
    leaves = [leaf, *head.parameters()] if head.n_raw else []
    return torch.autograd.grad(head.log_prob(leaf, x).sum(), leaves) if leaves else ()


@ALL
def test_a_replicate_in_a_stack_equals_the_replicate_alone(case: Case) -> None:
    alone = [_ready(case, seed=s, dtype=torch.float32)[0] for s in range(3)]
    joint = _stacked(alone)
    raw = 0.3 * torch.randn(3, 2, 5, joint.n_raw)
    x = torch.stack([_data(case, 5, seed=s).float() for s in range(3)])[:, None]
    mean = joint.mean(raw)
    for f in (joint.log_prob(raw, x), mean, joint.variance(raw), joint.features(x), joint.raw_from_mean(mean)):
        assert f.shape[0] == 3
    for r, head in enumerate(alone):
        one = slice(r, r + 1)
        assert torch.equal(joint.log_prob(raw, x)[one], head.log_prob(raw[one], x[one]))
        assert torch.equal(mean[one], head.mean(raw[one]))
        for moment in CENTRAL.values():
            assert torch.equal(moment(joint, raw)[one], moment(head, raw[one]))
        assert torch.equal(joint.features(x)[one], head.features(x[one]))
        assert torch.equal(joint.raw_from_mean(mean)[one], head.raw_from_mean(mean[one]))
        assert all(
            torch.equal(g[one], h)
            for g, h in zip(_gradients(joint, raw, x), _gradients(head, raw[one], x[one]), strict=True)
        )
    # one set of rows for all replicates
    shared = joint.log_prob(raw, x[:1])
    for r, head in enumerate(alone):
        if head.n_raw:
            assert torch.equal(shared[r : r + 1], head.log_prob(raw[r : r + 1], x[:1]))
    assert joint.sample(raw).shape == (3, 2, 5, joint.width)


@ALL
def test_start_reproduces_the_marginal_means_and_variances(case: Case) -> None:
    if case.name == "standard-normal":
        pytest.skip("a prior without parameters")
    head = case.make().double()
    x = _data(case, 4000)
    raw = head.start(x)
    assert raw.shape == (head.n_raw,)
    if case.name == "lognormal":  # started by the moments of log x
        torch.testing.assert_close(head.link(raw), x.log().mean(0))
        torch.testing.assert_close(head.log_scale(1).exp(), x.log().std(0, correction=0))
        return
    seen = _coordinates(head, x)
    torch.testing.assert_close(head.mean(raw).flatten(), seen.mean(0), rtol=2e-3, atol=2e-3)
    if case.name in ("poisson", "exponential", "continuous-bernoulli", "ordinal", "product"):
        return  # one free number per column cannot hold the variance too
    wanted = seen.var(0, correction=0)
    if case.name == "normal-shared":
        wanted = wanted.mean().expand(3)
    torch.testing.assert_close(head.variance(raw).flatten(), wanted, rtol=5e-3, atol=5e-3)


@ALL
def test_start_ignores_what_was_not_observed(case: Case) -> None:
    x = _data(case, 300)
    observed = torch.rand(300, x.shape[1], generator=torch.Generator().manual_seed(0)) < 0.7
    harmless = x[0].expand_as(x)  # another valid value in the cells that are missing
    first, second = case.make().double(), case.make().double()
    torch.testing.assert_close(
        first.start(x, observed), second.start(torch.where(observed, x, harmless), observed), rtol=1e-9, atol=1e-9
    )
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@ALL
@pytest.mark.parametrize("rows", ["constant", "zero", "one", "all-missing"])
def test_start_survives_degenerate_columns(case: Case, rows: str) -> None:
    x = _data(case, 40).float()
    x = {"constant": x[:1].expand(40, -1), "zero": torch.zeros_like(x), "one": x[:1], "all-missing": x}[rows]
    observed = torch.zeros_like(x, dtype=torch.bool) if rows == "all-missing" else None
    head = case.make()
    raw = head.start(x, observed)
    assert torch.isfinite(raw).all()
    assert torch.isfinite(head.log_prob(raw, x)).all()
    assert torch.isfinite(head.mean(raw)).all()
    assert torch.isfinite(head.variance(raw)).all()
    assert torch.isfinite(head.features(x, observed)).all()
    back = head.raw_from_mean(head.mean(raw))
    assert torch.isfinite(back).all()


@ALL
def test_raw_from_mean_inverts_the_mean(case: Case) -> None:
    head, raw = _ready(case)
    mean = head.mean(raw)
    back = head.raw_from_mean(mean)
    assert back.shape == raw.shape
    torch.testing.assert_close(head.mean(back), mean, rtol=1e-6, atol=1e-6)


@ALL
def test_raw_from_mean_takes_means_out_of_range(case: Case) -> None:
    head, _ = _ready(case, dtype=torch.float32)
    for value in (-50.0, 0.0, 50.0, 1e9):
        raw = head.raw_from_mean(torch.full((2, head.n_coordinates), value))
        assert raw.shape == (2, head.n_raw)
        assert torch.isfinite(raw).all()
        assert torch.isfinite(head.mean(raw)).all()


@ALL
def test_features_are_of_order_one_and_zero_where_missing(case: Case) -> None:
    head, _ = _ready(case, dtype=torch.float32)
    x = _data(case, 300).float()
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    seen = head.features(x)
    masked = head.features(x, observed)
    assert seen.shape == masked.shape == (300, head.n_features)
    assert seen.abs().max() < 20.0
    expanded = observed.repeat_interleave(torch.tensor(head.features_per_column), dim=1)
    assert torch.equal(masked, torch.where(expanded, seen, 0.0))


@ALL
def test_stated_sizes_agree(case: Case) -> None:
    head, raw = _ready(case)
    assert raw.shape[-1] == head.n_raw
    assert head.mean(raw).shape == (3, head.n_coordinates)
    for moment in CENTRAL.values():
        assert moment(head, raw).shape == (3, head.n_coordinates)
        assert moment(head, raw).dtype == raw.dtype
    assert len(head.coordinates_per_column) == len(head.features_per_column) == head.width
    assert sum(head.coordinates_per_column) == head.n_coordinates
    assert sum(head.features_per_column) == head.n_features
    for group in head.exclusive:
        torch.testing.assert_close(head.mean(raw)[:, group].sum(1), torch.ones(3, dtype=raw.dtype))
    assert "(" in head.notation("z")


@ALL
def test_a_state_dict_restores_the_head(case: Case) -> None:
    head, raw = _ready(case)
    other = case.make().double()
    other.load_state_dict(head.state_dict())
    x = _data(case, 3)
    assert torch.equal(other.log_prob(raw, x), head.log_prob(raw, x))
    assert torch.equal(other.features(x), head.features(x))
    assert torch.equal(other.raw_from_mean(head.mean(raw)), head.raw_from_mean(head.mean(raw)))
