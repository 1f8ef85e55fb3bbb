"""From scans to a folder of data and back."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from drawing import draw_sheet
from PIL import Image

import underlie as ul
from underlie.sheets import Cutting, cut, digitise, find_grid, load, shrink

COARSE = Cutting(size=120, trim=10)
SETTINGS = {"resolutions": (28, 50), "cutting": COARSE}
LAYOUT = ("0011223344", "5566778899")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two writers; the second one's pages have another size, and one cell of the last page is empty."""
    folder = tmp_path_factory.mktemp("scans")
    sheets = {}
    for k, (writer, dpi) in enumerate((("ann", 60), ("bob", 72))):
        for page in (1, 2):
            sheet = draw_sheet(
                dpi=dpi, layout=LAYOUT[page - 1], degrees=2 * k - 1, noise=3, wander=0.02, seed=10 * k + page
            )
            sheets[writer, page] = sheet
            image = sheet.image.copy()
            if (writer, page) == ("bob", 2):
                (x0, y0), (x1, y1) = sheet.crossings[9, 6], sheet.crossings[10, 7]
                image[round(y0) + 7 : round(y1) - 7, round(x0) + 7 : round(x1) - 7] = 250
            Image.fromarray(image).save(folder / f"{writer}_{page}.png")
    return folder, sheets


@pytest.fixture(scope="module")
def made(scans, tmp_path_factory):
    steps = []
    out = tmp_path_factory.mktemp("out") / "data"
    result = digitise(scans[0], out, **SETTINGS, report=lambda *step: steps.append(step), command="what | was typed")
    return result, steps


def test_labels_follow_the_layout(made):
    table = pd.read_csv(made[0].folder / "labels.csv", keep_default_na=False)
    assert list(table.columns) == ["writer", "digit", "page", "row", "column", "file", "flag", "reason"]
    assert len(table) == 280
    assert (table.groupby(["writer", "digit"]).size() == 14).all()
    for line in table.itertuples():
        assert line.digit == int(LAYOUT[line.page - 1][line.row - 1])
        assert line.file == f"{line.writer}_{line.page}.png"
    assert table["column"].tolist() == list(range(1, 8)) * 40


def test_images_are_those_of_their_lines(made, scans):
    folder, sheets = made[0].folder, scans[1]
    table = made[0].table
    for side in (28, 50):
        images = np.load(folder / f"images_{side}.npy")
        assert images.shape == (280, side, side)
        assert images.dtype == np.uint8
        for (writer, page), sheet in sheets.items():
            if (writer, page) == ("bob", 2):
                continue
            mine = images[((table["writer"] == writer) & (table["page"] == page)).to_numpy()]
            grid = find_grid(sheet.image)
            np.testing.assert_array_equal(mine, shrink(cut(sheet.image, grid, COARSE), side).reshape(-1, side, side))


def test_the_one_fault_is_the_one_flag(made):
    flagged = made[0].table[made[0].table["flag"] == 1]
    assert flagged[["writer", "page", "row", "column", "reason"]].to_numpy().tolist() == [["bob", 2, 10, 7, "empty"]]


def test_progress_is_told_and_pictures_are_there(made):
    result, steps = made
    assert [step[:2] for step in steps] == [(k, 8) for k in range(8)]
    pictures = sorted(p.name for p in (result.folder / "overview").iterdir())
    assert pictures == ["001-ann_1.png", "002-ann_2.png", "003-bob_1.png", "004-bob_2.png"]


def test_the_datasheet_tells_counts_settings_and_checksums(made, scans):
    text = (made[0].folder / "datasheet.md").read_text(encoding="utf-8")
    for heading in ("Motivation", "Composition", "Collection process", "Preprocessing", "Uses", "Files"):
        assert f"\n## {heading}" in text
    assert "Images: 280; writers: 2; pages: 4." in text
    assert "| images | 28 | 28 |" in text
    assert "| empty | 1 |" in text
    assert "`what | was typed`" in text
    assert ul.__version__ in text
    for file in (made[0].folder / "images_28.npy", made[0].folder / "labels.csv", scans[0] / "ann_1.png"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in text


def test_loading_gives_a_data_set_of_handwriting(made):
    data = load(made[0].folder, 28)
    assert isinstance(data, ul.datasets.writers.Handwriting)
    assert data.data.shape == (280, 28, 28)
    assert data.paper == 255
    assert list(data.characteristics.index) == ["ann", "bob"]
    assert data.target.tolist() == made[0].table["digit"].tolist()
    assert np.bincount(data.writer).tolist() == [140, 140]
    assert 0 < data.ink().mean() < 0.5
    assert len(load(made[0].folder, 50, flagged=False)) == 279


def test_characteristics_of_writers_join_by_code(made):
    people = pd.DataFrame({"writer": ["bob", "cy", "ann"], "hand": ["left", "right", "right"]})
    data = load(made[0].folder, writers=people)
    assert data.characteristics["hand"].tolist() == ["right", "left"]
    with pytest.raises(ValueError, match="no line for writer bob"):
        load(made[0].folder, writers=people[1:])
    with pytest.raises(ValueError, match="two lines for ann"):
        load(made[0].folder, writers=pd.concat([people, people[2:]]))


def test_loading_what_is_not_there(made, tmp_path):
    with pytest.raises(FileNotFoundError, match="no digitised sheets"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="resolution 100 is not there; there are 28, 50"):
        load(made[0].folder, 100)


def test_data_are_not_overwritten_unless_asked(made, scans, tmp_path):
    with pytest.raises(FileExistsError, match="holds data already .labels.csv.; .*overwrite"):
        digitise(scans[0], made[0].folder, **SETTINGS)
    out = tmp_path / "data"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    digitise(scans[0], out, **SETTINGS)
    digitise(scans[0] / "ann_1.png", out, resolutions=(28,), cutting=COARSE, overwrite=True)
    assert not (out / "images_50.npy").exists()
    assert [p.name for p in (out / "overview").iterdir()] == ["001-ann_1.png"]
    assert (out / "notes.txt").read_text() == "mine"
    assert len(load(out)) == 70


def test_bad_scans_stop_everything_or_are_left_out(scans, tmp_path):
    blank = tmp_path / "cy_1.png"
    Image.fromarray(np.full((600, 450), 250, np.uint8)).save(blank)
    broken = tmp_path / "cy_2.png"
    broken.write_text("no image")
    files = [scans[0] / "ann_1.png", blank, broken]
    with pytest.raises(
        ValueError, match="2 of 3 scans cannot be used.*\n.*cy_1.png: no 10 x 7 grid.*\n.*cy_2.png cannot be"
    ):
        digitise(files, tmp_path / "out", **SETTINGS)
    assert not (tmp_path / "out").exists()
    made = digitise(files, tmp_path / "out", **SETTINGS, skip_bad=True)
    assert set(made.refused) == {"cy_1.png", "cy_2.png"}
    assert len(made.table) == 70
    assert "cy_1.png" in (tmp_path / "out" / "datasheet.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="1 of 1 scans"):
        digitise(blank, tmp_path / "none", **SETTINGS, skip_bad=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": ("001122334",)}, "layout of page 1 has 9 rows"),
        ({"layout": ("00112233ab",)}, "it must be digits"),
        ({"layout": "0011223344"}, "one text per page"),
        ({"rows": 9}, "but the grid has 9"),
        ({"resolutions": (28, 600)}, "cells have 1 to 500 pixels"),
        ({"resolutions": ()}, "cells have 1 to 500 pixels"),
    ],
)
def test_settings_that_do_not_fit_are_refused(scans, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        digitise(scans[0], tmp_path / "out", **settings)
