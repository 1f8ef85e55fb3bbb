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


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(address, model=None, tab=None, width=1280)``: a page of its own, its tabs there."""
    contexts, problems = [], []

    def opened(address: str, model: str | None = None, tab: str | None = None, width: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address + (f"?model={model}" if model else ""))
        page.wait_for_selector(".nav-underline, #screens .said")
        if tab is not None:
            page.get_by_role("tab", name=tab).click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems, problems
