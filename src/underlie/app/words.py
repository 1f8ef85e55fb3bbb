"""What went wrong, in words: no traceback ever reaches a page, and no effect that fails ends it."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from shiny import ui
from shiny.types import SilentCancelOutputException, SilentException, SilentOperationInProgressException

#: with these Shiny says that there is nothing to show, or not yet; they are no errors
SILENT = (SilentException, SilentCancelOutputException, SilentOperationInProgressException)

T = TypeVar("T")
_log = logging.getLogger("underlie.app")


class Hint(ValueError):
    """What a screen cannot show yet, and what to do about it; shown as advice."""


def in_words(error: BaseException) -> str:
    """One sentence or two about an error, for the person at the page.

    Messages of ValueErrors and TypeErrors that this package raised are written for users. Of anything else only the
    type is named, and the traceback is left in the terminal.
    """
    if isinstance(error, (ValueError, TypeError)) and _is_ours(error):
        return str(error)
    _log.error("an error on a page", exc_info=error)
    return f"This did not work ({type(error).__name__}). The terminal that runs underlie app has the details."


def guarded(effect: Callable[..., Any]) -> Callable[..., Any]:
    """An effect whose errors become a message on the page; Shiny would end the page's session.

    Put it below ``@reactive.effect`` and ``@reactive.event``.
    """

    @functools.wraps(effect)
    async def careful(*args: Any) -> None:
        try:
            done = effect(*args)
            if inspect.isawaitable(done):
                await done
        except SILENT:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the page must live on
            told(error)

    return careful


def explained(output: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a ``@render.ui`` whose errors become a sentence in its place. Put it below ``@render.ui``."""

    @functools.wraps(output)
    async def careful() -> Any:
        try:
            shown = output()
            return await shown if inspect.isawaitable(shown) else shown
        except SILENT:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the page is to say it
            return note(in_words(error), kind_of(error))

    return careful


def or_silence(value: Callable[[], T]) -> T:
    """What a calculation gives, or nothing where it has only advice to give, which another output says."""
    try:
        return value()
    except Hint:
        raise SilentException from None


def kind_of(error: BaseException) -> str:
    """Whether an error is advice or a problem, for `note`."""
    return "note" if isinstance(error, Hint) else "problem"


def told(error: Exception) -> None:
    """Show an error as a message in the corner of the page."""
    ui.notification_show(in_words(error), type="message" if isinstance(error, Hint) else "error", duration=8)


def note(text: str, kind: str = "note") -> ui.Tag:
    """A sentence that stands on the page: a ``note`` (something is not there) or a ``problem``."""
    return ui.div(text, class_=f"said said-{kind}", role="alert" if kind == "problem" else "note")


def _is_ours(error: BaseException) -> bool:
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    raised_in = str(last.tb_frame.f_globals.get("__name__", "")) if last is not None else ""
    return last is None or raised_in.startswith("underlie.")
