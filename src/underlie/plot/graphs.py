"""The two directed graphs of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch

from underlie.plot.graph_layout import place
from underlie.plot.style import GREY, axes_or_new

_RADIUS = 0.28
_OBSERVED = "#c4c4c4"
_INK = "#222222"


@dataclass(frozen=True)
class _Panel:
    title: str
    edges: tuple[tuple[str, str], ...]
    formula: str
    dashed: bool


def graph(model: Any, ax: Axes | None = None, *, latent: Iterable[str] | None = None) -> Axes:
    """A model's directed graphs: generative with solid arrows, inference with dashed ones; observed variables grey.

    Parameters
    ----------
    model : fitted estimator, LatentModel or Joint
        Anything with ``generative`` and ``inference`` graphs (a trailing underscore on fitted estimators), or with
        ``factors`` alone, each having ``name`` and ``parents``.
    ax : Axes, optional
        Where to draw; a new figure by default.
    latent : iterable of str, optional
        Variables that are not observed, drawn white; by default those that the inference graph infers, and for a single
        graph those without parents that have children.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When `model` holds no graph.

    Examples
    --------
    >>> from types import SimpleNamespace as Factor
    >>> import underlie as ul
    >>> joint = Factor(factors=[Factor(name="z", parents=()), Factor(name="x", parents=("z",))])
    >>> ax = ul.plot.graph(joint)
    """
    generative, inference = _joints(model)
    shown = [_panel("generative model", generative, "p", dashed=False)]
    if inference is not None:
        shown.append(_panel("inference model", inference, "q", dashed=True))
    places = place(_given(generative) | _parents(generative), [edge for panel in shown for edge in panel.edges])
    hidden = set(latent) if latent is not None else _hidden(generative, inference)
    left, right = (extreme(x for x, _ in places.values()) for extreme in (min, max))
    bottom = max(y for _, y in places.values())
    wide = max(right - left + 1.1, *(0.115 * len(panel.formula) + 0.3 for panel in shown), 2.2)
    ax = axes_or_new(ax, (1.05 * wide * len(shown), 1.05 * (bottom + 2.3)))
    for i, panel in enumerate(shown):
        _draw_panel(
            ax, panel, {name: (x - (left + right) / 2 + i * wide, -y) for name, (x, y) in places.items()}, hidden
        )
        ax.text(i * wide, 0.72, panel.title, ha="center", va="center", fontsize=11)
        ax.text(i * wide, -bottom - 0.72, panel.formula, ha="center", va="center", fontsize=10, style="italic")
    ax.text(
        (len(shown) - 1) * wide / 2, -bottom - 1.15, "grey: observed", ha="center", va="center", fontsize=9, color=GREY
    )
    ax.set_xlim(-wide / 2, (len(shown) - 0.5) * wide)
    ax.set_ylim(-bottom - 1.35, 0.95)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _joints(model: Any) -> tuple[Any, Any | None]:
    if isinstance(model, type):
        raise TypeError(f"{model.__name__} is a class; give a fitted model or a graph")
    if hasattr(model, "factors"):
        return model, None
    for generative, inference in (("generative_", "inference_"), ("generative", "inference")):
        if hasattr(model, generative):
            return getattr(model, generative), getattr(model, inference, None)
    raise TypeError(
        f"{type(model).__name__} holds no graph; give a fitted model with generative_ and inference_, or a Joint"
    )


def _parents(joint: Any) -> dict[str, tuple[str, ...]]:
    return {str(factor.name): tuple(str(parent) for parent in factor.parents) for factor in joint.factors}


def _given(joint: Any) -> dict[str, tuple[str, ...]]:
    """Variables that factors depend on and that have none of their own: they are given with each row."""
    parents = _parents(joint)
    return {parent: () for own in parents.values() for parent in own if parent not in parents}


def _hidden(generative: Any, inference: Any | None) -> set[str]:
    if inference is not None:
        return set(_parents(inference))
    parents = _parents(generative)
    used = {parent for own in parents.values() for parent in own}
    return {name for name, own in parents.items() if not own and name in used}


def _panel(title: str, joint: Any, letter: str, *, dashed: bool) -> _Panel:
    parents = _parents(joint)
    terms = [f"{letter}({name} | {', '.join(own)})" if own else f"{letter}({name})" for name, own in parents.items()]
    edges = tuple((parent, name) for name, own in parents.items() for parent in own)
    return _Panel(title, edges, " ".join(terms), dashed)


def _draw_panel(ax: Axes, panel: _Panel, places: Mapping[str, tuple[float, float]], hidden: set[str]) -> None:
    for start, end in panel.edges:
        tail, head = np.array(places[start]), np.array(places[end])
        step = (head - tail) / np.linalg.norm(head - tail)
        ax.add_patch(
            FancyArrowPatch(
                tuple(tail + _RADIUS * step),
                tuple(head - (_RADIUS + 0.01) * step),
                arrowstyle="-|>",
                mutation_scale=15,
                linewidth=1.5,
                color=_INK,
                linestyle=(0, (4, 2.5)) if panel.dashed else "solid",
                shrinkA=0,
                shrinkB=0,
            )
        )
    for name, spot in places.items():
        face = "white" if name in hidden else _OBSERVED
        ax.add_patch(Circle(spot, _RADIUS, facecolor=face, edgecolor=_INK, linewidth=1.4, zorder=3))
        size = 13 if len(name) <= 2 else 9
        ax.text(*spot, name, ha="center", va="center", fontsize=size, style="italic", zorder=4, color=_INK)
