"""Tables of text on a page."""

from __future__ import annotations

from collections.abc import Sequence

from htmltools import Tag, TagAttrs, TagChild
from shiny import ui


def plain_table(header: Sequence[str], rows: Sequence[Sequence[TagChild]], *, caption: str) -> Tag:
    """A table that scrolls by itself where the page is narrow; the first cell of a row names it."""
    label: TagAttrs = {"tabindex": "0", "role": "region", "aria-label": caption}
    body = [ui.tags.tr(ui.tags.th(row[0], scope="row"), *(ui.tags.td(cell) for cell in row[1:])) for row in rows]
    return ui.div(
        label,
        ui.tags.table(
            ui.tags.caption(caption),
            ui.tags.thead(ui.tags.tr(*(ui.tags.th(name, scope="col") for name in header))),
            ui.tags.tbody(*body),
        ),
        class_="wide-table",
    )
