"""The product head is the sum of its parts, whatever the order of the columns."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from underlie.distributions import Bernoulli, Categorical, Normal, Ordinal, Poisson, Product


def _parts(order: list[int]) -> tuple[Product, list, list[list[int]]]:
    heads = [Normal(2), Categorical([3, 2]), Poisson(1), Ordinal([4]), Bernoulli(1)]
    columns = [order[:2], order[2:4], order[4:5], order[5:6], order[6:]]
    return Product(heads, columns), heads, columns


def _rows(order: list[int], n: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(0, k, (n,), generator=generator) for k in (3, 2, 9, 4, 2)], dim=1).float()
    x = torch.empty(n, 7)
    x[:, order] = torch.cat([torch.randn(n, 2, generator=generator), codes], dim=1)
    return x


@given(st.permutations(range(7)))
@settings(max_examples=40, deadline=None)
def test_every_method_is_that_of_the_parts(order: list[int]) -> None:
    product, heads, columns = _parts(list(order))
    x = _rows(list(order))
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    start = product.start(x, observed)
    raw = start + torch.randn(6, product.n_raw, generator=torch.Generator().manual_seed(1))
    log_p, mean, variance = product.log_prob(raw, x), product.mean(raw), product.variance(raw)
    features, back = product.features(x, observed), product.raw_from_mean(mean)
    ends = torch.tensor(product.coordinates_per_column).cumsum(0).tolist()
    sizes = product.coordinates_per_column
    assert product.n_coordinates == 10
    for head, part, r, b in zip(
        heads, columns, raw.split([h.n_raw for h in heads], 1), back.split([h.n_raw for h in heads], 1), strict=True
    ):
        coordinates = [i for c in part for i in range(ends[c] - sizes[c], ends[c])]
        assert torch.equal(log_p[:, part], head.log_prob(r, x[:, part]))
        assert torch.equal(mean[:, coordinates], head.mean(r))
        assert torch.equal(variance[:, coordinates], head.variance(r))
        assert torch.equal(features[:, coordinates], head.features(x[:, part], observed[:, part]))
        torch.testing.assert_close(b, head.raw_from_mean(head.mean(r)))
    for group in product.exclusive:
        torch.testing.assert_close(mean[:, group].sum(1), torch.ones(6))
    assert sorted(len(g) for g in product.exclusive) == [2, 3]


def test_product_in_a_product() -> None:
    inner = Product([Normal(1), Categorical([3])], [[1], [0]])
    outer = Product([inner, Poisson(1)], [[0, 2], [1]])
    x = torch.tensor([[2.0, 4.0, 0.3], [0.0, 1.0, -0.2]])
    raw = outer.start(x)
    assert outer.coordinates_per_column == (3, 1, 1)
    assert outer.exclusive == [[0, 1, 2]]
    torch.testing.assert_close(outer.mean(raw).flatten()[3:], x.mean(0)[1:], rtol=1e-5, atol=1e-6)


def test_samples_are_in_the_order_of_the_columns() -> None:
    head = Product([Poisson(1), Bernoulli(1), Normal(1)], [[2], [0], [1]])
    x = torch.tensor([[1.0, -3.0, 100.0], [0.0, -5.0, 120.0]])
    with torch.no_grad():
        drawn = head.sample(head.start(x).expand(200, -1), torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {0.0, 1.0}
    assert drawn[:, 1].mean() == pytest.approx(-4.0, abs=0.5)
    assert drawn[:, 2].mean() == pytest.approx(110.0, abs=5.0)


def test_notation_names_the_parts() -> None:
    head = Product([Normal(2), Poisson(1)], [[0, 1], [2]])
    assert head.notation("z") == "Normal(mu(z), sigma_j^2) [2 columns] x Poisson(lambda(z)) [1 column]"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([[0, 1]], "one list per head"),
        ([[0], [1]], "head 0"),
        ([[0, 1], [1]], "column 1 is named twice"),
        ([[0, 1], [3]], "column 3 stands where column 2 is missing"),
    ],
)
def test_impossible_columns_are_refused(columns: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Product([Normal(2), Poisson(1)], columns)
