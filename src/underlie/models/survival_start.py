r"""Where a survival model starts: a regression on its own axis of time, shrunk by evidence.

On the population's axis of time a Weibull regression whose shape is 1 has proportional hazards, as Cox's. The start
adds to it smooth effects, effects that change with time (terms in the shape), and a normal effect on the log hazard
that no covariate shows (a frailty), and lets the evidence decide how much of each there is.

References: Cox (1972), Regression models and life tables; Vaupel, Manton & Stallard (1979) for frailty; Cheng, Wei &
Ying (1995) for the axis; Kass & Raftery (1995), Bayes factors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, cast, final

import numpy as np
import torch
from numpy.typing import NDArray

from underlie.data.surv_encoding import time_scale
from underlie.distributions import EventTime, LogLocationScale, PiecewiseExponential, event_time, hazard_cuts
from underlie.distributions.events.log_location_scale import LAWS, Family, error_law
from underlie.models.evidence import Regression, regress
from underlie.models.time_axis import TimeAxis, clock_axis, encode_outcome, log_slopes, population_axis

Floats = NDArray[np.float64]

#: Standard deviations of the unexplained effect that are compared by their evidence.
HETEROGENEITY: Final = (0.0, 0.5, 1.0, 1.5, 2.0)
#: Terms that have to earn their place: claims about who benefits are acted on.
OPTIONAL: Final = ("smooth modification",)
#: A difference in log evidence that counts, "strong" in the words of Kass & Raftery (1995).
STRONG: Final = 3.0
#: Rows on which they are compared; more would hardly change which is best.
_COMPARE_ROWS = 3_000


@final
@dataclass(frozen=True)
class SurvivalStart:
    """A fitted start.

    Attributes
    ----------
    axis : TimeAxis
        Between the user's times and encoded ones.
    head : EventTime
        Of encoded outcomes; raw = 0 is about their marginal distribution.
    components : ndarray (n_raw, c)
        What the scores of the regression move.
    regression : Regression
        On the terms of the covariates and treatments.
    heterogeneity : float
        Standard deviation of the effect that no term explains.
    evidence : dict of float to float
        Log evidence by heterogeneity, on the scale of the data; of the rows that were compared.
    """

    axis: TimeAxis
    head: EventTime
    components: Floats
    regression: Regression
    heterogeneity: float
    evidence: dict[float, float]


def survival_start(
    distribution: str,
    baseline: str,
    y: NDArray[np.void],
    terms: Floats,
    groups: Sequence[str],
    heterogeneity: float | None,
) -> SurvivalStart:
    """Fit the start.

    Parameters
    ----------
    distribution : str
        One of `underlie.distributions.EVENT_TIMES`.
    baseline : {"nonparametric", "parametric"}
        The population's axis of time, or the clock's.
    y : structured ndarray (n,)
        Outcomes without zero times.
    terms : ndarray (n, p)
        Of covariates and treatments.
    groups : sequence of str, length p
        Which coefficients share a variance: "main", "smooth", "modification" or "free"; and "smooth modification",
        which are there only where the evidence for them is strong.
    heterogeneity : float or None
        Standard deviation of the unexplained effect; None chooses it by evidence.
    """
    tried = (heterogeneity,) if heterogeneity is not None else HETEROGENEITY
    if distribution not in LAWS:  # these have their own ways to be heterogeneous
        tried = (0.0,)
    simple = [None if g in OPTIONAL else g for g in groups]
    rows = np.arange(len(y)) if len(tried) == 1 else _some_rows(y, _COMPARE_ROWS)
    best, evidence = _compared(tried, partial(_fitted, distribution, baseline, y[rows], terms[rows], simple))
    if len(rows) < len(y):
        best = _fitted(distribution, baseline, y, terms, simple, best.heterogeneity, best.regression)
    regression = best.regression
    if simple != list(groups):
        richer = _regress(best.head, y, best.axis, terms, groups, regression)
        if richer.log_evidence > regression.log_evidence + STRONG:
            regression = richer
    return replace(best, regression=regression, evidence=evidence if len(tried) > 1 else {})


def make_head(
    distribution: str, width: int, event_times: Floats, heterogeneity: float, cuts: Sequence[float] | None = None
) -> EventTime:
    """The likelihood of encoded outcomes that a name stands for, in the form that this model moves.

    Piecewise hazards are cut at ``cuts``, or where the encoded event times say.
    """
    if distribution == "piecewise_exponential":
        return PiecewiseExponential(hazard_cuts(event_times) if cuts is None else cuts, "interval", width=width)
    if distribution not in LAWS:
        return event_time(distribution, width=width)
    shape: Literal["free", "network"] = "free" if distribution == "exponential" else "network"
    family = cast(Family, distribution)
    return LogLocationScale(family, shape, "proportional", heterogeneity=heterogeneity, width=width)


def components_of(head: EventTime) -> Floats:
    """What scores move: level and shape; of piecewise hazards, level and trend over the intervals."""
    if isinstance(head, PiecewiseExponential) and head.n_raw > 1:
        trend = np.linspace(-1.0, 1.0, head.n_raw)
        return np.column_stack([np.ones(head.n_raw), trend / trend.std()])
    return np.eye(head.n_raw)


def component_groups(groups: Sequence[str | None], n_components: int) -> list[list[str | None]]:
    """Groups of the level's coefficients, and for the others one group of main and treatment effects.

    Smooth departures and modifications of a treatment's effect act on the level alone.
    """
    others: list[str | None] = ["shape" if g in ("main", "free") else None for g in groups]
    return [list(groups), *[others for _ in range(n_components - 1)]]


def law_quantile(distribution: str, heterogeneity: float) -> Callable[[Floats], Floats]:
    """Cumulative hazards to the log u that have them, under the standard law."""
    law = error_law(distribution if distribution in LAWS else "weibull", heterogeneity)
    return lambda hazard: law.inverse_log_survival(-torch.as_tensor(hazard, dtype=torch.float64)).numpy()


def _compared(
    tried: Sequence[float], fitted: Callable[[float, Regression | None], SurvivalStart]
) -> tuple[SurvivalStart, dict[float, float]]:
    """The start with the highest evidence, and the evidence of all that were tried, each begun at the one before."""
    starts: list[SurvivalStart] = []
    evidence: dict[float, float] = {}
    for s in tried:
        starts.append(fitted(s, starts[-1].regression if starts else None))
        evidence |= starts[-1].evidence
        if evidence[s] < max(evidence.values()) - STRONG:  # it falls from here on
            break
    return max(starts, key=lambda start: evidence[start.heterogeneity]), evidence


def _fitted(
    distribution: str,
    baseline: str,
    y: NDArray[np.void],
    terms: Floats,
    groups: Sequence[str | None],
    s: float,
    near: Regression | None,
) -> SurvivalStart:
    """The start with a given heterogeneity."""
    axis, head = _on_axis(distribution, baseline, y, s)
    regression = _regress(head, y, axis, terms, groups, near)
    evidence = regression.log_evidence + float(log_slopes(y, axis).sum())
    return SurvivalStart(axis, head, components_of(head), regression, s, {s: evidence})


def _on_axis(distribution: str, baseline: str, y: NDArray[np.void], s: float) -> tuple[TimeAxis, EventTime]:
    axis = clock_axis(time_scale(y)) if baseline == "parametric" else population_axis(y, law_quantile(distribution, s))
    outcome = encode_outcome(y, axis)
    head = make_head(distribution, outcome.shape[1], outcome[y["event"], 0], s)
    head.double().start(torch.as_tensor(outcome))
    return axis, head


def _regress(
    head: EventTime,
    y: NDArray[np.void],
    axis: TimeAxis,
    terms: Floats,
    groups: Sequence[str | None],
    near: Regression | None,
) -> Regression:
    components = components_of(head)
    of_components = component_groups(groups, components.shape[1])
    return regress(head, terms, of_components, encode_outcome(y, axis), components=components, near=near)


def _some_rows(y: NDArray[np.void], most: int) -> NDArray[np.intp]:
    if len(y) <= most:
        return np.arange(len(y))
    return np.sort(np.random.default_rng(0).choice(len(y), most, replace=False))
