"""The data sets: shapes, levels and counts as published, and clear errors for files that are something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from underlie import datasets
from underlie.data import Schema
from underlie.datasets import FetchError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    return tmp_path


# ---------------------------------------------------------------------------------------------------------- embedded


@pytest.mark.parametrize(
    ("load", "rows", "events"),
    [
        (datasets.load_gbsg2, 686, 299),
        (datasets.load_rossi, 432, 114),
        (datasets.load_lung, 228, 165),
        (datasets.load_larynx, 90, 50),
        (datasets.load_kidney_transplant, 863, 140),
        (datasets.load_leukemia, 42, 30),
    ],
)
def test_clinical_tables(load: Callable[[], pd.DataFrame], rows: int, events: int) -> None:
    table = load()
    assert len(table) == rows
    assert list(table.columns[-2:]) == ["time", "event"]
    assert table["event"].isin([0, 1]).all()
    assert table["event"].sum() == events
    assert (table["time"] > 0).all()
    assert table[["time", "event"]].notna().all(axis=None)
    assert "object" not in {str(d) for d in table.dtypes}
    documented = load.__doc__ or ""
    assert all(name in documented for name in table.columns)
    Schema.infer(table)


def test_ordered_categories() -> None:
    assert Schema.infer(datasets.load_gbsg2())["tgrade"].levels == ("I", "II", "III")
    assert Schema.infer(datasets.load_gbsg2())["tgrade"].kind == "ordinal"
    assert Schema.infer(datasets.load_larynx())["stage"].levels == ("I", "II", "III", "IV")
    ecog = Schema.infer(datasets.load_lung())["ph.ecog"]
    assert (ecog.kind, ecog.levels) == ("ordinal", (0, 1, 2, 3))


def test_digits() -> None:
    digits = datasets.load_digits()
    assert digits.data.shape == (1797, 8, 8)
    assert (len(digits), digits.data.min(), digits.data.max()) == (1797, 0, 16)
    assert np.bincount(digits.target).min() >= 174
    assert Schema.infer(digits.data)[0].scale == 16.0


@pytest.mark.parametrize(
    ("load", "shape", "target"),
    [
        (datasets.load_iris, (150, 5), "species"),
        (datasets.load_wine, (178, 14), "cultivar"),
        (datasets.load_breast_cancer, (569, 31), "diagnosis"),
    ],
)
def test_small_tables(load: Callable[[], pd.DataFrame], shape: tuple[int, int], target: str) -> None:
    table = load()
    assert table.shape == shape
    assert table.columns[-1] == target
    assert isinstance(table[target].dtype, pd.CategoricalDtype)


# --------------------------------------------------------------------------------------------------------------- toys


def test_three_clusters_have_the_stated_moments() -> None:
    n = 20_000
    X, label = datasets.make_three_clusters(n, random_state=1)
    weights = np.bincount(label) / n
    # 16 comparisons at 5 standard errors: false alarm below 1e-5
    assert (np.abs(weights - [0.3, 0.4, 0.3]) < 5 * np.sqrt(0.25 / n)).all()
    for k, (mean, sd) in enumerate([((0, -5), (1, 0.5)), ((-4, 0), (0.5, 0.5)), ((8, -3), (0.5, 1))]):
        rows = X[label == k]
        assert (np.abs(rows.mean(0) - mean) < 5 * np.array(sd) / np.sqrt(len(rows))).all()
        assert (np.abs(rows.std(0) / sd - 1) < 5 / np.sqrt(2 * len(rows))).all()


def test_half_moons_lie_on_their_circles() -> None:
    X, label = datasets.make_half_moons(400, noise=0.0, random_state=0)
    centre = np.where(label[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    np.testing.assert_allclose(np.linalg.norm(X - centre, axis=1), 1.0)
    assert (X[label == 0, 1] >= 0).all()
    assert (X[label == 1, 1] <= 0.5).all()
    noisy, _ = datasets.make_half_moons(400, noise=0.1, random_state=0)
    # the sd of 800 standard normals is within 5 standard errors of 1; false alarm 6e-7
    assert abs((noisy - X).std() / 0.1 - 1) < 5 / np.sqrt(1600)


@pytest.mark.parametrize("make", [datasets.make_three_clusters, datasets.make_half_moons])
def test_toys_are_reproducible(make: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    a, b, c = make(50, random_state=3), make(50, random_state=3), make(50, random_state=4)
    np.testing.assert_array_equal(a[0], b[0])
    assert (a[0] != c[0]).any()
    with pytest.raises(ValueError, match="n is 0"):
        make(0)


def test_noise_is_a_standard_deviation() -> None:
    with pytest.raises(ValueError, match="noise is -1"):
        datasets.make_half_moons(10, noise=-1)


# -------------------------------------------------------------------------------------------------------------- files


def test_mnist_file_is_checked(folder: Path) -> None:
    arrays = {
        "x_train": np.zeros((60_000, 28, 28), np.uint8),
        "y_train": np.zeros(60_000, np.uint8),
        "x_test": np.ones((10_000, 28, 28), np.uint8),
        "y_test": np.ones(10_000, np.uint8),
    }
    (folder / "images").mkdir()
    np.savez_compressed(folder / "images" / "mnist.npz", **arrays)
    assert datasets.fetch_mnist().data.shape == (60_000, 28, 28)
    assert datasets.fetch_mnist("test").data.min() == 1
    both = datasets.fetch_mnist("all")
    assert len(both) == 70_000
    assert both.target.sum() == 10_000
    with pytest.raises(ValueError, match="split is 'valid'"):
        datasets.fetch_mnist("valid")  # type: ignore[arg-type]
    np.savez_compressed(folder / "images" / "mnist.npz", x_train=np.zeros((5, 28, 28)))
    with pytest.raises(ValueError, match=r"'x_train' of .*mnist.npz has shape \(5, 28, 28\)"):
        datasets.fetch_mnist()
    np.savez_compressed(folder / "images" / "mnist.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match="no array 'x_train', only images"):
        datasets.fetch_mnist()


@pytest.mark.parametrize(
    ("fetch", "name", "shape", "labels"),
    [
        (datasets.fetch_semeion, "semeion", (1593, 16, 16), True),
        (datasets.fetch_frey, "frey", (1965, 28, 20), False),
        (datasets.fetch_olivetti, "olivetti", (400, 64, 64), True),
    ],
)
def test_image_files(
    fetch: Callable[[], datasets.Images], name: str, shape: tuple[int, ...], labels: bool, folder: Path
) -> None:
    with pytest.raises(FetchError, match=f"Put {name}.npz in"):
        fetch()
    arrays = {"x": np.zeros(shape, np.uint8)} | ({"y": np.zeros(shape[0], np.uint8)} if labels else {})
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    images = fetch()
    assert images.data.shape == shape
    assert (images.target is not None) == labels


def test_usps_file(folder: Path) -> None:
    sizes = {"train": 7_291, "test": 2_007}
    arrays = {f"x_{p}": np.zeros((n, 16, 16), np.float32) for p, n in sizes.items()}
    np.savez_compressed(folder / "usps.npz", **arrays, **{f"y_{p}": np.zeros(n) for p, n in sizes.items()})
    assert len(datasets.fetch_usps("all")) == 9_298


def test_tables_of_the_data_folder(folder: Path) -> None:
    table = pd.DataFrame({"a": [1.5, 2.5]})
    for place in ("survival", "tabular"):
        (folder / place).mkdir()
        table.to_parquet(folder / place / "lung.parquet")
    table.to_parquet(folder / "mine.parquet")
    assert datasets.tables() == ["mine", "survival/lung", "tabular/lung"]
    pd.testing.assert_frame_equal(datasets.fetch_table("mine"), table)
    pd.testing.assert_frame_equal(datasets.fetch_table("survival/lung"), table)
    with pytest.raises(ValueError, match="ask for 'survival/lung' or 'tabular/lung'"):
        datasets.fetch_table("lung")
    with pytest.raises(FetchError, match="has mine, survival/lung, tabular/lung"):
        datasets.fetch_table("../secret")


def test_tables_without_a_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERLIE_DATA", raising=False)
    assert datasets.tables() == []
    with pytest.raises(FetchError, match="UNDERLIE_DATA is not set"):
        datasets.fetch_table("lung")
