"""``underlie digitise`` from the shell."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A grid of 4 x 3 cells with a cross in each."""
    image = np.full((480, 390), 250, dtype=np.uint8)
    image[40:443:100, 40:343] = image[40:443, 40:343:100] = 60
    for y in range(90, 440, 100):
        for x in range(90, 340, 100):
            image[y - 18 : y + 18, x - 3 : x + 3] = image[y - 3 : y + 3, x - 18 : x + 18] = 30
    file = tmp_path_factory.mktemp("scans") / "ann_1.png"
    Image.fromarray(image).save(file)
    return file


OPTIONS = ("--grid", "4x3", "--layout", "0123", "--resolutions", "28")


def test_scans_become_data(run, page, tmp_path):
    out = tmp_path / "digits"
    done = run("digitise", page, *OPTIONS, "--out", out)
    assert done.exit_code == 0, done.output
    assert "images: 12; writers: 1; pages: 1" in done.output
    assert "flagged: 0" in done.output
    assert np.load(out / "images_28.npy").shape == (12, 28, 28)
    again = run("digitise", page.parent, *OPTIONS, "--out", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    quiet = run("digitise", page.parent, *OPTIONS, "--out", out, "--overwrite", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "4by3"), "give rows x columns, such as 10x7"),
        (("--grid", "5x3", "--layout", "01234"), "ann_1.png: no 5 x 3 grid found"),
        (("--grid", "4x3", "--layout", "01234"), "layout of page 1 has 5 rows"),
        (("--grid", "4x3", "--layout", "0123", "--resolutions", "a"), "give whole numbers"),
        (("--grid", "4x3", "--layout", "0123", "--pattern", "x{writer}"), "does not say whose page it is"),
        (("--grid", "4x3", "--layout", "0123", "--labels", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_input_is_one_message(run, page, tmp_path, options, message):
    done = run("digitise", page, *options, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()
