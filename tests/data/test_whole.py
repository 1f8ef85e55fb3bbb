"""The encoder of a source is that of all its rows, also where few of them tell; statistics of parts add."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest

from underlie.data import Encoder, sources
from underlie.data import encoder as module
from underlie.data.sources import blocks
from underlie.data.statistics import ColumnStatistics, column_statistics, value_statistics
from underlie.data.whole import Whole


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_SMALL", 0)
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 20)
    monkeypatch.setattr(blocks, "__defaults__", (8 * 4 * 100,))


def on_disk(X: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def table(kind: str) -> np.ndarray:
    """Columns whose nature shows in one row of a thousand."""
    rng = np.random.default_rng(0)
    if kind == "whole":  # a count with one large value, two levels with a third in one row, ones, a mean far off
        X = np.stack([rng.poisson(2, 1000), rng.integers(0, 2, 1000), np.ones(1000), 10_000 + rng.poisson(3, 1000)], 1)
        X[777, :3] = 90, 5, 0
        return X
    X = rng.normal(size=(1000, 4)) * [1.0, 1e-3, 1e6, 1.0] + [0.0, 5.0, 0.0, 1e9]
    X[777, 1] = np.nan
    X[:300, 0] = np.nan  # not seen in the first blocks
    X[5, 2] = 1e200
    return X


@pytest.mark.parametrize("kind", ["whole", "real"])
def test_what_few_rows_tell_is_found(kind: str, tmp_path: Path) -> None:
    X = table(kind)
    here, there = Encoder.fit(X).schema.arrays, Encoder.fit(on_disk(X, tmp_path)).schema.arrays
    assert list(there.kinds) == list(here.kinds)
    assert list(there.levels) == list(here.levels)
    assert list(there.missing) == list(here.missing)
    for name in ("low", "high", "loc", "scale"):
        # deviations of 1 about 1e9 have eight digits
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-6)


def test_levels_are_those_of_all_rows(tmp_path: Path) -> None:
    X = np.zeros((1000, 2), dtype=np.int64)
    X[:, 0] = np.arange(1000) // 10
    X[999, 1] = 7
    kinds = {0: "categorical", 1: "ordinal"}
    here, there = Encoder.fit(X, kinds), Encoder.fit(on_disk(X, tmp_path), kinds)
    assert there.schema == here.schema


@pytest.mark.parametrize("last", [0.4, 1.0, 3.0, -1.0, np.nan])
def test_one_pixel_decides_about_images(last: float, tmp_path: Path) -> None:
    images = (np.random.default_rng(0).uniform(size=(500, 2, 2)) < 0.5).astype(np.float32)
    images[431, 1, 1] = last
    here, there = Encoder.fit(images).schema, Encoder.fit(on_disk(images, tmp_path)).schema
    assert there.kinds == here.kinds
    assert [c.levels for c in there] == [c.levels for c in here]
    assert [c.missing for c in there] == [c.missing for c in here]


def test_what_contradicts_its_kind_is_refused_before_training(tmp_path: Path) -> None:
    X = np.random.default_rng(0).uniform(1, 2, (1000, 2))
    X[777, 1] = -3.0
    with pytest.raises(ValueError, match="column 'x1' of X is said to be positive"):
        Encoder.fit(on_disk(X, tmp_path), "positive")
    with pytest.raises(ValueError, match="holds -3, but proportions"):
        Encoder.fit(on_disk(X, tmp_path), "proportion")
    X[777, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        Encoder.fit(on_disk(X, tmp_path))
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match="every cell of column 'x1'"):
        Encoder.fit(on_disk(X, tmp_path))


def test_grey_images_in_bytes_need_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (500, 2, 2), dtype=np.uint8)
    file, expected = on_disk(images, tmp_path), Encoder.fit(images).schema
    monkeypatch.setattr(Whole, "of", None)
    found = Encoder.fit(file).schema
    assert found.kinds == expected.kinds
    assert [c.scale for c in found] == [c.scale for c in expected]


@pytest.mark.parametrize("look", [column_statistics, value_statistics])
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_statistics_of_parts_add_in_any_order(look: object, size: int) -> None:
    X = np.column_stack([table("real")[:, [0, 1, 3]], table("whole")[:, [1, 2]]])
    whole = look(X)
    parts = [look(X[i : i + size]) for i in range(0, len(X), size)]
    shuffled = [parts[i] for i in np.random.default_rng(1).permutation(len(parts))]
    for order in (parts, shuffled):
        total = reduce(add, order)
        for name in ColumnStatistics.__dataclass_fields__:
            if not (look is value_statistics and name in ("mean", "sd")):
                np.testing.assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-6, err_msg=name)
