"""The table that a model was fitted to can be given again as it is: columns and their roles are remembered."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.beside import Note, note_file, write_note

SAID = "columns left out: id (as in the fit)\n"


def test_the_table_of_the_fit_needs_no_options_again(run, fitted, patients, tmp_path):
    """Every command gives what it gives with the options repeated, and says once what it leaves out."""
    commands = [("score",), ("report", "--max-rows", 15), ("impute", "--out", tmp_path / "o.csv")]
    for command, *more in commands:
        plain, repeated = (
            run(command, fitted, patients, *more),
            run(command, fitted, patients, "--drop", "id", *more),
        )
        assert plain.exit_code == repeated.exit_code == 0, plain.output
        assert plain.stdout == repeated.stdout
        assert plain.stderr.count("left out") == 1
        assert plain.stderr.replace(SAID, "") == repeated.stderr


def test_other_columns_in_any_order_change_nothing(run, fitted, patients, tmp_path):
    table = pd.read_csv(patients)
    shuffled = table.assign(ward=3, **{"a date": "2020-01-01"})[["stage", "ward", "nodes", "a date", "dose", "age"]]
    shuffled.to_csv(tmp_path / "more.csv", index=False)
    done = run("score", fitted, tmp_path / "more.csv")
    assert done.stdout == run("score", fitted, patients).stdout
    assert done.stderr == "columns left out: ward, a date\n"
    assert run("score", fitted, tmp_path / "more.csv", "--quiet").output == ""


def test_columns_that_are_missing_are_named_with_what_they_may_be_called(run, fitted, patients, tmp_path):
    table = pd.read_csv(patients)
    table.rename(columns={"age": "Age "}).to_csv(tmp_path / "renamed.csv", index=False)
    table[["id", "stage"]].to_csv(tmp_path / "few.csv", index=False)
    for command, *more in [("score",), ("report",), ("impute", "--out", tmp_path / "o.csv")]:
        done = run(command, fitted, tmp_path / "renamed.csv", *more)
        assert done.exit_code == 2
        assert "renamed.csv lacks the column 'age', which the model was fitted to (is it 'Age '?)" in done.stderr
        done = run(command, fitted, tmp_path / "few.csv", *more)
        assert done.exit_code == 2
        assert "few.csv lacks 3 columns, 'age', 'dose', 'nodes'" in done.stderr


def test_the_remedy_of_a_missing_column_works(run, fitted, patients, tmp_path):
    pd.read_csv(patients).assign(dose=np.nan).to_csv(tmp_path / "unmeasured.csv", index=False)
    assert run("score", fitted, tmp_path / "unmeasured.csv").exit_code == 0


def test_a_column_of_the_model_cannot_be_left_out(run, fitted, patients):
    done = run("score", fitted, patients, "--drop", "age")
    assert done.exit_code == 2
    assert "--drop age: the model was fitted to this column" in done.stderr


def test_a_moved_or_spoilt_note_does_not_stop_a_command(run, fitted, patients, tmp_path):
    shutil.copy(fitted / "model.safetensors", tmp_path / "model.safetensors")
    alone = run("score", tmp_path, patients)
    assert alone.stdout == run("score", fitted, patients).stdout
    assert alone.stderr == "columns left out: id\n"
    note_file(tmp_path / "model.safetensors").write_text("{")
    spoilt = run("score", tmp_path, patients)
    assert spoilt.stdout == alone.stdout
    assert "model.data.json cannot be read" in spoilt.stderr


def test_the_array_of_an_npz_is_remembered(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(tmp_path / "a.npz", X=X, other=np.zeros((60, 2)))
    words = ("--array", "X", "--model", "ppca", "--n-latent", 1, "--out", tmp_path / "fit")
    assert run("fit", tmp_path / "a.npz", *words).exit_code == 0
    assert run("score", tmp_path / "fit", tmp_path / "a.npz").exit_code == 0
    np.savez(tmp_path / "b.npz", only=X)
    assert run("score", tmp_path / "fit", tmp_path / "b.npz").exit_code == 0


# --------------------------------------------------------------------------------------- models of outcomes and labels


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A survival model with its note, a classifier with its note, and their table."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    n = 120
    table = pd.DataFrame({"name": [f"p{i}" for i in range(n)], "age": rng.normal(60, 10, n).round(1)})
    table["arm"] = rng.choice(["new", "old"], n)
    time = rng.exponential(np.exp(6 - 0.05 * (table["age"] - 60)))
    table["days"] = np.minimum(time, 1500).round(1) + 1
    table["status"] = np.where(time <= 1500, "dead", "alive")
    table.to_csv(folder / "trial.csv", index=False)
    y = ul.Surv(table["days"], table["status"] == "dead")
    quick = {"n_replicates": 2, "max_epochs": 1, "heterogeneity": 0.0, "random_state": 0, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ul.SurvivalVAE("arm", **quick).fit(table[["age", "arm"]], y).save(folder / "s.safetensors")
    question = {"horizon": 400.0, "randomised": True, "time_unit": "days"}
    of_survival = Note(
        str(folder / "trial.csv"), time="days", event="status=dead", identifier="name", question=question
    )
    write_note(folder / "s.safetensors", of_survival)
    ul.PPCAClassifier(1).fit(table[["age", "days"]], table["arm"]).save(folder / "c.safetensors")
    write_note(folder / "c.safetensors", Note(str(folder / "trial.csv"), labels=("arm",)))
    return folder


def facts_of(run, *words):
    done = run("report", *words, "--out", words[1].with_name("r.json"), "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    return json.loads(words[1].with_name("r.json").read_text(encoding="utf-8"))["facts"]


def test_outcome_and_question_of_a_study_are_remembered(run, study, tmp_path):
    plain = facts_of(run, study / "s.safetensors", study / "trial.csv")
    typed = ("--time", "days", "--event", "status=dead", "--horizon", "400d", "--randomised", "--time-unit", "days")
    repeated = facts_of(run, study / "s.safetensors", study / "trial.csv", *typed)
    assert plain["survival"] == repeated["survival"]
    assert plain["effects"] == repeated["effects"]
    assert plain["survival"]["horizon"] == 400
    assert plain["time_unit"]["own"] == "days"
    in_years = facts_of(run, study / "s.safetensors", study / "trial.csv", "--horizon", "1y")
    assert in_years["survival"]["horizon"] == 365.25
    # other rows are another study: whether lots were drawn there has to be said
    shutil.copy(study / "trial.csv", tmp_path / "other.csv")
    assert facts_of(run, study / "s.safetensors", tmp_path / "other.csv")["effects"]["randomised"] is False


def test_new_patients_without_an_outcome_can_be_reported_on(run, study, tmp_path):
    pd.read_csv(study / "trial.csv").drop(columns=["days", "status"]).to_csv(tmp_path / "new.csv", index=False)
    facts = facts_of(run, study / "s.safetensors", tmp_path / "new.csv")
    assert facts["survival"] is None
    assert facts["effects"]["horizon"] == 400
    refused = run("score", study / "s.safetensors", tmp_path / "new.csv")
    assert refused.exit_code == 2
    assert "name their columns" in refused.stderr


def test_survival_models_score_and_sample_under_the_names_of_the_fit(run, study):
    table = pd.read_csv(study / "trial.csv")
    done = run("score", study / "s.safetensors", study / "trial.csv")
    assert (done.exit_code, done.stderr) == (0, "")
    y = ul.Surv(table["days"], table["status"] == "dead")
    expected = ul.load(study / "s.safetensors").score(table[["age", "arm"]], y)
    assert float(done.stdout.split()[1].replace("−", "-")) == pytest.approx(expected, abs=0.051)
    drawn = run("sample", study / "s.safetensors", "-n", 3)
    assert drawn.exit_code == 0, drawn.output
    assert drawn.stdout.splitlines()[0] == "age,arm,days,event"


def test_labels_are_remembered(run, study):
    plain = facts_of(run, study / "c.safetensors", study / "trial.csv")
    repeated = facts_of(run, study / "c.safetensors", study / "trial.csv", "--label", "arm")
    assert plain["labels"] == repeated["labels"]
    assert plain["labels"]


def test_what_a_model_cannot_do_is_refused_in_words(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    network = ul.NeuralClassifier(max_epochs=1, verbose=False, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(X, X[:, 0] > 0).save(tmp_path / "n.safetensors")
    np.save(tmp_path / "x.npy", X)
    for words in (["score"], ["impute", "--out", tmp_path / "o.npy"]):
        done = run(words[0], tmp_path / "n.safetensors", tmp_path / "x.npy", *words[1:])
        assert done.exit_code == 2
        assert "a NeuralClassifier" in done.stderr
    done = run("sample", tmp_path / "n.safetensors", "-n", 3)
    assert done.exit_code == 2
    assert "a NeuralClassifier draws no rows" in done.stderr
