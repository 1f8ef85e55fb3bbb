"""The survival screen in a browser: every control, odd input, downloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.form.entry import cells_of
from underlie.app.form.fields import fields_of
from underlie.app.survival import words
from underlie.app.survival.answer import Asker
from underlie.app.survival.question import arms_of

pytest.importorskip("playwright.sync_api", reason="tests in a browser need the package playwright")
from playwright.sync_api import Page, expect

#: milliseconds that an answer may take on a machine that is busy with other tests
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
HOSTILE = "<script>window.hit = 1</script>"
AGE, NODES, GRADE = '[data-key="field0"]', '[data-key="field2"]', '[data-key="field3"]'


def patients() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    n = 110
    X = pd.DataFrame(
        {
            "age": rng.integers(30, 80, n),
            HOSTILE: rng.choice(["<b>", "plain"], n),
            "lymph nodes": rng.poisson(3, n).astype(float),
            "Größe": pd.Categorical(rng.choice(["I", "II", "III"], n), ["I", "II", "III"], ordered=True),
            "arm": rng.choice(["new", "old"], n),
        }
    )
    X.loc[4, "lymph nodes"] = np.nan
    time = rng.exponential(900 * np.exp(-0.03 * (X["age"] - 55) + 0.9 * (X["arm"] == "new")))
    end = rng.uniform(300, 1800, n)
    return X, ul.Surv(np.minimum(time, end).round() + 1, time <= end)


@pytest.fixture(scope="module")
def model() -> Any:
    X, y = patients()
    return ul.SurvivalVAE("arm", n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False).fit(
        X, y
    )


@pytest.fixture(scope="module")
def address(model: Any, served: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    X, y = patients()
    model.save(folder / "arms.safetensors")
    whole = X.assign(days=y["time"], died=y["event"].astype(int), id=[f"P{i}" for i in range(len(X))])
    whole.to_csv(folder / "patients.csv", index=False)
    question = {"horizon": 730.5, "time_unit": "days", "control": "old", "min_gain": 0.05}
    note = {"file": "patients.csv", "time": "days", "event": "died", "identifier": "id", "question": question}
    (folder / "arms.data.json").write_text(json.dumps(note), encoding="utf-8")
    plain = ul.SurvivalVAE(n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False)
    plain.fit(X.drop(columns=HOSTILE), y).save(folder / "plain.safetensors")
    dosed = ul.SurvivalVAE("dose", n_replicates=2, max_epochs=1, heterogeneity=0.0, random_state=0, verbose=False)
    given = np.random.default_rng(1).uniform(0, 10, len(X)).round(2)
    dosed.fit(X[["age"]].assign(dose=given), y).save(folder / "dosed.safetensors")
    return served(folder)


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Iterator[Page]:
    """One page for most tests: opening it takes longer than what they do."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page, problems = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{address}?model=arms")
    expect(page.locator("svg.curves polyline")).to_have_count(2, timeout=PATIENCE)
    yield page
    context.close()
    assert not problems, problems


@pytest.fixture
def page(opened: Page) -> Page:
    """The page with an empty form and the first question."""
    opened.get_by_label("Times in the data are").select_option(label="days")
    opened.get_by_label("Compared with").select_option(label="arm = old")
    opened.get_by_label("Least gain, points").fill("5")
    opened.get_by_label("Name", exact=True).fill("Patient 1")
    empty(opened)
    expect(opened.locator("[id$=outlooks] thead")).to_contain_text("gain over arm = old")
    return opened


def empty(page: Page) -> None:
    """An empty form. One field is filled before, so that what is waited for cannot be there already."""
    page.fill(AGE, "55")
    expect(page.locator(".remarks", has_text="Nothing is entered")).to_have_count(0)
    button(page, "Empty all fields").click()
    expect(page.locator(".remarks")).to_contain_text("Nothing is entered")
    expect(page.locator(AGE)).to_have_value("")


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name)


def outlooks(page: Page) -> Any:
    return page.locator("[id$=outlooks] tbody")


def test_what_is_entered_is_what_is_predicted(page: Page, model: Any) -> None:
    expect(page.locator(".remarks")).to_contain_text("Nothing is entered")
    page.fill(AGE, "41")
    page.fill(NODES, "2")
    page.select_option(GRADE, label="III")
    known = {"age": 41.0, HOSTILE: None, "lymph nodes": 2.0, "Größe": "III"}
    asker = Asker(model, arms_of(model))
    found = asker.outlooks(known, 730.5, "old")
    for outlook in found:
        expect(page.locator("[id$=outlooks]")).to_contain_text(words.percent(outlook.survival))
    expect(page.locator(".advice")).to_contain_text(words.advice_title(asker.advice(known, 730.5, "old", 0.05), asker))
    expect(page.locator(".advice")).to_contain_text("Not medical advice")
    expect(page.locator(".remarks")).to_have_count(0)
    before = outlooks(page).inner_text()
    button(page, "Empty all fields").click()
    expect(page.locator(".remarks")).to_contain_text("Nothing is entered")
    expect(page.locator(AGE)).to_have_value("")
    expect(page.locator(GRADE)).to_have_value("")
    expect(outlooks(page)).not_to_have_text(before, use_inner_text=True)


def test_what_is_typed_right_after_emptying_stays(page: Page, model: Any) -> None:
    page.fill(AGE, "60")
    page.fill(NODES, "2")
    expect(page.locator(".remarks")).to_have_count(0)
    page.evaluate(  # in one breath: no answer of the server comes between
        """(age) => {
          [...document.querySelectorAll("button")].find((b) => b.textContent.trim() == "Empty all fields").click();
          const field = document.querySelector(age);
          field.value = "41";
          field.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        AGE,
    )
    expect(page.locator(NODES)).to_have_value("")
    known = {"age": 41.0, HOSTILE: None, "lymph nodes": None, "Größe": None}
    for outlook in Asker(model, arms_of(model)).outlooks(known, 730.5, "old"):
        expect(page.locator("[id$=outlooks]")).to_contain_text(words.percent(outlook.survival))
    expect(page.locator(AGE)).to_have_value("41")


def test_the_page_has_an_icon_of_its_own(page: Page) -> None:
    icon = page.locator("link[rel=icon]").get_attribute("href")
    assert icon.startswith("data:image/svg+xml,")
    width = page.evaluate(
        "async (src) => { const i = new Image(); i.src = src; await i.decode(); return i.width }", icon
    )
    assert width > 0


def test_odd_numbers_are_taken_with_a_warning(page: Page) -> None:
    page.fill(AGE, "120")
    page.fill(NODES, "-1")
    expect(page.locator(".remarks")).to_contain_text("age = 120 is outside the data (30 to 79)")
    expect(page.locator(".remarks")).to_contain_text("lymph nodes cannot be −1")
    page.locator(AGE).press_sequentially("e")  # "120e" is no number
    expect(page.locator(".remarks")).to_contain_text("What stands in age is no number. It counts as missing.")
    expect(page.locator("svg.curves polyline")).to_have_count(2)


def test_a_row_of_the_data_is_filled_in_with_its_gaps_and_its_outcome(page: Page, model: Any) -> None:
    X, y = patients()
    page.get_by_label("Row of the data").fill("5")
    button(page, "Fill in this row").click()
    expect(page.locator(AGE)).to_have_value(str(X.loc[4, "age"]))
    expect(page.locator(NODES)).to_have_value("")
    expect(page.get_by_label("Name", exact=True)).to_have_value("P4")
    seen = "had the event at" if y["event"][4] else "was followed to"
    expect(page.locator("[id$=outcome]")).to_contain_text(f"P4 of the data received arm = {X.loc[4, 'arm']} and {seen}")
    known = cells_of(model.covariates(X.iloc[[4]]), fields_of(model.schema_), 0)
    for outlook in Asker(model, arms_of(model)).outlooks(known, 730.5, "old"):
        expect(page.locator("[id$=outlooks]")).to_contain_text(words.percent(outlook.survival))
    page.fill(AGE, "33")
    expect(page.locator("[id$=outcome]")).to_be_empty()
    page.get_by_label("Row of the data").fill("9999")
    button(page, "Fill in this row").click()
    expect(page.locator(".shiny-notification").last).to_contain_text("Give the number of a row, 1 to 110")
    expect(page.locator(AGE)).to_have_value("33")


def test_patients_are_compared_and_taken_out_again(page: Page) -> None:
    page.fill(AGE, "35")
    button(page, "Add to the comparison").click()
    rows = page.locator("[id$=comparison] tbody tr")
    expect(rows).to_have_count(1)
    button(page, "Add to the comparison").click()
    expect(page.locator(".shiny-notification").last).to_contain_text("Patient 1 is in the comparison already")
    page.fill(AGE, "75")
    button(page, "Add to the comparison").click()
    expect(rows).to_have_count(2)
    assert [text.split("\t")[0] for text in rows.all_inner_texts()] == ["Patient 1", "Patient 2"]
    expect(page.locator("[id$=compared_curves] polyline")).to_have_count(4)
    button(page, "Remove Patient 1").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Patient 2")


def test_the_page_can_be_kept_and_printed(page: Page, tmp_path: Path) -> None:
    page.get_by_label("Name", exact=True).fill("Ann / <b>")
    before = outlooks(page).inner_text()
    page.fill(AGE, "44")
    expect(outlooks(page)).not_to_have_text(before, use_inner_text=True)
    with page.expect_download() as kept:
        page.get_by_role("link", name="Download as HTML").or_(button(page, "Download as HTML")).first.click()
    assert kept.value.suggested_filename == "Ann----b.html"
    kept.value.save_as(tmp_path / "kept.html")
    text = (tmp_path / "kept.html").read_text(encoding="utf-8")
    assert "Ann / &lt;b&gt;: predicted survival" in text
    assert "not medical advice" in text
    assert "<script" not in text
    button(page, "Print, or save as PDF").click()
    expect(page.locator("iframe.to-print")).to_have_count(1)
    frame = page.frame_locator("iframe.to-print")
    expect(frame.get_by_role("heading", name="Ann / <b>: predicted survival")).to_have_count(1)


def test_names_of_columns_are_text_and_every_control_has_a_label(page: Page) -> None:
    expect(page.get_by_text(HOSTILE).first).to_be_visible()
    assert page.evaluate("window.hit") is None
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('main input, main select, main button, main svg[role=img]')]
            .filter(e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim())
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []


def test_horizon_threshold_control_and_unit_change_the_question(page: Page) -> None:
    slider = page.get_by_label(re.compile("Horizon, "))
    header = page.locator("[id$=outlooks] thead")
    before = header.inner_text()
    slider.focus()
    for _ in range(8):
        slider.press("ArrowLeft")
    expect(header).not_to_have_text(before)
    page.get_by_label("Least gain, points").fill("100")
    expect(page.locator(".advice")).to_contain_text("the control")
    page.get_by_label("Least gain, points").fill("200")
    expect(page.get_by_text("give percentage points between 0 and 100")).to_be_visible()
    expect(page.locator("svg.curves")).to_have_count(0)
    page.get_by_label("Least gain, points").fill("0")
    expect(page.locator(".advice")).to_contain_text("arm = new")
    page.get_by_label("Compared with").select_option(label="arm = new")
    expect(header).to_contain_text("gain over arm = new")
    page.get_by_label("Times in the data are").select_option(label="not known")
    expect(header).to_contain_text("survival at time")
    expect(page.get_by_label("Horizon", exact=True).first).to_be_visible()


def test_a_model_without_treatments_shows_its_curve_and_quantiles(open_page: Any, address: str) -> None:
    page = open_page(address, "plain")
    expect(page.locator("svg.curves polyline")).to_have_count(1)
    expect(page.locator(".advice")).to_contain_text("Survival at")
    expect(page.locator("[id$=outlooks]")).to_contain_text("50 % have had the event by")
    expect(page.get_by_label("Compared with")).to_have_count(0)
    before = page.locator(".advice").inner_text()
    page.fill(AGE, "78")
    expect(page.locator(".advice")).not_to_have_text(before)
    button(page, "Add to the comparison").click()
    expect(page.locator("[id$=comparison] tbody tr")).to_have_count(1)


def test_a_narrow_page_does_not_scroll_sideways(open_page: Any, address: str) -> None:
    page = open_page(address, "arms", width=390)
    expect(page.locator("svg.curves polyline")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("svg.curves").first.bounding_box()["width"] <= 390


def test_doses_are_chosen_by_whoever_asks(address: str, open_page: Callable[..., Page]) -> None:
    page = open_page(address, "dosed", "Patient")
    doses = page.get_by_label("dose: doses to compare, of")
    expect(page.locator("svg.curves polyline")).to_have_count(5)
    doses.fill("2, 4.5, 8")
    doses.press("Enter")
    expect(page.locator("svg.curves polyline")).to_have_count(3)
    expect(page.locator("[id$=outlooks] thead")).to_contain_text("gain over dose = 2")
    expect(page.get_by_label("Compared with").locator("option")).to_have_text(["dose = 2", "dose = 4.5", "dose = 8"])
    page.get_by_label("Compared with").select_option(label="dose = 8")
    expect(page.locator("[id$=outlooks] thead")).to_contain_text("gain over dose = 8")
    doses.fill("2, 45")
    doses.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("dose: 45 is outside the doses that were given, ")
    doses.fill("1, 8, 9")
    doses.press("Enter")
    expect(page.locator("[id$=outlooks] thead")).to_contain_text("gain over dose = 8")
    expect(outlooks(page).locator("tr")).to_have_count(3)
