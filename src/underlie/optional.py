"""Libraries that only some need."""

from __future__ import annotations

from importlib.util import find_spec


def require(module: str, extra: str) -> None:
    """Refuse to begin without a library.

    Raises
    ------
    ImportError
        If it is not installed; the message says how.
    """
    if find_spec(module) is None:
        raise ImportError(f'{module} is not installed: pip install "underlie[{extra}]".')
