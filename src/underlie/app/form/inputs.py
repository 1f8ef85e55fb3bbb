"""The fields of a form as controls of a page: one input for all of them, sent as it is typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from htmltools import HTMLDependency, Tag, TagAttrs, TagAttrValue, TagChild, TagList
from shiny import ui
from shiny.module import resolve_id
from shiny.session import require_active_session

from underlie import __version__
from underlie.app.form.fields import MISSING, Field
from underlie.app.words import Hint

#: fields that a page holds, and from how many on they scroll
MOST_FIELDS: Final = 300
_MANY: Final = 30
_WWW: Final = Path(__file__).parent / "www"


def form(id: str, fields: Sequence[Field], *, label: str) -> TagList:
    """Fields below each other, all empty. ``input.<id>()`` is a dict of what stands in them, by key of the field.

    A value is the text of a number, the key of a level, "" where nothing is entered, and "?" where no number stands.
    Many fields scroll by themselves and can be searched by name; of very many only `MOST_FIELDS` are there.
    """
    name = resolve_id(id)
    group: TagAttrs = {"role": "group", "aria-label": label}
    bank = ui.div(group, *(_control(name, field) for field in fields[:MOST_FIELDS]), id=name, class_="form-bank")
    if len(fields) <= _MANY:
        return TagList(dependency(), bank)
    hidden = (
        f"The first {MOST_FIELDS} of {len(fields):,} columns are shown; the others count as missing, unless a row of "
        "the data is filled in."
    )
    search: TagAttrs = {"type": "search", "data-searches": name}
    return TagList(
        dependency(),
        ui.p(hidden, class_="hint") if len(fields) > MOST_FIELDS else None,
        ui.tags.label("Find a field", ui.tags.input(search, class_="form-control"), class_="field-search"),
        ui.div(bank, class_="many-fields"),
    )


def hidden_part(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row, what the form has no place for, as if it were entered."""
    return {field.key: field.entered_of(values.get(field.name)) for field in fields[MOST_FIELDS:]}


async def fill_form(id: str, fields: Sequence[Field], values: Mapping[str, Any]) -> None:
    """Put cells of a row, by column, into the fields of a form; the form sends them back as if they were typed."""
    session = require_active_session(None)
    entered = {field.key: _entered(field, values.get(field.name)) for field in fields[:MOST_FIELDS]}
    await session.send_custom_message("underlie-form", {"id": session.ns(id), "values": entered})


def empty_button(form_id: str) -> Tag:
    """Button ``clear``: a form is emptied in the browser; the server hears of it for what the form has no place for."""
    empties: TagAttrs = {"data-empties": resolve_id(form_id)}
    return ui.input_action_button("clear", "Empty all fields", class_="btn-default", **empties)


def row_controls(n: int) -> TagChild:
    """Controls ``row`` and ``take`` that fill a row of the data into a form; nothing where there are no data."""
    if not n:
        return None
    return ui.div(
        ui.input_numeric("row", f"Row of the data, 1 to {n}", 1, min=1, max=n, step=1),
        ui.input_action_button("take", "Fill in this row", class_="btn-default"),
        class_="controls",
    )


def chosen_row(number: Any, n: int) -> int:
    """Place of the row whose number stands in ``row``.

    Raises
    ------
    Hint
        If there is no such row.
    """
    if not isinstance(number, int) or not 1 <= number <= n:
        raise Hint(f"Give the number of a row, 1 to {n}.")
    return number - 1


def dependency() -> HTMLDependency:
    """Scripts and styles of forms."""
    return HTMLDependency(
        "underlie-form",
        __version__,
        source={"subdir": str(_WWW)},
        script={"src": "form.js"},
        stylesheet={"href": "form.css"},
    )


def _entered(field: Field, cell: Any) -> str:
    entered = field.entered_of(cell)
    if entered is None:
        return MISSING
    return entered if isinstance(entered, str) else f"{entered:.10g}"


def _control(form_name: str, field: Field) -> Tag:
    name = f"{form_name}-{field.key}"
    hint = f"{name}-hint"
    described: dict[str, TagAttrValue] = {"data-key": field.key, "aria-describedby": hint if field.hint else None}
    return ui.div(
        ui.tags.label(field.name, {"for": name}),
        ui.tags.select(
            described,
            *(ui.tags.option(text, value=key) for key, text in field.choices.items()),
            id=name,
            class_="form-select",
        )
        if field.is_choice
        else ui.tags.input(described | _number(field), id=name, class_="form-control"),
        ui.span(field.hint, id=hint, class_="field-hint") if field.hint else None,
        class_="field",
    )


def _number(field: Field) -> dict[str, TagAttrValue]:
    step = "1" if field.is_whole else "any"
    return {"type": "number", "inputmode": "decimal", "placeholder": "missing", "autocomplete": "off", "step": step}
