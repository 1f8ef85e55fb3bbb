"""The command ``underlie``. Start-up is quick: models and libraries are imported inside the commands that need them."""

from __future__ import annotations

from underlie.cli.commands import app


def main() -> None:
    """Run the command line."""
    app()


__all__ = ["app", "main"]
