r"""Is a model's advice worth following? Each row is judged by a model that has not seen it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

from joblib import Parallel, delayed

from underlie.check.decisions.arms import (
    NONE,
    Arms,
    find_level,
    read_level,
    read_policy,
    read_time,
    require_follow_up,
)
from underlie.check.decisions.benefit import BenefitCalibration, benefit_calibration
from underlie.check.decisions.folds import Rows, folds, index_of, read_treatments
from underlie.check.decisions.held_out import Advice, HeldOut, Judge
from underlie.check.decisions.nuisance import default_grid
from underlie.check.decisions.policy import AS_OBSERVED, PolicyValue, policy_value
from underlie.check.decisions.scores import MIN_CENSORING, MIN_PROPENSITY, MeasureName
from underlie.check.seeds import generator
from underlie.check.survival.outcomes import read_outcome
from underlie.data.surv import Surv

if TYPE_CHECKING:
    import pandas as pd

CensoringName = Literal["by arm", "marginal", "model"]
N_GRID = 100
RECOMMENDED = "recommended"


@final
@dataclass(frozen=True)
class PolicyEvaluation:
    """What `evaluate_policy` found; `print` it, or take its ``table()``.

    Attributes
    ----------
    values : PolicyValue
        Of "recommended", "treat all: <level>" ("treat none" for the control) and "as observed".
    rows : DataFrame
        For each row of X what models say that have not seen it: fold, treatment (received), recommended, gain,
        supported; survival <level> to `time` and propensity <level> for every level.
    """

    values: PolicyValue
    rows: pd.DataFrame = field(repr=False)
    _given: dict[str, Any] = field(repr=False)
    _arms: Arms = field(repr=False)

    def table(self) -> pd.DataFrame:
        """As `PolicyValue.table`."""
        return self.values.table()

    def __str__(self) -> str:
        return str(self.values)

    def benefit(self, treated: Any, control: Any) -> pd.Series:
        """Predicted difference in survival to the time, treated less control, of models that have not seen the row."""
        one, zero = find_level(treated, self._arms, "treated"), find_level(control, self._arms, "control")
        survival = [self.rows[f"survival {self._arms.levels[arm]}"] for arm in (one, zero)]
        gain: pd.Series = survival[0] - survival[1]
        return gain.rename("benefit")

    def calibration(
        self, treated: Any, control: Any, *, n_groups: int = 4, n_bootstrap: int = 200, random_state: object = None
    ) -> BenefitCalibration:
        """Predicted against observed benefit of these models: `benefit_calibration` with what they were judged by."""
        return benefit_calibration(
            self.benefit(treated, control).to_numpy(),
            treatment=[self._arms.levels[code] for code in self._arms.codes],
            treated=treated,
            control=control,
            n_groups=n_groups,
            n_bootstrap=n_bootstrap,
            level=self.values.level,
            random_state=random_state,
            **self._given,
        )


def evaluate_policy(
    model: Any,
    X: Any,
    y: object,
    *,
    time: float,
    rule: str | Callable[..., Any] = "survival",
    min_gain: float = 0.07,
    control: Any = None,
    randomised: bool = False,
    censoring: CensoringName = "by arm",
    measure: MeasureName | None = None,
    n_folds: int = 5,
    reference: str = AS_OBSERVED,
    min_propensity: float = MIN_PROPENSITY,
    min_censoring: float = MIN_CENSORING,
    level: float = 0.95,
    random_state: object = 0,
    n_jobs: int | None = None,
) -> PolicyEvaluation:
    r"""Value of following a model's recommendations, against treating all alike and what was done.

    The rows are cut into folds. For each, a fresh copy of the model is fitted to the others, and gives the held-out
    rows their recommendation :math:`\pi`, survival curves :math:`S(t | x, a)` and propensities :math:`p(a | x)`; all
    rows together go to `policy_value`. So no row has a part in the rule by which it is treated, and flexible models
    leave intervals valid. What is evaluated is the way of making rules: its value with (k - 1) / k of the rows.

    Parameters
    ----------
    model : SurvivalVAE, not necessarily fitted, or an estimator with the same methods
        With ``treatments``; ``fit(X, y)``, ``recommend(X, time, min_gain, control=, rule=)`` (a table with a column
        "recommended"), ``predict_survival_function(X, times, treatment=level)`` and, unless `randomised`,
        ``propensity(X)`` (a table with a column for every level). It is cloned, never changed.
    X : table or array (n, p)
        Covariates and treatment columns.
    y : structured array, table or (n, 2) array
        Right-censored outcome, as `underlie.Surv` makes it.
    time : float
        At which survival is judged, or up to which mean time is; in the unit of y.
    rule, min_gain, control
        As ``model.recommend`` takes them. Where `control` is given, treating all with it is called "treat none".
    randomised : bool
        Treatment was randomised with equal probabilities for all rows: arm shares replace the model's p(a | x).
    censoring : "by arm", "marginal" or "model"
        Kaplan-Meier of censoring, in each arm or in all; or a copy of the model fitted to censoring as the event, for
        censoring that depends on covariates.
    measure : "survival" or "rmst", optional
        What a rule is judged by; by default "rmst" for ``rule="rmst"``, else "survival".
    n_folds : int
        At least 2.
    reference, min_propensity, min_censoring, level
        As in `policy_value`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the folds.
    n_jobs : int or None
        Folds that are worked on side by side, by joblib, as in `compare_survival_models`; the result is the same.

    Returns
    -------
    PolicyEvaluation

    Raises
    ------
    TypeError
        When the model lacks a method, or y is no outcome.
    ValueError
        When the model has no treatments, X no such column, a treatment is missing or has fewer rows than folds, an
        arm is not followed to `time`, or an argument is not as described.

    Notes
    -----
    Rows for which nothing is recommended (outside the support of the data) stay as they were, in that policy. Without
    randomisation the values are causal only if nothing unmeasured influences both treatment and outcome.

    References
    ----------
    Athey and Wager (2021), Econometrica 89. Chernozhukov et al. (2018), Econometrics Journal 21 (cross-fitting).

    Examples
    --------
    Any estimator with these methods will do; here one that knows two groups of patients:

    >>> import numpy as np, pandas as pd
    >>> import underlie as ul
    >>> class TwoGroups:
    ...     treatments = "arm"
    ...
    ...     def fit(self, X, y):
    ...         rows = pd.DataFrame({"arm": X["arm"], "old": X["old"], "time": y["time"]})
    ...         self.rate = 1 / rows.groupby(["old", "arm"])["time"].mean()
    ...         return self
    ...
    ...     def predict_survival_function(self, X, times, treatment=None):
    ...         rate = np.array([self.rate[old, treatment] for old in X["old"]])
    ...         return np.exp(-rate[:, None] * times)
    ...
    ...     def recommend(self, X, time, min_gain, control=None, rule="survival"):
    ...         new, old = (self.predict_survival_function(X, [time], arm)[:, 0] for arm in ("new", "old"))
    ...         return pd.DataFrame({"recommended": np.where(new - old >= min_gain, "new", "old")})
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"arm": rng.choice(["old", "new"], 2000), "old": rng.integers(2, size=2000)})
    >>> scale = np.where(X["arm"] == "new", np.where(X["old"] == 1, 0.5, 3), 1.0)
    >>> y = ul.Surv(rng.exponential(scale), np.ones(2000))
    >>> result = ul.evaluate_policy(TwoGroups(), X, y, time=1.0, control="old", randomised=True)
    >>> result.table()[["value", "lower", "upper", "followed"]].round(2)
                    value  lower  upper  followed
    policy
    recommended      0.53   0.50   0.56      0.50
    treat all: new   0.42   0.39   0.45      0.52
    treat none       0.37   0.34   0.40      0.48
    as observed      0.40   0.38   0.42      1.00
    """
    if censoring not in ("by arm", "marginal", "model"):
        raise ValueError(f"censoring must be 'by arm', 'marginal' or 'model', got {censoring!r}")
    _require_methods(model, randomised=randomised)
    end, coverage, outcome = read_time(time), read_level(level), read_outcome(y, "y")
    treatments = read_treatments(model, X, len(outcome))
    arms = treatments.arms
    if control is not None:
        find_level(treatments.level(control), arms, "control")
    require_follow_up(outcome, arms, end)
    advice = Advice(time=end, min_gain=min_gain, control=control, rule=rule)
    with_propensity, with_censoring = not randomised, censoring == "model"
    times = default_grid(outcome, end, N_GRID)
    judge = Judge(model, X, outcome, treatments, advice, times, with_propensity, with_censoring)
    held_out = _cross_fitted(judge, folds(arms, outcome, n_folds, generator(random_state)), n_jobs)
    codes = read_policy(held_out.recommended, arms, "what the model recommends")
    given: dict[str, Any] = {
        "y": Surv(outcome.time, outcome.event),
        "time": end,
        "times": held_out.times,
        "survival": held_out.survival,
        "propensity": "shares" if held_out.propensity is None else held_out.propensity,
        "censoring": censoring if held_out.censoring is None else held_out.censoring,
        "min_propensity": min_propensity,
        "min_censoring": min_censoring,
    }
    values = policy_value(
        {RECOMMENDED: [None if code == NONE else arms.levels[code] for code in codes]},
        treatment=[arms.levels[code] for code in arms.codes],
        measure=measure or ("rmst" if rule == "rmst" else "survival"),
        control=None if control is None else treatments.level(control),
        reference=reference,
        level=coverage,
        **given,
    )
    return PolicyEvaluation(values, held_out.table(arms, index_of(X, len(outcome))), given, arms)


def _cross_fitted(judge: Judge, splits: Iterable[tuple[Rows, Rows]], n_jobs: int | None) -> HeldOut:
    """What models say of all rows that have not seen them."""
    cut = list(splits)
    parts = Parallel(n_jobs=n_jobs)(delayed(judge)(k, train, test) for k, (train, test) in enumerate(cut))
    for category, text in dict.fromkeys(told for _, each in parts for told in each):
        warnings.warn(text, category, stacklevel=3)  # once, by the process that the user sees
    return HeldOut.joined([part for part, _ in parts], [test for _, test in cut])


def _require_methods(model: Any, randomised: bool) -> None:
    wanted = ["fit", "recommend", "predict_survival_function", *([] if randomised else ["propensity"])]
    for name in wanted:
        if not callable(getattr(model, name, None)):
            remedy = "; with randomised=True it needs none" if name == "propensity" else ""
            raise TypeError(f"model ({type(model).__name__}) has no method {name}{remedy}")
