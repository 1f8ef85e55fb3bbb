"""The models of the demonstration, saved with their rows, and the command that shows them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from underlie.app.beside import write_note
from underlie.cli.demo_part import Kept

_SUFFIX = ".safetensors"


def save_models(kept: Iterable[Kept], out: Path) -> None:
    """Save models, rows and notes into a folder; models of the same rows share one file of them."""
    for one in kept:
        rows = out / one.note.file
        if isinstance(one.rows, dict):
            np.savez_compressed(rows, allow_pickle=False, **one.rows)
        else:
            one.rows.to_csv(rows, index=False)
        model = out / f"{one.name}{_SUFFIX}"
        one.model.save(model)
        write_note(model, replace(one.note, file=os.fspath(rows)))


def show_command(out: Path) -> str:
    """What to type to see the models of a folder, and what to install first where something is missing."""
    command = f"{_program()} app {out}"
    if all(find_spec(name) is not None for name in ("shiny", "plotly")):
        return command
    return f"{command}   (after: pip install 'underlie[app]')"


def _program() -> str:
    """This program as it can be typed again, in the shell that started it."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{Path(sys.executable).name} -m underlie"
    found = shutil.which("underlie")
    if found is not None and started.exists() and os.path.samefile(found, started):
        return "underlie"
    return os.fspath(started) if started.exists() else "underlie"
