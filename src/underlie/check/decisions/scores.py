r"""What estimates of decisions are made of: m_a(x) for each treatment, Y* of each row, and the weight of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.decisions.arms import NONE, Arms, Codes, read_arms, read_time, require_follow_up
from underlie.check.decisions.measures import MEASURES, Measure
from underlie.check.decisions.nuisance import (
    CurvesByLevel,
    Shares,
    raise_censoring,
    raise_propensity,
    read_censoring,
    read_propensity,
    read_survival,
    read_times,
)
from underlie.check.decisions.pseudo import pseudo_outcomes
from underlie.check.survival.curves import Interpolation
from underlie.check.survival.outcomes import Outcome, read_outcome

Array = NDArray[np.float64]
MeasureName = Literal["survival", "rmst"]
MIN_PROPENSITY: Final = 0.02
MIN_CENSORING: Final = 0.05


@final
@dataclass(frozen=True)
class Scores:
    """Of n rows, from which the value of any policy follows.

    Attributes
    ----------
    outcome : Outcome
    arms : Arms
    measure : Measure
    time : float
    mean : (n, n_arms) array
        m_a(x) = E[h(T) | x, a] of the outcome model.
    pseudo : (n,) array
        Y*, what the row's own outcome says of h(T).
    weight : (n,) array
        1 / p(a | x) of the row's own treatment.
    n_low_propensity, n_low_censoring : int
        Rows whose probabilities were raised to a floor.
    """

    outcome: Outcome
    arms: Arms
    measure: Measure
    time: float
    mean: Array
    pseudo: Array
    weight: Array
    n_low_propensity: int
    n_low_censoring: int

    def of_policy(self, policy: Codes) -> Array:
        r"""Scores (n,) whose mean is the value of a policy, and whose scatter is its noise.

        With w_i = 1{a_i = π_i} / p(a_i | x_i), or 1 where the policy says nothing and the row stays as it is,
        residuals r_i = Y*_i - m_{a_i}(x_i) and means over rows written with bars,

            m_{π_i}(x_i) + mean(w r) / mean(w) + (w_i / mean(w)) (r_i - mean(w r) / mean(w)):

        the influence function of mean(m) + mean(w r) / mean(w), plus that value.
        """
        row = np.arange(len(policy))
        followed = np.where(policy == NONE, self.arms.codes, policy)
        weight = self.matched(policy)
        residual = self.pseudo - self.mean[row, self.arms.codes]
        total = weight.mean()
        average = (weight * residual).mean() / total
        scores: Array = self.mean[row, followed] + average + weight / total * (residual - average)
        return scores

    def matched(self, policy: Codes) -> Array:
        """Weights (n,) of the rows that were treated as the policy says; 0 for the others."""
        weight = np.where(policy == self.arms.codes, self.weight, 0.0)
        weight[policy == NONE] = 1.0
        return weight


def make_scores(
    y: object,
    treatment: object,
    *,
    survival: CurvesByLevel,
    propensity: Shares,
    censoring: CurvesByLevel,
    time: float,
    times: ArrayLike | None,
    measure: str,
    interpolation: Interpolation,
    min_propensity: float,
    min_censoring: float,
) -> Scores:
    """Check everything a user gives, then compute."""
    if measure not in MEASURES:
        raise ValueError(f"measure must be 'survival' or 'rmst', got {measure!r}")
    end = read_time(time)
    outcome = read_outcome(y, "y")
    arms = read_arms(treatment, len(outcome))
    require_follow_up(outcome, arms, end)
    grid = read_times(times, outcome, end)
    curves = read_survival(survival, outcome, arms, grid, times is not None, interpolation)
    lost = read_censoring(censoring, outcome, arms, grid, times is not None, interpolation)
    shares, n_low_propensity = raise_propensity(read_propensity(propensity, arms), arms, min_propensity)
    lost, n_low_censoring = raise_censoring(lost, outcome, arms, end, min_censoring)
    chosen, n = MEASURES[measure], len(outcome)
    pseudo = np.empty(n)
    for arm in range(len(arms.levels)):
        rows = arms.rows(arm)
        part = Outcome(outcome.event[rows], outcome.time[rows])
        pseudo[rows] = pseudo_outcomes(part, curves[arm].rows(rows), lost[arm].rows(rows), chosen, end)
    return Scores(
        outcome=outcome,
        arms=arms,
        measure=chosen,
        time=end,
        mean=np.column_stack([np.broadcast_to(chosen.mean(each, end), (n,)) for each in curves]),
        pseudo=pseudo,
        weight=1 / shares[np.arange(n), arms.codes],
        n_low_propensity=n_low_propensity,
        n_low_censoring=n_low_censoring,
    )
