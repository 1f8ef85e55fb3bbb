r"""What a decision is judged by: h(T) = 1{T > t*}, survival at a time, or h(T) = min(T, t*), restricted mean time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.decisions.curves import RowCurves

Array = NDArray[np.float64]


class Measure(ABC):
    """A function h of the event time that is known once the row was followed to min(T, t*)."""

    is_probability: ClassVar[bool]

    @abstractmethod
    def label(self, time: float) -> str:
        """For tables and axes."""

    @abstractmethod
    def largest(self, time: float) -> float:
        """Upper end of h; the lower end is 0."""

    @abstractmethod
    def of_times(self, t: Array, event: NDArray[np.bool_], time: float) -> Array:
        """h of rows (n,) that were followed to the event, or to t* and beyond."""

    @abstractmethod
    def mean(self, curves: RowCurves, time: float) -> Array:
        """E[h(T) | x]: (n,) or (1,)."""

    @abstractmethod
    def remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        """E[h(T) | T > t, x] at (k,) times before t*: (k, n) or (k, 1). Where S(t | x) = 0 it is h of an event at t."""

    @abstractmethod
    def own_remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        """The same for row i at t_i: (n,)."""


@final
class SurvivalAtTime(Measure):
    """h(T) = 1{T > t*}."""

    is_probability: ClassVar[bool] = True

    def label(self, time: float) -> str:
        return f"survival at {time:g}"

    def largest(self, time: float) -> float:
        return 1.0

    def of_times(self, t: Array, event: NDArray[np.bool_], time: float) -> Array:
        return (~(event & (t <= time))).astype(np.float64)

    def mean(self, curves: RowCurves, time: float) -> Array:
        return curves.at(np.array([time]))[0]

    def remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        return _ratio(np.broadcast_to(self.mean(curves, time), (len(t), curves.values.shape[1])), curves.at(t))

    def own_remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        return _ratio(np.broadcast_to(self.mean(curves, time), t.shape), curves.own(t))


@final
class RestrictedMeanTime(Measure):
    """h(T) = min(T, t*)."""

    is_probability: ClassVar[bool] = False

    def label(self, time: float) -> str:
        return f"mean time up to {time:g}"

    def largest(self, time: float) -> float:
        return time

    def of_times(self, t: Array, event: NDArray[np.bool_], time: float) -> Array:
        return np.minimum(t, time)

    def mean(self, curves: RowCurves, time: float) -> Array:
        return curves.area(np.array([time]))[0]

    def remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        return t[:, None] + _ratio(self.mean(curves, time) - curves.area(t), curves.at(t))

    def own_remaining(self, curves: RowCurves, t: Array, time: float) -> Array:
        early = np.minimum(t, time)
        return early + _ratio(self.mean(curves, time) - curves.own_area(early), curves.own(early))


MEASURES: Final[dict[str, Measure]] = {"survival": SurvivalAtTime(), "rmst": RestrictedMeanTime()}


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
