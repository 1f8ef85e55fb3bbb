r"""Is it worth acting on a predicted risk? Net benefit over the thresholds at which people would act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from underlie.check.decisions.arms import read_level, read_time
from underlie.check.decisions.product_limit import survival_at
from underlie.check.scores import standard_error
from underlie.check.survival.curves import SLACK
from underlie.check.survival.outcomes import Outcome, read_outcome

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ALL: Final = "treat all"
NONE: Final = "treat none"


@final
@dataclass(frozen=True)
class DecisionCurve:
    """What `decision_curve` found; draw it with `underlie.plot.decision_curve`.

    Attributes
    ----------
    names : tuple of str
        The models, then "treat all" and "treat none".
    thresholds : (k,) array
        Risks from which one would act.
    net_benefit, se : (m, k) array
        Of each of the m names, and the standard error. NaN where nobody above the threshold was followed to the time.
    over_all, over_all_se : (m, k) array
        Net benefit less that of treating all, paired by row.
    acted : (m, k) array
        Share of rows above the threshold.
    time, level : float
        The time, and the coverage of intervals.
    n, n_events : int
        Rows, and events until the time.
    """

    names: tuple[str, ...]
    thresholds: Array
    net_benefit: Array = field(repr=False)
    se: Array = field(repr=False)
    over_all: Array = field(repr=False)
    over_all_se: Array = field(repr=False)
    acted: Array = field(repr=False)
    time: float
    level: float
    n: int
    n_events: int

    def bounds(self, name: str) -> tuple[Array, Array]:
        """Pointwise interval of the net benefit of one name, (k,) and (k,)."""
        if name not in self.names:
            raise ValueError(f"{name!r} is not among {list(self.names)}")
        row, z = self.names.index(name), float(norm.ppf((1 + self.level) / 2))
        return self.net_benefit[row] - z * self.se[row], self.net_benefit[row] + z * self.se[row]

    def table(self) -> pd.DataFrame:
        """One row per name and threshold.

        Columns net_benefit, lower, upper; over_all, over_all_lower, over_all_upper: the paired difference to treating
        all; avoided: interventions avoided per row compared with treating all, without missing an event more; acted:
        share of rows that are acted on.
        """
        import pandas as pd

        z, odds = float(norm.ppf((1 + self.level) / 2)), self.thresholds / (1 - self.thresholds)
        avoided = np.divide(self.over_all, odds, out=np.full(self.over_all.shape, np.nan), where=odds > 0)
        columns = {
            "net_benefit": self.net_benefit,
            "lower": self.net_benefit - z * self.se,
            "upper": self.net_benefit + z * self.se,
            "over_all": self.over_all,
            "over_all_lower": self.over_all - z * self.over_all_se,
            "over_all_upper": self.over_all + z * self.over_all_se,
            "avoided": avoided,
            "acted": self.acted,
        }
        index = pd.MultiIndex.from_product([self.names, self.thresholds], names=["model", "threshold"])
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)


def decision_curve(
    risk: object,
    y: object,
    time: float,
    thresholds: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> DecisionCurve:
    r"""Net benefit of acting where the predicted risk of an event by a time reaches a threshold, censoring allowed.

    .. math::
        NB(p) = P(R \ge p) \Big\{ F_p - (1 - F_p) \frac{p}{1 - p} \Big\}, \qquad F_p = P(T \le t | R \ge p),

    F by Kaplan-Meier among the rows at or above the threshold: true positives less false positives, each of these worth
    p / (1 - p) of a true one to someone who would act at risk p. Standard errors come from the influence functions of
    Kaplan-Meier (Greenwood's variance) and of the share; differences to treating all are paired by row.

    Parameters
    ----------
    risk : mapping of str to (n,) array, or (n,) array
        Predicted P(T <= time | x) of rows that the model has not seen; from survival it is
        ``1 - model.predict_survival_function(X, [time])[:, 0]``.
    y : structured array, table or (n, 2) array
        Right-censored outcome, as `underlie.Surv` makes it.
    time : float
        In the unit of y.
    thresholds : (k,) array, optional
        Risks in [0, 1), increasing; by default .01, .02, ... to where fewer than 10 rows of every model remain,
        at most .99.
    level : float
        Coverage of the pointwise intervals.

    Returns
    -------
    DecisionCurve
        With "treat all" and "treat none" beside the models.

    Raises
    ------
    TypeError
        When y is no outcome.
    ValueError
        When a risk is missing or outside [0, 1], a length does not fit, thresholds are outside [0, 1) or do not
        increase, or nobody was followed to `time`.

    Notes
    -----
    A threshold is a preference, chosen before looking at the curve. Net benefit says whether acting on the model is
    worth more than acting on all or none; it presumes that acting helps everyone above the threshold alike. Whether a
    rule for choosing treatment is worth it is the question of `policy_value`.

    References
    ----------
    Vickers and Elkin (2006), Medical Decision Making 26. Vickers, Cronin, Elkin and Gonen (2008), BMC Medical
    Informatics and Decision Making 8 (censored outcomes).

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=1000)
    >>> event_time, censored = rng.exponential(np.exp(-x)), rng.exponential(3, size=1000)
    >>> y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
    >>> result = ul.decision_curve({"truth": 1 - np.exp(-np.exp(x))}, y, time=1.0, thresholds=[0.2, 0.5])
    >>> result.table()["net_benefit"].unstack("threshold").round(2).loc[["truth", "treat all"]]
    threshold   0.2   0.5
    model
    truth      0.52  0.35
    treat all  0.52  0.23
    """
    end, coverage = read_time(time), read_level(level)
    outcome = read_outcome(y, "y")
    risks = _read_risks(risk, len(outcome))
    whole = survival_at(outcome, end)
    if np.isnan(whole.value):
        raise ValueError(
            f"time is {end:g}, but nobody was followed beyond {outcome.time.max():g}: choose an earlier one"
        )
    grid = _read_thresholds(thresholds, risks)
    everyone = np.ones(len(outcome), dtype=bool)
    all_scores = [_scores(everyone, outcome, end, p) for p in grid]
    rows = {name: [_scores(values >= p, outcome, end, p) for p in grid] for name, values in risks.items()}
    rows[ALL] = all_scores
    rows[NONE] = [np.zeros(len(outcome)) for _ in grid]
    acted = [[(values >= p).mean() for p in grid] for values in risks.values()]
    gaps = [[one - base for one, base in zip(line, all_scores, strict=True)] for line in rows.values()]
    return DecisionCurve(
        names=tuple(rows),
        thresholds=grid,
        net_benefit=_over(np.mean, list(rows.values())),
        se=_over(standard_error, list(rows.values())),
        over_all=_over(np.mean, gaps),
        over_all_se=_over(standard_error, gaps),
        acted=np.array([*acted, [1.0] * len(grid), [0.0] * len(grid)]),
        time=end,
        level=coverage,
        n=len(outcome),
        n_events=int((outcome.event & (outcome.time <= end)).sum()),
    )


def _scores(acted: NDArray[np.bool_], outcome: Outcome, time: float, threshold: float) -> Array:
    """Influence function of the net benefit plus its value: (n,); their mean is the net benefit."""
    if not acted.any():
        return np.zeros(len(acted))
    group = survival_at(Outcome(outcome.event[acted], outcome.time[acted]), time)
    odds = threshold / (1 - threshold)
    scores = np.zeros(len(acted))
    scores[acted] = (1 - group.value) - group.value * odds - (1 + odds) * group.influence
    if np.isnan(group.value):
        scores[:] = np.nan
    return scores


def _over(statistic: Any, lines: list[list[Array]]) -> Array:
    return np.array([[float(statistic(scores)) for scores in line] for line in lines])


def _read_risks(risk: Any, n: int) -> dict[str, Array]:
    given = risk if isinstance(risk, Mapping) else {"model": risk}
    if not given:
        raise ValueError("risk is empty; give at least one, {'name': risk}")
    read = {}
    for name, values in given.items():
        if name in (ALL, NONE):
            raise ValueError(f"risk has the name {name!r}, which is always drawn; give the model another name")
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (n,):
            raise ValueError(f"risk of {name!r} must hold one number per row of y, ({n},), it has {array.shape}")
        wrong = np.flatnonzero(~((array >= -SLACK) & (array <= 1 + SLACK)))
        if len(wrong):
            raise ValueError(
                f"risk of {name!r} must hold probabilities of an event by the time; row {wrong[0]} has "
                f"{array[wrong[0]]}. A ranking or linear predictor must first be turned into a probability"
            )
        read[str(name)] = np.clip(array, 0.0, 1.0)
    return read


def _read_thresholds(thresholds: ArrayLike | None, risks: Mapping[str, Array]) -> Array:
    if thresholds is None:
        grid = np.arange(1, 100) / 100
        enough = [p for p in grid if max((values >= p).sum() for values in risks.values()) >= 10]
        return np.array(enough or [grid[0]])
    grid = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if grid.ndim != 1 or not len(grid) or not ((grid >= 0) & (grid < 1)).all() or (np.diff(grid) <= 0).any():
        raise ValueError(f"thresholds must be increasing risks in [0, 1), got {thresholds!r}")
    return grid
