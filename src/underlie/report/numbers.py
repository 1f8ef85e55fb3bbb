"""How numbers read in a table: one number of decimals per column, no more digits than the standard error supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from underlie.report.document import Cell, Column, Estimate, Interval

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNIFICANT = 4
_WIDEST_RANGE = 1e6
_TIE = 1e-9
_EMPTY = "–"


def format_column(column: Column, cells: Sequence[Cell]) -> list[str]:
    """The cells of one column as text, all with the same number of decimals.

    With standard errors the decimals show two significant digits of a typical one; without, four significant digits
    of a typical value. Columns that span more than six orders of magnitude are written in powers of ten.

    Examples
    --------
    >>> from underlie.report.document import Column, Estimate, Interval
    >>> format_column(Column("nats", "estimate"), [Estimate(-12.3456, 0.0312), Estimate(-9.1, 0.05)])
    ['−12.346 ± 0.031', '−9.100 ± 0.050']
    >>> format_column(Column("rows", "integer"), [1797, None])
    ['1,797', '–']
    >>> format_column(Column("gain", "interval"), [Interval(12.34, -1.2, 25.9), Interval(5.0, 1.0, 9.0)])
    ['12.3 (−1.2 to 25.9)', '5.0 (1.0 to 9.0)']
    """
    if column.kind == "text":
        return [_EMPTY if cell is None else str(cell) for cell in cells]
    if column.kind == "integer":
        return [_EMPTY if cell is None else _sign(f"{_number(cell):,.0f}") for cell in cells]
    if column.kind == "percent":
        decimals = 1 if column.decimals is None else column.decimals
        return [_EMPTY if cell is None else _sign(f"{100 * _number(cell):.{decimals}f} %") for cell in cells]
    if column.decimals is None and _spans_too_much(cells):
        return [_with_error(cell, None) for cell in cells]
    return [_with_error(cell, _decimals(column, cells)) for cell in cells]


def format_number(value: float, significant: int = _SIGNIFICANT) -> str:
    """One number by itself, with ``significant`` digits and a power of ten when it is very large or very small.

    Examples
    --------
    >>> format_number(1234.5678), format_number(-0.00001234), format_number(0.25)
    ('1,235', '−1.234 × 10⁻⁵', '0.25')
    """
    if not math.isfinite(value):
        return _EMPTY
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.{significant - 1}e}".split("e")
        return _sign(f"{mantissa} × 10") + str(int(exponent)).translate(_SUPERSCRIPT)
    decimals = max(0, significant - 1 - _magnitude(value))
    text = f"{value:,.{decimals}f}"
    return _sign(text.rstrip("0").rstrip(".") if "." in text else text)


def best_rows(column: Column, cells: Sequence[Cell]) -> set[int]:
    """Indices of the rows that hold the best value of the column; empty when the column has no better end."""
    known = [(i, _number(cell)) for i, cell in enumerate(cells) if cell is not None and not isinstance(cell, str)]
    if column.better is None or len(known) < 2:
        return set()
    target = (max if column.better == "high" else min)(value for _, value in known)
    return {i for i, value in known if math.isclose(value, target, rel_tol=_TIE)}


def _number(cell: Cell) -> float:
    if isinstance(cell, Estimate | Interval):
        return cell.value
    if cell is None or isinstance(cell, str):
        raise TypeError(f"a number was expected in this column, got {cell!r}")
    return float(cell)


def _decimals(column: Column, cells: Sequence[Cell]) -> int:
    if column.decimals is not None:
        return column.decimals
    errors = sorted(_errors(cells))
    if errors:
        return min(6, max(0, 1 - _magnitude(errors[(len(errors) - 1) // 2])))
    values = sorted(abs(_number(cell)) for cell in cells if cell is not None and _number(cell) != 0)
    if not values:
        return 0
    return min(6, max(0, _SIGNIFICANT - 1 - _magnitude(values[(len(values) - 1) // 2])))


def _errors(cells: Sequence[Cell]) -> list[float]:
    """Standard errors of the cells that have one; of an interval that of a normal estimate at 95 %."""
    errors = [cell.se for cell in cells if isinstance(cell, Estimate) and cell.se]
    return errors + [(c.upper - c.lower) / 3.92 for c in cells if isinstance(c, Interval) and c.upper > c.lower]


def _spans_too_much(cells: Sequence[Cell]) -> bool:
    """Whether one number of decimals cannot serve all cells; where there are standard errors, they decide."""
    errors = _errors(cells)
    sizes = errors or [abs(_number(cell)) for cell in cells if cell is not None and _number(cell) != 0]
    return bool(sizes) and (max(sizes) / min(sizes) > _WIDEST_RANGE or max(sizes) >= 1e9 or max(sizes) < 1e-4)


def _with_error(cell: Cell, decimals: int | None) -> str:
    if cell is None:
        return _EMPTY
    if isinstance(cell, Interval):
        texts = [
            format_number(number) if decimals is None else _sign(f"{number:,.{decimals}f}")
            for number in (cell.value, cell.lower, cell.upper)
        ]
        return f"{texts[0]} ({texts[1]} to {texts[2]})"
    written = [_number(cell)] + ([cell.se] if isinstance(cell, Estimate) and cell.se is not None else [])
    if decimals is None:
        return " ± ".join(format_number(number) for number in written)
    return " ± ".join(_sign(f"{number:,.{decimals}f}") for number in written)


def _magnitude(value: float) -> int:
    return 0 if value == 0 else math.floor(math.log10(abs(value)))


def _sign(text: str) -> str:
    """A true minus sign, and none before a number that was rounded to zero."""
    if text.startswith("-"):
        return "−" + text[1:] if any(digit in "123456789" for digit in text) else text[1:]
    return text
