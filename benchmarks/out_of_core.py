"""Training on a file larger than memory: how much memory it takes, and how fast it is beside rows in memory.

Memory: a sparse file of images (28 x 28 bytes, 20 GB by default; every thousandth row has ink) trains a VAE of default
size for some seconds in a process of its own, which reports its peak resident memory, pages of the file included.

Rate: rows learned per second from a file in the system's cache and from the same rows in memory, in processes of their
own that take turns, so that whatever else the machine does hits both alike. Both see the same rows in the same order.
The file has as many rows as are still read from it (a little more than 1 GiB when encoded as float32).

    python benchmarks/out_of_core.py [--gigabytes 20] [--seconds 20] [--rounds 5] [--folder .] [--out result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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


def measure(gigabytes: float, seconds: float, rounds: int, folder: Path) -> dict[str, Any]:
    """Memory on the large file, rates on the small one."""
    result: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    with tempfile.TemporaryDirectory(dir=folder) as place:
        large, small = Path(place) / "large.npy", Path(place) / "small.npy"
        make_file(large, int(gigabytes * 1e9 / (SHAPE[0] * SHAPE[1])), 1000)
        result["memory"] = in_child(large, seconds, "file")
        print(json.dumps(result["memory"]), flush=True)
        large.unlink()
        make_file(small, STREAMED_ROWS, 10)
        read_through(small)
        rates: dict[str, list[float]] = {"file": [], "memory": []}
        for turn in range(rounds):
            for where in ("file", "memory") if turn % 2 else ("memory", "file"):
                rates[where].append(in_child(small, seconds, where)["rows_per_second"])
                print(where, rates[where][-1], flush=True)
    ratios = [a / b for a, b in zip(rates["file"], rates["memory"], strict=True)]
    result["rate"] = {
        "rows": STREAMED_ROWS,
        "rows_per_second": rates,
        "median": {where: statistics.median(each) for where, each in rates.items()},
        "ratio_of_each_round": [round(r, 3) for r in ratios],
        "median_ratio": round(statistics.median(ratios), 3),
    }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of training, each time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made, and deleted again")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=["file", "memory"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(train(arguments.file, arguments.seconds, in_memory=arguments.child == "memory")))
        return
    result = measure(arguments.gigabytes, arguments.seconds, arguments.rounds, arguments.folder)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
