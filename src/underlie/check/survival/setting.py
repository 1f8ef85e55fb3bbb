"""What every model that is compared has in common: outcomes, weights, resamples, horizon."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.seeds import generator
from underlie.check.survival.censoring import Censoring, CensoringWeights, censoring_weights
from underlie.check.survival.concordance import Pairs
from underlie.check.survival.curves import read_grid
from underlie.check.survival.intervals import resamples
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.warnings import DataWarning, ExtrapolationWarning

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Setting:
    """Test rows and how they are judged.

    Attributes
    ----------
    test : Outcome
        n rows.
    times : (n_times,) array
        Grid of the predictions.
    weights : CensoringWeights
        Of the test rows.
    counts : (1 + n_bootstrap, n) array
        The sample and its resamples.
    pairs : Pairs
        Comparable pairs under these.
    horizon, end : float
        Time of calibration; end of integration and of Uno's C.
    level : float
        Of the intervals.
    """

    test: Outcome
    times: Array
    weights: CensoringWeights
    counts: NDArray[np.float32]
    pairs: Pairs
    horizon: float
    end: float
    level: float

    @property
    def supported(self) -> NDArray[np.bool_]:
        """Which times of the grid are integrated over."""
        return self.times <= self.end


def make_setting(
    times: ArrayLike,
    y_test: object,
    y_train: object,
    *,
    horizon: float | None,
    censoring: Censoring,
    min_censoring: float,
    n_bootstrap: int,
    level: float,
    random_state: object,
) -> Setting:
    """Check all that does not depend on a model, and draw the resamples."""
    grid = read_grid(times)
    test, train = read_outcome(y_test, "y_test"), read_outcome(y_train, "y_train")
    _check_numbers(min_censoring, n_bootstrap, level)
    weights = censoring_weights(censoring, train, test, grid, min_censoring)
    end = min(weights.end, float(grid[-1]))
    if not (grid <= end).any():
        warnings.warn(
            f"no entry of times is within the support of the training data, which ends at {weights.end:g} (where "
            f"censoring leaves less than {min_censoring:g} of the rows, or follow-up ends); there is no integrated "
            "Brier score",
            DataWarning,
            stacklevel=3,
        )
    if not test.event.any():
        warnings.warn("y_test has no event, so that no concordance can be computed", DataWarning, stacklevel=3)
    chosen = _default_horizon(train, grid, end) if horizon is None else _check_horizon(horizon, grid, weights.end)
    counts = resamples(len(test), n_bootstrap, generator(random_state))
    return Setting(test, grid, weights, counts, Pairs.of(test, counts), chosen, end, level)


def _check_numbers(min_censoring: float, n_bootstrap: int, level: float) -> None:
    if not 0 <= min_censoring < 1:
        raise ValueError(f"min_censoring must be in [0, 1), got {min_censoring}")
    if isinstance(n_bootstrap, bool) or not isinstance(n_bootstrap, int | np.integer) or n_bootstrap < 0:
        raise ValueError(f"n_bootstrap must be a whole number, 0 for no intervals, got {n_bootstrap!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, as .95, got {level}")


def _default_horizon(train: Outcome, grid: Array, end: float) -> float:
    """Median training event time, within the supported grid."""
    events = train.time[train.event]
    middle = float(np.median(events)) if len(events) else float(np.median(train.time))
    supported = grid[grid <= end]
    return float(np.clip(middle, grid[0], supported[-1] if len(supported) else grid[0]))


def _check_horizon(horizon: float, grid: Array, support: float) -> float:
    if not (np.isfinite(horizon) and 0 < horizon <= grid[-1]):
        raise ValueError(
            f"horizon must be a time after 0 and within times, whose last is {grid[-1]:g}; got {horizon}. "
            "Predict survival up to the horizon, or choose an earlier one"
        )
    if horizon > support:
        warnings.warn(
            f"horizon {horizon:g} is beyond the support of the training data, which ends at {support:g}",
            ExtrapolationWarning,
            stacklevel=4,
        )
    return float(horizon)
