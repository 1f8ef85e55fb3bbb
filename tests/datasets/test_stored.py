"""Arrays in files: what is read is what was written, and what a file claims takes no memory until it is borne out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from underlie.datasets import fetch_semeion
from underlie.datasets.stored import declared, read_member, read_npy

_HUGE = (10**15, 8)


def header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """The start of a .npy file that claims this."""
    out = io.BytesIO()
    npy.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


def archive(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("x.npy", content)
    return path


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(st.sampled_from(["<f8", ">i4", "u1", "?", "<U3"]), hnp.array_shapes(min_dims=0, min_side=0)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("stored") / "x.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, x=array)
        with np.load(path, allow_pickle=False) as file:
            assert declared(file, "x") == (array.shape, array.dtype)
            np.testing.assert_array_equal(read_member(file, "x"), array)


def test_an_array_on_disk_is_read_as_it_is(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), array)


@pytest.mark.parametrize("shape", [_HUGE, (10**30,), (2**62, 2**62), (10**6,)])
def test_a_claim_to_more_than_the_file_holds_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(header(shape) + bytes(80))
    with pytest.raises(ValueError, match=r"x\.npy is no NumPy array of numbers"):
        read_npy(path)
    archive(tmp_path / "x.npz", header(shape) + bytes(80))
    with (
        np.load(tmp_path / "x.npz", allow_pickle=False) as file,
        pytest.raises(ValueError, match="made to fill memory"),
    ):
        read_member(file, "x")


def test_an_archive_that_lies_of_its_members_is_refused(tmp_path: Path) -> None:
    """A small file whose directory says that the member is as long as its header claims."""
    path = archive(tmp_path / "x.npz", header((10**8,)) + bytes(80))
    blob, length = path.read_bytes(), len(header((10**8,))) + 80
    path.write_bytes(blob.replace(length.to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little")))
    with np.load(path, allow_pickle=False) as file:
        assert file.zip.getinfo("x.npy").compress_size == 2**32 - 2
        with pytest.raises(ValueError, match="made to fill memory"):
            read_member(file, "x")


def test_objects_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="no NumPy array of numbers"):
        read_npy(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", x=np.array([print], dtype=object), allow_pickle=True)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file, pytest.raises(ValueError, match="Python objects"):
        read_member(file, "x")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04" + bytes(60), b"\x93NUMPY\x09\x00" + bytes(60), b"\x80\x04."]
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy is no NumPy array"):
        read_npy(tmp_path / "x.npy")


def test_a_data_set_of_another_shape_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "semeion.npz", "w") as file:
        for name, shape in (("x", _HUGE), ("y", (1593,))):
            file.writestr(f"{name}.npy", header(shape) + bytes(80))
    with pytest.raises(ValueError, match="made to fill memory|another file of that name"):
        fetch_semeion()
