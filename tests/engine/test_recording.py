"""Recorded steps: the same bits as the objective itself, and never where recording cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from underlie.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    Normal,
    Ordinal,
    Poisson,
    Product,
    StudentT,
)
from underlie.engine import ResidentRows, Settings, recording, train
from underlie.engine.flat import Flat
from underlie.engine.recording import Gradient
from underlie.engine.tape import Tape
from underlie.graph import Batch, LatentModel, elbo, importance_bound
from underlie.models.vae import vae
from underlie.nn import MLP, Read, stack

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")

Make = Callable[[], tuple[Likelihood, Tensor]]


def counts(*shape: int) -> Tensor:
    return torch.poisson(torch.full(shape, 3.0), generator=torch.Generator().manual_seed(5))


def positive(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(6)) + 0.1


HEADS: dict[str, Make] = {
    "normal": lambda: (Normal(4), positive(60, 4)),
    "normal network": lambda: (Normal(4, "network"), positive(60, 4)),
    "student t": lambda: (StudentT(4), positive(60, 4)),
    "bernoulli": lambda: (Bernoulli(4), (counts(60, 4) > 2).float()),
    "continuous bernoulli": lambda: (ContinuousBernoulli(4), positive(60, 4).clamp(max=1.0)),
    "categorical": lambda: (Categorical([4, 3]), counts(60, 2).clamp(max=2.0)),
    "ordinal": lambda: (Ordinal([4, 3]), counts(60, 2).clamp(max=2.0)),
    "poisson": lambda: (Poisson(4), counts(60, 4)),
    "negative binomial": lambda: (NegativeBinomial(4), counts(60, 4)),
    "lognormal": lambda: (LogNormal(4), positive(60, 4)),
    "exponential": lambda: (Exponential(4), positive(60, 4)),
    "product": lambda: (Product([Normal(1), Poisson(2)], [[1], [0, 2]]), counts(60, 3)),
}


def gradient_of(
    head: Likelihood, x: Tensor, objective: recording.Objective, masked: bool, replicates: int
) -> tuple[Gradient, Batch, dict[str, Tensor]]:
    head.start(x)

    def build(seed: int) -> LatentModel:
        g = torch.Generator().manual_seed(seed)
        read = Read(head, masked)
        return vae(head, 2, MLP([read.width], (8,), 4, g), MLP([2], (8,), head.n_raw, g), with_mask=masked)

    model = stack([build(s) for s in range(replicates)])
    flat = Flat(model, replicates)
    g = torch.Generator().manual_seed(9)
    mask = {"x": torch.rand(x.shape, generator=g) < 0.7} if masked else {}
    rows = ResidentRows({"x": x}, mask).take(torch.arange(32).expand(replicates, -1))
    noise = {"z": torch.randn(replicates, 3, 32, 2, generator=g)}
    return Gradient(model, objective, flat.parameters, recordable=True), rows, noise


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("objective", [elbo, importance_bound])
@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_recorded_step_is_the_step_itself(name: str, objective: recording.Objective, masked: bool) -> None:
    gradient, batch, noise = gradient_of(*HEADS[name](), objective, masked, replicates=2)
    replay = gradient.recorded.record([batch], [noise], [batch.values["x"].shape[2]])
    assert replay is not None
    with torch.no_grad():  # other weights, other rows, other noise than those recorded
        for p in gradient.parameters:
            p.mul_(0.9)
    other = Batch({k: v.flip(-2) for k, v in batch.values.items()}, {k: v.flip(-2) for k, v in batch.observed.items()})
    elsewhere = {k: v.flip(-2) * 0.5 for k, v in noise.items()}
    expected, by_parameter = gradient._eager([other], [elsewhere], [batch.values["x"].shape[2]])
    with torch.no_grad():
        value, *found = replay(*recording._tensors([other], [elsewhere]))
    assert torch.equal(value, expected[0])
    assert all(torch.equal(a, b) for a, b in zip(found, by_parameter, strict=True) if b is not None)


def test_training_with_recorded_steps_gives_the_same_bits(
    build: Callable[[torch.Generator], LatentModel],
    rows: ResidentRows,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eager = train(build, elbo, rows, settings(), [1, 2])
    monkeypatch.setattr(recording, "STEPS_BEFORE_RECORDING", 5)
    monkeypatch.setattr(recording, "STEPS_WORTH_RECORDING", 0)
    recorded = train(build, elbo, rows, settings(), [1, 2])
    np.testing.assert_array_equal(eager.history["valid"], recorded.history["valid"])
    np.testing.assert_array_equal(eager.history["train"], recorded.history["train"])


def test_an_objective_that_looks_at_numbers_is_never_recorded() -> None:
    def fickle(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        value = elbo(model, batch, noise)
        return value * 2 if value.mean() > 0 else value

    gradient, batch, noise = gradient_of(*HEADS["normal"](), fickle, False, replicates=1)
    assert gradient.recorded.record([batch], [noise], [batch.values["x"].shape[2]]) is None


def test_a_random_objective_is_never_recorded() -> None:
    def noisy(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        return elbo(model, batch, noise) * torch.rand(())

    gradient, batch, noise = gradient_of(*HEADS["normal"](), noisy, False, replicates=1)
    assert gradient.recorded.record([batch], [noise], [batch.values["x"].shape[2]]) is None


def test_the_model_holds_its_own_parameters_after_recording() -> None:
    gradient, batch, noise = gradient_of(*HEADS["normal"](), elbo, False, replicates=1)
    before = [id(p) for p in gradient.model.parameters()]
    assert gradient.recorded.record([batch], [noise], [batch.values["x"].shape[2]]) is not None
    assert [id(p) for p in gradient.model.parameters()] == before


def test_judging_is_recorded_to_the_same_bits() -> None:
    gradient, batch, noise = gradient_of(*HEADS["product"](), importance_bound, True, replicates=2)
    judge = recording.Judge(gradient.model, importance_bound, gradient.parameters, recordable=True)
    values = [judge(batch, noise) for _ in range(recording.STEPS_BEFORE_RECORDING + 2)]
    assert [replay is not None for replay in judge.recorded.replays.values()] == [True]
    assert all(torch.equal(v, values[0]) for v in values)
    assert not any(v.requires_grad for v in values)


# ---- the tape, on functions made for the purpose ----
def taped(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """A replay of ``function(x, weight)``, recorded at other numbers of both than it is asked for."""
    weight = torch.arange(12.0).view(3, 4)
    x = torch.ones(2, 3)
    with Tape([x], [weight]) as tape:
        out = function(x, weight)
    replay = tape.replay([out])
    weight.mul_(0.5)
    return replay


def n_operations(replay: Callable[[Tensor], tuple[Tensor, ...]]) -> int:
    counted = Counted()
    with counted:
        replay(X)
    return counted.n


class Counted(TorchDispatchMode):
    """Counts the operations that reach the kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += 1
        return func(*args, **(kwargs or {}))


X = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
HALF = torch.arange(12.0).view(3, 4) * 0.5


def test_views_of_fixed_memory_are_taken_once_and_follow_its_numbers() -> None:
    replay = taped(lambda x, weight: x @ weight.t().contiguous().t())
    assert torch.equal(replay(X)[0], X @ HALF)
    assert n_operations(taped(lambda x, weight: weight.t() @ x.t())) == 2  # t of x, and the product


def test_views_of_views_are_one() -> None:
    replay = taped(lambda x, weight: x.view(6).view(1, 6).view(3, 2).view(2, 3) + 1)
    assert torch.equal(replay(X)[0], X + 1)
    assert n_operations(replay) == 1


def test_what_depends_on_no_input_is_computed_once() -> None:
    replay = taped(lambda x, weight: x * torch.full_like(x, 2.0).exp().log().sum())
    torch.testing.assert_close(replay(X)[0], 12 * X)
    assert n_operations(replay) == 1


def test_memory_that_is_written_to_is_made_anew_each_time() -> None:
    def accumulated(x: Tensor, weight: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        return total.add_(x).mul_(2)

    replay = taped(accumulated)
    for _ in range(3):
        assert torch.equal(replay(X)[0], 2 * X)


def test_draws_are_drawn_anew() -> None:
    replay = taped(lambda x, weight: x + torch.rand(2, 3))
    assert not torch.equal(replay(X)[0], replay(X)[0])


def test_results_are_put_where_they_are_wanted() -> None:
    weight, x = torch.arange(12.0).view(3, 4), torch.ones(2, 3)
    with Tape([x], [weight]) as tape:
        product, exponential = x[None].bmm(weight[None]), x.exp()
        both = product + 1
    places = [torch.zeros(1, 2, 4), torch.zeros(2, 3), torch.zeros(2, 3)]
    replay = tape.replay([both, product, exponential, exponential], places)
    total, *found = replay(X)
    assert [f.data_ptr() for f in found] == [p.data_ptr() for p in places]
    assert torch.equal(places[0], X[None].bmm(weight[None]))
    assert torch.equal(total, places[0] + 1)
    assert torch.equal(places[1], X.exp())
    assert torch.equal(places[2], X.exp())
