"""The product of heads over the columns of a mixed table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast, final

import numpy as np
import torch
from torch import Tensor, nn

from underlie.distributions.base import Likelihood, lifted


@final
class Product(Likelihood):
    r"""Independent heads, each on its own columns of one variable.

    .. math:: p(x \mid z) = \prod_h p_h(x_{J_h} \mid z)

    ``raw`` holds the raw values of the heads one after another; everything else is in the order of the columns.

    Parameters
    ----------
    heads : sequence of Likelihood
        The parts.
    columns : sequence of sequence of int
        The columns of each head; together 0 to width - 1, each once.

    Raises
    ------
    ValueError
        If the numbers of heads and lists differ, a head has another width than its list, or a column is missing or
        named twice.

    Examples
    --------
    >>> import torch
    >>> from underlie.distributions import Categorical, Normal, Product
    >>> head = Product([Normal(2), Categorical([3])], [[0, 2], [1]])
    >>> head.coordinates_per_column
    (1, 3, 1)
    >>> head.exclusive
    [[1, 2, 3]]
    """

    def __init__(self, heads: Sequence[Likelihood], columns: Sequence[Sequence[int]]) -> None:
        lists = _checked(heads, columns)
        width = sum(len(c) for c in lists)
        super().__init__(
            width,
            sum(h.n_raw for h in heads),
            _by_column(width, lists, [h.coordinates_per_column for h in heads]),
            _by_column(width, lists, [h.features_per_column for h in heads]),
        )
        self.heads = nn.ModuleList(heads)
        self.columns = tuple(tuple(c) for c in lists)
        self._n_raw = [h.n_raw for h in heads]
        self.cells = _Layout(lists, (1,) * width)
        self.coordinates = _Layout(lists, self.coordinates_per_column)
        self.feature_columns = _Layout(lists, self.features_per_column)

    @property
    def location_family(self) -> tuple[bool, ...]:
        """That of each column's own head."""
        found = [False] * self.width
        for head, columns in zip(self.heads, self.columns, strict=True):
            for column, is_location in zip(columns, cast(Likelihood, head).location_family, strict=True):
                found[column] = is_location
        return tuple(found)

    @property
    def exclusive(self) -> list[list[int]]:
        """The groups of all heads, in the coordinates of the whole."""
        groups = []
        for h, head in enumerate(self._heads()):
            where = self.coordinates.indices(h)
            groups += [[where[i] for i in group] for group in head.exclusive]
        return sorted(groups)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        parts = zip(self._fed(raw), self.cells.split(x), strict=True)
        return self.cells.join([head.log_prob(r, cells) for (head, r), cells in parts])

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        raw = lifted(raw, x)
        parts = zip(self._fed(raw), self.cells.split(x), strict=True)
        first, *others = [head.row_log_prob(r, cells) for (head, r), cells in parts]
        return sum(others, first)

    def mean(self, raw: Tensor) -> Tensor:
        return self.coordinates.join([head.mean(r) for head, r in self._fed(raw)])

    def variance(self, raw: Tensor) -> Tensor:
        return self.coordinates.join([head.variance(r) for head, r in self._fed(raw)])

    def third_moment(self, raw: Tensor) -> Tensor:
        return self.coordinates.join([head.third_moment(r) for head, r in self._fed(raw)])

    def fourth_moment(self, raw: Tensor) -> Tensor:
        return self.coordinates.join([head.fourth_moment(r) for head, r in self._fed(raw)])

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.cells.join([head.sample(r, generator) for head, r in self._fed(raw)])

    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        masks = [None] * len(self.heads) if observed is None else self.cells.split(observed)
        parts = zip(self._heads(), self.cells.split(x), masks, strict=True)
        return self.feature_columns.join([head.features(cells, mask) for head, cells, mask in parts])

    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        masks = [None] * len(self.heads) if observed is None else self.cells.split(observed)
        parts = zip(self._heads(), self.cells.split(x), masks, strict=True)
        return torch.cat([head.start(cells, mask) for head, cells, mask in parts])

    def raw_from_mean(self, mean: Tensor) -> Tensor | None:
        """The links of the parts; None if one of them has none."""
        raws = [h.raw_from_mean(m) for h, m in zip(self._heads(), self.coordinates.split(mean), strict=True)]
        present = [r for r in raws if r is not None]
        return torch.cat(present, dim=-1) if len(present) == len(raws) else None

    def notation(self, parents: str) -> str:
        def term(head: Likelihood) -> str:
            return f"{head.notation(parents)} [{head.width} column{'s' if head.width > 1 else ''}]"

        return " x ".join(term(h) for h in self._heads())

    def _fed(self, raw: Tensor) -> Iterator[tuple[Likelihood, Tensor]]:
        """Each head with its raw values."""
        return zip(self._heads(), torch.split(raw, self._n_raw, dim=-1), strict=True)

    def _heads(self) -> list[Likelihood]:
        return cast("list[Likelihood]", list(self.heads))


@final
class _Layout(nn.Module):
    """Where the parts' elements stand in the whole: split a row into parts, join parts into a row.

    Parameters
    ----------
    columns : sequence of sequence of int
        Columns of each part.
    sizes : sequence of int
        Elements of each column.
    """

    _order: Tensor | None

    def __init__(self, columns: Sequence[Sequence[int]], sizes: Sequence[int]) -> None:
        super().__init__()
        lengths = np.asarray(sizes)
        offsets = np.cumsum(lengths) - lengths
        self._parts: list[slice | str] = []
        indices = []
        for h, part in enumerate(columns):
            k, first = lengths[list(part)], offsets[list(part)]
            within = np.arange(k.sum()) - np.repeat(np.cumsum(k) - k, k)
            index = np.repeat(first, k) + within
            indices.append(index)
            if (np.diff(index) == 1).all():  # neighbouring columns are a view of the row, without a copy
                self._parts.append(slice(int(index[0]), int(index[-1]) + 1))
            else:
                self.register_buffer(f"_index_{h}", torch.as_tensor(index), persistent=False)
                self._parts.append(f"_index_{h}")
        order = np.argsort(np.concatenate(indices))
        in_place = bool((order == np.arange(len(order))).all())
        self.register_buffer("_order", None if in_place else torch.as_tensor(order), persistent=False)

    def split(self, row: Tensor) -> list[Tensor]:
        """A row (..., total) to its parts (..., elements of the part)."""
        return [
            row[..., part] if isinstance(part, slice) else row.index_select(-1, getattr(self, part))
            for part in self._parts
        ]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Parts back to the row."""
        row = torch.cat(list(parts), dim=-1)
        return row if self._order is None else row.index_select(-1, self._order)

    def indices(self, part: int) -> list[int]:
        """Positions of one part's elements in the row."""
        where = self._parts[part]
        return list(range(where.start, where.stop)) if isinstance(where, slice) else getattr(self, where).tolist()


def _by_column(width: int, lists: Sequence[Sequence[int]], per_head: Sequence[Sequence[int]]) -> list[int]:
    """Sizes given head by head, in the order of the columns."""
    sizes = [0] * width
    for columns, of_head in zip(lists, per_head, strict=True):
        for column, size in zip(columns, of_head, strict=True):
            sizes[column] = size
    return sizes


def _checked(heads: Sequence[Likelihood], columns: Sequence[Sequence[int]]) -> list[list[int]]:
    """The columns of each head as lists, after the checks that `Product` promises."""
    if not heads or len(heads) != len(columns):
        raise ValueError(f"columns must hold one list per head, got {len(heads)} heads and {len(columns)} lists.")
    lists = [[int(c) for c in part] for part in columns]
    for h, (head, part) in enumerate(zip(heads, lists, strict=True)):
        if head.width != len(part):
            raise ValueError(f"head {h}, {head.notation('')}, has {head.width} columns; columns[{h}] has {len(part)}.")
    named = sorted(c for part in lists for c in part)
    for expected, column in enumerate(named):
        if column != expected:
            problem = "is named twice" if column < expected else f"stands where column {expected} is missing"
            raise ValueError(f"columns must name 0 to {len(named) - 1}, each once: column {column} {problem}.")
    return lists
