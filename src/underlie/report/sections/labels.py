"""How well labels are predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Block, Cell, Column, Figure, Section, Table, table
from underlie.report.sections.overview import estimate, interval, interval_cell
from underlie.report.words import p_as_share

Facts = Mapping[str, Any]
#: more classes than these do not fit a table of classes against classes
_MOST_CONFUSED = 12


def label_section(facts: Facts, figures: tuple[Figure, ...] = ()) -> Section | None:
    """Accuracy and calibration of every column of labels."""
    blocks = [block for label in facts["labels"] or () if label["n"] for block in _blocks(label)]
    return Section("How well labels are predicted", (*blocks, *figures)) if blocks else None


def _blocks(label: Facts) -> Iterator[Block]:
    if label["kind"] == "number":
        yield from _number(label)
        return
    yield _accuracy_said(label)
    if label["calibration"]:
        yield calibration_said(label)
        yield _score_table(label)
    yield _class_table(label)
    if label["confusion"] is not None and len(label["classes"]) <= _MOST_CONFUSED:
        yield _confusion_table(label)


def _accuracy_said(label: Facts) -> str:
    accuracy = label["accuracy"]
    verdict = "more than" if accuracy["lower"] > label["majority"] else "not clearly more than"
    return (
        f"{_named(label)}{interval(accuracy, 100, 1)} % of {label['n']:,} labelled rows are predicted right (95 % "
        f"interval in brackets), {verdict} the {100 * label['majority']:.1f} % that always saying "
        f"{label['majority_class']} would get."
    )


def calibration_said(label: Facts) -> str:
    """Whether probabilities are what they say."""
    found = label["calibration"]
    text = (
        f"The model gives its predictions a probability of {100 * found['confidence']:.1f} % on average, and "
        f"{100 * label['accuracy']['value']:.1f} % are right."
    )
    if found["p"] is None:
        return text
    return text + (
        f" If the probabilities were right, they would be as far from the shares, in groups of rows, in "
        f"{p_as_share(found['p'])} of data sets of this size."
    )


def _score_table(label: Facts) -> Table:
    found = label["calibration"]
    rows: list[tuple[Cell, ...]] = [
        ("log loss, nats per row", estimate(found["log_loss"], found["log_loss_se"]), None),
        ("Brier score", f"{found['brier']:.4f}", None),
        (
            "calibration error",
            f"{found['error']:.4f}",
            None if found["error_by_chance"] is None else f"{found['error_by_chance']:.4f}",
        ),
    ]
    return table(
        f"{_caption(label)}Probabilities",
        (Column("score"), Column("value"), Column("by chance")),
        rows,
        "Lower is better. The Brier score goes from 0 to 2. Calibration error: mean distance between probability and "
        "share of right predictions in 15 bins; by chance: what right probabilities would show at this number of rows.",
    )


def _class_table(label: Facts) -> Table:
    rows = [
        (one["class"], one["n"], interval_cell(one["found"], 100), interval_cell(one["right"], 100), one["n_predicted"])
        for one in label["per_class"]
    ]
    columns = (
        Column("class"),
        Column("rows", "integer"),
        Column("of these found, %", "interval", decimals=1),
        Column("of those called so right, %", "interval", decimals=1),
        Column("called so", "integer"),
    )
    return table(f"{_caption(label)}Class by class", columns, rows, "In brackets 95 % intervals (Wilson).")


def _confusion_table(label: Facts) -> Table:
    columns = (Column("is"), *(Column(f"called {name}", "integer") for name in label["classes"]))
    rows = [(name, *counts) for name, counts in zip(label["classes"], label["confusion"], strict=True)]
    return table(f"{_caption(label)}Which are taken for which", columns, rows)


def _number(label: Facts) -> Iterator[Block]:
    text = f"{_named(label)}Predictions of {label['n']:,} rows are off by {estimate(label['rmse'], label['rmse_se'])}"
    text += f" (root mean square) where the labels have a standard deviation of {estimate(label['sd'], None)}"
    text += f": R² is {label['r_squared']:.3f}." if label["r_squared"] is not None else "."
    if label["mean_error_se"] is not None:
        text += f" On average they are off by {estimate(label['mean_error'], label['mean_error_se'])}."
    yield text


def _named(label: Facts) -> str:
    return "" if label["name"] == "y" else f"{label['name']}: "


def _caption(label: Facts) -> str:
    return "" if label["name"] == "y" else f"{label['name']}: "
