"""Training on a file larger than memory: how much memory it takes, and how fast it is beside rows in memory.

Memory: a sparse file of images (28 x 28 bytes, 20 GB by default; every thousandth row has ink) trains a VAE of default
size for some seconds in a process of its own, which reports its peak resident memory, pages of the file included.

Rate: rows learned per second from a file in the system's cache and from the same rows in memory, in processes of their
own that take turns, so that whatever else the machine does hits both alike. Both see the same rows in the same order.
The file has as many rows as are still read from it (a little more than 1 GiB when encoded as float32).

    python benchmarks/out_of_core.py [--gigabytes 20] [--seconds 20] [--rounds 5] [--folder .]
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import measured
import numpy as np

SHAPE = (28, 28)
#: just enough rows not to be read into memory at once: 4 bytes for each of 784 pixels, more than 2**30 in all
STREAMED_ROWS = 2**30 // (4 * SHAPE[0] * SHAPE[1]) + 10_000
MEGABYTE = 2**20


def make_file(path: Path, n: int, inked: int) -> None:
    """Images of which every so many hold a bright square somewhere; the others take no space on the disk."""
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, *SHAPE))
    rng = np.random.default_rng(0)
    for row in range(0, n, inked):
        top, left = rng.integers(0, 20, 2)
        images[row, top : top + 8, left : left + 8] = rng.integers(100, 256, (8, 8))
    images.flush()


def train(path: Path, seconds: float, *, in_memory: bool) -> dict[str, Any]:
    """Train for so long, then interrupt as Ctrl-C does; rows per second and memory of this process."""
    import underlie as ul
    from underlie.engine.run import Run

    steps: list[tuple[float, int]] = []
    learn = Run._learn

    def counted(self: Run, step: Any) -> None:
        learn(self, step)
        steps.append((time.perf_counter(), step[0][2]))
        if len(steps) == 1:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    Run._learn = counted  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    X = np.load(path, mmap_mode=None if in_memory else "r")
    before = _peak()
    begun = time.perf_counter()
    model = ul.VAE(n_latent=16, batch_size=512, max_epochs=1000, random_state=0, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ul.warnings.ConvergenceWarning)
        model.fit(X)
    at, sizes = np.array([t for t, _ in steps]), np.array([n for _, n in steps])
    return {
        "rows": len(X),
        "file_megabytes": round(path.stat().st_size / MEGABYTE),
        "seconds_before_the_first_step": round(float(at[0] - begun), 2),
        "steps": len(steps),
        "rows_per_second": round(float(sizes[1:].sum() / (at[-1] - at[0])), 1),
        "peak_megabytes": _peak(),
        "peak_megabytes_before": before,
    }


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak // (MEGABYTE if sys.platform == "darwin" else 1024))


def in_child(path: Path, seconds: float, where: str) -> dict[str, Any]:
    """`train` in a process of its own."""
    command = [sys.executable, __file__, "--child", where, "--file", str(path), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def read_through(path: Path) -> None:
    """Bring a file into the system's cache."""
    with path.open("rb") as file:
        while file.read(2**24):
            pass


def memory(gigabytes: float, seconds: float, place: Path) -> dict[str, Any]:
    """A table: peak memory while a large file trains."""
    large = place / "large.npy"
    make_file(large, int(gigabytes * 1e9 / (SHAPE[0] * SHAPE[1])), 1000)
    found = in_child(large, seconds, "file")
    large.unlink()
    names = ("rows", "file_megabytes", "peak_megabytes", "peak_megabytes_before", "seconds_before_the_first_step")
    note = (
        f"Images of 28 x 28 bytes; largest resident memory of the process in {seconds:g} seconds of training, pages of "
        "the file included, and what it was before the fit, libraries alone."
    )
    row = measured.row("underlie, from a file", {name: found[name] for name in names})
    return {"title": f"Memory: a file of {gigabytes:g} GB", "note": note, "rows": [row]}


def rate(seconds: float, rounds: int, place: Path) -> dict[str, Any]:
    """A table: rows a second from a cached file, and from memory."""
    small = place / "small.npy"
    make_file(small, STREAMED_ROWS, 10)
    read_through(small)
    rates: dict[str, list[float]] = {"file": [], "memory": []}
    for turn in range(rounds):
        for where in ("file", "memory") if turn % 2 else ("memory", "file"):
            rates[where].append(in_child(small, seconds, where)["rows_per_second"])
            print(where, rates[where][-1], flush=True)
    ratios = [a / b for a, b in zip(rates["file"], rates["memory"], strict=True)]
    spread = {"rate": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    note = (
        f"Rows learned from per second on the clock, relative to the same rows in memory; {rounds} rounds of two "
        f"processes that take turns of {seconds:g} seconds each. The file, {STREAMED_ROWS:,} images, is in the "
        "system's cache; a second thread reads ahead, so that the rate depends on a second core that is free."
    )
    rows = [
        measured.row("rows in memory", {"rate": 1.0}, rows_per_second=round(statistics.median(rates["memory"]))),
        measured.row(
            "underlie, from a file", spread, least=0.8, rows_per_second=round(statistics.median(rates["file"]))
        ),
    ]
    return {"title": "Rate: a file in the cache", "note": note, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of training, each time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made, and deleted again")
    parser.add_argument("--child", choices=["file", "memory"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(train(arguments.file, arguments.seconds, in_memory=arguments.child == "memory")))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        place = Path(folder)
        tables = [
            memory(arguments.gigabytes, arguments.seconds, place),
            rate(arguments.seconds, arguments.rounds, place),
        ]
    measured.keep("out_of_core", tables)


if __name__ == "__main__":
    main()
