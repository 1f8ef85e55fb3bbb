"""The study of handwriting from end to end: images, cells, chapters, one page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import typer

from underlie.cli.errors import BadInput, check_folder
from underlie.cli.handwriting.accuracy import Results, accuracy_chapter, extra_chapter, m2_chapter
from underlie.cli.handwriting.cells import BOTH, FULL, MAIN, QUICK, Bench, Cell, Effort
from underlie.cli.handwriting.generated import generated_chapter
from underlie.cli.handwriting.material import Material, find
from underlie.cli.handwriting.store import Store
from underlie.cli.handwriting.work import complete, worded
from underlie.cli.progress import Say, progress
from underlie.cli.reproduce_part import Chapter
from underlie.cli.terminal import print_table
from underlie.report import Alert, Column, Document, Section, provenance, table, write_report
from underlie.report.document import Cell as TableCell
from underlie.report.plain import plain

#: in the order of the page; the first four are one table
PARTS: Final = ("digit", "writer", "characteristics", "resolution", "extra", "m2", "generated")
_TABLE: Final = PARTS[:4]
_N_QUICK_WRITERS: Final = 20

_LEAD = (
    "C. Beaulac and J. S. Rosenthal, Introducing a New High-Resolution Handwritten Digits Data Set with Writer "
    "Characteristics (2022), and what the talk of C. Beaulac (2021) adds: classifiers of digit, writer and "
    "characteristics of the writer, M2 with unlabelled images, and images generated for a digit and a writer. Ours "
    "beside the published figures."
)
_STAND_IN = Alert(
    "warning",
    "Not HWD+: a stand-in",
    "HWD+ is not on this machine. In its place are the digits of the 97 people who wrote most of MNIST's training "
    "part, as QMNIST traced them. Like HWD+: 97 writers, about 13 images of each digit of each (HWD+: 14). Unlike it: "
    "NIST's images were centred and scaled to 20 × 20 pixels, and so hold less of a hand than HWD+'s, which were not; "
    "they exist at 28 × 28 only; the unlabelled images are by other people of the same collection, not of another "
    "one; and of the writers nothing is known but whether they were census employees or high-school students. So the "
    "published figures beside ours are of other images: compare directions and gains, not levels. Published rows of "
    "gender, language, hand, education and medium, and the column of 100 × 100 pixels, have no counterpart. For the "
    "real one put Images(28x28).npy and WriterInfo.npy in one folder and name it as --data.",
)
_QUICK = Alert(
    "warning",
    "Quick version",
    "A few writers and networks that were hardly trained: this page shows that everything runs. Its figures must not "
    "be compared with the published ones. Leave out --quick for the real one.",
)


def reproduce_handwriting(
    out: Path,
    *,
    data: Path | None = None,
    repeats: int | None = None,
    members: int | None = None,
    quick: bool = False,
    only: Sequence[str] = (),
    jobs: int = 2,
    seed: int = 0,
    quiet: bool = False,
    command: str | None = None,
) -> Path:
    """Compute the results of the papers on HWD+ again; write report.html, report.json and results/ into ``out``.

    Parameters
    ----------
    out : Path
        Folder, made if missing. Results that it holds, computed under the same settings, are not computed again.
    data : Path, optional
        Folder of HWD+. Without it the folder UNDERLIE_DATA is searched, and where HWD+ is not there either MNIST by
        writers takes its place.
    repeats : int, optional
        Random splits.
    members : int, optional
        Networks of a committee.
    quick : bool
        Few writers, hardly trained networks.
    only : sequence of str
        Parts to compute, of ``PARTS``; all by default.
    jobs : int
        Results computed side by side, each in a process of one thread.
    seed : int
        Same seed, same machine: same numbers, whatever ``jobs``; times aside.
    quiet : bool
        Print nothing.
    command : str, optional
        What was typed, for the record.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    BadInput
        If a part is unknown, images are not there, or the folder cannot be written.
    """
    parts = _checked_parts(only)
    check_folder(out)
    store = Store.open(out)
    effort = QUICK if quick else FULL
    effort = replace(effort, repeats=repeats or effort.repeats, members=members or effort.members)
    material = find(data, seed)
    if quick:
        material = material.smaller(_N_QUICK_WRITERS, 5000)
    bench = Bench(material, effort, seed, store)
    return study(bench, parts, out, jobs=jobs, quick=quick, quiet=quiet, command=command)


def study(
    bench: Bench, parts: Sequence[str], out: Path, *, jobs: int, quick: bool, quiet: bool, command: str | None
) -> Path:
    """Complete the cells of some parts and write their page."""
    started = time.perf_counter()
    without = {part: why for part in parts if (why := bench.material.cannot(part))}
    having = [part for part in parts if part not in without]
    cells = _cells(having, bench)
    with progress(quiet) as say:
        say(f"looking for results in {bench.store.folder}")
        before = {cell for cell in cells if bench.known(cell) is not None}
        found = complete(cells, bench, jobs, say)
        say("writing the page")
        chapters = list(_chapters(having, without, bench, found, say))
        record = provenance(command=command, seed=bench.seed, seconds=time.perf_counter() - started)
        alerts = tuple(_alerts(bench.material, quick, without))
        page = write_report(_report(chapters, alerts, bench, parts, found, before, record), out)
    if not quiet:
        for chapter in chapters:
            print_table(chapter.shown)
        for alert in alerts:
            typer.secho(f"{alert.level}: {alert.title}", fg="yellow", err=True)
        typer.echo(f"report  {page.resolve()}  ({worded(time.perf_counter() - started)})")
    return page


def _checked_parts(only: Sequence[str]) -> list[str]:
    unknown = [part for part in only if part not in PARTS]
    if unknown:
        raise BadInput(f"--only {unknown[0]}: there is no such part; choose from {', '.join(PARTS)}")
    return [part for part in PARTS if part in only or not only]


def _cells(parts: Sequence[str], bench: Bench) -> list[Cell]:
    """All cells of these parts, the first split of all of them first; a cell of several parts is there once."""
    cells: dict[Cell, None] = {}
    for repeat in range(bench.effort.repeats):
        for part in parts:
            cells |= dict.fromkeys(_of_part(part, repeat, bench.material))
    return list(cells)


def _of_part(part: str, repeat: int, material: Material) -> Iterator[Cell]:
    match part:
        case "digit" | "writer":
            for method in ("lenet5", "mlp", "knn"):
                yield Cell(part, MAIN[part], method, repeat)
        case "characteristics":
            for name in material.characteristics:
                for method in ("lenet5", "mlp", "knn"):
                    yield Cell(name, "individuals", method, repeat)
        case "resolution":
            for target, split in (*MAIN.items(), *((name, "individuals") for name in material.characteristics)):
                yield Cell(target, split, "lenet5_large", repeat)
        case "extra":
            for target in MAIN:
                for method in ("lenet5", "lenet5_extra"):
                    yield Cell(target, "digits", method, repeat)
        case "m2":
            for target, split in MAIN.items():
                for method in ("m2", "lenet5_alike"):
                    yield Cell(target, split, method, repeat)
        case "generated" if repeat == 0:
            yield _GENERATED


_GENERATED: Final = Cell(BOTH, "digits", "sdgm", 0)


# ---------------------------------------------------------------------------------------------------------------- page


def _chapters(
    parts: Sequence[str], without: dict[str, str], bench: Bench, found: dict[Cell, dict[str, Any]], say: Say
) -> Iterator[Chapter]:
    results = Results(bench.material.name, found)
    if any(part in _TABLE for part in parts):
        yield accuracy_chapter(results, {part: why for part, why in without.items() if part in _TABLE})
    if "extra" in parts:
        yield extra_chapter(results)
    if "m2" in parts:
        yield m2_chapter(results, _m2_words(bench))
    if "generated" in parts:
        say("drawing")
        train = bench.material.split(BOTH, "digits", 0, bench.seed)[0]
        path = bench.store.model(_GENERATED.name)
        yield generated_chapter(bench.material, found[_GENERATED], path, train, bench.seed)


def _m2_words(bench: Bench) -> str:
    told = []
    for target, settings in bench.effort.m2.items():
        assert bench.material.unlabelled is not None
        n = min(settings["n_unlabelled"], len(bench.material.unlabelled))
        prior = "with" if settings["neighbours"] else "without"
        told.append(f"{target}: α = {settings['alpha']:g}, {n:,} unlabelled images, {prior} neighbours as prior")
    looked = "Settings for the digit were looked for on a split that is not among these, those for the writer were not."
    return f"M2: {'; '.join(told)}. {looked}"


def _alerts(material: Material, quick: bool, without: dict[str, str]) -> Iterator[Alert]:
    if material.stand_in:
        yield _STAND_IN
    if quick:
        yield _QUICK
    for part, why in without.items():
        if not material.stand_in or part != "resolution":
            yield Alert("warning", f"{part}: left out", f"{why[:1].upper()}{why[1:].removesuffix('.')}.")


def _report(
    chapters: Sequence[Chapter],
    alerts: tuple[Alert, ...],
    bench: Bench,
    parts: Sequence[str],
    found: dict[Cell, dict[str, Any]],
    before: set[Cell],
    record: dict[str, Any],
) -> Document:
    return Document(
        title="Handwriting by known writers, reproduced",
        lead=_LEAD,
        headline=tuple(item for chapter in chapters for item in chapter.headline),
        alerts=alerts,
        sections=(*(_section(chapter) for chapter in chapters), _effort_section(bench, found, before)),
        provenance=record,
        facts={
            "images": bench.material.name,
            "parts": list(parts),
            "computed_before": sorted(cell.name for cell in before),
            "cells": {cell.name: plain(found[cell]) for cell in sorted(found, key=lambda cell: cell.name)},
            **{chapter.heading: plain(chapter.facts) for chapter in chapters},
        },
    )


def _section(chapter: Chapter) -> Section:
    paper, conclusion = f"The paper: {chapter.did}", f"Conclusion: {chapter.conclusion}"
    return Section(chapter.heading, (paper, *chapter.blocks, conclusion))


def _effort_section(bench: Bench, found: dict[Cell, dict[str, Any]], before: set[Cell]) -> Section:
    """Settings, and what each kind of result cost."""
    kinds: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        kinds.setdefault((cell.target, cell.method), []).append(cell)
    rows: list[list[TableCell]] = []
    for (target, method), cells in sorted(kinds.items()):
        seconds, busy = (sum(found[c][key] for c in cells) for key in ("seconds", "processor_seconds"))
        rows.append([f"{target}, {method}", len(cells), seconds, busy, _parameters(bench, cells[0])])
    columns = (
        Column("result"),
        Column("splits", "integer"),
        Column("seconds", "integer"),
        Column("of them on a processor", "integer"),
        Column("settings"),
    )
    effort: Effort = bench.effort
    about = (
        f"{bench.material.hand.description} {len(bench.material.hand):,} images, {bench.material.hand.n_writers} "
        f"writers. {effort.repeats} random splits, committees of {effort.members}, seed {bench.seed}. By individuals: "
        "30 % of the writers test. By digits: 2 of 7 images of each digit of each writer test. Every result was "
        "computed by one thread; a busy machine takes longer."
    )
    if before:
        about += f" {len(before)} of {len(found)} results were there from an earlier run under the same settings."
    return Section("Settings and time", (about, table("What was computed", columns, rows)))


def _parameters(bench: Bench, cell: Cell) -> str:
    """The parameters of a cell that differ from those that all have."""
    hidden = {"device", "verbose", "judges", "epochs"}
    return ", ".join(f"{k}={v}" for k, v in bench.settings(cell)["with"].items() if k not in hidden)
