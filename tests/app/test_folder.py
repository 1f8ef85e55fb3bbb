"""Which models a folder holds, and which rows belong to them: laws of files, without a browser."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.beside import Note, data_of, note_file, write_note
from underlie.app.folder import NothingToShow, models_in
from underlie.app.opened import Shelf, kind_of, open_model
from underlie.cli.tables import read_table


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 5, 4))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.normal(60, 9, 50), "weight": rng.normal(70, 8, 50)})


@pytest.fixture(scope="module")
def of_images(images):
    return ul.ProbabilisticPCA(2).fit(images)


@pytest.fixture(scope="module")
def of_table(table):
    return ul.ProbabilisticPCA(1).fit(table)


def test_models_are_found_here_and_one_folder_down_and_named_by_it(tmp_path, of_table):
    for place in ("b.safetensors", "fit/model.safetensors", "fit/other.safetensors", "a/b/c.safetensors"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        of_table.save(tmp_path / place)
    (tmp_path / ".b.safetensors.part.safetensors").touch()
    found = models_in(tmp_path)
    assert [model.name for model in found] == ["b", "fit", "fit/other"]
    assert {model.family for model in found} == {"ProbabilisticPCA"}
    assert [model.name for model in models_in(tmp_path / "b.safetensors")] == ["b"]


def test_what_is_no_model_says_so_and_does_not_hide_the_others(tmp_path, of_table):
    from safetensors.numpy import save_file

    of_table.save(tmp_path / "good.safetensors")
    whole = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").touch()
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    problems = {model.name: model.problem for model in models_in(tmp_path)}
    assert problems["good"] == ""
    assert "damaged" in problems["cut"]
    assert "damaged" in problems["empty"]
    assert "did not write it" in problems["foreign"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such folder"),
        (lambda p: p.mkdir(), "holds no models"),
        (lambda p: p.touch(), "is no model"),
    ],
)
def test_folders_without_models_name_the_remedy(tmp_path, make, message):
    make(tmp_path / "place")
    with pytest.raises(NothingToShow, match=message):
        models_in(tmp_path / "place")


def test_kind_by_class_and_shape(of_images, of_table):
    assert (kind_of(of_images), kind_of(of_table)) == ("images", "table")


def test_an_npz_of_the_same_name_has_rows_and_labels(tmp_path, of_images, images):
    of_images.save(tmp_path / "m.safetensors")
    labels = np.arange(40) % 3
    np.savez(tmp_path / "m.npz", X=images.reshape(40, 20), y=labels)  # flat images are folded
    data = data_of(tmp_path / "m.safetensors", of_images, read_table)
    assert data.problem == ""
    assert np.array_equal(data.rows, images)
    assert np.array_equal(data.labels, labels)


def test_a_table_keeps_columns_that_the_model_was_not_given(tmp_path, of_table, table):
    of_table.save(tmp_path / "m.safetensors")
    table.assign(arm="a")[["arm", "weight", "age"]].to_csv(tmp_path / "m.csv", index=False)
    data = data_of(tmp_path / "m.safetensors", of_table, read_table)
    assert list(data.rows.columns) == ["age", "weight"]
    assert "arm" in data.table
    np.testing.assert_allclose(data.rows, table)


def test_a_note_goes_before_a_file_of_the_same_name(tmp_path, of_table, table):
    model = tmp_path / "m.safetensors"
    of_table.save(model)
    table.iloc[:7].to_csv(tmp_path / "m.csv", index=False)
    (tmp_path / "elsewhere").mkdir()
    table.assign(arm=["a", "b"] * 25).to_parquet(tmp_path / "elsewhere" / "rows.parquet")
    write_note(model, Note(str(tmp_path / "elsewhere" / "rows.parquet"), labels=("arm",)))
    data = data_of(model, of_table, read_table)
    assert len(data.rows) == 50
    assert list(data.labels[:2]) == ["a", "b"]


def test_a_note_about_a_file_in_the_folder_survives_a_move(tmp_path, of_table, table):
    (tmp_path / "one").mkdir()
    of_table.save(tmp_path / "one" / "m.safetensors")
    table.to_csv(tmp_path / "one" / "rows.csv", index=False)
    write_note(tmp_path / "one" / "m.safetensors", Note(os.fspath(tmp_path / "one" / "rows.csv")))
    (tmp_path / "one").rename(tmp_path / "two")
    assert data_of(tmp_path / "two" / "m.safetensors", of_table, read_table).problem == ""


def test_outcomes_by_columns_that_the_note_names(tmp_path, of_table, table):
    model = tmp_path / "m.safetensors"
    of_table.save(model)
    table.assign(days=np.arange(1, 51), status=["alive", "died"] * 25).to_csv(tmp_path / "t.csv", index=False)
    write_note(model, Note(str(tmp_path / "t.csv"), time="days", event="status=died"))
    outcomes = data_of(model, of_table, read_table).outcomes
    assert outcomes["event"].sum() == 25
    assert outcomes["time"].max() == 50


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: None, "No data lie beside the model"),
        (lambda folder: note_file(folder / "m.safetensors").write_text("{"), "cannot be read"),
        (lambda folder: note_file(folder / "m.safetensors").write_text(json.dumps({"fyle": "a"})), "cannot be read"),
        (lambda folder: write_note(folder / "m.safetensors", Note(str(folder / "gone.csv"))), "not there any more"),
        (lambda folder: (folder / "m.csv").write_text("age\n1\n"), "lacks the column 'weight'"),
        (lambda folder: (folder / "m.csv").write_text(""), "cannot be used"),
        (lambda folder: np.save(folder / "m.npy", np.zeros((3, 5))), "those of the model are 2"),
        (lambda folder: np.savez(folder / "m.npz", a=np.zeros(3), b=np.zeros(3)), "call the rows X"),
        (lambda folder: np.savez(folder / "m.npz", X=np.zeros((3, 2)), y=np.zeros(4)), "labels of shape"),
        (lambda folder: (folder / "m.npz").write_bytes(b"PK\x03\x04rubbish"), "cannot be used"),
    ],
)
def test_bad_data_are_said_and_the_model_opens_all_the_same(tmp_path, of_table, spoil, message):
    of_table.save(tmp_path / "m.safetensors")
    spoil(tmp_path)
    (found,) = models_in(tmp_path)
    opened = open_model(found, read_table)
    assert message in opened.missing
    assert opened.rows is None
    assert opened.n_rows == 0


def test_a_model_is_opened_once_and_what_it_computed_is_kept(tmp_path, of_table):
    of_table.save(tmp_path / "m.safetensors")
    shelf = Shelf(models_in(tmp_path), read_table)
    opened = shelf.open("m")
    assert shelf.open("m") is opened
    assert opened.recalled("answer") is None
    assert opened.remember("answer", lambda: 42) == 42
    assert opened.remember("answer", lambda: 43) == 42


def test_what_is_there_is_given_while_something_else_is_computed(tmp_path, of_table):
    of_table.save(tmp_path / "m.safetensors")
    opened = Shelf(models_in(tmp_path), read_table).open("m")
    opened.remember("quick", lambda: 1)
    started, go_on = threading.Event(), threading.Event()

    def slow():
        started.set()
        return go_on.wait(30)

    threads = [threading.Thread(target=opened.remember, args=("slow", slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    assert opened.remember("quick", lambda: 2) == 1  # would wait for ever if one lock held all
    assert opened.remember("new", lambda: 3) == 3
    assert opened.recalled("slow") is None
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert opened.recalled("slow") is True


def test_a_bad_first_model_is_left_for_whoever_asks(tmp_path, of_table):
    (tmp_path / "a.safetensors").write_bytes(b"rubbish")
    of_table.save(tmp_path / "b.safetensors")
    shelf = Shelf(models_in(tmp_path), read_table)
    shelf.open_first()
    with pytest.raises(ValueError, match="a.safetensors"):
        shelf.open("a")
