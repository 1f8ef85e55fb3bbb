"""MNIST by writers: who is chosen, that nothing is lost or mixed up, and clear errors for other files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from underlie.datasets import FetchError, load_qmnist_writers


def _labels(n: int, first_writer: int) -> np.ndarray:
    """Digits and writers at random: the writers differ in how much they write, and every second is a student."""
    rng = np.random.default_rng(n)
    labels = np.zeros((n, 8), np.int32)
    labels[:, 0] = rng.integers(0, 10, n)
    writer = rng.choice(40, n, p=np.arange(1, 41) / 820)
    labels[:, 1] = 4 * (writer % 2)
    labels[:, 2] = first_writer + writer
    labels[writer == 39, 0] = 0  # the most prolific writes zeros only
    return labels


def _write(folder: Path, train: np.ndarray, test: np.ndarray) -> None:
    np.savez(folder / "qmnist_meta.npz", train=train, test=test)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """MNIST of the published shapes, blank but for a number that tells every image, and its labels."""
    folder = tmp_path_factory.mktemp("mnist")
    train, test = _labels(60_000, 100), _labels(10_000, 2_100)
    arrays = {}
    for part, labels in (("train", train), ("test", test)):
        images = np.zeros((len(labels), 28, 28), np.uint8)
        images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
        arrays |= {f"x_{part}": images, f"y_{part}": labels[:, 0].astype(np.uint8)}
    np.savez(folder / "mnist.npz", **arrays)
    return folder, train, test


@pytest.fixture
def folder(digits: tuple[Path, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    (tmp_path / "mnist.npz").symlink_to(digits[0] / "mnist.npz")
    _write(tmp_path, *digits[1:])
    return tmp_path


def _row(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0].astype(int) * 256 + images[:, 0, 1]


def test_the_most_prolific_are_taken(folder: Path, digits: tuple[Path, np.ndarray, np.ndarray]) -> None:
    train = digits[1]
    data = load_qmnist_writers(7)
    assert data.unlabelled is not None
    # writer 139 wrote most, but zeros only
    assert (data.n_writers, data.unlabelled.n_writers) == (7, 33)
    assert 139 not in data.characteristics.index
    least = np.bincount(data.writer).min()
    assert least >= np.delete(np.bincount(data.unlabelled.writer), -1).max()
    assert (data.paper, data.data.dtype) == (0, np.uint8)
    for part in (data, data.unlabelled):
        row = _row(part.data)
        assert (np.diff(row) > 0).all()
        np.testing.assert_array_equal(part.target, train[row, 0])
        np.testing.assert_array_equal(part.characteristics.index.to_numpy()[part.writer], train[row, 2])
        np.testing.assert_array_equal(part.labels("group") == "high-school student", train[row, 1] == 4)
        np.testing.assert_array_equal(part.info, train[row])
    np.testing.assert_array_equal(np.union1d(_row(data.data), _row(data.unlabelled.data)), np.arange(60_000))


def test_ties_go_to_the_lower_code(folder: Path, digits: tuple[Path, np.ndarray, np.ndarray]) -> None:
    _, train, test = digits
    tied = train.copy()
    # sorted by digit, dealt in turn to 600 writers: 100 images each, ten of each digit
    tied[np.argsort(train[:, 0], kind="stable"), 2] = 1_000 - np.arange(60_000) % 600
    tied[:, 1] = 0
    _write(folder, tied, test)
    data = load_qmnist_writers(5)
    assert data.characteristics.index.tolist() == [401, 402, 403, 404, 405]


def test_parts_and_counts(folder: Path) -> None:
    both = load_qmnist_writers(7, "all")
    assert both.unlabelled is not None
    assert len(both) + len(both.unlabelled) == 70_000
    assert both.n_writers + both.unlabelled.n_writers == 80
    test = load_qmnist_writers(7, "test")
    assert test.characteristics.index.min() >= 2_100
    with pytest.raises(ValueError, match=r"n_writers is 60, but only \d+ people wrote all ten digits"):
        load_qmnist_writers(60)
    with pytest.raises(ValueError, match="n_writers is 0"):
        load_qmnist_writers(0)
    with pytest.raises(ValueError, match="split is 'valid'"):
        load_qmnist_writers(7, "valid")  # type: ignore[arg-type]


def test_labels_as_published(folder: Path, digits: tuple[Path, np.ndarray, np.ndarray]) -> None:
    expected = load_qmnist_writers(7, "all")
    (folder / "qmnist_meta.npz").unlink()
    with pytest.raises(FetchError, match="Put qmnist-train-labels-idx2-int.gz"):
        load_qmnist_writers(7)
    # QMNIST's test part goes on after MNIST's
    for part, labels in (("train", digits[1]), ("test", np.concatenate([digits[2], digits[1][:50_000]]))):
        header = np.array([0x0C02, *labels.shape], ">i4")
        with gzip.open(folder / f"qmnist-{part}-labels-idx2-int.gz", "wb", compresslevel=1) as file:
            file.write(header.tobytes() + labels.astype(">i4").tobytes())
    found = load_qmnist_writers(7, "all")
    np.testing.assert_array_equal(found.info, expected.info)
    np.testing.assert_array_equal(found.data, expected.data)
    with gzip.open(folder / "qmnist-train-labels-idx2-int.gz", "wb", compresslevel=1) as file:
        file.write(np.array([0x0C02, 60_000, 8, 1], ">i4").tobytes())
    with pytest.raises(ValueError, match="no table of integers in the format idx"):
        load_qmnist_writers(7)
    (folder / "qmnist-train-labels-idx2-int.gz").write_bytes(b"plain text")
    with pytest.raises(ValueError, match="cannot be read"):
        load_qmnist_writers(7)


def test_other_labels_are_refused(folder: Path, digits: tuple[Path, np.ndarray, np.ndarray]) -> None:
    _, train, test = digits

    def refused(message: str, row: int, column: int, value: int) -> None:
        other = train.copy()
        other[row, column] = value
        _write(folder, other, test)
        with pytest.raises(ValueError, match=message):
            load_qmnist_writers(7)

    refused(r"image 17 is \d there, \d here \(1 differ\)", 17, 0, (train[17, 0] + 1) % 10)
    refused("does not hold digits", 17, 0, 10)
    refused("is not 0, 1 or 4", 17, 1, 2)
    refused(f"writer {train[17, 2]} of .* is in two of NIST's series", 17, 1, 1)
    _write(folder, train[:-1], test)
    with pytest.raises(ValueError, match=r"have shape \(59999, 8\), not \(60000, 8\)"):
        load_qmnist_writers(7)
    np.savez(folder / "qmnist_meta.npz", test=test)
    with pytest.raises(ValueError, match="no array 'train', only test"):
        load_qmnist_writers(7)
