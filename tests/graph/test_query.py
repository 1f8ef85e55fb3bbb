"""The importance sampler against conditionals that are known exactly, and its stated error against the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from underlie.distributions import Categorical, Gaussian, Normal, StandardNormal
from underlie.graph import Batch, Factor, Joint, LatentModel, Weighted, query
from underlie.models.ppca import LinearGaussian
from underlie.nn import MLP, Read, stack

BOUND = 7.0  # of the guide's log standard deviations, log sd = 7 tanh(u / 7)
SD = 0.5
MEAN = np.array([1.0, -2.0, 0.5, 0.0])
#: Orthogonal columns: the exact posterior of complete rows has a diagonal covariance, which the guide can express.
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]])
EXACT = LinearGaussian(MEAN, LOADINGS, SD**2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal_head(width: int, sd: float) -> Normal:
    head = Normal(width, "shared")
    head.start(torch.tensor([[-sd], [sd]]).expand(2, width))
    return head


def affine(weight: np.ndarray, bias: np.ndarray) -> MLP:
    net = MLP([len(weight)], (), len(bias), seeded(0))
    net.start_linear(torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32))
    return net


def generative() -> Joint:
    return Joint(Factor("z", StandardNormal(2)), Factor("x", normal_head(4, SD), ["z"], affine(LOADINGS.T, MEAN)))


def guided(spread: float = 1.0, shift: float = 0.0) -> LatentModel:
    """The guide is the posterior of complete rows, its centre shifted and its scale changed."""
    precision = np.eye(2) + LOADINGS.T @ LOADINGS / SD**2
    slope = LOADINGS @ np.linalg.inv(precision) / SD**2
    sd = spread * np.diagonal(np.linalg.inv(precision)) ** 0.5
    weight = np.concatenate([slope, np.zeros_like(slope)], 1)
    bias = np.concatenate([shift - MEAN @ slope, BOUND * np.arctanh(np.log(sd) / BOUND)])
    return LatentModel(
        generative(), Joint(Factor("z", Gaussian(2, bound=BOUND), ["x"], affine(weight, bias)), given=["x"])
    )


def prior_sized() -> LatentModel:
    """The guide is the prior, whatever the evidence: broad enough for any pattern of missing cells."""
    return LatentModel(
        generative(), Joint(Factor("z", Gaussian(2), ["x"], affine(np.zeros((4, 4)), np.zeros(4))), given=["x"])
    )


def rows(n: int, seed: int) -> tuple[np.ndarray, Batch]:
    x = EXACT.sample(n, seed)
    return x, Batch({"x": torch.as_tensor(x, dtype=torch.float32)[None, None]})


@torch.no_grad()
def ask(model: LatentModel, batch: Batch, n_draws: int, seed: int, **options: object) -> Weighted:
    return query(model, batch, n_draws=n_draws, generator=seeded(seed), **options)  # type: ignore[arg-type]


# ---- evidence ----
@pytest.mark.parametrize(("proposal", "n_draws"), [("guide", 400), ("prior", 20_000)])
def test_evidence_is_exact_within_its_own_standard_error(proposal: str, n_draws: int) -> None:
    x, batch = rows(150, 1)
    found = ask(guided(1.5, 0.1), batch, n_draws, 2, proposal=proposal)
    error = found.log_evidence()[0].double().numpy() - EXACT.log_density(x)
    z = error / found.log_evidence_se()[0].double().numpy()
    # 150 independent and nearly normal z-scores. Largest: 6 leaves room for skewed weights, false alarms below 1e-3.
    # Mean square: 1 with standard error 0.12, so that 0.55 to 1.6 holds but for 1e-4.
    assert np.abs(z).max() < 6
    assert 0.55 < np.mean(z**2) < 1.6


def test_weights_of_the_prior_are_likelihoods() -> None:
    _, batch = rows(5, 3)
    model = guided()
    found = ask(model, batch, 7, 4, proposal="prior")
    torch.testing.assert_close(found.log_weights, model.generative["x"].log_prob(found.batch), rtol=1e-5, atol=1e-4)


def test_posterior_as_guide_wastes_no_draw() -> None:
    x, batch = rows(40, 5)
    found = ask(guided(), batch, 50, 6)
    torch.testing.assert_close(found.ess(), torch.full((1, 40), 50.0), rtol=1e-3, atol=0)
    exact = torch.as_tensor(EXACT.log_density(x), dtype=torch.float32)
    torch.testing.assert_close(found.log_evidence()[0], exact, rtol=0, atol=2e-4)
    assert (found.log_evidence_se() < 1e-3).all()


@pytest.mark.parametrize("spread", [1.3, 2.0])
def test_standard_error_is_the_spread_over_repeats(spread: float) -> None:
    # 10 rows, 500 independent estimates of 100 draws each. A standard deviation of 500 numbers has a relative error of
    # 3 %, and the one stated is biased by a few per cent through the skew of the weights: 25 % is more than 5 of these.
    _, batch = rows(10, 7)
    repeated = Batch({"x": batch.values["x"].repeat(1, 1, 500, 1)})
    found = ask(guided(spread, 0.1), repeated, 100, 8)
    spread_found = found.log_evidence().reshape(500, 10).std(0)
    stated = found.log_evidence_se().reshape(500, 10).square().mean(0).sqrt()
    torch.testing.assert_close(stated, spread_found, rtol=0.25, atol=0)


def test_missing_cells_are_integrated_out() -> None:
    x, batch = rows(60, 9)
    seen = torch.rand(1, 1, 60, 4, generator=seeded(10)) < 0.6
    found = ask(prior_sized(), Batch(batch.values, {"x": seen}), 20_000, 11)
    hidden = np.where(seen[0, 0].numpy(), x, np.nan)
    error = found.log_evidence()[0].double().numpy() - EXACT.log_density(hidden)
    se = found.log_evidence_se()[0].double().numpy()
    # Rows without any observed cell have evidence 1 and no error but rounding. 60 z-scores: false alarms below 1e-3.
    assert np.abs(error / (se + 1e-4)).max() < 6


# ---- diagnostics ----
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_effective_sample_size_lies_between_one_and_all_draws(spread: float) -> None:
    ess = ask(guided(spread, 0.3), rows(50, 12)[1], 200, 13).ess()
    assert (ess >= 1 - 1e-4).all()
    assert (ess <= 200 * (1 + 1e-4)).all()


def test_pareto_shape_tells_good_guides_from_bad() -> None:
    # A guide with a fifth of the posterior's standard deviation has weights with tail shape 1 - 0.2^2 = 0.96; one
    # twice as wide has bounded weights, shape below 0. Medians over 50 rows of 4,000 draws.
    _, batch = rows(50, 14)
    narrow, wide = ask(guided(0.2), batch, 4000, 15), ask(guided(2.0), batch, 4000, 15)
    assert narrow.pareto_k().median() > 0.7
    assert (wide.pareto_k() < 0.5).all()
    # Its own standard error knows nothing of a missing tail, the shape does: that is why both are reported.
    assert narrow.ess().median() < 0.2 * wide.ess().median()


# ---- answers ----
@pytest.mark.parametrize("proposal", ["guide", "prior"])
def test_posterior_mean_is_exact(proposal: str) -> None:
    x, batch = rows(100, 16)
    found = ask(guided(1.5, 0.2), batch, 20_000, 17, proposal=proposal)
    z = found.batch.values["z"]
    mean = found.mean(z)
    w = found.weights()[..., None]
    se = ((w * (z - mean[:, None])) ** 2).sum(1).sqrt()  # delta method for self-normalised weights
    exact, covariance = EXACT.posterior(x)
    off = ((mean - torch.as_tensor(exact)) / se).abs()
    assert off.max() < 6  # 200 nearly normal z-scores: false alarms below 1e-3
    variance = found.mean((z - mean[:, None]) ** 2)
    relative = variance[0].double().numpy() / np.diagonal(covariance, axis1=1, axis2=2) - 1
    # A variance from m normal draws has relative error sqrt(2 / m); again 200 z-scores.
    assert np.abs(relative * np.sqrt(found.ess()[0, :, None].double().numpy() / 2)).max() < 6


def test_weights_sum_to_one_and_mean_takes_any_width() -> None:
    found = ask(guided(2.0), rows(6, 18)[1], 40, 19)
    torch.testing.assert_close(found.weights().sum(1), torch.ones(1, 6))
    scalar = found.batch.values["z"][..., 0]
    torch.testing.assert_close(found.mean(scalar), found.mean(found.batch.values["z"])[..., 0])


def test_resampled_draws_are_posterior_draws() -> None:
    x, batch = rows(40, 20)
    found = ask(guided(2.0, 0.2), batch, 20_000, 21)
    n = 4000
    drawn = found.resample(n, seeded(22)).values["z"]
    assert drawn.shape == (1, n, 40, 2)
    exact, covariance = EXACT.posterior(x)
    sd = np.diagonal(covariance, axis1=1, axis2=2) ** 0.5
    # Error of the resampling and of the weighted draws (ess of about a quarter of 20,000) together.
    se = sd * np.sqrt(1 / n + 1 / found.ess()[0, :, None].double().numpy())
    z = (drawn[0].double().mean(0).numpy() - exact) / se
    assert np.abs(z).max() < 5  # 80 z-scores: false alarms 5e-5
    torch.testing.assert_close(drawn[0].double().std(0), torch.as_tensor(sd), rtol=0.1, atol=0)
    assert found.resample(3, seeded(22)).values["x"].shape == (1, 1, 40, 4)  # what is not drawn stays as it is


def test_resampling_keeps_the_variables_of_a_draw_together() -> None:
    found = ask(guided(), rows(5, 23)[1], 30, 24)
    twin = Weighted(found.batch.set("copy", 2 * found.batch.values["z"]), found.log_weights)
    drawn = twin.resample(9, seeded(25))
    torch.testing.assert_close(drawn.values["copy"], 2 * drawn.values["z"])


def test_predictive_density_is_the_exact_conditional() -> None:
    # p(x_2, x_3 | x_0, x_1) with the targets masked in the evidence.
    x, batch = rows(50, 26)
    seen = torch.tensor([True, True, False, False]).expand(1, 1, 50, 4)
    model = prior_sized()
    found = ask(model, Batch(batch.values, {"x": seen}), 50_000, 27)
    factor = model.generative["x"]
    with torch.no_grad():
        cells = factor.head.log_prob(factor.raw(found.batch), batch.values["x"])
    log_target = (cells * ~seen).sum(-1)
    answer = found.log_mean_exp(log_target)[0].double().numpy()
    exact = EXACT.log_density(x) - LinearGaussian(MEAN[:2], LOADINGS[:2], SD**2).log_density(x[:, :2])
    # Error by the delta method, from weights and target together.
    p, w = log_target.exp(), found.weights()
    estimate = (w * p).sum(1, keepdim=True)
    se = (((w * (p / estimate - 1)) ** 2).sum(1).sqrt())[0].double().numpy()
    assert np.abs((answer - exact) / se).max() < 6  # 50 z-scores: false alarms below 1e-3


def test_given_noise_decides_the_draws_and_rows_do_not_matter() -> None:
    _, batch = rows(6, 28)
    noise = {"z": torch.randn(1, 30, 1, 2, generator=seeded(29))}
    with torch.no_grad():
        for proposal in ("guide", "prior"):
            whole = query(guided(1.5), batch, n_draws=30, noise=noise, proposal=proposal)  # type: ignore[arg-type]
            part = query(guided(1.5), batch.rows(2, 4), n_draws=30, noise=noise, proposal=proposal)  # type: ignore[arg-type]
            torch.testing.assert_close(part.log_weights, whole.log_weights[..., 2:4], rtol=1e-5, atol=1e-5)
            assert whole.resample(4, seeded(30)).values["z"].shape == (1, 4, 6, 2)


@pytest.mark.parametrize("proposal", ["guide", "prior"])
def test_replicates_are_asked_side_by_side(proposal: str) -> None:
    _, batch = rows(6, 31)
    models = [guided(1.5, 0.0), guided(1.0, 0.3)]
    noise = {"z": torch.randn(1, 30, 6, 2, generator=seeded(32))}
    with torch.no_grad():
        both = query(stack(models), batch, n_draws=30, noise=noise, proposal=proposal)  # type: ignore[arg-type]
        for r, one in enumerate(models):
            alone = query(one, batch, n_draws=30, noise=noise, proposal=proposal)  # type: ignore[arg-type]
            torch.testing.assert_close(both.log_weights[r : r + 1], alone.log_weights, rtol=1e-5, atol=1e-5)


# ---- with a discrete variable ----
K = 3
SHIFTS = np.array([[2.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, -2.0, 1.0, 0.0]])


def labelled_model() -> LatentModel:
    """x | y, z = W z + mean + shift of class y + noise: p(x, y) is known. The guide is broad and guesses y from x."""
    label = Categorical([K])
    read = {"y": Read(label, with_mask=False)}
    net = MLP([K, 2], (), 4, seeded(0))
    with torch.no_grad():
        for own, w in zip(net.layers[0].weights, (SHIFTS, LOADINGS.T), strict=True):
            own.copy_(torch.tensor(w, dtype=torch.float32))
        net.layers[0].bias.copy_(torch.tensor(MEAN, dtype=torch.float32))
    z_guide = MLP([4, K], (), 4, seeded(1))
    with torch.no_grad():
        for p in z_guide.parameters():
            p.mul_(0.2)
    return LatentModel(
        Joint(
            Factor("y", label),
            Factor("z", StandardNormal(2)),
            Factor("x", normal_head(4, SD), ["y", "z"], net, reads=read),
        ),
        Joint(
            Factor("y", label, ["x"], MLP([4], (), K, seeded(2))),
            Factor("z", Gaussian(2), ["x", "y"], z_guide, reads=read),
            given=["x"],
        ),
    )


def exact_joint(x: np.ndarray) -> np.ndarray:
    """log p(x, y) for each class, (n, K)."""
    return np.stack([LinearGaussian(MEAN + s, LOADINGS, SD**2).log_density(x) for s in SHIFTS], 1) - math.log(K)


@pytest.mark.parametrize("proposal", ["guide", "prior"])
def test_label_seen_in_some_rows_is_drawn_in_the_others(proposal: str) -> None:
    x, batch = rows(40, 33)
    labels = torch.randint(K, (1, 1, 40, 1), generator=seeded(34)).float()
    seen = (torch.arange(40) % 2 == 0).reshape(1, 1, 40, 1)
    evidence = Batch({**batch.values, "y": labels}, {"y": seen})
    found = ask(labelled_model(), evidence, 50_000, 35, proposal=proposal)
    joint = exact_joint(x)
    known = seen[0, 0, :, 0].numpy()
    exact = np.where(known, joint[np.arange(40), labels[0, 0, :, 0].long().numpy()], np.logaddexp.reduce(joint, 1))
    z = (found.log_evidence()[0].double().numpy() - exact) / found.log_evidence_se()[0].double().numpy()
    assert np.abs(z).max() < 6  # 40 nearly normal z-scores: false alarms below 1e-3
    drawn = found.batch.values["y"]
    assert (drawn == labels)[:, :, seen[0, 0, :, 0]].all()
    assert len(drawn[:, :, ~seen[0, 0, :, 0]].unique()) == K


def test_class_probabilities_are_bayes_rule() -> None:
    x, batch = rows(40, 36)
    found = ask(labelled_model(), batch, 50_000, 37)
    joint = exact_joint(x)
    exact = np.exp(joint - np.logaddexp.reduce(joint, 1)[:, None])
    indicator = (found.batch.values["y"] == torch.arange(float(K))).float()
    probability = found.mean(indicator)
    se = ((found.weights()[..., None] * (indicator - probability[:, None])) ** 2).sum(1).sqrt()[0].double().numpy()
    off = np.abs(probability[0].double().numpy() - exact) / (se + 1e-3)
    assert off.max() < 6  # 120 z-scores: false alarms below 1e-3


def test_everything_observed_needs_no_draw() -> None:
    _, batch = rows(5, 38)
    z = torch.zeros(1, 1, 5, 2)
    model = guided()
    found = ask(model, batch.set("z", z), 4, 39)
    torch.testing.assert_close(found.log_evidence(), model.generative.log_prob(batch.set("z", z))[:, 0])
    assert found.log_weights.shape == (1, 1, 5)
