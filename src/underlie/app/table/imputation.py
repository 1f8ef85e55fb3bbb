"""What a model says of empty fields, given those that are filled: draws from p(x_mis | x_obs), summarised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

import numpy as np
import torch

from underlie.app.form.entry import row_of
from underlie.app.table.cells import Cells, Floats, cells_of_encoded
from underlie.data import Encoded
from underlie.data.columns import Column
from underlie.engine import few_threads
from underlie.graph import Weighted, query

N_DRAWS: Final = 1000
#: draws of the latent variables, weighted by how well they explain what is filled
_N_IMPORTANCE: Final = 1024
#: a row whose Pareto shape is above this is not estimated dependably (Vehtari et al., 2024)
_POOR_PARETO_K: Final = 0.7
_QUANTILES: Final = (0.025, 0.25, 0.5, 0.75, 0.975)


@final
@dataclass(frozen=True)
class Spread:
    """Draws of a number: ends of the 95 % interval and of the middle half, and the median."""

    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float


@final
@dataclass(frozen=True)
class Guess:
    """What is known of a column.

    Attributes
    ----------
    column : Column
    number : Spread or None
    shares : tuple of float
        Of the levels, in their order; empty for a number.
    """

    column: Column
    number: Spread | None
    shares: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class Guesses:
    """One guess for each column, and whether the draws behind them can be trusted."""

    by_column: Mapping[str, Guess]
    dependable: bool


def guess(model: Any, values: Mapping[str, Any], n_draws: int = N_DRAWS, seed: int = 0) -> Guesses:
    """What the model says of every column whose value is None, given the others.

    Parameters
    ----------
    model : VAE, SemiSupervisedVAE or ProbabilisticPCA
        Fitted to a table.
    values : dict of column to cell
    n_draws : int
        95 % intervals of 1000 draws have ends that are right to about 1 % of probability.
    seed : int
    """
    row = row_of(model.encoder_, [values])
    with few_threads(0.0):
        encoded, dependable = conditional_draws(model, row, n_draws, seed)
    drawn = cells_of_encoded(model.encoder_, encoded)
    empty = [column for column in model.schema_ if values[column.name] is None]
    return Guesses({column.name: _summary(column, drawn) for column in empty}, dependable)


def conditional_draws(model: Any, row: Any, n: int, seed: int) -> tuple[Floats, bool]:
    """n draws of all cells of one row given those observed, encoded, (n, columns); and whether they can be trusted.

    What ``model.impute(row, n_draws=n)`` draws, without making n tables of them.
    """
    encoder = model.encoder_
    if hasattr(model, "_gaussian"):  # exact
        drawn = model._gaussian.impute_draws(encoder.numeric(row), n, np.random.default_rng(seed))
        return encoder.encoded_from_numeric(drawn[:, 0]), True
    conditioner = model._conditioner
    generator = torch.Generator(conditioner.device).manual_seed(seed)
    weighted = _best_weighted(conditioner, encoder.encode(row), seed, generator)
    factor = conditioner.model.generative["x"]
    raw = factor.raw(weighted.resample(n, generator))
    drawn = factor.head.sample(raw, generator)[0, :, 0].double().cpu().numpy()
    return drawn, not bool(weighted.pareto_k().max() > _POOR_PARETO_K)


def _best_weighted(conditioner: Any, row: Encoded, seed: int, generator: torch.Generator) -> Weighted:
    """Draws of the latent variables given a row, from the encoder's guess or from the prior: what leaves more of them.

    A form begins with every field empty, and encoders have seldom seen such rows: there the prior is the better guess,
    and with nothing filled in the exact one.
    """
    chunk = next(conditioner.chunks(row, _N_IMPORTANCE))
    ask = partial(
        query,
        conditioner.model,
        chunk.batch,
        n_draws=_N_IMPORTANCE,
        noise=conditioner.noise(_N_IMPORTANCE, seed),
        generator=generator,
    )
    return max((ask(proposal="guide"), ask(proposal="prior")), key=lambda found: float(found.ess().min()))


def _summary(column: Column, drawn: Cells) -> Guess:
    cells = drawn[column.name]
    if column.levels is None:
        return Guess(column, Spread(*(float(v) for v in np.quantile(cells, _QUANTILES, method="inverted_cdf"))))
    return Guess(column, None, tuple(float((cells == code).mean()) for code in range(len(column.levels))))


def nothing_known(columns: Sequence[Column]) -> dict[str, Any]:
    """A row of which nothing is known."""
    return {column.name: None for column in columns}
