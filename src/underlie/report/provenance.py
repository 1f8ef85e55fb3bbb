"""How a result came about: enough to get it again."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from underlie.report.numbers import format_number

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


def provenance_rows(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of how a result came about, as labels and values."""
    data = made.get("data") or {}
    shape = " × ".join(f"{k:,}" for k in data.get("shape", ()))
    hashed = f"{data['fingerprint_of']} have SHA-256 {data['fingerprint'][:16]}…" if data else ""
    time = made.get("created", "")
    if made.get("seconds") is not None:
        time += f", in {format_number(made['seconds'], 3)} s"
    system = " on ".join(str(made[name]) for name in ("python", "platform") if made.get(name))
    packages = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items())
    seed = "" if made.get("seed") is None else str(made["seed"])
    if made.get("repeatable") is False:
        seed = "none: random_state was no integer, so that another fit gives other numbers"
    rows = (
        ("Command", made.get("command") or ""),
        ("Model", made.get("model") or ""),
        ("Data", f"{shape}; {hashed}" if data else ""),
        ("Seed", seed),
        ("Of this report", _effort(made)),
        ("Made", time),
        ("Python", system),
        ("Packages", packages),
    )
    return [(label, value) for label, value in rows if value]


def _effort(made: Mapping[str, Any]) -> str:
    if "n_simulations" not in made:
        return ""
    return f"seed {made['report_seed']}, {made['n_simulations']:,} simulations, at most {made['max_rows']:,} rows"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
