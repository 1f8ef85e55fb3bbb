"""What the next user of the data has to know, in the order of Gebru et al. (2021), Datasheets for Datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd

from underlie import __version__
from underlie.datasets._fetch import sha256_of
from underlie.sheets.cells import Cutting
from underlie.sheets.doubts import REASONS
from underlie.sheets.scans import Page

_TO_FILL: Final = "*To be filled in by those who collected the sheets:*"


@final
@dataclass(frozen=True)
class Facts:
    """All that a datasheet tells.

    Parameters
    ----------
    pages : sequence of Page
        Those that became data.
    quality : sequence of tuple
        Per page: width and height in pixels, a cell's side in pixels, turn in degrees, misfit of the grid in cells.
    refused : mapping of name to reason
        Scans that were left out.
    table : DataFrame
        The labels.
    layout : sequence of str
        Per page of a writer, the digit of each row.
    cutting : Cutting
    arrays : sequence of Path
        Files that were written.
    command : str, optional
    """

    pages: Sequence[Page]
    quality: Sequence[tuple[int, int, float, float, float]]
    refused: Mapping[str, str]
    table: pd.DataFrame
    layout: Sequence[str]
    cutting: Cutting
    arrays: Sequence[Path]
    command: str | None


def datasheet(facts: Facts) -> str:
    """The datasheet in Markdown.

    References
    ----------
    T. Gebru, J. Morgenstern, B. Vecchione, J. W. Vaughan, H. Wallach, H. Daumé III, K. Crawford (2021). Datasheets for
    Datasets. Communications of the ACM 64(12), 86-92.
    """
    parts = (_head, _motivation, _composition, _collection, _preprocessing, _uses, _files)
    return "\n\n".join(part(facts) for part in parts) + "\n"


def _head(facts: Facts) -> str:
    typed = f" by `{facts.command}`" if facts.command else ""
    return (
        f"# Datasheet\n\nMade on {datetime.now(UTC).date().isoformat()} with underlie {__version__}{typed}. The "
        "questions are those of Gebru et al. (2021), *Datasheets for Datasets*; what software cannot know is left open."
    )


def _motivation(facts: Facts) -> str:
    return f"## Motivation\n\n{_TO_FILL} For what purpose, by whom, and with what funding were the digits collected?"


def _composition(facts: Facts) -> str:
    table, writers = facts.table, facts.table["writer"].nunique()
    counts = table["digit"].value_counts().sort_index()
    flagged = table[table["flag"] == 1]
    lines = [
        "## Composition",
        f"Each image is one handwritten digit, with the digit that its row of the sheet asked for and the code of its "
        f"writer. Images: {len(table):,}; writers: {writers:,}; pages: {len(facts.pages):,}. Labels are the layout "
        "of the sheet, not a reading of what was written.",
        markdown_table(("digit", *map(str, counts.index)), [("images", *map(str, counts))]),
        *_incomplete(facts),
        f"{len(flagged):,} images ({len(flagged) / len(table):.1%}) are flagged for a look; none was dropped. One "
        "image may have several reasons.",
        markdown_table(
            ("reason", "images", "meaning"),
            [
                (r, str(int(table["reason"].str.split("; ").map(lambda a, r=r: r in a).sum())), REASONS[r])
                for r in REASONS
            ],
        ),
        f"{_TO_FILL} Who are the writers, how were they chosen, whom do they stand for, and what is known of them?",
    ]
    return "\n\n".join(lines)


def _incomplete(facts: Facts) -> list[str]:
    pages = facts.table.groupby("writer")["page"].nunique()
    short = pages.index[pages < len(facts.layout)]
    if not len(short):
        return []
    return [f"Writers with fewer than {len(facts.layout)} pages: {', '.join(map(str, short))}."]


def _collection(facts: Facts) -> str:
    shown = [
        (
            p.name,
            p.writer,
            str(p.number),
            f"{w} x {h}",
            f"{cell:.0f}",
            f"{turn:+.1f}",
            f"{100 * rms:.2f}",
            _flags(facts, k),
        )
        for k, (p, (w, h, cell, turn, rms)) in enumerate(zip(facts.pages, facts.quality, strict=True))
    ]
    header = ("scan", "writer", "page", "pixels", "cell, pixels", "turn, degrees", "misfit, % of cell", "flagged")
    lines = [
        "## Collection process",
        f"{_TO_FILL} With which pens, where, when, with what consent and by which scanner?",
    ]
    lines += ["Scanned pages:", markdown_table(header, shown)]
    if facts.refused:
        lines += ["Left out:", markdown_table(("scan", "reason"), list(facts.refused.items()))]
    return "\n\n".join(lines)


def _flags(facts: Facts, k: int) -> str:
    per_page = len(facts.table) // len(facts.pages)
    return str(int(facts.table["flag"].iloc[k * per_page : (k + 1) * per_page].sum()))


def _preprocessing(facts: Facts) -> str:
    cutting = facts.cutting
    rows = "; ".join(f"page {k}: {', '.join(digits)}" for k, digits in enumerate(facts.layout, 1))
    bright = (
        "grey values were divided by those of the paper around, so that paper is 255"
        if cutting.normalise
        else "grey values are as scanned"
    )
    return (
        "## Preprocessing, cleaning, labelling\n\n"
        "The printed grid was found in every page and a projective lattice fitted to it. Each cell was resampled to "
        f"{cutting.size} x {cutting.size} pixels; {bright}; {cutting.trim} pixels were taken off each side; values "
        f"above {cutting.threshold} became 255. Nothing was centred, scaled or turned within its cell. Lower "
        "resolutions are means over areas, taken after the threshold. Beaulac and Rosenthal (2022), HWD+, took 600 "
        f"pixels less 50 on each side and values above 200, as scanned.\n\nDigit of each row, from the top: {rows}."
    )


def _uses(facts: Facts) -> str:
    return (
        "## Uses, distribution, maintenance\n\n"
        f"{_TO_FILL} What may the data be used for and what not, under which licence, and who keeps them? Handwriting "
        "can tell who wrote: treat writers' codes and images as personal data."
    )


def _files(facts: Facts) -> str:
    arrays = []
    for path in facts.arrays:
        what = ""
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            what = f"{array.dtype} {' x '.join(map(str, array.shape))}, 255 paper, 0 black"
        arrays.append((path.name, what, sha256_of(path)))
    sources = {page.file: sha256_of(page.file) for page in facts.pages}
    return "\n\n".join(
        [
            "## Files",
            markdown_table(("file", "content", "SHA-256"), arrays),
            "Rows of `labels.csv` are in the order of the arrays; its `row` and `column` count from 1, from the upper "
            "left.",
            f"Scans (read with numpy {np.__version__}, Pillow {version('pillow')}):",
            markdown_table(("scan", "SHA-256"), [(path.name, digest) for path, digest in sources.items()]),
        ]
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; bars within cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
