"""Factors and joints: what they refuse, how they print, and that densities and draws are those of the graph."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal as TorchNormal

from underlie.distributions import Categorical, Gaussian, Normal, Product, StandardNormal
from underlie.graph import Batch, Factor, Joint, LatentModel
from underlie.nn import MLP, Read


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal_head(width: int, sd: float) -> Normal:
    """A head with one standard deviation for all columns, set through its own method of moments."""
    head = Normal(width, "shared")
    head.start(torch.tensor([[-sd], [sd]]).expand(2, width))
    return head


def affine(weights: list[Tensor], bias: Tensor) -> MLP:
    """An MLP without hidden layers that computes sum_j v_j W_j + b."""
    net = MLP([len(w) for w in weights], (), len(bias), seeded(0))
    with torch.no_grad():
        for own, w in zip(net.layers[0].weights, weights, strict=True):
            own.copy_(w)
        net.layers[0].bias.copy_(bias)
    return net


A = torch.tensor([[1.0, -0.5], [0.3, 0.8]])
B_A = torch.tensor([[0.7, 0.0, -1.0], [0.2, 0.5, 0.4]])
B_Z = torch.tensor([[0.0, 1.0, 0.3], [-0.6, 0.1, 0.9]])
SHIFT_A, SHIFT_X = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 2.0, 3.0])


def chain() -> Joint:
    """z ~ N(0, I), a | z ~ N(z A + c, 0.6^2), x | a, z ~ N(a B + z C + d, 0.4^2)."""
    return Joint(
        Factor("z", StandardNormal(2)),
        Factor("a", normal_head(2, 0.6), ["z"], affine([A], SHIFT_A)),
        Factor("x", normal_head(3, 0.4), ["a", "z"], affine([B_A, B_Z], SHIFT_X)),
    )


# ---- construction ----
def test_factor_needs_a_network_exactly_when_it_has_parents() -> None:
    with pytest.raises(ValueError, match="factor 'x': a network is needed"):
        Factor("x", Normal(2), ["z"])
    with pytest.raises(ValueError, match="factor 'z': a network is needed"):
        Factor("z", Gaussian(2), [], affine([A], SHIFT_A))


def test_factor_refuses_reads_of_variables_that_are_no_parents() -> None:
    read = Read(Normal(2), with_mask=False)
    with pytest.raises(ValueError, match=r"'reads' names \['y'\]"):
        Factor("x", Normal(2), ["z"], affine([A], SHIFT_A), reads={"y": read})


def test_joint_refuses_children_before_parents_and_says_what_to_do() -> None:
    child = Factor("x", Normal(2), ["z"], affine([A], SHIFT_A))
    with pytest.raises(ValueError, match=r"factor 'x' comes before its parents \['z'\]; order the factors"):
        Joint(child, Factor("z", StandardNormal(2)))
    assert Joint(child, given=["z"])["x"] is child


def test_joint_refuses_a_variable_with_two_factors() -> None:
    with pytest.raises(ValueError, match="variable 'z' has two factors"):
        Joint(Factor("z", StandardNormal(2)), Factor("z", StandardNormal(2)))
    with pytest.raises(ValueError, match="variable 'z' has two factors, or is also given"):
        Joint(Factor("z", StandardNormal(2)), given=["z"])


def test_guide_may_only_name_variables_of_the_joint() -> None:
    guide = Joint(Factor("w", Gaussian(1), ["x"], MLP([3], (), 2, seeded(0))), given=["x"])
    with pytest.raises(ValueError, match=r"inference graph names \['w'\]"):
        LatentModel(chain(), guide)
    with pytest.raises(ValueError, match=r"inference graph names \['t'\]"):
        LatentModel(chain(), Joint(given=["t"]))


def test_joint_is_a_collection_of_its_factors() -> None:
    joint = chain()
    assert len(joint) == 3
    assert [f.name for f in joint] == ["z", "a", "x"]
    assert "a" in joint
    assert "y" not in joint
    with pytest.raises(KeyError, match=r"no factor 'y'; there are \['z', 'a', 'x'\]"):
        joint["y"]


def test_batch_without_any_variable_of_the_joint_is_refused() -> None:
    with pytest.raises(ValueError, match="no variable"):
        chain().log_prob(Batch({"t": torch.zeros(1, 1, 3, 1)}))


# ---- notation ----
def test_models_print_in_mathematical_notation() -> None:
    guide = Joint(Factor("z", Gaussian(2), ["x"], MLP([3], (), 4, seeded(0))), given=["x"])
    assert str(LatentModel(chain(), guide)).splitlines() == [
        "generative",
        "  p(z) = Normal(0, I)",
        "  p(a | z) = Normal(mu(z), sigma^2)",
        "  p(x | a, z) = Normal(mu(a, z), sigma^2)",
        "inference",
        "  q(z | x) = Normal(mu(x), sigma(x)^2)",
    ]


# ---- density ----
def test_log_prob_is_the_sum_of_the_factors() -> None:
    g = seeded(1)
    z, a, x = (torch.randn(1, 4, 6, k, generator=g) for k in (2, 2, 3))
    expected = TorchNormal(0.0, 1.0).log_prob(z).sum(-1)
    expected = expected + TorchNormal(z @ A + SHIFT_A, 0.6).log_prob(a).sum(-1)
    expected = expected + TorchNormal(a @ B_A + z @ B_Z + SHIFT_X, 0.4).log_prob(x).sum(-1)
    joint, batch = chain(), Batch({"z": z, "a": a, "x": x})
    torch.testing.assert_close(joint.log_prob(batch), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(sum(f.log_prob(batch) for f in joint), joint.log_prob(batch))


def test_log_prob_leaves_out_factors_of_variables_that_are_not_there() -> None:
    z = torch.randn(1, 4, 6, 2, generator=seeded(2))
    torch.testing.assert_close(chain().log_prob(Batch({"z": z})), TorchNormal(0.0, 1.0).log_prob(z).sum(-1))


def test_sample_axes_broadcast_between_variables() -> None:
    z, x = torch.randn(1, 5, 6, 2, generator=seeded(3)), torch.randn(1, 1, 6, 3, generator=seeded(4))
    net = affine([B_Z], SHIFT_X)
    joint = Joint(Factor("z", StandardNormal(2)), Factor("x", normal_head(3, 0.4), ["z"], net))
    together = joint.log_prob(Batch({"z": z, "x": x}))
    one_by_one = [joint.log_prob(Batch({"z": z[:, s : s + 1], "x": x})) for s in range(5)]
    torch.testing.assert_close(together, torch.cat(one_by_one, 1))


def test_missing_columns_do_not_count() -> None:
    # Mixed columns, so that cells of different heads are masked: a model without the columns must agree.
    g = seeded(5)
    z = torch.randn(1, 2, 8, 2, generator=g)
    numbers, codes = torch.randn(1, 1, 8, 3, generator=g), torch.randint(4, (1, 1, 8, 2), generator=g).float()
    weights, bias = torch.randn(2, 3 + 8, generator=g), torch.randn(3 + 8, generator=g)
    full = Factor(
        "x", Product([normal_head(3, 0.5), Categorical([4, 4])], [[0, 1, 2], [3, 4]]), ["z"], affine([weights], bias)
    )
    mask = torch.tensor([True, False, True, False, True]).expand(1, 1, 8, 5)
    x = torch.cat([numbers, codes], -1)
    keep_raw = [0, 2, 7, 8, 9, 10]
    small_head = Product([normal_head(2, 0.5), Categorical([4])], [[0, 1], [2]])
    small = Factor("x", small_head, ["z"], affine([weights[:, keep_raw]], bias[keep_raw]))
    expected = small.log_prob(Batch({"z": z, "x": x[..., [0, 2, 4]]}))
    torch.testing.assert_close(full.log_prob(Batch({"z": z, "x": x}, {"x": mask})), expected)
    other = torch.where(mask, x, torch.tensor([0.0, 9.0, 0.0, 3.0, 0.0]))
    torch.testing.assert_close(full.log_prob(Batch({"z": z, "x": other}, {"x": mask})), expected)


def test_masks_work_row_by_row() -> None:
    g = seeded(6)
    z, x = torch.randn(1, 3, 7, 2, generator=g), torch.randn(1, 1, 7, 3, generator=g)
    mask = torch.rand(1, 1, 7, 3, generator=g) < 0.5
    factor = Factor("x", normal_head(3, 0.4), ["z"], affine([B_Z], SHIFT_X))
    cells = TorchNormal(z @ B_Z + SHIFT_X, 0.4).log_prob(x)
    expected = torch.stack([cells[:, :, i][..., mask[0, 0, i]].sum(-1) for i in range(7)], -1)
    torch.testing.assert_close(factor.log_prob(Batch({"z": z, "x": x}, {"x": mask})), expected, rtol=1e-5, atol=1e-5)


# ---- ancestral sampling ----
def z_scores_of_moments(draws: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """How many standard errors the empirical means and (co)variances of Gaussian draws (n, k) are off."""
    n = len(draws)
    of_mean = (draws.mean(0) - mean) / (covariance.diagonal() / n).sqrt()
    c = (draws - mean).T @ (draws - mean) / n
    se = ((covariance**2 + covariance.diagonal()[:, None] * covariance.diagonal()) / n).sqrt()
    return torch.cat([of_mean, ((c - covariance) / se).flatten()])


def test_ancestral_draws_have_the_moments_of_the_chain() -> None:
    n = 200_000
    drawn = chain().sample((1, 1, n), seeded(7))
    draws = torch.cat([drawn.values[k][0, 0] for k in ("z", "a", "x")], -1).double()
    to_x = A @ B_A + B_Z
    loadings = torch.cat([torch.eye(2), A, to_x], 1).double()
    noise = torch.zeros(5, 7, dtype=torch.float64)
    noise[:2, 2:4], noise[:2, 4:], noise[2:, 4:] = 0.6 * torch.eye(2), 0.6 * B_A, 0.4 * torch.eye(3)
    mean = torch.cat([torch.zeros(2), SHIFT_A, SHIFT_A @ B_A + SHIFT_X]).double()
    z = z_scores_of_moments(draws, mean, loadings.T @ loadings + noise.T @ noise)
    assert z.abs().max() < 5  # 56 comparisons of normal z-scores: false alarms 3e-5


def test_fixed_variables_are_held_and_their_children_follow() -> None:
    n = 100_000
    a = torch.tensor([2.0, -3.0]).expand(1, 1, n, 2)
    drawn = chain().sample((1, 1, n), seeded(8), fixed=Batch({"a": a}))
    assert torch.equal(drawn.values["a"], a)
    # z is drawn from its prior (ancestral sampling holds, it does not condition), x from its factor given both.
    mean = (a[0, 0, 0] @ B_A + SHIFT_X).double()
    covariance = (B_Z.T @ B_Z + 0.16 * torch.eye(3)).double()
    z = z_scores_of_moments(drawn.values["x"][0, 0].double(), mean, covariance)
    assert z.abs().max() < 5  # 12 comparisons: false alarms 7e-6


def test_draws_have_the_shape_asked_for_and_follow_the_generator() -> None:
    joint = chain()
    one, same, other = (joint.sample((1, 4, 5), seeded(s)) for s in (9, 9, 10))
    assert {k: tuple(v.shape) for k, v in one.values.items()} == {
        "z": (1, 4, 5, 2),
        "a": (1, 4, 5, 2),
        "x": (1, 4, 5, 3),
    }
    assert all(torch.equal(one.values[k], same.values[k]) for k in one.values)
    assert not torch.equal(one.values["x"], other.values["x"])


def test_categorical_prior_without_parents_is_uniform() -> None:
    prior = Joint(Factor("y", Categorical([4])))
    codes = torch.arange(4.0).reshape(1, 1, 4, 1)
    torch.testing.assert_close(prior.log_prob(Batch({"y": codes})), torch.full((1, 1, 4), -math.log(4)))
    drawn = prior.sample((1, 1, 40_000), seeded(11)).values["y"].flatten().long()
    z = (torch.bincount(drawn, minlength=4) - 10_000) / math.sqrt(40_000 * 0.25 * 0.75)
    assert z.abs().max() < 5  # false alarms 2e-6


# ---- batches ----
def test_batch_operations_keep_masks_beside_values() -> None:
    x, mask = torch.arange(12.0).reshape(1, 1, 4, 3), torch.eye(4, 3, dtype=torch.bool).reshape(1, 1, 4, 3)
    batch = Batch({"x": x, "y": x[..., :1]}, {"x": mask})
    assert batch.n_rows == 4
    assert "x" not in batch.set("x", x).observed
    assert set(batch.without("x").values) == {"y"}
    assert not batch.without("x").observed
    assert torch.equal(batch.rows(1, 3).values["x"], x[:, :, 1:3])
    assert torch.equal(batch.rows(1, 3).observed["x"], mask[:, :, 1:3])
    assert batch.enumerated().values["x"].shape == (1, 1, 1, 4, 3)
    assert batch.enumerated().observed["x"].shape == (1, 1, 1, 4, 3)


def test_the_constant_of_a_prior_moves_with_the_model_and_is_not_saved() -> None:
    # A model on another device must draw there. Types move as devices do, and can be tested without one.
    joint = Joint(Factor("z", StandardNormal(2)), Factor("y", Categorical([3]))).double()
    assert joint["y"].raw(Batch({})).dtype == torch.float64
    assert joint.sample((1, 2, 3), seeded(12)).values["z"].dtype == torch.float64
    assert not any("constant" in name for name in joint.state_dict())
    meta = Joint(Factor("z", StandardNormal(2))).to("meta")
    assert meta["z"].raw(Batch({})).device.type == "meta"
