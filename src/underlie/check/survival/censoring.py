r"""Inverse-probability-of-censoring weights, marginal or given covariates.

A row whose event is seen at T_i stands for 1 / G(T_i- | x_i) rows, one followed past t for 1 / G(t | x_i), with
G(t | x) = P(C > t | x). G comes from training rows or from the user, never from the test rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.survival.curves import read_curves
from underlie.check.survival.kaplan_meier import censoring_curve
from underlie.check.survival.outcomes import Outcome
from underlie.warnings import DataWarning

Array = NDArray[np.float64]
CensoringModel = Callable[[Array], ArrayLike]
Censoring = Literal["marginal", "marginal_right"] | CensoringModel | ArrayLike | tuple[ArrayLike, ArrayLike]
CHUNK = 256


@final
@dataclass(frozen=True)
class CensoringWeights:
    """What the metrics need to know of censoring.

    Attributes
    ----------
    own : (n,) array
        G(T_i- | x_i).
    at : function of (k,) times -> (k, n) or (k, 1) array
        G(t | x_j); one column where it does not depend on covariates.
    before : function of (k,) times -> (k, n) array, or None
        G(t- | x_j) where it depends on covariates.
    end : float
        Last time at which the marginal training G is at least the minimum, within the training follow-up. Beyond it
        weights explode, or nothing is known.
    """

    own: Array
    at: Callable[[Array], Array]
    before: Callable[[Array], Array] | None
    end: float


def censoring_weights(
    censoring: Censoring, train: Outcome, test: Outcome, grid: Array, minimum: float
) -> CensoringWeights:
    """Weights for test rows, from the word, model or table that the user gave (see `survival_metrics`)."""
    curve = censoring_curve(train)
    end = _support_end(curve.times, curve.values, float(train.time.max()), minimum)
    if isinstance(censoring, str):
        if censoring not in ("marginal", "marginal_right"):
            raise ValueError(
                f"censoring must be 'marginal', 'marginal_right', a function of times, an (n, n_times) table of G or "
                f"a pair (table, G of each row at its own time); got {censoring!r}"
            )
        own = curve.before(test.time) if censoring == "marginal" else curve.at(test.time)
        return CensoringWeights(own, lambda t: curve.at(t)[:, None], None, end)
    if callable(censoring):
        at, own = _from_model(censoring, test)
    else:
        at, own = _from_table(cast(ArrayLike, censoring), test, grid)
    until = min(end, float(grid[-1]))
    _warn_about_floor(own, at(np.array([until]))[0], test, until, minimum)
    return CensoringWeights(
        np.maximum(own, minimum), lambda t: np.maximum(at(t), minimum), lambda t: np.maximum(at(t), minimum), end
    )


def inverse(probability: Array) -> Array:
    """1 / G, and 0 where G = 0: there a row that is still followed has no one to stand for."""
    return np.divide(1.0, probability, out=np.zeros_like(probability), where=probability > 0)


def _support_end(times: Array, values: Array, last: float, minimum: float) -> float:
    """Where the step curve falls below the minimum (approached from below), or the end of the training follow-up."""
    low = np.flatnonzero(values < minimum)
    return float(np.nextafter(times[low[0]], -np.inf)) if len(low) else last


def _from_model(model: CensoringModel, test: Outcome) -> tuple[Callable[[Array], Array], Array]:
    """G at any times, and at each row's own, from a function of times; own times are asked for in blocks."""
    n = len(test)

    def at(t: Array) -> Array:
        values = np.asarray(model(t), dtype=np.float64)
        if values.shape != (n, len(t)):
            raise ValueError(
                f"censoring must return one row per test row and one column per time, ({n}, {len(t)}); "
                f"it returned {values.shape}"
            )
        return _probabilities(values, "what censoring returns").T

    own = np.empty(n)
    order = np.argsort(test.time, kind="stable")
    for start in range(0, n, CHUNK):
        rows = order[start : start + CHUNK]
        times, place = np.unique(test.time[rows], return_inverse=True)
        own[rows] = at(times)[place, rows]
    return at, own


def _from_table(table: ArrayLike, test: Outcome, grid: Array) -> tuple[Callable[[Array], Array], Array]:
    """G at any times by interpolation on the grid; at each row's own time as given, or by interpolation."""
    given = table if isinstance(table, tuple) else (table,)
    if len(given) > 2:
        raise ValueError(f"censoring must be a table or a pair (table, own), got a tuple of {len(given)}")
    curves = read_curves(given[0], grid, len(test), "censoring")
    if len(given) == 1:
        return curves.at, curves.own(test.time)
    own = np.asarray(given[1], dtype=np.float64)
    if own.shape != (len(test),):
        raise ValueError(f"censoring[1] must hold G of each test row at its own time, ({len(test)},), got {own.shape}")
    return curves.at, _probabilities(own, "censoring[1]")


def _probabilities(values: Array, name: str) -> Array:
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise ValueError(f"{name} must hold probabilities, row {row} has one that is missing or outside [0, 1]")
    return values


def _warn_about_floor(own: Array, last: Array, test: Outcome, end: float, minimum: float) -> None:
    """Warn of rows that were followed, within the support, to where G is below the minimum; `last` is G(end | x_i)."""
    low = np.where(test.time <= end, own, last) < minimum
    if low.any():
        warnings.warn(
            f"censoring gives {int(low.sum())} of {len(test)} rows, the first row {int(np.flatnonzero(low)[0])}, a "
            f"probability below {minimum:g} of being followed as long as they were (until {end:g} at most); it was "
            f"raised to {minimum:g}, which bounds their weights at the price of some bias. An earlier last time, or a "
            "smaller min_censoring, avoids it",
            DataWarning,
            stacklevel=5,
        )
