"""How quick the page is: from the command to a page, and from a drag to its image, on models of MNIST's size.

    python benchmarks/app_speed.py

Needs Chromium and the extras app and test. Models are fitted to the embedded digits scaled up to 28 by 28 pixels: what
is timed depends on sizes, not on what was learned. Every figure is a median of 20, after one to warm up.
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

import numpy as np
from playwright.sync_api import Page, sync_playwright

import underlie as ul

ROUNDS = 20
STARTS = 3

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


def make_models(folder: Path) -> None:
    """A VAE and a model of two columns of labels, of images (28, 28), with 1,797 rows each."""
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


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The server, once it has printed its address."""
    words = [sys.executable, "-m", "underlie", "app", os.fspath(folder), "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def timed(page: Page, group: str, act: Callable[[int], str]) -> list[float]:
    """Milliseconds of `ROUNDS` events, a pause between them."""
    found = []
    for i in range(ROUNDS + 1):
        found.append(float(page.evaluate(_TIMED, [act(i), group])))
        page.wait_for_timeout(150)
    return found[1:]


def report(what: str, found: list[float], unit: str) -> None:
    low, high = min(found), max(found)
    print(f"{what:52s} {statistics.median(found):8.2f} {unit}   ({low:.2f} to {high:.2f})")


def starts(folder: Path, browser: Any) -> None:
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
    report("from the command to the page", seconds["page"], "s")
    report("from the command to the model's tabs", seconds["model"], "s")
    report("from the command to the map", seconds["map"], "s")


def interactions(folder: Path, browser: Any) -> None:
    process, address = start(folder)
    slide = (
        "const s = document.querySelector('.slider-bank input'); s.value = {}; "
        "s.dispatchEvent(new Event('input', {{bubbles: true}}))"
    )
    key = (
        "document.querySelector('.map-cursor').dispatchEvent("
        "new KeyboardEvent('keydown', {{key: 'Arrow{}', bubbles: true}}))"
    )
    try:
        for name in ("vae", "digit-and-writer"):
            page = browser.new_page()
            page.goto(f"{address}?model={name}")
            page.wait_for_selector(".map-cursor:visible")
            page.wait_for_timeout(2000)
            here = "The image at the cursor"
            found = timed(page, here, lambda i: key.format("Up" if i % 2 else "Right"))
            report(f"{name}: the cursor moves, the image changes", found, "ms")
            found = timed(page, here, lambda i: slide.format(0.1 * i - 1))
            report(f"{name}: a slider moves, the image changes", found, "ms")
            if name != "vae":
                page.get_by_role("tab", name="Generate").click()
                page.wait_for_selector("[aria-label='Generated images'] img")
                page.wait_for_timeout(1500)
                again = (
                    "[...document.querySelectorAll('button')].find((b) => b.textContent.trim() == 'New styles').click()"
                )
                report(f"{name}: 40 new images", timed(page, "Generated images", lambda i, again=again: again), "ms")
            page.close()
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no Chromium on the PATH")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        make_models(Path(place))
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        starts(Path(place), browser)
        interactions(Path(place), browser)


if __name__ == "__main__":
    main()
