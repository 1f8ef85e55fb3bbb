"""What a treatment is predicted to change: effects, averages of them, and recommendations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student_t

from underlie.data.columns import Column
from underlie.estimators.survival_predictor import Patients
from underlie.estimators.survival_rows import n_rows
from underlie.estimators.survival_summaries import checked_times, restricted_mean
from underlie.estimators.survival_warnings import warn_beyond

if TYPE_CHECKING:
    from underlie.estimators.survival_vae import SurvivalVAE

Floats = NDArray[np.float64]

#: A treatment whose probability given the covariates is below this is outside the support of the data.
MIN_PROPENSITY = 0.02
#: Rows whose curves by every member are held at a time.
_ROWS = 500
_MEASURES = ("survival", "rmst", "median")


def treatment_effect(
    model: SurvivalVAE, X: Any, time: float, treatment: Any, control: Any, measure: str, level: float
) -> pd.DataFrame:
    """See `SurvivalVAE.treatment_effect`."""
    time = _checked(model, time, measure, level)
    arms = _arms(model, X, [treatment, control])
    treated, untreated = (_by_member(model, arm, time, measure) for arm in arms)
    values = [_ensemble(model, arm, measure, m) for arm, m in zip(arms, (treated, untreated), strict=True)]
    table = with_interval("effect", treated - untreated, level, values[0] - values[1])
    table["treated"], table["control"] = values
    table["supported"] = supported_by_data(model, arms, [treatment, control]).all(0)
    return _indexed(table, X)


def average_effect(
    model: SurvivalVAE, X: Any, time: float, treatment: Any, control: Any, measure: str, level: float
) -> pd.DataFrame:
    """See `SurvivalVAE.average_effect`."""
    time = _checked(model, time, measure, level)
    arms = _arms(model, X, [treatment, control])
    treated, untreated = (_by_member(model, arm, time, measure) for arm in arms)
    values = [_ensemble(model, arm, measure, m).mean() for arm, m in zip(arms, (treated, untreated), strict=True)]
    spread = (treated - untreated).mean(1, keepdims=True)
    table = with_interval("effect", spread, level, np.array([values[0] - values[1]]))
    table["treated"], table["control"] = values
    table["supported"] = supported_by_data(model, arms, [treatment, control]).all(0).mean()
    table["n"] = treated.shape[1]
    return table


def recommend(
    model: SurvivalVAE, X: Any, time: float, min_gain: float, control: Any, rule: Any, level: float
) -> pd.DataFrame:
    """See `SurvivalVAE.recommend`."""
    if not callable(rule) and rule not in ("survival", "rmst"):
        raise ValueError(f"rule must be 'survival', 'rmst' or a function, got {rule!r}.")
    if not np.isfinite(min_gain):
        raise ValueError(f"min_gain must be a finite number, got {min_gain!r}.")
    time = _checked(model, time, "rmst" if rule == "rmst" else "survival", level)
    options = treatment_options(model)
    baseline = options[0] if control is None else _find(options, control)
    arms = _arms(model, X, options)
    curves = [_by_member(model, arm, time, "survival") for arm in arms]
    utility = curves
    if rule == "rmst":
        utility = [_by_member(model, arm, time, "rmst") for arm in arms]
    elif callable(rule):
        utility = [_by_rule(rule, option, curve) for option, curve in zip(options, curves, strict=True)]
    values = np.stack(utility)  # (options, R, n)
    supported = supported_by_data(model, arms, options)
    at = options.index(baseline)
    gains = values - values[at]
    chosen, confirmed = chosen_by_gain(gains.mean(1), supported, at, min_gain)
    rows = np.arange(len(chosen))
    table = with_interval("gain", gains[chosen, :, rows].T, level)
    advised = np.array([_label(option) for option in options], dtype=object)[chosen]
    advised[~confirmed] = None
    table.insert(0, "recommended", advised)
    table["supported"] = confirmed
    for option, curve in zip(options, curves, strict=True):
        table[f"survival {option_name(option)}"] = curve.mean(0)
    return _indexed(table, X)


def chosen_by_gain(
    gains: Floats, supported: NDArray[np.bool_], control: int, min_gain: float
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The clinicians' rule: another treatment only where the data support it and it gains enough, else the control.

    Parameters
    ----------
    gains : array (options, n)
        Over the control.
    supported : array of bool (options, n)
    control : int
        Its place among the options.
    min_gain : float

    Returns
    -------
    chosen : array of int (n,)
        Place of the treatment.
    confirmed : array of bool (n,)
        Whether the data support the choice. Advice for the control is advice too: it takes an alternative that the data
        could have shown to be better.
    """
    mean = np.where(supported, gains, -np.inf)
    mean[control] = 0.0
    best = mean.argmax(0)
    rows = np.arange(mean.shape[1])
    chosen = np.where(mean[best, rows] >= min_gain, best, control)
    alternatives = np.delete(supported, control, axis=0).any(0)
    return chosen, supported[chosen, rows] & supported[control] & alternatives


def survival_bands(
    model: SurvivalVAE, patients: Patients, times: Floats, level: float | None, *, average: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Survival of each row with the ends of its interval, (n, n_times) each; ``average``: of the mean over rows.

    The interval is that of effects, pointwise; without a level, or from one replicate, its ends are the curve itself.
    """
    by_member = model._predictor.by_replicate(patients, times)  # (R, n, n_times)
    return band(by_member.mean(1, keepdims=True) if average else by_member, level)


def band(by_member: Floats, level: float | None) -> tuple[Floats, Floats, Floats]:
    """Mean over members, the first axis, of probabilities, with the ends of its interval; see `survival_bands`."""
    mean = by_member.mean(0)
    half = np.zeros_like(mean) if level is None or len(by_member) < 2 else _half_width(by_member, level)
    return mean, np.clip(mean - half, 0.0, 1.0), np.clip(mean + half, 0.0, 1.0)


def treatment_options(model: SurvivalVAE) -> list[Any]:
    """Every treatment that can be recommended: levels, or dicts from column to level where there are several columns.

    Raises
    ------
    ValueError
        If a treatment is a dose with more than 12 distinct values.
    """
    levels = model.treatment_levels_
    for name, of_column in levels.items():
        if len(of_column) > 12:
            raise ValueError(
                f"treatment {name!r} is a dose with {len(of_column)} distinct values: ask treatment_effect for the "
                "doses that you consider."
            )
    if len(levels) == 1:
        return list(next(iter(levels.values())))
    return [dict(zip(levels, combination, strict=True)) for combination in product(*levels.values())]


def option_name(option: Any) -> str:
    """How a treatment is written in the names of columns."""
    if isinstance(option, Mapping):
        return ", ".join(f"{k}={v}" for k, v in option.items())
    return str(option)


def propensities(model: SurvivalVAE, X: Any) -> pd.DataFrame:
    """See `SurvivalVAE.propensity`."""
    assert model._rows.treatment_encoder is not None
    doses = [
        n for n, c in zip(model.treatments_, model._rows.treatment_encoder.schema, strict=True) if c.levels is None
    ]
    if doses:
        raise ValueError(
            f"treatment {doses[0]!r} is a dose: it has a density, not a probability for each of its values."
        )
    options = treatment_options(model)
    log_p = [model._predictor.log_propensity(arm).sum(1) for arm in _arms(model, X, options)]
    return _indexed(pd.DataFrame({option_name(o): np.exp(p) for o, p in zip(options, log_p, strict=True)}), X)


def _checked(model: SurvivalVAE, time: float, measure: str, level: float) -> float:
    if measure not in _MEASURES:
        raise ValueError(f"measure must be one of {', '.join(map(repr, _MEASURES))}, got {measure!r}.")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}.")
    if model._predictor.n_replicates < 2:
        raise ValueError("intervals need an ensemble: fit with n_replicates of at least 2.")
    at = checked_times([0.0 if measure == "median" else time], "time")
    warn_beyond(at, model.follow_up_)
    return float(at[0])


def _arms(model: SurvivalVAE, X: Any, options: list[Any]) -> list[Patients]:
    """The rows of X, encoded once, under each of the treatments."""
    patients = model._asked(X, None, needed=False)
    return [patients.with_treatment(model._rows.encode_treatments(X, option)) for option in options]


def _by_member(model: SurvivalVAE, patients: Patients, time: float, measure: str) -> Floats:
    """The measure by each member of the ensemble, (R, n)."""
    predictor = model._predictor
    if measure == "survival":
        return predictor.by_replicate(patients, np.array([time]))[..., 0]
    if measure == "median":
        return predictor.quantile_by_replicate(patients, 0.5)
    # A restricted mean needs whole curves of every member: some rows at a time.
    parts = [
        restricted_mean(partial(predictor.by_replicate, some), model._axis, time) for some in patients.parts(_ROWS)
    ]
    return np.concatenate(parts, axis=1)


def _ensemble(model: SurvivalVAE, patients: Patients, measure: str, by_member: Floats) -> Floats:
    """The measure by the ensemble, (n,): a mean over members, but for the median of their mixture."""
    return model._quantiles(patients, np.array([0.5]))[:, 0] if measure == "median" else by_member.mean(0)


def _by_rule(rule: Any, option: Any, survival: Floats) -> Floats:
    """A user's utility of a treatment, (R, n): a function of (survival probabilities (n,), treatment) to (n,)."""
    found = [np.asarray(rule(s, option), dtype=float) for s in survival]
    for values in found:
        if values.shape != survival.shape[1:] or not np.isfinite(values).all():
            raise ValueError(
                f"the rule must return one finite number for each of {survival.shape[1]} rows, got shape "
                f"{values.shape} for treatment {option!r}."
            )
    return np.stack(found)


def with_interval(name: str, by_member: Floats, level: float, value: Floats | None = None) -> pd.DataFrame:
    """A value, by default the mean over members (R, n), with an interval from their spread.

    Each member is a draw of the posterior with importance-sampling noise of its own, so the spread carries both.
    """
    half = _half_width(by_member, level)
    centre = by_member.mean(0) if value is None else value
    return pd.DataFrame({name: centre, "lower": centre - half, "upper": centre + half})


def _half_width(by_member: Floats, level: float) -> Floats:
    """Of the interval of a mean over members, the first axis.

    Members come in mirrored pairs, of which each pair tells once: R / 2 degrees of freedom.
    """
    half: Floats = student_t.ppf(0.5 + 0.5 * level, max(1, len(by_member) // 2)) * by_member.std(0)
    return half


def supported_by_data(model: SurvivalVAE, arms: list[Patients], options: list[Any]) -> NDArray[np.bool_]:
    """Whether patients like each row are given each treatment often enough, (options, n); a dose, within its range."""
    assert model._rows.treatment_encoder is not None
    columns = list(model._rows.treatment_encoder.schema)
    discrete = np.array([c.levels is not None for c in columns])
    found = []
    for arm, option in zip(arms, options, strict=True):
        cells = np.where(discrete, model._predictor.log_propensity(arm), 0.0)
        often = cells.sum(1) >= np.log(MIN_PROPENSITY)
        found.append(often & _within_range(columns, model._rows.levels_asked(option, len(arm))))
    return np.stack(found)


def _within_range(columns: list[Column], asked: Mapping[str | int, list[Any]]) -> NDArray[np.bool_]:
    """Whether every dose lies within those seen at fit, (n,)."""
    within = np.ones(len(next(iter(asked.values()))), dtype=bool)
    for values, column in zip(asked.values(), columns, strict=True):
        if column.levels is None and column.low is not None and column.high is not None:
            doses = np.asarray(values, dtype=float)
            within &= (doses >= column.low) & (doses <= column.high)
    return within


def _find(options: list[Any], control: Any) -> Any:
    for option in options:
        if option == control or str(option) == str(control):
            return option
    raise ValueError(f"control is {control!r}; choose one of {', '.join(map(option_name, options))}.")


def _label(option: Any) -> Any:
    return option_name(option) if isinstance(option, Mapping) else option


def _indexed(table: pd.DataFrame, X: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame) and len(table) == n_rows(X):
        table.index = X.index
    return table
