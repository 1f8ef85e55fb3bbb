"""Whether data and model have the same moments."""

from __future__ import annotations

from typing import Any

from underlie.check.mega import mega
from underlie.report.facts.judged import Judged
from underlie.report.plain import plain

_SHOWN_TERMS = 5


class NotAnswered(ValueError):
    """A part of a report that these rows or this model have no answer to; the message says why."""


def moment_result(model: Any, judged: Judged, n_simulations: int, seed: int) -> Any:
    """The gaps of the first two moments.

    Raises
    ------
    NotAnswered
        If there are none.
    """
    if not hasattr(model, "score_samples"):
        raise NotAnswered("the model gives labels to rows and no distribution of rows, which would have moments")
    if hasattr(model, "predict_survival_function"):
        raise NotAnswered("the model is one of outcomes given covariates, and is judged by its predictions")
    if judged.n < 2:
        raise NotAnswered("moments need at least two rows")
    try:
        return mega(
            model,
            judged.X,
            order=2,
            standardize=is_table(model),
            n_bootstrap=n_simulations,
            random_state=seed,
        )
    except (ValueError, TypeError, MemoryError) as error:
        raise NotAnswered(str(error)) from error


def is_table(model: Any) -> bool:
    """Whether columns have units of their own.

    In the units of a table its widest column would be all there is to see; pixels share their unit, and standardising
    would blow up those that hardly vary.
    """
    return len(model.encoder_.row_shape) == 1


def moment_facts(result: Any) -> dict[str, Any]:
    """Gaps of means and second moments, what chance would make of a right model, p-values, and the worst entries."""
    facts: dict[str, Any] = {
        "exact": result.exact,
        "standardized": result.standardized,
        "null": result.null,
        "n": result.n,
        "n_coordinates": len(result.feature_names),
    }
    for name, gap in (("first", result.orders[1]), ("second", result.orders[2])):
        facts |= {
            name: gap.value,
            f"{name}_se": gap.mc_se,
            f"floor_{name}": gap.floor,
            f"p_{name}": gap.p_value,
        }
    facts["terms"] = _terms(result)
    made: dict[str, Any] = plain(facts)
    return made


def _terms(result: Any) -> list[dict[str, Any]]:
    """The entries of the second moments that miss by most, in units of chance; none in the Gram form."""
    if result.form == "gram":
        return []
    table = result.terms(2).head(_SHOWN_TERMS)
    return [
        {"columns": [row.column_1, row.column_2], "gap": row.gap, "z": row.z, "p": row.p_adjusted}
        for row in table.itertuples()
    ]
