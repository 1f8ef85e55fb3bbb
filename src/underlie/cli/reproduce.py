"""A reproduction: the parts of a paper computed again, ours beside what it printed, on one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import matplotlib as mpl
import typer

from underlie.cli.errors import check_folder
from underlie.cli.progress import Say, progress, recorded
from underlie.cli.reproduce_forward import forward_chapter
from underlie.cli.reproduce_fours import fours_chapter
from underlie.cli.reproduce_ionosphere import ionosphere_chapter
from underlie.cli.reproduce_mixtures import mixtures_chapter
from underlie.cli.reproduce_part import Chapter
from underlie.cli.reproduce_selection import selection_chapter
from underlie.cli.reproduce_toys import toys_chapter
from underlie.cli.side_by_side import side_by_side
from underlie.cli.terminal import print_table
from underlie.datasets import FetchError
from underlie.report import Alert, Document, Section, provenance, write_report

MakeChapter = Callable[[int, bool, Say], Chapter]

#: in the order of the page
_MEGA: Final[Mapping[str, MakeChapter]] = {
    "Four models on toy sets": toys_chapter,
    "Forward-model estimate": forward_chapter,
    "Selection path": selection_chapter,
    "Outliers": ionosphere_chapter,
    "Mixtures of digits": mixtures_chapter,
    "Fours with and without MEGA": fours_chapter,
}
#: longest first, so that the last to end is a short one
_FIRST: Final = ("Fours with and without MEGA", "Mixtures of digits")

_LEAD = (
    "C. Beaulac, A moment-matching metric for latent variable generative models (2021), computed again. The paper's "
    "metric is the norm of the gap between the data's moments and the model's: 1MEGA-F of the means, 2MEGA-F of the "
    "second moments. Each section says what the paper did, shows ours beside its figures, and concludes. Where a "
    "printed figure rests on Monte-Carlo noise or on a fault of a script, the section shows the evidence, computed "
    "for this page."
)
_QUICK = Alert(
    "warning",
    "Quick version",
    "Small stand-ins took the place of the paper's data, and models were hardly trained: this page shows that "
    "everything runs. Its figures must not be compared with the paper's. Leave out --quick for the real one.",
)


@dataclass(frozen=True)
class _Made:
    """A chapter that was made, or why it was not, with warnings on the way and the time that it took."""

    name: str
    chapter: Chapter | None
    missing: str
    warned: tuple[str, ...]
    seconds: float
    processor_seconds: float


def reproduce_mega(
    out: Path, *, seed: int = 0, quick: bool = False, jobs: int = 2, quiet: bool = False, command: str | None = None
) -> Path:
    """Compute the MEGA paper's results again; write report.html and report.json into ``out``.

    Parameters
    ----------
    out : Path
        Folder, made if missing.
    seed : int
        Same seed, same machine: same numbers, whatever ``jobs``; times aside.
    quick : bool
        Small stand-ins for the data, in seconds.
    jobs : int
        Parts computed side by side, each in a process of one thread.
    quiet : bool
        Print nothing.
    command : str, optional
        What was typed, for the record.

    Returns
    -------
    Path
        Of the report.
    """
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with progress(quiet) as say:
        found = {made.name: made for made in _make_all(seed, quick, jobs, say)}
        made = [found[name] for name in _MEGA]
        say("writing the report")
        record = provenance(command=command, seed=seed, seconds=time.perf_counter() - started)
        page = write_report(_report(made, quick, jobs, record), out)
    if not quiet:
        for part in made:
            if part.chapter is not None:
                print_table(part.chapter.shown)
            else:
                typer.secho(f"{part.name} was left out: {part.missing}", fg="yellow", err=True)
        typer.echo(f"report  {page.resolve()}  ({time.perf_counter() - started:.0f} s)")
    return page


# -------------------------------------------------------------------------------------------------------------- making


def _make_all(seed: int, quick: bool, jobs: int, say: Say) -> Iterator[_Made]:
    order = sorted(_MEGA, key=lambda name: name not in _FIRST)
    if jobs > 1:
        say(f"{len(order)} parts, {jobs} at a time: {', '.join(order)}")
    tasks = {name: partial(_make, name, seed, quick) for name in order}
    for i, (_, made) in enumerate(side_by_side(tasks, jobs, say)):
        if jobs > 1:
            say(f"{made.name}: {made.seconds:.0f} s; {len(order) - i - 1} of {len(order)} parts left")
        yield made


def _make(name: str, seed: int, quick: bool, say: Say) -> _Made:
    mpl.use("Agg")
    begun, used = time.perf_counter(), time.process_time()
    chapter: Chapter | None = None
    missing, warned = "", list[str]()
    try:
        chapter, warned = recorded(partial(_MEGA[name], seed, quick, say))
    except FetchError as error:
        missing = str(error)
    took = time.perf_counter() - begun, time.process_time() - used
    return _Made(name, chapter, missing, tuple(warned), *took)


# ---------------------------------------------------------------------------------------------------------------- page


def _report(made: Sequence[_Made], quick: bool, jobs: int, record: dict[str, object]) -> Document:
    chapters = [part.chapter for part in made if part.chapter is not None]
    return Document(
        title="MEGA, reproduced",
        lead=_LEAD,
        headline=tuple(item for chapter in chapters for item in chapter.headline),
        alerts=tuple(_alerts(made, quick)),
        sections=tuple(_section(part) for part in made),
        provenance=record,
        facts={
            "jobs": jobs,
            "seconds": {part.name: part.seconds for part in made},
            "processor_seconds": {part.name: part.processor_seconds for part in made},
            "left_out": {part.name: part.missing for part in made if part.chapter is None},
            **{part.name: part.chapter.facts for part in made if part.chapter is not None},
        },
    )


def _alerts(made: Sequence[_Made], quick: bool) -> Iterator[Alert]:
    if quick:
        yield _QUICK
    for part in made:
        if part.chapter is None:
            yield Alert("warning", f"{part.name}: left out", _sentence(part.missing))
        for message in part.warned:
            yield Alert("note", part.name, _sentence(message))


def _section(part: _Made) -> Section:
    if part.chapter is None:
        return Section(part.name, (f"Left out: {part.missing}",))
    return part.chapter.section(part.seconds, part.processor_seconds)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."
