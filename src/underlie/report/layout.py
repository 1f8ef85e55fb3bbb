"""From the facts about one model to the page that says them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from underlie.report.document import Alert, Column, Document, Figure, Section, table
from underlie.report.sections.description import (
    data_section,
    learned_section,
    left_out_section,
    model_section,
)
from underlie.report.sections.fit import fit_section
from underlie.report.sections.labels import label_section
from underlie.report.sections.overview import headline, overview, rows_said
from underlie.report.sections.survival import effect_section, survival_section

#: what facts of one model call themselves
SUMMARY_FORMAT = "underlie-summary/2"


@final
@dataclass(frozen=True)
class Figures:
    """Figures of a report, by the section that they belong to."""

    fit: tuple[Figure, ...] = ()
    labels: tuple[Figure, ...] = ()
    survival: tuple[Figure, ...] = ()
    effects: tuple[Figure, ...] = ()
    learned: tuple[Figure, ...] = ()


NO_FIGURES = Figures()


def document_from_summary(facts: Mapping[str, Any], figures: Figures = NO_FIGURES) -> Document:
    """The page on one fitted model.

    Parameters
    ----------
    facts : dict
        Those of a :class:`underlie.report.Report`.
    figures : Figures
        Each shown after the numbers of its section.

    Returns
    -------
    Document
        Whose ``facts`` are ``facts``.

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> facts = ul.Report(ul.ProbabilisticPCA(n_components=1).fit(X), X).facts
    >>> [section.heading for section in document_from_summary(facts).sections]
    ['Summary', 'How well the model describes the rows', 'What was learned', 'Model', 'Data']
    """
    described = (learned_section(facts, figures.learned), model_section(facts), data_section(facts))
    sections = (*results(facts, figures), *described, left_out_section(facts))
    return Document(
        title=facts["title"],
        lead=f"{facts['model']['class']}. Rows: {rows_said(facts['data'])}.",
        headline=headline(facts),
        alerts=tuple(Alert(**alert) for alert in facts["alerts"]),
        sections=tuple(section for section in sections if section is not None),
        provenance=provenance_of(facts),
        facts=dict(facts),
    )


def results(facts: Mapping[str, Any], figures: Figures = NO_FIGURES) -> tuple[Section, ...]:
    """The sections that say how good the model is, a summary first."""
    lines = table("The model and these rows", (Column("what"), Column("found")), overview(facts))
    found = (
        survival_section(facts, figures.survival),
        effect_section(facts, figures.effects),
        label_section(facts, figures.labels),
        fit_section(facts, figures.fit),
    )
    return (Section("Summary", (lines,)), *(section for section in found if section is not None))


def provenance_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """How the facts came about, with what was fitted to what."""
    data, model = facts["data"], facts["model"]
    of = "all rows" if data["n_rows"] == data["n_given"] else "the rows that were judged"
    of += ", with y," if data["with_y"] else ""
    return {
        **facts["provenance"],
        "model": model["call"],
        "repeatable": model["repeatable"],
        "data": {"shape": data["shape"], "fingerprint": data["fingerprint"], "fingerprint_of": of},
    }
