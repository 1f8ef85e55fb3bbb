"""Colours that colour-blind readers tell apart, marker shapes that repeat the distinction, and figure frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

#: Okabe & Ito (2008), in an order in which neighbours differ most; their yellow is too pale for points on white
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Tol (2021), the "muted" scheme, and black: for eight to ten groups
TOL_MUTED = (
    "#CC6677",
    "#332288",
    "#DDCC77",
    "#117733",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#000000",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
GREY = "#8c8c8c"
PALE = "#d9d9d9"


def palette(n: int) -> list[str]:
    """Colours for n groups; past ten they repeat, and marker shapes keep groups apart."""
    colours = OKABE_ITO if n <= len(OKABE_ITO) else TOL_MUTED
    return [colours[i % len(colours)] for i in range(n)]


def markers(n: int) -> list[str]:
    """Marker shapes for n groups, out of step with `palette` so that no pair of shape and colour repeats below 70."""
    cycle = len(OKABE_ITO) if n <= len(OKABE_ITO) else len(TOL_MUTED)
    return [MARKERS[(i + i // cycle) % len(MARKERS)] for i in range(n)]


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (6.0, 4.5)) -> Axes:
    """The axes given, or those of a new figure of `size` inches that makes room for its labels."""
    if ax is not None:
        return ax
    return panels(1, size)[1][0]


def panels(n: int, size: tuple[float, float], **grid: Any) -> tuple[Figure, list[Axes]]:
    """A new figure of `size` inches with n axes side by side, and room for its labels."""
    figure, axes = plt.subplots(1, n, figsize=size, layout="constrained", squeeze=False, gridspec_kw=grid)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=0.1, h_pad=0.1)
    return figure, list(axes[0])


def open_frame(ax: Axes, sides: Sequence[str] = ("top", "right")) -> None:
    """Take away the frame's sides that carry no scale."""
    ax.spines[list(sides)].set_visible(False)
