"""Predicted survival curves, of single patients and of populations, and calibration at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from underlie.check.decisions.folds import read_treatments
from underlie.check.survival import SurvivalMetrics
from underlie.check.survival.kaplan_meier import survival_curve
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.estimators.survival_effects import option_name, survival_bands, treatment_options
from underlie.plot.style import GREY, axes_or_new, markers, open_frame, palette, panels

Array = NDArray[np.float64]
_PERCENT = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}")
_LINES = ("-", (0, (6, 2)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
_MOST_PATIENTS = 6
_MOST_TREATMENTS = 6
_N_TIMES = 101


@final
@dataclass(frozen=True)
class _Curve:
    """A predicted curve with its bounds, which are the curve itself where a model gives no interval."""

    name: str
    value: Array
    lower: Array
    upper: Array


def survival_curves(
    model: Any,
    X: Any,
    times: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    treatments: Sequence[Any] | Mapping[str, Any] | None = None,
    average: bool = False,
    observed: object = None,
    names: Sequence[str] | None = None,
    horizon: float | None = None,
    level: float | None = 0.95,
    unit: str = "",
    per_unit: float = 1.0,
) -> Axes | Figure:
    r"""Predicted survival curves under each treatment, of single patients or averaged over a population.

    The band is :math:`\bar S \pm t\, s` with mean and standard deviation over the model's replicates, as the intervals
    of ``model.treatment_effect``; it widens pointwise, not as a whole. The average over all rows is the standardised
    curve, :math:`\frac1n \sum_i S(t \mid x_i, a)`: what is predicted if everybody got treatment a.

    Parameters
    ----------
    model : SurvivalVAE, or an estimator with ``predict_survival_function(X, times[, treatment=])``
        Fitted. Only a `SurvivalVAE` has bands.
    X : table or array (n, columns)
        Patients; one panel each, at most 6, unless `average`.
    times : (k,) array, optional
        In the unit of the outcome; by default 101 even times from 0 to the longest follow-up.
    ax : Axes, optional
        Where to draw a single panel; a new figure by default.
    treatments : sequence of treatments, or mapping of name to treatment, optional
        As ``predict_survival_function`` takes them; all that the model knows by default, at most 6.
    average : bool
        Draw the curves averaged over the rows of X in one panel.
    observed : outcomes of the rows of X, optional
        With `average`: Kaplan-Meier curves, of each arm where the model has treatments. Arms whose curves are not
        where the predictions for all rows are have different patients, or the model is wrong.
    names : sequence of n str, optional
        Titles of the panels; by default the labels of the rows.
    horizon : float, optional
        Time at which a line is drawn and survival is written down.
    level : float or None
        Coverage of the bands; None draws none.
    unit : str
        Of the time axis, for its label.
    per_unit : float
        How many units of the outcome one unit of the axis has: 365.25 draws days as years.

    Returns
    -------
    matplotlib.axes.Axes, or Figure where several patients are drawn

    Raises
    ------
    ValueError
        When there are too many patients or treatments, names do not fit, `ax` is given for several panels, or
        `observed` without `average`.

    References
    ----------
    Makuch (1982), Journal of Chronic Diseases 35 (adjusted curves by averaging over the population).

    Examples
    --------
    >>> import underlie as ul
    >>> data = ul.datasets.load_gbsg2()
    >>> X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    >>> model = ul.SurvivalVAE("horTh", n_replicates=2, max_epochs=1, random_state=0, verbose=False).fit(X, y)
    >>> figure = ul.plot.survival_curves(model, X[:2], unit="years", per_unit=365.25, horizon=1461)
    >>> ax = ul.plot.survival_curves(model, X, average=True, observed=y)
    >>> ax.get_ylabel()
    'survival, %'
    """
    n = len(X)
    if observed is not None and not average:
        raise ValueError("observed is for average=True: Kaplan-Meier curves are of groups, not of single patients")
    if level is not None and not 0.0 < level < 1.0:
        raise ValueError(f"level must lie strictly between 0 and 1, or be None for no bands, got {level!r}")
    if not per_unit > 0:
        raise ValueError(f"per_unit must be above 0, got {per_unit!r}")
    chosen = _named_treatments(model, treatments)
    grid = _times(model, times)
    titles = [""] if average else _titles(X, n, names)
    if average:
        curves = [[_predict(model, X, grid, name, t, level, average=True)[0] for name, t in chosen.items()]]
    else:
        by_treatment = [_predict(model, X, grid, name, t, level, average=False) for name, t in chosen.items()]
        curves = [list(of_patient) for of_patient in zip(*by_treatment, strict=True)]
    figure, axes = _places(ax, len(curves))
    for place, of_panel, title in zip(axes, curves, titles, strict=True):
        _draw(place, grid / per_unit, of_panel, None if horizon is None else horizon / per_unit)
        place.set_title(title, fontsize=10, loc="left")
        place.set_xlabel(f"time, {unit}" if unit else "time")
    if observed is not None:
        _draw_observed(axes[0], model, X, read_outcome(observed, "observed"), list(chosen), grid, per_unit)
    axes[0].set_ylabel("survival, %")
    for other in axes[1:]:
        other.tick_params(labelleft=False)
    _legend(figure, axes)
    return axes[0] if len(axes) == 1 else figure


def survival_calibration(
    result: SurvivalMetrics | Mapping[str, SurvivalMetrics],
    ax: Axes | None = None,
    *,
    unit: str = "",
    per_unit: float = 1.0,
) -> Axes:
    """Observed against predicted risk at the horizon, in groups of predicted risk; on the diagonal a model is right.

    Observed is 1 - Kaplan-Meier in each group, with a bootstrap interval.

    Parameters
    ----------
    result : SurvivalMetrics, or mapping of name to SurvivalMetrics
        Of `underlie.survival_metrics`, for rows that the models have not seen; all at the same horizon.
    ax : Axes, optional
        Where to draw; a new figure by default.
    unit, per_unit
        As in `survival_curves`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When `result` is something else, or horizons differ.

    Notes
    -----
    Groups in which nobody was followed to the horizon have no observed risk and are left out.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> y = ul.Surv(rng.exponential(np.exp(-x)), np.ones(500))
    >>> times = np.array([0.5, 1.0])
    >>> truth = np.exp(-np.exp(x)[:, None] * times)
    >>> ax = ul.plot.survival_calibration(ul.survival_metrics(truth, times, y, y, horizon=1.0, random_state=0))
    >>> ax.get_xlabel()
    'predicted risk of an event by time 1, %'
    """
    results = dict(result) if isinstance(result, Mapping) else {"": result}
    for one in results.values():
        if not isinstance(one, SurvivalMetrics):
            raise TypeError(f"result must be what underlie.survival_metrics returns, got {type(one).__name__}")
    horizons = {one.horizon for one in results.values()}
    if len(horizons) != 1:
        raise ValueError(
            f"result must be of one horizon, got {sorted(horizons)}"
            if horizons
            else "result is empty; give at least one"
        )
    ax = axes_or_new(ax, (6.0, 5.2))
    ends = 0.0
    for (name, one), colour, mark in zip(results.items(), palette(len(results)), markers(len(results)), strict=True):
        observed = one.calibration.observed
        there = np.isfinite(observed.value)
        x, y = observed.at[there], observed.value[there]
        # A resample without anyone at risk has no bound; the mark then stands alone.
        low, high = (np.where(np.isfinite(b), b, y) for b in (observed.lower[there], observed.upper[there]))
        words = f"predicted {100 * one.predicted_risk.value:.1f} %, observed {100 * one.observed_risk.value:.1f} %"
        errors = np.maximum([y - low, high - y], 0.0)
        ax.errorbar(
            x,
            y,
            yerr=errors,
            fmt=mark,
            color=colour,
            capsize=2.5,
            elinewidth=1.2,
            markersize=7,
            mec="white",
            zorder=3,
            label=f"{name}: {words}" if name else words,
        )
        ends = max(ends, float(np.max([*x, *high], initial=0.0)))
    ends = min(1.0, ends * 1.06 + 0.01)
    ax.plot([0, ends], [0, ends], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1, label="right predictions")
    ax.set_xlim(-0.015 * ends, ends)
    ax.set_ylim(-0.015 * ends, ends)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(_PERCENT)
    when = f"{horizons.pop() / per_unit:.4g}"
    ax.set_xlabel(f"predicted risk of an event by {f'{when} {unit}' if unit else f'time {when}'}, %")
    ax.set_ylabel("observed risk, %")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)
    open_frame(ax)
    return ax


def _named_treatments(model: Any, treatments: Sequence[Any] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Treatments by name; one without a name, None, for a model that has none."""
    if isinstance(treatments, Mapping):
        found = dict(treatments)
    elif treatments is not None:
        found = {option_name(option): option for option in treatments}
    elif getattr(model, "treatments_", None):
        column = f"{model.treatments_[0]} = " if len(model.treatments_) == 1 else ""
        found = {f"{column}{option_name(option)}": option for option in treatment_options(model)}
    else:
        return {"": None}
    if not 1 <= len(found) <= _MOST_TREATMENTS:
        raise ValueError(
            f"treatments: {len(found)} curves cannot be told apart; name at most {_MOST_TREATMENTS}, treatments=[...]"
        )
    return found


def _times(model: Any, times: ArrayLike | None) -> Array:
    if times is None:
        end = getattr(model, "follow_up_", None)
        if end is None:
            raise ValueError(
                f"times must be given: {type(model).__name__} does not say how long its rows were followed"
            )
        return np.linspace(0.0, float(end), _N_TIMES)
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise ValueError("times must be at least two increasing numbers")
    return grid


def _titles(X: Any, n: int, names: Sequence[str] | None) -> list[str]:
    if not 1 <= n <= _MOST_PATIENTS:
        raise ValueError(
            f"X has {n} rows: choose 1 to {_MOST_PATIENTS} patients, a panel each, or average=True for one panel of all"
        )
    if names is not None:
        if len(names) != n:
            raise ValueError(f"names has {len(names)} entries for {n} rows of X")
        return [str(name) for name in names]
    return [f"row {label}" for label in (X.index if hasattr(X, "index") and not callable(X.index) else range(n))]


def _predict(
    model: Any, X: Any, grid: Array, name: str, treatment: Any, level: float | None, *, average: bool
) -> list[_Curve]:
    """Curves of the rows of X, or their average as a single one."""
    # What replicates say one by one has no public method; other estimators have no replicates.
    if getattr(model, "_predictor", None) is None:
        given = {} if treatment is None else {"treatment": treatment}
        values = np.asarray(model.predict_survival_function(X, grid, **given), dtype=np.float64)
        return [_Curve(name, v, v, v) for v in (values.mean(0, keepdims=True) if average else values)]
    bands = survival_bands(model, model._asked(X, treatment), grid, level, average=average)
    return [_Curve(name, *parts) for parts in zip(*bands, strict=True)]


def _places(ax: Axes | None, n: int) -> tuple[Figure, list[Axes]]:
    if ax is not None:
        if n > 1:
            raise ValueError(f"ax is for one panel, but {n} patients make a figure of their own")
        figure = ax.figure
        assert isinstance(figure, Figure)
        return figure, [ax]
    return panels(n, (6.8, 4.6) if n == 1 else (max(6.8, 3.5 * n), 3.9))


def _draw(ax: Axes, times: Array, curves: list[_Curve], horizon: float | None) -> None:
    for i, (curve, colour) in enumerate(zip(curves, palette(len(curves)), strict=True)):
        line = _LINES[i % len(_LINES)]
        ax.fill_between(times, curve.lower, curve.upper, color=colour, alpha=0.13, linewidth=0, zorder=2)
        ax.plot(
            times, curve.value, color=colour, linestyle=line, linewidth=2, label=curve.name or "predicted", zorder=3
        )
    if horizon is not None:
        ax.axvline(horizon, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        _write_down(ax, horizon, [float(np.interp(horizon, times, curve.value)) for curve in curves])
    ax.set_xlim(times[0], times[-1])
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(_PERCENT)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    open_frame(ax)


def _write_down(ax: Axes, at: float, values: list[float]) -> None:
    """Survival at the horizon beside its curve, moved apart where numbers would touch."""
    order = np.argsort(values)
    heights = np.array(values)[order] + 0.0
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + 0.075)
    heights -= max(0.0, float(heights[-1]) - 0.97)
    for k, i in enumerate(order):
        colour = palette(len(values))[i]
        ax.plot(at, values[i], "o", color=colour, markersize=5, mec="white", zorder=4)
        ax.annotate(
            f"{100 * values[i]:.0f} %",
            (at, heights[k]),
            xytext=(6, 2),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            fontweight="bold",
            zorder=5,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )


def _draw_observed(
    ax: Axes, model: Any, X: Any, outcome: Outcome, names: list[str], grid: Array, per_unit: float
) -> None:
    """Kaplan-Meier curves of the arms, thin steps in the colours of the predictions, to the last row of each."""
    if len(outcome.time) != len(X):
        raise ValueError(f"observed has {len(outcome.time)} outcomes for {len(X)} rows of X")
    if not getattr(model, "treatments_", None):
        groups = {"Kaplan-Meier": (np.arange(len(outcome.time)), "black")}
    else:
        arms = read_treatments(model, X, len(outcome.time)).arms
        groups = {}
        for arm, received in enumerate(arms.levels):
            said = option_name(received)
            place = next(
                (i for i, name in enumerate(names) if name in (said, f"{model.treatments_[0]} = {said}")), None
            )
            if place is not None:
                rows = arms.rows(arm)
                groups[f"Kaplan-Meier of {len(rows)} given {said}"] = (rows, palette(len(names))[place])
    for name, (rows, colour) in groups.items():
        curve = survival_curve(Outcome(outcome.event[rows], outcome.time[rows]))
        at = np.append(np.concatenate([[0.0], curve.times]), min(float(outcome.time[rows].max()), float(grid[-1])))
        at = at[at <= grid[-1]]
        ax.step(
            at / per_unit, curve.at(at), where="post", color=colour, linewidth=0.9, alpha=0.9, label=name, zorder=2.5
        )


def _legend(figure: Figure, axes: list[Axes]) -> None:
    handles, labels = axes[0].get_legend_handles_labels()
    if len(handles) < 2:
        return
    if len(axes) == 1:
        columns = min(len(handles), 2)
        axes[0].legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=9)
    else:
        figure.legend(
            handles, labels, frameon=False, loc="outside upper center", ncols=min(len(handles), 4), fontsize=9
        )
