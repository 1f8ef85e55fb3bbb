"""Which screens a kind of model has."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from underlie.app.opened import Kind, Opened

#: where the screens of a kind are; imported only when such a model is opened
PACKAGES: Final[dict[Kind, str]] = {
    "images": "underlie.app.images",
    "survival": "underlie.app.survival",
    "table": "underlie.app.table",
}


@dataclass(frozen=True)
class Screen:
    """A tab: its title, and a Shiny module as two functions of the module's id."""

    title: str
    ui: Callable[[str], Any]
    server: Callable[[str], Any]


def screens_of(opened: Opened) -> tuple[Screen, ...]:
    """The screens of a model in the order of their tabs, the one that tells about it last."""
    from underlie.app.about import about

    own: tuple[Screen, ...] = importlib.import_module(PACKAGES[opened.kind]).screens(opened)
    return (*own, about(opened))
