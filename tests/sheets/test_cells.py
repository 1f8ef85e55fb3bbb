"""What is cut out is what was drawn, thresholded as HWD+ was; doubts fire on planted faults and not otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import draw_sheet
from PIL import Image

from underlie.sheets import Cutting, cut, doubts, find_grid, overview, shrink

COARSE = Cutting(size=120, trim=10)


def cells_of(sheet, cutting=COARSE):
    return cut(sheet.image, find_grid(sheet.image), cutting)


def drawn(sheet, side, trim=1 / 12):
    """The strokes of every cell, trimmed and averaged to ``side`` pixels; 1 is ink."""
    size = sheet.strokes.shape[-1]
    k = round(size * trim)
    inner = sheet.strokes[..., k : size - k, k : size - k].reshape(-1, size - 2 * k, size - 2 * k).astype(np.float32)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BOX)) for one in inner])


@pytest.mark.parametrize(
    "page", [{"degrees": 2}, {"degrees": -4, "noise": 8, "shading": 0.4}, {"keystone": 0.02}], ids=str
)
def test_cells_show_what_was_drawn_in_place_and_size(page):
    sheet = draw_sheet(dpi=72, wander=0.08, **page)
    found = 255.0 - shrink(cells_of(sheet), 50).reshape(70, -1)
    true = drawn(sheet, 50).reshape(70, -1)
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(found, true, strict=True)) > 0.97


def test_pixels_are_those_of_the_paper_at_its_resolution():
    """At 600 dpi, upright: cells are 500 x 500 pixels of the scan, within the fit's error, values above 200 white."""
    page = np.full((1500, 1300), 250, dtype=np.uint8)
    for k in range(3):
        page[100 + 600 * k : 104 + 600 * k, 50:1254] = 30
        page[100:1304, 50 + 600 * k : 54 + 600 * k] = 30
    page[400:440, 300:500] = 198
    page[400:440, 900:1100] = 205
    grid = find_grid(page, 2, 2)
    cells = cut(page, grid, Cutting(normalise=False))
    assert cells.shape == (2, 2, 500, 500)
    expected = np.full((500, 500), 255)
    # the cell starts at the line's middle, 102 and 52; 50 pixels are trimmed
    expected[400 - 152 : 440 - 152, 300 - 102 : 500 - 102] = 198
    different = cells[0, 0] != expected
    assert different.mean() < 0.003  # edges of the rectangle, half a pixel off at most: 480 of 250,000
    assert (cells[0, 1] == 255).all()


@pytest.mark.parametrize("threshold", [120, 200])
def test_no_value_lies_between_threshold_and_paper(threshold):
    cells = cells_of(draw_sheet(noise=10, shading=0.3), replace(COARSE, threshold=threshold))
    assert not ((cells > threshold) & (cells < 255)).any()
    assert (cells <= threshold).any()


def test_all_values_stay_without_a_threshold():
    assert ((cells := cells_of(draw_sheet(), replace(COARSE, threshold=255))) > 200).any()
    assert ((cells > 200) & (cells < 255)).any()


def test_shade_is_taken_from_the_paper_not_from_the_ink():
    plain, shaded = draw_sheet(layout="", seed=1), draw_sheet(layout="", shading=0.5, seed=1)
    assert (cells_of(plain) == 255).all()
    assert (cells_of(shaded) == 255).all()
    # as scanned, paper at 125 stays grey
    assert (cells_of(shaded, replace(COARSE, normalise=False))[-1, -1] < 200).all()


def test_shrinking_keeps_the_amount_of_ink():
    cells = cells_of(draw_sheet(seed=3), Cutting(size=300, trim=25))
    for side in (100, 28):
        small = shrink(cells, side)
        assert small.shape == (10, 7, side, side)
        # rounding to whole grey values: half of one per pixel at most
        np.testing.assert_allclose(small.mean(axis=(2, 3)), cells.mean(axis=(2, 3)), atol=0.5)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="size is 10"):
        Cutting(size=10)
    with pytest.raises(ValueError, match="trim is 200: 0 to .*150"):
        Cutting(trim=200)
    with pytest.raises(ValueError, match="threshold is 300"):
        Cutting(threshold=300)


def reasons_of(sheet, fault=None):
    image = sheet.image.copy()
    if fault is not None:
        fault(image, sheet.crossings.round().astype(int))
    grid = find_grid(image)
    return doubts(cut(image, grid, COARSE), grid), grid


def test_clean_cells_are_not_flagged():
    """None of 420; 0 of 7,000 in benchmarks/digitise.py, so that the rate is below 1 in 2,000 (95 %)."""
    conditions = [{"degrees": d, "noise": n, "shading": s} for d, n, s in ((0, 0, 0), (3, 8, 0.3), (-4, 12, 0.5))]
    for layout in ("0011223344", "5566778899"):
        for page in conditions:
            found, _ = reasons_of(draw_sheet(layout=layout, wander=0.02, dpi=72, **page))
            assert sum(bool(cell) for row in found for cell in row) == 0


def empty(image, x):
    image[x[2, 3, 1] + 5 : x[3, 3, 1] - 4, x[2, 3, 0] + 5 : x[2, 4, 0] - 4] = 250


def dot(image, x):
    empty(image, x)
    image[x[2, 3, 1] + 35 : x[2, 3, 1] + 38, x[2, 3, 0] + 35 : x[2, 3, 0] + 38] = 40


def blot(image, x):
    image[x[2, 3, 1] + 14 : x[3, 3, 1] - 14, x[2, 3, 0] + 14 : x[2, 4, 0] - 14] = 40


def stroke_out(image, x):
    image[x[2, 3, 1] + 36 : x[2, 3, 1] + 40, x[2, 3, 0] + 30 : x[2, 4, 0] - 1] = 40


def second_line(image, x):
    image[x[2, 3, 1] + 8 : x[2, 3, 1] + 10, x[2, 3, 0] : x[2, 4, 0]] = 40


def line_rubbed_out(image, x):
    image[x[2, 3, 1] - 3 : x[2, 3, 1] + 4, x[2, 3, 0] + 3 : x[2, 4, 0] - 3] = 250
    image[x[2, 3, 1] + 3 : x[3, 3, 1] - 3, x[2, 3, 0] - 3 : x[2, 3, 0] + 4] = 250


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (empty, "empty"),
        (dot, "little ink"),
        (blot, "much ink"),
        (stroke_out, "touches border"),
        (second_line, "grid line"),
        (line_rubbed_out, "poor fit"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_planted_faults_are_flagged_with_their_reason(fault, reason, seed):
    sheet = draw_sheet(dpi=72, wander=0.02, noise=4, seed=seed)
    found, _ = reasons_of(sheet, fault)
    assert reason in found[2][3]
    elsewhere = [(i, j) for i, j in np.ndindex(10, 7) if found[i][j] and abs(i - 2) + abs(j - 3) > 1]
    assert elsewhere == []


def test_the_overview_marks_the_flagged_cell_and_no_other():
    sheet = draw_sheet(dpi=72, wander=0.02)
    found, grid = reasons_of(sheet, empty)
    picture = np.asarray(overview(sheet.image, grid, [0] * 10, found, "a title")).astype(int)
    vermilion = np.abs(picture - (213, 94, 0)).sum(axis=2) < 30
    y, x = np.nonzero(vermilion)
    scale = 1400 / sheet.image.shape[0]
    (x0, y0), (x1, y1) = sheet.crossings[2, 3] * scale, sheet.crossings[3, 4] * scale
    assert x0 < x.min() < x.max() < x1
    assert y0 < y.min() - 64 < y.max() - 64 < y1
