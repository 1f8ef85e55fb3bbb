"""What is done with a fitted model: sample, impute, score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import typer

from underlie.cli.errors import BadInput
from underlie.cli.fit import Settings, fit_model
from underlie.cli.saved import Saved, open_saved
from underlie.cli.tables import SUFFIXES, Table, check_output, read_table, write_table
from underlie.report.document import Column, Estimate
from underlie.report.numbers import format_column


def sample_rows(model: Path, n: int, out: Path | None, *, seed: int, quiet: bool) -> None:
    """Draw ``n`` rows; write them to ``out``, or print them as CSV when there is none."""
    if out is not None:
        check_output(out)
    saved = open_saved(model)
    saved.require("sample", "draws no rows; it predicts. Fit one with underlie fit to draw from")
    rows = _drawn(saved, n, seed)
    if out is not None:
        write_table(rows, out)
        _say(f"{n:,} rows written to {out}", quiet)
        return
    if isinstance(rows, np.ndarray) and rows.ndim > 2:
        raise BadInput(f"rows of shape {rows.shape[1:]} cannot be printed; write them with --out FILE.npy")
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    typer.echo(frame.to_csv(index=False), nl=False)


def impute_table(
    source: Path,
    table: Path | None,
    out: Path,
    settings: Settings,
    *,
    draws: int,
    drop: Sequence[str],
    array: str | None,
    quiet: bool,
) -> None:
    """Complete a table with a fitted model, or with one fitted to the table itself, and write it to ``out``."""
    check_output(out)
    is_table = source.suffix.lower() in SUFFIXES and not source.is_dir()
    if is_table and table is not None:
        raise BadInput(f"{source.name} is a table; give one table, or a model and a table")
    if not is_table and table is None:
        raise BadInput(
            f"{source} is a model; give the table to complete as well: underlie impute MODEL TABLE --out FILE"
        )
    if table is None:
        whole = read_table(source, array=array)
        rows = _without(whole, drop, source.name)
        model = fit_model(rows, settings)
    else:
        saved = open_saved(source)
        saved.require("impute", "completes no rows; it predicts. Fit one with underlie fit to complete them")
        whole = saved.read(table, array)
        rows, model = saved.rows(whole, table.name, drop=drop, quiet=quiet), saved.model
    if draws:
        completed = model.impute(rows, n_draws=draws, random_state=settings.seed)
        result = stack_draws([_with_dropped(as_table(draw), whole) for draw in completed])
    else:
        result = _with_dropped(as_table(model.impute(rows)), whole)
    write_table(result, out)
    n_missing = int(pd.isna(rows).to_numpy().sum()) if isinstance(rows, pd.DataFrame) else int(np.isnan(rows).sum())
    _say(f"{n_missing:,} cells imputed{f', {draws} times' if draws else ''}; written to {out}", quiet)


def score_table(
    model: Path,
    table: Path,
    out: Path | None,
    *,
    time: str | None = None,
    event: str | None = None,
    drop: Sequence[str],
    array: str | None,
    quiet: bool,
) -> None:
    """Print the mean log-likelihood per row with its standard error; write each row's to ``out`` if given."""
    if out is not None:
        check_output(out)
    saved = open_saved(model)
    saved.require("score_samples", "gives rows no likelihood; underlie report MODEL TABLE --label judges predictions")
    whole = saved.read(table, array)
    outcome = _outcome(saved, whole, table.name, time, event)
    rows = saved.rows(whole, table.name, drop=drop, quiet=quiet)
    scores = np.asarray(saved.model.score_samples(rows, *outcome), dtype=float)
    if out is not None:
        index = rows.index if isinstance(rows, pd.DataFrame) else None
        write_table(pd.DataFrame({"log_likelihood": scores}, index=index), out)
    if quiet:
        return
    se = float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None
    shown = format_column(Column("", "estimate"), [Estimate(float(scores.mean()), se)])[0]
    typer.echo(f"log-likelihood {shown} nats per row, over {len(scores):,} rows")


def stack_draws(draws: Sequence[Table]) -> Table:
    """Several completed tables as one.

    Data frames are stacked with the columns ``.imp`` (1, 2, ...) and ``.id`` (row, from 1) in front, the long format of
    R's mice; arrays get a leading axis.
    """
    if isinstance(draws[0], np.ndarray):
        return np.stack([np.asarray(draw) for draw in draws])
    stacked = []
    for number, draw in enumerate(draws, start=1):
        frame = draw.reset_index(drop=True) if isinstance(draw, pd.DataFrame) else pd.DataFrame(draw)
        stacked.append(frame.assign(**{".imp": number, ".id": np.arange(1, len(frame) + 1)}))
    whole = pd.concat(stacked, ignore_index=True)
    return whole[[".imp", ".id", *(name for name in whole.columns if name not in (".imp", ".id"))]]


def as_table(rows: Any) -> Table:
    """Rows from a model as a pandas table or an array; other libraries' tables are converted."""
    if isinstance(rows, pd.DataFrame | np.ndarray):
        return rows
    import narwhals as nw

    return nw.from_native(rows, eager_only=True).to_pandas()


def _drawn(saved: Saved, n: int, seed: int) -> Table:
    """Rows drawn from a model; those of a survival model with their times and events, under the names of the fit."""
    drawn = saved.model.sample(n, random_state=seed)
    if not isinstance(drawn, tuple):
        return as_table(drawn)
    rows, outcome = drawn
    named = (None, None) if saved.note is None else (saved.note.time, saved.note.event)
    time, event = named[0] or "time", "event" if named[1] is None or "=" in named[1] else named[1]
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(as_table(rows))
    return table.assign(**{time: outcome["time"], event: outcome["event"].astype(int)})


def _outcome(saved: Saved, whole: Table, name: str, time: str | None, event: str | None) -> tuple[Any, ...]:
    """The outcomes that a survival model scores; nothing for other models."""
    if not hasattr(saved.model, "predict_survival_function"):
        if time is not None or event is not None:
            raise BadInput(f"--time and --event: a {saved.name} predicts no event times; leave them out")
        return ()
    y = saved.outcome(whole, name, time, event) if isinstance(whole, pd.DataFrame) else None
    if y is None:
        raise BadInput(f"the score of a {saved.name} is that of outcomes: name their columns, --time T --event E")
    return (y,)


def _without(whole: Table, drop: Sequence[str], name: str) -> Table:
    if not drop:
        return whole
    if not isinstance(whole, pd.DataFrame):
        raise BadInput(f"--drop {drop[0]}: {name} is an array, whose columns have no names")
    unknown = [column for column in drop if column not in whole.columns]
    if unknown:
        raise BadInput(f"--drop {unknown[0]}: {name} has no such column")
    return whole.drop(columns=list(drop))


def _with_dropped(completed: Table, whole: Table) -> Table:
    """The completed columns put back among those that no model saw, in the order of the table."""
    if not isinstance(completed, pd.DataFrame) or not isinstance(whole, pd.DataFrame):
        return completed
    return whole.assign(**{name: completed[name].to_numpy() for name in completed.columns})[list(whole.columns)]


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        typer.echo(text, err=True)
