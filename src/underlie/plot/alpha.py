"""The path over the weight of the generative part of a semi-supervised model."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from underlie.plot.style import GREY, axes_or_new, open_frame, palette

_WORDS = {
    "accuracy": "accuracy of held-out rows",
    "log_loss": "-log q(y | x) of held-out rows\n(nats per row, lower is better)",
    "calibration_error": "calibration error of held-out rows\n(lower is better)",
    "brier_score": "Brier score of held-out rows\n(lower is better)",
    "log_p_x": "bound on log p(x) of held-out rows\n(nats per row)",
    "train_log_q": "log q(y | x) of labelled training rows\n(nats per row)",
}


def alpha_path(path: Any, measure: str = "accuracy", ax: Axes | None = None) -> Axes:
    """A measure against the weight alpha of the generative part, with a band of two standard errors.

    The weight's axis is logarithmic; alpha = 0, plain supervised learning, stands apart at its left and its mean is a
    dashed line across. Grey marks are single fits. Filled marks differ from alpha = 0 by more than two standard errors
    of the paired difference, which the band does not show.

    Parameters
    ----------
    path : AlphaPath
        From ``ul.alpha_path``.
    measure : str
        A measure of its table.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When there is no such measure.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> X, y = digits.data[:300], digits.target[:300]
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2)
    >>> path = ul.alpha_path(model, X[:200], y[:200], X[200:], y[200:], [0.1, 1], n_replicates=2, random_state=0)
    >>> ul.plot.alpha_path(path, "log_loss").get_xlabel()
    'weight alpha of the generative part'
    """
    if measure not in _WORDS:
        raise ValueError(f"measure={measure!r}: choose among {', '.join(_WORDS)}")
    table = path.table.loc[measure]
    ax = axes_or_new(ax, (6.4, 4.2))
    places = _places(table.index.to_numpy())
    colour = palette(1)[0]
    runs = path.runs[measure]
    ax.plot(np.repeat(places, runs.groupby("alpha").size()), runs, "_", color=GREY, markersize=7, zorder=1)
    mean, error = table["mean"].to_numpy(), np.nan_to_num(2 * table["se"].to_numpy())
    ax.axhline(mean[0], color=GREY, linewidth=1, linestyle="--", zorder=1)
    ax.fill_between(places[1:], (mean - error)[1:], (mean + error)[1:], color=colour, alpha=0.2, linewidth=0)
    ax.errorbar(places[0], mean[0], error[0], color=colour, elinewidth=1.2, capsize=3)
    ax.plot(places[1:], mean[1:], color=colour, linewidth=1.5, label="mean")
    apart = (table["difference"].abs() > 2 * table["difference_se"]).to_numpy()
    for told, face, text in ((True, colour, "differs from α = 0 by more than 2 s.e."), (False, "white", None)):
        ax.plot(places[apart == told], mean[apart == told], "o", color=colour, mfc=face, label=text, zorder=3)
    ax.set_xticks(places, ["0\n(labels only)", *(f"{alpha:g}" for alpha in table.index[1:])])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("weight alpha of the generative part")
    ax.set_ylabel(_WORDS[measure])
    if apart.any():
        ax.legend(
            handles=ax.get_lines()[-2:-1], frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0)
        )
    open_frame(ax)
    return ax


def _places(alphas: Any) -> Any:
    """log10 of each alpha, and 0 one and a half decades before the smallest."""
    logs = np.log10(alphas[1:])
    return np.array([(logs[0] if len(logs) else 0.0) - 1.5, *logs])
