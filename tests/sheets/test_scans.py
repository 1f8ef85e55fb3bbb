"""Whose page a file is, and what is read from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from underlie.sheets import find_pages, read_page


@pytest.fixture
def save(tmp_path):
    def one(name, image=None, **options):
        picture = Image.fromarray(np.full((20, 10), 200, np.uint8)) if image is None else image
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return one


def summary(pages):
    return [(p.file.name, p.frame, p.writer, p.number) for p in pages]


def test_names_say_writer_and_page_in_natural_order(save, tmp_path):
    for name in ("w10_1.png", "w9_2.JPG", "w9_1.tiff", "o_b_1.png"):
        save(name)
    (tmp_path / "notes.txt").write_text("no scan")
    expected = [
        ("o_b_1.png", 0, "o_b", 1),
        ("w9_1.tiff", 0, "w9", 1),
        ("w9_2.JPG", 0, "w9", 2),
        ("w10_1.png", 0, "w10", 1),
    ]
    assert summary(find_pages(tmp_path)) == expected
    assert summary(find_pages([tmp_path / "w9_2.JPG"])) == expected[2:3]


def test_other_patterns(save, tmp_path):
    save("2024 p2 of ann.png")
    assert summary(find_pages(tmp_path, pattern="* p{page} of {writer}")) == [("2024 p2 of ann.png", 0, "ann", 2)]
    with pytest.raises(ValueError, match="2024 p2 of ann.png does not say whose page it is"):
        find_pages(tmp_path)
    with pytest.raises(ValueError, match="must have {writer} once"):
        find_pages(tmp_path, pattern="{page}")


def test_a_tiff_of_several_pages(save, tmp_path):
    pages = [Image.fromarray(np.full((20, 10), grey, np.uint8)) for grey in (10, 90)]
    file = save("ann.tif", pages[0], save_all=True, append_images=pages[1:])
    found = find_pages(tmp_path)
    assert summary(found) == [("ann.tif", 0, "ann", 1), ("ann.tif", 1, "ann", 2)]
    assert [int(read_page(p.file, p.frame)[0, 0]) for p in found] == [10, 90]
    assert [p.name for p in found] == ["ann.tif", "ann.tif#2"]
    assert file.is_file()


def test_a_table_says_it(save, tmp_path):
    save("a.png")
    save("b.png")
    table = tmp_path / "pages.csv"
    table.write_text("file,writer,page\na.png,007,2\nb.png,007,1\n")
    assert summary(find_pages(tmp_path, labels=table)) == [("b.png", 0, "007", 1), ("a.png", 0, "007", 2)]
    frame = pd.read_csv(table, dtype=str)
    with pytest.raises(ValueError, match="no column 'page'"):
        find_pages(tmp_path, labels=frame.drop(columns="page"))
    with pytest.raises(ValueError, match="no line for b.png"):
        find_pages(tmp_path, labels=frame[:1])
    with pytest.raises(ValueError, match="row 2: .*'x'"):
        find_pages(tmp_path, labels=frame.assign(page=["1", "x"]))
    with pytest.raises(ValueError, match="row 2: a.png is there twice"):
        find_pages(tmp_path, labels=frame.assign(file="a.png"))


def test_clashes_and_absences_are_refused(save, tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        find_pages(tmp_path)
    with pytest.raises(FileNotFoundError):
        find_pages(tmp_path / "nowhere")
    save("a_1.png")
    save("a_01.png")
    with pytest.raises(ValueError, match="a_01.png and a_1.png are both page 1 of writer a"):
        find_pages(tmp_path)
    with pytest.raises(ValueError, match="b_3.png is page 3 of writer b, but the layout has pages 1 to 2"):
        find_pages(save("b_3.png"), n_pages=2)
    (tmp_path / "c_1.pdf").write_bytes(b"%PDF")
    with pytest.raises(ValueError, match="c_1.pdf is none of .png"):
        find_pages(tmp_path / "c_1.pdf")


def test_every_kind_of_image_becomes_grey(save):
    grey = np.array([[0, 128, 255]], np.uint8)
    assert read_page(save("a.png", Image.fromarray(grey))).tolist() == [[0, 128, 255]]
    assert read_page(save("b.png", Image.fromarray(np.repeat(grey[..., None], 3, 2)))).tolist() == [[0, 128, 255]]
    assert read_page(save("c.png", Image.fromarray(grey.astype(np.uint16) * 257))).tolist() == [[0, 128, 255]]
    assert read_page(save("d.tif", Image.fromarray(grey > 100))).tolist() == [[0, 255, 255]]
    clear = np.dstack([np.zeros((1, 3, 3), np.uint8), np.array([[0, 255, 0]], np.uint8)])
    assert read_page(save("e.png", Image.fromarray(clear))).tolist() == [[255, 0, 255]]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert read_page(save("f.png", Image.fromarray(grey), exif=exif)).tolist() == [[0], [128], [255]]


def test_what_is_no_image_is_refused(save, tmp_path):
    (tmp_path / "a_1.png").write_text("not at all")
    with pytest.raises(ValueError, match="a_1.png cannot be read as an image"):
        read_page(tmp_path / "a_1.png")
    whole = save("b_1.png", Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)))
    whole.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ValueError, match="b_1.png cannot be read as an image"):
        read_page(whole)
    with pytest.raises(FileNotFoundError):
        read_page(tmp_path / "nowhere.png")
