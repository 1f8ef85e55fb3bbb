"""Where a model's moments miss the data's."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from underlie.check import MegaResult
from underlie.plot.style import PALE, axes_or_new

_MOST_NAMES = 40
_MOST_NUMBERS = 8
_NOISE_SCALE = (3.0, 10.0)  # noise alone stays pale, and nearly constant columns do not blank out the others


def gap_heatmap(result: MegaResult, ax: Axes | None = None, *, relative: bool = False) -> Axes:
    """Gap of second moments, data minus model, for every pair of columns.

    Parameters
    ----------
    result : MegaResult
        Of `underlie.mega` with order 2.
    ax : Axes, optional
        Where to draw; a new figure by default.
    relative : bool
        Divide every entry by the standard deviation it would have if the model were right, so that beyond about 2 is
        more than chance (for one entry looked at alone). Pairs whose product never varies stay grey, and the
        colours end at 10 sd at most.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When the result has no second moment.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> X = load_iris().data
    >>> ax = ul.plot.gap_heatmap(ul.mega(PCA(1).fit(X[:50]), X))
    """
    if result.gap is None:
        raise ValueError('the result has no second moments, pair by pair; call mega with order=2 and form="tensor"')
    second = result.orders[2]
    shown = result.gap
    if relative:
        if second.noise is None:
            raise ValueError("the noise of single entries is not known here; draw with relative=False")
        varies = second.noise > 0
        shown = np.where(varies, result.gap / np.where(varies, second.noise, 1.0), np.nan)
    width = len(shown)
    # Few extreme entries of a large matrix would leave the rest blank: the scale ends at the 99.5 % point there.
    limit = float(np.nanquantile(np.abs(shown), 0.995 if width > _MOST_NAMES else 1.0)) or 1.0
    if relative:
        limit = float(np.clip(limit, *_NOISE_SCALE))
    side = float(np.clip(2.6 + 0.34 * width, 4.6, 9.0)) if width <= _MOST_NAMES else 6.0
    ax = axes_or_new(ax, (side + 1.2, side))
    image = ax.imshow(
        shown, cmap=mpl.colormaps["RdBu_r"].with_extremes(bad=PALE), vmin=-limit, vmax=limit, interpolation="nearest"
    )
    moment = r"$E[z_j z_k]$ of standardised columns" if result.standardized else r"$E[x_j x_k]$"
    if result.centred:
        moment = "correlation" if result.standardized else "covariance"
    label = f"{moment}: data − model" + (", in noise sd" if relative else "")
    extend = "both" if np.nanmax(np.abs(shown)) > limit * (1 + 1e-9) else "neither"
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85, extend=extend)
    if width <= _MOST_NAMES:
        crowded = max(map(len, result.feature_names)) * width > 30
        ax.set_xticks(range(width), result.feature_names)
        if crowded:
            plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(width), result.feature_names)
    else:
        ax.set_xlabel("column")
        ax.set_ylabel("column")
    if width <= _MOST_NUMBERS:
        _write_numbers(ax, shown, limit)
    ax.set_title(f"second moments: gap {result.second:.3g}, by chance {second.floor:.3g}", fontsize=11)
    return ax


def _write_numbers(ax: Axes, shown: np.ndarray, limit: float) -> None:
    for j, row in enumerate(shown):
        for k, value in enumerate(row):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            if np.isfinite(value):
                ax.text(k, j, f"{value:.2g}", ha="center", va="center", color=colour, fontsize=9)
