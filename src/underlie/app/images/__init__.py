"""Screens of models of images."""

from __future__ import annotations

from underlie.app.opened import Opened
from underlie.app.screens import Screen


def screens(opened: Opened) -> tuple[Screen, ...]:
    """The tabs of a model of images."""
    return ()
