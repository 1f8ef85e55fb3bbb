"""The part of the page on generated images: judged by committees that know real images only, and shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

import underlie as ul
from underlie.cli.handwriting.cells import MAIN
from underlie.cli.handwriting.material import Material, Rows, both_labels
from underlie.cli.handwriting.published import AIM_DIGIT, AIM_WRITER_TIMES_CHANCE, DIGITS, WRITERS
from underlie.cli.reproduce_part import Chapter
from underlie.report.document import Cell, Column, Figure, Interval, table
from underlie.report.images import picture


def generated_chapter(material: Material, result: Mapping[str, Any], model: Path, train: Rows, seed: int) -> Chapter:
    """Shares of drawings that committees name as was asked for, and drawings beside real images."""
    digit, writer = (_over_writers(result[name]["by_writer"]) for name in MAIN)
    n = int(result["n_writers"])
    times = Interval(*(n * end for end in (writer.value, writer.lower, writer.upper)))
    columns = (
        Column("asked for"),
        Column("drawings named right (95 %)", "interval", decimals=3),
        Column("real images, held out", "number", decimals=3),
        Column("chance", "number", decimals=3),
        Column("drawings, times chance (95 %)", "interval", decimals=1),
        Column("aim"),
    )
    digit_times = Interval(*(10 * end for end in (digit.value, digit.lower, digit.upper)))
    rows: list[list[Cell]] = [
        ["digit", digit, result["digit"]["real"], 0.1, digit_times, f"{AIM_DIGIT:.0%} named right"],
        ["writer", writer, result["writer"]["real"], 1 / n, times, f"{AIM_WRITER_TIMES_CHANCE:g} times chance"],
    ]
    note = (
        f"{result['n_drawn']:,} drawings E[x | z, digit, writer], z from its prior, as many of each digit of each of "
        f"{n} writers; the model learned from {result['n_train']:,} real images, and so did the committees of LeNet-5 "
        "that judge, from nothing else. Intervals by Student's t over writers."
    )
    shown = table("What committees trained on real images see in drawings", columns, rows, note)
    return Chapter(
        "Generated images",
        "trains the SDGM on both labels and shows, for writers 12, 14, 29 and 70 and the digits 1, 2, 4, 7 and 9, four "
        "real images beside six generated ones; they are judged by eye.",
        (shown, _drawings(material, model, train, seed)),
        f"the digit that was asked for is seen in {digit.value:.1%} of the drawings (aim {AIM_DIGIT:.0%}: "
        f"{_verdict(digit, AIM_DIGIT)}), the writer at {times.value:.1f} times chance (aim "
        f"{AIM_WRITER_TIMES_CHANCE:g}: {_verdict(times, AIM_WRITER_TIMES_CHANCE)}).",
        shown,
        (
            ("Drawings in which the digit asked for is recognised", f"{digit.value:.1%}"),
            ("Writer asked for is recognised, times chance", f"{times.value:.1f}"),
        ),
        dict(result),
    )


def _verdict(found: Interval, aim: float) -> str:
    """Whether an aim was reached, as far as the interval can tell."""
    if found.lower >= aim:
        return "reached"
    if found.upper < aim:
        return "missed"
    return f"{'reached' if found.value >= aim else 'missed'}, but not by more than chance"


def _over_writers(shares: list[float]) -> Interval:
    mean, n = float(np.mean(shares)), len(shares)
    half = float(t.ppf(0.975, n - 1) * np.std(shares, ddof=1) / np.sqrt(n))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def _drawings(material: Material, path: Path, train: Rows, seed: int) -> Figure:
    hand = material.hand
    codes = {str(code).removesuffix(".0"): i for i, code in enumerate(hand.characteristics.index)}
    numbers = [w if material.stand_in else codes.get(str(w), w) for w in WRITERS]
    numbers = [w for w in numbers if w < hand.n_writers] or [0]
    who = [(d, w) for w in numbers for d in DIGITS]
    model = ul.load(path)
    axes = ul.plot.real_and_generated(model, hand.ink(train), both_labels(hand, train), who, 4, 6, random_state=seed)
    which = "the numbers here have nothing to do with those of HWD+" if material.stand_in else "as in the paper"
    return picture(
        axes,
        "Real images and drawings",
        alt=f"For {len(numbers)} writers and the digits {DIGITS}: four real images, then six generated ones.",
        reading=f"Each row is a digit of a writer (writers {', '.join(map(str, numbers))}; {which}): four real images, "
        "then six drawings in different styles. Drawings of a row should look like its writer's digits, and differ.",
    )
