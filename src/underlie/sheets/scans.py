"""Which pages there are, whose they are, and what is on them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
PATTERN: Final = "{writer}_{page}"
_COLUMNS: Final = ("file", "writer", "page")


class UnreadableScanError(ValueError):
    """A file is no image that can be read."""


@final
@dataclass(frozen=True)
class Page:
    """One scanned page.

    Parameters
    ----------
    file : Path
    frame : int
        Which image of a file with several, from 0.
    writer : str
    number : int
        Which of the writer's pages it is, from 1.
    """

    file: Path
    frame: int
    writer: str
    number: int

    @property
    def name(self) -> str:
        """File name, with the image's number where a file holds several."""
        return self.file.name if self.frame == 0 else f"{self.file.name}#{self.frame + 1}"


def find_pages(
    scans: str | Path | Iterable[str | Path],
    *,
    labels: str | Path | pd.DataFrame | None = None,
    pattern: str = PATTERN,
    n_pages: int | None = None,
) -> list[Page]:
    """All pages of folders and files, ordered by writer and page.

    Parameters
    ----------
    scans : path, or several
        Folders, of which all PNG, JPEG and TIFF files are taken, or such files. A TIFF may hold several pages: its
        first image is the page that its name says, or page 1, the second the next one.
    labels : path of a CSV, or DataFrame, optional
        Columns file, writer, page: says for file names what they do not say themselves.
    pattern : str
        What file names look like, without suffix: ``{writer}`` and ``{page}``, a number from 1; ``*`` is any text.
    n_pages : int, optional
        Pages that a writer has at most.

    Raises
    ------
    FileNotFoundError
        If a file or folder is not there.
    ValueError
        If a folder has no images, a file is no image, its name does not match, or two files are the same page.
    """
    files = _files([scans] if isinstance(scans, str | Path) else list(scans))
    named = _table(labels) if labels is not None else None
    expression = None if named is not None else _expression(pattern)
    pages: list[Page] = []
    for file in files:
        n_frames = _count_frames(file)
        writer, first = (
            _from_table(file, named) if named is not None else _from_name(file, pattern, expression, n_frames)
        )
        pages += [Page(file, frame, writer, first + frame) for frame in range(n_frames)]
    pages.sort(key=lambda page: (_natural(page.writer), page.number))
    _check_unique(pages)
    for page in pages:
        if page.number < 1 or (n_pages is not None and page.number > n_pages):
            raise ValueError(
                f"{page.name} is page {page.number} of writer {page.writer}, but the layout has pages 1 to {n_pages}; "
                "give the digits of every row of every page as layout"
            )
    return pages


def read_page(file: str | Path, frame: int = 0) -> NDArray[np.uint8]:
    """A page in grey values, (height, width): 255 is white.

    Colours become grey, 16 bits become 8, transparent is white, and a turn that the file states is carried out.

    Raises
    ------
    UnreadableScanError
        If the file is no image that can be read.
    """
    path = Path(file)
    try:
        with _quiet_about_size(), Image.open(path) as opened:
            opened.seek(frame)
            opened.load()
            return _grey(ImageOps.exif_transpose(opened))
    except (UnidentifiedImageError, SyntaxError, EOFError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        if error.filename is not None and not path.is_file():
            raise
        raise _unreadable(path, error) from error


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return np.asarray(np.clip(np.asarray(image), 0, 65535) // 257, dtype=np.uint8)
    if image.mode == "F":
        raise ValueError("it holds real numbers, not grey values; save it with 8 or 16 bits")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("L"), dtype=np.uint8)


def _quiet_about_size() -> warnings.catch_warnings:
    """A page at 1200 dpi is large, and no attack; what is larger still Pillow refuses."""
    return warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)


def _unreadable(path: Path, error: Exception) -> UnreadableScanError:
    return UnreadableScanError(f"{path.name} cannot be read as an image: {error}. Scan or save it again as PNG or TIFF")


def _files(scans: Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    for scan in scans:
        path = Path(scan)
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise ValueError(f"{path} holds no images; put scans there as {', '.join(SUFFIXES)}")
            found += inside
        elif not path.is_file():
            raise FileNotFoundError(2, "there is no such file or folder", str(path))
        elif path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path.name} is none of {', '.join(SUFFIXES)}; save it as one of these")
        else:
            found.append(path)
    if not found:
        raise ValueError("scans is empty; give a folder or files")
    return list(dict.fromkeys(found))


def _count_frames(file: Path) -> int:
    """Images in a file; 1 where it cannot be read, which `read_page` says in due time."""
    try:
        with _quiet_about_size(), Image.open(file) as opened:
            return int(getattr(opened, "n_frames", 1)) if file.suffix.lower() in (".tif", ".tiff") else 1
    except (UnidentifiedImageError, SyntaxError, EOFError, ValueError, OSError, Image.DecompressionBombError):
        return 1


def _expression(pattern: str) -> re.Pattern[str]:
    if pattern.count("{writer}") != 1 or pattern.count("{page}") > 1:
        raise ValueError(f"pattern is {pattern!r}; it must have {{writer}} once, and {{page}} at most once")
    known = {"{writer}": r"(?P<writer>.+)", "{page}": r"(?P<page>\d+)", "*": ".*"}
    parts = re.split(r"(\{writer\}|\{page\}|\*)", pattern)
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))


def _from_name(file: Path, pattern: str, expression: re.Pattern[str] | None, n_frames: int) -> tuple[str, int]:
    match = expression.fullmatch(file.stem) if expression is not None else None
    if match is not None:
        return match["writer"], int(match.groupdict().get("page") or 1)
    if n_frames > 1 and pattern == PATTERN:
        # all pages of one writer in one file, which then needs no number
        return file.stem, 1
    raise ValueError(
        f"{file.name} does not say whose page it is: its name does not match {pattern!r}. Rename it, give the pattern "
        "of your names, or a table with the columns file, writer, page"
    )


def _table(labels: str | Path | pd.DataFrame) -> Mapping[str, tuple[str, int]]:
    what = "labels" if isinstance(labels, pd.DataFrame) else Path(labels).name
    frame = labels if isinstance(labels, pd.DataFrame) else pd.read_csv(labels, dtype=str, keep_default_na=False)
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"{what} has no column {missing[0]!r}; it must have {', '.join(_COLUMNS)}")
    found: dict[str, tuple[str, int]] = {}
    for row, (file, writer, page) in enumerate(zip(*(frame[name].astype(str) for name in _COLUMNS), strict=True), 1):
        if not re.fullmatch(r"\s*[1-9]\d*\s*", page) or not writer.strip():
            raise ValueError(
                f"{what}, row {row}: a writer and a page number from 1 are needed, not {writer!r}, {page!r}"
            )
        if file in found:
            raise ValueError(f"{what}, row {row}: {file} is there twice; keep one line per file")
        found[file] = (writer.strip(), int(page))
    return found


def _from_table(file: Path, named: Mapping[str, tuple[str, int]]) -> tuple[str, int]:
    if file.name not in named:
        raise ValueError(f"the table of labels has no line for {file.name}; add one, or leave the file out")
    return named[file.name]


def _check_unique(pages: Sequence[Page]) -> None:
    seen: dict[tuple[str, int], Page] = {}
    for page in pages:
        other = seen.setdefault((page.writer, page.number), page)
        if other is not page:
            raise ValueError(
                f"{other.name} and {page.name} are both page {page.number} of writer {page.writer}; rename one of them"
            )


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Key by which writer 9 comes before writer 10."""
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", text) if p]
