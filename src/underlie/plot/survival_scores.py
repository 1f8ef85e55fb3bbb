"""Scores of survival models over repeated splits, as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, overload

import matplotlib.pyplot as plt
import narwhals as nw
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from underlie.check.survival.judging import METRICS
from underlie.check.survival.model_comparison import SurvivalModelComparison
from underlie.plot.style import GREY, PALE, axes_or_new, open_frame, palette, panels

Array = NDArray[np.float64]
_COLUMNS = ("split", "model", "metric", "value")
_MOST_JOINED = 12  # splits whose points are joined by lines
_SPREAD = 0.16


@overload
def survival_boxplots(
    scores: Any, metrics: str = ..., ax: Axes | None = ..., *, reference: str | None = ..., relative: bool = ...
) -> Axes: ...
@overload
def survival_boxplots(
    scores: Any, metrics: Sequence[str], ax: None = ..., *, reference: str | None = ..., relative: bool = ...
) -> Figure: ...
def survival_boxplots(
    scores: Any,
    metrics: str | Sequence[str] = "integrated_brier",
    ax: Axes | None = None,
    *,
    reference: str | None = None,
    relative: bool = False,
) -> Axes | Figure:
    """Boxplots of a metric over the splits, one box per model, with a point for each split.

    The box is the middle half of the splits and the bar its median; whiskers reach the outermost splits. A dashed line
    is the median of the reference. Up to twelve splits are joined over the models, as they are the same rows.

    Parameters
    ----------
    scores : SurvivalModelComparison, or table
        Of `underlie.compare_survival_models`; or a table with columns split, model, metric and value. Models stand in
        the order given.
    metrics : str or sequence of str
        One, or several for a panel each. Models without a metric are left out of its panel.
    ax : Axes, optional
        Where to draw a single metric; a new figure by default.
    reference : str, optional
        Model whose median is drawn; the comparison's own by default, none for a table.
    relative : bool
        Draw differences to the reference in the same split, where what makes a split easy or hard for all models
        cancels.

    Returns
    -------
    matplotlib.axes.Axes, or Figure where several metrics are given as a sequence

    Raises
    ------
    ValueError
        When there is no such metric, model or column, a split occurs twice, or `relative` has no reference.

    References
    ----------
    Beaulac, Rosenthal and Hodgson (2018), Machine Learning for Health workshop (boxplots over random splits).

    Examples
    --------
    >>> import underlie as ul
    >>> data = ul.datasets.load_gbsg2()
    >>> X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    >>> models = {"Kaplan-Meier": "kaplan-meier", "Cox": "cox"}
    >>> result = ul.compare_survival_models(models, X, y, n_splits=3, metrics=["integrated_brier"])
    >>> ax = ul.plot.survival_boxplots(result)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['Kaplan-Meier', 'Cox']
    """
    columns, order, chosen = _read(scores, reference)
    if relative and chosen is None:
        raise ValueError("relative=True draws differences to a reference: name it, reference='Cox'")
    if isinstance(metrics, str):
        values = _values(columns, metrics, order, chosen, relative=relative)
        ax = axes_or_new(ax, (max(4.2, 1.6 + 0.95 * len(values)), 4.2))
        _draw(ax, values, metrics, chosen, relative=relative)
        return ax
    if ax is not None:
        raise ValueError("ax is for one metric; several make a figure of their own")
    if not metrics:
        raise ValueError("metrics is empty; name at least one")
    tables = {name: _values(columns, name, order, chosen, relative=relative) for name in metrics}
    widths = [max(3.4, 1.2 + 0.75 * len(values)) for values in tables.values()]
    figure, axes = panels(len(tables), (sum(widths), 4.2), width_ratios=widths)
    for panel, (name, values) in zip(axes, tables.items(), strict=True):
        _draw(panel, values, name, chosen, relative=relative)
    return figure


def _read(scores: Any, reference: str | None) -> tuple[dict[str, list[Any]], list[str], str | None]:
    """Columns of the long table, models in order, and the reference."""
    known = isinstance(scores, SurvivalModelComparison)
    table = nw.from_native(scores.scores if known else scores, eager_only=True)
    if absent := [name for name in _COLUMNS if name not in table.columns]:
        raise ValueError(f"scores: no column {absent[0]!r} among {table.columns}")
    columns = {name: table[name].to_list() for name in _COLUMNS}
    order = list(scores.models) if known else list(dict.fromkeys(columns["model"]))
    chosen = scores.reference if known and reference is None else reference
    if chosen is not None and chosen not in order:
        raise ValueError(f"reference {chosen!r} is not among the models {order}")
    return columns, order, chosen


def _values(
    columns: dict[str, list[Any]], metric: str, order: list[str], reference: str | None, *, relative: bool
) -> dict[str, dict[Any, float]]:
    """Value by model and split, of models that have any."""
    found: dict[str, dict[Any, float]] = {model: {} for model in order}
    for split, model, name, value in zip(*(columns[part] for part in _COLUMNS), strict=True):
        if name == metric and value is not None and np.isfinite(value):
            if split in found[model]:
                raise ValueError(f"scores: two rows for the {metric} of {model!r} in split {split!r}")
            found[model][split] = float(value)
    if not any(found.values()):
        raise ValueError(
            f"scores: no value of the metric {metric!r}; there are {list(dict.fromkeys(columns['metric']))}"
        )
    if relative and reference is not None:
        base = dict(found.pop(reference))
        found = {m: {s: v - base[s] for s, v in own.items() if s in base} for m, own in found.items()}
        if not any(found.values()):
            raise ValueError(f"no model shares a split with the reference {reference!r} in {metric!r}")
    return {model: own for model, own in found.items() if own}


def _draw(ax: Axes, values: dict[str, dict[Any, float]], name: str, reference: str | None, *, relative: bool) -> None:
    models = list(values)
    blue, red = palette(2)
    level = 0.0 if relative else None
    if not relative and reference in values:
        level = float(np.median(list(values[reference].values())))
    if level is not None:
        label = f"equal to {reference}" if relative else f"median of {reference}"
        ax.axhline(level, color=red, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1, label=label)
    splits = list(dict.fromkeys(split for own in values.values() for split in own))
    offsets = dict(zip(splits, _spread(len(splits)), strict=True))
    if 1 < len(splits) <= _MOST_JOINED:
        for split in splits:
            at = [(i + offsets[split], values[m][split]) for i, m in enumerate(models) if split in values[m]]
            ax.plot(*zip(*at, strict=True), color=PALE, linewidth=0.8, zorder=1.5)
    ax.boxplot(
        [list(own.values()) for own in values.values()],
        positions=range(len(models)),
        widths=0.5,
        whis=(0, 100),
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#0072B222", "edgecolor": blue, "linewidth": 1.1},
        medianprops={"color": blue, "linewidth": 2.2},
        whiskerprops={"color": blue, "linewidth": 1.1},
        capprops={"color": blue, "linewidth": 1.1},
        zorder=2,
    )
    for i, own in enumerate(values.values()):
        x = [i + offsets[split] for split in own]
        ax.plot(x, list(own.values()), "o", color=GREY, markersize=4, mec="white", mew=0.6, zorder=3)
    _label(ax, models, name, len(splits), reference, relative=relative)


def _spread(n: int) -> Array:
    """Sideways places of n points, in an order in which neighbours in time do not stand side by side."""
    if n == 1:
        return np.zeros(1)
    places = np.linspace(-_SPREAD, _SPREAD, n)
    step = max(round(n * 0.618), 1)
    while np.gcd(step, n) != 1:
        step += 1
    return places[(np.arange(n) * step) % n]


def _label(ax: Axes, models: list[str], name: str, n: int, reference: str | None, *, relative: bool) -> None:
    metric = METRICS.get(name)
    words = metric.label if metric else name.replace("_", " ")
    way: str | None = metric.better if metric else None
    if relative:
        words = f"{words},\nminus that of {reference}"
        way = way and {"lower": "negative", "higher": "positive"}[way]
    ax.set_ylabel(f"{words}\n({way} is better)" if way else words)
    ax.set_xticks(range(len(models)), models)
    ax.set_xlim(-0.6, len(models) - 0.4)
    slot = ax.get_position().width * ax.figure.get_figwidth() / len(models)  # type: ignore[union-attr]
    if any((len(left) + len(right)) / 2 * 0.085 > slot for left, right in pairwise(models)):
        plt.setp(ax.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    ax.set_title(f"{n} split{'s' if n > 1 else ''}", fontsize=10, loc="left")
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", length=0)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, fontsize=9)
    open_frame(ax)
