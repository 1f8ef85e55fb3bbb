"""How quick the page is: from the command to a page, from a drag to its image, from a field to its curves.

    python benchmarks/app_speed.py

Needs Chromium and the extras app and test. Models of images are fitted to the embedded digits scaled up to 28 by 28
pixels, those of patients to embedded tables: what is timed depends on sizes, not on what was learned.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measured
import numpy as np
from playwright.sync_api import Page, sync_playwright

import underlie as ul

ROUNDS = 20
STARTS = 5
#: Seconds within which a page should be there, and an answer to what was done on it.
START, ANSWER = 3.0, 0.15
Line = dict[str, Any]

#: milliseconds from an event in the page to the next picture on its screen
_TIMED = """async ([act, group]) => {
  const image = document.querySelector(`[aria-label='${group}'] img`);
  const seen = new Promise((resolve) => {
    const shown = () => image.decode().then(() => resolve(performance.now()));
    const watch = new MutationObserver(() => { watch.disconnect(); shown(); });
    watch.observe(image, { attributes: true, attributeFilter: ["src"] });
  });
  const start = performance.now();
  eval(act);
  return (await seen) - start;
}"""

#: the same from a new value of an input to the next change of an output
_ANSWERED = """async ([input, output, value]) => {
  const field = document.querySelector(input), shown = document.querySelector(output);
  const seen = new Promise((resolve) => {
    const watch = new MutationObserver(() => { watch.disconnect(); resolve(performance.now()); });
    watch.observe(shown, { childList: true, subtree: true, characterData: true });
  });
  const start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return (await seen) - start;
}"""


def make_models(folder: Path) -> None:
    """A VAE and a model of two columns of labels, of 1,797 images (28, 28); models of 686 and 228 patients."""
    digits = ul.datasets.load_digits()
    noise = np.random.default_rng(0).random(digits.data.shape)
    rows = np.kron((digits.data + noise) / 17, np.ones((1, 4, 4)))[:, 2:-2, 2:-2]
    writer = np.arange(len(rows)) % 5
    ul.VAE(8, max_epochs=3, random_state=0, verbose=False).fit(rows).save(folder / "vae.safetensors")
    both = np.column_stack([digits.target, writer])
    ul.SemiSupervisedVAE(20, max_epochs=1, random_state=0, verbose=False).fit(rows, both).save(
        folder / "digit-and-writer.safetensors"
    )
    for name in ("vae", "digit-and-writer"):
        np.savez(folder / f"{name}.npz", X=rows, y=digits.target if name == "vae" else both)
    trial, lung = ul.datasets.load_gbsg2(), ul.datasets.load_lung()
    X, y = trial.drop(columns=["time", "event"]), ul.Surv(trial["time"], trial["event"])
    ul.SurvivalVAE("horTh", random_state=0, verbose=False).fit(X, y).save(folder / "survival.safetensors")
    ul.VAE(2, max_epochs=20, random_state=0, verbose=False).fit(X).save(folder / "table.safetensors")
    ul.ProbabilisticPCA(3, standardize=True).fit(lung).save(folder / "lung.safetensors")


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The server, once it has printed its address."""
    words = [sys.executable, "-m", "underlie", "app", os.fspath(folder), "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def timed(page: Page, script: str, arguments: Callable[[int], list[str]]) -> list[float]:
    """Seconds of `ROUNDS` events, a pause between them, after one to warm up."""
    found = []
    for i in range(ROUNDS + 1):
        found.append(float(page.evaluate(script, arguments(i))) / 1000)
        page.wait_for_timeout(200)
    return found[1:]


def line(what: str, found: list[float], reach: float | None) -> Line:
    """A line of the table."""
    return {"variant": what, "seconds": statistics.median(found), "low": min(found), "high": max(found), "reach": reach}


def starts(folder: Path, browser: Any) -> list[Line]:
    """From the command to the page, and to a model with its tabs."""
    seconds: dict[str, list[float]] = {"page": [], "model": [], "map": []}
    for _ in range(STARTS):
        begun = time.perf_counter()
        process, address = start(folder)
        page = browser.new_page()
        page.goto(address + "?model=vae", wait_until="commit")
        page.wait_for_selector(".top")
        seconds["page"].append(time.perf_counter() - begun)
        page.wait_for_selector(".nav-underline")
        seconds["model"].append(time.perf_counter() - begun)
        page.wait_for_selector(".map-cursor:visible")
        seconds["map"].append(time.perf_counter() - begun)
        page.close()
        process.terminate()
        process.wait()
    return [
        line("from the command to the page", seconds["page"], START),
        line("from the command to the model's tabs", seconds["model"], None),
        line("from the command to the map", seconds["map"], None),
    ]


def of_images(page: Page, address: str, name: str) -> list[Line]:
    """What the screens of images answer to."""
    slide = (
        "const s = document.querySelector('.slider-bank input'); s.value = {}; "
        "s.dispatchEvent(new Event('input', {{bubbles: true}}))"
    )
    key = (
        "document.querySelector('.map-cursor').dispatchEvent("
        "new KeyboardEvent('keydown', {{key: 'Arrow{}', bubbles: true}}))"
    )
    again = "[...document.querySelectorAll('button')].find((b) => b.textContent.trim() == 'New styles').click()"
    page.goto(f"{address}?model={name}")
    page.wait_for_selector(".map-cursor:visible")
    page.wait_for_timeout(2000)
    here, drawn = "The image at the cursor", "Generated images"
    found = timed(page, _TIMED, lambda i: [key.format("Up" if i % 2 else "Right"), here])
    lines = [line(f"{name}: the cursor moves, to the image", found, ANSWER)]
    found = timed(page, _TIMED, lambda i: [slide.format(0.1 * i - 1), here])
    lines.append(line(f"{name}: a slider moves, to the image", found, ANSWER))
    if name != "vae":
        page.get_by_role("tab", name="Generate").click()
        page.wait_for_selector(f"[aria-label='{drawn}'] img")
        page.wait_for_timeout(1500)
        lines.append(line(f"{name}: 40 new images", timed(page, _TIMED, lambda i: [again, drawn]), ANSWER))
    return lines


def of_patients(page: Page, address: str) -> list[Line]:
    """What the screen of a survival model answers to."""
    page.goto(f"{address}?model=survival")
    page.wait_for_selector("svg.curves polyline")
    page.wait_for_timeout(2000)
    found = timed(page, _ANSWERED, lambda i: ["[data-key=field0]", "[id$=-curves]", str(40 + i)])
    lines = [line("survival: a field, to the curves", found, ANSWER)]
    found = timed(page, _ANSWERED, lambda i: [".slider-bank input", "[id$=-outlooks]", str(1 + i / 10)])
    return [*lines, line("survival: the horizon, to the gains", found, ANSWER)]


def of_tables(page: Page, address: str, name: str) -> list[Line]:
    """What the screen of a table answers to."""
    page.goto(f"{address}?model={name}")
    page.wait_for_selector(".latent-map .nsewdrag")
    page.get_by_role("tab", name="What if").click()
    page.wait_for_timeout(2000)
    found = timed(page, _ANSWERED, lambda i: ["[data-key=field1]", "[id$=-expected]", str(40 + i)])
    return [line(f"{name}: a field, to what the model expects", found, ANSWER)]


def interactions(folder: Path, browser: Any) -> list[Line]:
    """From what a user does to what the page shows."""
    process, address = start(folder)
    lines: list[Line] = []
    try:
        for screen in (
            lambda page: of_images(page, address, "vae"),
            lambda page: of_images(page, address, "digit-and-writer"),
            lambda page: of_patients(page, address),
            lambda page: of_tables(page, address, "table"),
            lambda page: of_tables(page, address, "lung"),
        ):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            lines += screen(page)
            page.close()
    finally:
        process.terminate()
        process.wait()
    return lines


def main() -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no Chromium on the PATH")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        make_models(Path(place))
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        begun, answered = starts(Path(place), browser), interactions(Path(place), browser)
    note = "Seconds on the clock in a browser without a window, medians and the quickest and slowest of {} each."
    models = (
        "vae and digit-and-writer: 1,797 images of 28 x 28; survival and table: 686 patients, 8 columns; lung: "
        "probabilistic PCA of 228 patients."
    )
    tables = [
        {"title": "To open it", "note": note.format(STARTS), "rows": begun},
        {"title": "To answer", "note": f"{note.format(ROUNDS)} {models}", "rows": answered},
    ]
    measured.keep("app_speed", tables, ("shiny", "plotly"))


if __name__ == "__main__":
    main()
