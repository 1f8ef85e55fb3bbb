"""The moment penalty of rows of data: one or two passes over them, and the cheaper form of each order's gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from underlie.distributions import Likelihood
from underlie.engine import Rows
from underlie.graph.moment_coordinates import Coordinates, coordinate_values, points_of_rows
from underlie.graph.moment_entries import EntrySums, MatrixGap, MeanGap, MonomialGap, n_monomials
from underlie.graph.moment_gap import MomentPenalty, SquaredGap, sobol_points
from underlie.graph.moment_gram import GramGap

#: Rows are read so many numbers at a time.
_NUMBERS_AT_ONCE = 1 << 22
#: A matrix of second moments is at most so wide, and a tensor of higher ones has at most so many distinct entries.
_WIDEST_MATRIX, _MOST_MONOMIALS = 2048, 1 << 14
#: Gram matrices have at most so many rows of data, of so many numbers together; of more, a random part stands for all.
_MOST_GRAM_ROWS, _MOST_GRAM_NUMBERS = 4096, 1 << 25


def moment_penalty(
    head: Likelihood,
    rows: Rows,
    weights: Mapping[int, float],
    n_latent: int,
    n_draws: int,
    device: torch.device,
    *,
    standardize: bool,
) -> MomentPenalty:
    """The penalty of models of rows of the variable ``x``, with all of the rows' moments.

    Parameters
    ----------
    head : Likelihood
        p(x | z); of the encoded values.
    rows : Rows
        The data, encoded. Of missing cells, every entry of a moment rests on the rows that show all of its columns.
    weights : mapping of int to float
        Weight of each order from 1 to 4.
    n_latent, n_draws : int
        Dimension of z, and points of it.
    device : torch.device
        Where the rows are handed out.
    standardize : bool
        Whether moments are those of (x - mean) / sd, or of the encoded values as they are.

    Raises
    ------
    ValueError
        Where an order asked for cannot be had from wide rows with missing cells.
    """
    everything = torch.arange(len(rows), device=device)
    at, complete = _coordinates(head, _chunks(head, rows, everything), standardize)
    gaps = {k: _form(k, at, len(rows), n_draws, complete=complete) for k in sorted(weights)}
    chosen = _gram_rows(len(rows), len(at.loc)).to(device)
    for index, gram in ((everything, False), (chosen, True)):
        filled = {k: gap for k, gap in gaps.items() if isinstance(gap, GramGap) == gram}
        for values in _chunks(head, rows, index) if filled else ():
            for order, gap in filled.items():
                gap.add(points_of_rows(values, at, order))
    uniform = sobol_points(n_draws, n_latent).to(device)
    return MomentPenalty(gaps, dict(weights), at.to(torch.float32, device), uniform)


def _coordinates(head: Likelihood, chunks: Iterator[Tensor], standardize: bool) -> tuple[Coordinates, bool]:
    """Where moments are taken, and whether no cell is missing."""
    sums, complete = EntrySums(), True
    for x in chunks:
        seen = x.isfinite()
        complete = complete and bool(seen.all())
        filled = torch.where(seen, x, 0.0)
        sums.add(seen.sum(0).double(), filled.sum(0), filled.square().sum(0))
    if not standardize:
        return Coordinates(torch.zeros_like(sums.total), torch.ones_like(sums.total), head.exclusive), complete
    mean = sums.mean
    sd = (sums.variance_of_mean * sums.count).sqrt()
    constant = sd <= 1e-6 * (1.0 + mean.abs())
    return Coordinates(mean, torch.where(constant, 1.0, sd), head.exclusive), complete


def _form(order: int, at: Coordinates, n: int, n_draws: int, *, complete: bool) -> SquaredGap:
    """The form that costs least, of those that can be had."""
    if order == 1:
        return MeanGap()
    width = len(at.loc)
    pairs = min(n, _MOST_GRAM_ROWS) + n_draws
    if order == 2:
        # Per draw: width^2 numbers in float32, or three inner products with each point in float64.
        by_entries = width <= (min(_WIDEST_MATRIX, 6 * pairs) if complete else 4 * _WIDEST_MATRIX)
        if by_entries:
            return MatrixGap(at)
    else:
        entries = n_monomials(width, order)
        # Arithmetic per draw is about that of four numbers for each pair of points.
        if entries <= (min(_MOST_MONOMIALS, 4 * pairs) if complete else _MOST_MONOMIALS):
            return MonomialGap(at, order)
    if not complete:
        raise ValueError(
            f"mega_order: moments of order {order} of {width} columns with missing cells are too many; "
            "use lower orders, or fewer columns, or impute first."
        )
    return GramGap(at, order)


def _gram_rows(n: int, width: int) -> Tensor:
    """Which rows stand for all in Gram matrices, always the same."""
    most = max(2, min(_MOST_GRAM_ROWS, _MOST_GRAM_NUMBERS // width))
    if n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values


def _chunks(head: Likelihood, rows: Rows, index: Tensor) -> Iterator[Tensor]:
    """Coordinates (n, C) of some rows, a few at a time; NaN where missing."""
    for part in index.split(max(1, _NUMBERS_AT_ONCE // head.n_coordinates)):
        batch = rows.take(part[None])
        observed = batch.observed.get("x")
        yield coordinate_values(head, batch.values["x"][0, 0], None if observed is None else observed[0, 0])
