"""Times as they are typed: "4y" is 1461 days."""

from __future__ import annotations

import re

from underlie.cli.errors import BadInput
from underlie.report.time_unit import DAYS, TimeUnit, known_unit


def unit_option(name: str | None, longest: float) -> TimeUnit:
    """The unit that ``--time-unit`` names, for times up to ``longest``.

    Raises
    ------
    BadInput
        If it is not known.
    """
    try:
        return TimeUnit.of(name, longest)
    except ValueError as error:
        raise BadInput(f"--time-unit {name}: {error}") from error


def horizon_option(said: str, unit: TimeUnit) -> float:
    """The time that ``--horizon`` says, in the table's unit: ``"1461"``, ``"4y"``, ``"48 months"``.

    Raises
    ------
    BadInput
        If it is no number, or carries a unit though that of the table is not known.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-z]*)\s*", said.lower())
    if found is None or not float(found[1]) > 0:
        raise BadInput(f"--horizon {said}: write a number above 0 in the unit of the time column, or such as 4y or 48m")
    number, letters = float(found[1]), found[2]
    if not letters:
        return number
    if not unit.own:
        raise BadInput(f"--horizon {said}: say in which unit the time column is, such as --time-unit days")
    try:
        return number * DAYS[known_unit(letters)] / DAYS[unit.own]
    except ValueError as error:
        raise BadInput(f"--horizon {said}: {error}") from error
