"""The sentences of the survival screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from underlie.app.form.entry import Entry
from underlie.app.survival.answer import Advice, Asker, Curve, Outlook
from underlie.estimators.survival_effects import MIN_PROPENSITY
from underlie.report.document import Column, Interval
from underlie.report.numbers import format_column, format_number
from underlie.report.time_unit import TimeUnit

NO_ADVICE: Final = (
    "This page answers questions about a statistical model. It is not medical advice, and it knows nothing of side "
    "effects, of other illnesses, or of what the patient wants."
)
_OBSERVED: Final = (
    "Differences between treatments are those of a regression on the fields of this form. If anything else influenced "
    "both who was treated how and what became of them, they are wrong, and nothing in these data can tell."
)
_BY_LOT: Final = (
    "Treatment was assigned by lot in these data, so that differences between treatments are not confounded on "
    "average; how they differ between patients is still an estimate of a regression."
)
_INTERVALS: Final = (
    "Intervals (95 %) carry the uncertainty of the fitted model, not that of its form. One patient's own gain is never "
    "observed."
)
_NO_INTERVALS: Final = (
    "There are no intervals and no recommendations: this model was fitted with one replicate. Fit it with "
    "n_replicates=8 to have both."
)
_ELSEWHERE: Final = (
    "Patients of another hospital, time or way of selection can have other risks; check the model there before use."
)


def percent(share: Interval | float, *, intervals: bool = True) -> str:
    """A probability in percent, or a difference in percentage points, with its interval where there is one."""
    if isinstance(share, Interval) and intervals:
        cell = Interval(*(100 * v for v in (share.value, share.lower, share.upper)))
        return format_column(Column("", "interval", decimals=1), [cell])[0]
    value = share.value if isinstance(share, Interval) else share
    return format_column(Column("", "number", decimals=1), [100 * value])[0]


def judged(standing: str, horizon: float, unit: TimeUnit) -> str:
    """How the rule did on patients that the models had not seen, when it was judged; empty where it was not."""
    at = unit.text(horizon)
    match standing:
        case "better":
            return f"On patients held out, following the rule at {at} was better than giving everybody the same."
        case "worse":
            return f"On patients held out, following the rule at {at} was worse than giving everybody the same."
        case "undecided":
            return (
                f"On patients held out, following the rule at {at} was not shown to be better than giving everybody "
                "the same: these data do not support choosing treatment patient by patient."
            )
        case "same":
            return f"The rule gave every patient of the data the same treatment at {at}: it does not individualise."
        case _:
            return ""


def limits(asker: Asker, *, randomised: bool) -> tuple[str, ...]:
    """What the numbers on the page cannot show."""
    if not asker.arms:
        return (
            NO_ADVICE,
            _INTERVALS if asker.has_intervals else _NO_INTERVALS.replace("and no recommendations", ""),
            _ELSEWHERE,
        )
    confounding = _BY_LOT if randomised else _OBSERVED
    return (NO_ADVICE, confounding, _INTERVALS if asker.has_intervals else _NO_INTERVALS, _ELSEWHERE)


def remarks(entry: Entry) -> tuple[str, ...]:
    """What to know of the patient that was entered: odd numbers, empty fields."""
    found = list(entry.remarks)
    empty, fields = entry.n_missing, len(entry.values)
    if empty == fields:
        found.append("Nothing is entered: this is the prediction for a patient of whom nothing is known.")
    elif empty > fields / 2:
        found.append(
            f"{empty} of {fields} fields are empty: the prediction averages over what they may be, and says less of "
            "this one patient."
        )
    return tuple(found)


def quantile_text(curve: Curve, p: float, unit: TimeUnit) -> str:
    """The time by which a share p has had the event, or that it is later than the data reach."""
    time, end = curve.quantile(p), float(curve.times[-1])
    return unit.text(time) if time <= end else f"> {unit.text(end)}"


def advice_title(advice: Advice, asker: Asker) -> str:
    """The recommendation in a few words."""
    label = {arm.name: arm.label for arm in asker.arms}.get(advice.arm, "")
    match advice.kind:
        case "other":
            return f"The rule recommends {label}"
        case "control":
            return f"The rule recommends {label}, the control"
        case "withheld":
            return "No recommendation for this patient"
        case _:
            return "No recommendation"


def advice_text(
    advice: Advice, asker: Asker, outlooks: Sequence[Outlook], at: str, control: str, min_gain: float
) -> tuple[str, ...]:
    """Why, in sentences."""
    if advice.kind == "impossible":
        return (_why_never(asker),)
    own = next(o for o in outlooks if o.arm is not None and o.arm.name == control)
    assert own.arm is not None
    rare = _rare(outlooks)
    if advice.kind == "withheld":
        return (
            "The data hold too few patients like this one who received the control, or any alternative to it: a "
            "comparison would rest on the form of the model alone.",
            *rare,
        )
    if advice.kind == "other":
        best = next(o for o in outlooks if o.arm is not None and o.arm.name == advice.arm)
        assert best.gain is not None
        gains = (
            f"It is predicted to raise survival at {at} by {percent(best.gain)} percentage points over "
            f"{own.arm.label}; at least {format_number(100 * min_gain, 3)} were asked for."
        )
        return (gains, *_doubt(best.gain, min_gain), *rare)
    return (_best_alternative(outlooks, at, control, min_gain), *rare)


def _doubt(gain: Interval, min_gain: float) -> tuple[str, ...]:
    if gain.lower <= 0:
        return ("The interval includes no gain at all.",)
    if gain.lower < min_gain:
        return ("The interval includes gains below what was asked for.",)
    return ()


def _best_alternative(outlooks: Sequence[Outlook], at: str, control: str, min_gain: float) -> str:
    others = [o for o in outlooks if o.arm is not None and o.arm.name != control and o.supported and o.gain is not None]
    best = max(others, key=lambda o: o.gain.value if o.gain is not None else 0.0)
    assert best.arm is not None
    assert best.gain is not None
    asked = format_number(100 * min_gain, 3)
    doubt = " The interval includes gains as large as that." if best.gain.upper >= min_gain else ""
    return (
        f"No other treatment is predicted to raise survival at {at} by {asked} percentage points; most would "
        f"{best.arm.label}, by {percent(best.gain)}.{doubt}"
    )


def _rare(outlooks: Sequence[Outlook]) -> tuple[str, ...]:
    labels = [o.arm.label for o in outlooks if o.arm is not None and not o.supported]
    if not labels:
        return ()
    return (
        f"Not considered, since less than {100 * MIN_PROPENSITY:g} % of patients like this one received it: "
        f"{'; '.join(labels)}.",
    )


def _why_never(asker: Asker) -> str:
    if not asker.arms:
        return "The model was fitted without treatments."
    if asker.has_doses:
        return "A treatment is a dose, of which the model recommends no value: compare the doses that you consider."
    return _NO_INTERVALS
