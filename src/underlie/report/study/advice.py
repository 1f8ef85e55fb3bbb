"""Sections of a survival report about treatments: effects, support, benefit, recommendations and their worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd

from underlie.check.decisions.product_limit import survival_at
from underlie.check.survival.outcomes import Outcome
from underlie.estimators.survival_effects import MIN_PROPENSITY
from underlie.report.document import Cell, Column, Figure, Interval, Section, Table, table
from underlie.report.images import picture
from underlie.report.study.findings import MOST_COMPARED, Decisions, Findings
from underlie.report.study.sections import grid, points, said, shown_treatments
from underlie.report.study.study import Study

RECOMMENDED: Final = "recommended"


@final
@dataclass(frozen=True)
class Verdict:
    """Whether individual recommendations are worth more than treating all alike.

    Attributes
    ----------
    best : str
        The fixed policy of the highest estimated value.
    gain : Interval
        Recommended less that, in points.
    standing : "better", "worse", "undecided" or "same"
    """

    best: str
    gain: Interval
    standing: str


def judge(decisions: Decisions) -> Verdict:
    """The rule against the best of the fixed policies, which is chosen with hindsight, and so flattered."""
    values = decisions.evaluation.values
    fixed = [name for name in values.names if name.startswith("treat ")]
    best = max(fixed, key=lambda name: float(values.value[values.names.index(name)]))
    estimate, lower, upper, se = values.difference(RECOMMENDED, best)
    standing = "same" if se == 0 else "better" if lower > 0 else "worse" if upper < 0 else "undecided"
    return Verdict(best, points(estimate, lower, upper), standing)


def verdict_text(study: Study, verdict: Verdict) -> str:
    """What follows from it, in one or two sentences."""
    policy = policy_name(study, verdict.best)
    if verdict.standing == "same":
        return f"The rule gives every patient the same treatment ({policy}): it does not individualise at all."
    numbers = f"survival at {study.at} by {said(verdict.gain)} points (95 % interval in brackets)"
    if verdict.standing == "better":
        return (
            f"Against the best fixed policy ({policy}), following the recommendations is estimated to raise {numbers}: "
            "more than chance would make."
        )
    standing = "are worse than" if verdict.standing == "worse" else "are not shown to be better than"
    return (
        f"The recommendations {standing} the best fixed policy ({policy}): they are estimated to change {numbers}. "
        "The best fixed policy was picked after seeing the results, which flatters it a little; even so, these data do "
        "not support choosing treatment patient by patient."
    )


def policy_name(study: Study, name: str) -> str:
    """A policy in words of the table."""
    if name == "treat none":
        return f"{study.label(study.control)} for all"
    return f"{study.label(name.removeprefix('treat all: '))} for all" if name.startswith("treat all: ") else name


# ------------------------------------------------------------------------------------------------------------- effects


def effect_section(study: Study, findings: Findings, decisions: Decisions) -> Section:
    """Survival under each treatment on average, adjusted and as observed."""
    adjusted = (
        "Treatment was assigned at random, so that the arms differ by chance alone and the adjustment only "
        "sharpens the "
        "comparison."
        if study.randomised
        else "Treatment was not assigned at random, or the command was not told so (--randomised). The adjusted "
        "columns "
        "allow for the covariates of this table, and for nothing else."
    )
    return Section(
        "Treatment on average",
        (
            "As observed: Kaplan-Meier of those who received each treatment. Adjusted: what the model predicts if "
            f"all {len(study.X):,} patients had received it. " + adjusted,
            _effect_table(study, decisions),
            _average_figure(study, findings),
        ),
    )


def _effect_table(study: Study, decisions: Decisions) -> Table:
    received = np.array(study.received)
    arms = {}
    for name in decisions.options:
        rows = received == name
        arms[name] = survival_at(Outcome(study.y["event"][rows], study.y["time"][rows]), study.horizon)
    base = arms[study.control]
    rows_of: list[list[Cell]] = []
    for name, arm in arms.items():
        own, spread = arm.value, 1.96 * float(np.sqrt(arm.variance))
        gap, wide = arm.value - base.value, 1.96 * float(np.sqrt(arm.variance + base.variance))
        average = None if name == study.control else decisions.average[name].iloc[0]
        control = next(iter(decisions.average.values()))["control"].iloc[0]
        rows_of.append(
            [
                name,
                int((received == name).sum()),
                points(own, max(0.0, own - spread), min(1.0, own + spread)),
                None if average is None else points(gap, gap - wide, gap + wide),
                100 * float(control if average is None else average["treated"]),
                None if average is None else points(*(average[c] for c in ("effect", "lower", "upper"))),
            ]
        )
    columns = (
        Column(", ".join(study.treatments)),
        Column("patients", "integer"),
        Column("observed, %", "interval", decimals=1),
        Column(f"less {study.control}, points", "interval", decimals=1),
        Column("adjusted, %", "number", decimals=1),
        Column(f"less {study.control}, points", "interval", decimals=1),
    )
    note = "In brackets 95 % intervals: Greenwood's for Kaplan-Meier, from the spread of the replicates for the model."
    return table(f"Survival at {study.at}", columns, rows_of, note)


def _average_figure(study: Study, findings: Findings) -> Figure:
    import underlie as ul

    return picture(
        ul.plot.survival_curves(
            findings.model,
            study.X,
            grid(study),
            treatments=shown_treatments(study, findings),
            average=True,
            observed=study.y,
            horizon=study.horizon,
            **study.unit.axis,
        ),
        "If everybody had received the same",
        alt="Predicted survival curves averaged over all patients, one per treatment, with bands, and Kaplan-Meier "
        "curves of those who received each.",
        reading="Thick: averaged predictions for all patients, with pointwise 95 % intervals. Thin steps: "
        "Kaplan-Meier of "
        "those who received the treatment. Where the two differ, the groups had different patients.",
    )


# ------------------------------------------------------------------------------------------------------------- support


def withheld_text(study: Study, decisions: Decisions) -> str:
    """For how many patients treatments could not be considered."""
    n = len(study.X)
    return (
        f"Where the probability is below {100 * MIN_PROPENSITY:g} %, hardly anybody like the patient was treated "
        "so, and the "
        f"treatment is not recommended: this concerns at least one treatment for {decisions.narrowed:,} of {n:,} "
        "patients. For "
        f"{decisions.withheld:,} of them, where the control or every alternative to it is concerned, the "
        "recommendation is withheld altogether."
    )


def support_section(study: Study, decisions: Decisions) -> Section:
    """Who could have received what: propensities, and where advice is withheld."""
    received, chance = np.array(study.received), decisions.propensity
    columns = (
        Column(", ".join(study.treatments)),
        Column("received by", "integer"),
        *(Column(name, "percent", decimals=0) for name in ("lowest", "5 %", "median", "95 %", "highest")),
        Column(f"below {100 * MIN_PROPENSITY:g} %", "integer"),
    )
    rows: list[list[Cell]] = []
    for name in decisions.options:
        values = chance[name].to_numpy()
        spread = [float(v) for v in np.quantile(values, [0.0, 0.05, 0.5, 0.95, 1.0])]
        rows.append([name, int((received == name).sum()), *spread, int((values < MIN_PROPENSITY).sum())])
    return Section(
        "Who could have received what",
        (
            "A model can compare treatments only among patients of whom some received each. This is the probability of "
            "each treatment given a patient's covariates. " + withheld_text(study, decisions),
            table(
                "Probability of each treatment given the covariates (propensity)",
                columns,
                rows,
                "Quantiles over patients. Had treatment been drawn by lot with equal chances for all, each line would "
                "hold one number.",
            ),
        ),
    )


# ------------------------------------------------------------------------------------------------------------- benefit


def benefit_section(study: Study, decisions: Decisions) -> Section:
    """How predicted benefit is distributed, and whether it is real."""
    compared = list(decisions.effects)
    blocks: list[str | Table | Figure] = [
        f"Predicted benefit is a patient's predicted survival at {study.at} under a treatment less that under "
        f"{study.label(study.control)}, in percentage points. The histogram is of the model of this page; the "
        "calibration figure is of models that had not seen the patient."
    ]
    for name in compared[:MOST_COMPARED]:
        blocks += [_histogram(study, decisions, name), _benefit_figure(study, decisions, name)]
    if len(compared) > MOST_COMPARED:
        hidden = ", ".join(compared[MOST_COMPARED:])
        blocks.append(f"Not drawn: {hidden}. Their numbers are in the table of average effects.")
    return Section("Who is predicted to benefit", tuple(blocks))


def _histogram(study: Study, decisions: Decisions, name: str) -> Figure:
    import underlie as ul

    effects = decisions.effects[name]
    uncertain = float(((effects["lower"] <= 0) & (effects["upper"] >= 0)).mean())
    return picture(
        ul.plot.predicted_benefit(effects, min_gain=study.min_gain),
        f"Predicted benefit of {study.label(name)}",
        alt=f"Histogram of predicted gain in survival at {study.at} by {name} over {study.control}, with a line at "
        f"{100 * study.min_gain:g} points.",
        reading=f"Dashed: the {100 * study.min_gain:g} points from which {study.label(name)} is recommended. For "
        f"{100 * uncertain:.0f} % of the patients the 95 % interval of their own benefit includes 0, so that "
        "differences "
        "between patients are less certain than the average.",
        media="svg",
    )


def _benefit_figure(study: Study, decisions: Decisions, name: str) -> Figure:
    import underlie as ul

    result = decisions.benefit[name]
    ax = ul.plot.benefit_calibration(result, adjusted=not study.randomised)
    ax.set_xlabel(f"predicted gain in survival at {study.at}, {name} less {study.control}, in points")
    return picture(
        ax,
        f"Is the predicted benefit of {study.label(name)} real?",
        alt="Observed against predicted gain in survival, in groups of predicted gain, with the diagonal and the "
        "effect "
        "in all patients.",
        reading=f"{_slope_text(result.slope)} Observed gains are "
        + ("differences of Kaplan-Meier curves." if study.randomised else "adjusted for covariates (doubly robust)."),
        media="svg",
    )


def _slope_text(slope: Any) -> str:
    if not np.isfinite(slope.value):
        return "All patients have the same predicted benefit."
    lead = "On the dashed line, patients gain as much as predicted. "
    if slope.lower > 0:
        return lead + "Those with more predicted benefit do gain more: the slope is above 0."
    return lead + (
        "The slope is not distinguishable from 0: these data do not show that patients with more predicted "
        "benefit gain "
        "more than the others."
    )


# ----------------------------------------------------------------------------------------------------- recommendations


def recommendation_section(study: Study, decisions: Decisions, verdict: Verdict) -> Section:
    """What is recommended, and what following it is worth."""
    control = study.label(study.control)
    rule = (
        f"Rule: another treatment than {control} is recommended to a patient if it is predicted to raise survival at "
        f"{study.at} by at least {100 * study.min_gain:g} percentage points; the one that raises it most, where "
        "there are "
        f"several; else {control}. Every patient's recommendation is in recommendations.csv beside this page."
    )
    return Section(
        "Recommendations, and what they are worth",
        (
            rule,
            _cross_table(study, decisions),
            "What if the rule were followed? Each patient's recommendation is made by a model fitted without that "
            "patient; "
            "its value is estimated from those who happened to be treated so, with corrections for who was treated how "
            "and for censoring (doubly robust).",
            _value_table(study, decisions),
            _value_figure(study, decisions),
            verdict_text(study, verdict),
        ),
    )


def _cross_table(study: Study, decisions: Decisions) -> Table:
    received = np.array(study.received)
    advised = advised_names(decisions)
    columns = [Column("recommended"), Column("patients", "integer"), Column("share", "percent", decimals=0)]
    columns += [Column(f"of whom received {name}", "integer") for name in decisions.options]
    rows: list[list[Cell]] = []
    for name in [*decisions.options, None]:
        of = np.array([a == name for a in advised])
        if name is None and not of.any():
            continue
        counts = [int((of & (received == own)).sum()) for own in decisions.options]
        rows.append(["withheld (outside support)" if name is None else name, int(of.sum()), float(of.mean()), *counts])
    return table("Recommended and received", columns, rows)


def advised_names(decisions: Decisions) -> list[str | None]:
    """Name of each row's recommended treatment."""
    return [None if pd.isna(cell) else str(cell) for cell in decisions.advice["recommended"]]


def _value_table(study: Study, decisions: Decisions) -> Table:
    values = decisions.evaluation.values
    frame = values.table()
    rows: list[list[Cell]] = []
    for name, row in frame.iterrows():
        own = points(row["value"], row["lower"], row["upper"])
        gap = points(row["difference"], row["difference_lower"], row["difference_upper"])
        label = policy_name(study, str(name))
        rows.append([label, own, None if name == values.reference else gap, float(row["followed"])])
    columns = (
        Column("policy"),
        Column(f"survival at {study.at}, %", "interval", better="high", decimals=1),
        Column(f"less {values.reference}, points", "interval", decimals=1),
        Column("patients treated so", "percent", decimals=0),
    )
    note = (
        "In brackets 95 % intervals; those of differences are paired by patient. Where a recommendation is withheld, "
    )
    note += "the patient counts as treated as observed."
    return table("Estimated survival if a policy were followed", columns, rows, note)


def _value_figure(study: Study, decisions: Decisions) -> Figure:
    import underlie as ul

    ax = ul.plot.policy_values(decisions.evaluation)
    ax.set_yticks(ax.get_yticks(), [policy_name(study, label.get_text()) for label in ax.get_yticklabels()])
    ax.set_xlabel(f"survival at {study.at}, %")
    return picture(
        ax,
        "Value of policies",
        alt="Estimated survival, with 95 % intervals, of following the recommendations, of giving everybody the same, "
        "and of what was done.",
        reading="Further right is better. Intervals of single policies overlap more than those of their differences, "
        "which the table gives.",
        media="svg",
    )


# -------------------------------------------------------------------------------------------------------------- limits


def limits_section(study: Study, decisions: Decisions | None) -> Section:
    """What this page cannot show."""
    paragraphs: list[str] = []
    if decisions is not None and not study.randomised:
        covariates = ", ".join(str(c) for c in study.X.columns if c not in study.treatments)
        paragraphs.append(
            "Confounding. Differences between treatments are those of a regression on the covariates of this table "
            f"({_shortened(covariates)}). If anything else influenced both who was treated how and what became of "
            "them, such as general condition or a physician's judgement, the effects, the recommendations and their "
            "values are wrong, and nothing in these data can tell."
        )
    if decisions is not None:
        paragraphs += [
            "Support. Recommendations are withheld outside the support of the data. Inside it the comparison "
            "still rests on few "
            "patients where a propensity is small.",
            "One patient's benefit is never observed. It can be checked only in groups, as above, and its interval "
            "carries the uncertainty of the fitted model, not that of the model's form.",
        ]
    paragraphs += [
        "Other patients. Held-out patients come from this same table. Patients of another hospital, time or way of "
        "selection can have other risks; check calibration there before use.",
        "Censoring. Patients whose follow-up ended are taken to have had the same prospects as others of the same "
        "covariates who were still followed.",
        "A recommendation here is one argument for a conversation between physician and patient; it knows nothing "
        "of side "
        "effects, of other illnesses, or of what the patient wants.",
    ]
    return Section("Limits", tuple(paragraphs if decisions is not None else paragraphs[:2]))


def _shortened(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[:most].rsplit(", ", 1)[0] + ", …"


def treatment_sections(study: Study, findings: Findings, patients: Section) -> Sequence[Section]:
    """All sections about treatments, with the one on chosen patients at its place among them."""
    decisions = findings.decisions
    assert decisions is not None
    return [
        effect_section(study, findings, decisions),
        support_section(study, decisions),
        benefit_section(study, decisions),
        patients,
        recommendation_section(study, decisions, judge(decisions)),
    ]
