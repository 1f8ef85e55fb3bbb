"""Choosing among models: criteria of mixtures, and the path of the penalised likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from underlie.plot.style import GREY, axes_or_new, markers, open_frame, palette


def mixture_criteria(selection: Any, criterion: str | None = None, ax: Axes | None = None) -> Axes:
    """A criterion of Gaussian mixtures against the number of components, one line per covariance structure.

    Bars are two standard errors, paired by row, of the difference to the chosen model: a filled mark whose bar reaches
    the dashed line is not told apart from it. Crosses at the foot are mixtures without a proper fit.

    Parameters
    ----------
    selection : MixtureSelection
        From ``ul.fit_mixtures``.
    criterion : {"bic", "icl", "aic"}, optional
        The one that chose by default; another is drawn without bars.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When the criterion is unknown.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import underlie as ul
    >>> ul.plot.mixture_criteria(ul.fit_mixtures(load_iris().data, range(1, 4), random_state=0)).get_ylabel()
    'BIC (lower is better)'
    """
    own = selection.criterion
    criterion = own if criterion is None else criterion
    if criterion not in ("bic", "icl", "aic"):
        raise ValueError(f"criterion={criterion!r}: choose among bic, icl, aic")
    ax = axes_or_new(ax, (7.2, 4.5))
    table = selection.table
    types = list(dict.fromkeys(table.index.get_level_values("covariance")))
    for kind, colour, marker in zip(types, palette(len(types)), markers(len(types)), strict=True):
        rows = table.xs(kind, level="covariance")
        k = rows.index.to_numpy()
        values = rows[criterion].to_numpy()
        bars = 2 * rows["difference_se"].to_numpy() if criterion == own else None
        ax.errorbar(
            k, values, bars, color=colour, marker=marker, markersize=5, linewidth=1.2, elinewidth=0.7, label=kind
        )
        missing = k[np.isnan(values)]
        if len(missing):
            ax.plot(
                missing,
                np.full(len(missing), 0.015 + 0.02 * types.index(kind)),
                "x",
                color=colour,
                transform=ax.get_xaxis_transform(),
                label=f"{kind}: no proper fit",
            )
    best = table[criterion].idxmin()
    ax.axhline(table.loc[best, criterion], color=GREY, linewidth=1, linestyle="--")
    ax.plot(best[0], table.loc[best, criterion], "o", markersize=13, markerfacecolor="none", markeredgecolor="black")
    ax.set_xlabel("number K of components")
    ax.set_ylabel(f"{criterion.upper()} (lower is better)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    near = f"; {len(selection.indistinguishable)} more within 2 s.e." if criterion == own else ""
    ax.set_title(f"lowest: K = {best[0]}, {best[1]}{near}", fontsize=11)
    ax.legend(frameon=False, fontsize=9)
    open_frame(ax)
    return ax


def selection_path(path: Any, ax: Axes | None = None) -> Axes:
    """Penalised log-likelihood of models against the weight alpha of the penalty on their moment gaps.

    The models of the path are drawn over the stretch of alpha for which each is best and, thin, beyond it; the others
    are grey. Where the gaps are flat, all lines are parallel, and the title says so.

    Parameters
    ----------
    path : SelectionPath
        From ``ul.selection_path``.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> X = load_iris().data
    >>> path = ul.selection_path({m: PCA(m).fit(X[::2]) for m in (1, 2, 3)}, X[1::2], [0, 1, 2])
    >>> ul.plot.selection_path(path).get_xlabel()
    'weight alpha of the penalty'
    """
    ax = axes_or_new(ax, (7.2, 4.5))
    table, steps = path.table, path.path
    largest = max(float(path.chosen.index.max()), 1.3 * float(steps["alpha_from"].max()), 1e-6)
    alphas = np.linspace(0.0, largest, 101)
    top = _gain(table, alphas).max(axis=0)
    names = list(steps.index)
    for name, own in zip(table.index, _gain(table, alphas), strict=True):
        if name not in names:
            ax.plot(alphas, own - top, color=GREY, linewidth=0.6, zorder=1)
    for name, colour, marker in zip(names, palette(len(names)), markers(len(names)), strict=True):
        own = _gain(table.loc[[name]], alphas)[0] - top
        start, end = steps.loc[name, "alpha_from"], min(steps.loc[name, "alpha_to"], largest)
        ax.plot(alphas, own, color=colour, linewidth=0.9)
        ax.plot([start, end], [0, 0], color=colour, marker=marker, linewidth=4, markersize=8, label=name, zorder=3)
    ax.set_xlabel("weight alpha of the penalty")
    ax.set_ylabel("penalised log-likelihood\nless the best (nats per row)")
    shown = table if len(names) == 1 else table.loc[names]
    lowest = max(float(np.min(_gain(shown, alphas) - top)), -5.0 * float(np.ptp(table["log_likelihood"])))
    lowest = min(lowest, -1e-3)
    ax.set_ylim(1.1 * lowest, -0.08 * lowest)
    flat = "gaps cannot tell these models apart" if "penalty" in path.flat else " → ".join(names)
    ax.set_title(flat, fontsize=11)
    ax.legend(frameon=False, fontsize=9, title="best over", loc="lower left")
    open_frame(ax)
    return ax


def _gain(table: Any, alphas: Any) -> Any:
    """Penalised log-likelihoods, models by alphas."""
    return table["log_likelihood"].to_numpy()[:, None] - table["penalty"].to_numpy()[:, None] * alphas
