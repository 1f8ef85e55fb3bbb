r"""How wide the columns of a LaTeX table may be, so that it stays within the lines of a page.

Widths are counted in characters, of which a line of the usual article has about 66. A table that is wider gets its
headers broken into lines, then its columns of text, and at last smaller type. All of it is plain LaTeX: no package is
needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final, final

#: narrower than this, words of a column of text would be torn apart
_NARROWEST: Final = 12
#: a word of a header that is longer is broken
_LONGEST_WORD: Final = 14


@final
@dataclass(frozen=True)
class Type:
    """A size of type.

    Attributes
    ----------
    command : str
        Before the table.
    line : float
        Characters of a line.
    gap : float
        Characters between two columns.
    """

    command: str
    line: float
    gap: float


_USUAL: Final = Type("", 66.0, 2.4)
#: what is tried in turn: a size of type, and characters below which a header is not broken
_TRIED: Final = (
    (_USUAL, 12),
    (_USUAL, 8),
    (_USUAL, 1),
    (Type(r"\small", 72.0, 2.6), 1),
    (Type(r"\footnotesize\setlength{\tabcolsep}{3pt}", 82.0, 1.5), 1),
    (Type(r"\scriptsize\setlength{\tabcolsep}{2pt}", 94.0, 1.2), 1),
)


@final
@dataclass(frozen=True)
class Layout:
    """How a table is set.

    Attributes
    ----------
    type : Type
    widths : tuple of float or None
        Of columns whose text is broken into lines, as a share of the line; None of the others.
    headers : tuple of tuple of str
        The lines of every header.
    """

    type: Type
    widths: tuple[float | None, ...]
    headers: tuple[tuple[str, ...], ...]


def layout_of(headers: Sequence[str], cells: Sequence[Sequence[str]], is_text: Sequence[bool]) -> Layout:
    """The widths of columns, of which each has a header and cells, as text that is not yet escaped."""
    bodies = [max(map(len, column), default=0) for column in cells]
    whole = tuple((header,) for header in headers)
    natural = [max(body, len(header)) for body, header in zip(bodies, headers, strict=True)]
    if sum(natural) + _USUAL.gap * len(natural) <= _USUAL.line:
        return Layout(_USUAL, (None,) * len(natural), whole)
    for type_, shortest in _TRIED:
        broken = tuple(_lines(header, max(body, shortest)) for header, body in zip(headers, bodies, strict=True))
        natural = [max(body, *map(len, lines)) for body, lines in zip(bodies, broken, strict=True)]
        room = type_.line - type_.gap * len(natural) - _fixed(natural, is_text)
        level = _level([n for n, text in zip(natural, is_text, strict=True) if text], room)
        if level is not None:
            break
    else:
        level = _NARROWEST
    widths = (level / type_.line if text and n > level else None for n, text in zip(natural, is_text, strict=True))
    return Layout(type_, tuple(widths), broken)


def _fixed(natural: Sequence[int], is_text: Sequence[bool]) -> int:
    return sum(n for n, text in zip(natural, is_text, strict=True) if not text)


def _level(natural: Sequence[int], room: float) -> float | None:
    """The width at which columns are cut off so that together they take the room; None where it is too narrow."""
    if not natural:
        return _NARROWEST if room >= 0 else None
    rest = room
    for k, n in enumerate(sorted(natural)):
        share = rest / (len(natural) - k)
        if n > share:
            return share if share >= _NARROWEST else None
        rest -= n
    return float(max(natural))


def _lines(header: str, room: int) -> tuple[str, ...]:
    """A header in lines as short as its longest word and the room over its cells allow."""
    longest = max((min(len(word), _LONGEST_WORD) for word in header.split()), default=1)
    return tuple(wrap(header, max(room, longest))) or ("",)
