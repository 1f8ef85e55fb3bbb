"""Bounds on the evidence against models whose evidence, posterior and divergences are known exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from underlie.distributions import Categorical, Gaussian, Normal, StandardNormal
from underlie.graph import Batch, Factor, Joint, LatentModel, elbo, importance_bound, log_weights
from underlie.models.ppca import LinearGaussian
from underlie.nn import MLP, Read

BOUND = 7.0  # of the guide's log standard deviations, log sd = 7 tanh(u / 7)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int, n_draws: int, n_rows: int, width: int, name: str = "z") -> dict[str, Tensor]:
    return {name: torch.randn(1, n_draws, n_rows, width, generator=seeded(seed))}


def normal_head(width: int, sd: float) -> Normal:
    head = Normal(width, "shared")
    head.start(torch.tensor([[-sd], [sd]]).expand(2, width))
    return head


def affine(weight: Tensor, bias: Tensor) -> MLP:
    net = MLP([len(weight)], (), len(bias), seeded(0))
    net.start_linear(weight.float(), bias.float())
    return net


# ---- linear-Gaussian models: everything is known ----
SD = 0.5
MEAN = np.array([1.0, -2.0, 0.5, 0.0])
#: Orthogonal columns: the exact posterior has a diagonal covariance, which the guide can express.
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]])
EXACT = LinearGaussian(MEAN, LOADINGS, SD**2)


def linear_model(slope: np.ndarray, offset: np.ndarray, sd: np.ndarray) -> LatentModel:
    """x = W z + mean + noise; guide z | x ~ N(x slope + offset, diag sd^2)."""
    free = BOUND * np.arctanh(np.log(sd) / BOUND)
    weight = torch.tensor(np.concatenate([slope, np.zeros_like(slope)], 1))
    return LatentModel(
        Joint(
            Factor("z", StandardNormal(2)),
            Factor("x", normal_head(4, SD), ["z"], affine(torch.tensor(LOADINGS.T), torch.tensor(MEAN))),
        ),
        Joint(
            Factor("z", Gaussian(2, bound=BOUND), ["x"], affine(weight, torch.tensor(np.concatenate([offset, free])))),
            given=["x"],
        ),
    )


def posterior_guide() -> LatentModel:
    """The guide is the exact posterior."""
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    slope = LOADINGS @ np.linalg.inv(precision) / SD**2
    return linear_model(slope, -MEAN @ slope, np.diagonal(np.linalg.inv(precision)) ** 0.5)


def poor_guide(spread: float = 2.0) -> LatentModel:
    """A guide with the wrong centre and scale; ``spread`` in posterior standard deviations."""
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    slope = 0.8 * LOADINGS @ np.linalg.inv(precision) / SD**2
    return linear_model(slope, 0.1 - MEAN @ slope, spread * np.diagonal(np.linalg.inv(precision)) ** 0.5)


def rows(n: int, seed: int) -> tuple[np.ndarray, Batch]:
    x = EXACT.sample(n, seed)
    return x, Batch({"x": torch.as_tensor(x, dtype=torch.float32)[None, None]})


def guide_moments(model: LatentModel, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    factor = model.inference["z"]
    raw = factor.raw(batch)
    return factor.head.mean(raw)[0, 0].double().detach().numpy(), factor.head.variance(raw)[
        0, 0
    ].double().detach().numpy()


def test_bounds_are_the_evidence_when_the_guide_is_the_posterior() -> None:
    x, batch = rows(50, 1)
    model, log_p = posterior_guide(), torch.as_tensor(EXACT.log_density(x), dtype=torch.float32)
    # The weight is the evidence for every single draw, not only on average: float32 rounding alone.
    w = log_weights(model, batch, noise(2, 30, 50, 2))
    torch.testing.assert_close(w, log_p.expand_as(w), rtol=0, atol=2e-4)
    torch.testing.assert_close(importance_bound(model, batch, noise(2, 30, 50, 2))[0], log_p, rtol=0, atol=2e-4)
    # With the analytic divergence the noise of E[log p(x | z)] stays in.
    draws = noise(3, 4000, 50, 2)
    se = per_draw_reconstruction(model, batch, draws).std(0) / math.sqrt(4000)
    assert ((elbo(model, batch, draws)[0] - log_p).abs() / se).max() < 5  # 50 normal z-scores: false alarms 3e-5


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_gap_of_the_bound_is_the_divergence_from_the_posterior(spread: float) -> None:
    x, batch = rows(40, 4)
    model = poor_guide(spread)
    mean, variance = guide_moments(model, batch)
    exact_mean, covariance = EXACT.posterior(x)
    exact_variance = np.diagonal(covariance, axis1=1, axis2=2)
    ratio = variance / exact_variance
    divergence = 0.5 * (ratio + (mean - exact_mean) ** 2 / exact_variance - 1 - np.log(ratio)).sum(1)
    draws = noise(5, 5000, 40, 2)
    reconstruction = per_draw_reconstruction(model, batch, draws)
    se = (reconstruction.std(0) / math.sqrt(5000)).numpy()
    bound = elbo(model, batch, draws)[0].detach().double().numpy()
    z = (bound - (EXACT.log_density(x) - divergence)) / se
    assert np.abs(z).max() < 5  # 3 x 40 normal z-scores: false alarms 7e-5
    assert (divergence > 0).all()  # and so the bound is below the evidence


def per_draw_reconstruction(model: LatentModel, batch: Batch, draws: dict[str, Tensor]) -> Tensor:
    """log p(x | z_s), (S, B)."""
    factor = model.inference["z"]
    z = factor.head.rsample(factor.raw(batch), draws["z"])
    return model.generative["x"].log_prob(batch.set("z", z))[0].detach().double()


def test_analytic_divergence_is_the_monte_carlo_one() -> None:
    _, batch = rows(30, 6)
    model, draws = poor_guide(1.5), noise(7, 20_000, 30, 2)
    with torch.no_grad():
        minus_divergence = log_weights(model, batch, draws)[0].double() - per_draw_reconstruction(model, batch, draws)
        analytic = elbo(model, batch, draws)[0].double() - per_draw_reconstruction(model, batch, draws).mean(0)
    z = (minus_divergence.mean(0) - analytic) / (minus_divergence.std(0) / math.sqrt(20_000))
    assert z.abs().max() < 5  # 30 normal z-scores: false alarms 2e-5


def test_beta_weighs_the_divergence_only() -> None:
    _, batch = rows(20, 8)
    model, draws = poor_guide(), noise(9, 3, 20, 2)
    factor = model.inference["z"]
    divergence = factor.head.kl_standard(factor.raw(batch)).sum(-1)[0, 0]
    reconstruction = per_draw_reconstruction(model, batch, draws).mean(0).float()
    for beta in (0.0, 0.5, 1.0, 4.0):
        expected = reconstruction - beta * divergence
        torch.testing.assert_close(elbo(model, batch, draws, beta=beta)[0], expected, rtol=1e-5, atol=1e-4)


def test_one_draw_and_several_agree_on_what_a_draw_is_worth() -> None:
    _, batch = rows(10, 10)
    model, draws = poor_guide(), noise(11, 6, 10, 2)
    singly = [elbo(model, batch, {"z": draws["z"][:, s : s + 1]}) for s in range(6)]
    torch.testing.assert_close(elbo(model, batch, draws), torch.stack(singly).mean(0), rtol=1e-5, atol=1e-5)


def test_missing_columns_do_not_enter_the_bound() -> None:
    x, batch = rows(12, 12)
    # The guide here does not look at x, so that only the likelihood can differ.
    model = linear_model(np.zeros((4, 2)), np.zeros(2), np.ones(2))
    mask = torch.tensor([True, False, True, True]).expand(1, 1, 12, 4)
    draws = noise(13, 50_000, 12, 2)
    with torch.no_grad():
        bound = importance_bound(model, Batch(batch.values, {"x": mask}), draws)[0].double().numpy()
        weights = log_weights(model, Batch(batch.values, {"x": mask}), draws)[0].double().exp()
    se = (weights.std(0) / weights.mean(0) / math.sqrt(50_000)).numpy()
    marginal = LinearGaussian(MEAN[[0, 2, 3]], LOADINGS[[0, 2, 3]], SD**2)
    z = (bound - marginal.log_density(x[:, [0, 2, 3]])) / se
    # Weights are bounded but skewed; 12 z-scores below 6 hold with false alarms under 1e-4 even so.
    assert np.abs(z).max() < 6


def test_importance_bound_rises_with_draws_to_the_evidence() -> None:
    # 30 rows, 2,000 independent bounds each. Means are compared by their own standard errors, pooled over rows.
    x, batch = rows(30, 14)
    model, log_p = poor_guide(3.0), EXACT.log_density(x)
    repeats = 2000
    with torch.no_grad():
        w = log_weights(model, batch, noise(15, repeats * 64, 30, 2))[0].double().reshape(repeats, 64, 30)
    gap = [(torch.logsumexp(w[:, :s], 1) - math.log(s)).mean(1) - log_p.mean() for s in (1, 4, 16, 64)]

    def z(values: Tensor) -> float:
        return (values.mean() / (values.std() / math.sqrt(repeats))).item()

    assert all(z(later - sooner) > 5 for sooner, later in pairwise(gap))
    assert all(z(g) < 5 for g in gap)  # never above the evidence: false alarms 1e-6
    # The bias is -var(w / p) / (2 S) to first order (Nowozin, 2018).
    relative_variance = torch.exp(w - torch.as_tensor(log_p)).var((0, 1)).mean().item()
    assert gap[-1].mean().item() == pytest.approx(-relative_variance / 128, rel=0.25)


def test_importance_bound_of_one_draw_is_the_mean_elbo() -> None:
    _, batch = rows(30, 16)
    draws = noise(17, 20_000, 30, 2)
    with torch.no_grad():
        single = log_weights(poor_guide(), batch, draws)[0].double()
        reconstruction = per_draw_reconstruction(poor_guide(), batch, draws)
        bound = elbo(poor_guide(), batch, draws)[0].double()
    difference = single - reconstruction
    z = (single.mean(0) - bound) / (difference.std(0) / math.sqrt(20_000))
    assert z.abs().max() < 5  # 30 z-scores: false alarms 2e-5


def test_bounds_are_differentiable_everywhere_in_the_model() -> None:
    _, batch = rows(8, 18)
    for objective in (elbo, importance_bound):
        model = poor_guide()
        objective(model, batch, noise(19, 3, 8, 2)).sum().backward()
        for name, p in model.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            assert (p.grad != 0).any(), name


def test_empty_batch_is_refused() -> None:
    with pytest.raises((ValueError, KeyError)):
        elbo(poor_guide(), Batch({}), noise(20, 1, 3, 2))


def test_latent_variables_need_a_head_that_can_be_differentiated_through() -> None:
    guide = Joint(Factor("z", Normal(2), ["x"], affine(torch.zeros(4, 2), torch.zeros(2))), given=["x"])
    model = LatentModel(poor_guide().generative, guide)
    with pytest.raises(TypeError, match="guide of 'z'.*need a Gaussian or Categorical head"):
        elbo(model, rows(3, 21)[1], noise(22, 1, 3, 2))


# ---- a discrete variable beside a continuous one: the M2 model of Kingma et al. (2014) ----
K = 3


def m2(seed: int = 0) -> LatentModel:
    g, label = seeded(seed), Categorical([K])
    read = {"y": Read(label, with_mask=False)}
    return LatentModel(
        Joint(
            Factor("y", Categorical([K])),
            Factor("z", StandardNormal(2)),
            Factor("x", normal_head(4, SD), ["y", "z"], MLP([K, 2], (8,), 4, g), reads=read),
        ),
        Joint(
            Factor("y", label, ["x"], MLP([4], (8,), K, g)),
            Factor("z", Gaussian(2), ["x", "y"], MLP([4, K], (8,), 4, g), reads=read),
            given=["x"],
        ),
    )


def with_label(batch: Batch, code: int) -> Batch:
    x = batch.values["x"]
    return batch.set("y", torch.full((*x.shape[:-1], 1), float(code)))


def labelled_bound(model: LatentModel, batch: Batch, draws: dict[str, Tensor], beta: float = 1.0) -> Tensor:
    """L(x, y) by hand: E[log p(x | y, z)] + log p(y) - beta KL(q(z | x, y) | p(z))."""
    guide, x = model.inference["z"], model.generative["x"]
    raw = guide.raw(batch)
    z = guide.head.rsample(raw, draws["z"])
    return x.log_prob(batch.set("z", z)).mean(1) - math.log(K) - beta * guide.head.kl_standard(raw).sum(-1).mean(1)


def unlabelled_bound(model: LatentModel, batch: Batch, draws: dict[str, Tensor], beta: float = 1.0) -> Tensor:
    """U(x) by hand: sum_k q_k L(x, k) + H(q)."""
    log_q = torch.log_softmax(model.inference["y"].raw(batch), -1)[:, 0]
    values = torch.stack([labelled_bound(model, with_label(batch, k), draws, beta) for k in range(K)], -1)
    return (log_q.exp() * (values - log_q)).sum(-1)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("n_draws", [1, 5])
def test_labels_never_seen_are_summed_out(beta: float, n_draws: int) -> None:
    _, batch = rows(15, 30)
    model, draws = m2(), noise(31, n_draws, 15, 2)
    torch.testing.assert_close(
        elbo(model, batch, draws, beta=beta), unlabelled_bound(model, batch, draws, beta), rtol=1e-5, atol=1e-5
    )


def test_labels_all_seen_leave_the_classifier_out() -> None:
    _, batch = rows(15, 32)
    model, draws = m2(), noise(33, 4, 15, 2)
    labels = torch.randint(K, (1, 1, 15, 1), generator=seeded(34)).float()
    seen = batch.set("y", labels)
    by_hand = torch.stack([labelled_bound(model, with_label(batch, k), draws)[0] for k in range(K)])
    expected = by_hand.gather(0, labels[0, 0, :, 0].long()[None])
    bound = elbo(model, seen, draws)
    torch.testing.assert_close(bound, expected, rtol=1e-5, atol=1e-5)
    bound.sum().backward()
    assert all(p.grad is None for p in model.inference["y"].net.parameters())
    changed = m2()
    with torch.no_grad():
        for p in changed.inference["y"].net.parameters():
            p.add_(1.0)
    assert torch.equal(elbo(changed, seen, draws), elbo(model, seen, draws))


def test_labels_seen_in_some_rows_mix_row_by_row() -> None:
    _, batch = rows(15, 35)
    model, draws = m2(), noise(36, 4, 15, 2)
    labels = torch.randint(K, (1, 1, 15, 1), generator=seeded(37)).float()
    seen = torch.rand(1, 1, 15, 1, generator=seeded(38)) < 0.5
    assert 0 < seen.sum() < 15
    mixed = Batch({**batch.values, "y": labels}, {"y": seen})
    expected = torch.where(seen[:, 0, :, 0], elbo(model, batch.set("y", labels), draws), elbo(model, batch, draws))
    torch.testing.assert_close(elbo(model, mixed, draws), expected, rtol=1e-5, atol=1e-5)
    expected = torch.where(
        seen[:, 0, :, 0], importance_bound(model, batch.set("y", labels), draws), importance_bound(model, batch, draws)
    )
    torch.testing.assert_close(importance_bound(model, mixed, draws), expected, rtol=1e-5, atol=1e-5)
    # What stands in a missing label's cell is of no consequence.
    other = Batch({**batch.values, "y": torch.where(seen, labels, 0.0)}, {"y": seen})
    assert torch.equal(elbo(model, other, draws), elbo(model, mixed, draws))


def test_weights_sum_over_the_labels() -> None:
    _, batch = rows(15, 39)
    model, draws = m2(), noise(40, 6, 15, 2)
    terms = []
    for k in range(K):
        one = with_label(batch, k)
        guide = model.inference["z"]
        raw = guide.raw(one)
        z = guide.head.rsample(raw, draws["z"])
        prior = StandardNormal(2).log_prob(None, z).sum(-1) - math.log(K)
        terms.append(model.generative["x"].log_prob(one.set("z", z)) + prior - guide.head.log_prob(raw, z).sum(-1))
    torch.testing.assert_close(
        log_weights(model, batch, draws), torch.logsumexp(torch.stack(terms), 0), rtol=1e-5, atol=1e-4
    )


def test_two_discrete_variables_are_both_summed_out() -> None:
    # y and u discrete, x | y, u normal, nothing continuous: the bound is exact and equals the double sum by hand.
    g, label, other = seeded(41), Categorical([3]), Categorical([2])
    read = {"y": Read(label, with_mask=False), "u": Read(other, with_mask=False)}
    model = LatentModel(
        Joint(
            Factor("y", label),
            Factor("u", other, ["y"], MLP([3], (), 2, g), reads={"y": read["y"]}),
            Factor("x", normal_head(4, 1.0), ["y", "u"], MLP([3, 2], (), 4, g), reads=read),
        ),
        Joint(
            Factor("y", label, ["x"], MLP([4], (), 3, g)),
            Factor("u", other, ["x", "y"], MLP([4, 3], (), 2, g), reads={"y": read["y"]}),
            given=["x"],
        ),
    )
    _, batch = rows(9, 42)
    one = torch.ones(1, 1, 9, 1)
    joint = [model.generative.log_prob(batch.set("y", k * one).set("u", m * one)) for k in range(3) for m in range(2)]
    exact = torch.logsumexp(torch.stack(joint), 0)[:, 0]
    torch.testing.assert_close(importance_bound(model, batch, {}), exact, rtol=1e-5, atol=1e-5)
    by_hand = torch.zeros(1, 1, 9)
    for k in range(3):
        log_qy = model.inference["y"].log_prob(batch.set("y", k * one))
        for m in range(2):
            full = batch.set("y", k * one).set("u", m * one)
            log_q = log_qy + model.inference["u"].log_prob(full)
            by_hand = by_hand + log_q.exp() * (model.generative.log_prob(full) - log_q)
    bound = elbo(model, batch, {})
    torch.testing.assert_close(bound, by_hand[:, 0], rtol=1e-5, atol=1e-5)
    assert (bound < exact).all()


def test_discrete_latent_variable_must_be_one_column() -> None:
    two = Categorical([2, 3])
    guide = Joint(Factor("y", two, ["x"], MLP([4], (), 5, seeded(0))), given=["x"])
    generative = Joint(Factor("y", two), Factor("x", normal_head(4, 1.0), ["y"], MLP([2], (), 4, seeded(0))))
    with pytest.raises(ValueError, match="'y' has 2 columns.*a factor each"):
        elbo(LatentModel(generative, guide), rows(3, 43)[1], {})


def mixture(n_components: int, head: Normal, means: Tensor, guide_net: nn.Module) -> LatentModel:
    """x | k normal, k discrete and uniform."""
    label = Categorical([n_components])
    read = {"k": Read(label, with_mask=False)}
    net = affine(means, torch.zeros(means.shape[1]))
    return LatentModel(
        Joint(Factor("k", label), Factor("x", head, ["k"], net, reads=read)),
        Joint(Factor("k", label, ["x"], guide_net), given=["x"]),
    )


def fitted_mixture() -> tuple[GaussianMixture, LatentModel, Batch, np.ndarray]:
    """scikit-learn's Gaussian mixture, its weights made equal, and the same model as a graph."""
    rng = np.random.default_rng(44)
    x = np.concatenate([rng.normal(c, s, (60, 3)) for c, s in ((-2.0, 0.5), (0.0, 1.0), (1.5, 0.7))])
    theirs = GaussianMixture(3, covariance_type="diag", random_state=0).fit(x)
    theirs.weights_ = np.full(3, 1 / 3)
    head = Normal(3, "network")
    sd = torch.as_tensor(theirs.covariances_**0.5, dtype=torch.float32)
    raw = [
        head.start(torch.stack([m - s, m + s]))
        for m, s in zip(torch.as_tensor(theirs.means_, dtype=torch.float32), sd, strict=True)
    ]
    model = mixture(3, head, torch.stack(raw), MLP([3], (8,), 3, seeded(45)))
    return theirs, model, Batch({"x": torch.as_tensor(x, dtype=torch.float32)[None, None]}), x


def test_importance_bound_of_a_mixture_is_its_exact_likelihood() -> None:
    theirs, model, batch, x = fitted_mixture()
    exact = torch.as_tensor(theirs.score_samples(x), dtype=torch.float32)
    torch.testing.assert_close(importance_bound(model, batch, {})[0], exact, rtol=1e-4, atol=1e-4)
    assert (elbo(model, batch, {})[0] < exact).all()  # whatever the guide


def test_bound_of_a_mixture_is_its_likelihood_when_the_guide_is_bayes_rule() -> None:
    theirs, model, batch, x = fitted_mixture()

    class Responsibilities(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            return torch.as_tensor(np.log(theirs.predict_proba(x) + 1e-300), dtype=torch.float32)[None, None]

    model.inference["k"].net = Responsibilities()
    exact = torch.as_tensor(theirs.score_samples(x), dtype=torch.float32)
    torch.testing.assert_close(elbo(model, batch, {})[0], exact, rtol=1e-4, atol=1e-4)


# ---- an auxiliary variable: the SDGM of Maaloe et al. (2016) ----
def sdgm() -> LatentModel:
    g, label = seeded(50), Categorical([K])
    read = {"y": Read(label, with_mask=False)}
    return LatentModel(
        Joint(
            Factor("y", Categorical([K])),
            Factor("z", StandardNormal(2)),
            Factor("a", Gaussian(2), ["y", "z"], MLP([K, 2], (8,), 4, g), reads=read),
            Factor("x", normal_head(4, SD), ["a", "y", "z"], MLP([2, K, 2], (8,), 4, g), reads=read),
        ),
        Joint(
            Factor("a", Gaussian(2), ["x"], MLP([4], (8,), 4, g)),
            Factor("y", label, ["a", "x"], MLP([2, 4], (8,), K, g)),
            Factor("z", Gaussian(2), ["a", "x", "y"], MLP([2, 4, K], (8,), 4, g), reads=read),
            given=["x"],
        ),
    )


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_auxiliary_variable_enters_by_its_drawn_log_ratio(beta: float) -> None:
    _, batch = rows(11, 51)
    model, n_draws = sdgm(), 5
    draws = {**noise(52, n_draws, 11, 2, "z"), **noise(53, n_draws, 11, 2, "a")}
    q, p = model.inference, model.generative
    raw_a = q["a"].raw(batch)
    a = q["a"].head.rsample(raw_a, draws["a"])
    log_qa = q["a"].head.log_prob(raw_a, a).sum(-1)
    log_qy = torch.log_softmax(q["y"].raw(batch.set("a", a)), -1)  # (1, S, B, K)
    inner = torch.zeros(1, n_draws, 11)
    for k in range(K):
        one = batch.set("a", a).set("y", torch.full((1, n_draws, 11, 1), float(k)))
        raw_z = q["z"].raw(one)
        full = one.set("z", q["z"].head.rsample(raw_z, draws["z"]))
        value = (
            p["x"].log_prob(full)
            + beta * p["a"].log_prob(full)
            - math.log(K)
            - beta * q["z"].head.kl_standard(raw_z).sum(-1)
        )
        inner = inner + log_qy[..., k].exp() * (value - log_qy[..., k])
    torch.testing.assert_close(
        elbo(model, batch, draws, beta=beta), (inner - beta * log_qa).mean(1), rtol=1e-5, atol=1e-4
    )


def test_auxiliary_model_with_some_labels_trains_every_parameter() -> None:
    _, batch = rows(11, 54)
    model = sdgm()
    labels, seen = torch.ones(1, 1, 11, 1), (torch.arange(11) < 4).reshape(1, 1, 11, 1)
    draws = {**noise(55, 1, 11, 2, "z"), **noise(56, 1, 11, 2, "a")}
    elbo(model, Batch({**batch.values, "y": labels}, {"y": seen}), draws).sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
