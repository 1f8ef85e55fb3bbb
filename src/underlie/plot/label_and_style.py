"""Label and style apart: what a semi-supervised model generates when one is held and the other changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from underlie.check.adapters import check_fitted
from underlie.check.seeds import generator, integer_seed
from underlie.plot.blocks import image_blocks
from underlie.plot.sources import row_image_shape

Array = NDArray[np.float64]
_MOST_DIMENSIONS = 8


def styles(
    model: Any,
    labels: Sequence[Any] | None = None,
    n_styles: int = 6,
    ax: Axes | None = None,
    *,
    image_shape: tuple[int, ...] | None = None,
    random_state: object = None,
) -> Axes:
    """Every label in the same styles: E[x | z, y], one style z from the prior in each row, one label y in each column.

    Parameters
    ----------
    model : SemiSupervisedVAE
        Fitted to images.
    labels : sequence, optional
        Labels to show, or rows of labels where there are several columns; by default all classes of a single column.
    n_styles : int
        Rows.
    ax : Axes, optional
        Where to draw; a new figure by default.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the styles.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no labels to choose.
    ValueError
        When labels are unknown or must be given, or the rows are no images.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling (2014), figure 1.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2, random_state=0)
    >>> ax = ul.plot.styles(model.fit(digits.data[:300], digits.target[:300]), n_styles=3, random_state=0)
    """
    labels = _labels_or_all(model, labels)
    z = generator(random_state).standard_normal((_positive("n_styles", n_styles), model.n_latent))
    return image_blocks([_crossed(model, z, labels, image_shape)], ax, columns=[_texts(model, labels)])


def restyled(
    model: Any,
    X: Any,
    labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
    *,
    y: Any = None,
    image_shape: tuple[int, ...] | None = None,
) -> Axes:
    """Given images at the left, and beside each other labels in its style: E[x | z, y] at its own z.

    Parameters
    ----------
    model : SemiSupervisedVAE
        Fitted to images.
    X : images, as the data of `fit`
        One row of the figure for each.
    labels : sequence, optional
        Labels to show, or rows of labels where there are several columns; by default all classes of a single column.
    ax : Axes, optional
        Where to draw; a new figure by default.
    y : like the labels of `fit`, optional
        What the images show, where it is known; elsewhere the prediction is taken. Written beside them.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no labels to choose.
    ValueError
        When labels are unknown or must be given, or the rows are no images.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2, random_state=0)
    >>> ax = ul.plot.restyled(model.fit(digits.data[:300], digits.target[:300]), digits.data[300:304])
    """
    labels = _labels_or_all(model, labels)
    changed = _crossed(model, model.transform(X, y), labels, image_shape)
    given = _images(model, X, image_shape)[:, None]
    return image_blocks(
        [given, changed],
        ax,
        rows=_texts(model, list(_shown(model, X, y)), ", "),
        columns=[[], _texts(model, labels)],
        headings=["given", "in the same style"],
    )


def interpolation(
    model: Any,
    X: Any,
    n_steps: int = 8,
    ax: Axes | None = None,
    *,
    y: Sequence[Any] | None = None,
    image_shape: tuple[int, ...] | None = None,
) -> Axes:
    """From the style of one image to that of another along a great circle, a given image at each end.

    Parameters
    ----------
    model : SemiSupervisedVAE
        Fitted to images.
    X : array (n, 2, ...)
        Pairs of rows as the data of `fit`, where to start and where to end; one row of the figure for each.
    n_steps : int
        Generated images, both ends among them; at least 2.
    ax : Axes, optional
        Where to draw; a new figure by default.
    y : sequence of n labels, or of rows of labels, optional
        What each row is to show on its way; by default what its first image shows.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no styles to walk between.
    ValueError
        When X holds no pairs, or there is not one label for each, or the rows are no images.

    References
    ----------
    White (2016), Sampling generative networks.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2, random_state=0)
    >>> ax = ul.plot.interpolation(model.fit(digits.data[:300], digits.target[:300]), digits.data[None, [3, 13]])
    """
    _check_model(model)
    pairs = np.asarray(X, dtype=float)
    if pairs.ndim < 3 or not len(pairs) or pairs.shape[1] != 2:
        raise ValueError(f"X must hold pairs of rows, (n, 2, ...), got shape {pairs.shape}; for one pair, X[None]")
    if y is not None and len(y) != len(pairs):
        raise ValueError(f"y: {len(y)} labels given for {len(pairs)} pairs")
    paths = [model.interpolate(pair, n_steps, None if y is None else y[i]) for i, pair in enumerate(pairs)]
    between = np.stack([_images(model, path, image_shape) for path in paths])
    ends = [_images(model, pairs[:, k], image_shape)[:, None] for k in (0, 1)]
    shown = model.predict(pairs[:, 0]) if y is None else y
    return image_blocks(
        [ends[0], between, ends[1]],
        ax,
        rows=_texts(model, list(shown), ", "),
        headings=["from", "styles between", "to"],
    )


def traversal(
    model: Any,
    y: Any,
    dimensions: Sequence[int] | None = None,
    span: float = 3.0,
    ax: Axes | None = None,
    *,
    n_steps: int = 9,
    image_shape: tuple[int, ...] | None = None,
) -> Axes:
    """One label, and one latent dimension in each row, from -span to span while the others are 0: E[x | z, y].

    Parameters
    ----------
    model : SemiSupervisedVAE
        Fitted to images.
    y : label, or row of labels
        What all images show.
    dimensions : sequence of int, optional
        Which (from 0). By default the eight that change the picture most: those with the largest sum of squared
        differences of pixels between the two ends, in that order.
    span : float
        How far, in standard deviations of the prior.
    ax : Axes, optional
        Where to draw; a new figure by default.
    n_steps : int
        Images in a row.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no labels to choose.
    ValueError
        When the label or a dimension is unknown, span is no positive number, or the rows are no images.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2, random_state=0)
    >>> ax = ul.plot.traversal(model.fit(digits.data[:300], digits.target[:300]), y=8, n_steps=5)
    """
    _check_model(model)
    if not (np.isfinite(span) and span > 0):
        raise ValueError(f"span must be a positive number of standard deviations, got {span!r}")
    chosen = _livelier(model, y, span) if dimensions is None else [int(d) for d in dimensions]
    if not chosen or not all(0 <= d < model.n_latent for d in chosen):
        raise ValueError(f"dimensions={chosen}: choose at least one, between 0 and {model.n_latent - 1}")
    steps = np.linspace(-span, span, _positive("n_steps", n_steps))
    z = np.zeros((len(chosen), len(steps), model.n_latent))
    for i, d in enumerate(chosen):
        z[i, :, d] = steps
    rows = model.inverse_transform(z.reshape(-1, model.n_latent), [y] * (len(chosen) * len(steps)))
    images = _images(model, rows, image_shape)
    marks = [f"{step:.2g}" if abs(step) > 1e-9 else "0" for step in steps]
    return image_blocks(
        [images.reshape(len(chosen), len(steps), *images.shape[1:])],
        ax,
        rows=[f"$z_{{{d}}}$" for d in chosen],
        columns=[marks],
    )


def real_and_generated(
    model: Any,
    X: Any,
    y: Any,
    who: Sequence[Any],
    n_real: int = 4,
    n_generated: int = 6,
    ax: Axes | None = None,
    *,
    what: Literal["mean", "sample"] = "mean",
    image_shape: tuple[int, ...] | None = None,
    random_state: object = None,
) -> Axes:
    """For each label, or row of labels such as (writer, digit), given images of it and then generated ones.

    Parameters
    ----------
    model : SemiSupervisedVAE
        Fitted to images.
    X, y : rows and labels as `fit` takes them
        From which given images are drawn.
    who : sequence of labels, or of rows of labels in the order of the columns of y
        One row of the figure for each.
    n_real, n_generated : int
        Images in each row; where there are fewer given ones, places stay blank.
    ax : Axes, optional
        Where to draw; a new figure by default.
    what : {"mean", "sample"}
        E[x | z, y] with z from the prior, or x ~ p(x | z, y) with the noise of each pixel too.
    image_shape : tuple, optional
        (h, w) or (h, w, 3) when the model was fitted to flat rows that are not squares.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of which given images are shown, and of what is generated.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When the model has no labels to choose.
    ValueError
        When a label is unknown, or no row of X has it, or the rows are no images.

    References
    ----------
    Beaulac & Rosenthal (2022), Introducing a new high-resolution handwritten digits data set with writer
    characteristics.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> X, y = digits.data[:300], digits.target[:300]
    >>> model = ul.SemiSupervisedVAE(4, hidden=(16,), max_epochs=2, random_state=0).fit(X, y)
    >>> ax = ul.plot.real_and_generated(model, X, y, who=[1, 2, 4], random_state=0)
    """
    _check_model(model)
    if what not in ("mean", "sample"):
        raise ValueError(f"what={what!r}: use 'mean' or 'sample'")
    _positive("n_real", n_real)
    _positive("n_generated", n_generated)
    rng = generator(random_state)
    asked, _ = model.targets_.encode(list(who), len(who))
    encoded, seen = model.targets_.encode(y, len(y))
    rows, real = _texts(model, list(who), ", "), []
    images = _images(model, X, image_shape)
    for name, wanted in zip(rows, asked, strict=True):
        own = np.flatnonzero((seen & (encoded == wanted)).all(axis=1))
        if not len(own):
            raise ValueError(f"who: no row of X shows {name}")
        drawn = images[rng.permutation(own)[:n_real]]
        blank = np.full((n_real - len(drawn), *drawn.shape[1:]), np.nan)
        real.append(np.concatenate([drawn, blank]))
    made = _generated(model, list(who), n_generated, what, rng)
    generated = _images(model, made, image_shape).reshape(len(who), n_generated, *images.shape[1:])
    return image_blocks([np.stack(real), generated], ax, rows=rows, headings=["real", "generated"])


def _generated(model: Any, who: list[Any], n: int, what: str, rng: np.random.Generator) -> Any:
    labels = [one for one in who for _ in range(n)]
    if what == "sample":
        return model.sample(len(labels), labels, random_state=integer_seed(rng))
    return model.inverse_transform(rng.standard_normal((len(labels), model.n_latent)), labels)


def _check_model(model: Any) -> None:
    if not hasattr(model, "restyle"):
        raise TypeError(
            f"{type(model).__name__} has no labels and styles to choose; these figures are of SemiSupervisedVAE"
        )
    check_fitted(model)


def _labels_or_all(model: Any, labels: Sequence[Any] | None) -> list[Any]:
    """Labels as given, or all classes of a single column."""
    _check_model(model)
    if labels is not None:
        if not len(labels):
            raise ValueError("labels is empty: give at least one")
        return list(labels)
    columns = model.targets_.columns
    if len(columns) > 1 or columns[0].is_continuous:
        names = " and ".join(repr(name) for name in model.targets_.names)
        raise ValueError(f"labels must be given where there are no classes of one column; each is a value of {names}")
    return list(columns[0].classes.tolist())


def _crossed(model: Any, z: Array, labels: list[Any], image_shape: tuple[int, ...] | None) -> Array:
    """Every style with every label: (styles, labels, h, w[, c])."""
    rows = model.inverse_transform(np.repeat(z, len(labels), axis=0), labels * len(z))
    images = _images(model, rows, image_shape)
    return images.reshape(len(z), len(labels), *images.shape[1:])


def _shown(model: Any, X: Any, y: Any) -> NDArray[Any]:
    """Labels of rows, predicted where y does not give them."""
    predicted = model.predict(X)
    encoded, _ = model.targets_.encode(predicted, len(predicted))
    if y is not None:
        given, seen = model.targets_.encode(y, len(predicted))
        encoded = np.where(seen, given, encoded)
    return model.targets_.decode(encoded)


def _images(model: Any, rows: Any, image_shape: tuple[int, ...] | None) -> Array:
    flat = np.asarray(rows, dtype=float)
    flat = flat.reshape(len(flat), -1)
    return flat.reshape(len(flat), *row_image_shape(model, flat.shape[1], image_shape))


def _livelier(model: Any, y: Any, span: float) -> list[int]:
    """The dimensions whose two ends differ most in the picture, most first."""
    ends = np.concatenate([-span * np.eye(model.n_latent), span * np.eye(model.n_latent)])
    rows = np.asarray(model.inverse_transform(ends, [y] * len(ends)), dtype=float).reshape(2, model.n_latent, -1)
    change = ((rows[1] - rows[0]) ** 2).sum(axis=1)
    return [int(d) for d in np.argsort(-change, kind="stable")[:_MOST_DIMENSIONS]]


def _texts(model: Any, labels: list[Any], between: str = "\n") -> list[str]:
    """Labels in words: of several columns with their names."""
    names = model.targets_.names
    if len(names) == 1:
        return [_text(np.ravel(label)[0]) for label in labels]
    return [between.join(f"{n} {_text(v)}" for n, v in zip(names, label, strict=True)) for label in labels]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)


def _positive(name: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")
    return int(count)
