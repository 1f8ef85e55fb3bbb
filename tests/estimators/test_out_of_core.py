"""Data that are read from files: the same answers as from memory, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr

import underlie as ul
from underlie.data import sources
from underlie.data.sources import blocks

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")

KINDS = ["memmap", "h5py", "contiguous h5py", "zarr", "parquet"]


def rows(missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6)) + 0.4 * rng.normal(size=(400, 6))
    X[rng.random(X.shape) < missing] = np.nan
    return X


def stored(kind: str, X: np.ndarray, folder: Path) -> object:
    """X in a file, opened without reading it."""
    if kind == "parquet":
        names = [f"x{j}" for j in range(X.shape[1])]
        pd.DataFrame(X, columns=names).to_parquet(folder / "x.parquet", row_group_size=64)
        return str(folder / "x.parquet")
    if kind == "memmap":
        np.save(folder / "x.npy", X)
        return np.load(folder / "x.npy", mmap_mode="r")
    if kind == "zarr":
        array = zarr.create_array(str(folder / "x.zarr"), shape=X.shape, dtype=X.dtype, chunks=(32, X.shape[1]))
        array[:] = X
        return array
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("x", data=X, chunks=(32, X.shape[1]) if kind == "h5py" else None)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every memory map is read in parts, of 50 rows."""
    monkeypatch.setattr(sources, "_SMALL", 0)
    monkeypatch.setattr(blocks, "__defaults__", (8 * 6 * 50,))


@pytest.mark.parametrize("kind", KINDS)
def test_vae_of_a_file_is_that_of_its_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("underlie.estimators.feeding._RESIDENT_BYTES", 0)
    X = rows()
    model = ul.VAE(2, hidden=(8,), max_epochs=3, random_state=0, verbose=False)
    here = model.fit(X)
    scores, means = here.score_samples(X, n_importance=8), here.transform(X)
    file = stored(kind, X, tmp_path)
    there = ul.VAE(2, hidden=(8,), max_epochs=3, random_state=0, verbose=False).fit(file)
    np.testing.assert_array_equal(there.history_["train"], here.history_["train"])
    np.testing.assert_allclose(there.score_samples(file, n_importance=8), scores, rtol=1e-5)
    np.testing.assert_allclose(there.transform(file), means, rtol=1e-4, atol=1e-5)
    assert there.score(file, None) == pytest.approx(here.score(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_ppca_of_a_file_is_that_of_its_rows(kind: str, missing: float, tmp_path: Path) -> None:
    X = rows(missing)
    file = stored(kind, X, tmp_path)
    for changes in ({}, {"standardize": True}, {"n_components": "bic"}, {"prior": "ard"}):
        here, there = (ul.ProbabilisticPCA(**{"n_components": 2} | changes).fit(x) for x in (X, file))
        assert there.n_components_ == here.n_components_
        assert there.log_likelihood_[-1] == pytest.approx(here.log_likelihood_[-1], abs=1e-5)
        assert there.bic_ == pytest.approx(here.bic_, rel=1e-5)
        np.testing.assert_allclose(there.get_covariance(), here.get_covariance(), atol=0.01)
    np.testing.assert_allclose(here.score_samples(file), here.score_samples(X), rtol=1e-10)
    np.testing.assert_allclose(here.transform(file), here.transform(X), atol=1e-10)
    assert here.score(file) == pytest.approx(here.score(X))
    assert here.bic(file) == pytest.approx(here.bic(X))


def test_a_value_too_far_out_is_found_in_any_part(tmp_path: Path) -> None:
    X = rows()
    model = ul.ProbabilisticPCA(2).fit(X)
    X[333, 4] = 1e200
    with pytest.raises(ValueError, match=r"column 'x4' of X, row 333, holds 1e\+200"):
        model.score_samples(stored("memmap", X, tmp_path))


def test_fewer_rows_than_columns_are_read_at_once(tmp_path: Path) -> None:
    X = rows()[:5]
    here, there = (ul.ProbabilisticPCA(1).fit(x) for x in (X, stored("memmap", X, tmp_path)))
    np.testing.assert_array_equal(there.get_covariance(), here.get_covariance())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_moment_gaps_of_a_file_are_those_of_its_rows(
    kind: str, missing: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rows(missing)
    model = ul.ProbabilisticPCA(1).fit(X)
    here = ul.mega(model, X, 3, n_bootstrap=9, random_state=0)
    monkeypatch.setattr("underlie.check.gaps.rows._CELLS_KEPT", 100)
    file = stored(kind, X, tmp_path)
    there = ul.mega(model, file, 3, n_bootstrap=9, random_state=0)
    for k in (1, 2, 3):
        assert there.orders[k].value == pytest.approx(here.orders[k].value, rel=1e-6)
        assert there.orders[k].floor == pytest.approx(here.orders[k].floor, rel=1e-6)
    sums, whole = ul.MomentSums.of(file, 3), ul.MomentSums.of(X, 3, reference=np.nanmean(X[:50], axis=0))
    for name in ("sums", "counts"):
        for mine, theirs in zip(getattr(sums, name), getattr(whole, name), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-8)


# ---- memory ----
CHILD = """
import json, resource, sys, warnings
import numpy as np
import underlie as ul
from underlie.check.gaps import rows
from underlie.data import sources
from underlie.estimators import feeding

def peak():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
small = rng.integers(0, 256, (300, 16, 16), dtype=np.uint8)
ul.VAE(1, hidden=(4,), max_epochs=1, verbose=False).fit(small)
ul.mega(ul.ProbabilisticPCA(1).fit(small[:, 0]), small[:, 0], order=1, n_bootstrap=0)
feeding._RESIDENT_BYTES, rows._CELLS_KEPT, sources._SMALL = 0, 2**22, 0
before = peak()
images, table = (np.load(path, mmap_mode="r") for path in sys.argv[1:])
ppca = ul.ProbabilisticPCA(1).fit(table)
ppca.score(table)
grown = {"ProbabilisticPCA": peak() - before}
ul.mega(ppca, table, order=1, n_bootstrap=0)
grown["mega"] = peak() - before
ul.VAE(1, hidden=(4,), max_epochs=1, batch_size=4096, verbose=False, random_state=0).fit(images)
grown["VAE.fit"] = peak() - before
print(json.dumps(grown))
"""


def sparse(path: Path, shape: tuple[int, ...]) -> Path:
    """A file of so many bytes, few of which take space."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    some = file[:: len(file) // 200]
    some[:] = np.random.default_rng(0).integers(0, 256, some.shape)
    file.flush()
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process's memory is asked for in the way of Unix")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # In MiB: the images have 98 on the disk, encoded 390; the table, 31 on the disk, has 244 as float64.
    paths = sparse(tmp_path / "images.npy", (400_000, 16, 16)), sparse(tmp_path / "table.npy", (500_000, 64))
    done = subprocess.run([sys.executable, "-c", CHILD, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout.splitlines()[-1])
    for job, limit in {"ProbabilisticPCA": 160, "mega": 180, "VAE.fit": 280}.items():
        assert grown[job] < limit, grown
