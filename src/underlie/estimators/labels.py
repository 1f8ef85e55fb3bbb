"""Class labels and class probabilities as the user gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

Floats = NDArray[np.float64]


def checked_labels(y: Any, n: int, name: str) -> NDArray[Any]:
    """y as one axis of n labels, none missing."""
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None. Give the class of each row.")
    labels = column_or_1d(np.asarray(y) if not hasattr(y, "iloc") else y, warn=True)
    if len(labels) != n:
        raise ValueError(
            f"y has {len(labels)} labels, but X has {n} rows: inconsistent numbers of samples. Give one label per row."
        )
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"Input y contains NaN: row {row} has no label. Leave the row out, or use SemiSupervisedVAE. "
            "(more: underlie explain missing-target)"
        )
    if labels.dtype.kind == "f" and np.isinf(labels).any():
        raise ValueError(f"Input y contains infinity: row {int(np.argmax(np.isinf(labels)))}. Correct the label.")
    check_classification_targets(labels)
    return labels


def class_priors(priors: Any, classes: NDArray[Any], codes: NDArray[np.intp]) -> Floats:
    """Class probabilities in the order of ``classes``."""
    n_classes = len(classes)
    if priors is None:
        return np.bincount(codes, minlength=n_classes) / len(codes)
    if isinstance(priors, str):
        if priors != "uniform":
            raise ValueError(f'priors must be None, "uniform", a mapping or an array, got {priors!r}.')
        return np.full(n_classes, 1 / n_classes)
    if isinstance(priors, Mapping):
        absent = [label for label in classes.tolist() if label not in priors]
        if absent or len(priors) != n_classes:
            raise ValueError(f"priors has the keys {list(priors)}, but the classes in y are {classes.tolist()}.")
        priors = [priors[label] for label in classes.tolist()]
    probabilities = np.asarray(priors, dtype=np.float64)
    if probabilities.shape != (n_classes,):
        raise ValueError(f"priors has shape {probabilities.shape}, but y has {n_classes} classes: {classes.tolist()}.")
    if not (probabilities > 0).all() or not np.isclose(probabilities.sum(), 1):
        raise ValueError(f"priors must be positive and sum to 1, got {probabilities.tolist()}.")
    return probabilities / probabilities.sum()
