"""What the user is told of predictions that rest on little: beyond follow-up, or on too few draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.estimators.survival_predictor import Patients, Predictor
from underlie.warnings import ExtrapolationWarning, ImportanceSamplingWarning, warn

Floats = NDArray[np.float64]

#: A predicted probability whose Monte-Carlo standard error is above this is not good enough to be acted on.
_POOR_SE = 0.01
_POOR_SHARE = 0.05
#: Rows on which that is judged.
_JUDGED_ROWS = 200
#: Share of an expected time that may come from the fitted tail.
_TAIL_SHARE = 0.05


def warn_beyond(times: Floats, follow_up: float) -> None:
    """Of times after the follow-up of the training rows."""
    if (times > follow_up).any():
        warn(
            f"time {times.max():g} is beyond the longest follow-up, {follow_up:g}: predictions there rest on "
            "the fitted tail alone.",
            ExtrapolationWarning,
        )


def warn_of_late_quantiles(found: Floats, follow_up: float) -> None:
    """Of quantiles (n, n_p) after it."""
    beyond = int((found > follow_up).any(1).sum())
    if beyond:
        warn(
            f"for {beyond} of {len(found)} rows a quantile lies beyond the longest follow-up, {follow_up:g}: "
            "it rests on the fitted tail alone.",
            ExtrapolationWarning,
        )


def warn_of_long_tails(beyond: Floats, follow_up: float) -> None:
    """Of expected times of which a share (n,) lies after it."""
    if (beyond > _TAIL_SHARE).any():
        warn(
            f"for {int((beyond > _TAIL_SHARE).sum())} of {len(beyond)} rows more than 5 % of the expected time comes "
            f"from beyond the longest follow-up, {follow_up:g}; predict_rmst does not extrapolate.",
            ExtrapolationWarning,
        )


def warn_if_poor(predictor: Predictor, patients: Patients, time: float) -> None:
    """Of draws that are too few for survival probabilities at a time, judged on some of the rows."""
    se = predictor.quality(patients.some(_JUDGED_ROWS), time).se
    poor = float((se > _POOR_SE).mean())
    if poor > _POOR_SHARE:
        warn(
            f"the Monte-Carlo standard error of predicted probabilities is above {_POOR_SE} for {poor:.0%} of the "
            "rows; raise n_importance, or use proposal='guide'. (more: underlie explain pareto-k)",
            ImportanceSamplingWarning,
        )
