"""Figures are drawn without a window and closed after each test."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No figure function may open a window."""
    import matplotlib.pyplot as plt

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a figure function called plt.show()")

    monkeypatch.setattr(plt, "show", refuse)
    yield
    plt.close("all")
