"""Make the pictures of the page, at two widths, from models fitted here: ``python docs/make_screenshots.py [NAME]``.

Needs Chromium and the extras app and test. A scene is a model, a tab and what is done there; name scenes to make only
those.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

import underlie as ul
from underlie.app.beside import Note, write_note
from underlie.app.folder import models_in
from underlie.app.opened import Shelf
from underlie.app.server import listen, make_server
from underlie.cli.tables import read_table

IMAGES = Path(__file__).parent / "images"
WIDTHS = {1280: "", 390: "-narrow"}
COLOURS = 255
MOST_BYTES = 150_000


@dataclass(frozen=True)
class Scene:
    """A picture ``app-NAME.png``: the model and the tab that it shows, and what is done before it is taken."""

    name: str
    model: str
    tab: str
    act: Callable[[Any], None]


# ---- models ----
def fit_images(folder: Path) -> None:
    """Handwritten digits: a plane without labels, and digits in styles."""
    digits = ul.datasets.load_digits()
    rows = (digits.data + np.random.default_rng(0).random(digits.data.shape)) / 17
    np.savez(folder / "digits-vae.npz", X=rows, y=digits.target)
    shutil.copy(folder / "digits-vae.npz", folder / "digits-and-style.npz")
    ul.VAE(2, random_state=0).fit(rows).save(folder / "digits-vae.safetensors")
    ul.SemiSupervisedVAE(6, random_state=0).fit(rows, digits.target).save(folder / "digits-and-style.safetensors")


def fit_patients(folder: Path) -> None:
    """Women after an operation for breast cancer: their table, and their survival with hormone therapy and without."""
    data = ul.datasets.load_gbsg2()
    X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    data.to_csv(folder / "patients.csv", index=False)
    ul.VAE(2, random_state=0).fit(X).save(folder / "table.safetensors")
    write_note(folder / "table.safetensors", Note(str(folder / "patients.csv")))
    ul.SurvivalVAE("horTh", random_state=0).fit(X, y).save(folder / "survival.safetensors")
    question = {"horizon": 1461, "time_unit": "days", "control": "no", "min_gain": 0.07}
    note = Note(str(folder / "patients.csv"), time="time", event="event", question=question)
    write_note(folder / "survival.safetensors", note)


# ---- what is done ----
def take_a_row(page: Any) -> None:
    """Show row 11, and put the cursor a little beside it."""
    page.wait_for_selector(".map-cursor:visible")
    page.get_by_label("Show row").fill("11")
    page.get_by_text("row 11: reconstructed").wait_for()
    page.locator(".map-cursor").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(200)
    page.mouse.click(5, 5)


def generate(page: Any) -> None:
    """Wait for the table of images."""
    page.wait_for_selector("[aria-label='Generated images'] img")


def restyle(page: Any) -> None:
    """Draw a seven."""
    page.get_by_label("of what I draw").check()
    box = page.locator(".drawing-field canvas").bounding_box()
    for i, (x, y) in enumerate(((50, 40), (140, 38), (95, 165))):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=8)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    page.get_by_text("The style of your drawing").wait_for()


def check(page: Any) -> None:
    """Compute both answers."""
    page.get_by_role("button", name="Draw").click()
    page.locator(".drawn figure img").nth(1).wait_for()


def compare_patients(page: Any) -> None:
    """Two patients beside each other, the second with an empty field."""
    page.locator("svg.curves polyline").first.wait_for()
    for name, row in (("Anna", "17"), ("Berta", "52")):
        page.get_by_label("Row of the data").fill(row)
        page.get_by_role("button", name="Fill in this row").click()
        page.get_by_text(f"Row {row} of the data").wait_for()
        page.get_by_label("Name", exact=True).fill(name)
        if name == "Berta":
            page.get_by_label("progrec", exact=True).fill("")
        page.wait_for_timeout(600)
        page.get_by_role("button", name="Add to the comparison").click()
        page.get_by_role("button", name=f"Remove {name}").wait_for()
    page.mouse.click(5, 5)


def group(page: Any) -> None:
    """A lasso around the left of the map."""
    page.get_by_label("Colour by").select_option(label="menostat")
    page.locator(".latent-map .nsewdrag").first.wait_for()
    page.wait_for_timeout(1000)
    box = page.locator(".latent-map .nsewdrag").first.bounding_box()
    for i, (x, y) in enumerate(((0.15, 0.1), (0.5, 0.1), (0.5, 0.5), (0.15, 0.5), (0.15, 0.1))):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    page.get_by_text("rows chosen").wait_for()


def what_if(page: Any) -> None:
    """A young woman with many lymph nodes."""
    page.get_by_label("age", exact=True).fill("34")
    page.get_by_label("pnodes", exact=True).fill("12")
    page.locator(".guesses").get_by_text("entered").nth(1).wait_for()
    page.mouse.click(5, 5)


SCENES = [
    Scene("latent-map", "digits-vae", "Latent map", take_a_row),
    Scene("generate", "digits-and-style", "Generate", generate),
    Scene("restyle", "digits-and-style", "Generate", restyle),
    Scene("model-check", "digits-vae", "Model check", check),
    Scene("patient", "survival", "Patient", compare_patients),
    Scene("table-map", "table", "Latent map", group),
    Scene("what-if", "table", "What if", what_if),
]
MODELS = {"digits-vae": fit_images, "digits-and-style": fit_images, "survival": fit_patients, "table": fit_patients}


# ---- pictures ----
@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of the page."""
    listening = listen("127.0.0.1", None)
    server = make_server(Shelf(models_in(folder), read_table))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def take(browser: Any, address: str, scene: Scene, width: int) -> None:
    """One picture, in few colours, so that it stays small."""
    page = browser.new_page(viewport={"width": width, "height": 760})
    page.goto(f"{address}?model={scene.model}")
    page.get_by_role("tab", name=scene.tab).click(timeout=60_000)
    scene.act(page)
    page.wait_for_timeout(1500)
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    file = IMAGES / f"app-{scene.name}{WIDTHS[width]}.png"
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    page.close()
    size = file.stat().st_size
    print(f"{file.name:34s} {size / 1000:6.0f} kB")
    if size > MOST_BYTES:
        sys.exit(f"{file} is larger than {MOST_BYTES / 1000:.0f} kB")


def main(names: list[str]) -> None:
    scenes = [scene for scene in SCENES if not names or scene.name in names]
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no Chromium on the PATH")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        for fit in dict.fromkeys(MODELS[scene.model] for scene in scenes):
            fit(Path(place))
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        with serving(Path(place)) as address:
            for scene in scenes:
                for width in WIDTHS:
                    take(browser, address, scene, width)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
