"""Tables survive a trip through every kind of file, and a file that cannot be used is refused with a reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from underlie.cli.errors import BadInput
from underlie.cli.tables import parse_kinds, read_table, write_table


@pytest.fixture
def frame():
    return pd.DataFrame({"age": [61.5, np.nan, 70.0], "stage": ["I", None, "None"], "nodes": [0, 5, 12]})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_round_trip(tmp_path, frame, suffix):
    file = tmp_path / f"t{suffix}"
    write_table(frame, file)
    again = read_table(file)
    assert list(again.columns) == list(frame.columns)
    pd.testing.assert_frame_equal(again.isna(), frame.isna())
    assert (
        again.where(again.notna(), "gap").to_numpy().tolist() == frame.where(frame.notna(), "gap").to_numpy().tolist()
    )


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_round_trip(tmp_path, suffix):
    images = np.random.default_rng(0).random((4, 3, 2))
    write_table(images, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_table(tmp_path / f"a{suffix}"), images)


def test_only_empty_na_and_nan_are_missing(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,x\nNA,None\n,null\nNaN,n/a\n")
    table = read_table(file)
    assert table["a"].isna().tolist() == [False, True, True, True]
    assert table["b"].tolist() == ["x", "None", "null", "n/a"]


def test_row_names_of_r_are_labels_and_come_back(tmp_path):
    file = tmp_path / "r.csv"
    file.write_text('"","age","sex"\n"p1",61,"f"\n"p2",48,"m"\n')
    table = read_table(file)
    assert list(table.columns) == ["age", "sex"]
    assert list(table.index) == ["p1", "p2"]
    write_table(table, tmp_path / "again.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "again.csv"), table)


def test_drop(tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert list(read_table(tmp_path / "t.csv", drop=["age", "nodes"]).columns) == ["stage"]
    with pytest.raises(BadInput, match="--drop id: t.csv has no such column; it has age, stage, nodes"):
        read_table(tmp_path / "t.csv", drop=["id"])


def test_named_array_of_npz(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, X=np.ones((2, 3)), y=np.zeros((2, 1)))
    assert read_table(file, array="X").shape == (2, 3)
    with pytest.raises(BadInput, match="holds 2 arrays .X, y.; choose one with --array"):
        read_table(file)
    with pytest.raises(BadInput, match="no such array; it has X, y"):
        read_table(file, array="Z")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "cannot be read as csv"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,a\n1,2\n", "'a' occurs more than once"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6,7\n", "cannot be read as csv"),
        ("t.csv", b"\xff\xfe\x00", "cannot be read as csv"),
        ("t.parquet", b"no parquet", "cannot be read as parquet"),
        ("t.npy", b"no numpy", "cannot be read as a NumPy file"),
        ("t.xlsx", b"", "unknown kind of file '.xlsx'"),
        ("t", b"", "unknown kind of file"),
    ],
)
def test_unusable_files_are_refused(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_table(file)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match="cannot be read"):
        read_table(tmp_path / "evil.npy")


def test_what_a_file_cannot_hold_is_refused(tmp_path, frame):
    with pytest.raises(BadInput, match="'stage' is not numeric"):
        write_table(frame, tmp_path / "t.npy")
    with pytest.raises(BadInput, match=r"shape \(2, 3, 4\) is no table"):
        write_table(np.zeros((2, 3, 4)), tmp_path / "t.csv")
    with pytest.raises(BadInput, match="folder .* does not exist"):
        write_table(frame, tmp_path / "absent" / "t.csv")


def test_missing_file_names_itself(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        read_table(tmp_path / "absent.csv")
    assert caught.value.filename.endswith("absent.csv")


def test_parse_kinds():
    assert parse_kinds([]) is None
    assert parse_kinds(["a=count", "b = ordinal,c=binary"]) == {"a": "count", "b": "ordinal", "c": "binary"}
    for bad, message in (("a", "COLUMN=KIND"), ("=count", "COLUMN=KIND"), ("a=numeric", "'numeric' is no kind")):
        with pytest.raises(BadInput, match=message):
            parse_kinds([bad])
