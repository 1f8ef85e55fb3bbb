"""Alerts about the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Alert
from underlie.report.words import listed

Facts = Mapping[str, Any]
_FEW_ROWS = 30
_MOSTLY_MISSING, _OUTSIDE = 0.5, 0.05


def of_rows(facts: Facts) -> Iterator[Alert]:
    """Whether the model has seen them, and how many there are."""
    data = facts["data"]
    seen, n = data["seen"]["rows"], data["n_rows"]
    if seen == "training":
        yield Alert(
            "note",
            "Judged on the rows that it was fitted to",
            "What follows flatters the model: it has seen these rows.",
            "training-rows",
            "Fit to a part of the rows, and report on the others with held_out=True.",
        )
    if seen == "unknown":
        yield Alert(
            "note",
            "It is not known whether the model has seen these rows",
            "If they were among those that it was fitted to, what follows flatters it.",
            "rows-unknown",
            "Say held_out=True or held_out=False.",
        )
    if n < _FEW_ROWS:
        yield Alert(
            "note",
            "Few rows",
            f"{n} row{'' if n == 1 else 's'}: standard errors and p-values are rough"
            f"{'' if n > 1 else ', or not to be had'}.",
            "few-rows",
        )
    if n < data["n_given"]:
        yield Alert(
            "note",
            "A random choice of the rows was judged",
            f"{n:,} of {data['n_given']:,} rows.",
            "some-rows",
            "Raise max_rows to judge more.",
        )


def of_columns(facts: Facts) -> Iterator[Alert]:
    """Missing cells, and values outside the range of the training rows."""
    data = facts["data"]
    n = data["n_rows"]
    sparse = [column["name"] for column in data["columns"] if column["missing"] > _MOSTLY_MISSING]
    if sparse and len(sparse) < data["n_columns"]:
        yield Alert(
            "note",
            "Mostly missing columns",
            f"More than half of the cells are missing in {listed(sparse)}: there the model decides.",
            "mostly-missing",
        )
    if data["empty_rows"]:
        yield Alert(
            "note",
            "Empty rows",
            f"{data['empty_rows']:,} of {n:,} rows have no observed cell; all that is said of them is the model's.",
            "empty-rows",
            "Leave them out.",
        )
    beyond = [column["name"] for column in data["columns"] if _is_outside(column, n)]
    if beyond:
        yield Alert(
            "warning",
            "Values outside the range of the training rows",
            f"In {listed(beyond)} more than 5 % of the rows lie beyond anything that the model was fitted to, or some "
            "lie far beyond it.",
            "outside-range",
            "Check units and coding.",
        )


def _is_outside(column: Facts, n: int) -> bool:
    """More than the few extremes that new rows have by chance, or further out than the whole range is wide."""
    return column["far_outside"] > 0 or column["outside"] > max(1, _OUTSIDE * n)
