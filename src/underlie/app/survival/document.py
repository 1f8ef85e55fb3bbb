"""The screen as a page to keep: self-contained, and made to be printed."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from underlie import __version__
from underlie.app.form.fields import Field
from underlie.app.opened import Opened
from underlie.app.survival import words
from underlie.app.survival.answer import QUANTILES, Asker
from underlie.app.survival.drawing import Line, draw, lines_of, lines_of_many
from underlie.app.survival.page import Answer, Asked, advised, described, label_of
from underlie.app.survival.room import Room
from underlie.report.document import Alert, Cell, Column, Document, Figure, Interval, Level, Section, Table, table
from underlie.report.provenance import provenance

_WIDTH = 760


def document_of(room: Room, asker: Asker, found: Answer, asked: Asked, others: Sequence[Answer]) -> Document:
    """What the screen shows of a patient, and of those it is compared with."""
    sections = [
        Section("Predicted survival", (_figure(asker, found, asked), *_outlooks(asker, found, asked))),
        Section("The patient", (_patient(room.fields, found),)),
        *([_comparison(asker, others, asked)] if others else []),
        Section("Limits", words.limits(asker, randomised=room.start.randomised)),
        Section("How this was made", (_made(room.opened),)),
    ]
    return Document(
        title=f"{found.name}: predicted survival",
        lead=f"Prediction of the model {room.opened.name} for one patient, at {asked.unit.both(asked.horizon)}.",
        alerts=_alerts(room, asker, found, asked),
        sections=tuple(sections),
    )


def _alerts(room: Room, asker: Asker, found: Answer, asked: Asked) -> tuple[Alert, ...]:
    alerts = [Alert("note", "Not medical advice", words.NO_ADVICE)]
    if asker.arms:
        text = words.advice_text(found.advice, asker, found.outlooks, asked.at, asked.control, asked.min_gain)
        level: Level = "warning" if found.advice.kind == "withheld" else "note"
        alerts.append(Alert(level, words.advice_title(found.advice, asker), " ".join(text)))
    if room.judged and asker.arms:
        alerts.append(Alert("note" if room.start.standing == "better" else "warning", "How the rule did", room.judged))
    alerts += [Alert("warning", "About this patient", sentence) for sentence in words.remarks(found.entry)]
    return tuple(alerts)


def _figure(asker: Asker, found: Answer, asked: Asked) -> Figure:
    lines = lines_of(found.curves, [arm.label for arm in asker.arms] or ["predicted"], banded=asker.has_intervals)
    return _drawn(lines, asker, asked, "Survival over time", described(found, asked))


def _drawn(lines: Sequence[Line], asker: Asker, asked: Asked, title: str, alt: str) -> Figure:
    last = float(asker.model.event_times_[-1])
    svg = str(draw(lines, asked.unit, asked.horizon, last, label=alt, width=_WIDTH, named=True))
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}"
    bands = " Shaded bands are pointwise 95 % intervals." if any(line.banded for line in lines) else ""
    reading = (
        f"The vertical line is at {asked.at}.{bands} Grey: no event was seen so late, and curves are the model's own."
    )
    return Figure(title, address, alt, reading, width=_WIDTH)


def _outlooks(asker: Asker, found: Answer, asked: Asked) -> tuple[Table, ...]:
    if not asker.arms:
        rows: list[list[Cell]] = [
            [f"{100 * p:.0f} %", words.quantile_text(found.curves[0], p, asked.unit)] for p in QUANTILES
        ]
        share = words.percent(found.outlooks[0].survival, intervals=asker.has_intervals)
        header = (Column("patients like this one who have had the event"), Column("by"))
        return (table(f"Survival at {asked.at}: {share} %", header, rows),)
    columns = (
        Column("treatment"),
        Column(f"survival at {asked.at}, %", "interval", decimals=1),
        Column(f"gain over {label_of(asker, asked.control)}, points", "interval", decimals=1),
        Column("received by patients like this one", "percent", decimals=0),
        Column("median"),
    )
    rows = [
        [
            outlook.arm.label if outlook.arm else "",
            _cell(outlook.survival, asker),
            None if outlook.gain is None else _cell(outlook.gain, asker),
            outlook.propensity,
            words.quantile_text(curve, 0.5, asked.unit),
        ]
        for outlook, curve in zip(found.outlooks, found.curves, strict=True)
    ]
    return (table("Treatments compared", columns, rows),)


def _cell(share: Interval, asker: Asker) -> Cell:
    """In percent, with its interval where there is one."""
    if not asker.has_intervals:
        return 100 * share.value
    return Interval(100 * share.value, 100 * share.lower, 100 * share.upper)


def _patient(fields: Sequence[Field], found: Answer) -> Table:
    rows: list[list[Cell]] = [
        [field.name, field.text_of(found.entry.values[field.name]), field.hint] for field in fields
    ]
    return table("What was entered", (Column("field"), Column("value"), Column("in the data")), rows)


def _comparison(asker: Asker, others: Sequence[Answer], asked: Asked) -> Section:
    labels = [arm.label for arm in asker.arms]
    columns = [Column("patient"), *(Column(label, "interval", decimals=1) for label in labels or ["survival, %"])]
    columns += [Column("recommended")] if asker.arms else []
    rows: list[list[Cell]] = [
        [
            other.name,
            *(_cell(outlook.survival, asker) for outlook in other.outlooks),
            *([advised(asker, other)] if asker.arms else []),
        ]
        for other in others
    ]
    lines = lines_of_many([(other.name, other.curves) for other in others], labels or [""])
    names = ", ".join(other.name for other in others)
    figure = _drawn(lines, asker, asked, "Patients compared", f"Predicted survival curves of {names}.")
    return Section("Compared with", (figure, table(f"Survival at {asked.at}, %", columns, rows)))


def _made(opened: Opened) -> Table:
    made = provenance()
    facts = {
        "Model": f"{opened.name}, {type(opened.model).__name__}",
        "File": opened.path.name,
        "Columns": ", ".join(opened.model.schema_.names[:40]),
        "Made": str(made["created"]),
        "Software": f"underlie {__version__}, Python {made['python']}",
    }
    return table("Model and software", (Column(""), Column("")), [[name, text] for name, text in facts.items()])
