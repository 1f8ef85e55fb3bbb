"""Digitised sheets as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from underlie.datasets.writers import Handwriting

LABELS: Final = "labels.csv"
#: larger arrays are left on disk and read a few rows at a time
_IN_MEMORY: Final = 2**28


def load(
    folder: str | Path,
    resolution: int = 28,
    *,
    flagged: bool = True,
    writers: str | Path | pd.DataFrame | None = None,
) -> Handwriting:
    """Digits that `digitise` wrote, as a data set like those of `underlie.datasets`.

    Parameters
    ----------
    folder : path
        What `digitise` wrote.
    resolution : int
        Pixels per side. Arrays of more than 256 MiB stay on disk, as a memory map, unless rows are left out.
    flagged : bool
        False leaves out the images that are flagged as doubtful.
    writers : path of a CSV, or DataFrame, optional
        What is known of the writers: a column "writer" with their codes, and one column per characteristic.

    Returns
    -------
    Handwriting
        ``data`` uint8, 255 is paper; ``info`` holds the columns of labels.csv.

    Raises
    ------
    FileNotFoundError
        If the folder does not hold digitised sheets, or not at this resolution.
    ValueError
        If labels and images do not belong together, no image is left, or a writer is not in ``writers``.
    """
    place = Path(folder)
    if not (place / LABELS).is_file():
        raise FileNotFoundError(2, "there are no digitised sheets; 'underlie digitise' makes them", str(place / LABELS))
    file = place / f"images_{resolution}.npy"
    if not file.is_file():
        there = ", ".join(sorted((p.stem[7:] for p in place.glob("images_*.npy")), key=int)) or "none"
        raise FileNotFoundError(2, f"resolution {resolution} is not there; there are {there}", str(file))
    table = pd.read_csv(place / LABELS, dtype={"writer": str, "file": str, "reason": str}, keep_default_na=False)
    images = np.load(file, mmap_mode="r", allow_pickle=False)
    if len(images) != len(table):
        raise ValueError(f"{file} has {len(images):,} images, but {LABELS} {len(table):,} lines; digitise again")
    if not flagged:
        kept = np.flatnonzero(table["flag"] == 0)
        if not len(kept):
            raise ValueError(f"all images of {place} are flagged; load them with flagged=True and look at them")
        images, table = images[kept], table.iloc[kept]
    elif images.nbytes <= _IN_MEMORY:
        images = np.array(images)
    codes = list(dict.fromkeys(table["writer"]))
    number = pd.Index(codes).get_indexer(table["writer"])
    return Handwriting(
        images,
        table["digit"].to_numpy(np.int64),
        number.astype(np.int64),
        _characteristics(codes, writers),
        f"{len(table):,} digits of {len(codes):,} writers, {resolution} x {resolution} pixels from 0 (ink) to 255 "
        f"(paper), digitised from sheets; see datasheet.md in {place.name}.",
        paper=255,
        info=table.to_numpy(),
    )


def _characteristics(codes: list[str], writers: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    if writers is None:
        return pd.DataFrame(index=pd.Index(codes, name="writer"))
    known = writers if isinstance(writers, pd.DataFrame) else pd.read_csv(writers, dtype={"writer": str})
    if "writer" not in known.columns:
        raise ValueError(f"writers has no column 'writer'; it has {', '.join(map(str, known.columns))}")
    known = known.assign(writer=known["writer"].astype(str)).set_index("writer")
    if known.index.has_duplicates:
        raise ValueError(f"writers has two lines for {known.index[known.index.duplicated()][0]}; keep one")
    missing = [code for code in codes if code not in known.index]
    if missing:
        raise ValueError(f"writers has no line for writer {missing[0]}; add one")
    return known.loc[codes]
