"""How probable the rows are under the model, with the error of saying so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.report.facts.judged import Judged
from underlie.report.plain import plain

#: a Pareto k above this: the row's estimate is not to be trusted (Vehtari et al. 2024)
_POOR = 0.7
_LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SHOWN_ROWS = 5


def likelihood_facts(model: Any, judged: Judged, n_draws: int | None) -> dict[str, Any] | None:
    """Log-likelihood of the rows, of outcomes given covariates where the model predicts outcomes; None without.

    Parameters
    ----------
    n_draws : int or None
        Draws of the latent variables per row, where the likelihood is estimated; None for the estimator's own.
    """
    if hasattr(model, "predict_survival_function"):
        if judged.y is None:
            return None
        return _facts("outcome given covariates", model.score_samples(judged.X, judged.y), judged)
    if not hasattr(model, "score_samples"):
        return None
    given = {} if n_draws is None or not hasattr(model, "history_") else {"n_importance": n_draws}
    if hasattr(model, "log_likelihood"):
        evidence = model.log_likelihood(judged.X, **given)
        facts = _facts("row", evidence.value, judged)
        known = evidence.pareto_k[np.isfinite(evidence.pareto_k)]
        facts["estimated"] = True
        facts["monte_carlo_se"] = plain(float(np.sqrt((evidence.se**2).sum()) / judged.n))
        facts["poor_rows"] = int((known > _POOR).sum()) if len(known) else None
        return facts
    return _facts("row", model.score_samples(judged.X, **given), judged) | {"estimated": hasattr(model, "history_")}


def _facts(what: str, scores: Any, judged: Judged) -> dict[str, Any]:
    values: NDArray[np.float64] = np.asarray(scores, dtype=float)
    n = len(values)
    se = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    lowest = np.argsort(values, kind="stable")[: min(_SHOWN_ROWS, n - 1)]
    facts = {
        "of": what,
        "mean": float(values.mean()),
        "se": se,
        "n": n,
        "estimated": False,
        "monte_carlo_se": None,
        "poor_rows": None,
        "per_row_quantiles": {f"{q:g}": v for q, v in zip(_LEVELS, np.quantile(values, _LEVELS), strict=True)},
        "least_likely": [{"row": _label(judged, i), "value": values[i]} for i in lowest],
    }
    found: dict[str, Any] = plain(facts)
    return found


def _label(judged: Judged, i: int) -> str:
    """How the table calls a row: its index in pandas, else its position from 0."""
    index = getattr(judged.X, "index", None)
    if index is not None and not callable(index):
        return str(index[int(i)])
    return str(int(judged.rows[i]))
