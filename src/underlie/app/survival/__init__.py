"""Screens of survival models: one patient, and patients compared.

``question.py``  treatments, horizon and threshold that are asked about, and what they are at first
``answer.py``    what the model says of one patient: curves, outlooks, advice; no page in it
``words.py``     the same in sentences, with the limits that always stand beside
``drawing.py``   curves as SVG
``page.py``      answers as tags
``document.py``  the screen as a page to keep
``room.py``      what the screen's parts share
``layout.py``    the controls, and places for the answers
``screen.py``    what they change
"""

from __future__ import annotations

from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.survival.screen import patient_screen


def screens(opened: Opened) -> tuple[Screen, ...]:
    """The tabs of a survival model."""
    return (patient_screen(opened),)
