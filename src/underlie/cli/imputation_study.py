"""How well hidden cells are imputed: cells of a complete table are hidden at random, several times, and filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from underlie.data.schema import DISCRETE, Schema
from underlie.report.document import Cell, Column, Estimate, Table, table

#: (table with missing cells, seed) -> completed table
Imputer = Callable[[pd.DataFrame, int], pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """Errors of every method on every mask.

    Attributes
    ----------
    methods : tuple of str
        The first is the one that the others are compared with.
    numeric, discrete : ndarray (methods, masks)
        Root mean square error of hidden numeric cells in standard deviations of their column, and share of hidden
        discrete cells that were given a wrong level.
    by_column : dict of column name to ndarray (methods, masks)
        The same error for each column alone.
    n_hidden : int
        Cells hidden per mask, on average.
    """

    methods: tuple[str, ...]
    numeric: NDArray[np.float64]
    discrete: NDArray[np.float64]
    by_column: dict[str, NDArray[np.float64]]
    kinds: dict[str, str]
    n_hidden: float


def run_study(
    X: pd.DataFrame,
    methods: Mapping[str, Imputer],
    *,
    share: float,
    n_masks: int,
    seed: int,
    report: Callable[[int], None],
) -> Study:
    """Hide a share of the cells of a complete table, fill them in by every method, and measure the errors.

    Parameters
    ----------
    X : DataFrame (n, C)
        Complete.
    methods : mapping of name to imputer
        All see the same masks.
    share : float
        Probability that a cell is hidden, independently of everything.
    n_masks : int
        Repetitions; their spread gives the standard errors.
    seed : int
    report : callable
        Called with the number of each finished mask.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If X has missing cells: errors could not be measured there.
    """
    if X.isna().to_numpy().any():
        raise ValueError("X must be complete: the truth of every hidden cell is needed")
    kinds = {column.name: column.kind for column in Schema.infer(X)}
    discrete = np.array([kinds[str(name)] in DISCRETE for name in X.columns])
    generator = np.random.default_rng(seed)
    errors = np.empty((len(methods), n_masks, len(X.columns)))
    hidden_counts = np.empty((n_masks, len(X.columns)))
    for k in range(n_masks):
        hidden = generator.random(X.shape) < share
        hidden_counts[k] = hidden.sum(axis=0)
        holed = X.mask(hidden)
        for i, impute in enumerate(methods.values()):
            errors[i, k] = _mean_errors(X, impute(holed, seed + k), hidden, discrete)
        report(k + 1)
    by_column = {
        str(name): np.where(discrete[j], errors[..., j], np.sqrt(errors[..., j])) for j, name in enumerate(X.columns)
    }
    return Study(
        methods=tuple(methods),
        numeric=np.sqrt(_pool(errors[..., ~discrete], hidden_counts[:, ~discrete])),
        discrete=_pool(errors[..., discrete], hidden_counts[:, discrete]),
        by_column=by_column,
        kinds={name: str(kind) for name, kind in kinds.items()},
        n_hidden=float(hidden_counts.sum(1).mean()),
    )


def _pool(errors: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over all hidden cells, (methods, masks), of the columns' means, (methods, masks, columns)."""
    return np.asarray((np.nan_to_num(errors) * counts).sum(axis=2) / counts.sum(axis=1))


def _mean_errors(
    truth: pd.DataFrame, completed: pd.DataFrame, hidden: NDArray[np.bool_], discrete: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Per column, over its hidden cells: share of wrong levels, or mean squared error over the variance."""
    errors = np.full(len(truth.columns), np.nan)
    for j, name in enumerate(truth.columns):
        at = hidden[:, j]
        if not at.any():
            continue
        true, guess = truth[name][at], completed[name][at]
        if discrete[j]:
            errors[j] = float(np.mean(true.astype(str).to_numpy() != guess.astype(str).to_numpy()))
        else:
            difference = guess.to_numpy(dtype=float) - true.to_numpy(dtype=float)
            errors[j] = float(np.mean(difference**2) / truth[name].var())
    return errors


def mean_or_mode(X: pd.DataFrame) -> Imputer:
    """What everything else must beat: a column's mean, or most frequent level; ``X`` tells which are which."""
    modal = [column.kind in DISCRETE for column in Schema.infer(X)]

    def impute(holed: pd.DataFrame, seed: int) -> pd.DataFrame:
        fillers = (holed.iloc[:, j].mode()[0] if use else holed.iloc[:, j].mean() for j, use in enumerate(modal))
        return pd.DataFrame({name: holed[name].fillna(fill) for name, fill in zip(holed.columns, fillers, strict=True)})

    return impute


def study_table(study: Study, caption: str) -> Table:
    """Both errors of every method with standard errors over masks, and the paired difference to the first method."""
    columns = (
        Column("method"),
        Column("RMSE, numeric (sd)", "estimate", better="low"),
        Column(f"less {study.methods[0]}", "estimate"),
        Column("wrong levels, discrete", "estimate", better="low"),
        Column(f"less {study.methods[0]}", "estimate"),
    )
    rows = [
        (
            method,
            _over_masks(study.numeric[i]),
            None if i == 0 else _over_masks(study.numeric[i] - study.numeric[0]),
            _over_masks(study.discrete[i]),
            None if i == 0 else _over_masks(study.discrete[i] - study.discrete[0]),
        )
        for i, method in enumerate(study.methods)
    ]
    n_masks = study.numeric.shape[1]
    note = (
        f"± is the standard error over {n_masks} random masks of {study.n_hidden:,.0f} cells; differences are "
        "paired by mask. Negative differences are improvements."
    )
    return table(caption, columns, rows, note)


def column_table(study: Study, caption: str) -> Table:
    """The error of every method on every column."""
    columns = (Column("column"), Column("kind"), *(Column(method, "estimate") for method in study.methods))
    rows: list[tuple[Cell, ...]] = [
        (name, study.kinds[name], *(_over_masks(errors[i]) for i in range(len(study.methods))))
        for name, errors in study.by_column.items()
    ]
    return table(
        caption, columns, rows, "Numeric columns: RMSE in standard deviations. Discrete ones: share of wrong levels."
    )


def study_facts(study: Study) -> dict[str, Any]:
    """Every error of every mask, as plain data."""
    return {
        "methods": list(study.methods),
        "rmse_numeric": study.numeric.tolist(),
        "wrong_discrete": study.discrete.tolist(),
        "cells_hidden_per_mask": study.n_hidden,
    }


def _over_masks(values: NDArray[np.float64] | Sequence[float]) -> Estimate:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    se = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None
    return Estimate(float(known.mean()) if len(known) else float("nan"), se)
