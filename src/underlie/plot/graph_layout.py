"""Where to draw the variables of a small directed graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Edge = tuple[str, str]

_COLUMNS = (0.0, -0.5, 0.5, -1.0, 1.0)
_MOST_SEARCHED = 7
_WIDE, _HIGH = 1.4, 1.35
_CLEARANCE = 0.55


def place(parents: Mapping[str, Sequence[str]], edges: Sequence[Edge]) -> dict[str, tuple[float, float]]:
    """Place (x, y) of each variable, y growing downwards.

    Rows are depths below the roots of `parents`. Columns are found by trying all assignments of five positions: no edge
    of `edges` may pass another variable closely, few may cross, and they should be short. Graphs of more than seven
    variables are spread evenly over their rows instead.
    """
    depth = _depths(parents)
    names = list(depth)
    if len(names) > _MOST_SEARCHED:
        return _spread(depth)
    x = _WIDE * np.array(list(product(_COLUMNS, repeat=len(names))))
    y = _HIGH * np.array([depth[name] for name in names], dtype=float)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in ((names.index(s), names.index(e)) for s, e in edges)})
    best = int(np.argmin(_costs(x, y, pairs)))
    return {name: (float(x[best, i]), float(y[i])) for i, name in enumerate(names)}


def _depths(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    for name, own in parents.items():  # parents come before their children
        depth[name] = 1 + max((depth[parent] for parent in own if parent in depth), default=-1)
    return depth


def _spread(depth: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    places = {}
    for level in sorted(set(depth.values())):
        row = [name for name, own in depth.items() if own == level]
        for i, name in enumerate(row):
            places[name] = (_WIDE * (i - (len(row) - 1) / 2 + 0.25 * (level % 2)), _HIGH * level)
    return places


def _costs(x: Array, y: Array, pairs: Sequence[tuple[int, int]]) -> Array:
    """How bad each row of `x` (placements, variables) is."""
    cost = 0.3 * np.abs(x.mean(axis=1))
    for a, b in combinations(range(x.shape[1]), 2):
        if y[a] == y[b]:
            cost += 100.0 * (np.abs(x[:, a] - x[:, b]) < 0.9 * _WIDE) + 0.01 * (x[:, a] > x[:, b])
    for a, b in pairs:
        cost += 0.1 * ((x[:, a] - x[:, b]) ** 2 + (y[a] - y[b]) ** 2)
        for c in range(x.shape[1]):
            if c not in (a, b):
                distance = _to_segment(x[:, c], y[c], x[:, a], y[a], x[:, b], y[b])
                cost += 50.0 * np.maximum(_CLEARANCE - distance, 0.0)
    for (a, b), (c, d) in combinations(pairs, 2):
        if len({a, b, c, d}) == 4:
            cost += 0.8 * _cross(x, y, a, b, c, d)
    return np.asarray(cost)


def _to_segment(px: Array, py: float, ax: Array, ay: float, bx: Array, by: float) -> Array:
    along_x, along_y = bx - ax, by - ay
    length = np.maximum(along_x**2 + along_y**2, 1e-12)
    t = np.clip(((px - ax) * along_x + (py - ay) * along_y) / length, 0.0, 1.0)
    return np.hypot(px - ax - t * along_x, py - ay - t * along_y)


def _cross(x: Array, y: Array, a: int, b: int, c: int, d: int) -> NDArray[np.bool_]:
    def side(i: int, j: int, k: int) -> Array:
        return (x[:, j] - x[:, i]) * (y[k] - y[i]) - (y[j] - y[i]) * (x[:, k] - x[:, i])

    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))
