"""From the facts about one model to the sections of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from underlie.report.document import Alert, Cell, Column, Document, Estimate, Figure, Section, Table, table
from underlie.report.numbers import format_column, format_number

#: a table of the schema stays readable up to here
_MOST_COLUMNS = 80
_MOST_LEVELS = 6


def report_from_summary(facts: Mapping[str, Any], figures: Sequence[Figure] = ()) -> Document:
    """The report on one fitted model.

    Parameters
    ----------
    facts : dict
        From :func:`underlie.report.summarize`.
    figures : sequence of Figure
        Shown after the numbers, in a section of their own.

    Returns
    -------
    Document
        Whose ``facts`` are ``facts``.

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> from underlie.report import summarize
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> facts = summarize(ul.ProbabilisticPCA(n_components=1).fit(X), X)
    >>> [section.heading for section in report_from_summary(facts).sections]
    ['Fit', 'Model', 'Data']
    """
    model, data = facts["model"], facts["data"]
    sections = [
        Section("Fit", tuple(_fit_blocks(facts))),
        *([Section("Figures", tuple(figures))] if figures else []),
        Section("Model", (_parameter_table(model),)),
        Section("Data", tuple(_data_blocks(data))),
    ]
    lead = f"{model['class']} on {data['n_rows']:,} rows and {data['n_columns']:,} columns"
    if data["missing"] > 0:
        lead += f", {100 * data['missing']:.1f} % of the cells missing"
    return Document(
        title=facts["title"],
        lead=lead + ".",
        headline=_headline(facts),
        alerts=tuple(Alert(alert["level"], alert["title"], alert["text"]) for alert in facts["alerts"]),
        sections=tuple(sections),
        provenance=dict(facts["provenance"]),
        facts=dict(facts),
    )


def _headline(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    score, moments, model = facts["log_likelihood"], facts["moments"], facts["model"]
    shown = []
    if score["mean"] is not None:
        cell = Estimate(score["mean"], score["se"])
        shown.append(("Log-likelihood, nats per row", format_column(Column("", "estimate"), [cell])[0]))
    if moments and moments["second"] is not None:
        gap, floor = format_column(Column("", "number", decimals=2), [moments["second"], moments["floor_second"]])
        shown.append(("Second moment gap (by chance)", f"{gap} ({floor})"))
    if model["n_parameters"] is not None:
        shown.append(("Parameters", f"{model['n_parameters']:,}"))
    if model["fit_seconds"] is not None:
        shown.append(("Time to fit", f"{format_number(model['fit_seconds'], 2)} s"))
    return tuple(shown)


def _fit_blocks(facts: Mapping[str, Any]) -> list[str | Table]:
    score, moments = facts["log_likelihood"], facts["moments"]
    columns = (Column("quantity"), Column("value", "estimate"), Column("expected of a right model", "number"))
    mean = None if score["mean"] is None else Estimate(score["mean"], score["se"])
    blocks: list[str | Table] = [
        table(
            "Log-likelihood of a row, in nats",
            (
                Column("mean", "estimate"),
                Column("lowest", "number"),
                Column("median", "number"),
                Column("highest", "number"),
            ),
            [(mean, *(score["per_row_quantiles"][level] for level in ("0", "0.5", "1")))],
            f"Over {score['n']:,} rows, on the data's own scale. ± is the standard error over rows.",
        )
    ]
    if moments:
        rows = [
            (label, Estimate(moments[name], moments[f"{name}_se"] or None), moments[f"floor_{name}"])
            for name, label in (("first", "gap of the means"), ("second", "gap of the second moments"))
            if moments[name] is not None
        ]
        scale = "standardised columns" if moments["standardized"] else "the data's own units"
        note = f"Frobenius norms, in {scale}; " + (
            "the model's moments are exact."
            if moments["exact"]
            else "± is the Monte Carlo error of the model's moments."
        )
        blocks.append(table("Moment gaps between data and model", columns, rows, note))
    return blocks


def _parameter_table(model: Mapping[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = [(name, _worded(value)) for name, value in model["parameters"].items()]
    learned = (
        ("n_parameters", "numbers learned"),
        ("n_epochs", "epochs"),
        ("n_iter", "iterations"),
        ("converged", "converged"),
    )
    rows += [(label, _worded(model[name], ",")) for name, label in learned if model[name] is not None]
    return table("Settings, and what came of them", (Column(model["class"]), Column("value")), rows)


def _data_blocks(data: Mapping[str, Any]) -> list[str | Table]:
    shown = data["columns"][:_MOST_COLUMNS]
    rows = [(column["name"], column["kind"], _range(column), column["missing"]) for column in shown]
    columns = (Column("column"), Column("kind"), Column("values"), Column("missing", "percent"))
    hidden = data["n_columns"] - len(shown)
    note = f"{hidden:,} more columns are not shown." if hidden > 0 else ""
    return [table("Columns", columns, rows, note)]


def _range(column: Mapping[str, Any]) -> str:
    if column["levels"] is not None:
        levels = [str(level) for level in column["levels"]]
        more = f", … ({len(levels)} levels)" if len(levels) > _MOST_LEVELS else ""
        return ", ".join(levels[:_MOST_LEVELS]) + more
    if column["low"] is None or column["high"] is None:
        return ""
    return f"{format_number(column['low'])} to {format_number(column['high'])}"


def _worded(value: Any, grouping: str = "") -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, list):
        return ", ".join(_worded(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_worded(item)}" for key, item in value.items())
    return f"{value:{grouping}}" if isinstance(value, int) else str(value)
