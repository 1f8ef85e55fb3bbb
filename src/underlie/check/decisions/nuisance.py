r"""What estimates of decisions are adjusted for: S(t | x, a), p(a | x) and G(t | x, a), in a user's own forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.check.decisions.arms import Arms, find_level
from underlie.check.decisions.curves import RowCurves
from underlie.check.survival.curves import Interpolation, read_curves, read_grid
from underlie.check.survival.kaplan_meier import censoring_curve, survival_curve
from underlie.check.survival.outcomes import Outcome
from underlie.warnings import DataWarning, warn

Array = NDArray[np.float64]
CurveFunction = Callable[[Any, Array], ArrayLike]
CurvesByLevel = ArrayLike | Mapping[Any, ArrayLike] | CurveFunction | str
Shares = ArrayLike | Mapping[Any, ArrayLike] | str  # or a DataFrame, which ArrayLike includes
N_GRID = 200
SUM_SLACK = 1e-3


def default_grid(outcome: Outcome, time: float, n_grid: int = N_GRID) -> Array:
    """Times at which curves are asked for: quantiles of the follow-up until the time, and the time itself."""
    inside = np.unique(outcome.time[(outcome.time > 0) & (outcome.time < time)])
    if len(inside) > n_grid:
        inside = inside[np.linspace(0, len(inside) - 1, n_grid).astype(np.intp)]
    return np.append(inside, time)


def read_times(times: ArrayLike | None, outcome: Outcome, time: float) -> Array:
    """The grid as given, which must reach the time, or the default one."""
    if times is None:
        return default_grid(outcome, time)
    grid = read_grid(times)
    if grid[-1] < time:
        raise ValueError(f"times end at {grid[-1]:g}, before time {time:g}: predict survival up to there")
    return grid


def read_survival(
    survival: CurvesByLevel, outcome: Outcome, arms: Arms, grid: Array, given: bool, interpolation: Interpolation
) -> list[RowCurves]:
    """For every arm the curves S(t | x, arm) of all rows; `given` says whether the user gave the grid."""
    if isinstance(survival, str):
        if survival != "by arm":
            raise ValueError(f"survival must be curves, a function or 'by arm', got {survival!r}")
        parts = [_rows(outcome, arms.rows(arm)) for arm in range(len(arms.levels))]
        return [RowCurves.shared(survival_curve(part)) for part in parts]
    return _by_level(survival, outcome, arms, grid, given, "survival", interpolation)


def read_censoring(
    censoring: CurvesByLevel,
    outcome: Outcome,
    arms: Arms,
    grid: Array,
    given: bool,
    interpolation: Interpolation,
) -> list[RowCurves]:
    """For every arm the curves G(t | x, arm) of all rows, not yet raised to a floor."""
    n_arms = len(arms.levels)
    if isinstance(censoring, str):
        if censoring == "marginal":
            return [RowCurves.shared(censoring_curve(outcome))] * n_arms
        if censoring == "by arm":
            parts = [_rows(outcome, arms.rows(arm)) for arm in range(n_arms)]
            return [RowCurves.shared(censoring_curve(part)) for part in parts]
        raise ValueError(f"censoring must be 'by arm', 'marginal', curves or a function, got {censoring!r}")
    if np.ndim(cast(Any, censoring)) == 2 and not callable(censoring) and not isinstance(censoring, Mapping):
        _require_grid(given, "censoring")
        own = read_curves(cast(ArrayLike, censoring), grid, len(outcome), "censoring", interpolation)
        return [RowCurves.of(own)] * n_arms
    return _by_level(censoring, outcome, arms, grid, given, "censoring", interpolation)


def _by_level(
    curves: Any,
    outcome: Outcome,
    arms: Arms,
    grid: Array,
    given: bool,
    name: str,
    interpolation: Interpolation,
) -> list[RowCurves]:
    n, levels = len(outcome), arms.levels
    if callable(curves):
        tables = [curves(level, grid) for level in levels]
    else:
        _require_grid(given, name)
        tables = (
            _from_mapping(curves, arms, name) if isinstance(curves, Mapping) else _from_array(curves, n, arms, name)
        )
    labels = [f"{name} of {level!r}" for level in levels]
    return [
        RowCurves.of(read_curves(table, grid, n, label, interpolation))
        for table, label in zip(tables, labels, strict=True)
    ]


def _from_mapping(values: Mapping[Any, Any], arms: Arms, name: str) -> list[Any]:
    for key in values:
        find_level(key, arms, f"a key of {name}")
    absent = [level for level in arms.levels if level not in values]
    if absent:
        raise ValueError(f"{name} has nothing for treatment {absent[0]!r}; it must have {arms.names}")
    return [values[level] for level in arms.levels]


def _from_array(values: Any, n: int, arms: Arms, name: str) -> list[Array]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or array.shape[:2] != (n, len(arms.levels)):
        raise ValueError(
            f"{name} must have the axes (rows, treatments, times), ({n}, {len(arms.levels)}, n_times), with the "
            f"treatments in the order {arms.names}; it has {array.shape}"
        )
    return [array[:, arm] for arm in range(len(arms.levels))]


def _require_grid(given: bool, name: str) -> None:
    if not given:
        raise ValueError(f"times is missing: give the times at which {name} holds the curves")


def _rows(outcome: Outcome, chosen: NDArray[np.intp]) -> Outcome:
    return Outcome(outcome.event[chosen], outcome.time[chosen])


def read_propensity(propensity: Any, arms: Arms) -> Array:
    """p(a | x), one column per level in order: (n, n_arms), not yet raised to a floor.

    Raises
    ------
    ValueError
        When the shape is wrong, or rows are no probabilities that sum to 1.
    """
    n, n_arms = len(arms.codes), len(arms.levels)
    if isinstance(propensity, str):
        if propensity != "shares":
            raise ValueError(f"propensity must be probabilities or 'shares', got {propensity!r}")
        return np.tile(np.bincount(arms.codes, minlength=n_arms) / n, (n, 1))
    if hasattr(propensity, "columns"):
        propensity = {column: np.asarray(propensity[column], dtype=np.float64) for column in propensity.columns}
    if isinstance(propensity, Mapping):
        parts = [np.asarray(part, dtype=np.float64) for part in _from_mapping(propensity, arms, "propensity")]
        propensity = np.column_stack(parts)
    values = np.asarray(propensity, dtype=np.float64)
    if values.ndim == 1 and n_arms == 2:
        values = np.column_stack([1 - values, values])
    if values.shape != (n, n_arms):
        raise ValueError(
            f"propensity must have one row per row of y and one column per treatment, ({n}, {n_arms}), in the order "
            f"{arms.names}; it has {values.shape}"
        )
    wrong = ~((values >= 0) & (values <= 1)).all(1) | ~(np.abs(values.sum(1) - 1) <= SUM_SLACK)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"propensity must hold probabilities that sum to 1 in each row; {int(wrong.sum())} row(s) do not, the "
            f"first row {row} ({np.array2string(values[row], precision=4)})"
        )
    return values


def raise_propensity(propensity: Array, arms: Arms, floor: float) -> tuple[Array, int]:
    """Propensities kept above the floor, and in how many rows that of the row's own treatment was below it."""
    _check_floor(floor, "min_propensity")
    own = propensity[np.arange(len(arms.codes)), arms.codes]
    low = np.flatnonzero(own < floor)
    if len(low):
        warn(
            f"{len(low)} of {len(own)} rows, the first row {low[0]}, received a treatment to which propensity gives "
            f"less than {floor:g}; it was raised to {floor:g}, which bounds their weights at the price of some bias. "
            "Where a treatment is all but never given, its value cannot be learned from these data",
            DataWarning,
        )
    return np.maximum(propensity, floor), len(low)


def raise_censoring(
    censoring: list[RowCurves], outcome: Outcome, arms: Arms, time: float, floor: float
) -> tuple[list[RowCurves], int]:
    """G kept above the floor, and in how many rows it was below it where the row is weighted."""
    _check_floor(floor, "min_censoring")
    end = np.minimum(outcome.time, time)
    own = np.empty(len(outcome))
    for arm, curves in enumerate(censoring):
        rows = arms.rows(arm)
        own[rows] = curves.rows(rows).own_before(end[rows])
    low = np.flatnonzero(own < floor)
    if len(low):
        warn(
            f"{len(low)} of {len(own)} rows, the first row {low[0]}, were followed to where the probability of not "
            f"being censored is below {floor:g}; it was raised to {floor:g}: beyond, survival rests on the outcome "
            "model. An earlier time, or a smaller min_censoring, avoids it",
            DataWarning,
        )
    return [curves.at_least(floor) for curves in censoring], len(low)


def _check_floor(floor: float, name: str) -> None:
    if not 0 < floor < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {floor}")
