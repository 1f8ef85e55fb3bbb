"""How well digitising works on drawn sheets, where the truth is known, and how long a page takes.

python benchmarks/digitise.py               random sheets: share found, error of crossings, flags on clean cells
python benchmarks/digitise.py --time        seconds of one page at 600 dpi (5,100 x 6,600 pixels), by step
python benchmarks/digitise.py --hard        how accuracy falls with noise, pale lines and digits across lines
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from underlie.sheets import Grid, NoGridError, cut, doubts, find_grid, shrink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sheets"))
from drawing import Sheet, draw_sheet


def error(grid: Grid, sheet: Sheet) -> float:
    """Largest distance of a crossing from the true one, in cells."""
    u, v = np.meshgrid(np.arange(grid.columns + 1), np.arange(grid.rows + 1))
    x, y = grid.points(u, v)
    return float(np.hypot(x - sheet.crossings[..., 0], y - sheet.crossings[..., 1]).max()) / grid.cell_pixels


def random_page(rng: np.random.Generator) -> dict[str, Any]:
    """What an ordinary scanner and writer may do to a sheet."""
    return {
        "dpi": int(rng.choice([75, 100, 150])),
        "layout": str(rng.choice(["0011223344", "5566778899"])),
        "degrees": rng.uniform(-5, 5),
        "keystone": rng.uniform(-0.02, 0.02),
        "shift": tuple(rng.uniform(-0.1, 0.1, 2)),
        "noise": rng.uniform(0, 12),
        "shading": rng.uniform(0, 0.5),
        "line": rng.uniform(30, 180),
        "seed": int(rng.integers(2**31)),
    }


def accuracy(n: int) -> None:
    """Sheets with digits well inside their cells: any flag is a false alarm."""
    rng = np.random.default_rng(0)
    errors, flags, n_cells = [], Counter[str](), 0
    for _ in range(n):
        sheet = draw_sheet(**random_page(rng), wander=0.02)
        try:
            grid = find_grid(sheet.image)
        except NoGridError as refusal:
            print(refusal)
            continue
        errors.append(error(grid, sheet))
        reasons = doubts(cut(sheet.image, grid), grid)
        n_cells += grid.rows * grid.columns
        flags.update("; ".join(cell) for row in reasons for cell in row if cell)
    q = np.quantile(errors, [0.5, 0.95, 1]) * 100
    print(f"{n} sheets: {len(errors)} found; largest error, % of a cell: median {q[0]:.3f}, 95 % {q[1]:.3f},")
    print(f"worst {q[2]:.3f}; {sum(flags.values())} of {n_cells:,} clean cells flagged: {dict(flags)}")


def hard(n: int) -> None:
    """One condition made worse at a time, at 100 dpi."""
    ladder: dict[str, list[float]] = {
        "noise": [0, 10, 20, 30, 40, 60],
        "line": [180, 200, 220, 230, 240],
        "wander": [0.02, 0.1, 0.2, 0.3],
        "keystone": [0, 0.02, 0.04, 0.06],
        "degrees": [5, 6, 7, 8, 9],
        "shading": [0.5, 0.7, 0.85],
    }
    for name, values in ladder.items():
        for value in values:
            errors = []
            for seed in range(n):
                page = {"dpi": 100, "noise": 5.0, "degrees": 2.0, name: value}
                sheet = draw_sheet(**page, seed=seed)
                try:
                    errors.append(error(find_grid(sheet.image), sheet))
                except NoGridError:
                    errors.append(np.inf)
            found = [e for e in errors if e < np.inf]
            worst = f"worst error {100 * max(found):.2f} % of a cell" if found else ""
            print(f"{name:9s} {value:6g}: {len(found):2d} of {n} found, {sum(e > 0.03 for e in found)} wrong, {worst}")


def seconds() -> None:
    """Time of each step on one page at 600 dpi."""
    image = draw_sheet(dpi=600, degrees=1.5, noise=5, shading=0.2).image
    marks = [time.perf_counter()]
    grid = find_grid(image)
    marks.append(time.perf_counter())
    cells = cut(image, grid)
    marks.append(time.perf_counter())
    for side in (100, 28):
        shrink(cells, side)
    marks.append(time.perf_counter())
    doubts(cells, grid)
    marks.append(time.perf_counter())
    steps = dict(zip(("find", "cut", "shrink", "doubts"), np.diff(marks).round(2).tolist(), strict=True))
    print(image.shape, steps, f"all {marks[-1] - marks[0]:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("-n", type=int, default=100, help="sheets (per condition: a tenth)")
    given = parser.parse_args()
    if given.time:
        seconds()
    elif given.hard:
        hard(max(1, given.n // 10))
    else:
        accuracy(given.n)
