"""The latent plane: where rows lie in it, and what its points decode to."""

from __future__ import annotations

from typing import Any

import matplotlib.patheffects as patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import ndtri

from underlie.plot.images import mosaic
from underlie.plot.sources import decode, latent_means, n_latent_of, prior_sd, row_image_shape
from underlie.plot.style import GREY, PALE, axes_or_new, markers, open_frame, palette, panels

Array = NDArray[np.float64]
_MOST_GROUPS = 20
_SMALL_IMAGE = 20  # pixels; smaller ones run into each other without a line between


def latent(model: Any, X: object, y: object = None, ax: Axes | None = None) -> Axes:
    """Rows in the latent plane: posterior means E[z | x], coloured by label.

    Parameters
    ----------
    model : fitted estimator with ``transform``
        With more than two latent coordinates, the two whose means vary most over the rows are drawn.
    X : table, array or images
        n rows.
    y : array-like of shape (n,), optional
        Labels (up to 20 different values, or text), or a number to show as a colour. Missing labels are pale grey.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no latent coordinates.
    ValueError
        When `y` has another length than X.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> digits = load_digits()
    >>> ax = ul.plot.latent(PCA(2).fit(digits.data), digits.data, digits.target)
    >>> ax.get_xlabel()
    'latent mean 1'
    """
    means = latent_means(model, X)
    labels = None if y is None else np.asarray(y).ravel()
    if labels is not None and len(labels) != len(means):
        raise ValueError(f"y has {len(labels)} labels for {len(means)} rows")
    shown = widest_pair(means)
    ax = axes_or_new(ax, (6.4, 5.2))
    points = _plane(means, shown)
    size = float(np.clip(25_000 / len(points), 4, 36))
    if labels is None:
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            color=palette(1)[0],
            alpha=0.6,
            linewidths=0,
            rasterized=len(points) > 5000,
        )
    elif _is_scale(labels):
        shades = ax.scatter(
            points[:, 0], points[:, 1], s=size, c=labels.astype(float), cmap="viridis", alpha=0.8, linewidths=0
        )
        ax.figure.colorbar(shades, ax=ax, label=str(getattr(y, "name", None) or "y"))
    else:
        _scatter_groups(ax, points, labels, size, str(getattr(y, "name", None) or "label"))
    among = f" (of {means.shape[1]}; the two that vary most)" if means.shape[1] > 2 else ""
    ax.set_xlabel(f"latent mean {shown[0] + 1}{among}")
    ax.set_ylabel(f"latent mean {shown[1] + 1}" if len(shown) > 1 else "(spread at random)")
    if len(shown) == 2:
        ax.set_aspect("equal", adjustable="datalim")
    open_frame(ax)
    return ax


def widest_pair(means: Array) -> tuple[int, ...]:
    """The two latent coordinates with the largest variance over rows, in their own order; one when there is one."""
    width = means.shape[1]
    if width <= 2:
        return tuple(range(width))
    return tuple(sorted(int(j) for j in np.argsort(-means.var(axis=0), kind="stable")[:2]))


def _plane(means: Array, shown: tuple[int, ...]) -> Array:
    if len(shown) == 2:
        return means[:, list(shown)]
    return np.column_stack([means[:, 0], np.random.default_rng(0).uniform(-1, 1, len(means))])


def _is_scale(labels: NDArray[Any]) -> bool:
    """Whether labels are numbers on a scale rather than groups."""
    if labels.dtype.kind not in "fiu":
        return False
    seen = labels[np.isfinite(labels)] if labels.dtype.kind == "f" else labels
    return len(np.unique(seen)) > _MOST_GROUPS


def _scatter_groups(ax: Axes, points: Array, labels: NDArray[Any], size: float, title: str) -> None:
    missing = np.array([value is None or value != value for value in labels])
    if missing.any():
        ax.scatter(
            points[missing, 0], points[missing, 1], s=size, color=PALE, linewidths=0, label="unlabelled", zorder=0
        )
    levels = sorted(set(labels[~missing].tolist()), key=lambda level: (isinstance(level, str), level))
    colours, shapes = palette(len(levels)), markers(len(levels))
    for level, colour, shape in zip(levels, colours, shapes, strict=True):
        own = np.array([value == level for value in labels])
        text = f"{level:g}" if isinstance(level, float) else str(level)
        ax.scatter(
            points[own, 0], points[own, 1], s=size, color=colour, marker=shape, alpha=0.7, linewidths=0, label=text
        )
        if len(levels) > 2 and len(text) <= 12:
            halo = [patheffects.withStroke(linewidth=3, foreground="white")]
            x, y = np.median(points[own], axis=0)
            ax.text(x, y, text, ha="center", va="center", weight="bold", fontsize=11, path_effects=halo, zorder=5)
    columns = -(-len(levels) // 12)
    ax.legend(title=title, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, ncols=columns, markerscale=1.5)


def decoded_grid(
    model: Any,
    n: int = 15,
    ax: Axes | None = None,
    *,
    coordinates: tuple[int, int] = (0, 1),
    image_shape: tuple[int, ...] | None = None,
) -> Axes:
    """Decoded images E[x | z] over the latent plane, at equally probable steps of the prior.

    Coordinate i of n is the standard normal quantile of (i - 1/2) / n, times the prior's standard deviation; other
    latent coordinates are 0.

    Parameters
    ----------
    model : fitted estimator with ``inverse_transform``
        Of images.
    n : int
        Steps along each axis.
    ax : Axes, optional
        Where to draw; a new figure by default.
    coordinates : pair of int
        The two latent coordinates (from 0) that span the plane.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When the model has fewer than two latent coordinates, or the rows are no images.

    References
    ----------
    Kingma & Welling (2013), figure 4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> ax = ul.plot.decoded_grid(PCA(2).fit(load_digits().data), n=9)
    """
    width = n_latent_of(model)
    if width < 2 or max(coordinates) >= width:
        raise ValueError(
            f"a grid over coordinates {coordinates} needs more latent coordinates than the model's {width}"
        )
    spread = prior_sd(model, width)
    steps = ndtri((np.arange(n) + 0.5) / n)
    across, up = steps * spread[coordinates[0]], steps * spread[coordinates[1]]
    z = np.zeros((n * n, width))
    z[:, coordinates[0]] = np.tile(across, n)
    z[:, coordinates[1]] = np.repeat(up[::-1], n)
    rows = decode(model, z).reshape(n * n, -1)
    stack = rows.reshape(n * n, *row_image_shape(model, rows.shape[1], image_shape))
    ax = axes_or_new(ax, (5.6, 5.6))
    canvas, corners = mosaic(stack, n, gap=1 if min(stack.shape[1:3]) < _SMALL_IMAGE else 0)
    low, high = np.quantile(stack, [0.001, 0.999])
    ax.imshow(canvas, cmap="gray_r", vmin=low, vmax=high if high > low else low + 1, interpolation="nearest")
    _label_steps(ax, corners, stack.shape[1:3], across, up, coordinates)
    return ax


def _label_steps(
    ax: Axes,
    corners: list[tuple[int, int]],
    shape: tuple[int, ...],
    across: Array,
    up: Array,
    coordinates: tuple[int, int],
) -> None:
    n = len(across)
    marked = np.unique(np.linspace(0, n - 1, min(n, 5)).round().astype(int))
    places = [corners[i][1] + shape[1] / 2 for i in marked]
    ax.set_xticks(places, [f"{across[i]:.2g}" for i in marked])
    heights = [corners[(n - 1 - i) * n][0] + shape[0] / 2 for i in marked]
    ax.set_yticks(heights, [f"{up[i]:.2g}" for i in marked])
    ax.set_xlabel(f"latent coordinate {coordinates[0] + 1}")
    ax.set_ylabel(f"latent coordinate {coordinates[1] + 1}")
    ax.tick_params(length=0, colors=GREY)
    open_frame(ax, ("top", "right", "left", "bottom"))


def latent_and_grid(
    model: Any, X: object, y: object = None, *, n: int = 15, image_shape: tuple[int, ...] | None = None
) -> Figure:
    """Rows in the latent plane beside what the plane decodes to.

    Parameters
    ----------
    model, X, y
        As in `latent`.
    n, image_shape
        As in `decoded_grid`; the grid spans the two coordinates that the scatter shows.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> digits = load_digits()
    >>> figure = ul.plot.latent_and_grid(PCA(2).fit(digits.data), digits.data, digits.target)
    """
    shown = widest_pair(latent_means(model, X))
    if len(shown) < 2:
        raise ValueError("the model has one latent coordinate; a plane needs two")
    figure, (left, right) = panels(2, (12.5, 5.6), width_ratios=[1.15, 1])
    latent(model, X, y, ax=left)
    decoded_grid(model, n, ax=right, coordinates=(shown[0], shown[1]), image_shape=image_shape)
    left.set_title("where the data lie: E[z | x]", fontsize=11)
    right.set_title("what the plane decodes to: E[x | z]", fontsize=11)
    return figure
