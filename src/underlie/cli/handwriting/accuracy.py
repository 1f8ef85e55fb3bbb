"""The part of the page on accuracy: the published tables in their form, ours beside them, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from underlie.cli.handwriting.cells import MAIN, Cell
from underlie.cli.handwriting.intervals import over_splits
from underlie.cli.handwriting.published import ACCURACY, EXTRA, M2, METHODS, Accuracy
from underlie.cli.reproduce_part import Chapter
from underlie.report.document import Column, Interval, Table, table

Values = list[float]

_SHOWN: Final = {
    "knn": "kNN",
    "lenet5": "LeNet-5",
    "committee": "committee",
    "mlp": "deep MLP",
    "lenet5_large": "LeNet-5, 100 px",
}


@dataclass(frozen=True)
class Results:
    """All results that are there, by cell."""

    name: str
    """What tables call the images."""
    found: Mapping[Cell, Mapping[str, Any]]

    def of(self, target: str, split: str, method: str) -> list[Mapping[str, Any]]:
        """Of one method, by repeat."""
        cells = sorted((c for c in self.found if (c.target, c.split, c.method) == (target, split, method)), key=_repeat)
        return [self.found[cell] for cell in cells]

    def networks(self, target: str, split: str, method: str) -> Values:
        """Accuracy of every single network of every split."""
        return [value for result in self.of(target, split, method) for value in result["members"]]

    def committees(self, target: str, split: str, method: str) -> Values:
        """Accuracy of the committee of every split."""
        return [result["committee"] for result in self.of(target, split, method)]

    def single(self, target: str, split: str, method: str) -> Values:
        """Mean accuracy of a network, of every split."""
        return [float(np.mean(result["members"])) for result in self.of(target, split, method)]

    def ratio(self, target: str, split: str, method: str) -> float:
        """Test images per training image."""
        first = self.of(target, split, method)[0]
        return float(first["n_test"] / first["n_train"])


def _repeat(cell: Cell) -> int:
    return cell.repeat


def mean_sd(values: Sequence[float]) -> str | None:
    """As the paper prints it: mean (standard deviation).

    Examples
    --------
    >>> mean_sd([0.5, 0.7]), mean_sd([0.5]), mean_sd([])
    ('0.6000 (0.1414)', '0.5000', None)
    """
    if not len(values):
        return None
    mean = f"{np.mean(values):.4f}"
    return f"{mean} ({np.std(values, ddof=1):.4f})" if len(values) > 1 else mean


def printed(accuracy: Accuracy | None) -> str | None:
    """A published figure in the same form."""
    if accuracy is None:
        return None
    return f"{accuracy.mean:.4f}" if accuracy.sd is None else f"{accuracy.mean:.4f} ({accuracy.sd:.4f})"


def accuracy_chapter(results: Results, without: Mapping[str, str]) -> Chapter:
    """kNN, LeNet-5, committee, multilayer perceptron and LeNet-5 at 100 x 100, for every target."""
    shown = _main_table(results)
    pairs = list(_main_pairs(results))
    blocks: list[str | Table] = [shown]
    if without:
        blocks.append(
            "No counterpart here: "
            + "; ".join(f"{part}: {why.removesuffix('.')}" for part, why in without.items())
            + "."
        )
    if pairs:
        blocks.append(pairs_table("Paired differences: the same splits, in percentage points", pairs))
    members = next((len(r["members"]) for c, r in results.found.items() if c.method == "lenet5"), 0)
    return Chapter(
        "Accuracy",
        "prints the share of test images named right: digit and characteristics on writers that were not trained on, "
        "the writer on further images of the same writers. Mean and standard deviation over 50 random splits, 15 for "
        "committees, which have 25 networks.",
        tuple(blocks),
        _conclusion(pairs) if pairs else "see the table.",
        shown,
        tuple(
            (f"{target}: LeNet-5, committee of {members}", f"{np.mean(base):.3f}, {np.mean(more):.3f}")
            for target, split in MAIN.items()
            if (base := results.single(target, split, "lenet5"))
            and (more := results.committees(target, split, "lenet5"))
        ),
        {"differences": [pair.facts() for pair in pairs]},
    )


def _main_pairs(results: Results) -> Iterator[Pair]:
    for target, split in MAIN.items():
        paper = {method: accuracy.mean for method, accuracy in ACCURACY[target].items()}
        lenet, mlp, knn = (results.single(target, split, method) for method in ("lenet5", "mlp", "knn"))
        committee = results.committees(target, split, "lenet5")
        for name, more, less, published in (
            ("committee less LeNet-5", committee, lenet, paper["committee"] - paper["lenet5"]),
            ("deep MLP less LeNet-5", mlp, lenet, paper["mlp"] - paper["lenet5"]),
            ("LeNet-5 less kNN", lenet, knn, paper["lenet5"] - paper["knn"]),
        ):
            if more and less:
                yield Pair(target, name, _less(more, less), results.ratio(target, split, "lenet5"), published)


def _main_table(results: Results) -> Table:
    ours: dict[str, str] = {}
    for cell in results.found:
        if cell.method in ("knn", "lenet5", "mlp", "lenet5_large") and cell.split == MAIN.get(
            cell.target, "individuals"
        ):
            ours[cell.target] = cell.split
    rows: list[list[str | None]] = []
    for target in [*ACCURACY, *sorted(set(ours) - set(ACCURACY))]:
        if target in ours:
            rows.append([target, results.name, *(_own(results, target, ours[target], m) for m in METHODS)])
            commonest = [r["commonest"] for m in ("lenet5", "knn") for r in results.of(target, ours[target], m)]
            rows[-1].append(f"{np.mean(commonest):.4f}" if commonest else None)
        if target in ACCURACY:
            rows.append([target, "published", *(printed(ACCURACY[target][m]) for m in METHODS), None])
    members = {len(r["members"]) for c, r in results.found.items() if c.method == "lenet5"}
    repeats = max((c.repeat for c in results.found), default=-1) + 1
    note = (
        f"Mean (standard deviation). Ours: {repeats} random split(s); a committee has {max(members, default=0)} "
        "networks, whose probabilities are averaged; each of them is also counted as a network by itself, so that the "
        "standard deviations of LeNet-5 and MLP are over splits and networks. Published: 50 splits, committees of 25 "
        "networks on 15. Commonest: what always naming the commonest label of the training images would get right."
    )
    columns = [Column("target"), Column("images"), *(Column(_SHOWN[m]) for m in METHODS), Column("commonest")]
    return table("Share of test images named right", columns, rows, note)


def _own(results: Results, target: str, split: str, method: str) -> str | None:
    if method == "committee":
        return mean_sd(results.committees(target, split, "lenet5"))
    return mean_sd(results.networks(target, split, method))


# ------------------------------------------------------------------------------------------------- paired differences


@dataclass(frozen=True)
class Pair:
    """Differences of accuracy between two methods, one for each split, and the published one."""

    target: str
    name: str
    differences: Values
    ratio: float
    published: float | None

    def interval(self, *, corrected: bool = False) -> Interval:
        """In percentage points."""
        return over_splits(100 * np.asarray(self.differences), self.ratio if corrected else 0.0)

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "target": self.target,
            "what": self.name,
            "differences": self.differences,
            "published": self.published,
        }

    def worded(self) -> str:
        """In a few words."""
        found = self.interval()
        ends = "" if np.isnan(found.lower) else f" ({_signed(found.lower)} to {_signed(found.upper)})"
        return f"{_signed(found.value)} points{ends}"

    def told(self) -> str:
        """In a sentence, with what to make of it."""
        found = self.interval()
        if np.isnan(found.lower):
            verdict = "one split, no interval"
        elif found.lower > 0 or found.upper < 0:
            verdict = "a gain" if found.value > 0 else "a loss"
        else:
            verdict = "not more than chance"
        printed = "" if self.published is None else f"; published {_signed(100 * self.published)}"
        return f"{self.target}, {self.name}: {self.worded()}, {verdict}{printed}"


def _less(more: Values, less: Values) -> Values:
    return [a - b for a, b in zip(more, less, strict=True)]


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


def pairs_table(caption: str, pairs: Sequence[Pair]) -> Table:
    """Mean differences with both intervals, beside the published ones."""
    columns = (
        Column("target"),
        Column("what"),
        Column("splits", "integer"),
        Column("points (95 %)", "interval", decimals=1),
        Column("95 %, new images", "interval", decimals=1),
        Column("published", "number", decimals=1),
    )
    rows = [
        [
            pair.target,
            pair.name,
            len(pair.differences),
            pair.interval(),
            pair.interval(corrected=True),
            None if pair.published is None else 100 * pair.published,
        ]
        for pair in pairs
        if pair.differences
    ]
    note = (
        "Student's t over splits, and so wide where splits are few. The first interval is for the mean over all splits "
        "of these images. Splits share training images; the second allows for that (Nadeau & Bengio, 2003), and is the "
        "one to judge by what would happen with other images. Published: the difference of the printed means."
    )
    return table(caption, columns, rows, note)


def _conclusion(pairs: Sequence[Pair]) -> str:
    first, *others = (pair.told() for pair in pairs)
    return ". ".join([first, *(f"{told[:1].upper()}{told[1:]}" for told in others)]) + "."


# ------------------------------------------------------------------------------------------------------- other chapters


def extra_chapter(results: Results) -> Chapter:
    """The other label beside the image: the writer to name the digit, the digit to name the writer."""
    rows: list[list[str | None]] = []
    pairs: list[Pair] = []
    for target, extra in (("digit", "writer"), ("writer", "digit")):
        for name, method in ((target, "lenet5"), (f"{target}, given the {extra}", "lenet5_extra")):
            paper = ACCURACY[target] if method == "lenet5" else EXTRA[target]
            rows += [
                [
                    name,
                    results.name,
                    mean_sd(results.networks(target, "digits", method)),
                    mean_sd(results.committees(target, "digits", method)),
                ],
                [name, "published", printed(paper["lenet5"]), printed(paper["committee"])],
            ]
        ratio = results.ratio(target, "digits", "lenet5")
        for kind, get in (("LeNet-5", results.single), ("committee", results.committees)):
            d = _less(get(target, "digits", "lenet5_extra"), get(target, "digits", "lenet5"))
            key = "lenet5" if kind == "LeNet-5" else "committee"
            published = EXTRA[target][key].mean - ACCURACY[target][key].mean
            pairs.append(Pair(target, f"{kind}, given the {extra}", d, ratio, published))
    columns = (Column("target"), Column("images"), Column("LeNet-5"), Column("committee"))
    note = (
        "Both targets on splits by digits, where every writer is in both parts: of a writer who was never seen, who "
        "wrote is of no use. The published digit without the writer is by individuals, and so not the same task."
    )
    shown = table("With the other label as a further predictor", columns, rows, note)
    return Chapter(
        "The other label as a further predictor",
        "gives the networks the writer to name the digit, and the digit to name the writer: digit .9551 (LeNet-5), "
        ".9812 (committee), writer .3575, .6003.",
        (shown, pairs_table("Gain by the other label, in percentage points", pairs)),
        _conclusion(pairs),
        shown,
        (),
        {"differences": [pair.facts() for pair in pairs]},
    )


def m2_chapter(results: Results, what: str) -> Chapter:
    """M2 with LeNet-5 as its classifier against the same network by itself."""
    rows: list[list[str | None]] = []
    pairs: list[Pair] = []
    for target, split in MAIN.items():
        m2, alike = (results.single(target, split, m) for m in ("m2", "lenet5_alike"))
        if not m2:
            continue
        ratio = results.ratio(target, split, "m2")
        gain = M2[target].mean - ACCURACY[target]["lenet5"].mean
        pairs.append(Pair(target, "M2 less LeNet-5 trained alike", _less(m2, alike), ratio, gain))
        single = results.single(target, split, "lenet5")
        if single:
            pairs.append(Pair(target, "M2 less LeNet-5 as above", _less(m2, single), ratio, gain))
        rows += [
            [target, results.name, mean_sd(results.networks(target, split, "lenet5")), mean_sd(alike), mean_sd(m2)],
            [target, "published", printed(ACCURACY[target]["lenet5"]), None, printed(M2[target])],
        ]
    columns = (Column("target"), Column("images"), Column("LeNet-5"), Column("LeNet-5 trained alike"), Column("M2"))
    note = (
        f"{what} LeNet-5 trained alike is M2 with α = 0: the same network from the same start, the same labelled rows "
        "per step and as many passes over them, without the generative part and the unlabelled images."
    )
    shown = table("Labelled images, and unlabelled ones beside them", columns, rows, note)
    return Chapter(
        "Unlabelled images: M2",
        "trains M2 with LeNet-5 as its classifier on labelled HWD+ and unlabelled MNIST: digit .9399 → .9542, writer "
        ".3473 → .4174, gains of 1.4 and 7.0 points.",
        (shown, pairs_table("Gain by the generative part and unlabelled images, in percentage points", pairs)),
        _conclusion(pairs),
        shown,
        tuple(
            (f"{p.target}: gain of M2 (published {_signed(100 * (p.published or 0))})", p.worded())
            for p in pairs
            if p.name.endswith("alike")
        ),
        {"differences": [pair.facts() for pair in pairs]},
    )
