"""One call from predicted survival curves to all the figures a reader of a survival paper asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.survival.auc import auc_at
from underlie.check.survival.brier import brier_losses, integrate
from underlie.check.survival.calibration import (
    Calibration,
    grouped_calibration,
    observed_by_kaplan_meier,
    observed_by_weights,
)
from underlie.check.survival.censoring import Censoring
from underlie.check.survival.concordance import concordance_by_curve, concordance_by_risk
from underlie.check.survival.curves import Curves, Interpolation, read_curves
from underlie.check.survival.d_calibration import DCalibration, d_calibration
from underlie.check.survival.intervals import Estimate, EstimateCurve, estimate, estimate_curve
from underlie.check.survival.setting import Setting, make_setting

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
N_BOOTSTRAP = 200
N_BINS = 10
N_GROUPS = 10
MIN_CENSORING = 0.05
_ORDER = (
    "The order is survival_metrics(survival, times, y_test, y_train): what was predicted, then the outcomes of these "
    "very rows, then those that the model was fitted to."
)


@final
@dataclass(frozen=True)
class SurvivalMetrics:
    """What `survival_metrics` found. Every `Estimate` has `value`, `lower`, `upper` and prints as such.

    Attributes
    ----------
    integrated_brier : Estimate
        Integrated Brier score from the first of `times` to `end`; lower is better.
    brier : EstimateCurve
        Brier score at each of `times`, also at those after `end`, where weights explode.
    brier_at_horizon : Estimate
        Brier score at the horizon.
    harrell, uno, antolini : Estimate
        Concordance: of the risk, of the risk before `end` with censoring weights, and of whole curves.
    auc_at_horizon : Estimate
        Area under the ROC curve of the predicted probability of an event by the horizon (cumulative cases, dynamic
        controls).
    predicted_risk, observed_risk : Estimate
        Mean predicted probability of an event by the horizon, and 1 - Kaplan-Meier there.
    calibration_in_the_large : Estimate
        Their difference, predicted minus observed; 0 is right.
    weighted_calibration_in_the_large : Estimate
        The same with the observed share from censoring weights, which is right also when censoring depends on
        covariates and the weights say so.
    calibration : Calibration
        Predicted and observed risk at the horizon in groups of risk.
    d_calibration : DCalibration
        Test that predicted distributions are right over the whole of follow-up.
    horizon, end : float
        Time of calibration; last time that is integrated over, and truncation of Uno's C.
    n, n_events : int
        Test rows and events among them.
    level : float
        Of the intervals.
    """

    integrated_brier: Estimate
    brier: EstimateCurve
    brier_at_horizon: Estimate
    harrell: Estimate
    uno: Estimate
    antolini: Estimate
    auc_at_horizon: Estimate
    predicted_risk: Estimate
    observed_risk: Estimate
    calibration_in_the_large: Estimate
    weighted_calibration_in_the_large: Estimate
    calibration: Calibration = field(repr=False)
    d_calibration: DCalibration = field(repr=False)
    horizon: float
    end: float
    n: int
    n_events: int
    level: float

    def table(self) -> pd.DataFrame:
        """The single numbers as a table: one row per metric; columns estimate, lower, upper."""
        import pandas as pd

        rows = {name: (e.value, e.lower, e.upper) for name, e in self._estimates().items()}
        rows["d_calibration_p"] = (self.d_calibration.p_value, np.nan, np.nan)
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "lower", "upper"])
        table.index.name = "metric"
        return table

    def _estimates(self) -> dict[str, Estimate]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Estimate)}

    def __str__(self) -> str:
        lines = [f"{self.n} rows, {self.n_events} events; horizon {self.horizon:g}, integrated to {self.end:g}"]
        lines += [f"{name.replace('_', ' '):<36}{value}" for name, value in self._estimates().items()]
        lines.append(f"{'d calibration p':<36}{self.d_calibration.p_value:.4f}")
        return "\n".join(lines)


def survival_metrics(
    survival: ArrayLike,
    times: ArrayLike,
    y_test: object,
    y_train: object,
    *,
    horizon: float | None = None,
    risk: ArrayLike | None = None,
    censoring: Censoring = "marginal",
    min_censoring: float = MIN_CENSORING,
    interpolation: Interpolation = "linear",
    n_bins: int = N_BINS,
    n_groups: int = N_GROUPS,
    n_bootstrap: int = N_BOOTSTRAP,
    level: float = 0.95,
    random_state: object = None,
) -> SurvivalMetrics:
    r"""Brier score, concordance and calibration of predicted survival curves on censored test rows, with intervals.

    With test rows (T_i, delta_i), predictions S(t | x_i) and the distribution G(t) = P(C > t) of censoring,

    .. math::
        \mathrm{BS}(t) = \frac1n \sum_i \left[
            \frac{S(t | x_i)^2 \, 1\{T_i \le t, \delta_i = 1\}}{G(T_i-)}
          + \frac{(1 - S(t | x_i))^2 \, 1\{T_i > t\}}{G(t)} \right],
        \qquad
        \mathrm{IBS} = \frac{1}{t_1 - t_0} \int_{t_0}^{t_1} \mathrm{BS}(t) \, dt

    by the trapezoidal rule on the supported part of `times`; concordance is the weighted share of concordant
    comparable pairs (`underlie.check.survival.concordance`), D-calibration the chi-square test that S(T | x) is
    uniform.

    Parameters
    ----------
    survival : (n, n_times) array
        S(t | x) of each test row at each of `times`.
    times : (n_times,) array
        Increasing times. They may go past the follow-up of the training or test rows: integration stops before the
        training censoring survival falls below `min_censoring`, and at the end of the training follow-up.
        Concordance and D-calibration read curves between them (S(0) = 1), so let them cover follow-up.
    y_test, y_train : structured arrays
        Outcomes with a boolean event and a time, as from ``ul.Surv(time, event)``. Censoring is estimated from
        `y_train` alone, so that no finding depends on the censoring curve of the test fold.
    horizon : float, optional
        Time of calibration and of `brier_at_horizon`; by default the median training event time.
    risk : (n,) array, optional
        What Harrell's and Uno's C rank, higher for earlier events. By default minus the restricted mean survival
        time up to the last of `times`.
    censoring : "marginal", "marginal_right", callable, (n, n_times) array or pair of arrays
        G. ``"marginal"``: Kaplan-Meier of the training rows, G(T_i-) for events, as an event is seen when censoring
        comes no earlier. ``"marginal_right"``: G(T_i), as in scikit-survival; they differ only where test events tie
        with training censoring. A function of (k,) times returning the (n, k) table of P(C > t | x_i), or that table
        at `times`, or a pair (that table, (n,) G(T_i- | x_i)): censoring that depends on covariates; where the table
        alone is given it is interpolated. Such probabilities are raised to `min_censoring`.
        A model of censoring is one of the same training rows with the event reversed, for example
        ``lambda t: model.predict_survival_function(X_test, t)``.
    min_censoring : float
        Least G that is divided by; 0 integrates over all of `times` within the training follow-up.
    interpolation : "linear" or "step"
        How `survival` is read between `times`: "step" for the curves of Kaplan-Meier, Cox and forests given at all
        their jumps.
    n_bins, n_groups : int
        Bins of D-calibration, and risk groups of calibration at the horizon.
    n_bootstrap : int
        Resamples of test rows behind the percentile intervals; 0 for none. They carry the noise of the test rows,
        not that of fitting the model or G to the training rows.
    level : float
        Of the intervals.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the resamples.

    Returns
    -------
    SurvivalMetrics
        `print` it, or take its ``table()``.

    Raises
    ------
    TypeError
        When an outcome is not a structured array with an event and a time, or stands where predictions belong.
    ValueError
        When shapes do not fit, times do not increase, a prediction is missing or not a probability, a time of an
        outcome is negative or missing, or `horizon` is outside `times`.

    Warns
    -----
    DataWarning
        When no time is supported by the training data, the test rows have no event, or probabilities given as
        `censoring` had to be raised.
    ExtrapolationWarning
        When `horizon` is past that support.

    References
    ----------
    Graf et al. (1999), Statistics in Medicine 18 (Brier score). Harrell et al. (1982), JAMA 247; Uno et al. (2011),
    Statistics in Medicine 30; Antolini et al. (2005), Statistics in Medicine 24 (concordance). Haider et al. (2020),
    Journal of Machine Learning Research 21 (D-calibration). Gerds and Schumacher (2006), Biometrical Journal 48
    (censoring that depends on covariates).

    Examples
    --------
    Exponential times, predicted by the truth:

    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x, censored = rng.normal(size=600), rng.exponential(2, size=600)
    >>> event_time = rng.exponential(np.exp(-x))
    >>> y = np.empty(600, dtype=[("event", bool), ("time", float)])
    >>> y["event"], y["time"] = event_time <= censored, np.minimum(event_time, censored)
    >>> times = np.linspace(0.1, 3, 30)
    >>> survival = np.exp(-np.exp(x[300:, None]) * times)
    >>> result = ul.survival_metrics(survival, times, y[300:], y[:300], horizon=1, random_state=0)
    >>> print(result.integrated_brier)
    0.1332 [0.1144, 0.1619]
    >>> print(result.uno)
    0.7184 [0.6789, 0.7521]
    >>> bool(result.d_calibration.p_value > 0.05)
    True
    """
    _require_order(survival, times, y_test, y_train)
    setting = make_setting(
        times,
        y_test,
        y_train,
        horizon=horizon,
        censoring=censoring,
        min_censoring=min_censoring,
        n_bootstrap=n_bootstrap,
        level=level,
        random_state=random_state,
    )
    return evaluate(setting, survival, risk, "survival", interpolation, n_bins, n_groups)


def evaluate(
    setting: Setting,
    survival: ArrayLike,
    risk: ArrayLike | None,
    name: str,
    interpolation: Interpolation,
    n_bins: int,
    n_groups: int,
) -> SurvivalMetrics:
    """All metrics of one prediction in a setting; `name` is how errors call the prediction."""
    _check_parts(n_bins, n_groups)
    test, level = setting.test, setting.level
    curves = read_curves(survival, setting.times, len(test), name, interpolation)
    ranking = -curves.restricted_mean(curves.end) if risk is None else _read_risk(risk, len(test), f"risk of {name}")
    harrell, uno = concordance_by_risk(setting.pairs, test, ranking, setting.weights, _truncation(setting))
    event_probability = 1 - curves.at(np.array([setting.horizon]))[0]
    auc = auc_at(event_probability, test, setting.weights, setting.horizon, setting.counts)
    integrated, brier, at_horizon = _brier(setting, curves)
    return SurvivalMetrics(
        integrated_brier=integrated,
        brier=brier,
        brier_at_horizon=at_horizon,
        harrell=estimate(harrell, level),
        uno=estimate(uno, level),
        antolini=estimate(concordance_by_curve(setting.pairs, test, curves), level),
        auc_at_horizon=estimate(auc, level),
        **_in_the_large(setting, event_probability),
        calibration=grouped_calibration(event_probability, test, setting.horizon, setting.counts, n_groups, level),
        d_calibration=d_calibration(curves, test, setting.counts, n_bins, level),
        horizon=setting.horizon,
        end=setting.end,
        n=len(test),
        n_events=int(test.event.sum()),
        level=level,
    )


def _truncation(setting: Setting) -> float:
    """Uno's C counts events before this time; those at the very end of the support are within it."""
    return float(np.nextafter(setting.end, np.inf))


def _brier(setting: Setting, curves: Curves) -> tuple[Estimate, EstimateCurve, Estimate]:
    """Brier score integrated, over time, and at the horizon."""
    losses = brier_losses(curves, setting.test, setting.weights, setting.times)
    at_horizon = brier_losses(curves, setting.test, setting.weights, np.array([setting.horizon]))[:, 0]
    inside = setting.supported
    share = setting.counts.astype(np.float64) / len(setting.test)
    return (
        estimate(share @ integrate(losses[:, inside], setting.times[inside]), setting.level),
        estimate_curve(setting.times, share @ losses, setting.level),
        estimate(share @ at_horizon, setting.level),
    )


def _in_the_large(setting: Setting, event_probability: Array) -> dict[str, Estimate]:
    """Mean predicted against observed risk at the horizon."""
    predicted = setting.counts.astype(np.float64) @ event_probability / len(setting.test)
    observed = observed_by_kaplan_meier(setting.test, setting.horizon, setting.counts)
    weighted = observed_by_weights(setting.test, setting.weights, setting.horizon, setting.counts)
    return {
        "predicted_risk": estimate(predicted, setting.level),
        "observed_risk": estimate(observed, setting.level),
        "calibration_in_the_large": estimate(predicted - observed, setting.level),
        "weighted_calibration_in_the_large": estimate(predicted - weighted, setting.level),
    }


def _require_order(survival: Any, times: Any, y_test: Any, y_train: Any) -> None:
    """Refuse arguments in another order: all four are arrays, and scikit-survival's functions begin with outcomes."""
    for name, value in (("survival", survival), ("times", times)):
        fields = getattr(getattr(value, "dtype", None), "names", None)
        if fields is not None:
            raise TypeError(f"{name} is an outcome, with the fields {', '.join(fields)}. {_ORDER}")
    if np.ndim(survival) == 1 and np.ndim(times) == 2:
        raise ValueError(f"survival is a list and times a table: they seem to be exchanged. {_ORDER}")
    rows = np.shape(survival)[:1]
    if len(y_test) and rows == np.shape(y_train)[:1] != np.shape(y_test)[:1]:
        raise ValueError(
            f"survival has {rows[0]} rows, as y_train has, but y_test has {len(y_test)}: they seem to be exchanged. "
            f"{_ORDER}"
        )


def _read_risk(risk: ArrayLike, n: int, name: str) -> Array:
    values = np.asarray(risk, dtype=np.float64)
    if values.shape != (n,):
        raise ValueError(f"{name} must hold one number per test row, ({n},), it has {values.shape}")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name} must be finite, row {row} is {values[row]}")
    return values


def _check_parts(n_bins: int, n_groups: int) -> None:
    for name, value in (("n_bins", n_bins), ("n_groups", n_groups)):
        if not isinstance(value, int | np.integer) or value < 2:
            raise ValueError(f"{name} must be a whole number of at least 2, got {value!r}")
