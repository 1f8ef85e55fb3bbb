"""Everything worth saying about one fitted model, as plain data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from underlie.report.plain import plain
from underlie.report.provenance import provenance
from underlie.warnings import ConvergenceWarning, DataWarning, ImportanceSamplingWarning, UnderlieWarning

SUMMARY_FORMAT = "underlie-summary/1"

#: a moment gap this many times the one that a right model shows by chance is worth an alert
_LARGE_GAP = 3.0
#: share of missing cells above which a column says little
_MOSTLY_MISSING = 0.5
_TITLES: dict[type[Warning], str] = {
    ConvergenceWarning: "Training",
    DataWarning: "Data",
    ImportanceSamplingWarning: "Log-likelihood",
}
#: replicates whose held-out bounds differ by more nats per row than this found different solutions
_DIVERGENT = 1.0


def summarize(
    model: Any,
    X: Any,
    *,
    title: str | None = None,
    seed: int | None = None,
    command: str | None = None,
    seconds: float | None = None,
    caught: Sequence[warnings.WarningMessage] = (),
    random_state: int | None = 0,
) -> dict[str, Any]:
    """Facts about a fitted model and the data that it is judged on, as JSON types; nothing is rounded or worded.

    Parameters
    ----------
    model : fitted estimator of this package
    X : table, array or images of n rows
        What log-likelihood and moment gap are computed on; in nats per row, on the scale of the data.
    title : str, optional
        What the page is called.
    seed : int, optional
        The seed that the model was fitted with, for the record.
    command : str, optional
        What was typed, for the record.
    seconds : float, optional
        How long the whole work took.
    caught : sequence of warnings.WarningMessage
        Warnings recorded while the model was fitted. Those of this package become alerts, as do those that the
        checks themselves raise.
    random_state : int, optional
        For the Monte Carlo parts of the checks.

    Returns
    -------
    dict
        With the keys ``format``, ``title``, ``model``, ``data``, ``log_likelihood``, ``moments``, ``history``,
        ``alerts`` and ``provenance``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model was not fitted.
    ValueError
        If X does not have the columns that the model was fitted to.

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> facts = summarize(ul.ProbabilisticPCA(n_components=1).fit(X), X)
    >>> facts["model"]["class"], facts["data"]["n_rows"], facts["log_likelihood"]["n"]
    ('ProbabilisticPCA', 200, 200)
    """
    # Imported here: torch-heavy modules are not needed to render a report that already exists.
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    with warnings.catch_warnings(record=True) as own:
        warnings.simplefilter("always", UnderlieWarning)
        facts: dict[str, Any] = {
            "format": SUMMARY_FORMAT,
            "title": title or f"{type(model).__name__} fit",
            "model": _model_facts(model),
            "data": _data_facts(model, X),
            "log_likelihood": _log_likelihood(model, X),
            "moments": _moment_facts(model, X, random_state),
            "history": _history_facts(model),
            "provenance": provenance(command=command, seed=seed, seconds=seconds),
        }
    facts["alerts"] = _find_alerts(facts, [*caught, *own])
    return facts


def _find_alerts(facts: Mapping[str, Any], caught: Sequence[warnings.WarningMessage]) -> list[dict[str, str]]:
    """What the reader must know before the results: a list of ``{"level", "title", "text"}``, most serious first."""
    told = [item for item in caught if issubclass(item.category, UnderlieWarning)]
    of_training = any(issubclass(item.category, ConvergenceWarning) for item in told)
    found = [
        *(_alert("warning", title, text) for title, text in dict.fromkeys(map(_told, told))),
        *([] if of_training else _training_alerts(facts["model"])),
        *_replicate_alerts(facts),
        *_data_alerts(facts),
        *_moment_alerts(facts),
    ]
    order = ("error", "warning", "note")
    return sorted(found, key=lambda alert: order.index(alert["level"]))


def _told(item: warnings.WarningMessage) -> tuple[str, str]:
    """Title and text of a warning, the text as a sentence."""
    text = str(item.message)
    return _TITLES.get(item.category, "Warning"), text[:1].upper() + text[1:]


def _model_facts(model: Any) -> dict[str, Any]:
    history = getattr(model, "history_", None)
    return {
        "class": type(model).__name__,
        "parameters": plain(model.get_params(deep=False)),
        "n_parameters": plain(getattr(model, "n_parameters_", None)),
        "fit_seconds": plain(getattr(model, "fit_time_", None)),
        "n_epochs": None if history is None else int(np.shape(history["train"])[1]) - 1,
        "n_iter": plain(getattr(model, "n_iter_", None)),
        "converged": _converged(model),
        "restarts": plain(getattr(model, "restarts_", None)),
        "best_replicate": plain(getattr(model, "best_replicate_", None)),
    }


def _converged(model: Any) -> bool | None:
    """Whether fitting ended because nothing was left to gain; None for models that are not fitted by iteration."""
    if hasattr(model, "converged_"):
        return None if model.converged_ is None else bool(model.converged_)
    if not hasattr(model, "best_epoch_"):
        return None
    epochs = np.shape(model.history_["train"])[1] - 1
    return bool(np.max(model.best_epoch_) < epochs or epochs < model.max_epochs)


def _data_facts(model: Any, X: Any) -> dict[str, Any]:
    encoded = model.encoder_.encode(X)
    n, width = encoded.values.shape
    missing = np.zeros(width) if encoded.observed is None else 1.0 - encoded.observed.mean(axis=0)
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "levels": None if column.levels is None else plain(column.levels),
            "low": plain(getattr(column, "low", None)),
            "high": plain(getattr(column, "high", None)),
            "missing": float(share),
        }
        for column, share in zip(model.schema_, missing, strict=True)
    ]
    return {"n_rows": int(n), "n_columns": int(width), "missing": float(missing.mean()), "columns": columns}


def _log_likelihood(model: Any, X: Any) -> dict[str, Any]:
    scores = np.asarray(model.score_samples(X), dtype=float)
    n = len(scores)
    se = float(scores.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return {"mean": plain(float(scores.mean())), "se": plain(se), "n": n, "per_row_quantiles": _quantiles(scores)}


def _quantiles(scores: np.ndarray) -> dict[str, Any]:
    levels = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    return {f"{level:g}": plain(float(value)) for level, value in zip(levels, np.quantile(scores, levels), strict=True)}


def _moment_facts(model: Any, X: Any, random_state: int | None) -> dict[str, Any] | None:
    from underlie.check.mega import mega

    if model.encoder_.encode(X).values.shape[0] < 2:
        return None
    # In the units of a table its widest column would be all there is to see; pixels share their unit, and
    # standardising would blow up those that hardly vary.
    is_table = len(model.encoder_.row_shape) == 1
    result = mega(model, X, order=2, standardize=is_table, n_bootstrap=0, random_state=random_state)
    facts: dict[str, Any] = {"exact": result.exact, "standardized": result.standardized}
    for name, gap in (("first", result.orders[1]), ("second", result.orders[2])):
        facts |= {name: gap.value, f"{name}_se": gap.mc_se, f"floor_{name}": gap.floor}
    return {name: plain(value) for name, value in facts.items()}


def _history_facts(model: Any) -> dict[str, Any] | None:
    history = getattr(model, "history_", None)
    return None if history is None else plain(dict(history))


def _training_alerts(model: Mapping[str, Any]) -> list[dict[str, str]]:
    alerts = []
    if model["converged"] is False:
        text = "Training stopped at its limit before it converged. Raise max_epochs or max_iter and fit again."
        alerts.append(_alert("warning", "Not converged", text))
    if model["restarts"] is not None and np.sum(model["restarts"]) > 0:
        text = f"{int(np.sum(model['restarts']))} restart(s). A smaller learning_rate makes training steadier."
        alerts.append(_alert("warning", "Training diverged and was restarted", text))
    return alerts


def _replicate_alerts(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    spread = _replicate_spread(facts["history"])
    if spread is None or spread <= _DIVERGENT:
        return []
    text = f"Held-out bounds of the replicates differ by up to {spread:.1f} nats per row; the best one is used."
    return [_alert("warning", "Replicates found different solutions", text)]


def _replicate_spread(history: Mapping[str, Any] | None) -> float | None:
    """Range over replicates of the best held-out bound, in nats per row."""
    if not history or len(history.get("valid") or ()) < 2:
        return None
    best = [
        max(value for value in curve if value is not None)
        for curve in history["valid"]
        if any(v is not None for v in curve)
    ]
    return max(best) - min(best) if len(best) > 1 else None


def _data_alerts(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    data, alerts = facts["data"], []
    sparse = [column["name"] for column in data["columns"] if column["missing"] > _MOSTLY_MISSING]
    if sparse:
        shown = ", ".join(sparse[:5]) + (" …" if len(sparse) > 5 else "")
        text = f"In {len(sparse)} column(s) more than half of the cells are missing: {shown}. There the model decides."
        alerts.append(_alert("note", "Mostly missing columns", text))
    size = facts["model"]["n_parameters"]
    if size is not None and size > data["n_rows"] * data["n_columns"]:
        cells = data["n_rows"] * data["n_columns"]
        text = f"{size:,} parameters against {cells:,} cells here. Judge the model on rows that it has not seen."
        alerts.append(_alert("note", "More parameters than cells", text))
    return alerts


def _moment_alerts(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    moments = facts["moments"]
    if not moments or not moments["floor_second"] or moments["second"] is None:
        return []
    ratio = moments["second"] / moments["floor_second"]
    if ratio < _LARGE_GAP:
        return []
    text = (
        f"The gap of the second moments is {ratio:.1f} times what a right model shows by chance at this sample size. "
        "Samples and simulations from the model carry that difference."
    )
    return [_alert("note", "The model does not reproduce the data's moments", text)]


def _alert(level: str, title: str, text: str) -> dict[str, str]:
    return {"level": level, "title": title, "text": text}
