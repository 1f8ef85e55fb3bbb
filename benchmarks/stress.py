"""Every estimator on every ugly table: how often it answers, refuses in words that help, or fails.

The tables, what is asked, and what passes are in `benchmarks/ugly.py`. What fails is printed as it is found, and the
exit status says whether anything did.

    python benchmarks/stress.py [--seeds 20] [--only ESTIMATOR ...] [--tables TABLE ...]
                                [--rows 120] [--epochs 15] [--jobs 1] [--out stress.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import measured
import ugly

from underlie.report import provenance

_COLUMNS = ("finite", "refused", "NaN", "crash", "unclear", "late", "accepted")


def work(task: tuple[str, str, int, int, int]) -> ugly.Finding:
    """One estimator, table and seed, by name."""
    case, table, seed, rows, epochs = task
    cases, tables = {c.name: c for c in ugly.CASES}, {t.name: t for t in ugly.TABLES}
    return ugly.judge(cases[case], tables[table], seed, rows, epochs)


def counts(findings: Iterable[ugly.Finding], by: str) -> str:
    """A table of verdicts, one line for each estimator or each table."""
    found: dict[str, Counter[str]] = {}
    for finding in findings:
        found.setdefault(getattr(finding, by), Counter())[finding.verdict] += 1
    width = max(len(name) for name in found)
    lines = [f"{'':{width}}" + "".join(f"{c:>10}" for c in _COLUMNS)]
    lines += [f"{name:{width}}" + "".join(f"{n[c]:>10,}" for c in _COLUMNS) for name, n in found.items()]
    total = sum(found.values(), Counter[str]())
    return "\n".join([*lines, f"{'all':{width}}" + "".join(f"{total[c]:>10,}" for c in _COLUMNS)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], metavar="ESTIMATOR", choices=[c.name for c in ugly.CASES])
    parser.add_argument("--tables", nargs="*", default=[], metavar="TABLE", choices=[t.name for t in ugly.TABLES])
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, help="JSON with every finding and where it was made")
    given = parser.parse_args()
    begun = time.perf_counter()
    pairs = [
        (case.name, table.name)
        for case, table in itertools.product(ugly.CASES, ugly.TABLES)
        if (case.outcomes or table.outcome is None)
        and (not given.only or case.name in given.only)
        and (not given.tables or table.name in given.tables)
    ]
    tasks = [(*pair, seed, given.rows, given.epochs) for pair in pairs for seed in range(given.seeds)]
    findings: list[ugly.Finding] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for finding in pool.map(work, tasks, chunksize=given.seeds):
            findings.append(finding)
            if not finding.passed:
                print(
                    f"{finding.case} | {finding.table} | seed {finding.seed} | {finding.verdict}: {finding.words}",
                    flush=True,
                )
    print(counts(findings, "case"), counts(findings, "table"), sep="\n\n")
    if given.out is not None:
        facts = provenance(command=" ".join(sys.argv), seconds=time.perf_counter() - begun)
        facts |= {"machine": measured.machine(), "rows": given.rows, "epochs": given.epochs, "seeds": given.seeds}
        given.out.write_text(json.dumps({**facts, "findings": [asdict(f) for f in findings]}, indent=1))
    return 0 if all(f.passed for f in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
