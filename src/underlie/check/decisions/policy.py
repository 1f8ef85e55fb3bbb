r"""What a treatment rule is worth: its value, beside those of treating all alike and of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.decisions.arms import NONE, Arms, Codes, find_level, read_level, read_policy
from underlie.check.decisions.nuisance import CurvesByLevel, Shares
from underlie.check.decisions.scores import MIN_CENSORING, MIN_PROPENSITY, MeasureName, Scores, make_scores
from underlie.check.survival.curves import Interpolation
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
AS_OBSERVED: Final = "as observed"
TREAT_NONE: Final = "treat none"
FEW_ROWS: Final = 20


@final
@dataclass(frozen=True)
class PolicyValue:
    """What `policy_value` found; `print` it, or take its ``table()``.

    Attributes
    ----------
    names : tuple of str
        The policies: the user's, then treating all alike with each level, then "as observed".
    value : (k,) array
        Estimated E[h(T)] if all rows were treated so: probability of survival to `time`, or mean time in it.
    scores : (n, k) array
        Of each row; their means are the values, and their variances / n the squared standard errors.
    shares : DataFrame
        For each policy the share of rows that it gives each treatment, and "none": no recommendation.
    followed : (k,) array
        Share of rows whose own treatment is the policy's, which the estimate rests on.
    effective : (k,) array
        Effective number of these rows, (Σ w)^2 / Σ w^2.
    reference : str
        The policy that others are compared with.
    measure : str
        "survival at t" or "mean time up to t".
    is_probability : bool
        Whether values are probabilities, not times.
    largest : float
        Upper end of what a value can be, at which intervals are cut; the lower is 0.
    time, level : float
        The time, and the coverage of intervals.
    n, n_events : int
        Rows, and events among them.
    n_low_propensity, n_low_censoring : int
        Rows whose probabilities had to be raised to the floor.
    """

    names: tuple[str, ...]
    value: Array
    scores: Array = field(repr=False)
    shares: pd.DataFrame = field(repr=False)
    followed: Array
    effective: Array
    reference: str
    measure: str
    is_probability: bool
    largest: float
    time: float
    level: float
    n: int
    n_events: int
    n_low_propensity: int
    n_low_censoring: int

    @property
    def se(self) -> Array:
        """Standard errors of the values, (k,)."""
        return np.asarray(self.scores.std(axis=0, ddof=1) / np.sqrt(self.n))

    def difference(self, policy: str, reference: str) -> tuple[float, float, float, float]:
        """Value of a policy less that of another: estimate, lower, upper, standard error, paired by row.

        Raises
        ------
        ValueError
            When either is not among the policies.
        """
        gap = self.scores[:, self._place(policy)] - self.scores[:, self._place(reference)]
        estimate, se = float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(self.n))
        return estimate, estimate - _z(self.level) * se, estimate + _z(self.level) * se, se

    def table(self, reference: str | None = None) -> pd.DataFrame:
        """One row per policy: value, its interval, its paired difference to the reference, and what it rests on.

        Columns value, lower, upper, se; difference, difference_lower, difference_upper, p_value (two-sided, of no
        difference; NaN where two policies are the same); followed; effective_n.
        """
        import pandas as pd
        from scipy.stats import norm

        against = self.reference if reference is None else reference
        z, rows = _z(self.level), []
        for j, name in enumerate(self.names):
            estimate, lower, upper, se = self.difference(name, against)
            p_value = float(2 * norm.sf(abs(estimate) / se)) if se > 0 else np.nan
            value, own = float(self.value[j]), float(self.se[j])
            bounds = np.clip([value - z * own, value + z * own], 0, self.largest)
            rows.append((value, *bounds, own, estimate, lower, upper, p_value, self.followed[j], self.effective[j]))
        columns = ["value", "lower", "upper", "se", "difference", "difference_lower", "difference_upper", "p_value"]
        table = pd.DataFrame(rows, columns=[*columns, "followed", "effective_n"])
        table.index = pd.Index(self.names, name="policy")
        table.loc[against, ["difference", "difference_lower", "difference_upper", "p_value"]] = np.nan
        return table

    def __str__(self) -> str:
        table, percent = self.table(), f"{100 * self.level:g} %"
        width = max(len(name) for name in self.names)
        lines = [
            f"{self.measure}: {self.n} rows, {self.n_events} events, {percent} intervals",
            f"{'policy':<{width}}  value                       less {self.reference!r}",
        ]
        for name, row in table.iterrows():
            line = f"{name:<{width}}  {row['value']:.4f} [{row['lower']:.4f}, {row['upper']:.4f}]"
            if name != self.reference:
                gap = f"{row['difference']:+.4f} [{row['difference_lower']:+.4f}, {row['difference_upper']:+.4f}]"
                line += f"    {gap}"
            lines.append(line)
        for count, what in ((self.n_low_propensity, "propensity"), (self.n_low_censoring, "censoring probability")):
            if count:
                lines.append(f"{count} row(s) had a {what} below the floor")
        return "\n".join(lines)

    def _place(self, policy: str) -> int:
        if policy not in self.names:
            raise ValueError(f"{policy!r} is not among the policies {list(self.names)}")
        return self.names.index(policy)


def policy_value(
    policy: object,
    y: object,
    treatment: object,
    *,
    propensity: Shares,
    time: float,
    survival: CurvesByLevel = "by arm",
    censoring: CurvesByLevel = "by arm",
    times: ArrayLike | None = None,
    measure: MeasureName = "survival",
    control: object = None,
    reference: str = AS_OBSERVED,
    interpolation: Interpolation = "linear",
    min_propensity: float = MIN_PROPENSITY,
    min_censoring: float = MIN_CENSORING,
    level: float = 0.95,
) -> PolicyValue:
    r"""Value of treatment rules by a doubly robust, censoring-adjusted estimate, beside treating all alike.

    The value of a rule :math:`\pi` is :math:`V(\pi) = E[h(T^{\pi(x)})]` with :math:`h(T) = 1\{T > t^*\}`, or
    :math:`h(T) = \min(T, t^*)` for the restricted mean time. With :math:`m_a(x) = E[h(T) | x, a]` from `survival`,

    .. math::
        \hat V = \frac1n \sum_i m_{\pi_i}(x_i) + \sum_i w_i \{Y^*_i - m_{a_i}(x_i)\} \Big/ \sum_i w_i, \qquad
        w_i = \frac{1\{a_i = \pi_i\}}{p(a_i | x_i)}

    .. math::
        Y^* = \frac{1\{C \ge v\} h(T)}{G(v-)} + \int_0^{t^*} \frac{E[h(T) | T > u, x, a]}{G(u)} dM_C(u),
        \qquad v = \min(T, t^*)

    where G(u) = P(C > u | x, a) and M_C is the martingale of censoring. Since
    :math:`E[Y^* - m_a | x, a] = 0` if G or S is right, the estimate is consistent if S is right, or if both G and p are
    (double robustness); intervals are valid where all of them are estimated well (the product of the errors of S and
    of (G, p) small against :math:`n^{-1/2}`), or where G and p are known. Its influence function is

    .. math::
        \phi_i = m_{\pi_i}(x_i) - V + \bar r + (w_i / \bar w) (Y^*_i - m_{a_i}(x_i) - \bar r), \qquad
        \bar r = \sum_i w_i \{Y^*_i - m_{a_i}(x_i)\} / \sum_i w_i,

    which is the efficient one if all are right. :math:`\widehat{Var}(\hat V) = Var(\phi) / n`, and differences between
    policies use :math:`\phi_i - \phi'_i`, row by row. If S is wrong and G is estimated, intervals are rather too wide.
    With one curve per arm for S and G and arm shares for p, "treat all" is the arm's Kaplan-Meier estimate.

    Parameters
    ----------
    policy : mapping of str to (n,) array-like, or one (n,) array-like
        The level that each rule recommends for each row. A row without a recommendation (None or NaN) is treated as
        it was. Rules, and the S, G and p they are judged by, must not have been learned from the same rows: use
        cross-fitting (`evaluate_policy`).
    y : structured array, table or (n, 2) array
        Right-censored outcome, as `underlie.Surv` makes it.
    treatment : (n,) array-like
        The level that each row received; two or more levels, in sorted order below.
    propensity : (n, n_arms) array, (n,) array, mapping, DataFrame or "shares"
        p(a | x); for two levels (n,) is that of the second; mappings and tables are by level. ``"shares"``: the share
        of each arm, for a randomised trial with the same probabilities for all.
    time : float
        t*, in the unit of y.
    survival : "by arm", (n, n_arms, n_times) array, mapping of level to (n, n_times) array, or callable
        S(t | x, a) at `times`. A callable gets (level, times) and returns (n, n_times), for example
        ``lambda a, t: model.predict_survival_function(X, t, treatment=a)``. ``"by arm"``: Kaplan-Meier curves of
        arms, without covariates.
    censoring : "by arm", "marginal", (n, n_times) array, or as `survival`
        G(t | x, a). An (n, n_times) array holds it given each row's own treatment. Words: Kaplan-Meier of censoring.
    times : (n_times,) array, optional
        Increasing times that reach `time`, at which arrays hold the curves; callables are asked at about 200 times by
        default.
    measure : "survival" or "rmst"
        What h is.
    control : level, optional
        The level that means no treatment: treating all with it is called "treat none".
    reference : str
        Policy that the others are compared with: a name of `policy`, "as observed", "treat none" or
        "treat all: <level>".
    interpolation : "linear" or "step"
        How curves are read between `times`: "step" for Kaplan-Meier, Cox and forests at all their jumps.
    min_propensity, min_censoring : float
        Least p and G that are divided by. Raising them is warned of and counted.
    level : float
        Coverage of the intervals.

    Returns
    -------
    PolicyValue
        Policies of the user, "treat all: <level>" for every level, and "as observed".

    Raises
    ------
    TypeError
        When y is no outcome.
    ValueError
        When lengths or shapes do not fit, a treatment is missing, a recommended level was never given, no
        probabilities are given where they should be, an arm is not followed to `time`, or the reference is unknown.

    Warns
    -----
    DataWarning
        When probabilities had to be raised to the floor, or fewer than 20 rows were treated as a policy says.

    Notes
    -----
    The value is causal only if nothing unmeasured influences both treatment and outcome, every treatment was possible
    for every row, and censoring is independent of the event given x and a. Randomisation gives the first two.

    References
    ----------
    Robins and Rotnitzky (1992), in AIDS Epidemiology: Methodological Issues (censoring). Bai, Tsiatis and O'Brien
    (2013), Biometrics 69 (treatment-specific survival). Zhang, Tsiatis, Laber and Davidian (2012), Biometrics 68
    (regimes). Athey and Wager (2021), Econometrica 89 (policies with cross-fitted nuisances).

    Examples
    --------
    A trial in which the treatment helps where x > 0 and harms elsewhere:

    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x, treated = rng.normal(size=2000), rng.integers(2, size=2000)
    >>> event_time = rng.exponential(np.exp(treated * np.sign(x)))
    >>> censored = rng.exponential(3, size=2000)
    >>> y = ul.Surv(np.minimum(event_time, censored), event_time <= censored)
    >>> rule = {"treat if x > 0": (x > 0).astype(int)}
    >>> result = ul.policy_value(rule, y, treated, propensity="shares", time=1.0, control=0)
    >>> result.table()[["value", "lower", "upper"]].round(2)
                    value  lower  upper
    policy
    treat if x > 0   0.53   0.50   0.57
    treat none       0.40   0.37   0.43
    treat all: 1     0.36   0.33   0.40
    as observed      0.38   0.36   0.41
    """
    chosen = read_level(level)
    scores = make_scores(
        y,
        treatment,
        survival=survival,
        propensity=propensity,
        censoring=censoring,
        time=time,
        times=times,
        measure=measure,
        interpolation=interpolation,
        min_propensity=min_propensity,
        min_censoring=min_censoring,
    )
    policies = _all_policies(policy, scores.arms, control)
    if reference not in policies:
        raise ValueError(f"reference is {reference!r}, which is not among the policies {list(policies)}")
    return _evaluate(policies, scores, reference, chosen)


def _all_policies(policy: Any, arms: Arms, control: object) -> dict[str, Codes]:
    """The user's policies, treating all alike, and as observed."""
    none = NONE if control is None else find_level(control, arms, "control")
    fixed = {
        TREAT_NONE if arm == none else f"treat all: {_text(level)}": np.full(len(arms.codes), arm)
        for arm, level in enumerate(arms.levels)
    }
    fixed[AS_OBSERVED] = np.full(len(arms.codes), NONE)
    given = policy if isinstance(policy, Mapping) else {"policy": policy}
    taken = [name for name in given if name in fixed]
    if taken:
        raise ValueError(f"policy has the name {taken[0]!r}, which is always evaluated; give yours another name")
    read = {str(name): read_policy(rule, arms, f"policy {name!r}") for name, rule in given.items()}
    return {**read, **fixed}


def _evaluate(policies: dict[str, Codes], scores: Scores, reference: str, level: float) -> PolicyValue:
    weights = np.column_stack([scores.matched(codes) for codes in policies.values()])
    for name, weight in zip(policies, weights.T, strict=True):
        _require_followers(name, weight)
    per_row = np.column_stack([scores.of_policy(codes) for codes in policies.values()])
    return PolicyValue(
        names=tuple(policies),
        value=per_row.mean(axis=0),
        scores=per_row,
        shares=_shares(policies, scores.arms),
        followed=(weights > 0).mean(axis=0),
        effective=weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0),
        reference=reference,
        measure=scores.measure.label(scores.time),
        is_probability=scores.measure.is_probability,
        largest=scores.measure.largest(scores.time),
        time=scores.time,
        level=level,
        n=len(scores.outcome),
        n_events=int(scores.outcome.event.sum()),
        n_low_propensity=scores.n_low_propensity,
        n_low_censoring=scores.n_low_censoring,
    )


def _require_followers(name: str, weight: Array) -> None:
    count = int((weight > 0).sum())
    if count == 0:
        raise ValueError(f"policy {name!r}: no row was treated as it recommends, so that its value cannot be estimated")
    if count < FEW_ROWS:
        warn(
            f"policy {name!r}: only {count} row(s) were treated as it recommends; its interval rests on too few rows "
            "to be trusted",
            DataWarning,
        )


def _text(level: Any) -> str:
    """1.0 as 1, as a column of 0 and 1 becomes when a value of it is missing."""
    return f"{level:g}" if isinstance(level, float) else str(level)


def _shares(policies: dict[str, Codes], arms: Arms) -> pd.DataFrame:
    import pandas as pd

    rows = [
        [(codes == NONE).mean() if arm == NONE else (codes == arm).mean() for arm in (*range(len(arms.levels)), NONE)]
        for codes in policies.values()
    ]
    columns = [*(_text(level) for level in arms.levels), "none"]
    return pd.DataFrame(rows, index=pd.Index(list(policies), name="policy"), columns=columns)


def _z(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))
