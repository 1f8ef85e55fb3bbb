"""From scanned sheets to arrays, labels, pictures to check by, and a datasheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from underlie.sheets.cells import Cutting, cut, shrink
from underlie.sheets.check import NoGridError
from underlie.sheets.datasheet import Facts, datasheet
from underlie.sheets.doubts import doubts
from underlie.sheets.find import find_grid
from underlie.sheets.grid import Grid
from underlie.sheets.loading import LABELS
from underlie.sheets.overview import overview
from underlie.sheets.scans import PATTERN, Page, UnreadableScanError, find_pages, read_page

#: HWD+: two pages per writer, two rows per digit
LAYOUT: Final = ("0011223344", "5566778899")
RESOLUTIONS: Final = (28, 100, 500)
_DATASHEET: Final = "datasheet.md"
_PICTURES: Final = "overview"
_SHOWN: Final = 5

#: told how many of how many steps are done, and what is being done
Report = Callable[[int, int, str], None]


@final
@dataclass(frozen=True)
class Digitised:
    """What was written.

    Parameters
    ----------
    folder : Path
    table : DataFrame
        The labels, one line per image.
    refused : dict of name to reason
        Scans that were left out.
    """

    folder: Path
    table: pd.DataFrame
    refused: dict[str, str]


def digitise(
    scans: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    rows: int = 10,
    columns: int = 7,
    layout: Sequence[str] = LAYOUT,
    resolutions: Sequence[int] = RESOLUTIONS,
    cutting: Cutting | None = None,
    labels: str | Path | pd.DataFrame | None = None,
    pattern: str = PATTERN,
    overwrite: bool = False,
    skip_bad: bool = False,
    report: Report | None = None,
    command: str | None = None,
) -> Digitised:
    """Turn scanned sheets, each a printed grid of handwritten digits, into a labelled data set.

    All grids are found before anything is written. Doubtful cells are flagged with the reason, and kept.

    Parameters
    ----------
    scans : path, or several
        Folders or PNG, JPEG and TIFF files, as in `find_pages`; any resolution, each cell some 25 pixels wide or more.
    out : path
        Folder to write: ``images_28.npy`` and so on, uint8 (n, r, r), 255 is paper; ``labels.csv`` with writer, digit,
        page, row, column, file, flag, reason; ``datasheet.md``; ``overview/``, a picture per page.
    rows, columns : int
        Cells of the grid.
    layout : sequence of str
        One text per page of a writer: the digit of each row, from the top.
    resolutions : sequence of int
        Pixels per side, at most those of a trimmed cell.
    cutting : Cutting, optional
        How cells become images; as in HWD+ by default.
    labels, pattern
        Whose page a file is; see `find_pages`.
    overwrite : bool
        Replace data that are in ``out`` already.
    skip_bad : bool
        Leave out scans that cannot be read or show no such grid, instead of refusing all.
    report : callable, optional
        Called with steps done, steps in all, and what is being done.
    command : str, optional
        What was typed, for the datasheet.

    Returns
    -------
    Digitised

    Raises
    ------
    FileNotFoundError
        If a scan is not there.
    FileExistsError
        If ``out`` holds data already.
    ValueError
        If the layout does not fit the grid, a scan does not say whose it is, or scans cannot be used.

    References
    ----------
    C. Beaulac, J. S. Rosenthal (2022). Introducing a New High-Resolution Handwritten Digits Data Set with Writer
    Characteristics. SN Computer Science 4, 66.
    """
    cutting = cutting or Cutting()
    sizes = _check_settings(rows, columns, layout, resolutions, cutting)
    folder = Path(out)
    _check_free(folder, overwrite=overwrite)
    pages = find_pages(scans, labels=labels, pattern=pattern, n_pages=len(layout))
    tell = report or _silent
    grids, refused = _find_all(pages, rows, columns, tell)
    if refused and (not skip_bad or not grids):
        raise ValueError(_why(refused, len(pages)))
    _clear(folder)
    used = [page for page in pages if page in grids]
    files, table, quality = _write(
        folder, used, grids, layout, sizes, cutting, lambda k, text: tell(len(pages) + k, 2 * len(pages), text)
    )
    table.to_csv(folder / LABELS, index=False)
    facts = Facts(used, quality, refused, table, layout, cutting, [*files, folder / LABELS], command)
    (folder / _DATASHEET).write_text(datasheet(facts), encoding="utf-8")
    return Digitised(folder, table, refused)


def _check_settings(
    rows: int, columns: int, layout: Sequence[str], resolutions: Sequence[int], cutting: Cutting
) -> list[int]:
    if isinstance(layout, str) or not layout:
        raise ValueError(f"layout is {layout!r}; give one text per page, such as {LAYOUT}")
    for k, page in enumerate(layout, 1):
        if not (page.isascii() and page.isdigit()):
            raise ValueError(f"layout of page {k} is {page!r}; it must be digits, one per row")
        if len(page) != rows:
            raise ValueError(
                f"layout of page {k} has {len(page)} rows ({page}), but the grid has {rows} ({rows} x {columns}); "
                "give one digit per row"
            )
    sizes = sorted(set(resolutions))
    if not sizes or sizes[0] < 1 or sizes[-1] > cutting.side:
        raise ValueError(f"resolutions are {list(resolutions)}; cells have 1 to {cutting.side} pixels per side")
    return sizes


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; give a folder")
    if not overwrite and folder.is_dir() and any(_ours(folder)):
        raise FileExistsError(
            f"{folder} holds data already ({_ours(folder)[0].name}); give another folder, or overwrite "
            "it (overwrite, --overwrite)"
        )


def _ours(folder: Path) -> list[Path]:
    """Files in a folder that this module writes."""
    # labels first: without them what is left of an interrupted run is no data set
    one = [p for p in (folder / LABELS, folder / _DATASHEET) if p.exists()]
    return [*one, *sorted(folder.glob("images_*.npy")), *sorted((folder / _PICTURES).glob("[0-9]*-*.png"))]


def _clear(folder: Path) -> None:
    for file in _ours(folder):
        file.unlink()
    (folder / _PICTURES).mkdir(parents=True, exist_ok=True)


def _find_all(pages: Sequence[Page], rows: int, columns: int, tell: Report) -> tuple[dict[Page, Grid], dict[str, str]]:
    grids, refused = {}, {}
    for k, page in enumerate(pages):
        tell(k, 2 * len(pages), f"finding the grid of {page.name}")
        try:
            grids[page] = find_grid(read_page(page.file, page.frame), rows, columns)
        except (NoGridError, UnreadableScanError) as error:
            refused[page.name] = str(error)
    return grids, refused


def _why(refused: dict[str, str], n: int) -> str:
    lines = [f"{name}: {reason}" for name, reason in list(refused.items())[:_SHOWN]]
    if len(refused) > _SHOWN:
        lines.append(f"and {len(refused) - _SHOWN} more")
    return (
        f"{len(refused)} of {n} scans cannot be used, so nothing was written.\n  "
        + "\n  ".join(lines)
        + "\nScan them again, "
        "whole and upright with dark printed lines, state the grid that they have, or leave them out "
        "(skip_bad, --skip-bad)"
    )


def _write(
    folder: Path,
    pages: Sequence[Page],
    grids: dict[Page, Grid],
    layout: Sequence[str],
    sizes: Sequence[int],
    cutting: Cutting,
    tell: Callable[[int, str], None],
) -> tuple[list[Path], pd.DataFrame, list[tuple[int, int, float, float, float]]]:
    first = grids[pages[0]]
    per_page = first.rows * first.columns
    files = [folder / f"images_{size}.npy" for size in sizes]
    arrays = [
        open_memmap(file, "w+", np.uint8, (len(pages) * per_page, size, size))
        for file, size in zip(files, sizes, strict=True)
    ]
    lines, quality = [], []
    for k, page in enumerate(pages):
        tell(k, f"cutting {page.name}")
        grid, image = grids[page], read_page(page.file, page.frame)
        cells = cut(image, grid, cutting)
        reasons = doubts(cells, grid)
        for array, size in zip(arrays, sizes, strict=True):
            array[k * per_page : (k + 1) * per_page] = shrink(cells, size).reshape(per_page, size, size)
        digits = [int(c) for c in layout[page.number - 1]]
        lines += _lines(page, digits, reasons)
        title = f"{page.name}: writer {page.writer}, page {page.number}"
        overview(image, grid, digits, reasons, title).save(folder / _PICTURES / f"{k + 1:03d}-{page.file.stem}.png")
        quality.append((image.shape[1], image.shape[0], grid.cell_pixels, grid.degrees, grid.rms))
    for array in arrays:
        array.flush()
    return files, pd.DataFrame(lines), quality


def _lines(page: Page, digits: Sequence[int], reasons: list[list[list[str]]]) -> list[dict[str, object]]:
    return [
        {
            "writer": page.writer,
            "digit": digits[i],
            "page": page.number,
            "row": i + 1,
            "column": j + 1,
            "file": page.name,
            "flag": int(bool(why)),
            "reason": "; ".join(why),
        }
        for i, row in enumerate(reasons)
        for j, why in enumerate(row)
    ]


def _silent(done: int, total: int, text: str) -> None:
    """Say nothing."""
