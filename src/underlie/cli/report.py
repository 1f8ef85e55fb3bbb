"""A report of a saved model on the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import pandas as pd
import typer

from underlie.cli.errors import BadInput
from underlie.cli.saved import Saved, open_saved, require_columns
from underlie.cli.survival_time import horizon_option, unit_option
from underlie.cli.tables import Table

if TYPE_CHECKING:
    from underlie.report import Report

#: what a file is, by its suffix
_WRITERS: Final[dict[str, Callable[[Report, Path], object]]] = {
    ".html": lambda report, file: report.to_html(file),
    ".md": lambda report, file: report.to_markdown(file),
    ".tex": lambda report, file: report.to_latex(file),
    ".json": lambda report, file: report.to_json(file),
    ".txt": lambda report, file: file.write_text(report.summary() + "\n", encoding="utf-8"),
}


@final
@dataclass(frozen=True)
class Asked:
    """What was asked of a report.

    Attributes
    ----------
    labels : sequence of str
        Columns of labels, or arrays of an npz file. Where nothing is said of labels, outcome or question, it is as the
        note beside the model has it.
    time, event : str or None
        Columns of the outcome; the event also as COLUMN=VALUE.
    horizon : str or None
        A number in the unit of the time column, or one with a unit.
    time_unit : str or None
        Of the time column.
    randomised : bool or None
    held_out : bool or None
        Whether the model has not seen the rows; None where it is not said.
    max_rows, seed : int
    """

    labels: Sequence[str] = ()
    time: str | None = None
    event: str | None = None
    horizon: str | None = None
    time_unit: str | None = None
    randomised: bool | None = None
    held_out: bool | None = None
    max_rows: int = 5000
    seed: int = 0


def report_on(
    model: Path,
    table: Path,
    out: Sequence[Path],
    asked: Asked,
    *,
    drop: Sequence[str] = (),
    array: str | None = None,
    quiet: bool = False,
    command: str | None = None,
) -> None:
    """Write the report on a model and a table to files of several kinds, or print it where none is named."""
    import matplotlib as mpl

    from underlie.report import Report

    for file in out:
        _check_file(file)
    saved = open_saved(model)
    _check_asked(saved, asked)
    horizon, time_unit = _times(saved, asked)
    X, y = read_rows(saved, table, asked, drop=drop, array=array, quiet=quiet)
    # No window is ever shown, and a machine without a display must do.
    mpl.use("Agg")
    report = Report(
        saved.model,
        X,
        y,
        title=f"{table.name}: {saved.name}",
        held_out=asked.held_out,
        horizon=horizon,
        time_unit=time_unit,
        randomised=_randomised(saved, table, asked),
        max_rows=asked.max_rows,
        command=command,
        random_state=asked.seed,
    )
    for file in out:
        _WRITERS[file.suffix.lower()](report, file)
        if not quiet:
            typer.echo(f"report  {file}")
    if not out:
        typer.echo(report.summary())
    elif not quiet:
        for alert in report.alerts:
            typer.echo(str(alert), err=True)


def read_rows(
    saved: Saved,
    file: Path,
    asked: Asked,
    *,
    drop: Sequence[str] = (),
    array: str | None = None,
    quiet: bool = False,
) -> tuple[Table, Any]:
    """The rows that a model sees, and their labels or outcome; None where there is neither."""
    if asked.labels and asked.time is not None:
        raise BadInput(f"--label {asked.labels[0]}: give labels, or --time and --event, and not both")
    whole = saved.read(file, array)
    y = _judged_by(saved, whole, file, asked)
    return saved.rows(whole, file.name, drop=drop, quiet=quiet), y


def _judged_by(saved: Saved, whole: Table, file: Path, asked: Asked) -> Any:
    """Labels or outcomes of the rows."""
    if not isinstance(whole, pd.DataFrame):
        return _label_arrays(file, asked)
    if _predicts_times(saved):
        return saved.outcome(whole, file.name, asked.time, asked.event)
    require_columns(whole, {"--label": asked.labels}, file.name)
    noted = () if saved.note is None or not _predicts_labels(saved) else saved.note.labels
    names = list(asked.labels) or [name for name in noted if name in whole.columns]
    return None if not names else whole[names[0]] if len(names) == 1 else whole[names]


def _label_arrays(file: Path, asked: Asked) -> Any:
    """Labels of rows that are an array: other arrays of the same npz file."""
    if asked.time is not None:
        raise BadInput(f"--time {asked.time}: {file.name} is an array, whose columns have no names")
    if not asked.labels:
        return None
    if file.suffix.lower() != ".npz":
        raise BadInput(f"--label {asked.labels[0]}: {file.name} is one array; put rows and labels into an npz file")
    columns = []
    with np.load(file, allow_pickle=False) as loaded:
        for name in asked.labels:
            if name not in loaded.files:
                raise BadInput(f"--label {name}: {file.name} has no such array; it has {', '.join(loaded.files)}")
            columns.append(np.asarray(loaded[name]).ravel())
    return columns[0] if len(columns) == 1 else np.column_stack(columns)


def _check_asked(saved: Saved, asked: Asked) -> None:
    """Refuse what the model has no use for, rather than leave it out in silence."""
    if (asked.time is None) != (asked.event is None):
        raise BadInput("--time and --event belong together: give both, or neither")
    if asked.time is not None and not _predicts_times(saved):
        raise BadInput(f"--time {asked.time}: a {saved.name} predicts no event times; leave it out")
    if asked.labels and not _predicts_labels(saved):
        raise BadInput(f"--label {asked.labels[0]}: a {saved.name} predicts no labels; leave it out")
    of_times = {"--horizon": asked.horizon, "--time-unit": asked.time_unit, "--randomised": asked.randomised}
    for option, said in of_times.items():
        if said is not None and not _predicts_times(saved):
            raise BadInput(f"{option}: a {saved.name} predicts no event times; leave it out")


def _times(saved: Saved, asked: Asked) -> tuple[float | None, str | None]:
    """Horizon and unit of time: as they are said, else as they were at the fit."""
    if not _predicts_times(saved):
        return None, None
    unit = unit_option(asked.time_unit or saved.asked("time_unit"), float(saved.model.follow_up_))
    horizon = saved.asked("horizon") if asked.horizon is None else horizon_option(asked.horizon, unit)
    return horizon, unit.own or None


def _predicts_times(saved: Saved) -> bool:
    return hasattr(saved.model, "predict_survival_function")


def _predicts_labels(saved: Saved) -> bool:
    return hasattr(saved.model, "classes_")


def _randomised(saved: Saved, table: Path, asked: Asked) -> bool:
    """Whether treatment was drawn by lot: as it is said, else as it was of these rows. Other rows are another study."""
    if asked.randomised is not None:
        return asked.randomised
    return saved.is_of(table) and bool(saved.asked("randomised"))


def _check_file(file: Path) -> None:
    if file.suffix.lower() not in _WRITERS:
        raise BadInput(f"--out {file}: unknown kind of report; use one of {', '.join(_WRITERS)}")
    if not file.parent.is_dir():
        raise BadInput(f"--out {file}: the folder {file.parent} does not exist; make it first")
