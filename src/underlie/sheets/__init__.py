"""From scanned sheets to data: the printed grid found, its cells cut, labelled, checked and described."""

from underlie.sheets.cells import Cutting, cut, shrink
from underlie.sheets.check import NoGridError
from underlie.sheets.find import find_grid
from underlie.sheets.grid import Grid

__all__ = ["Cutting", "Grid", "NoGridError", "cut", "find_grid", "shrink"]
