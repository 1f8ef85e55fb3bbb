"""What the reader must know before the results: each alert a rule over facts, with a code that a program can ask for.

No rule looks at the model or the rows, so that alerts can be found again from a file of facts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from underlie.report.document import Alert
from underlie.report.rules.fit import of_latent, of_likelihood, of_moments, of_parameters, of_replicates, of_training
from underlie.report.rules.labels import of_labels
from underlie.report.rules.rows import of_columns, of_rows
from underlie.report.rules.survival import of_effects, of_survival
from underlie.warnings import (
    CheckpointWarning,
    ConvergenceWarning,
    DataWarning,
    ExtrapolationWarning,
    ImportanceSamplingWarning,
    UnderlieWarning,
)

Facts = Mapping[str, Any]

#: every code, and when it is raised
CODES: Final[dict[str, str]] = {
    "training": "a warning of the training, in its own words",
    "data": "a warning about the data, in its own words",
    "importance-sampling": "a warning that importance sampling is not dependable, in its own words",
    "extrapolation": "a warning that a prediction goes beyond follow-up, in its own words",
    "checkpoint": "a warning about a checkpoint, in its own words",
    "warning": "another warning of this package, in its own words",
    "not-converged": "training stopped at its limit",
    "restarted": "training diverged and was begun again",
    "replicates-differ": "held-out bounds of the replicates differ by more than 1 nat per row",
    "training-rows": "the rows are those that the model was fitted to",
    "rows-unknown": "whether the model has seen the rows is not known",
    "few-rows": "fewer than 30 rows are judged",
    "some-rows": "a random choice of the rows is judged",
    "mostly-missing": "more than half of a column is missing",
    "empty-rows": "rows without any observed cell",
    "outside-range": "more than 5 % of a column lie outside the range of the training rows, or cells far outside",
    "many-parameters": "the model has more parameters than the rows have cells",
    "unused-latent": "some latent coordinates do not vary over the rows",
    "uncertain-likelihood": "importance sampling is not dependable for more than a tenth of the rows",
    "moment-gap": "data and model differ in their moments by more than chance would make",
    "not-better-than-majority": "accuracy is not shown to be above that of always saying the most frequent class",
    "miscalibrated": "stated probabilities are further from observed shares than chance would make",
    "rare-classes": "classes with fewer than 10 labelled rows",
    "not-better-than-mean": "a numeric label is predicted no better than by its mean",
    "few-events": "fewer than 10 events are judged",
    "few-at-risk": "fewer than 20 rows are followed to the horizon",
    "not-better-than-kaplan-meier": "the Brier score is not shown to be below that of Kaplan-Meier",
    "risk-off": "the predicted share of events at the horizon is off by more than chance would make",
    "shape-off": "predicted distributions of time are not those observed (D-calibration)",
    "not-randomised": "effects of treatment rest on the covariates of the table",
    "outside-support": "some treatment was hardly ever given to rows like some of these",
    "not-supported": "choosing treatment patient by patient is not shown to be better than treating all alike",
}

_ORDER: Final = ("error", "warning", "note")
_OF_WARNINGS: Final[dict[type[Warning], tuple[str, str]]] = {
    ConvergenceWarning: ("training", "Training"),
    DataWarning: ("data", "Data"),
    ImportanceSamplingWarning: ("importance-sampling", "Log-likelihood"),
    ExtrapolationWarning: ("extrapolation", "Extrapolation"),
    CheckpointWarning: ("checkpoint", "Checkpoint"),
}

Rule = Callable[[Facts], Iterator[Alert]]
_RULES: Final[tuple[Rule, ...]] = (
    of_rows,
    of_training,
    of_replicates,
    of_parameters,
    of_latent,
    of_columns,
    of_likelihood,
    of_moments,
    of_labels,
    of_survival,
    of_effects,
)


def find_alerts(facts: Facts, caught: Sequence[warnings.WarningMessage] = ()) -> tuple[Alert, ...]:
    """All alerts that the facts call for, and the warnings of this package that came up; the most serious first."""
    told = alerts_of_warnings(caught)
    said = {alert.code for alert in told}
    found = [alert for rule in _RULES for alert in rule(facts) if not _repeats(alert, said)]
    return tuple(sorted([*told, *found], key=lambda alert: _ORDER.index(alert.level)))


def alerts_of_warnings(caught: Sequence[warnings.WarningMessage]) -> tuple[Alert, ...]:
    """Warnings of this package as alerts, each once."""
    ours = (item for item in caught if issubclass(item.category, UnderlieWarning))
    return tuple(dict.fromkeys(map(_told, ours)))


def _told(item: warnings.WarningMessage) -> Alert:
    code, title = _OF_WARNINGS.get(item.category, ("warning", "Warning"))
    text = str(item.message).strip()
    return Alert("warning", title, f"{text[:1].upper()}{text[1:].removesuffix('.')}.", code)


def _repeats(alert: Alert, said: set[str]) -> bool:
    """Whether a warning in its own words has said it already."""
    return (alert.code in ("not-converged", "restarted") and "training" in said) or (
        alert.code == "uncertain-likelihood" and "importance-sampling" in said
    )
