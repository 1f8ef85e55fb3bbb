"""Alerts about predicted labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Alert
from underlie.report.numbers import format_number
from underlie.report.words import listed, p_said, percent

Facts = Mapping[str, Any]
_RARE_CLASS = 10
_SMALL_P = 0.01


def of_labels(facts: Facts) -> Iterator[Alert]:
    """Accuracy and calibration, column by column."""
    for label in facts["labels"] or ():
        if label["n"]:
            yield from (_of_classes if label["kind"] == "classes" else _of_number)(label)


def _of_classes(label: Facts) -> Iterator[Alert]:
    accuracy, of = label["accuracy"], f" of {label['name']}" if label["name"] != "y" else ""
    if label["n"] >= _RARE_CLASS and accuracy["lower"] <= label["majority"]:
        yield Alert(
            "warning",
            f"Predictions{of} are not shown to be better than always saying {label['majority_class']}",
            f"Accuracy is {percent(accuracy['value'])} (95 % interval {percent(accuracy['lower'])} to "
            f"{percent(accuracy['upper'])}); the most frequent class alone makes {percent(label['majority'])}.",
            "not-better-than-majority",
        )
    rare = [one["class"] for one in label["per_class"] if one["n"] < _RARE_CLASS]
    if rare:
        yield Alert(
            "note",
            f"Classes{of} with few rows",
            f"Fewer than {_RARE_CLASS} rows have the label {listed(rare, 'or')}; what is said of them is rough.",
            "rare-classes",
        )
    calibration = label["calibration"]
    if calibration and calibration["p"] is not None and calibration["p"] < _SMALL_P:
        excess, error = calibration["overconfidence"], calibration["overconfidence_se"]
        way = ""
        if error is not None and abs(excess) > 2 * error:
            way = " On the whole they are too " + ("confident." if excess > 0 else "cautious.")
        yield Alert(
            "warning",
            f"Probabilities{of} are not calibrated",
            f"The calibration error is {format_number(calibration['error'], 2)}, by chance it would be about "
            f"{format_number(calibration['error_by_chance'], 2)} ({p_said(calibration['p'])}).{way}",
            "miscalibrated",
            "Do not read them as shares; calibrate them on rows of their own.",
        )


def _of_number(label: Facts) -> Iterator[Alert]:
    if label["r_squared"] is not None and label["r_squared"] <= 0:
        yield Alert(
            "warning",
            f"{label['name']} is predicted no better than by its mean",
            f"R² is {label['r_squared']:.2f}.",
            "not-better-than-mean",
        )
