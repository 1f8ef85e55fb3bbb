"""What every survival model is held against: Kaplan-Meier, Cox and Weibull regression, on tables as they come.

The two regressions are lifelines'. They follow the conventions of this package's estimators, so that a baseline is
one more model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from underlie.check.survival.design_matrix import DesignMatrix
from underlie.check.survival.kaplan_meier import StepCurve, survival_curve
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
#: (ridge penalty, first step of Newton's method): the maximum likelihood is tried for with ever more careful steps
#: before a penalty, which lifelines multiplies by the number of rows, is accepted
COX_ATTEMPTS = ((0.0, 0.95), (0.0, 0.5), (0.0, 0.1), (1e-4, 0.5), (1e-2, 0.5), (0.1, 0.5))
WEIBULL_PENALTIES = (0.0, 1e-4, 1e-2, 0.1)
WILD = 10.0  # no standardised column multiplies a hazard by e^10


@final
class KaplanMeier(BaseEstimator):
    """The survival curve of the training rows for everybody, whatever the covariates.

    References
    ----------
    Kaplan and Meier (1958), Journal of the American Statistical Association 53.

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_rossi()
    >>> KaplanMeier().fit(X, X[["time", "event"]]).predict_survival_function(X[:1], [26, 52]).round(3)
    array([[0.875, 0.736]])
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Estimate the curve from outcomes y (n,) in any form that `Surv` has; X is not looked at."""
        self.curve_ = survival_curve(read_outcome(y, "y"))
        return self

    def predict_survival_function(self, X: Any, times: ArrayLike) -> Array:
        """S(t) at the times for each row of X: (n, n_times). After the last training time its last value."""
        return np.tile(self.curve_.at(np.asarray(times, dtype=np.float64)), (len(X), 1))

    def predict(self, X: Any) -> Array:
        """The same risk for every row: (n,)."""
        return np.zeros(len(X))


@final
class CoxRegression(BaseEstimator):
    r"""Proportional hazards by partial likelihood (Efron's for ties) with Breslow's baseline, on mixed columns.

    .. math:: S(t | x) = \exp(-\Lambda_0(t) \, e^{\beta' z(x)})

    where z(x) is dummy-coded, imputed and standardised on the training rows (`DesignMatrix`). lifelines' fit can end
    with no more than a warning at coefficients that are worse than none, or at none at all. So the fit is accepted
    only if its likelihood is at least the null model's and no standardised coefficient exceeds 10 in absolute value;
    otherwise smaller steps are tried, and after them small ridge penalties, of which a warning tells.

    Attributes
    ----------
    penalty_ : float
        Ridge penalty (lifelines' ``penalizer``) of the accepted fit, 0 almost always.
    coefficients_ : pandas.Series
        Log hazard ratio per standard deviation of each column of the design matrix.

    References
    ----------
    Cox (1972), Journal of the Royal Statistical Society B 34. Davidson-Pilon (2019), Journal of Open Source
    Software 4 (lifelines).

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_gbsg2()
    >>> cox = CoxRegression().fit(X.drop(columns=["time", "event"]), X[["time", "event"]])
    >>> cox.predict_survival_function(X.drop(columns=["time", "event"])[:2], [365, 1461]).round(3)
    array([[0.923, 0.553],
           [0.931, 0.59 ]])
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows of a table or array X and outcomes y (n,) in any form that `Surv` has.

        Raises
        ------
        ValueError
            When no column varies, there is no event, or no penalty makes the fit succeed.

        Warns
        -----
        DataWarning
            When a penalty had to be added.
        """
        from lifelines import CoxPHFitter

        outcome = read_outcome(y, "y")
        design = DesignMatrix().fit(X)
        frame = _frame(design(X), outcome)

        def attempt(penalty: float, step: float) -> Any:
            fitter = CoxPHFitter(penalizer=penalty)
            return fitter.fit(frame, "time", "event", fit_options={"step_size": step})

        fitted, self.penalty_ = _first_sound(attempt, COX_ATTEMPTS, outcome, "Cox regression")
        self.design_ = design
        self._fitted = fitted
        self.coefficients_ = fitted.params_.set_axis(list(design.names))
        baseline = fitted.baseline_cumulative_hazard_
        self._baseline = StepCurve(
            baseline.index.to_numpy(dtype=np.float64), np.exp(-baseline.iloc[:, 0].to_numpy(dtype=np.float64))
        )
        return self

    def predict(self, X: Any) -> Array:
        """Log hazard ratio of each row against the mean training row, higher for earlier events: (n,)."""
        return np.asarray(self._fitted.predict_log_partial_hazard(_covariates(self.design_(X))), dtype=np.float64)

    def predict_survival_function(self, X: Any, times: ArrayLike) -> Array:
        """S(t | x) at the times: (n, n_times), steps at the training event times."""
        return self.survival_at(X, self._baseline.at(np.asarray(times, dtype=np.float64))[None, :])

    def survival_at(self, X: Any, baseline: Array) -> Array:
        """S(t | x) from the baseline's S0(t), of one row for all rows of X or of one for each: (n, k)."""
        ratio = np.exp(np.clip(self.predict(X), -500.0, 500.0))  # an outlier among new rows may not overflow
        return np.asarray(np.clip(baseline, 0.0, 1.0) ** ratio[:, None])

    def baseline_survival(self, times: ArrayLike) -> Array:
        """S(t) of the mean training row at the times: (n_times,)."""
        return self._baseline.at(np.asarray(times, dtype=np.float64))


@final
class WeibullRegression(BaseEstimator):
    r"""Accelerated failure times with Weibull noise, on mixed columns.

    .. math:: S(t | x) = \exp\{-(t / e^{\beta' z(x)})^\rho\}

    with z(x) as in `CoxRegression`, and the same safeguards. Times are divided by their median for the fit, and times
    of 0 moved to half the smallest positive one.

    Attributes
    ----------
    penalty_ : float
        Ridge penalty (lifelines' ``penalizer``) of the accepted fit, 0 almost always.

    References
    ----------
    Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, chapter 3. Davidson-Pilon (2019),
    Journal of Open Source Software 4 (lifelines).

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_gbsg2()
    >>> weibull = WeibullRegression().fit(X.drop(columns=["time", "event"]), X[["time", "event"]])
    >>> weibull.predict_survival_function(X.drop(columns=["time", "event"])[:2], [365, 1461]).round(3)
    array([[0.917, 0.55 ],
           [0.926, 0.591]])
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows of a table or array X and outcomes y (n,) in any form that `Surv` has.

        Raises
        ------
        ValueError
            When no column varies, there is no event or no positive time, or no penalty makes the fit succeed.

        Warns
        -----
        DataWarning
            When a penalty had to be added.
        """
        from lifelines import WeibullAFTFitter

        outcome = read_outcome(y, "y")
        positive = outcome.time[outcome.time > 0]
        if not len(positive):
            raise ValueError("y has no time above 0")
        self.unit_ = float(np.median(positive))
        moved = np.where(outcome.time > 0, outcome.time, positive.min() / 2)
        self.design_ = DesignMatrix().fit(X)
        frame = _frame(self.design_(X), Outcome(outcome.event, moved / self.unit_))
        self._fitted, self.penalty_ = _first_sound(
            lambda penalty: WeibullAFTFitter(penalizer=penalty).fit(frame, "time", "event"),
            [(penalty,) for penalty in WEIBULL_PENALTIES],
            outcome,
            "Weibull regression",
        )
        return self

    def predict(self, X: Any) -> Array:
        """Minus the log of the median time, higher for earlier events: (n,)."""
        median = self._fitted.predict_median(_covariates(self.design_(X)))
        return -np.log(np.asarray(median, dtype=np.float64)) - np.log(self.unit_)

    def predict_survival_function(self, X: Any, times: ArrayLike) -> Array:
        """S(t | x) at the times: (n, n_times)."""
        scaled = np.asarray(times, dtype=np.float64) / self.unit_
        curves = self._fitted.predict_survival_function(_covariates(self.design_(X)), times=scaled)
        return np.asarray(curves, dtype=np.float64).T


def _first_sound(
    attempt: Callable[..., Any], attempts: Sequence[tuple[float, ...]], outcome: Outcome, what: str
) -> tuple[Any, float]:
    """The first of the attempts (penalty, ...) whose fit can be believed, and its penalty."""
    if not outcome.event.any():
        raise ValueError(f"{what} needs an event: all {len(outcome)} training rows are censored")
    reasons: list[str] = []
    for settings in attempts:
        fitted, reason = _tried(attempt, settings)
        if not reason:
            if settings[0] > 0:
                warn(
                    f"{what} without a penalty failed ({reasons[0]}); it was refitted with the ridge penalty "
                    f"{settings[0]:g} on standardised columns. Look for columns that repeat one another, or that "
                    "separate events from censored rows",
                    DataWarning,
                )
            return fitted, settings[0]
        reasons.append(reason)
    raise ValueError(f"{what} failed, also with a ridge penalty of {attempts[-1][0]:g}: {reasons[-1]}")


def _tried(attempt: Callable[..., Any], settings: tuple[float, ...]) -> tuple[Any, str]:
    """A fit, and what is wrong with it; nothing where it is sound."""
    from lifelines.exceptions import ConvergenceError

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # lifelines' warnings are about what is tested here
        try:
            fitted = attempt(*settings)
            gain = float(fitted.log_likelihood_ratio_test().test_statistic)
        except (ConvergenceError, np.linalg.LinAlgError, FloatingPointError, ZeroDivisionError) as error:
            return None, str(error).split(".")[0].strip()
    largest = float(np.abs(fitted.params_).max())
    if not np.isfinite(largest):
        return None, "coefficients are not finite"
    if largest > WILD:
        return None, f"a coefficient of a standardised column is {largest:.3g} in absolute value"
    # A likelihood a hair below the null's is that of coefficients near 0 under a penalty.
    return (fitted, "") if gain > -1e-3 else (None, f"twice the log-likelihood ratio to the null model is {gain:.3g}")


def _covariates(matrix: Array) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(matrix, columns=[f"x{j}" for j in range(matrix.shape[1])])


def _frame(matrix: Array, outcome: Outcome) -> pd.DataFrame:
    return _covariates(matrix).assign(time=outcome.time, event=outcome.event)
