"""Make the picture of a report in docs/report.md: ``python docs/make_report_image.py``. Needs Chromium or Chrome."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import underlie as ul

IMAGE = Path(__file__).parent / "images" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1100, 1250)


def page() -> ul.Report:
    """The report that docs/report.md makes."""
    data = ul.datasets.load_gbsg2().sample(frac=1, random_state=0)
    X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    model = ul.SurvivalVAE("horTh", random_state=0, verbose=False).fit(X[:450], y[:450])
    return ul.Report(model, X[450:], y[450:], horizon=1461, held_out=True)


def photograph(html: Path, image: Path) -> None:
    """The first screen of a page as a browser shows it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed: install one, or leave the picture as it is")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"]
    subprocess.run([browser, *options, f"--screenshot={image}", html.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        page().to_html(file)
        photograph(file, IMAGE)
