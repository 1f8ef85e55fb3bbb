"""The drawn graphs: the right arrows, none through a variable, observed variables grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, FancyArrowPatch
from sklearn.decomposition import PCA

import underlie as ul
from underlie.plot.graph_layout import place

MODELS = {
    "VAE": ({"z": "", "x": "z"}, {"z": "x"}),
    "M2": ({"y": "", "z": "", "x": "yz"}, {"y": "x", "z": "xy"}),
    "SDGM": ({"y": "", "z": "", "a": "yz", "x": "ayz"}, {"a": "x", "y": "ax", "z": "axy"}),
    "SAVAE": ({"z": "", "x": "z", "t": "x", "y": "tz"}, {"z": "xy"}),
}


def joint(parents: Mapping[str, Sequence[str]]) -> SimpleNamespace:
    return SimpleNamespace(factors=[SimpleNamespace(name=name, parents=tuple(own)) for name, own in parents.items()])


def model(name: str) -> SimpleNamespace:
    generative, inference = MODELS[name]
    return SimpleNamespace(generative_=joint(generative), inference_=joint(inference))


@pytest.mark.parametrize("name", MODELS)
def test_every_edge_is_drawn_once_and_inference_is_dashed(name: str) -> None:
    ax = ul.plot.graph(model(name))
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    generative, inference = MODELS[name]
    solid = [arrow for arrow in arrows if arrow.get_linestyle() in ("-", "solid")]
    assert len(solid) == sum(map(len, generative.values()))
    assert len(arrows) - len(solid) == sum(map(len, inference.values()))


@pytest.mark.parametrize("name", MODELS)
def test_no_edge_passes_through_another_variable(name: str) -> None:
    generative, inference = MODELS[name]
    edges = [(parent, child) for own in (generative, inference) for child, parents in own.items() for parent in parents]
    places = {key: np.array(at) for key, at in place(generative, edges).items()}
    for start, end in edges:
        for other in set(places) - {start, end}:
            along = places[end] - places[start]
            t = np.clip((places[other] - places[start]) @ along / (along @ along), 0, 1)
            assert np.linalg.norm(places[other] - places[start] - t * along) > 0.35
    for a in places:
        for b in set(places) - {a}:
            assert np.linalg.norm(places[a] - places[b]) > 0.7


def test_observed_variables_are_grey() -> None:
    ax = ul.plot.graph(model("SAVAE"))
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    names = [text.get_text() for text in ax.texts if len(text.get_text()) == 1]
    white = {n for n, c in zip(names, circles, strict=True) if to_hex(c.get_facecolor()) == "#ffffff"}
    assert white == {"z"}
    both = ul.plot.graph(model("M2"), latent=["z"])
    circles = [patch for patch in both.patches if isinstance(patch, Circle)]
    assert sum(to_hex(c.get_facecolor()) == "#ffffff" for c in circles) == 2


def test_formulas_are_written_below() -> None:
    texts = [text.get_text() for text in ul.plot.graph(model("SDGM")).texts]
    assert "p(y) p(z) p(a | y, z) p(x | a, y, z)" in texts
    assert "q(a | x) q(y | a, x) q(z | a, x, y)" in texts


def test_one_joint_and_large_graphs_are_drawn() -> None:
    chain = {f"v{i}": (f"v{i - 1}",) if i else () for i in range(9)}
    big = SimpleNamespace(factors=[SimpleNamespace(name=name, parents=own) for name, own in chain.items()])
    ax = ul.plot.graph(big)
    assert len([patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]) == 8


def test_a_variable_that_is_given_with_each_row_is_drawn_and_observed() -> None:
    survival = SimpleNamespace(
        generative_=joint({"z": "", "x": "z", "t": ["terms"], "y": ["terms", "t", "z"]}),
        inference_=joint({"z": "xy"}),
    )
    ax = ul.plot.graph(survival)
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert sum(to_hex(c.get_facecolor()) == "#ffffff" for c in circles) == 2  # z, in both panels
    assert [text.get_text() for text in ax.texts].count("terms") == 2
    assert len([patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]) == 5 + 2


def test_what_holds_no_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="PCA holds no graph"):
        ul.plot.graph(PCA(2))
    with pytest.raises(TypeError, match="is a class"):
        ul.plot.graph(PCA)
