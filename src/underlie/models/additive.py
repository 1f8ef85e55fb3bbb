r"""Columns of a table as terms of an additive regression: straight lines, normal scores, smooth departures, levels.

Every term of a numeric column is a piecewise-linear function, given by its values at quantiles of that column. Beyond
the data it stays constant: no patient was seen there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from underlie.data import Encoded, Schema

Floats = NDArray[np.float64]

_N_KNOTS = 24
#: Knots of the natural spline whose shapes the smooth terms have; two fewer terms than knots.
_SPLINE_KNOTS = 6
#: A column whose third standardised moment is above this also enters by its normal scores.
_SKEWED = 0.5
#: A level, or a missing cell, that fewer rows have gets no term of its own.
_FEW = 3
_LEVELLED = ("binary", "categorical")


@final
@dataclass(frozen=True)
class ColumnTerms:
    """The terms of one column: values at knots, or levels; and whether "missing" is a term of its own.

    Attributes
    ----------
    column : int
        Position among the encoded columns.
    knots : list of float
        Increasing; for a column with levels, the codes that have a term.
    table : list of list of float, (knots, terms)
        Value of each term at each knot; linear in between, constant beyond. For levels, its value at each level.
    groups : list of str
        "main" or "smooth", for each term.
    levels : bool
        Whether the knots are codes of levels; others then have the value 0.
    missing : (mean, sd) or None
        Of the indicator of a missing cell.
    """

    column: int
    knots: list[float]
    table: list[list[float]]
    groups: list[str]
    levels: bool
    missing: tuple[float, float] | None


@final
@dataclass(frozen=True)
class AdditiveBasis:
    """Encoded rows to the terms of an additive regression.

    Each term has mean 0 and variance 1 over those of the rows it was made of in which its column is observed. Missing
    cells have the value 0 in the terms of their column, and a term of their own where enough rows miss it.

    Attributes
    ----------
    columns : tuple of ColumnTerms
        Columns that vary.

    References
    ----------
    Hastie & Tibshirani (1986), Generalized additive models.
    """

    columns: tuple[ColumnTerms, ...]

    @classmethod
    def of(cls, schema: Schema, encoded: Encoded) -> Self:
        """The basis for a table.

        Parameters
        ----------
        schema : Schema
            Kinds of the columns.
        encoded : Encoded
            The rows that are learned from.
        """
        values = encoded.values
        observed = np.ones(values.shape, dtype=bool) if encoded.observed is None else encoded.observed
        made = [
            _levels(j, values[:, j], observed[:, j])
            if column.kind in _LEVELLED
            else _curves(j, values[:, j], observed[:, j])
            for j, column in enumerate(schema)
        ]
        return cls(tuple(terms for terms in made if terms is not None))

    @property
    def groups(self) -> list[str]:
        """The group of each term: "main" for lines, normal scores, levels and missingness, "smooth" for departures."""
        return [g for c in self.columns for g in (*c.groups, *(["main"] if c.missing else []))]

    def __len__(self) -> int:
        return len(self.groups)

    def __call__(self, encoded: Encoded) -> Floats:
        """(n, terms)."""
        n = len(encoded)
        blocks = [_evaluate(c, encoded) for c in self.columns]
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((n, 0))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values from which `from_json` makes the same basis."""
        return [asdict(c) for c in self.columns]

    @classmethod
    def from_json(cls, data: Sequence[dict[str, Any]]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            tuple(ColumnTerms(**{**c, "missing": None if c["missing"] is None else tuple(c["missing"])}) for c in data)
        )


def _evaluate(terms: ColumnTerms, encoded: Encoded) -> Floats:
    x = encoded.values[:, terms.column]
    seen = np.ones(len(x), dtype=bool) if encoded.observed is None else encoded.observed[:, terms.column]
    table, knots = np.asarray(terms.table), np.asarray(terms.knots)
    if not terms.groups:
        block = np.zeros((len(x), 0))
    elif terms.levels:
        indicator = (x[:, None] == knots).astype(float)
        block = indicator @ table + (1.0 - indicator.sum(1, keepdims=True)) * _elsewhere(terms)
    else:
        block = np.column_stack([np.interp(x, knots, table[:, j]) for j in range(table.shape[1])])
    block = np.where(seen[:, None], block, 0.0)
    if terms.missing is None:
        return block
    mean, sd = terms.missing
    return np.column_stack([block, (~seen - mean) / sd])


def _elsewhere(terms: ColumnTerms) -> Floats:
    """The value of each level's indicator at another level: that off the diagonal of its table."""
    table = np.asarray(terms.table)
    if len(table) == 1:  # an indicator of mean m and variance m (1 - m), of which only the value at 1 is kept
        return np.asarray(-1.0 / table[0])
    return np.asarray([table[(j + 1) % len(table), j] for j in range(len(table))])


def _levels(column: int, x: Floats, seen: NDArray[np.bool_]) -> ColumnTerms | None:
    """One standardised indicator per level that enough rows have; of two levels, one indicator says all."""
    levels, counts = np.unique(x[seen], return_counts=True)
    kept = levels[(counts >= _FEW) & (counts <= counts.sum() - _FEW)]
    if len(levels) == 2:
        kept = kept[1:]
    missing = _missingness(seen)
    if not len(kept) and missing is None:
        return None
    share = np.array([np.mean(x[seen] == level) for level in kept])
    sd = np.sqrt(share * (1.0 - share))
    table = (np.eye(len(kept)) - share) / sd
    return ColumnTerms(column, kept.tolist(), table.tolist(), ["main"] * len(kept), True, missing)


def _curves(column: int, x: Floats, seen: NDArray[np.bool_]) -> ColumnTerms | None:
    """A line, normal scores where the column is skewed, and smooth departures from them."""
    found = x[seen]
    distinct = np.unique(found)
    missing = _missingness(seen)
    if len(distinct) < 2:
        return None if missing is None else ColumnTerms(column, [0.0, 1.0], [[], []], [], False, missing)
    knots = distinct if len(distinct) <= _N_KNOTS else np.unique(np.quantile(found, np.linspace(0, 1, _N_KNOTS)))
    table, groups = [knots], ["main"]
    if len(distinct) > 2:
        scores = _normal_scores(knots, found)
        if abs(np.mean(((found - found.mean()) / found.std()) ** 3)) > _SKEWED:
            table.append(scores)
            groups.append("main")
        smooth = _departures(knots, scores, found)
        table += list(smooth.T)
        groups += ["smooth"] * smooth.shape[1]
    at_knots = np.column_stack(table)
    at_rows = np.column_stack([np.interp(found, knots, t) for t in at_knots.T])
    sd = at_rows.std(0)
    usable = sd > 1e-8 * np.maximum(1.0, np.abs(at_rows).max(0))
    at_knots = (at_knots[:, usable] - at_rows.mean(0)[usable]) / sd[usable]
    groups = [g for g, u in zip(groups, usable, strict=True) if u]
    return ColumnTerms(column, knots.tolist(), at_knots.tolist(), groups, False, missing)


def _normal_scores(knots: Floats, found: Floats) -> Floats:
    """Standard normal quantiles of the mid-ranks of the knots (van der Waerden)."""
    ordered, n = np.sort(found), len(found)
    rank = 0.5 * (np.searchsorted(ordered, knots, "left") + np.searchsorted(ordered, knots, "right")) / n
    scores: Floats = norm.ppf(np.clip(rank, 0.5 / n, 1.0 - 0.5 / n))
    return scores


def _departures(knots: Floats, scores: Floats, found: Floats) -> Floats:
    """Values at the knots of natural cubic splines in the normal scores, uncorrelated with these and each other."""
    at_rows = np.interp(found, knots, scores)
    places = np.unique(np.round(np.quantile(at_rows, np.linspace(0.02, 0.98, min(_SPLINE_KNOTS, len(knots)))), 6))
    if len(places) < 3:
        return np.zeros((len(knots), 0))
    raw = _natural_cubic(scores, places)
    of_rows = np.column_stack([np.interp(found, knots, r) for r in raw.T])
    straight = np.column_stack([np.ones(len(found)), at_rows])
    line = np.linalg.lstsq(straight, of_rows, rcond=None)[0]
    left = raw - np.column_stack([np.ones(len(knots)), scores]) @ line
    _, size, turn = np.linalg.svd(of_rows - straight @ line, full_matrices=False)
    kept = size > 1e-3 * size[0] if size[0] > 1e-10 else np.zeros(len(size), dtype=bool)
    departures: Floats = left @ turn[kept].T / np.where(kept, size, 1.0)[kept]
    return departures


def _natural_cubic(x: Floats, knots: Floats) -> Floats:
    """The truncated powers of natural cubic splines: linear beyond the outer knots (Hastie et al., 2009, eq 5.4)."""

    def power(k: int) -> Floats:
        rise: Floats = (np.maximum(x - knots[k], 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3) / (knots[-1] - knots[k])
        return rise

    last = power(len(knots) - 2)
    return np.column_stack([power(k) - last for k in range(len(knots) - 2)])


def _missingness(seen: NDArray[np.bool_]) -> tuple[float, float] | None:
    absent = int((~seen).sum())
    if absent < _FEW or absent > len(seen) - _FEW:
        return None
    share = absent / len(seen)
    return share, float(np.sqrt(share * (1.0 - share)))
