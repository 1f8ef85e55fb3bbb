"""Results on disk, one file each as soon as it is there, so that an interrupted study goes on where it was."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underlie.cli.errors import BadInput


@dataclass(frozen=True)
class Store:
    """A folder of results, each with the settings under which it was computed."""

    folder: Path

    @classmethod
    def open(cls, out: Path) -> Store:
        """The store in the folder of a page.

        Raises
        ------
        BadInput
            If nothing can be written there.
        """
        folder = out / "results"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise BadInput(
                f"--out {out}: nothing can be written there ({error.strerror}); give another folder"
            ) from error
        return cls(folder)

    def get(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """A result that was computed under these very settings; None if there is none."""
        try:
            stored = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        if not isinstance(stored, dict) or stored.get("settings") != json.loads(json.dumps(settings)):
            return None
        result: dict[str, Any] = stored["result"]
        return result

    def put(self, name: str, settings: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep a result; a reader sees all of it or nothing."""
        text = json.dumps({"settings": settings, "result": result}, indent=1, allow_nan=False)
        unfinished = self._path(name).with_suffix(".tmp")
        unfinished.write_text(text + "\n", encoding="utf-8")
        os.replace(unfinished, self._path(name))

    def model(self, name: str) -> Path:
        """Where the model of a result is kept."""
        return self.folder / f"{name}.safetensors"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
