"""How a result came about: enough to get it again."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("underlie", "torch", "numpy", "scipy", "scikit-learn", "pandas", "lifelines")


def provenance(*, command: str | None = None, seed: int | None = None, seconds: float | None = None) -> dict[str, Any]:
    """Versions, platform, time of day, and the command and seed that were used, as plain data.

    Parameters
    ----------
    command : str, optional
        What was typed.
    seed : int, optional
    seconds : float, optional
        Wall-clock seconds that the work took.

    Returns
    -------
    dict
        JSON types only.

    Examples
    --------
    >>> made = provenance(seed=0)
    >>> made["seed"], sorted(made["versions"])[-1]
    (0, 'underlie')
    """
    return {
        "command": command,
        "seed": seed,
        "seconds": seconds,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}".strip() or sys.platform,
        "versions": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
