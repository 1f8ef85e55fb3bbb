"""Hormone therapy after breast cancer: predicted survival, the effect of treatment, the worth of recommendations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import underlie as ul
from underlie.cli.demo_part import Kept, Part, Say
from underlie.cli.survival import note_of
from underlie.cli.survival_input import Question, make_study
from underlie.report import Section, Table
from underlie.report.study.advice import effect_section, judge, recommendation_section
from underlie.report.study.findings import COX, MODEL, Effort, Findings, investigate, suitable_threads
from underlie.report.study.page import survival_facts
from underlie.report.study.sections import patient_section, points, prediction_section, said
from underlie.report.study.study import Study

_SPLITS, _FOLDS = 3, 3
_NAME = "Hormone therapy"


def survival_part(seed: int, say: Say) -> Part:
    """Fit a survival model to the GBSG2 table with hormone therapy as the treatment; judge it and its advice."""
    question = Question("time", "event", ("horTh",), "4y", control="no", time_unit="days")
    patients = ul.datasets.load_gbsg2()
    study = make_study(patients, "GBSG2", question)
    with suitable_threads(study):
        findings = investigate(study, Effort(_SPLITS, _FOLDS, seed=seed), lambda text: say(f"survival: {text}"))
        kept = Kept("patients-survival", findings.model, patients, note_of("patients.csv", study, question))
        return replace(_part(study, findings), kept=(kept,))


def _part(study: Study, findings: Findings) -> Part:
    assert findings.decisions is not None
    predictions = prediction_section(study, findings)
    sections = (
        predictions,
        effect_section(study, findings, findings.decisions),
        patient_section(study, findings),
        recommendation_section(study, findings.decisions, judge(findings.decisions)),
    )
    (result, *_) = (block for block in predictions.blocks if isinstance(block, Table))
    return Part(
        name="survival",
        result=replace(result, caption=f"Survival: {result.caption}"),
        sections=tuple(_introduced(section, i) for i, section in enumerate(sections)),
        headline=_headline(study, findings),
        facts=survival_facts(study, findings),
    )


def _introduced(section: Section, i: int) -> Section:
    """A section under the name of this part; the first says which data these are."""
    heading = f"{_NAME}: {section.heading[:1].lower()}{section.heading[1:]}"
    if i > 0:
        return Section(heading, section.blocks)
    data = (
        "The same 686 women, followed from operation to recurrence or death, 246 of them with hormone therapy (horTh). "
        "Survival means: alive without recurrence. Only a part of the women was assigned to therapy by lot, and the "
        "table does not say which, so that treatment is taken as not randomised. The command underlie survival writes "
        "the full report for a table of your own, with more splits, a check of overlap and of predicted benefit, and a "
        "file of recommendations."
    )
    return Section(heading, (data, *section.blocks))


def _headline(study: Study, findings: Findings) -> tuple[tuple[str, str], ...]:
    assert findings.decisions is not None
    shown: list[tuple[str, Any]] = []
    own = findings.comparison.table(["integrated_brier"]).loc[("integrated_brier", MODEL)]
    if np.isfinite(own["ratio"]):
        shown.append((f"Survival: Brier score against {COX}", f"{100 * (own['ratio'] - 1):+.1f} %".replace("-", "−")))
    average = findings.decisions.average["yes"][["effect", "lower", "upper"]].iloc[0]
    shown.append((f"{_NAME}: gain in survival at {study.at}, points", said(points(*average))))
    return tuple(shown)
