"""Numbers and a description in one file that runs nothing when it is read, and shows every damaged byte.

An ordinary safetensors file (https://github.com/huggingface/safetensors): eight bytes that give the length of a JSON
header, the header, then the raw numbers. The header's metadata has two entries:

``underlie``
    The description, as JSON.
``underlie.sha256``
    SHA-256 over the rest of the header and all numbers, so that a damaged byte is found before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

_DESCRIPTION, _CHECKSUM = "underlie", "underlie.sha256"
_MAX_HEADER = 100_000_000  # safetensors' own limit, in bytes


class DamagedFile(ValueError):
    """A file is not what was written: cut off, altered, or of another kind; the message says which."""


def seal(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file.

    Raises
    ------
    ValueError
        If the description has a number that JSON does not know, or is too long.
    """
    # Copies, because safetensors refuses tensors that share their memory.
    own = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    text = json.dumps(description, allow_nan=False, ensure_ascii=True)
    header, numbers = _split(safetensors.torch.save(own, {_DESCRIPTION: text}))
    if len(text) > _MAX_HEADER // 2:
        raise ValueError("The description exceeds 50 MB of text, more than a file is to hold. Use fewer levels.")
    return safetensors.torch.save(own, {_DESCRIPTION: text, _CHECKSUM: digest(header, numbers)})


def description_of(blob: bytes) -> dict[str, Any]:
    """The description of a file, before its checksum is looked at.

    Raises
    ------
    DamagedFile
        If it has none.
    """
    metadata = _split(blob)[0].get("__metadata__")
    if not isinstance(metadata, dict) or _DESCRIPTION not in metadata:
        raise DamagedFile("it is a safetensors file, but not one that underlie wrote")
    try:
        found = json.loads(metadata[_DESCRIPTION])
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedFile("its description is not JSON") from error
    if not isinstance(found, dict):
        raise DamagedFile("its description is not JSON")
    return found


def unseal(blob: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and numbers of a file.

    Raises
    ------
    DamagedFile
        If any byte is not as it was written.
    """
    description = description_of(blob)
    header, numbers = _split(blob)
    if header["__metadata__"].get(_CHECKSUM) != digest(header, numbers):
        raise DamagedFile("its content does not match its checksum")
    try:
        return description, safetensors.torch.load(blob)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, safetensors.SafetensorError) as error:
        raise DamagedFile(f"its numbers are not well-formed ({error})") from error


def read_sealed(file: Path) -> bytes:
    """The bytes of a file, unless its first nine show that it is of another kind: a huge one is not read for nothing.

    Raises
    ------
    DamagedFile
        If it is.
    """
    with open(file, "rb") as stream:
        start = stream.read(9)
        _header_length(start, file.stat().st_size)
        return start + stream.read()


def write_atomically(target: Path, blob: bytes) -> None:
    """Write a file that appears under its name only when it is complete; a crash leaves the old one, or none."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with open(draft, "xb") as stream:
            stream.write(blob)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)  # gone already unless something failed


def digest(header: Mapping[str, Any], numbers: memoryview) -> str:
    """SHA-256 of the header without the checksum itself, in one canonical spelling, and of the numbers."""
    metadata = {k: v for k, v in header["__metadata__"].items() if k != _CHECKSUM}
    canonical = json.dumps({**header, "__metadata__": metadata}, sort_keys=True, ensure_ascii=True)
    total = hashlib.sha256(canonical.encode("ascii"))
    total.update(numbers)
    return total.hexdigest()


def _split(blob: bytes) -> tuple[dict[str, Any], memoryview]:
    """Header (parsed) and numbers (raw) of a safetensors file."""
    length = _header_length(blob[:9], len(blob))
    try:
        header = json.loads(blob[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFile("its header is damaged") from error
    if not isinstance(header, dict):
        raise DamagedFile("it is of another kind")
    return header, memoryview(blob)[8 + length :]


def _header_length(start: bytes, size: int) -> int:
    """Length of the header, from the first nine bytes of a file of ``size`` bytes."""
    if size < 10:
        raise DamagedFile(f"it has {size} bytes: it is empty, or was cut off")
    length = int.from_bytes(start[:8], "little")
    if length > _MAX_HEADER or start[8:9] != b"{":
        raise DamagedFile("it is of another kind")
    if size < 8 + length:
        raise DamagedFile(f"it was cut off: it has {size} bytes where its header alone has {length}")
    return length
