"""One split as every model meets it: test rows, times, censoring weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.baselines import CoxRegression
from underlie.check.survival.censoring import Censoring, censoring_weights
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.check.survival.setting import Setting, make_setting
from underlie.data.surv import Surv

Array = NDArray[np.float64]
Weighting = Literal["marginal", "marginal_right", "cox"]
WEIGHTINGS = ("marginal", "marginal_right", "cox")
N_TIMES = 100
MOST_KNOTS = 1000  # beyond as many distinct test times, curves are read between their quantiles


@final
@dataclass(frozen=True)
class Fold:
    """Training and test rows of one split: tables or arrays, and outcomes as `Surv` makes them."""

    X_train: Any
    y_train: NDArray[np.void]
    X_test: Any
    y_test: NDArray[np.void]


@final
@dataclass(frozen=True)
class Bench:
    """One split as every model meets it.

    Attributes
    ----------
    setting : Setting
        Test rows, weights and horizon; its times are the knots at which models predict: the grid, the horizon and the
        follow-up times of the test rows within the training follow-up, so that nothing is read between predictions.
    grid : (n_times,) array
        Times over which the Brier score is integrated.
    """

    setting: Setting
    grid: Array


def make_bench(fold: Fold, horizon: float | None, weighting: Weighting, minimum: float) -> Bench:
    """Grid, knots and weights of a split. They depend on no model, and on test outcomes through the knots alone."""
    train, test = read_outcome(fold.y_train, "y_train"), read_outcome(fold.y_test, "y_test")
    events = train.time[train.event]
    grid = _grid(events, censoring_weights("marginal", train, test, events, minimum).end)
    chosen = float(np.clip(np.median(events), grid[0], grid[-1])) if horizon is None else horizon
    knots = _knots(test.time, grid, chosen, float(train.time.max()))
    setting = make_setting(
        knots,
        fold.y_test,
        fold.y_train,
        horizon=chosen,
        censoring=_cox_censoring(fold, train, test, knots) if weighting == "cox" else weighting,
        min_censoring=minimum,
        n_bootstrap=0,
        level=0.95,
        random_state=0,
    )
    return Bench(setting, grid)


def _grid(events: Array, end: float) -> Array:
    """Even times from the 5 % to the 95 % quantile of training event times, no later than weights are supported."""
    low, high = np.quantile(events, [0.05, 0.95])
    high = min(high, end)
    return np.linspace(low, high, N_TIMES) if high > low else np.array([low])


def _knots(times: Array, grid: Array, horizon: float, last: float) -> Array:
    own = np.unique(times[(times > 0) & (times <= last)])
    if len(own) > MOST_KNOTS:
        own = np.unique(np.quantile(own, np.linspace(0, 1, MOST_KNOTS)))
    knots = np.unique(np.concatenate([own, grid, [horizon]]))
    return np.asarray(knots[knots > 0])


def _cox_censoring(fold: Fold, train: Outcome, test: Outcome, knots: Array) -> Censoring:
    """P(C > t | x) of the test rows at the knots, (n, n_knots), and P(C >= T_i | x_i), (n,), by a Cox model.

    The model is fitted to the training rows with the event reversed. An event that ties with censoring comes first,
    as everywhere: times are replaced by ranks, of which the k-th distinct time gives 2k - 1 to its events and 2k to
    its censored rows. Where no training row is censored, the marginal weights, which are 1, are returned.
    """
    if train.event.all():
        return "marginal"
    distinct = np.unique(train.time)
    rank = 2.0 * (np.searchsorted(distinct, train.time) + 1) - train.event
    try:
        cox = CoxRegression().fit(fold.X_train, Surv(rank, ~train.event))
    except ValueError as error:
        raise ValueError(f"censoring='cox': {error}. Use censoring='marginal'") from error
    at = cox.baseline_survival(2.0 * np.searchsorted(distinct, knots, side="right"))
    own = cox.baseline_survival(2.0 * np.searchsorted(distinct, test.time, side="left"))
    return cox.survival_at(fold.X_test, at[None, :]), cox.survival_at(fold.X_test, own[:, None])[:, 0]
