"""The loop's promises: the best weights are kept, each replicate ends on its own, faults are survived and reported."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from underlie.distributions import Normal
from underlie.engine import ResidentRows, Settings, train
from underlie.engine.run import Run
from underlie.graph import Batch, LatentModel, elbo
from underlie.models.networks import Networks
from underlie.models.vae import vae
from underlie.nn import fill, take, tensors
from underlie.warnings import ConvergenceWarning

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]

quiet = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


class Scripted:
    """The evidence lower bound, except that a script decides what happens at chosen steps of learning."""

    def __init__(self, script: Callable[[int, Tensor], Tensor]) -> None:
        self.script = script
        self.steps = 0

    def __call__(self, model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        value = elbo(model, batch, noise)
        if not torch.is_grad_enabled():  # judging held-out rows
            return value
        self.steps += 1
        return self.script(self.steps, value)


# ---- best weights ----
@quiet
def test_what_is_returned_is_the_best_epoch(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    trained = train(build, elbo, rows, settings(learning_rate=0.05, max_epochs=60), [1, 2, 3])
    valid = trained.history["valid"]
    assert valid.shape == (3, 61)  # epoch 0 is the model before any step
    assert trained.history["train"].shape == (3, 61)
    assert np.isnan(trained.history["train"][:, 0]).all()
    assert np.array_equal(trained.best_value, np.nanmax(valid, axis=1))
    assert np.array_equal(trained.best_epoch, np.nanargmax(valid, axis=1))
    assert (trained.best_epoch < 60).any()  # the rate is high enough that later epochs are worse, so restoring matters
    assert not trained.model.training


@quiet
def test_weights_returned_give_the_best_value(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    chosen, seeds = settings(learning_rate=0.05, max_epochs=60), [1, 2, 3]
    trained = train(build, elbo, rows, chosen, seeds)
    judge = Run(build, elbo, rows, chosen, seeds)  # same seeds: same held-out rows and noise
    fill(judge.model, {name: t for name, t, _ in tensors(trained.model)})
    assert np.array_equal(judge._validate(), trained.best_value)
    stale = trained.best_epoch < 60
    judge_last = Run(build, elbo, rows, chosen, seeds)
    for epoch in range(1, 61):
        judge_last.epoch(epoch)
    assert (judge_last._validate()[stale] < trained.best_value[stale]).all()


@quiet
def test_without_held_out_rows_all_rows_are_learned_from(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    run = Run(build, elbo, rows, settings(valid_fraction=0.0), [1])
    assert sorted(run.deals[0].train_rows[0].tolist()) == list(range(90))
    trained = train(build, elbo, rows, settings(valid_fraction=0.0, max_epochs=7, patience=1), [1])
    assert np.array_equal(trained.history["valid"], trained.history["train"], equal_nan=True)
    assert trained.history["train"].shape == (1, 8)  # patience has no say


def test_held_out_rows_are_never_learned_from(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    run = Run(build, elbo, rows, settings(valid_fraction=0.2), [1, 2])
    for r in range(2):
        assert len(run.deals[0].valid_rows[r]) == 18
        assert sorted([*run.deals[0].train_rows[r].tolist(), *run.deals[0].valid_rows[r].tolist()]) == list(range(90))
    first, second = run.deals[0].valid_rows
    assert first.tolist() != second.tolist()  # each replicate holds out its own


# ---- stopping ----
def test_each_replicate_stops_by_its_own_patience(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    patience = 4
    trained = train(build, elbo, rows, settings(learning_rate=0.05, patience=patience, max_epochs=300), [1, 2, 3, 4])
    valid = trained.history["valid"]
    ends = np.array([np.flatnonzero(~np.isnan(v))[-1] for v in valid])
    assert np.array_equal(ends, trained.best_epoch + patience)
    assert len(set(ends)) > 1  # ends differ, so that one outlives another
    assert valid.shape[1] == ends.max() + 1  # and the loop ends with the last
    for r, end in enumerate(ends):
        assert not np.isnan(valid[r, : end + 1]).any()
        assert np.isnan(valid[r, end + 1 :]).all()
        assert np.isnan(trained.history["train"][r, end + 1 :]).all()
        best = np.maximum.accumulate(valid[r, : end + 1])
        since = [e - np.flatnonzero(valid[r] == best[e])[0] for e in range(end)]
        assert max(since) < patience  # nobody stopped late


def test_user_is_told_when_more_epochs_would_help(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    with pytest.warns(ConvergenceWarning, match="still rising after max_epochs=3; raise max_epochs"):
        train(build, elbo, rows, settings(max_epochs=3), [1])


def test_no_warning_when_all_is_well(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(build, elbo, rows, settings(learning_rate=0.05, patience=3, max_epochs=300), [1, 2])


# ---- interruption ----
def interrupting(after: int) -> Scripted:
    def script(step: int, value: Tensor) -> Tensor:
        if step == after:
            raise KeyboardInterrupt
        return value

    return Scripted(script)


@pytest.mark.usefixtures("unrecorded")
def test_interrupted_training_gives_the_best_so_far(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    # 81 rows to learn from in batches of at most 32: three steps an epoch, so step 20 is the second of the seventh.
    with pytest.warns(ConvergenceWarning, match="interrupted after 6 epochs; the best weights so far were kept"):
        trained = train(build, interrupting(20), rows, settings(), [1, 2])
    assert trained.interrupted
    assert trained.history["valid"].shape == (2, 7)
    with pytest.warns(ConvergenceWarning):
        whole = train(build, elbo, rows, settings(), [1, 2])
    assert not whole.interrupted
    assert np.array_equal(whole.history["valid"][:, :7], trained.history["valid"])
    assert np.array_equal(trained.best_value, trained.history["valid"].max(1))
    judge = Run(build, elbo, rows, settings(), [1, 2])
    fill(judge.model, {name: t for name, t, _ in tensors(trained.model)})
    assert np.array_equal(judge._validate(), trained.best_value)


def test_interruption_before_anything_was_learned_is_passed_on(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    # Without held-out rows there is no value to keep weights by before the first epoch ends.
    with pytest.raises(KeyboardInterrupt):
        train(build, interrupting(1), rows, settings(valid_fraction=0.0), [1])


# ---- divergence ----
def poisoning(replicates: list[int], from_step: int, to_step: int) -> Scripted:
    """NaN for some of three replicates during some steps: values, gradients and then weights."""

    def script(step: int, value: Tensor) -> Tensor:
        if not from_step <= step <= to_step:
            return value
        factor = torch.ones(3, 1)
        factor[replicates] = torch.nan
        return value * factor

    return Scripted(script)


@quiet
@pytest.mark.usefixtures("unrecorded")
def test_diverged_replicate_begins_again_from_its_best(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    with pytest.warns(ConvergenceWarning, match=r"diverged and were restarted: 1 \(1x\)"):
        sick = train(build, poisoning([1], 20, 20), rows, settings(), [1, 2, 3])
    with pytest.warns(ConvergenceWarning):
        well = train(build, elbo, rows, settings(), [1, 2, 3])
    assert sick.restarts.tolist() == [0, 1, 0]
    for r in (0, 2):  # the others never notice
        for name in ("train", "valid"):
            assert np.array_equal(sick.history[name][r], well.history[name][r], equal_nan=True)
        for (name, a, _), (_, b, _) in zip(tensors(take(sick.model, [r])), tensors(take(well.model, [r])), strict=True):
            assert torch.equal(a, b), name
    valid = sick.history["valid"][1]
    assert np.flatnonzero(np.isnan(valid)).tolist() == [7]
    assert np.array_equal(valid[:7], well.history["valid"][1, :7])
    assert (valid[8:] > valid[0]).all()  # from where it was, not from scratch
    assert sick.best_value[1] > valid[:7].max()
    assert all(t.isfinite().all() for _, t, _ in tensors(sick.model))


@quiet
def test_replicate_that_never_had_a_finite_value_gets_new_weights(
    build: Build, rows: ResidentRows, settings: MakeSettings
) -> None:
    broken_once: list[bool] = []

    def fragile(generator: torch.Generator) -> LatentModel:
        model = build(generator)
        if generator.initial_seed() == 2 and not broken_once:
            broken_once.append(True)
            with torch.no_grad():
                next(model.inference.parameters()).fill_(torch.nan)
        return model

    with pytest.warns(ConvergenceWarning, match=r"restarted: 1 \(1x\)"):
        trained = train(fragile, elbo, rows, settings(), [1, 2, 3])
    assert np.isfinite(trained.best_value).all()
    assert all(t.isfinite().all() for _, t, _ in tensors(trained.model))


@quiet
@pytest.mark.usefixtures("unrecorded")
def test_restarts_come_to_an_end(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    with pytest.warns(ConvergenceWarning, match=r"restarted: 1 \(4x\)"):
        trained = train(build, poisoning([1], 4, 10_000), rows, settings(), [1, 2, 3])
    assert trained.best_epoch[1] == 1
    assert np.isnan(trained.history["valid"][1, 2:]).all()
    assert np.isfinite(trained.history["valid"][[0, 2]]).all()
    assert all(t.isfinite().all() for _, t, _ in tensors(trained.model))


@quiet
@pytest.mark.parametrize("valid_fraction", [0.0, 0.1])
@pytest.mark.usefixtures("unrecorded")
def test_weights_spoiled_by_the_last_step_of_an_epoch_are_not_kept(
    build: Build, rows: ResidentRows, settings: MakeSettings, valid_fraction: float
) -> None:
    # The value is finite, its gradient is not: the sixth step ends the second epoch.
    def script(step: int, value: Tensor) -> Tensor:
        if step == 6:
            value.register_hook(lambda grad: grad * torch.tensor([[1.0], [torch.nan], [1.0]]))
        return value

    trained = train(build, Scripted(script), rows, settings(valid_fraction=valid_fraction), [1, 2, 3])
    assert trained.restarts.tolist() == [0, 1, 0]
    assert all(t.isfinite().all() for _, t, _ in tensors(trained.model))
    assert (trained.best_epoch > 2).all()
    assert np.isfinite(trained.history["train"][:, 1:]).all()


@quiet
@pytest.mark.usefixtures("unrecorded")
def test_an_infinite_value_is_no_success(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    calls: list[int] = []

    def objective(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        value = elbo(model, batch, noise)
        if not torch.is_grad_enabled():
            calls.append(1)
        return value + torch.inf if len(calls) == 4 and not torch.is_grad_enabled() else value

    trained = train(build, objective, rows, settings(), [1, 2])
    assert trained.restarts.tolist() == [1, 1]
    assert np.isfinite(trained.best_value).all()
    assert (trained.best_epoch > 3).all()


@pytest.mark.parametrize("valid_fraction", [0.0, 0.1])
def test_divergence_of_all_replicates_is_an_error_with_a_remedy(
    build: Build, rows: ResidentRows, settings: MakeSettings, valid_fraction: float
) -> None:
    def hopeless(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        return elbo(model, batch, noise) * torch.nan

    with pytest.raises(FloatingPointError, match="diverged in all 2 replicates.*smaller learning_rate"):
        train(build, hopeless, rows, settings(valid_fraction=valid_fraction), [1, 2])


# ---- threads ----
@quiet
def test_thread_setting_survives_training(
    build: Build, rows: ResidentRows, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen: list[int] = []

    def script(step: int, value: Tensor) -> Tensor:
        seen.append(torch.get_num_threads())
        return value

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(build, Scripted(script), rows, settings(max_epochs=1), [1])
        assert torch.get_num_threads() == 2
        assert set(seen) == {1}  # small steps run on one thread
        with pytest.raises(FloatingPointError):
            train(build, lambda m, b, n: elbo(m, b, n) * torch.nan, rows, settings(max_epochs=1), [1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@quiet
def test_diverged_foreign_network_gets_its_weights_and_statistics_back(
    rows: ResidentRows, settings: MakeSettings
) -> None:
    # Batch normalisation keeps running statistics, which a NaN poisons for good unless they are restored too.
    encoder = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU())
    networks = Networks((5,), (8,), "relu", encoder, nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)))

    def build(g: torch.Generator) -> LatentModel:
        networks_of_one = networks.build_encoder([5], 4, g, with_mask=False), networks.build_decoder([2], 5, g)
        return vae(Normal(5), 2, *networks_of_one, with_mask=False)

    poison = poisoning([1], 20, 20)

    def objective(model: LatentModel, batch: Batch, noise: Mapping[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled() and poison.steps + 1 == 20:
            x = batch.values["x"].expand(3, -1, -1, -1).clone()
            x[1] = torch.nan
            batch = batch.set("x", x)
        return poison(model, batch, noise)

    sick = train(build, objective, rows, settings(), [1, 2, 3])
    assert sick.restarts.tolist() == [0, 1, 0]
    assert all(t.isfinite().all() for _, t, _ in tensors(sick.model))
    assert np.flatnonzero(np.isnan(sick.history["valid"][1])).tolist() == [7]
    well = train(build, elbo, rows, settings(), [1, 2, 3])
    for r in (0, 2):
        assert np.array_equal(sick.history["valid"][r], well.history["valid"][r])
