"""A page with one of everything, and the fitted models of ``report_cases.py`` in reach of the tests here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from underlie.report import Alert, Column, Document, Estimate, Figure, Interval, Section, table

sys.path.insert(0, str(Path(__file__).parent))

PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def full_report() -> Document:
    columns = (
        Column("model"),
        Column("nats", "estimate", "high"),
        Column("rows", "integer"),
        Column("share", "percent"),
        Column("gain", "interval"),
    )
    numbers = table(
        "Fit",
        columns,
        [("pPCA", Estimate(-1.5, 0.25), 100, 0.125, Interval(1.0, 0.5, 1.5)), ("none", *[None] * 4)],
        "A note.",
    )
    figure = Figure("Latent space", PIXEL, "Points in a plane.", "Groups are apart.")
    return Document(
        title="A fit",
        lead="Two models.",
        headline=(("nats per row", "−1.50 ± 0.25"),),
        alerts=(Alert("warning", "Not converged", "Train longer."),),
        sections=(Section("Results", ("A paragraph.", numbers, figure)),),
        provenance={"seed": 0, "versions": {"underlie": "0"}},
        facts={"curve": [1.0, 2.0]},
    )
