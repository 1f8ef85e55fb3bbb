"""A server on tiny models and a real browser in front of it. Without Chromium these tests are skipped, with a reason.

For a new screen: a module-scoped fixture saves models into a folder and gives the address of ``served(folder)``; a test
takes ``open_page`` and works on the page it returns. Errors of scripts on the page fail the test that caused them.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: milliseconds that an answer may take on a machine that is busy with other tests
PATIENCE = 20_000


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server on the models in a folder."""
    from underlie.app.folder import models_in
    from underlie.app.opened import Shelf
    from underlie.app.server import listen, make_server
    from underlie.cli.tables import read_table

    listening = listen("127.0.0.1", None)
    server = make_server(Shelf(models_in(folder), read_table))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[[Path], str]]:
    """A function that starts a server on a folder and gives its address; all are stopped with the module's tests."""
    pytest.importorskip("shiny", reason="the page needs the extra 'app'")
    pytest.importorskip("plotly", reason="the page needs the extra 'app'")
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(running(folder))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="tests in a browser need the package playwright")
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"tests in a browser need one of {', '.join(_BROWSERS)} on the PATH")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def window(browser: Any) -> Iterator[Any]:
    """One browser window whose pages share what was loaded before."""
    context = browser.new_context(accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Any, window: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(address, model=None, tab=None, width=1280)``: a new page, its tabs there.

    With ``other_browser=True`` it shares nothing with the others.
    """
    pages, problems = [], []

    def opened(
        address: str, model: str | None = None, tab: str | None = None, width: int = 1280, other_browser: bool = False
    ) -> Any:
        page = browser.new_page() if other_browser else window.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address + (f"?model={model}" if model else ""))
        page.wait_for_selector(".nav-underline, #screens .said")
        if tab is not None:
            page.get_by_role("tab", name=tab).click()
        return page

    yield opened
    for page in pages:
        page.close()
    assert not problems, problems


@pytest.fixture(scope="session")
def accessible() -> Callable[[Any], None]:
    """``accessible(page)``: every visible control has a name, and every visible text a contrast of at least 4.5."""

    def check(page: Any) -> None:
        assert page.evaluate(_UNNAMED) == []
        assert page.evaluate(_PALE) == []

    return check


#: visible controls without a label, a text or an aria-label
_UNNAMED = """() => [...document.querySelectorAll('input, select, button, a[href], summary, canvas, img')]
  .filter((el) => el.checkVisibility() && el.type !== 'hidden')
  .filter((el) => !(el.labels?.length || el.textContent.trim() || el.getAttribute('aria-label')
                    || el.getAttribute('aria-labelledby') || el.alt || el.title))
  .map((el) => el.outerHTML.slice(0, 120))"""

#: texts with a contrast below 4.5 to their background
_PALE = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (el) => {
    for (; el; el = el.parentElement) {
      const colour = parse(getComputedStyle(el).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')]
    .filter((el) => el.checkVisibility() && !el.closest('svg')
                    && [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
    .filter((el) => {
      const [a, b] = [light(parse(getComputedStyle(el).color)), light(behind(el))].sort((p, q) => q - p);
      return (a + 0.05) / (b + 0.05) < 4.5;
    })
    .map((el) => el.outerHTML.slice(0, 120));
}"""
