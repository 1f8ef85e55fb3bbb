"""1, 8, 20 and 50 replicates of a small variational autoencoder as one computation, against one after another.

The table and the network of `single_fits.py`; one thread, processor time. What replicates cost one after another is the
number of replicates times one: by a plain loop, and by underlie itself.

    python benchmarks/replicates.py [--rounds 5] [--replicates 1 8 20 50]
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from functools import partial

import measured
import torch
from single_fits import TASKS, in_memory, underlie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replicates", nargs="+", type=int, default=[1, 8, 20, 50])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    task = TASKS["table"]
    rows = task.rows()
    jobs = {"plain": partial(in_memory, task, rows), "one": partial(underlie, task, rows)}
    jobs |= {str(n): partial(underlie, task, rows, n) for n in arguments.replicates}
    seconds = measured.turns(jobs, arguments.rounds)
    lines = []
    for n in arguments.replicates:
        to_plain = [a / (n * b) for a, b in zip(seconds[str(n)], seconds["plain"], strict=True)]
        to_own = statistics.median(a / (n * b) for a, b in zip(seconds[str(n)], seconds["one"], strict=True))
        spread = {"ratio": statistics.median(to_plain), "low": min(to_plain), "high": max(to_plain)}
        lines.append(measured.row(f"underlie, {n} as one computation", spread, to_one_after_another_by_underlie=to_own))
    note = (
        "Processor time of a whole fit, relative to as many plain loops one after another; in the last column, to as "
        "many fits by underlie one after another."
    )
    table = {"title": f"Replicates. {task.title}", "note": note, "rows": lines, "reference": "plain loops"}
    measured.keep("replicates", [table])


if __name__ == "__main__":
    main()
