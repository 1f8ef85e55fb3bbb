"""Row sources: every format gives the rows that NumPy gives, and the encoder of a source is that of its rows."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from underlie.data import Encoder, as_source, sources
from underlie.data.chunks import ParquetSource
from underlie.data.sources import RowSource, blocks, is_source, sample_rows

ROWS = np.random.default_rng(0).integers(0, 256, (300, 6, 5)).astype(np.uint8)
WANTED = [
    np.array([5, 3, 3, 299, 0, -1]),
    np.array([7]),
    np.array([], dtype=int),
    np.arange(300)[::-1],
    np.arange(300) % 7 == 0,
    slice(10, 20),
    slice(None),
]


def make(kind: str, array: np.ndarray, folder: Path) -> object:
    if kind == "ndarray":
        return array
    if kind == "memmap":
        np.save(folder / "x.npy", array)
        return np.load(folder / "x.npy", mmap_mode="r")
    if kind == "h5py":
        file = h5py.File(folder / "x.h5", "w")
        return file.create_dataset("x", data=array, chunks=(32, *array.shape[1:]))
    store = zarr.create_array(
        str(folder / "x.zarr"), shape=array.shape, dtype=array.dtype, chunks=(32, *array.shape[1:])
    )
    store[:] = array
    return store


@pytest.mark.parametrize("kind", ["ndarray", "memmap", "h5py", "zarr"])
@pytest.mark.parametrize("block_bytes", [2**26, 1000])
def test_rows_equal_those_of_numpy(
    kind: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_BLOCK_BYTES", block_bytes)
    source = as_source(make(kind, ROWS, tmp_path))
    assert isinstance(source, RowSource)
    assert (len(source), source.shape, source.dtype) == (300, ROWS.shape, ROWS.dtype)
    for rows in WANTED:
        found = source[rows]
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, ROWS[rows])


@pytest.mark.parametrize("kind", ["h5py", "zarr"])
def test_sparse_positions_are_not_read_as_one_span(kind: str, tmp_path: Path) -> None:
    source = as_source(make(kind, ROWS, tmp_path))
    rows = np.array([290, 1, 150])
    np.testing.assert_array_equal(source[rows], ROWS[rows])


@pytest.mark.parametrize(
    "rows", [np.array([300]), np.array([-301]), np.array([[1]]), np.array([0.5]), np.ones(3, bool)]
)
def test_impossible_rows(rows: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        as_source(make("zarr", ROWS, tmp_path))[rows]


@pytest.mark.parametrize("kind", ["memmap", "h5py", "zarr"])
def test_encoder_of_a_source_is_that_of_the_array(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_SMALL", 0)
    source = make(kind, ROWS, tmp_path)
    assert is_source(source)
    encoder = Encoder.fit(source)
    assert encoder.schema == Encoder.fit(ROWS).schema
    np.testing.assert_array_equal(encoder.encode(source).values, Encoder.fit(ROWS).encode(ROWS).values)
    np.testing.assert_array_equal(encoder.decode(encoder.encode(source).values), ROWS)


def test_large_source_is_sampled_and_its_maximum_is_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from underlie.data import encoder as module

    monkeypatch.setattr(module, "_SAMPLE_ROWS", 50)
    values = np.random.default_rng(1).uniform(0, 10, (5_000, 2, 2)).astype(np.float32)
    values[-1, 0, 0] = 99.0
    source = make("h5py", values, tmp_path)
    encoder = Encoder.fit(source)
    assert encoder.schema[0].scale == 99.0
    assert encoder.encode(source).values.max() == 1.0
    columns = as_source(values.reshape(5_000, 4)[:4_000].astype(np.float64))
    fitted = Encoder.fit(columns).schema[0]
    # the mean of 50 of 4,000 rows: sd of the difference is 10 / sqrt(12 * 50) = 0.41; 5 sd, false alarm 6e-7
    assert abs(fitted.loc - 5.0) < 2.1
    assert Encoder.fit(columns).schema == Encoder.fit(columns).schema


def test_sample_is_reproducible_without_repetition() -> None:
    source = as_source(np.arange(1000)[:, None])
    sample = sample_rows(source, 100)
    assert len(np.unique(sample)) == 100
    np.testing.assert_array_equal(sample, sample_rows(source, 100))
    assert len(sample_rows(source, 5_000)) == 1_000


def test_blocks_cover_all_rows_in_order() -> None:
    found = list(blocks(as_source(ROWS), block_bytes=8 * 30 * 7))
    assert max(len(b) for b in found) == 7
    np.testing.assert_array_equal(np.concatenate(found), ROWS)


def test_small_memory_maps_torch_and_sparse_are_not_sources(tmp_path: Path) -> None:
    import torch
    from scipy import sparse

    for X in (
        make("memmap", ROWS, tmp_path),
        torch.zeros(3, 2),
        sparse.csr_matrix((3, 2)),
        pd.DataFrame({"a": [1]}),
        [[1]],
    ):
        assert not is_source(X)


def test_parquet_is_read_by_row_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"a": rng.normal(size=500), "n": rng.poisson(3, 500), "b": rng.uniform(size=500) < 0.5})
    table.loc[3, "a"] = np.nan
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path, row_group_size=64)
    source = as_source(path)
    assert isinstance(source, ParquetSource)
    expected = table.to_numpy(dtype=np.float64)
    for rows in (np.array([499, 3, 3, 64, 0, -2]), slice(60, 70), np.array([], dtype=int)):
        np.testing.assert_array_equal(source[rows], expected[rows])
    encoder = Encoder.fit(path, {"n": "count"})
    assert encoder.schema.names == ["a", "n", "b"]
    assert encoder.schema.kinds == ["continuous", "count", "binary"]
    np.testing.assert_array_equal(encoder.encode(table).values, encoder.encode(path).values)
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        encoder.encode(table[["n", "a", "b"]])
    np.testing.assert_allclose(encoder.decode(encoder.encode(source[0:3]).values), expected[:3], rtol=1e-12)


def test_parquet_with_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"a": [1.0], "name": ["Ann"]}).to_parquet(path)
    with pytest.raises(TypeError, match="column 'name' of .* holds .*string"):
        as_source(path)


def test_what_is_no_source() -> None:
    with pytest.raises(TypeError, match="X is a list"):
        as_source([[1, 2]])
    with pytest.raises(ValueError, match="at least two axes"):
        as_source(np.arange(3))
    with pytest.raises(TypeError, match="no Parquet file"):
        as_source("x.npy")
