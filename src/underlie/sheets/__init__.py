"""From scanned sheets to data: the printed grid found, its cells cut, labelled, checked and described."""

from underlie.sheets.cells import Cutting, cut, shrink
from underlie.sheets.check import NoGridError
from underlie.sheets.digitise import LAYOUT, Digitised, digitise
from underlie.sheets.doubts import REASONS, doubts
from underlie.sheets.find import find_grid
from underlie.sheets.grid import Grid
from underlie.sheets.loading import load
from underlie.sheets.overview import overview
from underlie.sheets.scans import Page, find_pages, read_page

__all__ = [
    "LAYOUT",
    "REASONS",
    "Cutting",
    "Digitised",
    "Grid",
    "NoGridError",
    "Page",
    "cut",
    "digitise",
    "doubts",
    "find_grid",
    "find_pages",
    "load",
    "overview",
    "read_page",
    "shrink",
]
