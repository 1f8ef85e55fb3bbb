"""Figures of label and style show what the model generates, in the places that the words say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import underlie as ul
from underlie.plot.blocks import image_blocks

DIGITS = ul.datasets.load_digits()
X, Y = DIGITS.data[:200], DIGITS.target[:200]
HANDS = pd.DataFrame({"digit": Y % 3, "hand": np.where(np.arange(200) % 2, "left", "right")})


def fitted(y: object) -> ul.SemiSupervisedVAE:
    settings = {"hidden": (16,), "max_epochs": 2, "neighbours": False, "random_state": 0, "verbose": False}
    return ul.SemiSupervisedVAE(4, **settings).fit(X, y)


@pytest.fixture(scope="module")
def one() -> ul.SemiSupervisedVAE:
    return fitted(Y)


@pytest.fixture(scope="module")
def two() -> ul.SemiSupervisedVAE:
    return fitted(HANDS)


def shown(ax: Axes) -> np.ndarray:
    """All images (n, 8, 8), row by row: what lies between blank lines of the picture."""
    canvas = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    down, across = (list(_runs(~np.isnan(canvas).all(axis=axis))) for axis in (1, 0))
    return np.stack([canvas[a, b] for a in down for b in across])


def _runs(full: np.ndarray) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(int), [0]])))
    return (slice(a, b) for a, b in edges.reshape(-1, 2))


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_one_style_in_a_row_and_one_label_in_a_column(one: ul.SemiSupervisedVAE) -> None:
    ax = ul.plot.styles(one, n_styles=3, random_state=1)
    z = np.random.default_rng(1).standard_normal((3, 4))
    expected = one.inverse_transform(np.repeat(z, 10, axis=0), np.tile(np.arange(10), 3))
    np.testing.assert_allclose(shown(ax), expected, atol=1e-6)
    assert words(ax) == [str(k) for k in range(10)]
    xs = [text.get_position()[0] for text in ax.texts]
    assert np.allclose(np.diff(xs), xs[1] - xs[0])


def test_given_images_lead_their_row(one: ul.SemiSupervisedVAE) -> None:
    ax = ul.plot.restyled(one, X[:2], [3, 5], y=Y[:2])
    images = shown(ax).reshape(2, 3, 8, 8)
    np.testing.assert_allclose(images[:, 0], X[:2])
    for j, label in enumerate((3, 5), start=1):
        np.testing.assert_allclose(images[:, j], one.restyle(X[:2], label, Y[:2]), atol=1e-6)
    assert words(ax) == [str(Y[0]), str(Y[1]), "3", "5", "given", "in the same style"]
    # Without labels the prediction is taken, and written; a label that is known is kept.
    assert words(ul.plot.restyled(one, X[:2], [3]))[:2] == [str(k) for k in one.predict(X[:2])]
    assert words(ul.plot.restyled(one, X[:2], [3], y=[4, -1]))[:2] == ["4", str(one.predict(X[1:2])[0])]


def test_way_between_two_images(one: ul.SemiSupervisedVAE) -> None:
    pairs = X[[[0, 10], [1, 11]]]
    ax = ul.plot.interpolation(one, pairs, 4, y=[0, 1])
    images = shown(ax).reshape(2, 6, 8, 8)
    np.testing.assert_allclose(images[:, 0], pairs[:, 0])
    np.testing.assert_allclose(images[:, -1], pairs[:, 1])
    np.testing.assert_allclose(images[1, 1:-1], one.interpolate(pairs[1], 4, 1), atol=1e-6)


def test_dimensions_that_change_the_picture_most_come_first(one: ul.SemiSupervisedVAE) -> None:
    ax = ul.plot.traversal(one, 8, span=2, n_steps=3)
    images = shown(ax).reshape(4, 3, 8, 8)
    change = ((images[:, 2] - images[:, 0]) ** 2).sum(axis=(1, 2))
    assert (np.diff(change) <= 0).all()
    assert words(ax)[-3:] == ["-2", "0", "2"]
    chosen = shown(ul.plot.traversal(one, 8, [2], 2, n_steps=3))
    z = np.zeros((3, 4))
    z[:, 2] = [-2, 0, 2]
    np.testing.assert_allclose(chosen, one.inverse_transform(z, 8), atol=1e-6)


def test_real_beside_generated_for_one_column_of_labels(one: ul.SemiSupervisedVAE) -> None:
    ax = ul.plot.real_and_generated(one, X, Y, [1, 7], n_real=3, n_generated=2, random_state=0)
    images = shown(ax).reshape(2, 5, 8, 8)
    for row, digit in zip(images, (1, 7), strict=True):
        own = X[digit == Y]
        assert all((own == image).all(axis=(1, 2)).any() for image in row[:3])
    assert words(ax) == ["1", "7", "real", "generated"]
    again = ul.plot.real_and_generated(one, X, Y, [1, 7], n_real=3, n_generated=2, random_state=0)
    np.testing.assert_array_equal(shown(again), shown(ax))
    drawn = shown(ul.plot.real_and_generated(one, X, Y, [1], what="sample", random_state=0))
    assert len(drawn) == 10


def test_two_columns_of_labels(two: ul.SemiSupervisedVAE) -> None:
    who = [(1, "left"), (2, "right")]
    ax = ul.plot.real_and_generated(two, X, HANDS, who, n_real=2, n_generated=2, random_state=0)
    assert words(ax)[:2] == ["digit 1, hand left", "digit 2, hand right"]
    for row, (digit, hand) in zip(shown(ax).reshape(2, 4, 8, 8), who, strict=True):
        own = X[(HANDS.digit == digit) & (HANDS.hand == hand)]
        assert all((own == image).all(axis=(1, 2)).any() for image in row[:2])
    assert words(ul.plot.styles(two, who, n_styles=2)) == ["digit 1\nhand left", "digit 2\nhand right"]
    assert shown(ul.plot.traversal(two, (1, "left"), [0], n_steps=2)).shape == (2, 8, 8)
    with pytest.raises(ValueError, match="labels must be given .* 'digit' and 'hand'"):
        ul.plot.styles(two)


def test_fewer_real_images_than_places_leave_blanks(one: ul.SemiSupervisedVAE) -> None:
    rows = np.flatnonzero(Y == 1)[:2]
    ax = ul.plot.real_and_generated(one, X[rows], Y[rows], [1], n_real=4, n_generated=2)
    assert len(shown(ax)) == 2 + 2


def test_colour_images_and_axes_of_ones_own() -> None:
    import matplotlib.pyplot as plt

    ax = plt.figure().add_subplot()
    block = np.random.default_rng(0).uniform(size=(2, 3, 4, 4, 3))
    assert image_blocks([block, block], ax, rows=["a", "b"], headings=["left", "right"]) is ax
    canvas = ax.images[0].get_array()
    assert canvas.min() >= 0
    assert canvas.max() <= 1
    assert (canvas[0] == 1).all()


def test_bad_input_is_refused(one: ul.SemiSupervisedVAE) -> None:
    with pytest.raises(TypeError, match="VAE has no labels and styles"):
        ul.plot.styles(ul.VAE())
    with pytest.raises(ValueError, match="label 11 "):
        ul.plot.styles(one, [11])
    with pytest.raises(ValueError, match="n_styles must be a whole number"):
        ul.plot.styles(one, n_styles=0)
    with pytest.raises(ValueError, match="labels is empty"):
        ul.plot.restyled(one, X[:2], [])
    with pytest.raises(ValueError, match="X must hold pairs"):
        ul.plot.interpolation(one, X[:2])
    with pytest.raises(ValueError, match="1 labels given for 2 pairs"):
        ul.plot.interpolation(one, X[[[0, 10], [1, 11]]], y=[3])
    with pytest.raises(ValueError, match="between 0 and 3"):
        ul.plot.traversal(one, 8, [4])
    with pytest.raises(ValueError, match="span must be"):
        ul.plot.traversal(one, 8, span=0)
    with pytest.raises(ValueError, match="no row of X shows 9"):
        ul.plot.real_and_generated(one, X[Y != 9], Y[Y != 9], [9])
    with pytest.raises(ValueError, match="what='mode'"):
        ul.plot.real_and_generated(one, X, Y, [9], what="mode")
