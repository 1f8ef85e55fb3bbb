"""How well event times are predicted, and what treatments are predicted to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Block, Column, Figure, Section, Table, table
from underlie.report.sections.overview import interval, interval_cell
from underlie.report.time_unit import TimeUnit

Facts = Mapping[str, Any]


def survival_section(facts: Facts, figures: tuple[Figure, ...] = ()) -> Section | None:
    """Discrimination, accuracy and calibration, with intervals."""
    found = facts["survival"]
    if not found:
        return None
    unit = TimeUnit.in_facts(facts)
    blocks: tuple[Block, ...] = (_brier_said(found), calibration_said(found, unit), _metric_table(found, unit))
    return Section("How well event times are predicted", (*blocks, *figures))


def effect_section(facts: Facts, figures: tuple[Figure, ...] = ()) -> Section | None:
    """Average effects of treatments, and how they differ between rows."""
    effects = facts["effects"]
    if not effects:
        return None
    return Section(
        "What treatments are predicted to change", (*_effect_blocks(effects, TimeUnit.in_facts(facts)), *figures)
    )


def _brier_said(found: Facts) -> str:
    gain = found["integrated_brier_less_kaplan_meier"]
    if found["integrated_brier"]["value"] is None or gain["value"] is None:
        return "These rows allow no Brier score."
    if gain["upper"] is not None and gain["upper"] < 0:
        verdict = "better than giving everybody the Kaplan-Meier curve of these very rows"
    elif gain["lower"] is not None and gain["lower"] > 0:
        verdict = "worse than giving everybody the Kaplan-Meier curve of these very rows"
    elif gain["lower"] is not None:
        verdict = "not shown to be better than giving everybody the Kaplan-Meier curve of these very rows"
    else:
        verdict = "beside giving everybody the Kaplan-Meier curve of these very rows"
    brackets = "" if gain["lower"] is None else " (95 % interval in brackets)"
    return (
        f"The integrated Brier score is {interval(found['integrated_brier'], decimals=4)}{brackets}, "
        f"{verdict}: the difference is {interval(gain, decimals=4)}. It is the mean squared distance between predicted "
        "survival and what happened, corrected for censoring; 0 is perfect."
    )


def calibration_said(found: Facts, unit: TimeUnit) -> str:
    """Whether the predicted share of events is the observed one."""
    at, off = unit.both(found["horizon"]), found["calibration_in_the_large"]
    text = f"By {at} the model predicts an event for {100 * found['predicted_risk']['value']:.1f} % of the rows"
    if found["observed_risk"]["value"] is None:
        return text + "; the observed share is not known there."
    text += f", and {interval(found['observed_risk'], 100, 1)} % had it (Kaplan-Meier)"
    return text + f": {interval(off, 100, 1)} points more predicted than observed."


def _metric_table(found: Facts, unit: TimeUnit) -> Table:
    at = unit.text(found["horizon"])
    shown = (
        ("C-index (Antolini), of whole curves", "antolini", 1, 3),
        ("C-index (Harrell), of restricted means", "harrell", 1, 3),
        ("C-index (Uno), weighted for censoring", "uno", 1, 3),
        (f"area under the ROC curve at {at}", "auc_at_horizon", 1, 3),
        ("integrated Brier score", "integrated_brier", 1, 4),
        ("integrated Brier score less that of Kaplan-Meier", "integrated_brier_less_kaplan_meier", 1, 4),
        (f"Brier score at {at}", "brier_at_horizon", 1, 4),
        (f"predicted less observed risk by {at}, points", "calibration_in_the_large", 100, 1),
    )
    rows = [(label, interval(found[name], factor, decimals)) for label, name, factor, decimals in shown]
    p = found["d_calibration_p"]
    rows.append(("D-calibration, p", "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"))
    return table(
        "Predictions beside what happened",
        (Column("figure"), Column("value (95 % interval)")),
        rows,
        f"{found['n']:,} rows, {found['n_events']:,} events. C-index: share of pairs in which the row with the earlier "
        "event was given the higher risk; 0.5 is guessing. Intervals by bootstrap over these rows; they do not carry "
        f"the uncertainty of the fit. Scores are integrated to {unit.text(found['end'])}; censoring is estimated "
        "from these rows.",
    )


def _effect_blocks(effects: Facts, unit: TimeUnit) -> Iterator[Block]:
    at, control = unit.text(effects["horizon"]), effects["control"]
    said = (
        "Treatment was drawn by lot, as the report was told, so that differences are effects."
        if effects["randomised"]
        else "The comparison is adjusted for the covariates of the table and for nothing else: differences are effects "
        "only if nothing else influenced both who was treated how and what became of them."
    )
    yield f"Predicted survival at {at} if all rows had received one treatment, and if all had {control}. {said}"
    columns = (
        Column("treatment"),
        Column("survival with it, %", "number", decimals=1),
        Column(f"with {control}, %", "number", decimals=1),
        Column("difference, points", "interval", decimals=1),
        Column("comparable rows", "percent", decimals=0),
    )
    rows = [
        (
            one["treatment"],
            100 * one["treated"],
            100 * one["control"],
            interval_cell(one["effect"], 100),
            one["supported"],
        )
        for one in effects["compared"]
    ]
    yield table(
        f"Average effect on survival at {at}",
        columns,
        rows,
        "In brackets 95 % intervals from the spread of the replicates. Comparable: both treatments were given often "
        "enough to rows like these.",
    )
    spread = [
        (
            one["treatment"],
            *(100 * one["quantiles"][q] for q in ("0.05", "0.25", "0.5", "0.75", "0.95")),
            one["includes_zero"],
        )
        for one in effects["compared"]
    ]
    quantiles = (Column(name, "number", decimals=1) for name in ("5 %", "25 %", "median", "75 %", "95 %"))
    yield table(
        f"The same for single rows: quantiles of the predicted difference to {control}, points",
        (Column("treatment"), *quantiles, Column("interval includes 0", "percent", decimals=0)),
        spread,
        "A single row's effect is never observed. Whether choosing by it is worth more than treating all alike is a "
        "question for underlie.evaluate_policy, or the command underlie survival.",
    )
