"""Grids of images: given ones, and what a model generates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

from underlie.check.adapters import moment_model
from underlie.check.seeds import generator, integer_seed
from underlie.plot.sources import row_image_shape
from underlie.plot.style import axes_or_new, panels

Array = NDArray[np.float64]
What = Literal["sample", "mean", "sd"]
_TITLES = {"sample": "samples x ~ p(x)", "mean": "means E[x | z], z ~ p(z)", "sd": "standard deviations sd[x | z]"}


def image_grid(
    images: object,
    ncols: int | None = None,
    titles: Sequence[object] | None = None,
    ax: Axes | None = None,
    *,
    cmap: str = "gray_r",
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Images side by side on one scale.

    Parameters
    ----------
    images : array of shape (n, h, w) or (n, h, w, 3)
        Missing pixels (NaN) are left blank.
    ncols : int, optional
        Images in a row; by default about square.
    titles : sequence, optional
        One short text above each image.
    ax : Axes, optional
        Where to draw; a new figure by default.
    cmap : str
        Colour map; by default large values are dark.
    limits : tuple of float, optional
        Values at the two ends of the colour map, by default the smallest and largest shown.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When `images` is not a stack of images, or there is not one title for each.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import underlie as ul
    >>> digits = load_digits()
    >>> ax = ul.plot.image_grid(digits.images[:20], ncols=10, titles=digits.target[:20])
    """
    stack = np.asarray(images, dtype=float)
    if stack.ndim not in (3, 4) or 0 in stack.shape:
        raise ValueError(f"images: expected an array (n, h, w) or (n, h, w, 3), got shape {stack.shape}")
    if titles is not None and len(titles) != len(stack):
        raise ValueError(f"titles: {len(titles)} given for {len(stack)} images")
    columns = ncols or int(np.ceil(np.sqrt(len(stack))))
    canvas, corners = mosaic(stack, columns, head=0.35 if titles is not None else 0.0)
    height, width = canvas.shape[:2]
    ax = axes_or_new(ax, _figure_size(width / height))
    low, high = limits or (float(np.nanmin(stack)), float(np.nanmax(stack)))
    ax.imshow(canvas, cmap=cmap, vmin=low, vmax=high if high > low else low + 1, interpolation="nearest")
    ax.set_axis_off()
    if titles is not None:
        for (top, left), title in zip(corners, titles, strict=True):
            ax.text(left + stack.shape[2] / 2 - 0.5, top - 1.0, str(title), ha="center", va="bottom", fontsize=9)
    return ax


def mosaic(
    stack: Array, columns: int, head: float = 0.0, gap: int | None = None
) -> tuple[Array, list[tuple[int, int]]]:
    """One large image of n images (n, h, w[, c]), and each one's top left corner.

    `gap` pixels are blank between images (by default a sixteenth of an image), and `head` of its height above each.
    """
    n, h, w = stack.shape[:3]
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    gap = max(1, round(min(h, w) / 16)) if gap is None else gap
    above = max(gap, round(head * h))
    canvas = np.full((rows * (h + above) + gap, columns * (w + gap) + gap, *stack.shape[3:]), np.nan)
    corners = []
    for i, image in enumerate(stack):
        top, left = (i // columns) * (h + above) + above, (i % columns) * (w + gap) + gap
        canvas[top : top + h, left : left + w] = image
        corners.append((top, left))
    return canvas, corners


def _figure_size(aspect: float) -> tuple[float, float]:
    """Inches of a figure of this width over height, its longer side at most 7 and its shorter at least 1.2."""
    width, height = (7.0, 7.0 / aspect) if aspect > 1 else (6.0 * aspect, 6.0)
    return max(width, 1.2), max(height, 1.2)


def samples(
    model: Any,
    n: int = 64,
    what: What = "sample",
    ax: Axes | None = None,
    *,
    image_shape: tuple[int, ...] | None = None,
    random_state: object = None,
) -> Axes:
    """Images that a model generates: samples, or means or standard deviations given z drawn from the prior.

    Parameters
    ----------
    model : fitted estimator
        Of images, from underlie or scikit-learn's GaussianMixture, PCA and FactorAnalysis.
    n : int
        Number of images.
    what : {"sample", "mean", "sd"}
        x ~ p(x); E[x | z] or sd[x | z] with z ~ p(z).
    ax : Axes, optional
        Where to draw; a new figure by default.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When `what` is something else, or the rows are no images.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> ax = ul.plot.samples(PCA(10).fit(load_digits().data), n=16, random_state=0)
    """
    images = generate(model, n, what, image_shape=image_shape, seed=integer_seed(generator(random_state)))
    columns = int(np.ceil(np.sqrt(n)))
    tall = -(-n // columns) * images.shape[1] / (columns * images.shape[2])
    ax = _draw_generated(images, what, axes_or_new(ax, (5.6, max(1.5, 4.4 * tall + 0.6))), None)
    if images.ndim == 3:
        _scale([ax], what)
    return ax


def samples_means_sds(
    model: Any, n: int = 36, *, image_shape: tuple[int, ...] | None = None, random_state: object = None
) -> Figure:
    """Samples, means and standard deviations that a model generates, side by side.

    Parameters
    ----------
    model, n, image_shape, random_state
        As in `samples`. Means and standard deviations at the same place belong to the same z.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.mixture import GaussianMixture
    >>> import underlie as ul
    >>> mixture = GaussianMixture(10, covariance_type="diag", random_state=0).fit(load_digits().data)
    >>> figure = ul.plot.samples_means_sds(mixture, n=16, random_state=0)
    """
    seed = integer_seed(generator(random_state))
    kinds: tuple[What, ...] = ("sample", "mean", "sd")
    stacks = [generate(model, n, what, image_shape=image_shape, seed=seed) for what in kinds]
    figure, axes = panels(3, (11.5, 3.9))
    low, high = float(np.quantile(stacks[0], 0.001)), float(np.quantile(stacks[0], 0.999))
    for what, stack, ax in zip(kinds, stacks, axes, strict=True):
        _draw_generated(stack, what, ax, None if what == "sd" else (low, high))
    if stacks[0].ndim == 3:
        _scale(axes[:2], "sample")
        _scale(axes[2:], "sd")
    return figure


def _draw_generated(images: Array, what: What, ax: Axes, limits: tuple[float, float] | None) -> Axes:
    if what == "sd":
        limits = (0.0, float(images.max()) or 1.0)
    ax = image_grid(images, ax=ax, limits=limits, cmap="viridis" if what == "sd" else "gray_r")
    ax.set_title(_TITLES[what], fontsize=11)
    return ax


def _scale(axes: list[Axes], what: What) -> None:
    """One colour scale for axes that share it."""
    label = "sd of a pixel" if what == "sd" else "pixel value"
    axes[0].figure.colorbar(axes[0].images[0], ax=axes, label=label, shrink=0.85, pad=0.02)


def generate(model: Any, n: int, what: What, *, image_shape: tuple[int, ...] | None, seed: int) -> Array:
    """Generated images (n, h, w[, c])."""
    if what not in _TITLES:
        raise ValueError(f"what={what!r}: use 'sample', 'mean' or 'sd'")
    if what == "sample":
        rows = draw(model, n, seed)
    else:
        view = moment_model(model)
        latent = view.latent_batches(n, 1, np.random.default_rng(seed))[0]
        mean, variance = view.conditional(latent, 2)
        rows = mean if what == "mean" else np.sqrt(variance)
    flat = rows.reshape(len(rows), -1)
    return flat.reshape(len(rows), *row_image_shape(model, flat.shape[1], image_shape))


@singledispatch
def draw(model: Any, n: int, seed: int) -> Array:
    """n samples of x from a fitted model, rows first."""
    return np.asarray(model.sample(n, random_state=seed), dtype=float)


@draw.register(PCA)
@draw.register(FactorAnalysis)
@draw.register(GaussianMixture)
def _(model: Any, n: int, seed: int) -> Array:
    return moment_model(model).sample(n, seed)
