"""Fit several models to one table and compare them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import typer

from underlie.cli.errors import BadInput
from underlie.cli.fit import Settings, fit_model
from underlie.cli.mixture import mixture_by_bic
from underlie.cli.tables import Table, read_table
from underlie.cli.terminal import print_table
from underlie.report import Alert, Document, Section, provenance, write_report
from underlie.report.comparison import comparison_table

NAMES = ("ppca", "gmm", "vae")
_SHOWN = {"ppca": "pPCA", "gmm": "Gaussian mixture", "vae": "VAE"}
_FEWEST_ROWS = 10


def compare_on_table(
    file: Path,
    names: str,
    settings: Settings,
    *,
    held_out: float,
    out: Path | None,
    drop: Sequence[str] = (),
    array: str | None = None,
    quiet: bool = False,
    command: str | None = None,
) -> None:
    """Fit the named models to a part of the table's rows, compare them on the rest, and print one table."""
    import underlie

    started = time.perf_counter()
    chosen = parse_models(names)
    rows = read_table(file, array=array, drop=drop)
    train, test = split_rows(rows, held_out, settings.seed)
    models = {}
    for name in chosen:
        family = replace(settings, family=name)
        models[_SHOWN[name]] = _fit_mixture(train, settings.seed) if name == "gmm" else fit_model(train, family)
    is_image = isinstance(rows, np.ndarray) and rows.ndim > 2
    frame = underlie.compare(models, test, standardize=not is_image, random_state=settings.seed)
    alerts = _alerts(models)
    shown = comparison_table(
        frame,
        f"{file.name}: {'held-out' if held_out else 'fitted'} rows, n = {len(test):,}",
        training=not held_out,
        note="± is the standard error over rows, for differences paired by row. chance: what a right model would show; "
        "p: share of data sets drawn from the model whose gap is as large. "
        + ("" if is_image else "Gaps are on standardised columns."),
    )
    if not quiet:
        print_table(shown)
        for alert in alerts:
            typer.echo(f"{alert.level}: {alert.title}. {alert.text}", err=True)
    if out is not None:
        made = provenance(command=command, seed=settings.seed, seconds=time.perf_counter() - started)
        lead = f"{', '.join(models)} fitted to {len(train):,} rows of {file.name}, judged on {len(test):,}."
        sections = (Section("Comparison", (shown,)),)
        page = write_report(Document(f"{file.name}: models compared", lead, (), alerts, sections, made), out)
        if not quiet:
            typer.echo(f"report  {page}")


def parse_models(names: str) -> list[str]:
    """``"ppca,vae"`` as a list without repetitions, in the order given."""
    chosen = list(dict.fromkeys(name.strip().lower() for name in names.split(",") if name.strip()))
    unknown = [name for name in chosen if name not in NAMES]
    if unknown or not chosen:
        raise BadInput(f"--models {unknown[0] if unknown else names!r}: choose from {', '.join(NAMES)}")
    return chosen


def split_rows(rows: Table, share: float, seed: int) -> tuple[Table, Table]:
    """Rows to fit to and rows to judge on, at random; the same rows twice when ``share`` is 0."""
    n = len(rows)
    if not share:
        return rows, rows
    n_test = round(share * n)
    if n < _FEWEST_ROWS or n_test < 2:
        raise BadInput(f"{n} rows are too few to hold out a share of {share:g}; use --held-out 0")
    order = np.random.default_rng(seed).permutation(n)
    test, train = np.sort(order[:n_test]), np.sort(order[n_test:])
    return (rows.iloc[train], rows.iloc[test]) if isinstance(rows, pd.DataFrame) else (rows[train], rows[test])


def _fit_mixture(rows: Table, seed: int) -> Any:
    if isinstance(rows, pd.DataFrame):
        text = [str(name) for name, dtype in rows.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
        if text:
            raise BadInput(f"--models gmm: column {text[0]!r} is not numeric; leave gmm out")
    values = rows.to_numpy(dtype=float) if isinstance(rows, pd.DataFrame) else rows
    if np.isnan(values).any():
        raise BadInput("--models gmm: a Gaussian mixture needs a complete table, and cells are missing; leave gmm out")
    return mixture_by_bic(rows if isinstance(rows, pd.DataFrame) else values.reshape(len(values), -1), seed)


def _alerts(models: dict[str, Any]) -> tuple[Alert, ...]:
    """A word of caution where log-likelihoods of different units would be compared."""
    from underlie.data.schema import Schema

    schemas = [model.schema_ for model in models.values() if isinstance(getattr(model, "schema_", None), Schema)]
    discrete = [c.name for c in schemas[0] if c.kind not in ("continuous", "positive", "proportion")] if schemas else []
    if not discrete or len(models) < 2:
        return ()
    text = (
        f"{len(discrete)} column(s), such as {discrete[0]!r}, are discrete. A VAE gives them probabilities, pPCA and "
        "mixtures give them densities, so their log-likelihoods have different units. Compare the gaps instead."
    )
    return (Alert("warning", "Log-likelihoods of different kinds", text),)
