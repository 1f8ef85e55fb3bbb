"""Times to an event under right censoring, interval censoring and left truncation."""

from __future__ import annotations

from underlie.distributions.events.base import EventTime
from underlie.distributions.events.log_location_scale import LogLocationScale
from underlie.distributions.events.mixture import LogLocationScaleMixture
from underlie.distributions.events.piecewise import PiecewiseExponential

__all__ = ["EventTime", "LogLocationScale", "LogLocationScaleMixture", "PiecewiseExponential"]
