"""Make ``docs/performance.md`` of what the benchmarks measured, ``benchmarks/results/*.json``.

    python docs/make_performance.py

The page is never edited by hand: a test holds it to what this script makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "performance.md"

#: Heading of each study and what to see in it, in the order of the page. Studies of other names follow by name.
STUDIES = {
    "startup": (
        "Starting",
        "Importing the package costs little, as what a model needs is imported when it is first used; that first use "
        "is for the most part the import of PyTorch and scikit-learn.",
    ),
    "single_fits": (
        "One variational autoencoder",
        "What the comforts of a fit cost beside the loop of a tutorial, and what trainers of other libraries cost. A "
        "fit by underlie also looks at every column, starts from the linear model, and judges held-out rows after each "
        "epoch, which weighs where epochs are few. Its steps are recorded and replayed; the first three are not yet, "
        "and recording them takes as long as some hundred of the table's.",
    ),
    "replicates": (
        "Many at once",
        "Replicates train as one computation: compare a batch of them with the same number of single fits.",
    ),
    "ppca_missing": (
        "Probabilistic PCA",
        "With cells missing, look at the gap beside the time: a program that stops early is quick, and has not "
        "reached the maximum of the likelihood. The maximum need not fill in best where the rank is large for so few "
        "rows. With complete data PCA is quicker only where it finds the first eigenvalues at random, with the errors "
        "shown; underlie finds them exactly, which takes longer where rows and columns are about as many and no "
        "eigenvalue stands out.",
    ),
    "survival_speed": (
        "Survival",
        "Look at the Brier score beside the time: an ensemble of networks takes longer than Cox regression and a "
        "forest.",
    ),
    "mega_speed": (
        "Moment gaps",
        "Time and memory of the form that writes down every draw's matrix grow with m D². Look at the gaps too: those "
        "of independent draws still hold the noise of the draws.",
    ),
    "m2_epoch": (
        "Few labels",
        "One epoch of the semi-supervised model, which sums unseen labels out, beside loops that do it class by class.",
    ),
    "app_speed": (
        "The page in the browser",
        "How long `underlie app` takes to open, and to answer what is done on its screens. The models follow "
        "a few seconds after the page: PyTorch and scikit-learn are imported meanwhile.",
    ),
    "growth": (
        "Growth",
        "How time and memory grow with rows, columns and replicates: an exponent of 1 is proportional growth, less is "
        "better.",
    ),
    "communication": (
        "Several processes",
        "What processes that train one model say to each other at each step, and the least that a ring of them can do "
        "with.",
    ),
    "out_of_core": (
        "Files larger than memory",
        "Memory stays where it is when the file grows, and the rate beside that of rows in memory says what reading "
        "costs.",
    ),
    "stress": (
        "Ugly tables",
        "How often each estimator answers or refuses in words that help, on tables made to break it.",
    ),
}
HEAD = """# Performance

% Made by docs/make_performance.py from benchmarks/results; edits here are lost.

What the models take in time and memory, beside other programs that do the same. Numbers in a table are ratios where
two programs are compared: medians over rounds in which all took turns on one machine, the smallest and largest round
in brackets. Where nothing else is said times are of one thread, on the processor. Every table names its command;
anyone can run it. `pip install 'underlie[benchmarks,peers]'` brings the other programs, each of which is left out where
it is missing; studies of real data find them in the folder that the variable `UNDERLIE_DATA` names.
"""


def page(results: Path) -> str:
    """The page, in Markdown.

    Parameters
    ----------
    results : path
        Folder of JSON files, as `keep` of ``benchmarks/measured.py`` writes them.
    """
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    names = [name for name in STUDIES if name in found] + [name for name in found if name not in STUDIES]
    parts = [HEAD, _shortfalls(found[name] | {"heading": _heading(name)} for name in names)]
    parts += [_study(name, found[name]) for name in names]
    return "\n".join(part for part in parts if part)


def _heading(name: str) -> str:
    return STUDIES[name][0] if name in STUDIES else name.replace("_", " ").capitalize()


def _study(name: str, record: Mapping[str, Any]) -> str:
    lines = [f"## {_heading(name)}", ""]
    if name in STUDIES:
        lines += [STUDIES[name][1], ""]
    lines += ["```console", record["command"], "```", "", _where(record), ""]
    said = ""
    for table in record["tables"]:
        lines += [f"### {table['title']}", ""]
        note = table.get("note", "").strip()
        if note and note != said:  # tables of one kind follow one another
            lines += [note, ""]
            said = note
        lines += [*_table(table), ""]
    return "\n".join(lines)


def _where(record: Mapping[str, Any]) -> str:
    """A sentence on machine, versions and date."""
    machine = record["machine"]
    facts = [str(machine["processor"]), f"{machine['cores']} cores"]
    if machine.get("memory_gib"):
        facts.append(f"{machine['memory_gib']} GiB of memory")
    if machine.get("gpu"):
        facts.append(str(machine["gpu"]))
    facts += [str(machine["system"]), f"Python {machine['python']}"]
    facts += [f"{package} {version}" for package, version in record["versions"].items()]
    load = machine.get("load")
    busy = "" if load is None else f" Load of the machine at the end: {load}."
    return f"Measured {record['date']} on {', '.join(facts)}.{busy}"


def _table(table: Mapping[str, Any]) -> list[str]:
    """A Markdown table; the range of a number stands behind it, and slower than a peer is said in its own column."""
    rows: Sequence[Mapping[str, Any]] = table["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row))
    ranged = names[names.index("low") - 1] if "low" in names else None
    columns = [name for name in names if name not in ("low", "high")]
    marks = [_mark(row, table) for row in rows]
    heads = [name.replace("_", " ") for name in columns] + ([""] if any(marks) else [])
    lines = [_line(heads), _line([":--" if name == "variant" else "--:" for name in columns] + [":--"] * any(marks))]
    for row, mark in zip(rows, marks, strict=True):
        cells = [_ranged(row, name) if name == ranged else _number(row.get(name)) for name in columns]
        lines.append(_line(cells + ([f"**{mark}**" if mark else ""] if any(marks) else [])))
    return lines


def _mark(row: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """What is to be said of a row where we fall short, or nothing."""
    reach, ratio = row.get("reach"), row.get("ratio")
    if reach is not None and row.get("seconds", ratio) > reach:
        return "beyond its reach"
    if row.get("least") is not None and row["rate"] < row["least"]:
        return "below its reach"
    if ratio is None:
        return ""
    if "reference" in table:
        return f"slower than {table['reference']}" if ratio > 1 else ""
    ours = next((r["ratio"] for r in table["rows"] if _is_ours(r)), None)
    return "faster than underlie" if ours is not None and not _is_ours(row) and ratio < ours else ""


def _is_ours(row: Mapping[str, Any]) -> bool:
    return str(row["variant"]).startswith("underlie")


def _shortfalls(studies: Iterable[Mapping[str, Any]]) -> str:
    """A list of the tables with marked rows."""
    lines = []
    for study in studies:
        for table in study["tables"]:
            marked = [(str(row["variant"]), mark) for row in table["rows"] if (mark := _mark(row, table))]
            for mark in dict.fromkeys(mark for _, mark in marked):
                names = "; ".join(name for name, own in marked if own == mark)
                lines.append(f"* {study['heading']} – {table['title']} – {mark}: {names}")
    if not lines:
        return ""
    return "\n".join(["## Where underlie falls short", "", "All rows that are marked below:", "", *lines, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _ranged(row: Mapping[str, Any], name: str) -> str:
    if row.get("low") is None or row["low"] == row["high"]:
        return _number(row.get(name))
    return f"{_number(row.get(name))} ({_number(row['low'])} to {_number(row['high'])})"


def _number(value: object) -> str:
    """Three digits that count; whole numbers in full."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value == 0 or 1e-3 <= abs(value) < 1e3:
            return f"{value:#.3g}".rstrip(".")
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.1e}"
    return str(value)


def main() -> None:
    PAGE.write_text(page(RESULTS), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
