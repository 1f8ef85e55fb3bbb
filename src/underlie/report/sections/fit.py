"""How well a model describes the rows: log-likelihood and moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Block, Column, Estimate, Figure, Section, Table, table
from underlie.report.sections.overview import estimate
from underlie.report.words import p_as_share

Facts = Mapping[str, Any]
_SMALL_P = 0.01


def fit_section(facts: Facts, figures: tuple[Figure, ...] = ()) -> Section | None:
    """Log-likelihood, moments, and where they are worst; None where the model says nothing of either."""
    blocks: list[Block] = [*_likelihood(facts), *_moments(facts)]
    return Section("How well the model describes the rows", (*blocks, *figures)) if blocks else None


def _likelihood(facts: Facts) -> Iterator[Block]:
    score = facts["log_likelihood"]
    if not score or score["mean"] is None:
        return
    of_outcome = score["of"] != "row"
    what = "The outcome of a row, given its covariates," if of_outcome else "A row"
    shown = estimate(score["mean"], score["se"])
    text = f"{what} has a log-likelihood of {shown} nats, on the data's own scale"
    text += f", on average over {score['n']:,} rows; ± is the standard error." if score["se"] is not None else "."
    if score["estimated"]:
        text += " It is estimated by importance sampling, which is too low on average"
        error = score["monte_carlo_se"]
        text += "." if error is None else f"; its Monte Carlo error is {estimate(error, None)}."
    yield text
    if score["n"] == 1:
        return
    columns = (
        Column("mean", "estimate"),
        *(Column(name, "number", decimals=2) for name in ("lowest", "5 %", "median", "95 %", "highest")),
    )
    quantiles = score["per_row_quantiles"]
    cells = (quantiles[q] for q in ("0", "0.05", "0.5", "0.95", "1"))
    yield table("Log-likelihood of a row, nats", columns, [(Estimate(score["mean"], score["se"]), *cells)])
    if score["least_likely"]:
        yield table(
            "Least likely rows",
            (Column("row"), Column("log-likelihood, nats", "number", decimals=2)),
            [(one["row"], one["value"]) for one in score["least_likely"]],
            "Rows are called as in the table's index, or counted from 0. Some row is always last: look whether these "
            "hold mistakes.",
        )


def _moments(facts: Facts) -> Iterator[Block]:
    moments = facts["moments"]
    if not moments:
        return
    yield moments_said(facts)
    yield _gap_table(moments)
    if moments["terms"]:
        yield table(
            "Second moments that miss by most",
            (
                Column("columns"),
                Column("data less model", "number"),
                Column("in standard errors", "number", decimals=1),
                Column("p", "number", decimals=3),
            ),
            [(" × ".join(one["columns"]), one["gap"], one["z"], one["p"]) for one in moments["terms"]],
            "Standard errors are those of chance if the model were right; p allows for the number of all entries.",
        )


def _gap_table(moments: Facts) -> Table:
    rows = [
        (label, Estimate(moments[name], moments[f"{name}_se"] or None), moments[f"floor_{name}"], moments[f"p_{name}"])
        for name, label in (("first", "means"), ("second", "second moments"))
    ]
    columns = (
        Column("moments"),
        Column("gap", "estimate"),
        Column("by chance", "number"),
        Column("p", "number", decimals=3),
    )
    scale = "standardised columns" if moments["standardized"] else "the data's own units"
    error = "the model's moments are exact" if moments["exact"] else "± is the Monte Carlo error of the model's moments"
    return table(
        "Gap between the moments of data and model",
        columns,
        rows,
        f"Frobenius norms, in {scale}; {error}. By chance: what a right model would show at {moments['n']:,} rows. "
        "p: how often it would show as much.",
    )


def moments_said(facts: Facts) -> str:
    """What the gaps say, as far as they can say it."""
    moments, seen = facts["moments"], facts["data"]["seen"]["rows"]
    ps = {words: moments[f"p_{name}"] for name, words in (("first", "means"), ("second", "second moments"))}
    if any(p is None for p in ps.values()):
        return "Moments of the rows beside those of the model; no p-values were computed."
    first, second = ps["means"], ps["second moments"]
    text = (
        f"A right model would show a gap of the means as large as here in {p_as_share(first)} of data sets of this "
        f"size, and one of the second moments in {p_as_share(second)}."
    )
    if min(first, second) < _SMALL_P:
        return text + " That is more than chance would make: the model is off there."
    if seen == "training":
        return text + " On rows that the model was fitted to, that is a weak test."
    return text
