"""Sections of a survival report: predictions, chosen patients, the data. Words for clinicians, facts underneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from underlie.report.document import Cell, Column, Figure, Interval, Section, Table, table
from underlie.report.images import picture
from underlie.report.numbers import format_column, format_number
from underlie.report.study.findings import COX, KAPLAN_MEIER, MODEL, Findings
from underlie.report.study.study import Study

#: columns of the table of chosen patients
_MOST_COVARIATES: Final = 20
_QUANTILES: Final = {"low risk": 0.1, "middle risk": 0.5, "high risk": 0.9}
#: of the follow-up, so far are curves drawn: beyond, few are left
_DRAWN: Final = 0.97
#: treatments that one figure can tell apart
MOST_CURVES: Final = 6


def points(value: float, lower: float, upper: float) -> Interval:
    """A probability or a difference of probabilities with its interval, in percent or percentage points."""
    return Interval(100 * float(value), 100 * float(lower), 100 * float(upper))


def said(cell: Interval, decimals: int = 1) -> str:
    """An interval in a sentence."""
    return format_column(Column("", "interval", decimals=decimals), [cell])[0]


def grid(study: Study) -> np.ndarray[Any, Any]:
    """Times of the curves: from 0 to where few are left, and at least past the horizon."""
    last = float(study.y["time"].max())
    return np.linspace(0.0, min(last, max(float(np.quantile(study.y["time"], _DRAWN)), 1.1 * study.horizon)), 121)


# --------------------------------------------------------------------------------------------------------- predictions


def prediction_section(study: Study, findings: Findings) -> Section:
    """How good predictions are for patients that the model has not seen."""
    comparison = findings.comparison
    blocks: list[str | Table | Figure] = [verdict(findings), _score_table(study, findings)]
    if len(comparison.splits) > 1:
        blocks.append(_boxplots(findings))
    blocks.append(_calibration_figure(study, findings))
    return Section("How good the predictions are", tuple(blocks))


def verdict(findings: Findings) -> str:
    """One sentence on the model against Cox regression, that claims no more than the interval shows."""
    scores = findings.comparison.table(["integrated_brier"]).loc["integrated_brier"]
    own, other = scores.loc[MODEL], scores.loc[COX]
    if not np.isfinite(own["ratio"]):
        return f"{MODEL} and Cox regression could not be compared: one of them failed, or no split had a Brier score."
    change = 100 * (own["ratio"] - 1)
    how = f"{abs(change):.1f} % {'lower' if change < 0 else 'higher'} than that of Cox regression"
    count = f"{own['better']:g} of {own['n_pairs']:g} splits"
    if not np.isfinite(own["lower"]) or own["lower"] <= 0 <= own["upper"]:
        meaning = "a difference that chance alone could make"
    else:
        meaning = "more than chance would make on data like these"
    return (
        f"Every number here is about patients that the models had not seen. The Brier score of {MODEL} is {how} "
        f"({own['mean']:.3f} against {other['mean']:.3f}, lower in {count}): {meaning}. "
        "The Brier score is the mean squared distance between the predicted probability of survival and what happened: "
        "0 is perfect, and Kaplan-Meier, which knows nothing of the patient, shows what is reached without covariates. "
        "The C-index is the share of pairs of patients in which the one with the earlier event was given the higher "
        "risk; 0.5 is guessing."
    )


def _score_table(study: Study, findings: Findings) -> Table:
    comparison = findings.comparison
    scores = comparison.table()
    columns = (
        Column("model"),
        Column("Brier score", "number", better="low", decimals=4),
        Column("less Cox", "interval", decimals=4),
        Column(f"Brier at {study.at}", "number", better="low", decimals=4),
        Column("C-index", "number", better="high", decimals=3),
        Column("less Cox", "interval", decimals=3),
        Column(f"risk off at {study.at}, points", "number", decimals=1),
    )
    rows: list[list[Cell]] = []
    for model in comparison.models:
        brier, at, concordance, off = (scores.loc[(metric, model)] for metric in comparison.metrics)
        rows.append(
            [
                model,
                float(brier["mean"]),
                _difference(brier),
                float(at["mean"]),
                float(concordance["mean"]),
                _difference(concordance),
                100 * float(off["mean"]),
            ]
        )
    shares = comparison.splits.iloc[0]
    return table(
        f"{len(comparison.splits)} random splits: {int(shares['n_train'])} patients to fit, "
        f"{int(shares['n_test'])} to judge",
        columns,
        rows,
        "Brier score integrated from the 5 % to the 95 % quantile of event times, corrected for censoring; C-index of "
        "Antolini. In brackets 95 % intervals of paired differences, widened because splits share patients. Risk off: "
        "mean size of predicted less observed share of events in the judged patients.",
    )


def _difference(row: Any) -> Interval | None:
    return Interval(*(float(row[name]) for name in ("difference", "lower", "upper"))) if row["n_pairs"] > 0 else None


def _boxplots(findings: Findings) -> Figure:
    import underlie as ul

    return picture(
        ul.plot.survival_boxplots(findings.comparison, ["integrated_brier", "antolini"]),
        "Split by split",
        alt="Boxplots of the integrated Brier score and of the C-index over random splits, one box per model.",
        reading=f"Each point is one split, joined over the models. Compare {MODEL} with {COX} along a line; "
        f"{KAPLAN_MEIER} is the level without covariates.",
        media="svg",
    )


def _calibration_figure(study: Study, findings: Findings) -> Figure:
    import underlie as ul

    own = findings.calibration[MODEL]
    gap = own.calibration_in_the_large
    off = points(gap.value, gap.lower, gap.upper)
    return picture(
        ul.plot.survival_calibration(findings.calibration, **study.unit.axis),
        f"Are predicted risks right at {study.at}?",
        alt=f"Observed against predicted risk of an event by {study.at} in groups of predicted risk, for "
        f"{' and '.join(findings.calibration)}, with the diagonal of right predictions.",
        reading=f"Each mark is a group of patients, judged by models fitted to the other {findings.n_folds - 1} of "
        f"{findings.n_folds} folds; on the dashed line predictions are right. On the whole {MODEL} predicts "
        f"{said(off)} points more risk than was observed (95 % interval in brackets).",
        media="svg",
    )


# ----------------------------------------------------------------------------------------------------- chosen patients


def choose_patients(study: Study, findings: Findings) -> dict[str, int]:
    """Positions of patients of low, middle and high predicted risk, where advice is not withheld if any are such."""
    given = {} if findings.decisions is None else {"treatment": findings.decisions.options[study.control]}
    risk = 1 - findings.model.predict_survival_function(study.X, [study.horizon], **given)[:, 0]
    free = np.ones(len(risk), dtype=bool)
    if findings.decisions is not None and findings.decisions.advice["supported"].any():
        free = findings.decisions.advice["supported"].to_numpy(dtype=bool).copy()
    goals = {name: float(np.quantile(risk[free], level)) for name, level in _QUANTILES.items()}
    found: dict[str, int] = {}
    for name, goal in goals.items():
        if free.any():
            found[name] = int(np.where(free, np.abs(risk - goal), np.inf).argmin())
            free[found[name]] = False
    return found


def patient_section(study: Study, findings: Findings) -> Section:
    """Curves and numbers of three patients."""
    chosen = choose_patients(study, findings)
    lead = (
        f"Three patients of this table, at the 10 %, 50 % and 90 % quantile of predicted risk by {study.at}"
        f"{f', had all received {study.label(study.control)}' if study.options else ''}. "
        "The curve is the share of patients like this one who are predicted to be free of the event; it is not "
        "the fate "
        "of one person."
    )
    return Section(
        "What it says of single patients",
        (lead, _curves_figure(study, findings, chosen), _patient_table(study, findings, chosen)),
    )


def _curves_figure(study: Study, findings: Findings, chosen: dict[str, int]) -> Figure:
    import underlie as ul

    rows = list(chosen.values())
    treatments = shown_treatments(study, findings)
    intervals = "Bands are pointwise 95 % intervals of the curve"
    reading = (
        f"{intervals}. Bands of two treatments overlap even where their difference is certain, since both share "
        "what is "
        "uncertain about the patient: read the interval of the gain in the table below."
        if study.options
        else f"{intervals}. Numbers are survival at {study.at}."
    )
    return picture(
        ul.plot.survival_curves(
            findings.model,
            study.X.iloc[rows],
            grid(study),
            treatments=treatments,
            names=[f"{name}: patient {study.patients[i]}" for name, i in chosen.items()],
            horizon=study.horizon,
            **study.unit.axis,
        ),
        "Predicted survival" + (" under each treatment" if study.options else ""),
        alt=f"Predicted survival curves of {len(rows)} patients, with bands.",
        reading=reading,
    )


def shown_treatments(study: Study, findings: Findings) -> dict[str, Any] | None:
    if findings.decisions is None:
        return None
    return {study.label(name): option for name, option in list(findings.decisions.options.items())[:MOST_CURVES]}


def _patient_table(study: Study, findings: Findings, chosen: dict[str, int]) -> Table:
    rows = list(chosen.values())
    own = study.X.iloc[rows]
    columns = [c for c in own.columns if c not in study.treatments]
    lines: list[list[Cell]] = [["patient", *(study.patients[i] for i in rows)]]
    lines += [[str(c), *(_cell(v) for v in own[c])] for c in columns[:_MOST_COVARIATES]]
    lines.append(["what happened", *(_outcome(study, i) for i in rows)])
    lines += _predictions(study, findings, rows)
    hidden = len(columns) - _MOST_COVARIATES
    note = f"{hidden} further covariates are not shown. " if hidden > 0 else ""
    note += "In brackets 95 % intervals. " if study.options else ""
    note += "Predictions are by the model of this page, which was fitted to these patients too."
    return table("The three patients", [Column(""), *(Column(name) for name in chosen)], lines, note)


def _predictions(study: Study, findings: Findings, rows: Sequence[int]) -> list[list[Cell]]:
    decisions = findings.decisions
    if decisions is None:
        survival = findings.model.predict_survival_function(study.X.iloc[rows], [study.horizon])[:, 0]
        return [[f"survival at {study.at}", *(f"{100 * s:.0f} %" for s in survival)]]
    advice = decisions.advice.iloc[rows]
    lines: list[list[Cell]] = [["received", *(study.received[i] for i in rows)]]
    for name in decisions.options:
        lines.append(
            [f"survival at {study.at}, {study.label(name)}", *(f"{100 * s:.0f} %" for s in advice[f"survival {name}"])]
        )
    for name, effects in decisions.effects.items():
        gains = effects.iloc[rows]
        cells = [points(*row) for row in gains[["effect", "lower", "upper"]].to_numpy()]
        lines.append([f"gain by {study.label(name)}, points", *(said(cell, 0) for cell in cells)])
    lines.append(["recommended", *("withheld" if pd.isna(r) else str(r) for r in advice["recommended"])])
    return lines


def _outcome(study: Study, i: int) -> str:
    row = study.y[i]
    when = study.unit.text(float(row["time"]))
    return f"{'event at' if row['event'] else 'no event by'} {when}"


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "missing"
    return format_number(float(value)) if isinstance(value, float | np.floating) else str(value)


# ---------------------------------------------------------------------------------------------------------------- data


def data_section(study: Study, findings: Findings) -> Section:
    """What each column was taken for."""
    from underlie.data.schema import Schema

    schema = Schema.infer(study.X, study.kinds or None)
    missing = study.X.isna().mean()
    rows: list[list[Cell]] = []
    for column in schema:
        levels = column.levels
        if levels is not None:
            values = ", ".join(_cell(level) for level in levels[:6]) + (
                f", … ({len(levels)})" if len(levels) > 6 else ""
            )
        else:
            cells = study.X[column.name].dropna()
            values = f"{format_number(float(cells.min()))} to {format_number(float(cells.max()))}" if len(cells) else ""
        role = "treatment" if column.name in study.treatments else "covariate"
        rows.append([str(column.name), role, column.kind, values, float(missing[column.name])])
    model = findings.model
    columns = (Column("column"), Column("role"), Column("taken for"), Column("values"), Column("missing", "percent"))
    return Section(
        "Data and model",
        (
            table(
                "Columns",
                columns,
                rows,
                "No row is dropped: a missing covariate has an average effect, and that it is missing counts.",
            ),
            f"{MODEL}: {model.n_replicates} replicates of a survival variational autoencoder, averaged, with the "
            f"{model.distribution} distribution on the population's own axis of time; fitted in "
            f"{model.fit_time_:.1f} s with no setting tuned. It starts from proportional hazards, as Cox regression "
            "has them, bends covariate effects where the data ask for it, and lets treatment effects differ between "
            "patients, all shrunk as far as the evidence says.",
        ),
    )
