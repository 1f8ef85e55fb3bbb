"""Every command does its work on a small table, and refuses bad input with exit code 2 and one message."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.report import Document

COMMANDS = ("demo", "fit", "compare", "sample", "impute", "score", "schema", "report", "survival")


def refused(done, message):
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.output
    assert re.search(message, re.sub(r"\s+", " ", done.stderr)), done.stderr


# ------------------------------------------------------------------------------------------------------------ help


def test_help_lists_every_command(run):
    done = run("--help")
    assert done.exit_code == 0
    assert all(command in done.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run, command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert "Examples" in done.output
    assert f"underlie {command}" in done.output.split("Examples")[1]


def test_version(run):
    assert run("--version").output.strip() == f"underlie {ul.__version__}"


@pytest.mark.parametrize(
    "words", [["nonsense"], ["fit"], ["fit", "t.csv"], ["fit", "t.csv", "--out", "o", "--model", "svm"]]
)
def test_wrong_usage_is_exit_code_2(run, words):
    assert run(*words).exit_code == 2


# ------------------------------------------------------------------------------------------------------------- fit


def test_fit_writes_model_page_and_facts(fitted):
    model = ul.load(fitted / "model.safetensors")
    report = Document.from_json(json.loads((fitted / "report.json").read_text(encoding="utf-8")))
    assert report.facts["model"]["class"] == type(model).__name__
    assert report.facts["data"]["n_rows"] == 80
    assert report.facts["log_likelihood"]["mean"] is not None
    assert report.provenance["seed"] == 0
    page = (fitted / "report.html").read_text(encoding="utf-8")
    assert "<h1>patients.csv" in page
    assert page.count("<figure>") >= 2


def test_fit_is_repeatable_and_quiet(run, patients, tmp_path):
    for name in ("a", "b"):
        done = run("fit", patients, "--drop", "id", "--max-epochs", 2, "--seed", 5, "--quiet", "--out", tmp_path / name)
        assert (done.exit_code, done.output) == (0, "")
    first, second = (
        run("score", tmp_path / name, patients, "--drop", "id").stdout.split("nats")[0] for name in ("a", "b")
    )
    assert first == second


def test_fit_to_an_array_of_an_npz(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(tmp_path / "a.npz", X=X, y=X[:, :1])
    done = run("fit", tmp_path / "a.npz", "--array", "X", "--model", "ppca", "--n-latent", 1, "--out", tmp_path / "fit")
    assert done.exit_code == 0, done.output
    model = ul.load(tmp_path / "fit" / "model.safetensors")
    assert model.score(X) == pytest.approx(ul.ProbabilisticPCA(1).fit(X).score(X))


def test_stated_kinds_reach_the_model(run, patients, tmp_path):
    words = ("--drop", "id", "--kinds", "nodes=continuous", "--max-epochs", 1, "--out", tmp_path / "fit")
    done = run("fit", patients, *words)
    assert done.exit_code == 0, done.output
    assert ul.load(tmp_path / "fit" / "model.safetensors").schema_["nodes"].kind == "continuous"


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (None, [], "there is no such file"),
        ("a,b\n1,inf\n2,3\n4,5\n", [], "(?i)b.*infin|infin.*b"),
        ("a,b\n1,\n2,\n3,\n", [], "'b'"),
        ("a,a\n1,2\n", [], "occurs more than once"),
        ("a,b\n1,2\n2,3\n3,5\n", ["--kinds", "c=count"], "'c'"),
        ("a,b\n1,2\n2,3\n3,5\n", ["--kinds", "a=count=2"], "is no kind"),
        ("a,b\n1,2\n2,3\n3,5\n", ["--drop", "c"], "no such column"),
        ("a,b\n1,2\n2,3\n3,5\n", ["--array", "X"], "only an npz file"),
        ("a,b\n1.5,2\n-2,3\n3,5\n", ["--kinds", "a=count"], "'a'"),
    ],
)
def test_fit_refuses_bad_tables(run, tmp_path, content, more, message):
    file = tmp_path / "t.csv"
    if content is not None:
        file.write_text(content)
    refused(run("fit", file, "--out", tmp_path / "fit", *more), message)


def test_fit_refuses_a_file_as_folder(run, patients):
    refused(run("fit", patients, "--drop", "id", "--out", patients), "is a file; give a folder")


# --------------------------------------------------------------------------------------------- sample, impute, score


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_sample_writes_rows_like_the_table(run, fitted, tmp_path, suffix):
    out = tmp_path / f"s{suffix}"
    assert run("sample", fitted, "-n", 7, "--seed", 1, "--out", out).exit_code == 0
    rows = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert list(rows.columns) == ["age", "dose", "nodes", "stage"]
    assert len(rows) == 7
    assert set(rows["stage"]) <= {"I", "II", "III"}


def test_sample_prints_csv_and_the_seed_decides(run, fitted):
    texts = [run("sample", fitted, "-n", 4, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert texts[0].startswith("age,dose,nodes,stage\n")
    assert texts[0].count("\n") == 5
    assert texts[0] == texts[1] != texts[2]


def test_impute_fills_gaps_and_touches_nothing_else(run, fitted, patients, tmp_path):
    out = tmp_path / "complete.csv"
    assert run("impute", fitted, patients, "--drop", "id", "--out", out).exit_code == 0
    before, after = pd.read_csv(patients), pd.read_csv(out)
    assert list(after.columns) == list(before.columns)
    assert not after.isna().to_numpy().any()
    seen = before.notna()
    assert (after.where(seen) == before).to_numpy()[seen.to_numpy()].all()


def test_multiple_imputations_are_stacked_in_long_format(run, fitted, patients, tmp_path):
    out = tmp_path / "draws.csv"
    assert run("impute", fitted, patients, "--drop", "id", "--draws", 3, "--seed", 2, "--out", out).exit_code == 0
    stacked, before = pd.read_csv(out), pd.read_csv(patients)
    assert list(stacked.columns) == [".imp", ".id", *before.columns]
    assert stacked[".imp"].value_counts().to_dict() == {1: 80, 2: 80, 3: 80}
    assert stacked[".id"].tolist() == 3 * list(range(1, 81))
    assert stacked["id"].tolist() == 3 * before["id"].tolist()
    assert not stacked.isna().to_numpy().any()
    spread = stacked.groupby(".id")["age"].std().to_numpy()
    assert (spread[before["age"].notna()] == 0).all()
    assert (spread[before["age"].isna()] > 0).all()


def test_impute_without_a_model_fits_one(run, patients, tmp_path):
    out = tmp_path / "complete.parquet"
    done = run("impute", patients, "--model", "ppca", "--drop", "id", "--out", out)
    assert done.exit_code == 0, done.output
    assert not pd.read_parquet(out).isna().to_numpy().any()


def test_score_prints_the_mean_and_writes_every_row(run, fitted, patients, tmp_path):
    out = tmp_path / "scores.csv"
    done = run("score", fitted, patients, "--drop", "id", "--out", out)
    assert done.exit_code == 0, done.output
    scores = pd.read_csv(out)["log_likelihood"]
    printed = float(done.stdout.split()[1].replace("−", "-"))
    assert len(scores) == 80
    assert printed == pytest.approx(scores.mean(), abs=0.051)


def test_use_refuses_bad_input(run, fitted, patients, tmp_path):
    out = tmp_path / "o.csv"
    refused(run("sample", tmp_path, "-n", 3), "holds no model.safetensors")
    refused(run("sample", tmp_path / "absent", "-n", 3), "absent")
    refused(run("sample", patients, "-n", 3), "not a model")
    refused(run("sample", fitted, "-n", 3, "--out", tmp_path / "o.npy"), "'stage' is not numeric")
    refused(run("impute", fitted, "--out", out), "give the table to complete as well")
    refused(run("impute", patients, patients, "--out", out), "is a table; give one table")
    refused(run("impute", fitted, patients, "--drop", "id", "--out", tmp_path / "absent" / "o.csv"), "does not exist")
    frame = pd.read_csv(patients).drop(columns="id").assign(stage="IV")
    frame.to_csv(tmp_path / "unseen.csv", index=False)
    refused(run("score", fitted, tmp_path / "unseen.csv"), "'IV'")
    assert not out.exists()


def test_a_damaged_model_is_refused(run, fitted, tmp_path):
    damaged = bytearray((fitted / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(damaged)
    refused(run("sample", tmp_path, "-n", 3), "damaged")


# ------------------------------------------------------------------------------------------------- compare, schema


def test_compare_prints_a_table_and_writes_a_report(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(120, 3)) @ np.array([[1.0, 0.5, 0.2], [0.0, 1.0, 0.3], [0.0, 0.0, 0.5]])
    np.save(tmp_path / "x.npy", X)
    words = ("--models", "ppca,gmm,vae", "--max-epochs", 3, "--out", tmp_path / "c")
    done = run("compare", tmp_path / "x.npy", *words)
    assert done.exit_code == 0, done.output
    assert all(name in done.stdout for name in ("pPCA", "Gaussian mixture", "VAE", "nats per row"))
    report = Document.from_json(json.loads((tmp_path / "c" / "report.json").read_text(encoding="utf-8")))
    assert [row[0] for row in report.sections[0].blocks[0].rows] == ["pPCA", "Gaussian mixture", "VAE"]


def test_compare_warns_where_likelihoods_have_other_units(run, patients):
    done = run("compare", patients, "--drop", "id", "--max-epochs", 2, "--held-out", 0)
    assert done.exit_code == 0, done.output
    assert "Log-likelihoods of different kinds" in done.stderr
    assert "BIC" in done.stdout


def test_compare_refuses_bad_input(run, patients):
    refused(run("compare", patients, "--drop", "id", "--models", "ppca,svm"), "svm")
    refused(run("compare", patients, "--drop", "id", "--models", "gmm"), "'stage' is not numeric")
    refused(run("compare", patients, "--drop", "id", "--drop", "stage", "--models", "gmm"), "complete table")
    refused(run("compare", patients, "--drop", "id", "--held-out", 0.001), "too few to hold out")


def test_schema_shows_kinds(run, patients):
    done = run("schema", patients, "--drop", "id", "--kinds", "nodes=continuous")
    assert done.exit_code == 0
    assert done.stdout == f"{ul.Schema.infer(pd.read_csv(patients).drop(columns='id'), {'nodes': 'continuous'})}\n"


def test_a_fault_of_ours_keeps_its_traceback(run, patients, monkeypatch):
    def broken(*args, **kwargs):
        return np.zeros(2) + np.zeros(3)

    monkeypatch.setattr("underlie.data.schema.Schema.infer", broken)
    done = run("schema", patients)
    assert done.exit_code == 1
    assert isinstance(done.exception, ValueError)


def test_an_interruption_is_130(run, patients, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("underlie.data.schema.Schema.infer", interrupted)
    done = run("schema", patients)
    assert done.exit_code == 130
    assert "interrupted" in done.stderr


def test_no_module_is_called_like_the_application() -> None:
    """Importing a module sets it as the attribute of its package, where the application is."""
    import pkgutil

    from underlie import cli

    assert not set(cli.__all__) & {module.name for module in pkgutil.iter_modules(cli.__path__)}
