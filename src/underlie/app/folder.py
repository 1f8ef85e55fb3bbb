"""Which models lie in a folder. Only headers are read, and PyTorch is not needed: the page is to appear at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".safetensors"
#: folders inside the folder are looked into too: ``underlie fit`` and ``underlie survival`` write one each
_DEPTH: Final = 2


class NothingToShow(ValueError):
    """A folder cannot be opened; the message says why and what to do."""


@dataclass(frozen=True)
class Found:
    """A model file: its name for people, where it is, its class, and why it cannot be opened if it cannot."""

    name: str
    path: Path
    family: str
    problem: str = ""


def models_in(folder: Path) -> tuple[Found, ...]:
    """The models in a folder or in folders inside it, by name; a model file is a folder of one.

    Raises
    ------
    NothingToShow
        If there is no such folder, or no model in it.
    """
    if folder.is_file():
        if folder.suffix != SUFFIX:
            raise NothingToShow(f"{folder} is no model: give a folder of models saved by model.save('NAME{SUFFIX}')")
        return (_read(folder, folder.stem),)
    if not folder.is_dir():
        raise NothingToShow(f"{folder}: there is no such folder; give the folder that holds your saved models")
    files = sorted(file for depth in range(_DEPTH) for file in folder.glob("*/" * depth + f"*{SUFFIX}"))
    files = [file for file in files if not file.name.startswith(".") and file.is_file()]
    if not files:
        raise NothingToShow(
            f"{folder} holds no models. Save one there: model.save('{folder / f'model{SUFFIX}'}'), or let "
            f"'underlie fit TABLE --out {folder}' do it"
        )
    return tuple(sorted((_read(file, _name(file, folder)) for file in files), key=lambda found: found.name))


def _name(file: Path, folder: Path) -> str:
    """Inside another folder a file called ``model`` is named by that folder."""
    inside = file.relative_to(folder)
    if len(inside.parts) == 1:
        return file.stem
    return str(inside.parent) if file.stem == "model" else f"{inside.parent.as_posix()}/{file.stem}"


def _read(file: Path, name: str) -> Found:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        return Found(name, file, "", f"it is damaged, or no safetensors file ({error})")
    try:
        return Found(name, file, str(json.loads(metadata["underlie"])["class"]))
    except (KeyError, TypeError, ValueError):
        return Found(name, file, "", "underlie did not write it as a model")
