"""What the figures of model selection draw agrees with the numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA

import underlie as ul

IRIS = load_iris().data
WINE = load_wine().data / load_wine().data.std(axis=0)


def test_criteria_of_mixtures() -> None:
    found = ul.fit_mixtures(IRIS[:40], range(1, 8), covariance_types=("full", "tied"), n_init=8, random_state=0)
    ax = found.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    _, labels = ax.get_legend_handles_labels()
    assert {"full", "tied", "full: no proper fit"} <= set(labels)
    missing = found.table.xs("full", level="covariance")["bic"].isna()
    np.testing.assert_array_equal(lines["full: no proper fit"].get_xdata(), missing.index[missing])
    drawn = ax.containers[labels.index("full") - labels.index("full")].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, found.table.xs("full", level="covariance")["bic"])
    assert ax.get_title().startswith(f"lowest: K = {found.best[0]}, {found.best[1]}")
    assert ul.plot.mixture_criteria(found, "icl").get_ylabel() == "ICL (lower is better)"
    with pytest.raises(ValueError, match="criterion='dic'"):
        ul.plot.mixture_criteria(found, "dic")


def test_path_of_models() -> None:
    path = ul.selection_path({m: PCA(m).fit(WINE[::2]) for m in (1, 2, 4, 8, 10)}, WINE[1::2], [0, 10])
    ax = path.plot()
    best = {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
    assert list(best) == list(path.path.index)
    for name, line in best.items():
        assert line.get_xdata()[0] == path.path.loc[name, "alpha_from"]
    assert max(line.get_ydata().max() for line in ax.get_lines()) <= 1e-9
    assert ax.get_title() == " → ".join(path.path.index)


def test_flat_path_says_so() -> None:
    fitted = ul.fit_mixtures(IRIS, [1, 2, 3], covariance_types="full", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ax = ul.selection_path(fitted, IRIS, [0, 1]).plot()
    assert "cannot tell" in ax.get_title()
