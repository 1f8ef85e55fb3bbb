"""A report survives JSON, refuses what it could not show, and keeps numbers that JSON cannot hold out of its tables."""

from __future__ import annotations

import json
import math

import pytest

from underlie.report import Column, Document, Estimate, Figure, Interval, Table, table

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def test_round_trip_through_text(full_report):
    report = full_report
    assert Document.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report


def test_another_format_is_refused(full_report):
    with pytest.raises(ValueError, match="not a report"):
        Document.from_json({"format": "something else"})
    data = full_report.to_json()
    data["sections"][0]["blocks"][0]["type"] = "video"
    with pytest.raises(ValueError, match="video"):
        Document.from_json(data)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_hold_become_none(bad):
    made = table(
        "t",
        [Column("a", "number"), Column("b", "estimate"), Column("c", "estimate")],
        [(bad, Estimate(bad), Estimate(1.0, bad))],
    )
    assert made.rows == ((None, None, Estimate(1.0, None)),)
    cells = [(Interval(bad, 0.0, 1.0), Interval(1.0, bad, 2.0))]
    made = table("t", [Column("a", "interval"), Column("b", "interval")], cells)
    assert made.rows == ((None, Estimate(1.0)),)


def test_ragged_table_is_refused():
    with pytest.raises(ValueError, match=r"rows\[1\] has 1 cells"):
        Table("t", (Column("a"), Column("b")), (("x", "y"), ("z",)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("image", "figure.png", "data URI"), ("alt", "", "alt and reading"), ("reading", "", "alt and reading")],
)
def test_figure_must_be_self_contained_and_described(field, value, message):
    parts = {"title": "t", "image": PIXEL, "alt": "a", "reading": "r", field: value}
    with pytest.raises(ValueError, match=message):
        Figure(**parts)
