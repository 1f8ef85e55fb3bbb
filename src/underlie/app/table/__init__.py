"""Screens of models of tables: the latent map, what-if imputation, new rows.

``cells.py``        rows as numbers by column, whatever they came as
``differences.py``  two groups of rows compared column by column
``imputation.py``   fields that are empty, given those that are filled, by draws from the model
``strips.py``       intervals and shares as pictures
``rows.py``         the rows that a screen shows: the data, or draws from the model where there are none
``map_screen.py``, ``what_if_screen.py``, ``new_rows_screen.py``  the tabs
"""

from __future__ import annotations

from underlie.app.opened import Opened
from underlie.app.screens import Screen
from underlie.app.table.map_screen import map_screen
from underlie.app.table.new_rows_screen import new_rows_screen
from underlie.app.table.what_if_screen import what_if_screen


def screens(opened: Opened) -> tuple[Screen, ...]:
    """The tabs of a model of a table; a model that only classifies has none of its own."""
    needed = ("transform", "sample", "impute", "inverse_transform")
    if not all(hasattr(opened.model, name) for name in needed):
        return ()
    return (map_screen(opened), what_if_screen(opened), new_rows_screen(opened))
