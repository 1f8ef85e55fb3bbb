"""Cells computed side by side, each in a process of one thread, with an estimate of the time that is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from underlie.cli.handwriting.cells import Bench, Cell
from underlie.cli.progress import Say

_bench: Bench | None = None


def complete(cells: Sequence[Cell], bench: Bench, jobs: int, say: Say) -> dict[Cell, dict[str, Any]]:
    """The results of all cells; those that are in the store are not computed again.

    Parameters
    ----------
    cells : sequence of Cell
        In the order in which they are wanted.
    bench : Bench
    jobs : int
        Processes.
    say : callable
        Told what is done and how long the rest will take.
    """
    found = {cell: result for cell in cells if (result := bench.known(cell)) is not None}
    missing = [cell for cell in cells if cell not in found]
    if found:
        say(f"{len(found)} of {len(cells)} results were there already")
    begun = time.perf_counter()
    for i, (cell, result) in enumerate(_computed(missing, bench, jobs, say), start=1):
        found[cell] = result
        left = missing_seconds([c for c in missing if c not in found], found) / min(jobs, max(1, len(missing) - i))
        spent = time.perf_counter() - begun
        say(f"{len(found)} of {len(cells)}: {cell.name}, {worded(spent)} so far, about {worded(left)} left")
    return found


def missing_seconds(missing: Sequence[Cell], found: dict[Cell, dict[str, Any]]) -> float:
    """How long cells will take one after another: as long as their likes did, or else as the average."""
    times: dict[tuple[str, str], list[float]] = {}
    for cell, result in found.items():
        times.setdefault((cell.target, cell.method), []).append(result["seconds"])
    mean = {kind: sum(t) / len(t) for kind, t in times.items()}
    usual = sum(mean.values()) / len(mean) if mean else 0.0
    return sum(mean.get((cell.target, cell.method), usual) for cell in missing)


def worded(seconds: float) -> str:
    """A duration in a sentence."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _computed(cells: Sequence[Cell], bench: Bench, jobs: int, say: Say) -> Iterator[tuple[Cell, dict[str, Any]]]:
    if jobs == 1 or len(cells) < 2:
        _begin(bench)
        for cell in cells:
            say(f"computing {cell.name}")
            yield cell, _compute(cell)
        return
    say(f"{len(cells)} results to compute, {jobs} at a time")
    # Fresh processes: a fork of one that has used torch's threads may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (bench,)) as pool:
        waiting = {pool.submit(_compute, cell): cell for cell in cells}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(bench: Bench) -> None:
    global _bench
    _bench = bench
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _compute(cell: Cell) -> dict[str, Any]:
    """One cell on one thread, so that cells side by side do not compete for processors."""
    from underlie.engine.threads import one_thread

    assert _bench is not None
    with one_thread():
        return _bench.compute(cell)
