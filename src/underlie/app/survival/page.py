"""What a survival screen shows, as tags: advice, tables of outlooks and of patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from htmltools import Tag, TagChild
from shiny import ui

from underlie.app.form.entry import Entry
from underlie.app.plain_table import plain_table
from underlie.app.survival import words
from underlie.app.survival.answer import QUANTILES, Advice, Asker, Curve, Outlook
from underlie.report.time_unit import TimeUnit


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """All that a model says of one patient at one question."""

    name: str
    entry: Entry
    curves: tuple[Curve, ...]
    outlooks: tuple[Outlook, ...]
    advice: Advice


@final
@dataclass(frozen=True)
class Asked:
    """The question: at which time, against which control, for which gain, and how times are written."""

    horizon: float
    unit: TimeUnit
    control: str
    min_gain: float

    @property
    def at(self) -> str:
        """The horizon in words."""
        return self.unit.text(self.horizon)


def answer(asker: Asker, name: str, entry: Entry, asked: Asked) -> Answer:
    """Ask a model about a patient."""
    outlooks = asker.outlooks(entry.values, asked.horizon, asked.control)
    advice = asker.advice(entry.values, asked.horizon, asked.control, asked.min_gain)
    return Answer(name, entry, asker.curves(entry.values), outlooks, advice)


def advice_box(asker: Asker, found: Answer, asked: Asked, remarks: Sequence[str]) -> Tag:
    """The recommendation with what must be known of it, or what is predicted where there can be none."""
    text: tuple[str, ...] = ()
    if not asker.arms:
        share = words.percent(found.outlooks[0].survival, intervals=asker.has_intervals)
        title = f"Survival at {asked.at}: {share} %"
    else:
        title = words.advice_title(found.advice, asker)
        text = words.advice_text(found.advice, asker, found.outlooks, asked.at, asked.control, asked.min_gain)
    return ui.div(
        ui.tags.p(ui.tags.strong(title)),
        *(ui.tags.p(sentence) for sentence in text),
        *(ui.tags.p(sentence) for sentence in remarks),
        ui.tags.p("Not medical advice: see below what these numbers cannot tell.", class_="quiet"),
        class_=f"advice advice-{found.advice.kind}",
    )


def remark_list(entry: Entry) -> TagChild:
    """What to know of the patient that was entered."""
    said = words.remarks(entry)
    return ui.tags.ul(*(ui.tags.li(sentence) for sentence in said), class_="remarks") if said else None


def outlook_table(asker: Asker, found: Answer, asked: Asked) -> Tag:
    """One line per treatment: survival at the horizon, gain, median; without treatments one line of quantiles."""
    if not asker.arms:
        header = ["", *(f"{100 * p:.0f} % have had the event by" for p in QUANTILES)]
        cells = [words.quantile_text(found.curves[0], p, asked.unit) for p in QUANTILES]
        return plain_table(header, [["this patient", *cells]], caption="When the event is to be expected")
    header = ["treatment", f"survival at {asked.at}, %", f"gain over {label_of(asker, asked.control)}, points"]
    shares = any(outlook.propensity is not None for outlook in found.outlooks)
    header += ["share of like patients", "median"] if shares else ["median"]
    rows = []
    for outlook, curve in zip(found.outlooks, found.curves, strict=True):
        assert outlook.arm is not None
        gain = "–" if outlook.gain is None else words.percent(outlook.gain, intervals=asker.has_intervals)
        row = [outlook.arm.label, words.percent(outlook.survival, intervals=asker.has_intervals), gain]
        row += [_share(outlook)] if shares else []
        rows.append([*row, words.quantile_text(curve, 0.5, asked.unit)])
    return plain_table(header, rows, caption="Treatments compared")


def comparison_table(asker: Asker, patients: Sequence[Answer], asked: Asked, remove: str) -> Tag:
    """One line per patient, with a button that takes it out; ``remove`` is the input that gets its place."""
    labels = [arm.label for arm in asker.arms] or ["survival"]
    header = ["patient", *labels, *(["recommended"] if asker.arms else []), ""]
    rows: list[list[TagChild]] = []
    for i, patient in enumerate(patients):
        shares = [words.percent(outlook.survival, intervals=asker.has_intervals) for outlook in patient.outlooks]
        rows.append(
            [
                patient.name,
                *shares,
                *([advised(asker, patient)] if asker.arms else []),
                _button(remove, i, patient.name),
            ]
        )
    return plain_table(header, rows, caption=f"Survival at {asked.at}, %")


def advised(asker: Asker, patient: Answer) -> str:
    """What is recommended to a patient, in one word."""
    return {"withheld": "withheld", "impossible": "–"}.get(patient.advice.kind, patient.advice.arm)


def label_of(asker: Asker, name: str) -> str:
    """A treatment as a sentence names it."""
    return next(arm.label for arm in asker.arms if arm.name == name)


def described(found: Answer, asked: Asked) -> str:
    """The figure of curves, for those who do not see it."""
    parts = [
        f"{outlook.arm.label + ' ' if outlook.arm else ''}{words.percent(outlook.survival, intervals=False)} %"
        for outlook in found.outlooks
    ]
    return f"Predicted survival over time; at {asked.at}: {', '.join(parts)}."


def _share(outlook: Outlook) -> str:
    if outlook.propensity is None:
        return "–"
    few = "" if outlook.supported else " (too few)"
    return f"{100 * outlook.propensity:.0f} %{few}"


def _button(remove: str, i: int, name: str) -> Tag:
    return ui.tags.button(
        "Remove",
        {"aria-label": f"Remove {name}", "type": "button"},
        onclick=f"Shiny.setInputValue('{remove}', {i}, {{priority: 'event'}})",
        class_="btn btn-default btn-sm",
    )
