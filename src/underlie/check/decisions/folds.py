"""Rows of a table: its treatments, its parts, and how it is cut into folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from underlie.check.decisions.arms import Arms, read_arms
from underlie.check.seeds import integer_seed
from underlie.check.survival.outcomes import Outcome
from underlie.data.tables import library_of

Rows = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Treatments:
    """The treatment columns of a table, one or several.

    Attributes
    ----------
    columns : tuple
        Their names, or their positions in an array.
    arms : Arms
        Levels of the one column, or combinations "chemo=1, hormon=0" of the levels of several; and what each row
        received.
    combinations : dict
        Of several columns: {column: level} for every combination.
    """

    columns: tuple[Any, ...]
    arms: Arms
    combinations: dict[str, dict[Any, Any]]

    def argument(self, level: Any) -> Any:
        """A level as the model's methods take it: itself, or {column: level} where there are several columns."""
        return self.combinations[level] if self.combinations else level

    def level(self, said: Any) -> Any:
        """A level as `arms` has it, from what a user or a model calls it.

        Of several columns that is a mapping {column: level}, a tuple of levels, or the combination as text.
        """
        if not self.combinations or said is None:
            return said
        for name, combination in self.combinations.items():
            if said in (name, combination, tuple(combination.values())):
                return name
        return said


def read_treatments(model: Any, X: Any, n: int) -> Treatments:
    """What each row of X received, in the columns that the model calls its treatments."""
    named = getattr(model, "treatments", None)
    if named is None:
        raise ValueError(
            f"model ({type(model).__name__}) has no treatments, so that it recommends none: make it with "
            "treatments='<column of X>'"
        )
    columns = (named,) if isinstance(named, str | int | np.integer) else tuple(named)
    parts = [read_arms(_column(X, column), n, f"treatment {column!r}") for column in columns]
    if len(columns) == 1:
        return Treatments(columns, parts[0], {})
    rows = [{column: part.levels[part.codes[i]] for column, part in zip(columns, parts, strict=True)} for i in range(n)]
    names = [", ".join(f"{column}={level}" for column, level in row.items()) for row in rows]
    return Treatments(columns, read_arms(names, n, f"treatments {columns}"), dict(zip(names, rows, strict=True)))


def _column(X: Any, column: Any) -> list[Any]:
    if library_of(X) is None:
        return np.asarray(X)[:, column].tolist()
    table = nw.from_native(X, eager_only=True)
    if column not in table.columns:
        raise ValueError(f"X has no column {column!r}, which is a treatment of the model; it has {list(table.columns)}")
    return table[column].to_list()


def take(X: Any, rows: Rows) -> Any:
    """Some rows, in the same kind of table."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if library_of(X) is None:
        return np.asarray(X)[rows]
    return nw.from_native(X, eager_only=True)[rows.tolist()].to_native()


def index_of(X: Any, n: int) -> Any:
    """The index of a pandas table, or positions."""
    import pandas as pd

    return X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(n)


def folds(arms: Arms, outcome: Outcome, n_folds: int, rng: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """Training and held-out rows, alike in treatments and, where counts allow it, in events.

    Raises
    ------
    ValueError
        When `n_folds` is not a whole number of at least 2, or a treatment has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    if isinstance(n_folds, bool) or not isinstance(n_folds, int | np.integer) or n_folds < 2:
        raise ValueError(f"n_folds must be a whole number of at least 2, got {n_folds!r}")
    counts = np.bincount(arms.codes, minlength=len(arms.levels))
    if counts.min() < n_folds:
        rare = int(counts.argmin())
        raise ValueError(
            f"treatment {arms.levels[rare]!r} has {counts[rare]} row(s), fewer than n_folds={n_folds}: a model fitted "
            "to the other folds would not know it. Leave these rows out, merge levels, or take fewer folds"
        )
    with_events = 2 * arms.codes + outcome.event
    _, sizes = np.unique(with_events, return_counts=True)
    labels = with_events if sizes.min() >= n_folds else arms.codes
    cut = StratifiedKFold(int(n_folds), shuffle=True, random_state=integer_seed(rng))
    yield from cut.split(np.zeros(len(labels)), labels)
