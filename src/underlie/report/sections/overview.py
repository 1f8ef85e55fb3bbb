"""The facts of a report in a few lines, as a statistician reads them first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from underlie.report.document import Column, Estimate, Interval
from underlie.report.numbers import format_column, format_number
from underlie.report.time_unit import TimeUnit
from underlie.report.words import p_said, percent

Facts = Mapping[str, Any]
Line = tuple[str, str]
_MOST_IN_LARGE = 5


def overview(facts: Facts) -> tuple[Line, ...]:
    """Labels and values, already worded: model, rows, fit, predictions."""
    parts = (_model, _data, _fit, _labels, _survival, _effects)
    return tuple(line for part in parts for line in part(facts))


def headline(facts: Facts) -> tuple[Line, ...]:
    """The few figures that stand in large type, without what goes with them."""
    return tuple(_headline(facts))[:_MOST_IN_LARGE]


def _headline(facts: Facts) -> Iterator[Line]:
    survival, effects, score, moments = (facts[k] for k in ("survival", "effects", "log_likelihood", "moments"))
    if survival:
        yield "C-index", interval(survival["antolini"], decimals=3)
        yield "Brier score less Kaplan-Meier's", interval(survival["integrated_brier_less_kaplan_meier"], decimals=4)
    if effects and len(effects["compared"]) == 1:
        one = effects["compared"][0]
        yield f"Points of survival, {effect_label(one, effects)}", interval(one["effect"], 100, 1)
    for label in facts["labels"] or ():
        of = "" if label["name"] == "y" else f", {label['name']}"
        if label["n"] and label["kind"] == "classes":
            yield f"Accuracy, %{of}", interval(label["accuracy"], 100, 1)
        elif label["n"] and label["r_squared"] is not None:
            yield f"R²{of}", f"{label['r_squared']:.3f}"
    if score and score["mean"] is not None:
        yield "Log-likelihood, nats per row", estimate(score["mean"], score["se"])
    if moments and moments["p_second"] is not None:
        yield "Gap of second moments", f"{format_number(moments['second'], 3)}, {p_said(moments['p_second'])}"


def effect_label(one: Facts, effects: Facts) -> str:
    """Which treatment is compared with which, under the name of the column where there is one."""
    names = effects["treatments"]
    column = f"{names[0]}: " if len(names) == 1 else ""
    return f"{column}{one['treatment']} less {effects['control']}"


def rows_said(data: Facts) -> str:
    """Which rows these are, and whether the model has seen them."""
    n, given = data["n_rows"], data["n_given"]
    some = f"{n:,}" if n == given else f"{n:,} of {given:,}, at random"
    them = "it" if n == 1 else "them"
    return {
        "training": f"{some}; the model was fitted to {them}",
        "held out": f"{some}; the model has not seen {them}",
        "unknown": f"{some}; whether the model has seen {them} is not known",
    }[data["seen"]["rows"]]


def estimate(value: float | None, se: float | None) -> str:
    """A number with its standard error."""
    return format_column(Column("", "estimate"), [None if value is None else Estimate(value, se)])[0]


def interval(facts: Facts | None, factor: float = 1.0, decimals: int | None = None) -> str:
    """A number with the ends of its interval, where it has one."""
    cell = interval_cell(facts, factor)
    return format_column(Column("", "interval", decimals=decimals), [cell])[0]


def interval_cell(facts: Facts | None, factor: float = 1.0) -> Interval | Estimate | None:
    """A cell of a table of such facts."""
    if facts is None or facts["value"] is None:
        return None
    if facts["lower"] is None or facts["upper"] is None:
        return Estimate(factor * facts["value"])
    return Interval(*(factor * facts[name] for name in ("value", "lower", "upper")))


def _model(facts: Facts) -> Iterator[Line]:
    model = facts["model"]
    yield "Model", model["call"]
    said = []
    if model["n_parameters"] is not None:
        said.append(f"{model['n_parameters']:,} numbers learned")
    if model["fit_seconds"] is not None:
        said.append(f"in {format_number(model['fit_seconds'], 2)} s")
    if model["n_epochs"] is not None:
        said.append(f"{model['n_epochs']} epochs")
    if model["converged"] is not None:
        said.append("converged" if model["converged"] else "not converged")
    if said:
        yield "Fitting", ", ".join(said)


def _data(facts: Facts) -> Iterator[Line]:
    data = facts["data"]
    yield "Rows", rows_said(data)
    if data["is_image"]:
        yield "Row", f"image of {' × '.join(map(str, data['row_shape']))}"
    else:
        counts = Counter(column["kind"] for column in data["columns"])
        yield "Columns", f"{data['n_columns']:,}: {', '.join(f'{k} {kind}' for kind, k in counts.items())}"
    if data["treatments"]:
        yield "Treatments", ", ".join(data["treatments"])
    whole = f"{data['complete_rows']:,} rows complete"
    yield "Missing cells", f"{100 * data['missing']:.1f} %" + (f"; {whole}" if data["missing"] else "")


def _fit(facts: Facts) -> Iterator[Line]:
    score, moments = facts["log_likelihood"], facts["moments"]
    if score and score["mean"] is not None:
        of = "" if score["of"] == "row" else f", of {score['of']}"
        yield "Log-likelihood", f"{estimate(score['mean'], score['se'])} nats per row{of}"
    if moments:
        for name, words in (("first", "means"), ("second", "second moments")):
            gap, floor = (format_number(moments[part], 3) for part in (name, f"floor_{name}"))
            p = moments[f"p_{name}"]
            yield f"Moment gap, {words}", f"{gap}; by chance {floor}" + ("" if p is None else f"; {p_said(p)}")


def _labels(facts: Facts) -> Iterator[Line]:
    for label in facts["labels"] or ():
        if not label["n"]:
            continue
        of = "" if label["name"] == "y" else f", {label['name']}"
        if label["n_unlabelled"]:
            yield f"Labelled rows{of}", f"{label['n']:,}; {label['n_unlabelled']:,} without a label"
        if label["kind"] == "number":
            if label["r_squared"] is not None:
                yield f"R²{of}", f"{label['r_squared']:.3f}"
            yield f"Root mean squared error{of}", estimate(label["rmse"], label["rmse_se"])
            continue
        yield (
            f"Accuracy{of}",
            f"{interval(label['accuracy'], 100, 1)} %; most frequent class {percent(label['majority'])}",
        )
        calibration = label["calibration"]
        if calibration:
            yield f"Log loss{of}", f"{estimate(calibration['log_loss'], calibration['log_loss_se'])} nats per row"
            chance = calibration["error_by_chance"]
            said = "" if chance is None else f"; by chance {chance:.3f}; {p_said(calibration['p'])}"
            yield f"Calibration error{of}", f"{calibration['error']:.3f}{said}"


def _survival(facts: Facts) -> Iterator[Line]:
    found = facts["survival"]
    if not found:
        return
    n, events = found["n"], found["n_events"]
    yield "Events", f"{events:,}; {n - events:,} censored ({percent((n - events) / n)})"
    unit = TimeUnit.in_facts(facts)
    if found["follow_up"] is not None:
        yield "Median follow-up", unit.length(found["follow_up"])
    yield "C-index (Antolini)", interval(found["antolini"], decimals=3)
    less = interval(found["integrated_brier_less_kaplan_meier"], decimals=4)
    yield "Integrated Brier score", f"{interval(found['integrated_brier'], decimals=4)}; less Kaplan-Meier's {less}"
    risk, seen = found["predicted_risk"], found["observed_risk"]
    observed = "" if seen["value"] is None else f"; observed {interval(seen, 100, 1)} %"
    yield f"Risk by {unit.text(found['horizon'])}", f"predicted {100 * risk['value']:.1f} %{observed}"


def _effects(facts: Facts) -> Iterator[Line]:
    effects, unit = facts["effects"], TimeUnit.in_facts(facts)
    for one in effects["compared"] if effects else ():
        points = f"{interval(one['effect'], 100, 1)} points of survival"
        yield f"Effect of {effect_label(one, effects)}", f"{points} at {unit.text(effects['horizon'])}"
