"""HWD+: shapes and counts as published, what is known of the writers, and clear errors for other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from underlie.datasets import FetchError, fetch_hwd

_COUNTS = {"gender": (46, 51), "language": (75, 16, 6), "hand": (84, 13), "education": (7, 13, 55, 22)}
_MEDIUM = (44, 45, 8)


def _info() -> np.ndarray:
    """Labels of the published shape, each characteristic dealt to the writers in an order of its own."""
    rng = np.random.default_rng(0)
    digit = np.tile(np.repeat(np.arange(10), 14), 97)
    people = [rng.permutation(np.repeat(np.arange(len(c)), c)) for c in (*_COUNTS.values(), _MEDIUM)]
    people += [rng.integers(18, 80, 97), rng.integers(150, 200, 97), rng.permutation(97) * 3]
    return np.column_stack([digit, *(np.repeat(column, 140) for column in people)])


@pytest.fixture
def hwd(tmp_path: Path) -> Path:
    """Labels and blank images of the published shapes."""
    info = _info()
    np.save(tmp_path / "WriterInfo.npy", info)
    images = np.lib.format.open_memmap(tmp_path / "Images(28x28).npy", "w+", np.uint8, (13_580, 28, 28))
    images[:, 0, 0] = info[:, 0]
    images.flush()
    return tmp_path


def _save(folder: Path, info: np.ndarray) -> None:
    np.save(folder / "WriterInfo.npy", info)


def test_arrays(hwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = fetch_hwd(28, folder=hwd)
    np.testing.assert_array_equal(data.data[:, 0, 0], data.target)
    assert np.bincount(data.target).tolist() == [1_358] * 10
    assert np.bincount(data.writer).tolist() == [140] * 97
    assert data.info is not None
    assert data.info.shape == (13_580, 9)
    np.testing.assert_array_equal(data.characteristics.index.to_numpy()[data.writer], data.info[:, -1])
    assert data.ink(slice(0, 1))[0, 1, 1] == 1.0
    monkeypatch.setenv("UNDERLIE_DATA", str(hwd))
    assert len(fetch_hwd()) == 13_580
    (hwd / "Images(28x28).npy").rename(hwd / "small.npy")
    assert fetch_hwd().data.shape == (13_580, 28, 28)
    with pytest.raises(FetchError, match="no HWD. images of 100 x 100"):
        fetch_hwd(100)


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_characteristics_are_recognised_in_any_order(hwd: Path, dtype: type) -> None:
    info = _info()
    order = [0, *(1 + np.random.default_rng(1).permutation(8))]
    _save(hwd, info[:, order].astype(dtype))
    data = fetch_hwd(folder=hwd)
    for j, name in enumerate([*_COUNTS, "medium", "age", "height"], start=1):
        np.testing.assert_array_equal(data.labels(name), info[:, j])
    assert data.characteristics["hand"].cat.categories.tolist() == [0, 1]
    assert "Known of the writers: gender, language, hand, education, medium, age, height." in data.description


def test_what_is_in_doubt_is_not_named(hwd: Path) -> None:
    info = _info()
    info[:, 7] = info[:, 6] + 1  # two columns that could be the age
    info[5, 3] = 1 - info[5, 3]  # a writer with two hands
    info[info[:, 1] == 1, 1] = 2  # the same counts under other values are still the gender
    _save(hwd, np.column_stack([info, info[:, 5]]))  # the medium twice
    data = fetch_hwd(folder=hwd)
    assert data.characteristics.columns.tolist() == ["gender", "language", "education"]
    assert data.characteristics["gender"].cat.categories.tolist() == [0, 2]
    assert data.info is not None
    assert data.info.shape[1] == 10


def test_writers_by_blocks_where_no_column_names_them(hwd: Path) -> None:
    info = _info()
    _save(hwd, info[:, :-1])
    data = fetch_hwd(folder=hwd)
    np.testing.assert_array_equal(data.writer, np.repeat(np.arange(97), 140))
    assert "hand" in data.characteristics
    _save(hwd, info[np.random.default_rng(0).permutation(len(info)), :-1])
    with pytest.raises(ValueError, match="does not tell who wrote which image"):
        fetch_hwd(folder=hwd)
    _save(hwd, info[:, :1])
    assert fetch_hwd(folder=hwd).characteristics.shape == (97, 0)


def test_splits_of_the_paper(hwd: Path) -> None:
    data = fetch_hwd(folder=hwd)
    train, test = data.by_digits(random_state=0)
    for rows, size in ((train, 10), (test, 4)):
        cells = np.bincount(data.writer[rows] * 10 + data.target[rows], minlength=970)
        assert (cells == size).all()
    train, test = data.by_individuals("language", random_state=0)
    assert len(np.unique(data.writer[test])) == 29
    assert set(data.labels("language")[train]) == set(data.labels("language")[test]) == {0, 1, 2}


def test_without_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UNDERLIE_DATA", raising=False)
    with pytest.raises(FetchError, match="neither folder nor UNDERLIE_DATA is set.*website of its author"):
        fetch_hwd()
    with pytest.raises(FetchError, match=r"looked for WriterInfo.npy in"):
        fetch_hwd(folder=tmp_path)
    with pytest.raises(ValueError, match="resolution is 64"):
        fetch_hwd(64)  # type: ignore[arg-type]


def test_other_arrays(hwd: Path) -> None:
    info = _info()
    digits = info.copy()
    digits[info[:, 0] == 3, 0] = 4
    _save(hwd, digits)
    with pytest.raises(ValueError, match="each digit 1,358 times"):
        fetch_hwd(folder=hwd)
    _save(hwd, info[:-1])
    with pytest.raises(ValueError, match=r"has shape \(13579, 9\)"):
        fetch_hwd(folder=hwd)
    _save(hwd, np.full((13_580, 2), "x"))
    with pytest.raises(ValueError, match="does not hold digits"):
        fetch_hwd(folder=hwd)
    (hwd / "WriterInfo.npy").write_bytes(b"not an array")
    with pytest.raises(ValueError, match="no NumPy array"):
        fetch_hwd(folder=hwd)
    _save(hwd, info)
    np.save(hwd / "Images(28x28).npy", np.zeros((5, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"have shape \(5, 28, 28\)"):
        fetch_hwd(folder=hwd)
