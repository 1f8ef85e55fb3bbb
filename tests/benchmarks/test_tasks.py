"""A study that stopped goes on where it was."""

from __future__ import annotations

import pytest
from tasks import Results


def test_last_row_of_a_task_counts_and_errors_are_not_finished(tmp_path):
    path = tmp_path / "study.csv"
    Results(path, ["set", "split", "value"], ["set", "split"]).add({"set": "lung", "split": 0, "error": "it, failed"})
    again = Results(path, ["set", "split", "value"], ["set", "split"])
    assert again.finished() == set()
    again.add({"set": "lung", "split": 0, "value": 0.5})
    again.add({"set": "lung", "split": 1, "error": "no"})
    assert again.finished() == {("lung", "0")}
    table = again.table().set_index("split")
    assert table.loc[0, "value"] == 0.5
    assert table.loc[0, "error"] == ""
    assert table.loc[1, "error"] == "no"


def test_settings_are_text_also_where_they_look_like_numbers(tmp_path):
    results = Results(tmp_path / "study.csv", ["settings", "value"], ["settings"])
    results.add({"settings": "1.0", "value": 2})
    assert results.finished() == {("1.0",)}


def test_file_of_another_study_is_refused(tmp_path):
    path = tmp_path / "study.csv"
    Results(path, ["set"], ["set"]).add({"set": "lung"})
    with pytest.raises(ValueError, match=r"has the columns set, error, not set, split, error: name another file"):
        Results(path, ["set", "split"], ["set"])


def test_nothing_done_yet(tmp_path):
    results = Results(tmp_path / "none.csv", ["set"], ["set"])
    assert results.table().empty
    assert results.finished() == set()
