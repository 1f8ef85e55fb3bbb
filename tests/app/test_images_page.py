"""Screens of image models in a real browser: every control, errors, bad uploads, two pages at once."""

from __future__ import annotations

import base64
import io
import re
import warnings

import numpy as np
import pytest
from PIL import Image

import underlie as ul
from underlie.warnings import ConvergenceWarning

pytest.importorskip("shiny", reason="the page needs the extra 'app'")
pytest.importorskip("playwright.sync_api", reason="tests in a browser need the package playwright")
from playwright.sync_api import expect

#: milliseconds that an answer may take on a machine that is busy with other tests
expect.set_options(timeout=20_000)

MAP, GENERATE, CHECK = "Latent map", "Generate", "Model check"


@pytest.fixture(scope="module")
def digits():
    """Three hundred digits, each with its class and a writer who writes large values or small ones."""
    data = ul.datasets.load_digits()
    rows = (data.data[:300] + np.random.default_rng(0).random((300, 8, 8))) / 17
    writer = np.where(np.arange(300) % 2 == 0, "Ann", "Ben")
    rows[writer == "Ben"] *= 0.6
    return rows, data.target[:300], writer


@pytest.fixture(scope="module")
def address(digits, served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    rows, target, writer = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nothing is judged here by what was learned
        plane = ul.VAE(2, hidden=(16,), max_epochs=8, random_state=0, verbose=False).fit(rows)
    plane.save(folder / "plane.safetensors")
    np.savez(folder / "plane.npz", X=rows, y=target)
    ul.ProbabilisticPCA(12).fit(rows).save(folder / "alone.safetensors")
    both = np.column_stack([target.astype(str), writer])
    two = ul.SemiSupervisedVAE(3, hidden=(16,), max_epochs=8, random_state=0, verbose=False).fit(rows, both)
    two.save(folder / "two.safetensors")
    np.savez(folder / "two.npz", X=rows, y=both)
    (folder / "worn.safetensors").write_bytes(b"rubbish")
    return served(folder)


def _source(page, group, i=0):
    """Data address of a picture."""
    return page.locator(f"[aria-label='{group}'] img").nth(i).get_attribute("src")


def _until_changed(page, group, before, i=0):
    page.wait_for_function(
        "([group, i, before]) => document.querySelectorAll(`[aria-label='${group}'] img`)[i]?.src !== before",
        arg=[group, i, before],
    )
    return _source(page, group, i)


def _pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))), dtype=float)


HERE = "The image at the cursor"
TABLE = "Generated images"


def _map_of(page):
    page.wait_for_selector(".map-cursor:visible")
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{HERE}'] img\").length == 3")
    return page.locator(".map-layer").bounding_box()


def _place(page):
    """Where the cursor is along z1, once map and sliders say the same: the one that was not moved follows later."""
    page.wait_for_function(
        """() => document.querySelector('.map-cursor').getAttribute('aria-label').match(/z1 (-?[0-9.]+)/)[1]
                 === document.querySelector('.slider-row output').textContent"""
    )
    return float(page.locator(".slider-row output").first.text_content())


def test_map_by_drag_click_point_keys_and_sliders(address, open_page, digits, accessible):
    page = open_page(address, "plane", MAP)
    box = _map_of(page)
    seen = _source(page, HERE)
    captions = page.locator(f"[aria-label='{HERE}'] figcaption")

    page.mouse.click(box["x"] + 0.03 * box["width"], box["y"] + 0.97 * box["height"])  # a corner, where no row is
    seen = _until_changed(page, HERE, seen)
    assert "row 1" in captions.nth(1).text_content()

    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"], steps=6)
    page.mouse.up()
    seen = _until_changed(page, HERE, seen)
    place = _place(page)  # sliders follow the map

    page.locator(".map-cursor").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert _place(page) > place
    seen = _source(page, HERE)

    page.keyboard.press("Enter")  # the nearest row
    page.wait_for_function(f"!document.querySelector(\"[aria-label='{HERE}']\").textContent.includes('row 1,')")
    assert re.search(r"row \d+, \d: as it is", captions.nth(1).text_content())
    _place(page)
    seen = _source(page, HERE)

    page.get_by_label("z1", exact=True).fill("2.1")
    _until_changed(page, HERE, seen)
    assert _place(page) == 2.1  # and the map follows them

    page.get_by_label("Show row").fill("5")
    page.get_by_text(f"row 5, {digits[1][4]}: as it is").wait_for()
    shown = _pixels(_source(page, HERE, 1))[::14, ::14]  # one screen block per pixel of the row
    assert np.corrcoef(255 - shown.ravel(), digits[0][4].ravel())[0, 1] > 0.999
    page.get_by_label("Show row").fill("999")
    page.get_by_text("row 999 is not among them").wait_for()
    accessible(page)
    page.get_by_text("Zoom").click()
    assert page.locator(".latent-map").get_attribute("data-tool") == "zoom"


def test_map_of_many_coordinates_without_data(address, open_page):
    page = open_page(address, "alone", MAP, width=390)
    page.wait_for_selector(".map-cursor:visible")
    page.get_by_role("note").get_by_text("No data lie beside the model").wait_for()
    page.get_by_label("Across").select_option(label="z3")
    page.get_by_label("Up").select_option(label="z5")
    page.wait_for_function("/z3.*z5/.test(document.querySelector('.map-cursor').getAttribute('aria-label'))")
    seen = _source(page, HERE)
    page.locator(".map-cursor").focus()
    page.keyboard.press("ArrowUp")
    seen = _until_changed(page, HERE, seen)
    page.get_by_text("4 more, in which").click()
    page.get_by_label("z12", exact=True).fill("-2.1")
    _until_changed(page, HERE, seen)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing is wider than a telephone
    page.get_by_role("tab", name=CHECK).click()
    page.get_by_text("Moments are compared with data").wait_for()


def test_labels_by_styles(address, open_page, accessible):
    page = open_page(address, "two", GENERATE)
    images = page.locator(f"[aria-label='{TABLE}'] img")
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{TABLE}'] img\").length == 40")
    assert images.first.get_attribute("alt") == "0, Ann, style 1"
    seen = _source(page, TABLE)
    page.get_by_role("button", name="New styles").click()
    seen = _until_changed(page, TABLE, seen)
    page.get_by_text("with seed 1").wait_for()

    page.get_by_label("Styles", exact=True).fill("1")
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{TABLE}'] img\").length == 10")
    page.get_by_label("Styles", exact=True).fill("99")
    page.get_by_text("Ask for 1 to 8 styles").wait_for()
    page.get_by_label("Styles", exact=True).fill("2")
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{TABLE}'] img\").length == 20")

    accessible(page)
    ann = _pixels(_source(page, TABLE, 3))
    seen = _source(page, TABLE, 3)
    controls = page.locator(".tab-pane.active .controls select")
    controls.nth(2).select_option("Ben")
    ben = _pixels(_until_changed(page, TABLE, seen, 3))
    assert ben.mean() > ann.mean()  # Ben writes paler: the writer is a control of its own
    controls.nth(0).select_option("1")  # writers across
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{TABLE}'] img\").length == 4")

    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download as PNG").click()
    sheet = Image.open(waiting.value.path())
    assert waiting.value.suggested_filename == "two-generated.png"
    assert sheet.width > 2 * 8 * 4


def test_restyling_a_row_an_upload_and_a_drawing(address, open_page, accessible):
    page = open_page(address, "two", GENERATE)
    page.get_by_label("of a row of the data").check()
    page.get_by_text("The style of row 1.").wait_for()
    page.get_by_text("The model reads it as").wait_for()
    page.wait_for_function(f"document.querySelectorAll(\"[aria-label='{TABLE}'] img\").length == 10")
    seen = _source(page, TABLE)

    page.get_by_label("of a picture that I upload").check()
    page.get_by_text("Choose a picture of one character").wait_for()
    sheet = np.full((120, 90), 255, dtype=np.uint8)
    sheet[20:100, 40:55] = 0
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    chooser = page.locator("input[type=file]")
    for name, content, words in (
        ("notes.txt.png", b"hello", "no picture that can be read"),
        ("cut.png", file.getvalue()[: len(file.getvalue()) // 2], "damaged or cut off"),
    ):
        chooser.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        page.get_by_text(words).wait_for()
    chooser.set_input_files({"name": "one.png", "mimeType": "image/png", "buffer": file.getvalue()})
    page.get_by_text("The style of one.png").wait_for()
    page.get_by_text("scaled from 90 × 120 to 8 × 8").wait_for()
    seen = _until_changed(page, TABLE, seen)

    page.get_by_label("of what I draw").check()
    page.get_by_text("Draw one character into the field").wait_for()
    box = page.locator(".drawing-field canvas").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 160, steps=5)
    page.mouse.up()
    page.get_by_text("The style of your drawing").wait_for()
    accessible(page)
    page.get_by_role("button", name="Clear the drawing").click()
    page.get_by_text("Draw one character into the field").wait_for()


def test_a_character_can_be_drawn_by_keys_alone(address, open_page):
    """The pen is moved, put down, moved and lifted; ink lies where it went, and what happened is said."""
    page = open_page(address, "two", GENERATE)
    page.get_by_label("of what I draw").check()
    field = page.get_by_label("Field to draw one character in")
    page.get_by_label("of what I draw").press("Tab")
    expect(field).to_be_focused()
    expect(page.locator(".drawing-field .pen")).to_be_visible()
    status = page.locator(".drawing-field [role=status]")
    for _ in range(8):
        field.press("ArrowUp")
    expect(status).to_have_text("Pen up: column 15 of 28, row 7 of 28")
    assert _ink(page).sum() == 0
    field.press("Space")
    expect(status).to_have_text("Pen down: column 15 of 28, row 7 of 28")
    for _ in range(4):
        field.press("Shift+ArrowDown")
    expect(status).to_have_text("Drawing: column 15 of 28, row 23 of 28")
    field.press("Space")
    expect(status).to_have_text("Pen lifted: column 15 of 28, row 23 of 28")
    page.get_by_text("The style of your drawing").wait_for()
    rows, columns = (np.flatnonzero(_ink(page).any(axis=axis)) for axis in (1, 0))
    assert 6 / 28 < rows.mean() / 196 < 23 / 28
    assert rows[-1] - rows[0] > 100  # a stroke of 16 rows of 28
    assert abs(columns.mean() - 196 * 14.5 / 28) < 2
    for _ in range(10):
        field.press("Shift+ArrowRight")
    expect(status).to_have_text("Pen up: column 28 of 28, row 23 of 28")  # and no further


def _ink(page):
    """Where the field is drawn on, by pixel."""
    address = page.evaluate("() => document.querySelector('.drawing-field canvas').toDataURL('image/png')")
    return _pixels(address)[..., :3].mean(axis=2) < 128


def test_the_check_is_computed_once_for_two_browsers(address, open_page, accessible):
    first, second = open_page(address, "plane", CHECK), open_page(address, "plane", CHECK, other_browser=True)
    for page in (first, second):
        page.get_by_role("button", name="Draw").click()
        page.get_by_role("button", name="Compare moments").click()
    for page in (first, second):
        page.get_by_text("Second moments of 300 rows").wait_for()
        page.wait_for_function("document.querySelectorAll('.drawn figure img').length == 4")
        assert all(page.locator(".drawn figure img").nth(i).get_attribute("alt") for i in range(4))
    images = [page.locator(".drawn figure img").last.get_attribute("src") for page in (first, second)]
    assert images[0] == images[1]
    accessible(first)
    first.get_by_role("tab", name="About").click()
    first.get_by_text("8 × 8 pixels").wait_for()
    accessible(first)


def test_two_browsers_do_not_move_each_other(address, open_page):
    first, second = open_page(address, "plane", MAP), open_page(address, "plane", MAP, other_browser=True)
    _map_of(first)
    _map_of(second)
    still = _source(second, HERE)
    moved = _source(first, HERE)
    first.get_by_label("z2", exact=True).fill("-2.8")
    _until_changed(first, HERE, moved)
    assert _source(second, HERE) == still


def test_choice_of_models_and_those_that_cannot_be_opened(address, open_page):
    page = open_page(address)
    assert page.title() == "alone · underlie"
    page.locator(".choice summary").click()
    page.get_by_role("link", name="worn").click()
    page.get_by_text("worn.safetensors cannot be opened: it is damaged").wait_for()
    page.goto(address + "?model=nonesuch")
    page.get_by_text("no model of this name").wait_for()
    page.locator(".choice summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="plane").wait_for()
    page.keyboard.press("Escape")
    assert page.locator(".choice").get_attribute("open") is None


def test_an_error_in_a_screen_is_words_on_the_page_and_the_page_lives_on(address, open_page, monkeypatch):
    page = open_page(address, "plane", MAP)
    _map_of(page)
    seen = _source(page, HERE)
    monkeypatch.setattr(ul.VAE, "moments", lambda *_: 1 / 0)
    page.get_by_label("z1", exact=True).fill("1.05")
    page.get_by_text("This did not work (ZeroDivisionError)").first.wait_for()
    assert "Traceback" not in page.content()
    monkeypatch.undo()
    page.get_by_label("z1", exact=True).fill("-1.05")
    _until_changed(page, HERE, seen)
