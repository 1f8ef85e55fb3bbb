r"""Kaplan-Meier survival at one time, with what each row contributes to its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class SurvivalAt:
    """Kaplan-Meier P(T > t) of n rows.

    Attributes
    ----------
    value : float
        NaN where nobody was followed to t though somebody survived what was followed.
    influence : (n,) array
        Of mean 0; its mean square / n is Greenwood's variance, exactly.
    """

    value: float
    influence: Array

    @property
    def variance(self) -> float:
        """Greenwood's."""
        return float((self.influence**2).mean() / len(self.influence)) if len(self.influence) else np.nan


def survival_at(outcome: Outcome, time: float) -> SurvivalAt:
    r"""P(T > t) with its influence function

    .. math::
        -S(t) \Big\{ \frac{1\{U_i \le t, \delta_i\}}{S(U_i) G(U_i-)} - \sum_{u \le U_i \wedge t}
        \frac{\Delta\Lambda(u)}{S(u) G(u-)} \Big\}, \qquad S(u) G(u-) = \{1 - \Delta\Lambda(u)\} r_u / n,

    r_u rows at risk at u.

    References
    ----------
    Reid (1981), Annals of Statistics 9 (influence functions for censored data).
    """
    n = len(outcome)
    if n == 0:
        return SurvivalAt(np.nan, np.zeros(0))
    u = np.unique(outcome.time[outcome.event & (outcome.time <= time)])
    ordered = np.sort(outcome.time)
    at_risk = (n - np.searchsorted(ordered, u, side="left")).astype(np.float64)
    place = np.searchsorted(u, outcome.time, side="right")
    early = outcome.event & (outcome.time <= time)
    events = np.bincount(place[early] - 1, minlength=len(u)).astype(np.float64)
    hazard = events / at_risk
    value = float(np.prod(1 - hazard))
    if value == 0:
        return SurvivalAt(0.0, np.zeros(n))
    if ordered[-1] < time:
        return SurvivalAt(np.nan, np.full(n, np.nan))
    below = (1 - hazard) * at_risk / n
    drift = np.append(0.0, np.cumsum(hazard / below))[place]
    jump = np.zeros(n)
    jump[early] = 1 / below[place[early] - 1]
    return SurvivalAt(value, -value * (jump - drift))
