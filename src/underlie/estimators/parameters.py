"""Checks of the parameters of gradient-learned estimators, all made before any work."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from underlie.data import Encoder
from underlie.data.rules import Kinds
from underlie.data.schema import Kind
from underlie.distributions import kinds_for
from underlie.estimators.base import checked_count
from underlie.warnings import DataWarning


def check_number(value: Any, name: str, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Refuse what is no finite number between ``low`` (or above it) and ``high``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the numbers that are allowed.
    """
    if high < math.inf:
        allowed = f"a number between {low:g} and {high:g}"
    else:
        allowed = f"a finite number {'above' if above else 'of at least'} {low:g}"
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}, got {value!r}.")
    if not low <= value <= high or (above and value == low) or not math.isfinite(value):
        raise ValueError(f"{name} must be {allowed}, got {value!r}.")


def check_widths(value: Any, name: str) -> None:
    """Refuse what is no sequence of whole numbers of at least one."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name} must be a sequence of whole numbers, such as (64, 64), got {value!r}.")
    for position, width in enumerate(value):
        checked_count(width, f"{name}[{position}]")


def check_likelihood(value: Any) -> None:
    """Refuse a likelihood that is neither a known name nor a mapping from columns to known names."""
    if not isinstance(value, (str, Mapping)):
        raise TypeError(f"likelihood must be a name or a dict from column to name, got a {type(value).__name__}.")
    if isinstance(value, Mapping):
        for column, name in value.items():
            if not isinstance(name, str):
                raise TypeError(f"likelihood[{column!r}] must be a name, got a {type(name).__name__}.")
    kinds_for(value)


def kinds_to_encode(X: Any, likelihood: str | Mapping[str | int, str], kinds: Kinds) -> Kinds:
    """Kinds of the columns of X that the likelihoods asked for can describe; those that the user stated come first."""
    if kinds_for(likelihood) in (None, {}) or isinstance(kinds, str):
        return kinds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the encoder proper gives it again
        schema = Encoder.fit(X, kinds).schema
    asked = kinds_for(likelihood, schema)
    if not kinds or not asked:
        return asked or kinds
    joined: dict[str | int, Kind] = {}
    joined.update(dict.fromkeys(schema.names, asked) if isinstance(asked, str) else asked)
    joined.update(kinds)
    return joined


@contextmanager
def undone_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Leave the estimator as it was before the body if the body fails: unfitted, or fitted as before."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
