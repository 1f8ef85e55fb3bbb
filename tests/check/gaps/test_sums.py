"""Sums over rows: they add, travel, and stand in for the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

import underlie as ul
from underlie.check.adapters import moment_model
from underlie.check.gaps import rows as rows_module
from underlie.check.gaps.rows import Rows

IRIS = load_iris().data
MODEL = PCA(2).fit(IRIS[:100])


def holes() -> np.ndarray:
    return np.where(np.random.default_rng(0).random(IRIS.shape) < 0.15, np.nan, IRIS)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_chunks_add_to_the_whole(order: int) -> None:
    whole = ul.MomentSums.of(IRIS, order)
    parts = [ul.MomentSums.of(IRIS[i : i + 40], order) for i in range(0, 150, 40)]
    total = sum(parts[1:], parts[0])
    assert (total.n, total.order, total.complete) == (150, order, True)
    for a, b in zip(total.about(whole.reference).sums, whole.sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(total.mean(), IRIS.mean(0), rtol=1e-12)
    if order >= 2:
        np.testing.assert_allclose(total.covariance(), np.cov(IRIS.T, bias=True), rtol=1e-9)
        np.testing.assert_allclose(total.spread(), IRIS.std(0, ddof=1), rtol=1e-9)


def test_chunks_with_missing_cells_add_about_a_common_reference() -> None:
    X, reference = holes(), [5.0, 3.0, 4.0, 1.0]
    whole = ul.MomentSums.of(X, 4, reference=reference)
    total = ul.MomentSums.of(X[:70], 4, reference=reference) + ul.MomentSums.of(X[70:], 4, reference=reference)
    for part in ("sums", "counts"):
        for a, b in zip(getattr(total, part), getattr(whole, part), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)
    with pytest.raises(ValueError, match="same one: MomentSums.of"):
        ul.MomentSums.of(X[:70]) + ul.MomentSums.of(X[70:])


@pytest.mark.parametrize(
    "how", [{}, {"centred": True}, {"standardize": True}, {"unbiased": False}, {"norm": "op"}], ids=str
)
def test_sums_stand_in_for_the_rows(how: dict[str, object], tmp_path: Path) -> None:
    sums = ul.MomentSums.of(IRIS[:60], 4) + ul.MomentSums.of(IRIS[60:], 4)
    sums.save(tmp_path / "sums.npz")
    again = ul.MomentSums.load(tmp_path / "sums.npz")
    assert (again.names, again.n, again.order) == (sums.names, sums.n, sums.order)
    a, b = (ul.mega(MODEL, X, 4, n_bootstrap=19, random_state=0, **how) for X in (IRIS, again))
    for k in (1, 2, 3, 4):
        np.testing.assert_allclose(b.orders[k].gap, a.orders[k].gap, rtol=1e-8, atol=1e-9)
        assert b.orders[k].p_value == a.orders[k].p_value
        assert np.isnan(b.orders[k].se)
        assert np.isfinite(b.orders[k].floor)
    assert b.terms().loc[0, "column_1"] == a.terms().loc[0, "column_1"]


def test_sums_with_missing_cells_are_compared_without_a_p_value() -> None:
    X = holes()
    sums = ul.MomentSums.of(X, 2, reference=np.nanmean(X, axis=0))
    result = ul.mega(MODEL, sums, random_state=0)
    np.testing.assert_allclose(result.gap, ul.mega(MODEL, X, n_bootstrap=0).gap, atol=1e-10)
    assert result.p_value is None


def test_sums_refuse_what_they_cannot_do() -> None:
    sums = ul.MomentSums.of(IRIS)
    with pytest.raises(ValueError, match="sums of order 2, but order=3"):
        ul.mega(MODEL, sums, 3)
    with pytest.raises(ValueError, match="order=5"):
        ul.MomentSums.of(IRIS, 5)
    with pytest.raises(ValueError, match="no rows"):
        ul.MomentSums.of(IRIS[:0])
    with pytest.raises(ValueError, match="reference must be 4 finite numbers"):
        ul.MomentSums.of(IRIS, reference=[0.0])
    with pytest.raises(ValueError, match="same columns"):
        sums + ul.MomentSums.of(IRIS[:, :3])
    with pytest.raises(ValueError, match="of the same order"):
        sums + ul.MomentSums.of(IRIS, 3)
    with pytest.raises(ValueError, match="the model has"):
        ul.mega(MODEL, ul.MomentSums.of(IRIS[:, :3]))
    with pytest.raises(ValueError, match='form="gram" needs the rows'):
        ul.mega(MODEL, sums, form="gram")
    with pytest.raises(ValueError, match="use a lower order"):
        ul.MomentSums.of(np.zeros((2, 784)), 4)
    with pytest.raises(ValueError, match="covariance needs sums of order 2"):
        ul.MomentSums.of(IRIS, 1).covariance()
    with pytest.raises(TypeError, match="column 'name'"):
        ul.MomentSums.of(pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]}))


@pytest.mark.parametrize("form", ["tensor", "gram"])
def test_rows_of_a_file_read_in_pieces_are_the_rows(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (150, 2, 2))
    stored[:] = IRIS.reshape(150, 2, 2)
    held = ul.mega(MODEL, np.array(stored), 3, form=form, n_bootstrap=9, random_state=0)
    monkeypatch.setattr(rows_module, "_CELLS_KEPT", 100)
    monkeypatch.setattr(Rows.slices, "__defaults__", (160,))
    monkeypatch.setattr("underlie.check.gaps.gram_form._CELLS_AT_ONCE", 160)
    read = Rows(moment_model(MODEL), stored)
    assert [block.shape for block in read.blocks()] == [(40, 4)] * 3 + [(30, 4)]
    assert read.some(20, np.random.default_rng(0)).shape == (20, 4)
    pieces = ul.mega(MODEL, stored, 3, form=form, n_bootstrap=9, random_state=0)
    for k in (1, 2, 3):
        a, b = held.orders[k], pieces.orders[k]
        np.testing.assert_allclose([b.value, b.se, b.floor, b.p_value], [a.value, a.se, a.floor, a.p_value], rtol=1e-6)
