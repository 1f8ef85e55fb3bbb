"""Times to an event under right censoring, interval censoring and left truncation."""

from __future__ import annotations

from underlie.distributions.events.base import EventTime
from underlie.distributions.events.choose import EVENT_TIMES, event_time, hazard_cuts
from underlie.distributions.events.conditional import (
    conditional_log_survival,
    conditional_quantile,
    conditional_sample,
)
from underlie.distributions.events.log_location_scale import LogLocationScale
from underlie.distributions.events.mixture import LogLocationScaleMixture
from underlie.distributions.events.piecewise import PiecewiseExponential

__all__ = [
    "EventTime",
    "LogLocationScale",
    "LogLocationScaleMixture",
    "PiecewiseExponential",
    "event_time",
    "EVENT_TIMES",
    "hazard_cuts",
    "conditional_log_survival",
    "conditional_quantile",
    "conditional_sample",
]
