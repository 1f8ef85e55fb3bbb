"""Pictures from outside become images like those of the data, or are refused in words that help."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

import underlie as ul

pytest.importorskip("shiny", reason="the page needs the extra 'app'")

from underlie.app.images.uploads import MOST_BYTES, take_drawing, take_file
from underlie.app.images.view import ImageView
from underlie.app.opened import Opened
from underlie.app.words import Hint


def _view(rows, tmp_path):
    model = ul.ProbabilisticPCA(2).fit(rows)
    return ImageView(Opened("m", tmp_path / "m.safetensors", "images", model, rows=rows))


@pytest.fixture
def view(tmp_path):
    """Of images in which ink is large, as in MNIST: bars, 20 of 28 pixels high."""
    rng = np.random.default_rng(0)
    rows = 0.05 * rng.random((60, 28, 28))
    for row in rows:
        left = rng.integers(8, 17)
        row[4:24, left : left + 3] = 1 - 0.1 * rng.random()
    return _view(rows, tmp_path)


def _file(values, kind="PNG", mode=None):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(values, dtype=np.uint8), mode).save(buffer, kind)
    return buffer.getvalue()


def _stroke(height=300, width=200, ink=0, paper=255):
    sheet = np.full((height, width), paper)
    sheet[40:200, 20:45] = ink
    return sheet


def test_ink_is_turned_scaled_and_centred_like_the_data(view):
    taken = take_file(_file(_stroke()), view).image
    assert taken.shape == (1, 28, 28)
    inked = taken[0] > (view.low + view.high) / 2
    rows = np.flatnonzero(inked.any(axis=1))
    assert rows[-1] - rows[0] + 1 == pytest.approx(20, abs=1)
    weights = taken[0] - view.low
    centre = [(weights.sum(axis=1 - axis) * (np.arange(28) + 0.5)).sum() / weights.sum() for axis in (0, 1)]
    np.testing.assert_allclose(centre, 14, atol=1)
    assert view.low <= taken.min() <= taken.max() <= view.high


def test_white_on_black_and_black_on_white_are_the_same_drawing(view):
    dark, light = (take_file(_file(_stroke(ink=i, paper=p)), view).image for i, p in ((0, 255), (255, 0)))
    np.testing.assert_allclose(dark, light)


def test_where_it_stood_and_how_large_it_was_does_not_matter(view):
    small = np.full((90, 400), 255)
    small[10:50, 300:306] = 0
    first, second = take_file(_file(_stroke()), view).image, take_file(_file(small), view).image
    assert np.abs(first - second).mean() < 0.03 * (view.high - view.low)


def test_an_image_of_the_right_size_keeps_its_pixels(view):
    own = np.zeros((28, 28))
    own[5:20, 3:6] = 255
    taken = take_file(_file(own), view)
    assert taken.image[0, 10, 4] == pytest.approx(view.high)
    assert np.array_equal(taken.image[0] > view.low + 1e-9, own > 0)
    assert taken.done == ""


def test_data_of_dark_ink_are_met_too(tmp_path):
    rows = 1 - 0.02 * np.random.default_rng(0).random((30, 10, 10))
    rows[:, 2:8, 4:6] = 0.0
    taken = take_file(_file(_stroke()), _view(rows, tmp_path)).image
    assert np.median(taken) > 0.9
    assert taken.min() < 0.1


def test_colour_and_transparency_become_grey_and_are_said(view):
    colour = np.full((60, 60, 4), 255)
    colour[10:50, 25:32] = [200, 30, 30, 255]
    colour[..., 3] = np.where(colour[..., 0] == 255, 0, 255)
    taken = take_file(_file(colour), view)
    assert "grey" in taken.done
    assert "60 × 60" in taken.done
    assert taken.image.max() == pytest.approx(view.high)


def test_colour_models_take_colour(tmp_path):
    rows = np.random.default_rng(0).random((30, 6, 6, 3))
    red = np.zeros((20, 20, 3))
    red[..., 0] = 255
    taken = take_file(_file(red), _view(rows, tmp_path)).image
    assert taken.shape == (1, 6, 6, 3)
    assert taken[..., 0].min() > taken[..., 1:].max()


def test_a_drawing_is_a_file_by_another_way(view):
    address = "data:image/png;base64," + base64.b64encode(_file(_stroke())).decode()
    np.testing.assert_array_equal(take_drawing(address, view).image, take_file(_file(_stroke()), view).image)
    with pytest.raises(Hint, match="Draw it again"):
        take_drawing("data:image/png;base64,???", view)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no picture"),
        (b"<html>", "no picture"),
        (b"\0" * (MOST_BYTES + 1), "more than the 10 MB"),
        (_file(_stroke())[:200], "damaged"),
        (_file(np.full((50, 50), 130)), "shows nothing"),
        (_file(np.array([[0, 255]])), "too few"),
        (_file(np.zeros((6000, 6000))), "more than are read here"),
    ],
    ids=["empty", "text", "huge", "cut off", "blank", "tiny", "many pixels"],
)
def test_what_cannot_be_used_says_what_to_do(view, content, message):
    with pytest.raises(Hint, match=message):
        take_file(content, view)
