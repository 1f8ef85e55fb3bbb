"""The table that :func:`underlie.compare` returns, as a table of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from underlie.report.document import Cell, Column, Estimate, Table, table

if TYPE_CHECKING:
    import pandas as pd


def comparison_table(frame: pd.DataFrame, caption: str, *, training: bool = False, note: str = "") -> Table:
    """A report table from a comparison of models.

    Parameters
    ----------
    frame : DataFrame
        From :func:`underlie.compare`.
    caption : str
    training : bool
        Whether the rows are those that the models were fitted to. AIC, BIC and the number of parameters are shown only
        then, for only then do they mean something, and moment gaps with their p-values only otherwise: on the rows it
        was fitted to, a model's gaps are too small.
    note : str
        Stands under the table.

    Returns
    -------
    Table

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> from sklearn.decomposition import PCA
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> frame = ul.compare({"one axis": PCA(1).fit(X), "two axes": PCA(2).fit(X)}, X)
    >>> comparison_table(frame, "Fit", training=True).columns[1].header
    'nats per row'
    """
    columns = [
        Column("model"),
        Column("nats per row", "estimate", better="high"),
        Column("to the best", "estimate"),
        *(_CRITERIA if training else _GAPS),
        Column("fit, s", "number", decimals=2),
    ]
    rows = [_row(str(name), row, training) for name, row in frame.iterrows()]
    return table(caption, columns, rows, note)


_CRITERIA = (
    Column("parameters", "integer"),
    Column("AIC", "integer", better="low"),
    Column("BIC", "integer", better="low"),
)
_GAPS = (
    Column("mean gap", "number", better="low"),
    Column("chance", "number"),
    Column("p", "number", decimals=3),
    Column("second gap", "number", better="low"),
    Column("chance", "number"),
    Column("p", "number", decimals=3),
)


def _row(name: str, row: pd.Series[Any], training: bool) -> list[Cell]:
    best = row["delta_log_likelihood"] == 0
    shown = (
        ("n_parameters", "aic", "bic")
        if training
        else tuple(f"mega_{k}{part}" for k in (1, 2) for part in ("", "_floor", "_p"))
    )
    return [
        name,
        Estimate(float(row["log_likelihood"]), float(row["log_likelihood_se"])),
        None if best else Estimate(float(row["delta_log_likelihood"]), float(row["delta_se"])),
        *(float(row[name]) for name in shown),
        float(row["fit_time"]),
    ]
