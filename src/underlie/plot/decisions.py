"""Figures about treatment decisions: is predicted benefit real, how large is it, and is acting on it worth it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from underlie.check.decisions import BenefitCalibration, DecisionCurve, PolicyEvaluation, PolicyValue
from underlie.check.decisions.net_benefit import ALL, NONE
from underlie.plot.style import GREY, PALE, axes_or_new, markers, open_frame, palette

Array = NDArray[np.float64]
_POINTS = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}".replace("-", "−"))
_BENEFIT_NAMES = ("effect", "gain", "benefit")
_NAMED_CURVES = 4


def benefit_calibration(result: BenefitCalibration, ax: Axes | None = None, *, adjusted: bool = False) -> Axes:
    """Observed against predicted benefit in groups; on the diagonal the prediction is right.

    Parameters
    ----------
    result : BenefitCalibration
        Of `underlie.benefit_calibration`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    adjusted : bool
        Draw the doubly robust estimates instead of Kaplan-Meier differences: for treatments that were not randomised.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When `result` is something else.

    Notes
    -----
    Dashed: where predictions are right. Dotted: the effect in all rows. Ticks along the lower edge are rows, without
    the 1 % of the most extreme on either side.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> benefit, treated = rng.uniform(0, 0.3, 400), rng.integers(2, size=400)
    >>> y = ul.Surv(rng.exponential(1 + treated), np.ones(400))
    >>> ax = ul.plot.benefit_calibration(ul.benefit_calibration(benefit, y, treated, time=1.0, random_state=0))
    """
    _require(result, BenefitCalibration, "benefit_calibration")
    prefix = "adjusted_" if adjusted else ""
    groups, whole = result.groups, result.overall.iloc[0]
    value = "adjusted" if adjusted else "observed"
    x, y = groups["predicted"].to_numpy(), groups[value].to_numpy()
    lower, upper = groups[f"{prefix}lower"].to_numpy(), groups[f"{prefix}upper"].to_numpy()
    ax = axes_or_new(ax, (6.0, 5.0))
    colour = palette(1)[0]
    ends = _padded(np.concatenate([x, lower, upper, [0.0]]))
    ax.axhline(0, color=PALE, linewidth=1, zorder=0)
    dashed, dotted = (0, (4, 3)), ":"
    ax.plot(ends, ends, color=GREY, linewidth=1.2, linestyle=dashed, zorder=1, label="calibrated (slope 1)")
    overall = f"{100 * whole[value]:.1f}".replace("-", "−")
    ax.axhline(whole[value], color="#555555", linewidth=1.2, linestyle=dotted, zorder=1, label=f"all rows {overall}")
    _rug(ax, result.benefit)
    slope = result.slope
    numbers = f"{slope.value:.2f} [{slope.lower:.2f}, {slope.upper:.2f}]".replace("-", "−")
    name = f"groups; slope {numbers}" if np.isfinite(slope.value) else "one prediction for all rows"
    errors = [y - lower, upper - y]
    ax.errorbar(x, y, yerr=errors, fmt="o", color=colour, capsize=3, markersize=7, mec="white", zorder=3, label=name)
    ax.set_xlim(*_padded(np.concatenate([np.quantile(result.benefit, [0.01, 0.99]), x, [0.0]]), 0.04))
    ax.set_ylim(*ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(_POINTS)
    what = f"gain in survival at {result.time:g}, {result.treated} less {result.control}, in points"
    ax.set_xlabel(f"predicted {what}")
    ax.set_ylabel(f"{'adjusted' if adjusted else 'observed'} gain, in points")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9, columnspacing=1.2)
    open_frame(ax)
    return ax


def predicted_benefit(benefit: Any, ax: Axes | None = None, *, min_gain: float | None = None, bins: int = 30) -> Axes:
    """How predicted benefit is distributed over rows, and what share of them reaches the gain that is asked for.

    Parameters
    ----------
    benefit : (n,) array, or DataFrame with a column "effect", "gain" or "benefit"
        Predicted difference in survival, treated less control: as ``model.treatment_effect`` and ``model.recommend``
        give it. With a column "supported", other rows are drawn pale. Missing values are left out, and counted.
    ax : Axes, optional
        Where to draw; a new figure by default.
    min_gain : float, optional
        The least gain for which treatment is recommended.
    bins : int
        Bars.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When no benefit is finite, or a table has none of these columns.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> ax = ul.plot.predicted_benefit(np.random.default_rng(0).normal(0.05, 0.05, 500), min_gain=0.07)
    """
    values, supported = _read_benefit(benefit)
    there = np.isfinite(values)
    if not there.any():
        raise ValueError("benefit has no finite value")
    ax = axes_or_new(ax, (6.4, 4.2))
    colour = palette(1)[0]
    edges = _edges(values[there], bins, 0.0 if min_gain is None else min_gain)
    parts = [values[there & supported], values[there & ~supported]]
    ax.hist(parts, list(edges), stacked=True, color=[colour, PALE], edgecolor="white", linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=1, zorder=3)
    lines = [f"median {_signed(float(np.median(values[there])))} points"]
    if min_gain is not None:
        ax.axvline(min_gain, color="black", linewidth=1.4, linestyle=(0, (4, 3)), zorder=3)
        reached = (values[there] >= min_gain).mean()
        lines.append(f"{100 * reached:.0f} % of rows gain at least {100 * min_gain:g}")
    if len(parts[1]):
        lines.append(f"{len(parts[1])} rows are outside the support of the data (pale)")
    if (~there).any():
        lines.append(f"{int((~there).sum())} rows without a prediction")
    ax.set_title("\n".join(lines), fontsize=10)
    ax.xaxis.set_major_formatter(_POINTS)
    ax.set_xlabel("predicted gain in survival, in points")
    ax.set_ylabel("rows")
    open_frame(ax)
    return ax


def policy_values(result: PolicyValue | PolicyEvaluation, ax: Axes | None = None, *, difference: bool = False) -> Axes:
    """Values of treatment policies with their intervals, one line each.

    Parameters
    ----------
    result : PolicyValue or PolicyEvaluation
        Of `underlie.policy_value` or `underlie.evaluate_policy`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    difference : bool
        Draw paired differences to the reference, whose intervals are narrower, instead of values.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When `result` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> treated = rng.integers(2, size=400)
    >>> y = ul.Surv(rng.exponential(1 + treated), np.ones(400))
    >>> result = ul.policy_value({}, y, treated, propensity="shares", time=1.0, control=0)
    >>> ax = ul.plot.policy_values(result)
    """
    values = result.values if isinstance(result, PolicyEvaluation) else result
    _require(values, PolicyValue, "policy_value or evaluate_policy")
    table = values.table()
    columns = ["difference", "difference_lower", "difference_upper"] if difference else ["value", "lower", "upper"]
    if difference:
        table = table.drop(index=values.reference)
    in_points = values.is_probability
    colours = [GREY if name == values.reference else palette(1)[0] for name in table.index]
    ax = axes_or_new(ax, (7.2, 1.5 + 0.5 * len(table)))
    for at, (colour, (middle, lower, upper)) in enumerate(zip(colours, table[columns].to_numpy(), strict=True)):
        ax.plot([lower, upper], [at, at], color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
        ax.plot(middle, at, "s", color=colour, markersize=8, mec="white", zorder=3)
        ax.annotate(
            _interval(middle, lower, upper, in_points, difference),
            (1.02, at),
            xycoords=ax.get_yaxis_transform(),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    ax.axvline(
        0 if difference else float(table.loc[values.reference, "value"]),
        color=GREY,
        linewidth=1,
        linestyle=(0, (4, 3)),
        zorder=1,
    )
    ax.set_yticks(range(len(table)), list(table.index))
    ax.set_ylim(len(table) - 0.5, -0.5)
    if in_points:
        ax.xaxis.set_major_formatter(_POINTS)
    unit = ", in points" if in_points and difference else ", %" if in_points else ""
    ax.set_xlabel(f"{values.measure}{f' less {values.reference!r}' if difference else ''}{unit}")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    open_frame(ax, ("top", "right", "left"))
    return ax


def decision_curve(result: DecisionCurve, ax: Axes | None = None, *, intervals: bool | None = None) -> Axes:
    """Net benefit over thresholds: act on the model where its curve is above those of treating all and none.

    Parameters
    ----------
    result : DecisionCurve
        Of `underlie.decision_curve`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    intervals : bool, optional
        Draw pointwise intervals as bands; by default where there is one model.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When `result` is something else.

    Notes
    -----
    The curve of treating all is cut where it falls far below 0.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> y = ul.Surv(rng.exponential(np.exp(-x)), np.ones(500))
    >>> ax = ul.plot.decision_curve(ul.decision_curve({"truth": 1 - np.exp(-np.exp(x))}, y, time=1.0))
    """
    _require(result, DecisionCurve, "decision_curve")
    ax = axes_or_new(ax, (6.6, 4.6))
    models = [name for name in result.names if name not in (ALL, NONE)]
    bands = len(models) == 1 if intervals is None else intervals
    styles = ["-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))]
    for i, (name, colour, mark) in enumerate(zip(models, palette(len(models)), markers(len(models)), strict=True)):
        curve = result.net_benefit[result.names.index(name)]
        every = max(1, len(curve) // 8)
        ax.plot(
            result.thresholds,
            curve,
            color=colour,
            linestyle=styles[i % 4],
            linewidth=2,
            label=name,
            zorder=4,
            marker=mark if len(models) > 1 else None,
            markevery=(i * every // 3, every),
            markersize=6,
            mec="white",
        )
        if bands:
            ax.fill_between(result.thresholds, *result.bounds(name), color=colour, alpha=0.15, linewidth=0, zorder=2)
    everyone = result.net_benefit[result.names.index(ALL)]
    ax.plot(result.thresholds, everyone, color="#555555", linewidth=1.4, linestyle=(0, (6, 3)), label=ALL, zorder=3)
    ax.plot(result.thresholds, np.zeros(len(everyone)), color="#555555", linewidth=1.4, label=NONE, zorder=3)
    top = max(float(np.nanmax(result.net_benefit)), 0.01)
    ax.set_ylim(-0.15 * top, 1.12 * top)
    ax.xaxis.set_major_formatter(_POINTS)
    ax.set_xlabel(f"threshold: risk of an event by {result.time:g} from which one would act, %")
    ax.set_ylabel("net benefit, true positives per row")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(models) + 2, _NAMED_CURVES))
    open_frame(ax)
    return ax


def _require(result: object, kind: type, maker: str) -> None:
    if not isinstance(result, kind):
        raise TypeError(f"result must be what underlie.{maker} returns, got {type(result).__name__}")


def _padded(values: Array, share: float = 0.08) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = share * (high - low) or 0.05
    return low - margin, high + margin


def _rug(ax: Axes, benefit: Array) -> None:
    """Where the rows lie, along the lower edge."""
    ax.plot(
        benefit,
        np.zeros(len(benefit)),
        "|",
        color=GREY,
        markersize=9,
        alpha=min(1.0, 60 / len(benefit) + 0.08),
        transform=ax.get_xaxis_transform(),
        zorder=1,
        clip_on=True,
    )


def _read_benefit(benefit: Any) -> tuple[Array, NDArray[np.bool_]]:
    if not hasattr(benefit, "columns"):
        values = np.asarray(benefit, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"benefit must have one axis, the rows; it has shape {values.shape}")
        return values, np.ones(len(values), dtype=bool)
    found = [name for name in _BENEFIT_NAMES if name in benefit.columns]
    if not found:
        raise ValueError(f"benefit has no column 'effect', 'gain' or 'benefit' among {list(benefit.columns)}")
    values = np.asarray(benefit[found[0]], dtype=np.float64)
    if "supported" not in benefit.columns:
        return values, np.ones(len(values), dtype=bool)
    return values, np.asarray(benefit["supported"], dtype=bool)


def _edges(values: Array, bins: int, border: float) -> Array:
    """Edges of about so many bars, of which none lies across the border."""
    width = (float(values.max() - values.min()) or 0.01) / bins
    first, last = np.floor((values.min() - border) / width), np.ceil((values.max() - border) / width)
    return border + width * np.arange(first, max(last, first + 1) + 1)


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _interval(middle: float, lower: float, upper: float, in_points: bool, signed: bool) -> str:
    """Estimate and interval, in points with one decimal, or with two figures of the interval's width."""
    scale, width = (100.0, 0.0) if in_points else (1.0, upper - lower)
    digits = 1 if in_points or width <= 0 else max(0, 1 - int(np.floor(np.log10(width))))
    sign = "+" if signed else ""
    parts = [f"{scale * value:{sign}.{digits}f}".replace("-", "−") for value in (middle, lower, upper)]
    return f"{parts[0]} [{parts[1]}, {parts[2]}]"
