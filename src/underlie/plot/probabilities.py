"""Are stated probabilities right? Shares of right predictions against what the model said."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from underlie.plot.style import GREY, axes_or_new, open_frame, palette


def reliability(
    confidence: ArrayLike, share: ArrayLike, lower: ArrayLike, upper: ArrayLike, ax: Axes | None = None
) -> Axes:
    """Share of right predictions in groups of rows against the mean probability that the model gave them.

    On the diagonal probabilities are right; below it the model is too confident.

    Parameters
    ----------
    confidence : array-like (k,)
        Mean probability of the predicted class in each group.
    share, lower, upper : array-like (k,)
        Share of right predictions in each group, with the ends of its interval.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When the groups are not the same, or a number is no probability.

    References
    ----------
    Murphy & Winkler (1977), Reliability of subjective probability forecasts of precipitation and temperature.

    Examples
    --------
    >>> import underlie as ul
    >>> ax = ul.plot.reliability([0.6, 0.9], [0.5, 0.9], [0.4, 0.85], [0.6, 0.95])
    >>> ax.get_ylabel()
    'share of right predictions'
    """
    x, y, low, high = (np.asarray(part, dtype=float) for part in (confidence, share, lower, upper))
    if not (x.shape == y.shape == low.shape == high.shape and x.ndim == 1 and len(x)):
        raise ValueError(f"one number per group is needed, got shapes {x.shape}, {y.shape}, {low.shape}, {high.shape}")
    if not all(((part >= 0) & (part <= 1)).all() for part in (x, y, low, high)):
        raise ValueError("confidence, share and its ends must be probabilities, between 0 and 1")
    ax = axes_or_new(ax, (5.6, 4.8))
    start = max(0.0, float(min(x.min(), low.min())) - 0.05)
    line = (0, (4, 3))
    ax.plot([start, 1], [start, 1], color=GREY, linewidth=1.2, linestyle=line, label="right probabilities")
    errors = np.maximum([y - low, high - y], 0.0)
    blue = palette(1)[0]
    ax.errorbar(x, y, yerr=errors, fmt="o", color=blue, capsize=2.5, elinewidth=1.2, mec="white", markersize=7)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlim(start, 1.01)
    ax.set_ylim(start, 1.01)
    ax.set_aspect("equal")
    ax.set_xlabel("probability of the predicted class")
    ax.set_ylabel("share of right predictions")
    ax.legend(frameon=False, loc="upper left", fontsize=9)
    open_frame(ax)
    return ax
