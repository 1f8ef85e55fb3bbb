"""Categorical and ordinal columns with unequal, very few and very many levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from underlie.distributions import Categorical, Ordinal
from underlie.distributions.segments import Segments

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(SIZES)
@settings(max_examples=60, deadline=None)
def test_rectangles_hold_every_element_once_and_go_back(sizes: list[int]) -> None:
    segments = Segments(sizes)
    row = torch.arange(float(sum(sizes))).expand(2, -1)
    rectangles = [b.rectangle(row, -1.0) for b in segments]
    assert torch.equal(segments.join(rectangles), row)
    kept = torch.cat([r[0].flatten() for r in rectangles])
    assert torch.equal(kept[kept >= 0].sort().values, row[0])
    columns = torch.arange(float(len(sizes)))
    assert torch.equal(segments.join_columns([b.select(columns) for b in segments]), columns)


@given(SIZES)
@settings(max_examples=60, deadline=None)
def test_padding_at_most_doubles_the_elements(sizes: list[int]) -> None:
    segments = Segments(sizes)
    assert sum(len(b.columns) * b.length for b in segments) <= 2 * sum(sizes)


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_columns_side_by_side_are_columns_alone(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(4, sum(sizes), dtype=torch.float64, generator=generator)
    x = torch.stack([torch.randint(0, k, (4,), generator=generator) for k in sizes], dim=1).double()
    together = Categorical(sizes).log_prob(raw, x)
    alone = [Categorical(k).log_prob(r, c[:, None]) for k, r, c in zip(sizes, raw.split(sizes, 1), x.T, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


def test_one_column_of_ten_thousand_levels_costs_no_more_than_its_levels() -> None:
    levels = [2] * 200 + [10_000] + [3] * 200
    head = Categorical(levels)
    assert sum(len(b.columns) * b.length for b in head.segments) <= 1.2 * sum(levels)
    x = torch.zeros(5, len(levels))
    x[:, 200] = 9_999
    raw = head.start(x)
    assert torch.isfinite(head.log_prob(raw, x)).all()
    assert head.log_prob(raw, x)[:, 200].max() > np.log(0.8)
    assert head.sample(raw.expand(50, -1), torch.Generator().manual_seed(0))[:, 200].max() <= 9_999


def test_an_ordinal_column_of_ten_thousand_levels() -> None:
    head = Ordinal([10_000, 3])
    x = torch.stack([torch.arange(0, 10_000, 20.0), torch.arange(500.0) % 3], dim=1)
    raw = head.start(x)
    assert torch.isfinite(head.log_prob(raw, x)).all()
    assert (head.thresholds()[0, :9_999].diff() >= 0).all()
    torch.testing.assert_close(head.mean(raw).flatten(), x.mean(0), rtol=2e-3, atol=2e-3)


def test_a_level_never_seen_keeps_a_small_probability() -> None:
    x = torch.zeros(99, 1)
    x[:50] = 1.0
    for head in (Categorical([3]), Ordinal([3])):
        raw = head.start(x)
        p = head.log_prob(raw, torch.full((1, 1), 2.0)).exp().item()
        assert p == pytest.approx(1 / 300, rel=1e-3)


def test_a_column_of_one_level_is_certain() -> None:
    for head in (Categorical([1, 2]), Ordinal([1, 2])):
        raw = head.start(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        assert head.log_prob(raw, torch.zeros(1, 2))[..., 0].item() == 0.0
        assert (head.sample(raw.expand(50, -1))[:, 0] == 0).all()


@pytest.mark.parametrize("head", [Categorical, Ordinal])
def test_impossible_levels_are_refused(head: type) -> None:
    with pytest.raises(ValueError, match="column 1"):
        head([2, 0])
    with pytest.raises(ValueError, match="one number of levels per column"):
        head([])
