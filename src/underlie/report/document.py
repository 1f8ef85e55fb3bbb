"""What a report consists of: plain, immutable data, without a word on how it looks.

A report is facts first. Everything here turns into JSON and back without loss, so a page can be made again, or made
differently, from the file that was written beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Level = Literal["error", "warning", "note"]
CellKind = Literal["text", "integer", "number", "percent", "estimate", "interval"]

FORMAT = "underlie-report/1"


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error (``None`` where it has none)."""

    value: float
    se: float | None = None


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval."""

    value: float
    lower: float
    upper: float


Cell = str | int | float | None | Estimate | Interval


@dataclass(frozen=True)
class Alert:
    """Something the reader must know before the results, and what to do about it.

    Parameters
    ----------
    level : "error", "warning" or "note"
        Whether results are missing or wrong, may mislead, or only need a word.
    title : str
        A few words.
    text : str
        What was found, in figures.
    code : str
        What a program asks for, such as "not-converged"; see `underlie.report.CODES`. Empty where a page has a word
        of its own.
    remedy : str
        What to do, one sentence; empty where nothing is to be done.
    """

    level: Level
    title: str
    text: str
    code: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.level}: {self.title}.", self.text, self.remedy) if part)


@dataclass(frozen=True)
class Column:
    """A column of a table: its header, how its cells read, and which end of its range is better, if either is."""

    header: str
    kind: CellKind = "text"
    better: Literal["high", "low"] | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class Table:
    """A table of raw values; rounding and alignment are left to the rendering."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"rows[{i}] has {len(row)} cells, but the table has {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A picture as a data URI, what it shows for those who cannot see it, and a sentence that says what to see.

    ``width`` is how wide it is shown where there is room, in CSS pixels; ``None`` leaves it to the picture.
    """

    title: str
    image: str
    alt: str
    reading: str
    width: int | None = None

    def __post_init__(self) -> None:
        if not self.image.startswith("data:image/"):
            raise ValueError("image must be a data URI ('data:image/...'), so that the page needs no other file")
        if not self.alt or not self.reading:
            raise ValueError("alt and reading must not be empty: say what the figure shows and what to see in it")


Block = str | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in order: paragraphs (strings), tables and figures."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """What a page says: what was found, what to beware of, the evidence, and how to get it again.

    Parameters
    ----------
    title : str
    lead : str
        One or two sentences: what was done, to which data.
    headline : tuple of (label, value)
        The few results that a reader should meet first, already worded.
    alerts : tuple of Alert
        Shown before everything else.
    sections : tuple of Section
    provenance : dict
        Versions, seed, command and times, from :func:`underlie.report.provenance`.
    facts : dict
        Further plain data that belongs with the report but is not shown (JSON types only).

    Examples
    --------
    >>> from underlie.report import Document, Section, Table, Column, Estimate
    >>> table = Table("Fit", (Column("model"), Column("nats per row", "estimate", better="high")),
    ...               (("pPCA", Estimate(-1.25, 0.02)),))
    >>> document = Document("A fit", "pPCA on 100 rows.", sections=(Section("Results", (table,)),))
    >>> Document.from_json(document.to_json()) == document
    True
    """

    title: str
    lead: str = ""
    headline: tuple[tuple[str, str], ...] = ()
    alerts: tuple[Alert, ...] = ()
    sections: tuple[Section, ...] = ()
    provenance: Json = field(default_factory=dict)
    facts: Json = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain JSON types that :meth:`from_json` turns back into an equal document."""
        return {
            "format": FORMAT,
            "title": self.title,
            "lead": self.lead,
            "headline": [list(pair) for pair in self.headline],
            "alerts": [asdict(alert) for alert in self.alerts],
            "sections": [
                {"heading": s.heading, "blocks": [_block_to_json(b) for b in s.blocks]} for s in self.sections
            ],
            "provenance": self.provenance,
            "facts": self.facts,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Document:
        """The document that :meth:`to_json` described; ValueError if ``data`` is something else."""
        if data.get("format") != FORMAT:
            raise ValueError(f"data is not a report: its format is {data.get('format')!r}, expected {FORMAT!r}")
        return cls(
            title=data["title"],
            lead=data["lead"],
            headline=tuple((label, value) for label, value in data["headline"]),
            alerts=tuple(Alert(**alert) for alert in data["alerts"]),
            sections=tuple(Section(s["heading"], tuple(map(_block_from_json, s["blocks"]))) for s in data["sections"]),
            provenance=dict(data["provenance"]),
            facts=dict(data["facts"]),
        )


def table(caption: str, columns: Iterable[Column], rows: Iterable[Iterable[Cell]], note: str = "") -> Table:
    """A :class:`Table` from any iterables, with numbers that JSON cannot hold (NaN, infinite) turned into ``None``."""
    return Table(caption, tuple(columns), tuple(tuple(_finite(cell) for cell in row) for row in rows), note)


def _finite(cell: Cell) -> Cell:
    if isinstance(cell, Interval):
        ends = (float(cell.value), float(cell.lower), float(cell.upper))
        if not math.isfinite(ends[0]):
            return None
        return Interval(*ends) if all(map(math.isfinite, ends)) else Estimate(ends[0])
    if isinstance(cell, Estimate):
        if not math.isfinite(cell.value):
            return None
        se = None if cell.se is None or not math.isfinite(cell.se) else float(cell.se)
        return Estimate(float(cell.value), se)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell


def _cell_to_json(cell: Cell) -> Any:
    if isinstance(cell, Interval):
        return {"value": cell.value, "lower": cell.lower, "upper": cell.upper}
    return {"value": cell.value, "se": cell.se} if isinstance(cell, Estimate) else cell


def _cell_from_json(cell: Any) -> Cell:
    if not isinstance(cell, dict):
        return cell
    if "lower" in cell:
        return Interval(cell["value"], cell["lower"], cell["upper"])
    return Estimate(cell["value"], cell["se"])


def _block_to_json(block: Block) -> Json:
    if isinstance(block, str):
        return {"type": "paragraph", "text": block}
    if isinstance(block, Figure):
        image = {"title": block.title, "alt": block.alt, "reading": block.reading, "width": block.width}
        return {"type": "figure", **image, "image": block.image}
    return {
        "type": "table",
        "caption": block.caption,
        "columns": [
            {"header": c.header, "kind": c.kind, "better": c.better, "decimals": c.decimals} for c in block.columns
        ],
        "rows": [[_cell_to_json(cell) for cell in row] for row in block.rows],
        "note": block.note,
    }


def _block_from_json(data: Mapping[str, Any]) -> Block:
    match data["type"]:
        case "paragraph":
            return str(data["text"])
        case "figure":
            return Figure(data["title"], data["image"], data["alt"], data["reading"], data["width"])
        case "table":
            columns = tuple(Column(c["header"], c["kind"], c["better"], c["decimals"]) for c in data["columns"])
            rows = tuple(tuple(map(_cell_from_json, row)) for row in data["rows"])
            return Table(data["caption"], columns, rows, data["note"])
        case other:
            raise ValueError(f"unknown block type {other!r}; expected 'paragraph', 'table' or 'figure'")
