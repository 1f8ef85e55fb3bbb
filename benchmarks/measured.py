"""How the benchmarks measure: variants take turns, ratios are paired within a turn, results are kept with their machine.

Every study of `docs/performance` is a script beside this one that calls `turns` and `keep`. A result is a file
``benchmarks/results/STUDY.json``; ``docs/make_performance.py`` makes the page of them.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

RESULTS = Path(__file__).parent / "results"

Job = Callable[[], object]


def turns(jobs: Mapping[str, Job], rounds: int, *, wall: bool = False) -> dict[str, list[float]]:
    """Seconds of each job in each round; the jobs take turns, and a first round, which warms up, is not counted.

    Parameters
    ----------
    jobs : mapping of str to callable
    rounds : int
    wall : bool
        Time on the clock, for jobs of several threads or processes; else time on the processor, which what else the
        machine does moves less.
    """
    clock = time.perf_counter if wall else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            begun = clock()
            job()
            if turn:
                seconds[name].append(clock() - begun)
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], reference: str) -> dict[str, dict[str, float]]:
    """Of each job to the reference, paired within rounds: median, smallest and largest."""
    found = {}
    for name, own in seconds.items():
        paired = [a / b for a, b in zip(own, seconds[reference], strict=True)]
        found[name] = {"ratio": statistics.median(paired), "low": min(paired), "high": max(paired)}
    return found


def row(name: str, found: Mapping[str, float], **more: object) -> dict[str, Any]:
    """One line of a table."""
    return {"variant": name, **found, **more}


def keep(study: str, tables: Sequence[Mapping[str, Any]], packages: Sequence[str] = ()) -> Path:
    """Write a study's tables, with what they were measured on and by what command, and print them.

    Parameters
    ----------
    study : str
        Name of the file.
    tables : sequence of mappings
        Each with ``title``, ``note`` and ``rows``, a list of mappings of the same keys.
    packages : sequence of str
        Peers whose versions matter.
    """
    for table in tables:
        print(f"\n{table['title']}")
        for line in table["rows"]:
            print("   ".join(f"{k} {_shown(v)}" for k, v in line.items()))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{study}.json"
    record = {
        "study": study,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in ("torch", "numpy", "scikit-learn", *packages)},
        "tables": list(tables),
    }
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\n{path}")
    return path


def machine() -> dict[str, Any]:
    """Facts about this machine that times depend on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    return {
        "processor": model,
        "cores": cores,
        "memory_gib": None if memory is None else round(memory),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
