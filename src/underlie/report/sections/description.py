"""What was fitted to what: settings, columns, and what is not in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from underlie.report.document import Block, Cell, Column, Figure, Section, Table, table
from underlie.report.numbers import format_number

Facts = Mapping[str, Any]
#: a table of the schema stays readable up to here
_MOST_COLUMNS = 80
_MOST_LEVELS = 6


def learned_section(facts: Facts, figures: tuple[Figure, ...]) -> Section | None:
    """Pictures of what was learned and how."""
    said = latent_said(facts)
    blocks: tuple[Block, ...] = (*([said] if said else []), *figures)
    return Section("What was learned", blocks) if blocks else None


def latent_said(facts: Facts) -> str:
    """How many latent coordinates tell rows apart."""
    latent = facts["latent"]
    if not latent:
        return ""
    n, active = latent["n_latent"], latent["n_active"]
    which = "All" if active == n else "None" if active == 0 else f"{active}"
    if n == 1:
        return f"The latent coordinate {'varies' if active else 'hardly varies'} over these rows."
    text = f"{which} of {n} latent coordinates vary over these rows"
    text += " (by more than 1 % of what the prior allows)."
    ratio = latent["explained_variance_ratio"]
    if ratio and all(r is not None for r in ratio):
        text += f" They explain {100 * sum(ratio):.1f} % of the variance of the rows that were fitted."
    return text


def model_section(facts: Facts) -> Section:
    """Settings, and what came of them."""
    model = facts["model"]
    rows: list[tuple[Cell, ...]] = [(name, worded(value)) for name, value in model["parameters"].items()]
    learned = (
        ("n_components", "components"),
        ("n_parameters", "numbers learned"),
        ("n_epochs", "epochs"),
        ("best_epoch", "epoch of the weights that were kept"),
        ("n_iter", "iterations"),
        ("converged", "converged"),
        ("fit_seconds", "seconds"),
    )
    rows += [(label, worded(model[name], ",")) for name, label in learned if model[name] is not None]
    shown = table("Settings, and what came of them", (Column(model["class"]), Column("value")), rows)
    return Section("Model", (shown,))


def data_section(facts: Facts) -> Section:
    """What each column was taken for."""
    data = facts["data"]
    if data["is_image"]:
        column = data["columns"][0]
        range_ = values_said(column)
        said = f"Images of {' × '.join(map(str, data['row_shape']))}; their pixels are of the kind {column['kind']}"
        return Section("Data", (f"{said}{f', {range_}' if range_ else ''}.",))
    return Section("Data", (_column_table(data),))


def _column_table(data: Facts) -> Table:
    shown = data["columns"][:_MOST_COLUMNS]
    rows = [(c["name"], c["kind"], values_said(c), c["missing"], c["outside"]) for c in shown]
    columns = (
        Column("column"),
        Column("kind"),
        Column("values at fitting"),
        Column("missing here", "percent"),
        Column("outside here", "integer"),
    )
    hidden = data["n_columns"] - len(shown)
    note = "Outside: cells of these rows beyond the range that the model was fitted to."
    note += f" {hidden:,} more columns are not shown." if hidden > 0 else ""
    return table("Columns", columns, rows, note)


def left_out_section(facts: Facts) -> Section | None:
    """What a reader might look for in vain, and why."""
    said = tuple(f"{one['part']}. {one['why']}" for one in facts["left_out"])
    return Section("Not in this report", said) if said else None


def values_said(column: Facts) -> str:
    """Levels or range of a column."""
    if column["levels"] is not None:
        levels = [str(level) for level in column["levels"]]
        more = f", … ({len(levels)} levels)" if len(levels) > _MOST_LEVELS else ""
        return ", ".join(levels[:_MOST_LEVELS]) + more
    if column["low"] is None or column["high"] is None:
        return ""
    return f"{format_number(column['low'])} to {format_number(column['high'])}"


def worded(value: Any, grouping: str = "") -> str:
    """A setting as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, list):
        return ", ".join(worded(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {worded(item)}" for key, item in value.items())
    return f"{value:{grouping}}" if isinstance(value, int) else str(value)
