"""The screens of tables in a browser: groups of rows, what if, new rows."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.form.entry import row_of
from underlie.app.table.imputation import guess
from underlie.app.table.strips import text_of

pytest.importorskip("playwright.sync_api", reason="tests in a browser need the package playwright")
from playwright.sync_api import Page, expect

#: milliseconds that an answer may take on a machine that is busy with other tests
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
HOSTILE = "<script>window.hit = 1</script>"


def table() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 120
    height = rng.normal(170, 10, n).round(1)
    frame = pd.DataFrame(
        {
            "Größe (cm)": height,
            "a b": (0.5 * height + rng.normal(0, 2, n)).round(2),
            "a  b": rng.poisson(3, n),
            HOSTILE: np.where(height > 170, "<b>tall</b>", "short"),
        }
    )
    frame.loc[3, "a b"] = np.nan
    return frame


@pytest.fixture(scope="module")
def model() -> Any:
    return ul.VAE(n_latent=2, hidden=(8,), max_epochs=15, random_state=0, verbose=False).fit(table())


@pytest.fixture(scope="module")
def address(model: Any, served: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    model.save(folder / "people.safetensors")
    table().assign(clinic=np.where(np.arange(120) % 2, "north", "south")).to_csv(folder / "people.csv", index=False)
    numbers = np.random.default_rng(0).normal(size=(80, 5)) @ np.diag([3.0, 2.0, 1.0, 1.0, 1.0])
    alone = ul.ProbabilisticPCA(3).fit(pd.DataFrame(numbers, columns=list("abcde")))
    alone.save(folder / "alone.safetensors")
    return served(folder)


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Page]:
    """One page for all tests of the model with data: opening it takes longer than what they do."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened, problems = context.new_page(), []
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(f"{address}?model=people")
    expect(opened.locator(".latent-map .nsewdrag").first).to_be_visible()
    yield opened
    context.close()
    assert not problems, problems


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).first


def downloaded(page: Page, name: str) -> pd.DataFrame:
    with page.expect_download() as kept:
        button(page, name).click()
    return pd.read_csv(io.StringIO(Path(kept.value.path()).read_text(encoding="utf-8")))


def lasso(page: Page) -> None:
    """Around the left half of the map."""
    box = page.locator(".latent-map .nsewdrag").first.bounding_box()
    left, top, width, height = box["x"] + 3, box["y"] + 3, 0.5 * box["width"], box["height"] - 6
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((width, 0), (width, height), (0, height), (0, 0)):
        page.mouse.move(left + x, top + y, steps=4)
    page.mouse.up()


def test_rows_inside_a_lasso_are_compared_with_the_rest(page: Page, model: Any) -> None:
    tab(page, "Latent map")
    expect(page.get_by_text("No rows are chosen yet")).to_be_visible()
    lasso(page)
    said = page.get_by_text(re.compile(r"^\d+ rows? chosen, \d+ others$"))
    expect(said).to_be_visible()
    chosen, others = (int(number) for number in re.findall(r"\d+", said.inner_text()))
    assert chosen + others == 120
    expect(page.get_by_text("no p-value would mean anything")).to_be_visible()
    rows = downloaded(page, "The chosen rows as CSV")
    assert len(rows) == chosen
    assert "clinic" in rows  # columns that the model was not given are there too
    numbers = rows[".row"].to_numpy() - 1
    pd.testing.assert_frame_equal(rows[list(table())], table().iloc[numbers].reset_index(drop=True), check_dtype=False)
    z = model.transform(table())[:, 0]
    assert z[numbers].max() <= np.delete(z, numbers).min() + 1e-3
    summary = downloaded(page, "This table as CSV").set_index("column")
    heights = table()["Größe (cm)"]
    assert summary.loc["Größe (cm)", "selected_mean_or_share"] == pytest.approx(heights.iloc[numbers].mean())
    assert summary.loc["Größe (cm)", "rest_mean_or_share"] == pytest.approx(heights.drop(index=numbers).mean())


def test_rows_can_be_chosen_without_a_pointer(page: Page) -> None:
    tab(page, "Latent map")
    page.get_by_text("Choose rows by a column").click()
    page.get_by_label("Column", exact=True).select_option(label="clinic")
    page.get_by_label("clinic", exact=True).select_option(label="south")
    button(page, "Choose these rows").click()
    expect(page.get_by_text("60 rows chosen, 60 others")).to_be_visible()
    page.get_by_label("Column", exact=True).select_option(label="Größe (cm)")
    page.get_by_label("Größe (cm) from").fill("180")
    button(page, "Choose these rows").click()
    tall = int((table()["Größe (cm)"] >= 180).sum())
    expect(page.get_by_text(f"{tall} rows chosen, {120 - tall} others")).to_be_visible()
    page.get_by_label("Größe (cm) from").fill("999")
    button(page, "Choose these rows").click()
    expect(page.locator(".shiny-notification").last).to_contain_text("No row is in this range")


def test_points_are_coloured_and_tell_their_row_and_the_ring_what_is_expected(page: Page) -> None:
    tab(page, "Latent map")
    page.get_by_label("Colour by").select_option(label=HOSTILE)
    expect(page.locator(".latent-map .legend")).to_contain_text("short")
    assert page.evaluate("window.hit") is None
    page.get_by_role("radio", name="Move").check(force=True)
    ring = page.locator(".map-cursor")
    ring.focus()
    ring.press("ArrowRight")
    expect(page.locator("[id$=at_cursor]")).to_contain_text("What the model expects at the ring")
    expect(page.locator("[id$=at_cursor] tbody tr")).to_have_count(4)
    expect(page.locator("[id$=at_cursor]")).to_contain_text("Größe (cm)")
    page.evaluate("Shiny.setInputValue(document.querySelector('.latent-map').id + '_point', 3, {priority: 'event'})")
    expect(page.locator("[id$=clicked]")).to_contain_text("Row 4")
    expect(page.locator("[id$=clicked] tbody tr", has_text="a b").first).to_contain_text("missing")


def test_what_is_filled_in_moves_what_is_expected(page: Page, model: Any) -> None:
    tab(page, "What if")
    expect(page.locator(".guesses dd .strip").first).to_be_visible()
    page.get_by_label("Größe (cm)", exact=True).last.fill("190")
    known = {"Größe (cm)": 190.0, "a b": None, "a  b": None, HOSTILE: None}
    expect(page.locator(".guesses")).to_contain_text(text_of(guess(model, known).by_column["a b"]))
    expect(page.locator(".guesses")).to_contain_text("entered")
    page.get_by_label("Größe (cm)", exact=True).last.fill("1900")
    expect(page.locator(".remarks")).to_contain_text("is outside the data")
    page.get_by_label("Row of the data").fill("4")
    button(page, "Fill in this row").click()
    row = table().iloc[3]
    expect(page.locator(".guesses dd").first).to_contain_text("entered")
    expect(page.locator(".guesses dd .guess-text")).to_have_count(1)  # what is missing in that row
    expect(page.locator("[data-key=field0]")).to_have_value(f"{row['Größe (cm)']:g}")
    button(page, "Empty all fields").click()
    expect(page.locator(".guesses dd", has_text="entered")).to_have_count(0)


def test_new_rows_are_those_of_the_seed(page: Page, model: Any) -> None:
    tab(page, "New rows")
    page.get_by_label("How many").fill("25")
    page.get_by_label("Seed").fill("7")
    asked = model.sample(25, random_state=7)
    expect(page.locator("[id$=first] tbody tr").first).to_contain_text(f"{asked['Größe (cm)'].iloc[0]:.4g}")
    expect(page.get_by_text("The first of 25")).to_be_visible()
    first, again = downloaded(page, "Download as CSV"), downloaded(page, "Download as CSV")
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, asked, check_dtype=False)
    expect(page.get_by_text("Are they like the data?")).to_be_visible()
    page.get_by_label("How many").fill("0")
    expect(page.get_by_text("How many: give a whole number from 1 to 100,000.")).to_be_visible()


def test_without_data_the_screens_work_and_say_so(open_page: Any, address: str) -> None:
    page = open_page(address, "alone", width=390)
    expect(page.get_by_text("rows that the model itself drew")).to_be_visible()
    expect(page.get_by_label("Across")).to_be_visible()
    page.get_by_label("Up").select_option(label="z1")
    expect(page.locator(".latent-map .ytitle")).to_have_text("z1")
    lasso(page)
    expect(page.get_by_text(re.compile("rows chosen"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tab(page, "What if")
    expect(page.get_by_label("Row of the data")).to_have_count(0)
    expect(page.locator(".guesses dd .guess-text")).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tab(page, "New rows")
    expect(page.get_by_text("With data beside the model")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_row_that_is_empty_can_be_made_for_the_model(model: Any) -> None:
    assert row_of(model.encoder_, [dict.fromkeys(table())]).isna().all(axis=None)
