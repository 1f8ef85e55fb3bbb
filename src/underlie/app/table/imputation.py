"""What a model says of empty fields, given those that are filled: draws from p(x_mis | x_obs), summarised."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from underlie.app.form.entry import row_of
from underlie.app.table.cells import Cells, Floats, cells_of_encoded
from underlie.data.columns import Column
from underlie.engine import few_threads
from underlie.warnings import ImportanceSamplingWarning, UnderlieWarning

N_DRAWS: Final = 1000
#: draws from the encoder's guess, weighted by how well they explain what is filled
_N_IMPORTANCE: Final = 1024
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
    with warnings.catch_warnings(record=True) as caught, few_threads(0.0):
        warnings.simplefilter("ignore", UnderlieWarning)
        warnings.simplefilter("always", ImportanceSamplingWarning)
        drawn = cells_of_encoded(model.encoder_, conditional_draws(model, row, n_draws, seed))
    poor = any(issubclass(one.category, ImportanceSamplingWarning) for one in caught)
    empty = [column for column in model.schema_ if values[column.name] is None]
    return Guesses({column.name: _summary(column, drawn) for column in empty}, not poor)


def conditional_draws(model: Any, row: Any, n: int, seed: int) -> Floats:
    """n draws of all cells of one row given those observed, encoded: (n, columns).

    What ``model.impute(row, n_draws=n)`` draws, without making n tables of them.
    """
    encoder = model.encoder_
    if hasattr(model, "_gaussian"):
        drawn = model._gaussian.impute_draws(encoder.numeric(row), n, np.random.default_rng(seed))
        nearest: Floats = encoder.encoded_from_numeric(drawn[:, 0])
        return nearest
    draws: Floats = model._conditioner.draws(encoder.encode(row), n, _N_IMPORTANCE, seed)[:, 0]
    return draws


def _summary(column: Column, drawn: Cells) -> Guess:
    cells = drawn[column.name]
    if column.levels is None:
        return Guess(column, Spread(*(float(v) for v in np.quantile(cells, _QUANTILES, method="inverted_cdf"))))
    return Guess(column, None, tuple(float((cells == code).mean()) for code in range(len(column.levels))))


def nothing_known(columns: Sequence[Column]) -> dict[str, Any]:
    """A row of which nothing is known."""
    return {column.name: None for column in columns}
