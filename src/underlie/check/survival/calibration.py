"""Calibration at one time: observed against predicted, on the whole and in groups of predicted risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.brier import event_weights
from underlie.check.survival.censoring import CensoringWeights
from underlie.check.survival.intervals import EstimateCurve, estimate_curve
from underlie.check.survival.kaplan_meier import weighted_survival
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]
Counts = NDArray[np.float32]


@final
@dataclass(frozen=True)
class Calibration:
    """Predicted and observed probability of an event by the horizon in groups of predicted risk.

    Attributes
    ----------
    horizon : float
        The time.
    observed : EstimateCurve
        1 - Kaplan-Meier in each group, `at` the mean predicted probability of the group; NaN where nobody in the
        group was followed to the horizon.
    sizes : (n_groups,) array
        Rows in each group.
    """

    horizon: float
    observed: EstimateCurve
    sizes: NDArray[np.intp]


def grouped_calibration(
    event_probability: Array, test: Outcome, horizon: float, multiplicity: Counts, n_groups: int, level: float
) -> Calibration:
    """Kaplan-Meier within quantile groups of the predicted probability (n,) of an event by the horizon.

    Equal predictions stay in one group, so that there may be fewer groups than asked for.
    """
    cuts = np.unique(np.quantile(event_probability, np.arange(1, n_groups) / n_groups))
    member = np.searchsorted(cuts, event_probability, side="right")
    labels, sizes = np.unique(member, return_counts=True)
    predicted = np.array([event_probability[member == label].mean() for label in labels])
    observed = np.column_stack([_observed(test, member == label, horizon, multiplicity) for label in labels])
    return Calibration(horizon, estimate_curve(predicted, observed, level), sizes)


def _observed(test: Outcome, rows: NDArray[np.bool_], horizon: float, multiplicity: Counts) -> Array:
    group = Outcome(test.event[rows], test.time[rows])
    return 1 - weighted_survival(group, horizon, multiplicity[:, rows].astype(np.float64))


def observed_by_kaplan_meier(test: Outcome, horizon: float, multiplicity: Counts) -> Array:
    """1 - Kaplan-Meier of all test rows at the horizon in each resample: (B,)."""
    return 1 - weighted_survival(test, horizon, multiplicity.astype(np.float64))


def observed_by_weights(test: Outcome, weights: CensoringWeights, horizon: float, multiplicity: Counts) -> Array:
    """Weighted share of rows with an event by the horizon in each resample, (B,).

    Unlike Kaplan-Meier it stays right where censoring depends on covariates, if the weights do.
    """
    case, control = event_weights(test, weights, np.array([horizon]))
    counts = multiplicity.astype(np.float64)
    events, total = counts @ case[0], counts @ (case[0] + control[0])
    return np.divide(events, total, out=np.full(len(total), np.nan), where=total > 0)
