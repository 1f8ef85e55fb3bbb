"""How time and memory of a fit grow with rows, columns and replicates.

Every fit is made in a process of its own, which makes its data first; sizes take turns. Time is that of the fit on the
processor, after a small fit has brought in the libraries; peak memory is the process's, libraries and data included,
and "extra" what the fit added to what was resident before it. Data are double precision, of rank 5 plus noise; columns
of the table of replicates and of rows number 20, rows of the others 1,000. A VAE makes two passes over its rows.

    python benchmarks/growth.py [--rounds 3] [--only rows columns replicates]

The exponent of a row is log(time ratio to the row before) / log(size ratio to the row before).
"""

from __future__ import annotations

import argparse
import math
import statistics
import warnings
from typing import Any

import measured
import numpy as np
from measured import Cost
from numpy.typing import NDArray

import underlie as ul

Array = NDArray[np.float64]
ROWS, COLUMNS, RANK, EPOCHS, BATCH = 1000, 20, 5, 2, 256
HOLED = "ProbabilisticPCA, 10 % missing"
#: From these sizes on, one fit has to do.
ONCE = {"rows": 10**6, "columns": 10**5, "replicates": 10**3}
#: MiB below which what a fit adds depends more on the allocator than on the fit.
LEAST = 8.0
#: What grows -> name of the fit -> its sizes.
SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "rows": {
        "ProbabilisticPCA": (10**3, 10**4, 10**5, 10**6, 10**7),
        HOLED: (10**3, 10**4, 10**5, 10**6),
        "VAE": (10**3, 10**4, 10**5, 10**6),
    },
    "columns": {
        "ProbabilisticPCA": (10, 100, 1000, 10**4, 10**5),
        "VAE": (10, 100, 1000, 10**4, 10**5),
    },
    "replicates": {"VAE": (1, 3, 10, 30, 100)},
}


def table(n_rows: int, n_columns: int) -> Array:
    """Rank 5 plus noise, made in place so that the data are all that stays in memory."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n_rows, n_columns))
    axes = rng.standard_normal((RANK, n_columns))
    for start in range(0, n_rows, 10_000):
        part = x[start : start + 10_000]
        part += rng.standard_normal((len(part), RANK)) @ axes
    return x


def model(name: str, n_replicates: int) -> Any:
    """The estimator, not yet fitted."""
    if name == "VAE":
        return ul.VAE(
            RANK, hidden=(64,), likelihood="normal", n_replicates=n_replicates, batch_size=BATCH, max_epochs=EPOCHS,
            patience=EPOCHS, random_state=0, verbose=False,
        )  # fmt: skip
    return ul.ProbabilisticPCA(RANK)


def fit_job(grows: str, name: str, size: int) -> measured.Job:
    """For a process of its own: the data are there, and the libraries have been used."""
    warnings.simplefilter("ignore")
    small = table(300, 10)
    if name == HOLED:
        small[0, 0] = np.nan
    model(name, 2).fit(small)
    x = table(size if grows == "rows" else ROWS, size if grows == "columns" else COLUMNS)
    if name == HOLED:
        rng = np.random.default_rng(1)
        for part in np.array_split(x, max(1, len(x) // 10_000)):
            part[rng.random(part.shape) < 0.1] = np.nan
    unfitted = model(name, size if grows == "replicates" else 1)
    return lambda: unfitted.fit(x)


def growth(grows: str, name: str, rounds: int) -> dict[str, Any]:
    """One table: every size against the smallest, and against the one before."""
    sizes = SIZES[grows][name]
    costs: dict[int, list[Cost]] = {size: [] for size in sizes}
    for turn in range(rounds):
        for size in sizes:
            if turn == 0 or size < ONCE[grows]:
                costs[size].append(measured.in_child(fit_job, grows, name, size))
    return {"title": f"{name}: {grows}", "note": _note(grows), "rows": _lines(grows, costs)}


def _note(grows: str) -> str:
    fixed = {
        "rows": f"{COLUMNS} columns",
        "columns": f"{ROWS:,} rows",
        "replicates": f"{ROWS:,} rows, {COLUMNS} columns",
    }
    return (
        f"{fixed[grows]}. Time and extra memory relative to the smallest size; exponents against the size before. "
        f"From {ONCE[grows]:,} {grows} on one fit has to do. An exponent of memory is given from {LEAST:.0f} MiB on."
    )


def _lines(grows: str, costs: dict[int, list[Cost]]) -> list[dict[str, Any]]:
    """Of a table, from the costs of each size."""
    seconds = {size: statistics.median(c.seconds for c in each) for size, each in costs.items()}
    extra = {size: statistics.median(c.peak - c.before for c in each) for size, each in costs.items()}
    smallest = next(iter(costs))
    return [
        {
            "variant": f"{size:,} {grows if size > 1 else grows[:-1]}",
            "ratio": seconds[size] / seconds[smallest],
            "low": min(c.seconds for c in each) / seconds[smallest],
            "high": max(c.seconds for c in each) / seconds[smallest],
            "time_exponent": _exponent(seconds, before, size),
            "peak_MiB": statistics.median(c.peak for c in each),
            "extra_MiB": extra[size],
            "extra_exponent": _exponent(extra, before, size, least=LEAST),
        }
        for before, (size, each) in zip([None, *costs], costs.items(), strict=False)
    ]


def _exponent(of: dict[int, float], before: int | None, size: int, least: float = 0.0) -> float | None:
    if before is None or of[before] <= least:
        return None
    return math.log(of[size] / of[before]) / math.log(size / before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    found = [growth(grows, name, arguments.rounds) for grows in arguments.only for name in SIZES[grows]]
    measured.keep("growth", found)


if __name__ == "__main__":
    main()
