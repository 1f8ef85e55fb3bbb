"""Several processes that torchrun started: which of them this is, told by its environment."""

from __future__ import annotations

import os

from underlie.cli.errors import BadInput


def n_processes() -> int:
    """How many processes were started together; one without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that prints and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def alone_but_for_fit(command: str | None) -> None:
    """Refuse to do the same work, and write the same files, several times over."""
    if n_processes() > 1 and command not in (None, "fit"):
        raise BadInput(f"only `underlie fit` is shared by several processes; start {command} without torchrun")
