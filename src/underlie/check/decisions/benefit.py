r"""Is predicted benefit real? Predicted against observed differences between arms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from underlie.check.decisions.arms import Arms, find_level, read_arms, read_level
from underlie.check.decisions.nuisance import CurvesByLevel, Shares
from underlie.check.decisions.product_limit import survival_at
from underlie.check.decisions.ranking import ranked_gains
from underlie.check.decisions.scores import MIN_CENSORING, MIN_PROPENSITY, Scores, make_scores
from underlie.check.scores import standard_error
from underlie.check.seeds import generator
from underlie.check.survival.curves import SLACK, Interpolation
from underlie.check.survival.intervals import Estimate, estimate
from underlie.check.survival.outcomes import Outcome, read_outcome

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Coefficient:
    """An estimate with its standard error and interval."""

    value: float
    lower: float
    upper: float
    se: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.lower:.4f}, {self.upper:.4f}]"


@final
@dataclass(frozen=True)
class BenefitCalibration:
    """What `benefit_calibration` found; draw it with `underlie.plot.benefit_calibration`.

    Attributes
    ----------
    groups : DataFrame
        One row per group, from least to most predicted benefit. Columns: predicted (mean predicted benefit); observed,
        lower, upper (Kaplan-Meier difference between arms and its interval by Greenwood's variances); adjusted,
        adjusted_lower, adjusted_upper (the same by doubly robust scores: read this one where treatment was not
        randomised); n, n_treated, n_control.
    overall : DataFrame
        The same in one row, for all rows together.
    slope : Coefficient
        Regression of observed on predicted benefit: 1 if calibrated, 0 if the predicted differences between rows are
        noise, between where they are too large.
    in_the_large : Coefficient
        Observed less mean predicted benefit of all rows: 0 if calibrated.
    ranking : Estimate
        How much more than in all the effect is among the rows ranked first (area under the targeting curve), with a
        bootstrap interval: above 0 if the model knows who benefits most.
    benefit : (n,) array
        As given.
    treated, control : level
        The treatments compared.
    time, level : float
        The time, and the coverage of intervals.
    """

    groups: pd.DataFrame = field(repr=False)
    overall: pd.DataFrame = field(repr=False)
    slope: Coefficient
    in_the_large: Coefficient
    ranking: Estimate
    benefit: Array = field(repr=False)
    treated: Any
    control: Any
    time: float
    level: float

    def table(self) -> pd.DataFrame:
        """Groups, and all rows together at the end."""
        import pandas as pd

        return pd.concat([self.groups, self.overall])

    def __str__(self) -> str:
        return "\n".join(
            [
                f"survival at {self.time:g}, {self.treated!r} less {self.control!r}, {100 * self.level:g} % intervals",
                self.table().round(4).to_string(),
                f"slope (1 is calibrated)        {self.slope}",
                f"observed - predicted (0 is)    {self.in_the_large}",
                f"gain of those ranked first     {self.ranking}",
            ]
        )


def benefit_calibration(
    benefit: ArrayLike,
    y: object,
    treatment: object,
    time: float,
    n_groups: int = 4,
    *,
    treated: object = None,
    control: object = None,
    propensity: Shares = "shares",
    survival: CurvesByLevel = "by arm",
    censoring: CurvesByLevel = "by arm",
    times: ArrayLike | None = None,
    interpolation: Interpolation = "linear",
    min_propensity: float = MIN_PROPENSITY,
    min_censoring: float = MIN_CENSORING,
    n_bootstrap: int = 200,
    level: float = 0.95,
    random_state: object = None,
) -> BenefitCalibration:
    r"""Predicted benefit of a treatment against what was observed, in groups and by a slope.

    Within quantile groups of the predicted benefit :math:`b(x) = S(t | x, a_1) - S(t | x, a_0)` the observed one is the
    difference :math:`\hat S_1(t) - \hat S_0(t)` of Kaplan-Meier estimates of the arms, with variance the sum of
    Greenwood's. For the slope, no individual's benefit is seen, but the doubly robust scores

    .. math::
        \Gamma = m_1(x) - m_0(x) + \Big\{ \frac{1\{a = a_1\}}{p(a_1 | x)} - \frac{1\{a = a_0\}}{p(a_0 | x)} \Big\}
        \{Y^* - m_a(x)\}

    of `policy_value` have the true benefit as their mean given x; they are regressed on b(x), with the variance that
    allows for unequal scatter.

    Parameters
    ----------
    benefit : (n,) array
        Predicted difference in the probability of survival to `time`, treated less control, of rows that the model has
        not seen: the column ``effect`` of ``model.treatment_effect(X, time, treated, control)``.
    y : structured array, table or (n, 2) array
        Right-censored outcome, as `underlie.Surv` makes it.
    treatment : (n,) array-like
        The level that each row received.
    time : float
        In the unit of y.
    n_groups : int
        Groups of about equal size; equal predictions stay together, so that there may be fewer.
    treated, control : level, optional
        The levels compared. With two levels the control is the first in sorted order by default; with more, both must
        be named; rows with other levels then count through the outcome model alone.
    propensity, survival, censoring, times, interpolation, min_propensity, min_censoring
        As in `policy_value`, for the scores. With ``propensity="shares"`` the treatment must have been randomised.
        A survival model makes intervals narrower. Arrays have a row for each of the n rows.
    n_bootstrap : int
        Resamples of rows behind the interval of the ranking.
    level : float
        Coverage of intervals.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the resamples.

    Returns
    -------
    BenefitCalibration

    Raises
    ------
    TypeError
        When y is no outcome.
    ValueError
        When lengths do not fit, a benefit is missing or outside [-1, 1], levels are unknown or not two, an arm is not
        followed to `time`, or as `policy_value`.

    Notes
    -----
    Concordance between pairs matched on predicted benefit (van Klaveren et al., 2018, "C-for-benefit") is not given:
    pairs with a censored member cannot be ordered, and its value depends on how pairs are matched (Hoogland et al.,
    2024). `ranking` asks the same question and allows for censoring.

    References
    ----------
    Kent et al. (2020), Annals of Internal Medicine 172 (PATH statement). Chernozhukov, Demirer, Duflo and
    Fernandez-Val (2018), NBER 24678 (best linear predictor). Yadlowsky et al. (2025), Journal of the American
    Statistical Association 120 (ranking). Hoogland et al. (2024), Statistics in Medicine 43.

    Examples
    --------
    A benefit that grows with x, predicted by the truth:

    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x, treated = rng.uniform(size=4000), rng.integers(2, size=4000)
    >>> event_time, censored = rng.exponential(np.exp(2 * x * treated)), rng.exponential(4, size=4000)
    >>> y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
    >>> benefit = np.exp(-np.exp(-2 * x)) - np.exp(-1)
    >>> result = ul.benefit_calibration(benefit, y, treated, time=1.0, random_state=0)
    >>> result.groups[["predicted", "observed", "lower", "upper"]].round(2)
           predicted  observed  lower  upper
    group
    1           0.09      0.09   0.03   0.16
    2           0.25      0.24   0.18   0.31
    3           0.38      0.37   0.30   0.43
    4           0.47      0.43   0.37   0.48
    >>> print(result.slope)
    0.9500 [0.7354, 1.1646]
    """
    chosen = read_level(level)
    outcome = read_outcome(y, "y")
    arms = read_arms(treatment, len(outcome))
    pair = _the_two(arms, treated, control)
    predicted = _read_benefit(benefit, len(outcome))
    if isinstance(n_groups, bool) or not isinstance(n_groups, int | np.integer) or n_groups < 1:
        raise ValueError(f"n_groups must be a whole number of at least 1, got {n_groups!r}")
    scores = make_scores(
        y,
        treatment,
        survival=survival,
        propensity=propensity,
        censoring=censoring,
        time=time,
        times=times,
        measure="survival",
        interpolation=interpolation,
        min_propensity=min_propensity,
        min_censoring=min_censoring,
    )
    return _calibrate(predicted, scores, pair, int(n_groups), n_bootstrap, chosen, random_state)


def _calibrate(
    predicted: Array,
    scores: Scores,
    pair: tuple[int, int],
    n_groups: int,
    n_bootstrap: int,
    level: float,
    random_state: object,
) -> BenefitCalibration:
    import pandas as pd

    one, zero = pair
    effect = effect_scores(scores, one, zero)
    members = _groups(predicted, n_groups)
    groups = [_line(members == label, predicted, effect, scores, pair, level) for label in np.unique(members)]
    overall = _line(np.ones(len(predicted), dtype=bool), predicted, effect, scores, pair, level)
    gap = effect - predicted
    gains = ranked_gains(predicted, effect, n_bootstrap, generator(random_state))
    return BenefitCalibration(
        groups=pd.DataFrame(groups, index=pd.RangeIndex(1, len(groups) + 1, name="group")),
        overall=pd.DataFrame([overall], index=pd.Index(["all"], name="group")),
        slope=_slope(predicted, effect, level),
        in_the_large=_coefficient(float(gap.mean()), standard_error(gap), level),
        ranking=estimate(gains, level),
        benefit=predicted,
        treated=scores.arms.levels[one],
        control=scores.arms.levels[zero],
        time=scores.time,
        level=level,
    )


def effect_scores(scores: Scores, one: int, zero: int) -> Array:
    """Γ (n,): doubly robust scores whose mean given x is the effect of one treatment less the other."""
    n = len(scores.outcome)
    return scores.of_policy(np.full(n, one)) - scores.of_policy(np.full(n, zero))


def _groups(predicted: Array, n_groups: int) -> NDArray[np.intp]:
    cuts = np.unique(np.quantile(predicted, np.arange(1, n_groups) / n_groups))
    return np.searchsorted(cuts, predicted, side="right")


def _line(
    rows: NDArray[np.bool_], predicted: Array, effect: Array, scores: Scores, pair: tuple[int, int], level: float
) -> dict[str, float]:
    """Predicted and observed benefit of some rows."""
    arms = [np.flatnonzero(rows & (scores.arms.codes == arm)) for arm in pair]
    ends = [survival_at(Outcome(scores.outcome.event[a], scores.outcome.time[a]), scores.time) for a in arms]
    se = float(np.sqrt(ends[0].variance + ends[1].variance))
    observed = _coefficient(ends[0].value - ends[1].value, se, level)
    adjusted = _coefficient(float(effect[rows].mean()), standard_error(effect[rows]), level)
    return {
        "predicted": float(predicted[rows].mean()),
        "observed": observed.value,
        "lower": observed.lower,
        "upper": observed.upper,
        "adjusted": adjusted.value,
        "adjusted_lower": adjusted.lower,
        "adjusted_upper": adjusted.upper,
        "n": int(rows.sum()),
        "n_treated": len(arms[0]),
        "n_control": len(arms[1]),
    }


def _slope(predicted: Array, effect: Array, level: float) -> Coefficient:
    """Least squares with MacKinnon and White's (1985) variance, HC3; NaN where all predictions are equal."""
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    if spread <= len(predicted) * np.finfo(float).eps ** 2:
        return _coefficient(np.nan, np.nan, level)
    slope = float(centred @ effect) / spread
    residual = effect - effect.mean() - slope * centred
    leverage = 1 / len(predicted) + centred**2 / spread
    scaled = residual / np.maximum(1 - leverage, np.finfo(float).eps)
    return _coefficient(slope, float(np.sqrt((centred**2 * scaled**2).sum())) / spread, level)


def _coefficient(value: float, se: float, level: float) -> Coefficient:
    half = float(norm.ppf((1 + level) / 2)) * se
    return Coefficient(value, value - half, value + half, se)


def _the_two(arms: Arms, treated: object, control: object) -> tuple[int, int]:
    """Codes of the treatment and the control."""
    if len(arms.levels) > 2 and (treated is None or control is None):
        raise ValueError(f"treatment has the levels {arms.names}: name the two to compare, treated= and control=")
    if treated is None and control is None:
        return 1, 0
    if treated is None or control is None:
        named = find_level(control if treated is None else treated, arms, "control" if treated is None else "treated")
        return (1 - named, named) if treated is None else (named, 1 - named)
    one, zero = find_level(treated, arms, "treated"), find_level(control, arms, "control")
    if one == zero:
        raise ValueError(f"treated and control are both {treated!r}: name two treatments")
    return one, zero


def _read_benefit(benefit: ArrayLike, n: int) -> Array:
    values = np.asarray(benefit, dtype=np.float64)
    if values.shape != (n,):
        raise ValueError(f"benefit must hold one number per row of y, ({n},), it has {values.shape}")
    wrong = np.flatnonzero(~(np.abs(values) <= 1 + SLACK))
    if len(wrong):
        raise ValueError(
            f"benefit must hold differences of probabilities of survival, in [-1, 1]; row {wrong[0]} has "
            f"{values[wrong[0]]}"
        )
    return values
