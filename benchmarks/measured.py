"""How the benchmarks measure: variants take turns, ratios are paired within a turn, results name their machine.

Every study of `docs/performance` is a script beside this one that calls `turns` and `keep`. A result is a file
``benchmarks/results/STUDY.json``; ``docs/make_performance.py`` makes the page of them. It takes a row for ours if its
name begins with "underlie", and marks every other row of the table whose ratio is smaller than that of the first of
ours: so a table should hold one comparison, and the default setting before others. A table of our rows alone names the
peer that they are relative to as its ``reference``; rows above 1 are marked there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

RESULTS = Path(__file__).parent / "results"
#: What processes of their own have imported when they begin.
PRELOADED = ["torch", "sklearn.base", "underlie.estimators.vae", "underlie.estimators.ppca", "underlie.check.mega"]

Job = Callable[[], object]


class Cost(NamedTuple):
    """What a call took in a process of its own."""

    seconds: float
    """Processor time of the call."""
    peak: float
    """Largest resident memory of the process during the call, MiB: libraries and the call's input included."""
    before: float
    """Resident memory when the call began, MiB."""


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


def in_child(prepare: Callable[..., Job], *arguments: object) -> Cost:
    """Cost of a job in a process that has imported the libraries and done nothing else.

    Parameters
    ----------
    prepare : function at the top of a module
        Called in the process with the arguments; it makes the input and returns the job, which alone is measured.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_cost, prepare, arguments).result()


def _cost(prepare: Callable[..., Job], arguments: tuple[object, ...]) -> Cost:
    torch.set_num_threads(1)
    job = prepare(*arguments)
    _forget_peak()
    before, begun = _peak(), time.process_time()
    job()
    return Cost(time.process_time() - begun, _peak(), before)


def _forget_peak() -> None:
    """Let the peak begin again at what is resident now, where the system can."""
    resets = Path("/proc/self/clear_refs")
    if resets.exists():
        resets.write_text("5")


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # not `ru_maxrss`, which a process that was started inherits from the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those of the packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def absent(packages: Sequence[str]) -> str:
    """A sentence for a table's note on packages that took no part, or nothing."""
    there = versions(packages)
    missing = [name for name in packages if name not in there]
    return f" Not installed here, and left out: {', '.join(missing)}." if missing else ""


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
        Each with ``title``, ``note`` and ``rows``, a list of mappings of the same keys; see above for ``reference``.
    packages : sequence of str
        Peers whose versions matter, as the package index calls them; those not installed are passed over.
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
        "versions": versions(("torch", "numpy", "scikit-learn", *packages)),
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
