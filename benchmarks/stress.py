"""Every estimator on every ugly table: how often it answers, refuses in words that help, or fails.

The tables, what is asked, and what passes are in `benchmarks/ugly.py`. What fails is printed as it is found, and the
exit status says whether anything did.

    python benchmarks/stress.py [--seeds 20] [--only ESTIMATOR ...] [--tables TABLE ...]
                                [--rows 120] [--epochs 15] [--jobs 1] [--out findings.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
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


def tally(findings: Iterable[ugly.Finding], by: str) -> dict[str, Counter[str]]:
    """How often each verdict was found, for each estimator or each table, and in all."""
    found: dict[str, Counter[str]] = {}
    for finding in findings:
        found.setdefault(getattr(finding, by), Counter())[finding.verdict] += 1
    return {**found, "all": sum(found.values(), Counter[str]())}


def shown(found: Mapping[str, Counter[str]]) -> str:
    """A tally as text, one line for each estimator or table."""
    width = max(len(name) for name in found)
    lines = [f"{'':{width}}" + "".join(f"{c:>10}" for c in _COLUMNS)]
    return "\n".join(
        lines + [f"{name:{width}}" + "".join(f"{n[c]:>10,}" for c in _COLUMNS) for name, n in found.items()]
    )


def table(found: Mapping[str, Counter[str]], title: str, seeds: int) -> dict[str, object]:
    """A tally as a table of the page."""
    note = (
        f"With {seeds} seeds. finite: answered, and every number is finite. refused: an error that names the place "
        "and the remedy. The others are failures: an answer that is no number, an error that is none of ours, an error "
        "that does not help, a refusal only after fitting, and accepting what has no answer."
    )
    rows = [{"variant": name, "fits": n.total(), **{c: n[c] for c in _COLUMNS}} for name, n in found.items()]
    return {"title": title, "note": note, "rows": rows}


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
    by_case, by_table = tally(findings, "case"), tally(findings, "table")
    if given.only or given.tables:
        print(shown(by_case), shown(by_table), sep="\n\n")
    else:  # only the whole study goes on the page
        tables = [table(by_case, "By estimator", given.seeds), table(by_table, "By table", given.seeds)]
        measured.keep("stress", tables)
    if given.out is not None:
        facts = provenance(command=" ".join(sys.argv), seconds=time.perf_counter() - begun)
        facts |= {"machine": measured.machine(), "rows": given.rows, "epochs": given.epochs, "seeds": given.seeds}
        given.out.write_text(json.dumps({**facts, "findings": [asdict(f) for f in findings]}, indent=1))
    return 0 if all(f.passed for f in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
