"""``underlie report`` says what ``ul.Report`` says, in the format of every file that is named."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import underlie as ul


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """A survival model and a classifier, with the table of each."""
    folder = tmp_path_factory.mktemp("trial")
    rng = np.random.default_rng(0)
    n = 120
    table = pd.DataFrame({"age": rng.normal(60, 10, n).round(1), "arm": rng.choice(["new", "old"], n)})
    time = rng.exponential(np.exp(2 - 0.05 * (table["age"] - 60)))
    table["days"] = np.minimum(time, 12).round(3) + 0.01
    table["status"] = np.where(time <= 12, "dead", "alive")
    table.to_csv(folder / "trial.csv", index=False)
    y = ul.Surv(table["days"], table["status"] == "dead")
    quick = {"n_replicates": 2, "max_epochs": 1, "heterogeneity": 0.0, "random_state": 0, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ul.SurvivalVAE("arm", **quick).fit(table[["age", "arm"]], y).save(folder / "survival.safetensors")
    ul.PPCAClassifier(1).fit(table[["age", "days"]], table["arm"]).save(folder / "classifier.safetensors")
    X, labels = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    np.savez(folder / "rows.npz", X=X, labels=labels)
    ul.PPCAClassifier(1).fit(X, labels).save(folder / "arrays.safetensors")
    return folder


def test_every_format_is_that_of_the_report(run, fitted, patients, tmp_path):
    names = ["r.html", "r.md", "r.tex", "r.json", "r.txt"]
    outs = [word for name in names for word in ("--out", tmp_path / name)]
    done = run("report", fitted, patients, "--drop", "id", *outs)
    assert done.exit_code == 0, done.output
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [str(tmp_path / name) for name in names]
    report = ul.Report.from_json(tmp_path / "r.json")
    assert report.facts["data"]["seen"] == {"rows": "training", "known_by": "statistics"}
    written = {name: (tmp_path / name).read_text(encoding="utf-8") for name in names}
    assert written["r.html"] == report.to_html()
    assert written["r.tex"] == report.to_latex()
    assert written["r.txt"] == report.summary() + "\n"
    assert "patients.csv" in written["r.md"].splitlines()[0]
    assert all(f"[{alert.code}]" in written["r.txt"] for alert in report.alerts)
    assert all(alert.title in done.stderr for alert in report.alerts)


def test_without_a_file_it_is_printed(run, fitted, patients):
    done = run("report", fitted, patients, "--drop", "id", "--held-out", "--max-rows", 40)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("patients.csv: ")
    assert "40 of 80, at random; the model has not seen them" in done.stdout
    assert "Log-likelihood" in done.stdout


def test_outcomes_are_read_from_their_columns(run, trial, tmp_path):
    words = ("--time", "days", "--event", "status=dead", "--horizon", 5, "--randomised", "--out", tmp_path / "r.json")
    done = run("report", trial / "survival.safetensors", trial / "trial.csv", *words, "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    facts = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["facts"]
    table = pd.read_csv(trial / "trial.csv")
    assert facts["survival"]["n_events"] == (table["status"] == "dead").sum()
    assert facts["survival"]["horizon"] == 5
    assert facts["effects"]["randomised"] is True
    assert facts["data"]["seen"]["rows"] == "training"


def test_labels_are_a_column_or_an_array(run, trial):
    done = run("report", trial / "classifier.safetensors", trial / "trial.csv", "--drop", "status", "--label", "arm")
    assert done.exit_code == 0, done.output
    assert "Accuracy" in done.stdout
    done = run("report", trial / "arrays.safetensors", trial / "rows.npz", "--array", "X", "--label", "labels")
    assert done.exit_code == 0, done.output
    assert "Accuracy" in done.stdout


@pytest.mark.parametrize(
    ("model", "table", "words", "message"),
    [
        ("survival", "trial.csv", ["--time", "days"], "--time and --event belong together"),
        ("survival", "trial.csv", ["--time", "day", "--event", "status=dead"], "--time day: trial.csv has no such"),
        ("survival", "trial.csv", ["--label", "arm"], "--label arm: a SurvivalVAE predicts no labels"),
        (
            "classifier",
            "trial.csv",
            ["--drop", "status", "--label", "sex"],
            "--label sex: trial.csv has no such column",
        ),
        ("classifier", "trial.csv", ["--time", "days", "--event", "status=dead"], "predicts no event times"),
        ("classifier", "trial.csv", ["--drop", "status", "--drop", "arm", "--horizon", "3"], "--horizon: a PPCA"),
        ("arrays", "rows.npz", ["--array", "X", "--label", "y"], "--label y: rows.npz has no such array"),
        ("survival", "trial.csv", ["--out", "report.pdf"], "unknown kind of report"),
        ("survival", "trial.csv", ["--out", "absent/r.html"], "does not exist"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(run, trial, model, table, words, message):
    done = run("report", trial / f"{model}.safetensors", trial / table, *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""
