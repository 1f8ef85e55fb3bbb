"""The table of a survival study, read and checked before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pandas as pd

from underlie.cli.errors import BadInput
from underlie.cli.survival_time import horizon_option, unit_option
from underlie.cli.tables import parse_kinds, read_table
from underlie.report.study.study import Study
from underlie.report.time_unit import TimeUnit

#: more treatments than these are no choice that can be laid before a patient
_MOST_OPTIONS: Final = 12
#: a dose or a count would have no propensity
_TREATMENT_KINDS: Final = ("binary", "categorical", "ordinal")


@final
@dataclass(frozen=True)
class Question:
    """What is asked of a table, as it was typed.

    Attributes
    ----------
    time, event : str
        Columns; the event also as COLUMN=VALUE.
    treatments : sequence of str
    horizon : str or None
        A number, or one with a unit.
    control : str or None
    min_gain : float
        Least gain in the probability of survival for which another treatment than the control is recommended.
    time_unit : str or None
    identifier : str or None
        Column that names patients.
    randomised : bool
    """

    time: str
    event: str
    treatments: Sequence[str] = ()
    horizon: str | None = None
    control: str | None = None
    min_gain: float = 0.07
    time_unit: str | None = None
    identifier: str | None = None
    randomised: bool = False


def read_study(
    file: Path, question: Question, *, kinds: Sequence[str] = (), drop: Sequence[str] = (), array: str | None = None
) -> Study:
    """Read the table and check all that can be checked before a model is fitted.

    Raises
    ------
    BadInput
        If a column is not there or not what it should be; the message names it and the remedy.
    """
    whole = read_table(file, array=array)
    if not isinstance(whole, pd.DataFrame):
        raise BadInput(f"{file.name} is an array, whose columns have no names; give a CSV, TSV or Parquet file")
    return make_study(whole, file.name, question, kinds=kinds, drop=drop)


def make_study(
    whole: pd.DataFrame, name: str, question: Question, *, kinds: Sequence[str] = (), drop: Sequence[str] = ()
) -> Study:
    """The same of a table in memory."""
    event_column, event_value = split_event(whole, question.event, name)
    roles = {"--time": question.time, "--event": event_column, "--id": question.identifier}
    for option, column in [*roles.items(), *(("--treatment", t) for t in question.treatments)]:
        if column is not None and column not in whole.columns:
            raise BadInput(f"{option} {column}: {name} has no such column; it has {_listed(whole.columns)}")
    _require_different([*roles.items(), *(("--treatment", t) for t in question.treatments)])
    taken = [c for c in (*roles.values(), *question.treatments) if c is not None]
    for column in drop:
        if column not in whole.columns:
            raise BadInput(f"--drop {column}: {name} has no such column; it has {_listed(whole.columns)}")
        if column in taken:
            raise BadInput(f"--drop {column}: this column is asked for by another option")
    if not 0 <= question.min_gain < 1:
        raise BadInput(f"--min-gain {question.min_gain:g}: write a probability, such as 0.07 for 7 points")
    y = outcome_of(whole, question.time, event_column, event_value)
    X = whole.drop(columns=[*(c for c in roles.values() if c is not None), *drop])
    stated: dict[str | int, Any] = dict(parse_kinds(kinds) or {})
    X, options, received = _treatments(X, tuple(question.treatments), stated, question.control)
    unit = unit_option(question.time_unit, float(y["time"].max()))
    horizon = _horizon(question.horizon, y, unit)
    if options:
        _require_arms(y, received, horizon)
    index = whole.index if question.identifier is None else whole[question.identifier]
    first = 1 if question.identifier is None and isinstance(whole.index, pd.RangeIndex) else 0
    patients = [str(label + first) if first else str(label) for label in index]
    event = event_column if event_value is None else f"{event_column} = {event_value}"
    return Study(
        name=name,
        X=X,
        y=y,
        patients=patients,
        event=event,
        treatments=tuple(question.treatments),
        options=options,
        received=received,
        horizon=horizon,
        unit=unit,
        min_gain=question.min_gain,
        randomised=question.randomised,
        kinds=stated,
    )


def split_event(whole: pd.DataFrame, said: str, name: str) -> tuple[str, str | None]:
    """Column of the event, and the value that marks it where one was given."""
    column, equals, value = said.rpartition("=")
    if said in whole.columns or not equals:
        return said, None
    if column not in whole.columns:
        raise BadInput(f"--event {said}: {name} has no column {column!r}; it has {_listed(whole.columns)}")
    return column, value


def outcome_of(whole: pd.DataFrame, time: str, event: str, value: str | None) -> Any:
    """Times and events from their columns; ``value`` marks the event where the column is not 0 and 1."""
    from underlie import Surv

    seen: Any = whole[event]
    if value is not None:
        missing = np.flatnonzero(seen.isna())
        if len(missing):
            raise BadInput(f"--event {event}: the cell of row {missing[0] + 1} is missing; leave such rows out")
        seen = np.array([_same(cell, value) for cell in seen])
        if not seen.any():
            raise BadInput(
                f"--event {event}={value}: no row has this value; there are {_listed(whole[event].unique())}"
            )
    elif not pd.api.types.is_numeric_dtype(seen) and not seen.isna().any():
        levels = _listed(seen.unique())
        raise BadInput(
            f"--event {event}: it holds {levels}; say which means that the event was seen, --event {event}=VALUE"
        )
    try:
        y = Surv(whole[time], seen)
    except (ValueError, TypeError) as error:
        raise BadInput(f"--time {time} --event {event}: {error} (Rows count from 0.)") from error
    if not y["event"].any():
        raise BadInput(f"--event {event}: all {len(y)} rows are censored; nothing can be learned of when events happen")
    return y


def _treatments(
    X: pd.DataFrame, columns: tuple[str, ...], stated: dict[str | int, Any], control: str | None
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """X with whole numbers as treatments, names of the options (control first), and what each row received."""
    if not columns:
        if control is not None:
            raise BadInput(f"--control {control}: name the treatment column as well, --treatment COLUMN")
        return X, (), []
    X = X.copy()
    levels = {column: _levels(X, column, stated) for column in columns}
    parts = [[_text(cell) for cell in X[column]] for column in columns]
    several = len(columns) > 1
    received = [_joined(columns, row) if several else row[0] for row in zip(*parts, strict=True)]
    given = {_joined(columns, row) if several else row[0] for row in product(*levels.values())}
    options = [_joined(columns, row) if several else row[0] for row in product(*levels.values())]
    if len(options) > _MOST_OPTIONS:
        raise BadInput(f"--treatment: {len(options)} combinations are more than {_MOST_OPTIONS}; name fewer columns")
    if absent := sorted(given - set(received)):
        raise BadInput(
            f"--treatment: no row received {absent[0]}; make one column of the combinations that were given, and "
            "name it"
        )
    if control is not None:
        at = [option for option in options if _same(option, control)]
        if not at:
            raise BadInput(f"--control {control}: the treatments are {_listed(options, _MOST_OPTIONS)}")
        options = [at[0], *(option for option in options if option != at[0])]
    return X, tuple(options), received


def _levels(X: pd.DataFrame, column: str, stated: dict[str | int, Any]) -> list[str]:
    """Levels of a treatment column as text, in order; numbers that are codes become a categorical."""
    cells = X[column]
    missing = np.flatnonzero(cells.isna())
    if len(missing):
        raise BadInput(
            f"--treatment {column}: the cell of row {missing[0] + 1} is missing ({len(missing)} in all); leave these "
            "rows out, or make 'unknown' a level"
        )
    kind = stated.get(column)
    distinct = cells.unique()
    if kind is not None and kind not in _TREATMENT_KINDS:
        raise BadInput(
            f"--kinds {column}={kind}: treatments are compared level by level; use {', '.join(_TREATMENT_KINDS)}"
        )
    if len(distinct) < 2:
        raise BadInput(f"--treatment {column}: it is {distinct[0]} in all rows; there is nothing to compare it with")
    if len(distinct) > _MOST_OPTIONS:
        raise BadInput(
            f"--treatment {column}: it has {len(distinct)} values, more than {_MOST_OPTIONS}; group them into levels"
        )
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        if (cells == cells.round()).all():
            X[column] = cells.astype(int)
        if kind is None and len(distinct) > 2:
            stated[column] = "categorical"
        return [_text(level) for level in np.unique(X[column])]
    if isinstance(cells.dtype, pd.CategoricalDtype):
        X[column] = cells.cat.remove_unused_categories()
        return [_text(level) for level in X[column].cat.categories]
    return sorted(_text(level) for level in distinct)


def _horizon(said: str | None, y: Any, unit: TimeUnit) -> float:
    """The time that is asked about: by default the median time of events."""
    events = y["time"][y["event"]]
    if said is None:
        return float(np.median(events))
    horizon, last = horizon_option(said, unit), float(y["time"].max())
    if horizon > last:
        raise BadInput(f"--horizon {said}: nobody was followed for so long; follow-up ends at {unit.both(last)}")
    if horizon < events.min():
        raise BadInput(
            f"--horizon {said}: the first event is at {unit.both(float(events.min()))}, later than that. The "
            "horizon is in "
            "the unit of the time column; with --time-unit days, 4 years are --horizon 4y"
        )
    return horizon


def _require_arms(y: Any, received: list[str], horizon: float) -> None:
    """Every treatment was given to rows that were followed to the horizon."""
    from underlie.check.decisions.arms import read_arms, require_follow_up
    from underlie.check.survival.outcomes import Outcome

    try:
        require_follow_up(Outcome(y["event"], y["time"]), read_arms(received, len(y)), horizon)
    except ValueError as error:
        raise BadInput(f"--horizon: {error}") from error


def _require_different(roles: Sequence[tuple[str, str | None]]) -> None:
    seen: dict[str, str] = {}
    for option, column in roles:
        if column is None:
            continue
        if column in seen:
            raise BadInput(f"{option} {column}: this column is already given as {seen[column]}")
        seen[column] = option


def _joined(columns: Sequence[str], levels: Sequence[str]) -> str:
    """A combination of levels as models name it."""
    return ", ".join(f"{column}={level}" for column, level in zip(columns, levels, strict=True))


def _text(level: Any) -> str:
    return str(level.item() if isinstance(level, np.generic) else level)


def _same(cell: Any, said: str) -> bool:
    """Whether a cell is what was typed, as text or as a number."""
    if str(cell).strip() == said.strip():
        return True
    try:
        return float(cell) == float(said)
    except (TypeError, ValueError):
        return False


def _listed(names: Any, most: int = 8) -> str:
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
