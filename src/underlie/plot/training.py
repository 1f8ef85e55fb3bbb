"""How training went."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from underlie.check.adapters import check_fitted
from underlie.plot.style import GREY, axes_or_new, open_frame, palette

Array = NDArray[np.float64]
_NAMED_REPLICATES = 5


def training_curves(model: Any, ax: Axes | None = None) -> Axes:
    """Bound on the log-likelihood after each epoch, on training and held-out rows, with the epoch that was kept.

    Parameters
    ----------
    model : estimator learned by gradients
        With ``history_``: arrays "train" and "valid" of shape (R, epochs) for R replicates, higher is better, NaN after
        a replicate's end. Epoch 0 is the model before any step.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model keeps no history.

    Notes
    -----
    The vertical axis is cut at the tenth percentile of all values where the first epochs would otherwise flatten the
    rest.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> class Trained:
    ...     history_ = {"train": np.array([[-9.0, -5.0, -4.0]]), "valid": np.array([[-9.0, -5.2, -4.9]])}
    >>> ax = ul.plot.training_curves(Trained())
    >>> ax.get_xlabel()
    'epoch'
    """
    check_fitted(model)
    history = getattr(model, "history_", None)
    if history is None:
        raise TypeError(f"{type(model).__name__} keeps no history_; only models learned by gradients have curves")
    train = np.atleast_2d(np.asarray(history["train"], dtype=float))
    valid = np.atleast_2d(np.asarray(history.get("valid", train), dtype=float))
    held_out = "valid" in history and not np.array_equal(train, valid, equal_nan=True)
    best = _best_replicate(model, valid)
    ax = axes_or_new(ax)
    colours = palette(len(valid)) if len(valid) <= _NAMED_REPLICATES else [GREY] * len(valid)
    if len(valid) > _NAMED_REPLICATES:
        colours[best] = palette(1)[0]
    for r in [*(i for i in range(len(valid)) if i != best), best]:
        marked = r == best or len(valid) <= _NAMED_REPLICATES
        _draw_replicate(ax, train[r], valid[r] if held_out else None, colours[r], front=r == best, marked=marked)
    _legend(ax, len(valid), best, colours, held_out=held_out)
    ax.set_ylim(*_limits(np.concatenate([train, valid])))
    ax.set_xlim(left=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel("bound on log p(x), nats per row")
    open_frame(ax)
    return ax


def _best_replicate(model: Any, valid: Array) -> int:
    stated = getattr(model, "best_replicate_", None)
    reached = np.where(np.isfinite(valid), valid, -np.inf).max(axis=1)
    return int(np.argmax(reached)) if stated is None else int(stated)


def _draw_replicate(ax: Axes, train: Array, valid: Array | None, colour: str, *, front: bool, marked: bool) -> None:
    weight, order = (2.0, 3) if front else (1.0, 2)
    epochs = np.arange(len(train))
    ax.plot(epochs, train, color=colour, linewidth=weight, linestyle=(0, (4, 2)), alpha=0.8, zorder=order)
    judged = train if valid is None else valid
    if valid is not None:
        ax.plot(epochs, valid, color=colour, linewidth=weight, zorder=order)
    if marked and np.isfinite(judged).any():
        kept = int(np.argmax(np.where(np.isfinite(judged), judged, -np.inf)))
        ax.plot(kept, judged[kept], "o", color=colour, markersize=8 if front else 6, zorder=order + 1, mec="white")


def _legend(ax: Axes, n: int, best: int, colours: list[str], *, held_out: bool) -> None:
    dark = "#333333" if n > 1 else colours[0]
    ax.plot([], [], color=dark, linestyle=(0, (4, 2)), label="training rows")
    if held_out:
        ax.plot([], [], color=dark, label="held-out rows")
    ax.plot([], [], "o", color=dark, mec="white", markersize=7, label="epoch kept")
    if 1 < n <= _NAMED_REPLICATES:
        for r in range(n):
            ax.plot([], [], color=colours[r], linewidth=3, label=f"replicate {r}" + (" (best)" if r == best else ""))
    elif n > 1:
        ax.plot([], [], color=colours[best], linewidth=3, label=f"best of {n} replicates ({best})")
        ax.plot([], [], color=GREY, linewidth=3, label="other replicates")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _limits(curves: Array) -> tuple[float, float]:
    """From the lowest value, or from the tenth percentile where the lowest would flatten the rest, to the largest."""
    reached = curves[np.isfinite(curves)]
    if not len(reached):
        return -1.0, 1.0
    low, high, lowest = float(np.quantile(reached, 0.1)), float(reached.max()), float(reached.min())
    if high - lowest <= 1.5 * (high - low):
        low = lowest
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
