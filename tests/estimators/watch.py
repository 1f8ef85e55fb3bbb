"""An audit hook that sees code that runs, processes, connections and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Events of Python that mean code, processes, network, other files or foreign modules. Nothing is imported while a file
#: is loaded: everything that loading needs was imported when an undamaged file of each class was.
_FORBIDDEN = ("exec", "compile", "import", "marshal.", "pickle.", "code.", "subprocess.", "os.", "socket.", "ctypes.dl")
_FORBIDDEN += ("shutil.", "tempfile.", "urllib.", "http.", "webbrowser.", "sys.addaudithook", "function.__new__")


class Watch:
    """An audit hook that keeps what must not happen while a file is loaded."""

    def __init__(self, file: Path) -> None:
        self.file, self.active, self.seen = str(file), False, set[str]()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            name, mode = str(args[0]), args[1]
            # PyTorch notes which lines seeded its generator, for which Python reads them as text.
            wanted = name == self.file or (name.endswith(".py") and mode == "r")
            if not wanted or mode not in ("r", "rb"):
                self.seen.add(f"open {name} {mode}")
        elif event.startswith(_FORBIDDEN):
            self.seen.add(f"{event} {str(args)[:200]}")
