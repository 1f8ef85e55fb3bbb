"""How long Python takes to import underlie, and the command line to say what it can do.

Every start is a process of its own; the variants take turns, and a first round, which fills the system's cache of
files, is not counted. Times are on the clock and on the processor.

    python benchmarks/startup.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import measured

#: What is started, and the seconds on the clock that it may take.
COMMANDS: dict[str, tuple[Sequence[str], float | None]] = {
    "python -c pass": (("-c", "pass"), None),
    "import underlie": (("-c", "import underlie"), 2.0),
    "underlie --help": (("-m", "underlie", "--help"), 0.5),
    "from underlie import VAE": (("-c", "from underlie import VAE"), None),
    "import torch": (("-c", "import torch"), None),
    "import torch, sklearn.base": (("-c", "import torch, sklearn.base"), None),
}


def start(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds on the clock and on the processor of one process, from its start to its end."""
    begun = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"python {' '.join(arguments)} ended with {child.returncode}")
    return seconds, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, (arguments, _) in COMMANDS.items():
            seconds = start(arguments)
            if turn:
                found[name].append(seconds)
    note = (
        f"Seconds of {rounds} starts each, medians and the quickest and slowest start on the clock; packages are in "
        "the system's cache of files. What a command or a model needs is imported when it is first used."
    )
    rows = [_row(name, times, COMMANDS[name][1]) for name, times in found.items()]
    measured.keep("startup", [{"title": "Seconds to start and end", "note": note, "rows": rows}], ["typer", "rich"])


def _row(name: str, times: list[tuple[float, float]], reach: float | None) -> dict[str, Any]:
    clock = [seconds for seconds, _ in times]
    return {
        "variant": name,
        "seconds": statistics.median(clock),
        "low": min(clock),
        "high": max(clock),
        "processor_seconds": statistics.median(used for _, used in times),
        "reach": reach,
    }


if __name__ == "__main__":
    main()
