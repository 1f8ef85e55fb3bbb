"""The page: which model, its tabs, and what is said while it opens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from htmltools import HTMLDependency
from shiny import App, Inputs, Outputs, Session, reactive, render, ui
from starlette.requests import Request

from underlie import __version__
from underlie.app.folder import Found
from underlie.app.opened import Opened, Shelf
from underlie.app.screens import screens_of
from underlie.app.words import guarded, in_words, note

_WWW = Path(__file__).parent / "www"
#: what is seen follows from what is not: a filled circle below an empty one
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#0b5c94"/>'
    '<g stroke="#fff" stroke-width="2.6"><circle cx="16" cy="8.5" r="4.7" fill="none"/><path d="M16 13.2v6.3"/>'
    '<circle cx="16" cy="23.5" r="4.7" fill="#fff"/></g></svg>'
)


def make_app(shelf: Shelf) -> App:
    """The application that shows the models of a shelf; each page shows one of them."""

    def page(request: Request) -> ui.Tag:
        return _page(shelf, _chosen(shelf, request.url.query))

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        _serve(shelf, session)

    return _Plain(page, server)


class _Plain(App):
    """An application that says in words what went wrong in an output.

    Shiny asks for this text while it handles the error, so that the error is at hand.
    """

    sanitize_errors = True

    @property
    def sanitize_error_msg(self) -> str:
        """What the page says instead of an output."""
        error = sys.exc_info()[1]
        return in_words(error) if error is not None else "This could not be shown."

    @sanitize_error_msg.setter
    def sanitize_error_msg(self, text: str) -> None:
        """Shiny's own text is not used."""


def _chosen(shelf: Shelf, query: str) -> Found | None:
    """The model that an address asks for, or the first one; None when there is no such model."""
    named = parse_qs(query.removeprefix("?")).get("model")
    return shelf.found.get(named[0]) if named else next(iter(shelf.found.values()))


def _page(shelf: Shelf, chosen: Found | None) -> ui.Tag:
    title = f"{chosen.name if chosen else 'No such model'} · underlie"
    return ui.page_fluid(
        ui.head_content(
            ui.tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            ui.tags.link(rel="icon", href=f"data:image/svg+xml,{quote(_ICON)}"),
        ),
        *dependencies(),
        ui.busy_indicators.use(spinners=False, pulse=False, fade=False),
        ui.a("To the model", href="#main", class_="skip"),
        ui.tags.header(
            ui.span("underlie", class_="brand"),
            _choice(shelf, chosen),
            ui.span(__version__, class_="version"),
            class_="top",
        ),
        ui.tags.main(
            ui.output_ui("screens"),
            ui.div(_opening(chosen), class_="until-there", role="status"),
            id="main",
            tabindex="-1",
        ),
        title=title,
        lang="en",
    )


def _opening(chosen: Found | None) -> str:
    return f"Opening {chosen.name} …" if chosen else ""


def _choice(shelf: Shelf, chosen: Found | None) -> ui.Tag:
    """Links to the other models; a folder of one needs none."""
    if len(shelf.found) == 1 and chosen is not None:
        return ui.span(chosen.name, class_="model-name")
    entries = [
        ui.tags.li(
            ui.a(
                ui.span(found.name),
                ui.span(found.family or "cannot be opened", class_="family"),
                {"aria-current": "page"} if found is chosen else {},
                href=f"?model={quote(found.name)}",
            )
        )
        for found in shelf.found.values()
    ]
    return ui.tags.details(
        ui.tags.summary(ui.span("Model: ", class_="quiet"), chosen.name if chosen else "choose"),
        ui.tags.ul(*entries),
        class_="choice",
    )


def dependencies() -> list[HTMLDependency]:
    """plotly.js as it comes with the plotly package, and our own scripts and styles: all from this machine."""
    import plotly

    shipped = Path(plotly.__file__).parent / "package_data"
    return [
        HTMLDependency(
            "plotly", plotly.__version__, source={"subdir": str(shipped)}, script={"src": "plotly.min.js", "async": ""}
        ),
        HTMLDependency(
            "underlie",
            __version__,
            source={"subdir": str(_WWW)},
            script=[{"src": name, "defer": ""} for name in ("controls.js", "latent_map.js", "drawing.js")],
            stylesheet={"href": "underlie.css"},
        ),
    ]


def _serve(shelf: Shelf, session: Session) -> None:
    """Open the model that the address names, then start its screens."""
    shown: reactive.Value[Any] = reactive.value(None)

    @reactive.extended_task
    async def opening(name: str) -> tuple[Opened, Any]:
        def work() -> tuple[Opened, Any]:
            opened = shelf.open(name)
            return opened, screens_of(opened)

        return await asyncio.to_thread(work)

    @reactive.effect
    @guarded
    def start() -> None:
        found = _chosen(shelf, session.clientdata.url_search())
        if found is None:
            shown.set(note("The folder has no model of this name. Choose one above.", "problem"))
        elif found.problem:
            shown.set(note(f"{found.path.name} cannot be opened: {found.problem}. Save the model again.", "problem"))
        else:
            opening(found.name)

    @reactive.effect
    @guarded
    def settle() -> None:
        if opening.status() in ("initial", "running"):
            return
        try:
            opened, screens = opening.result()
        except Exception as error:  # noqa: BLE001  a file can be wrong in many ways; all are told
            shown.set(note(in_words(error), "problem"))
            return
        with reactive.isolate():
            panels = [ui.nav_panel(s.title, s.ui(f"screen{i}"), value=s.title) for i, s in enumerate(screens)]
            for i, screen in enumerate(screens):
                screen.server(f"screen{i}")
        advice = [note(opened.missing)] if opened.missing else []
        shown.set(ui.TagList(*advice, ui.navset_underline(*panels, id="tab")))

    @render.ui
    def screens() -> Any:
        return shown()
