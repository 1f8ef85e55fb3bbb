"""How well labels are predicted, and whether the probabilities mean what they say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.calibration import N_BINS, brier_score, calibration_error
from underlie.data.tables import library_of
from underlie.report.facts.judged import Judged
from underlie.report.plain import plain

Array = NDArray[np.float64]
#: 97.5 % quantile of the normal distribution
_Z = 1.959963984540054
#: a larger table of classes against classes is not shown, nor kept
MOST_CLASSES = 30


@final
@dataclass(frozen=True, eq=False)
class Labelled:
    """One column of labels: codes (n,) of the true classes and probabilities (n, K), of the rows that have a label.

    ``probabilities`` is None where the model gives none; for a label that is a number ``classes`` is None, and
    ``true`` and ``predicted`` are numbers.
    """

    name: str
    classes: list[Any] | None
    true: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: Array | None
    n_unlabelled: int


def labelled(model: Any, judged: Judged) -> list[Labelled]:
    """Labels and predictions, column by column.

    Raises
    ------
    ValueError
        If a label is none of the classes of the model.
    """
    return list(_of_targets(model, judged) if hasattr(model, "targets_") else _of_classes(model, judged))


def _of_classes(model: Any, judged: Judged) -> Iterator[Labelled]:
    extra = {} if judged.extra is None else {"extra": judged.extra}
    probabilities = np.asarray(model.predict_proba(judged.X, **extra))
    classes = np.asarray(model.classes_).tolist()
    place = {label: k for k, label in enumerate(classes)}
    labels = _flat(judged.y)
    seen = np.array([not (label is None or label != label) for label in labels])
    unknown = [i for i in np.flatnonzero(seen) if labels[i] not in place]
    if unknown:
        raise ValueError(
            f"y holds {labels[unknown[0]]!r} in row {unknown[0]}, which is none of the classes that the model was "
            f"fitted to: {', '.join(map(repr, classes[:8]))}. Leave such rows out, or mark them as unlabelled by None."
        )
    codes = np.array([place[label] for label, there in zip(labels, seen, strict=True) if there], dtype=np.intp)
    kept = probabilities[seen]
    yield Labelled("y", classes, codes, kept.argmax(axis=1), kept, int((~seen).sum()))


def _of_targets(model: Any, judged: Judged) -> Iterator[Labelled]:
    """Of several columns of labels, each known for some rows, classes or numbers."""
    targets = model.targets_
    true, seen = targets.encode(judged.y, judged.n)
    predicted = np.asarray(model.predict(judged.X))
    predicted = predicted.reshape(len(predicted), -1)
    all_classes = not any(target.is_continuous for target in targets.columns)
    tables = model.predict_proba(judged.X) if all_classes else [None] * len(targets.columns)
    tables = [tables] if targets.single and all_classes else tables
    for j, target in enumerate(targets.columns):
        rows = seen[:, j]
        absent = int((~rows).sum())
        if target.is_continuous:
            numbers = predicted[rows, j].astype(float)
            yield Labelled(target.name, None, target.decode(true[rows, j]), numbers, None, absent)
            continue
        codes, _ = target.encode(predicted[rows, j])
        table = None if tables[j] is None else np.asarray(tables[j])[rows]
        yield Labelled(
            target.name, target.classes.tolist(), true[rows, j].astype(np.intp), codes.astype(np.intp), table, absent
        )


def label_facts(one: Labelled, n_simulations: int, seed: int) -> dict[str, Any]:
    """What a reader asks of one column of predicted labels; rows without a label do not count."""
    base = {"name": one.name, "n": len(one.true), "n_unlabelled": one.n_unlabelled}
    facts = base | (_number_facts(one) if one.classes is None else _class_facts(one, n_simulations, seed))
    made: dict[str, Any] = plain(facts)
    return made


def _number_facts(one: Labelled) -> dict[str, Any]:
    error = one.predicted - one.true
    square = error**2
    n, rmse = len(error), float(np.sqrt(square.mean())) if len(error) else math.nan
    spread = float(one.true.var()) if n else 0.0
    return {
        "kind": "number",
        "rmse": rmse,
        "rmse_se": float(square.std(ddof=1) / math.sqrt(n) / (2 * rmse)) if n > 1 and rmse > 0 else None,
        "mean_error": float(error.mean()) if n else None,
        "mean_error_se": float(error.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
        "sd": math.sqrt(spread),
        "r_squared": 1 - float(square.mean()) / spread if spread > 0 else None,
    }


def _class_facts(one: Labelled, n_simulations: int, seed: int) -> dict[str, Any]:
    assert one.classes is not None
    n, k = len(one.true), len(one.classes)
    table = np.zeros((k, k), dtype=int)
    np.add.at(table, (one.true, one.predicted), 1)
    right = int(np.trace(table))
    facts: dict[str, Any] = {
        "kind": "classes",
        "classes": [str(c) for c in one.classes],
        "accuracy": proportion(right, n),
        "n_right": right,
        "majority": float(table.sum(axis=1).max() / n) if n else None,
        "majority_class": str(one.classes[int(table.sum(axis=1).argmax())]),
        "per_class": [_of_class(table, c, str(label)) for c, label in enumerate(one.classes)],
        "confusion": table if k <= MOST_CLASSES else None,
        "calibration": None,
    }
    if one.probabilities is not None and n:
        facts["calibration"] = _calibration(one.probabilities, one.true, n_simulations, seed)
    return facts


def _of_class(table: NDArray[Any], c: int, name: str) -> dict[str, Any]:
    """How many rows have a class, how many of them are found, and how many of those called so are."""
    n, said, right = int(table[c].sum()), int(table[:, c].sum()), int(table[c, c])
    return {"class": name, "n": n, "n_predicted": said, "found": proportion(right, n), "right": proportion(right, said)}


def _calibration(probabilities: Array, true: NDArray[np.intp], n_simulations: int, seed: int) -> dict[str, Any]:
    """Log loss, Brier score, and the calibration error beside what chance would make of right probabilities."""
    n = len(true)
    own = np.maximum(probabilities[np.arange(n), true], np.finfo(float).tiny)
    losses = -np.log(own)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    error = calibration_error(probabilities, true)
    excess = confidence - right
    by_chance = _errors_by_chance(confidence, n_simulations, seed)
    return {
        "log_loss": float(losses.mean()),
        "log_loss_se": float(losses.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
        "brier": brier_score(probabilities, true),
        "confidence": float(confidence.mean()),
        "overconfidence": float(excess.mean()),
        "overconfidence_se": float(excess.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
        "error": error,
        "error_by_chance": float(by_chance.mean()) if len(by_chance) else None,
        "p": float((1 + (by_chance >= error - 1e-12).sum()) / (1 + len(by_chance))) if len(by_chance) else None,
        "bins": _bins(confidence, right),
    }


def _errors_by_chance(confidence: Array, n_simulations: int, seed: int) -> Array:
    """Calibration errors of labels drawn from the probabilities themselves, (n_simulations,).

    Whether a predicted class is right is then a coin with the stated probability; no more of the labels is needed.
    """
    rng = np.random.default_rng(seed)
    bins = np.clip((confidence * N_BINS).astype(int), 0, N_BINS - 1)
    found = np.empty(n_simulations)
    for i in range(n_simulations):
        excess = (rng.random(len(confidence)) < confidence) - confidence
        found[i] = np.abs(np.bincount(bins, excess, N_BINS)).sum() / len(confidence)
    return found


def _bins(confidence: Array, right: NDArray[np.bool_], most: int = 10) -> list[dict[str, Any]]:
    """Groups of rows of about equal size by the probability of the predicted class."""
    groups = np.array_split(np.argsort(confidence, kind="stable"), min(most, max(1, len(confidence) // 10)))
    return [
        {"confidence": float(confidence[rows].mean()), "right": proportion(int(right[rows].sum()), len(rows))}
        for rows in groups
        if len(rows)
    ]


def proportion(successes: int, n: int) -> dict[str, float] | None:
    """A share with its 95 % interval by Wilson (1927); None of nothing.

    Examples
    --------
    >>> {name: round(value, 3) for name, value in proportion(9, 10).items()}
    {'value': 0.9, 'lower': 0.596, 'upper': 0.982}
    """
    if n == 0:
        return None
    share, square = successes / n, _Z**2 / n
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return {"value": share, "lower": min(share, middle - half), "upper": max(share, middle + half)}


def _flat(y: Any) -> list[Any]:
    """Labels as plain Python values."""
    if library_of(y) is not None:
        import narwhals as nw

        frame = nw.from_native(y, eager_only=True)
        if len(frame.columns) != 1:
            raise ValueError(f"y has {len(frame.columns)} columns: give the labels alone.")
        return list(frame[frame.columns[0]].to_list())
    if hasattr(y, "to_list") and not isinstance(y, np.ndarray):
        return list(y.to_list())
    array = np.array(y, dtype=object) if isinstance(y, list | tuple) else np.asarray(y)
    return list(array.ravel().tolist())
