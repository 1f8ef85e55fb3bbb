"""Shell completion: scripts for each shell, and what they offer for a line that is being typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from underlie import explanations
from underlie.cli import completion
from underlie.data.columns import KINDS


@pytest.fixture
def offered(run, tmp_path, monkeypatch):
    """What Tab offers after a line, as bash is told."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"age": [1], "arm": ["a"], "days": [3]}).to_csv("patients.csv", index=False)

    def offer(*words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(["underlie", *(w or "''" for w in words)]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_UNDERLIE_COMPLETE", "complete_bash")
        from typer.testing import CliRunner

        from underlie.cli import app

        return CliRunner().invoke(app, [], prog_name="underlie").stdout.split()

    return offer


@pytest.mark.parametrize(
    ("shell", "registers"),
    [("bash", "complete -o default -F"), ("zsh", "#compdef underlie"), ("fish", "complete --command underlie")],
)
def test_each_shell_gets_a_script(run, monkeypatch, shell, registers):
    monkeypatch.setenv("_UNDERLIE_COMPLETE", f"source_{shell}")
    from typer.testing import CliRunner

    from underlie.cli import app

    script = CliRunner().invoke(app, [], prog_name="underlie").stdout
    assert registers in script
    assert f"_UNDERLIE_COMPLETE=complete_{shell}" in script


def test_commands_and_choices(offered):
    assert offered("doc") == ["doctor"]
    assert {"fit", "survival", "explain"} <= set(offered(""))
    assert offered("fit", "patients.csv", "--model", "") == ["vae", "ppca"]


def test_columns_of_the_table_on_the_line(offered):
    assert offered("fit", "patients.csv", "--drop", "a") == ["age", "arm"]
    assert offered("survival", "patients.csv", "--time", "d") == ["days"]
    assert offered("survival", "patients.csv", "--time", "days", "--treatment", "") == ["age", "arm", "days"]
    assert offered("fit", "patients.csv", "--kinds", "ag") == ["age="]
    assert offered("fit", "patients.csv", "--kinds", "age=co") == ["age=continuous", "age=count"]


def test_columns_of_other_files(offered):
    pd.DataFrame({"dose": [1], "day": [2]}).to_parquet("doses.parquet")
    pd.DataFrame({"dose": [1], "day": [2]}).to_csv("doses.tsv", sep="\t")
    np.savez("images.npz", X=np.zeros((2, 3)), y=np.zeros(2))
    assert offered("score", "model.safetensors", "doses.parquet", "--drop", "") == ["dose", "day"]
    assert offered("impute", "doses.tsv", "--drop", "d") == ["dose", "day"]
    assert offered("fit", "images.npz", "--array", "") == ["X", "y"]


def test_a_line_that_is_not_right_offers_nothing(offered):
    Path("broken.parquet").write_text("no parquet")
    Path("broken.csv").write_bytes(b"\xff\xfe\x00bad,\x80\n")
    Path("broken.npz").write_text("no zip")
    Path("empty.csv").touch()
    for table in ("broken.parquet", "broken.csv", "empty.csv", "nowhere.csv"):
        assert offered("fit", table, "--drop", "") == [], table
    assert offered("fit", "broken.npz", "--array", "") == []
    assert offered("fit", "--drop", "") == []


def test_pages(offered):
    assert offered("explain", "") == explanations.names()
    assert offered("explain", "pareto") == ["pareto-k"]


def test_kinds_are_those_of_the_schema():
    assert completion.KINDS == KINDS


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself_completes_commands_columns_and_leaves_files_to_the_shell(tmp_path):
    program = Path(sys.executable).parent / "underlie"
    if not program.exists():
        pytest.skip("the command is not installed beside this Python")
    pd.DataFrame({"age": [1], "arm": ["a"]}).to_csv(tmp_path / "patients.csv", index=False)
    script = """
    eval "$(_UNDERLIE_COMPLETE=source_bash underlie)"
    offer() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _underlie_completion underlie; echo "${COMPREPLY[*]}"
    }
    offer underlie expl
    offer underlie fit patients.csv --drop a
    offer underlie fit pat
    complete -p underlie
    """
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    command, columns, files, registered = done.stdout.split("\n")[:4]
    assert (command, columns, files) == ("explain", "age arm", ""), done.stderr
    assert "-o default" in registered
