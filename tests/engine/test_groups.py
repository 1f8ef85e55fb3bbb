"""Groups of rows side by side: what each counts, and that every batch has its part of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from underlie.engine import Group, ResidentRows, Settings, train
from underlie.engine.groups import Deal
from underlie.engine.recording import Gradient
from underlie.graph import Batch, LatentModel, elbo
from underlie.nn import stack, tensors

Build = Callable[[torch.Generator], LatentModel]
MakeSettings = Callable[..., Settings]

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(s) for s in seeds]


def deal(n: int, batch_size: int, *seeds: int, valid_fraction: float = 0.0) -> Deal:
    return Deal(Group(ResidentRows({"x": torch.zeros(n, 1)}), batch_size), valid_fraction, generators(*seeds))


@pytest.mark.parametrize(("n", "batch_size"), [(100, 32), (7, 2), (2, 5), (1, 4), (64, 64), (33, 32)])
def test_one_pass_deals_every_row_once(n: int, batch_size: int) -> None:
    own = deal(n, batch_size, 1, 2)
    batches = own.batches(own.n_batches)
    for r in range(2):
        assert sorted(torch.cat([b[r] for b in batches]).tolist()) == list(range(n))
    sizes = {b.shape[1] for b in batches}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or n == 1


@pytest.mark.parametrize(("n", "batch_size", "n_batches"), [(5, 3, 7), (5, 8, 4), (2, 2, 9), (1, 4, 3)])
def test_a_smaller_group_is_passed_through_again_and_again(n: int, batch_size: int, n_batches: int) -> None:
    own = deal(n, batch_size, 1, 2)
    batches = own.batches(n_batches)
    assert len(batches) == n_batches
    assert all(b.shape == (2, min(n, batch_size)) for b in batches)
    for r in range(2):
        counts = torch.bincount(torch.cat([b[r] for b in batches]), minlength=n)
        assert counts.max() - counts.min() <= 1


def test_held_out_rows_are_never_dealt() -> None:
    own = deal(50, 8, 3, 4, valid_fraction=0.3)
    assert own.n_valid == 15
    for r in range(2):
        assert sorted([*own.train_rows[r].tolist(), *own.valid_rows[r].tolist()]) == list(range(50))
        dealt = {i for b in own.batches(40) for i in b[r].tolist()}
        assert dealt == set(own.train_rows[r].tolist())


def test_a_single_group_is_plain_rows_bit_for_bit(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    for valid_fraction in (0.0, 0.2):
        chosen = settings(max_epochs=5, valid_fraction=valid_fraction)
        plain = train(build, elbo, rows, chosen, [1, 2])
        grouped = train(build, elbo, [Group(rows, chosen.batch_size, weight=3.7)], chosen, [1, 2])
        for name in plain.history:
            np.testing.assert_array_equal(grouped.history[name], plain.history[name])
        for (name, a, _), (_, b, _) in zip(tensors(plain.model), tensors(grouped.model), strict=True):
            assert torch.equal(a, b), name


def test_a_weight_is_so_many_copies_of_the_rows(build: Build, rows: ResidentRows) -> None:
    model = stack([build(g) for g in generators(1)])
    parameters = list(model.parameters())
    first, second = torch.arange(12)[None], torch.arange(12, 40)[None]

    drawn = torch.randn(1, 1, 40, 2, generator=torch.Generator().manual_seed(0))
    batches = [rows.take(first), rows.take(second)]
    of_group = [{"z": drawn[:, :, :12]}, {"z": drawn[:, :, 12:]}]
    total = 3 * 12 + 28
    weighted = Gradient(model, elbo, parameters, recordable=False, shares=[3 * 12 / total, 28 / total])
    _, found = weighted(batches, of_group)
    copies = torch.cat([first, first, first, second], dim=1)
    repeated = {"z": torch.cat([drawn[:, :, :12]] * 3 + [drawn[:, :, 12:]], dim=2)}
    _, expected = Gradient(model, elbo, parameters, recordable=False)([rows.take(copies)], [repeated])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_every_step_has_its_part_of_each_group(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    """Six labelled rows beside eighty-four others, told apart by a number that the objective sees."""
    marked = rows.values["x"].clone()
    marked[:6, 0], marked[6:, 0] = 100.0, 0.0
    few, many = ResidentRows({"x": marked[:6]}), ResidentRows({"x": marked[6:]})
    seen: list[tuple[int, int]] = []

    def spy(model: LatentModel, batch: Batch, noise: dict[str, torch.Tensor]) -> torch.Tensor:
        first = batch.values["x"][0, 0, :, 0]
        assert first.unique().numel() == 1  # groups are not mixed in a call
        seen.append((int(first[0] == 100.0), len(first)))
        return elbo(model, batch, noise)

    train(build, spy, [Group(few, 32), Group(many, 20)], settings(max_epochs=2, valid_fraction=0.0), [1])
    few_sizes, many_sizes = ([n for is_few, n in seen if is_few == k] for k in (1, 0))
    assert len(few_sizes) == len(many_sizes)
    assert set(few_sizes) == {6}
    assert set(many_sizes) <= {16, 17}


def test_the_history_is_the_weighted_mean_over_rows(build: Build, rows: ResidentRows, settings: MakeSettings) -> None:
    """An objective whose value is the row's first column: the mean is known."""
    x = rows.values["x"]

    def first_column(model: LatentModel, batch: Batch, noise: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch.values["x"][:, 0, :, 0] + 0.0 * elbo(model, batch, noise)

    groups = [Group(ResidentRows({"x": x[:30]}), 100, weight=5.0), Group(ResidentRows({"x": x[30:]}), 100)]
    found = train(build, first_column, groups, settings(max_epochs=1, valid_fraction=0.0), [1, 2])
    expected = (5 * x[:30, 0].sum() + x[30:, 0].sum()) / (5 * 30 + 60)
    np.testing.assert_allclose(found.history["train"][:, 1], float(expected), rtol=1e-5)
