"""Arrays in NumPy's files, read without trusting what a file says of itself.

A header may claim any shape, and an archive of a few bytes may unpack to any number. Here both are held against the
size of the file before memory is taken, and objects, whose reading could run code, are refused.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_READERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
#: deflate makes nothing smaller than by this factor: a member that says otherwise lies
_MOST_COMPRESSED: Final = 1040


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, left on disk as a memory map: a claim to more than the file holds cannot be mapped.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ndarray
        Read only.

    Raises
    ------
    ValueError
        If it is no .npy file of numbers, or shorter than it says.
    """
    try:
        with np.errstate(over="ignore"):  # a size beyond 64 bits is refused like any other
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, OverflowError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no NumPy array of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is no NumPy array of numbers but an archive of arrays.")
    return array


def declared(file: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array in an open .npz file, from its header alone.

    Parameters
    ----------
    file : numpy.lib.npyio.NpzFile
        What ``np.load(path, allow_pickle=False)`` gives.
    name : str
        One of ``file.files``.

    Raises
    ------
    ValueError
        If the member is no array, or holds objects, or more than what is stored of it can unpack to.
    """
    member = file.zip.getinfo(f"{name}.npy")
    with file.zip.open(member) as stream:
        reader = _READERS.get(npy.read_magic(stream))
        if reader is None:
            raise ValueError(f"array {name!r} has a header of a version that is not known.")
        shape, _, dtype = reader(stream)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects, which are not read: save numbers or text.")
    n_bytes = math.prod(shape) * dtype.itemsize
    stored = min(member.compress_size, os.fstat(file.zip.fp.fileno()).st_size)  # the archive may lie of the former
    if n_bytes > min(member.file_size, _MOST_COMPRESSED * stored):
        raise ValueError(
            f"array {name!r} says that it has {n_bytes:,} bytes, but {stored:,} are stored of it: the file is damaged, "
            "or was made to fill memory."
        )
    return shape, dtype


def read_member(file: Any, name: str) -> NDArray[Any]:
    """An array of an open .npz file; its size is checked first, see `declared`.

    Parameters
    ----------
    file : numpy.lib.npyio.NpzFile
    name : str

    Returns
    -------
    ndarray
    """
    declared(file, name)
    array: NDArray[Any] = file[name]
    return array
