"""Numbers and a description in one file that runs nothing when it is read, and shows every damaged byte.

An ordinary safetensors file (https://github.com/huggingface/safetensors) whose metadata has two entries: ``underlie``,
the description as JSON, and ``underlie.sha256``, SHA-256 over the rest of the header and all numbers.
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


class DamagedFile(ValueError):
    """A file is not what was written: cut off, altered, or of another kind."""


def seal(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file."""
    # Copies, because safetensors refuses tensors that share their memory.
    own = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    text = json.dumps(description, allow_nan=False, ensure_ascii=True)
    draft = safetensors.torch.save(own, {_DESCRIPTION: text})
    return safetensors.torch.save(own, {_DESCRIPTION: text, _CHECKSUM: _digest(draft)})


def unseal(blob: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and numbers of a file.

    Raises
    ------
    DamagedFile
        If any byte is not as it was written.
    """
    try:
        metadata = _header(blob)["__metadata__"]
        if metadata[_CHECKSUM] != _digest(blob):
            raise DamagedFile("its content does not match its checksum")
        return json.loads(metadata[_DESCRIPTION]), safetensors.torch.load(blob)
    except DamagedFile:
        raise
    except (KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise DamagedFile(f"it is cut off or of another kind ({type(error).__name__})") from error


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


def _header(blob: bytes) -> dict[str, Any]:
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length].decode("utf-8"))
    if not isinstance(header, dict):
        raise DamagedFile("it has no header")
    return header


def _digest(blob: bytes) -> str:
    """SHA-256 of the header without the checksum itself, in one canonical spelling, and of the numbers."""
    header = _header(blob)
    metadata = {k: v for k, v in header["__metadata__"].items() if k != _CHECKSUM}
    canonical = json.dumps({**header, "__metadata__": metadata}, sort_keys=True, ensure_ascii=True)
    total = hashlib.sha256(canonical.encode("ascii"))
    total.update(memoryview(blob)[8 + int.from_bytes(blob[:8], "little") :])
    return total.hexdigest()
