"""The demonstration runs from end to end on its real data; training is cut short, so no result is judged here."""

from __future__ import annotations

import json
from functools import partial

import pytest

import underlie as ul
from underlie.app.folder import models_in
from underlie.app.opened import open_model
from underlie.cli import demo_patients
from underlie.cli.tables import read_table
from underlie.report import Document, Figure, Table


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(ul, "VAE", partial(ul.VAE, max_epochs=3))
    monkeypatch.setattr(ul, "SemiSupervisedVAE", partial(ul.SemiSupervisedVAE, max_epochs=2))
    quick = partial(ul.SurvivalVAE, n_replicates=2, max_epochs=2, heterogeneity=0.0)
    monkeypatch.setattr(ul, "SurvivalVAE", quick)
    monkeypatch.setattr(demo_patients, "_MASKS", 2)


def test_demo(run, short, tmp_path):
    done = run("demo", "--out", tmp_path / "demo", "--seed", 1, "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "demo" / "report.html") in done.stdout
    for name in ("pPCA, 2-D", "Gaussian mixture", "VAE, 2-D", "mean or mode", "SurvivalVAE", "Kaplan-Meier"):
        assert name in done.stdout

    report = Document.from_json(json.loads((tmp_path / "demo" / "report.json").read_text(encoding="utf-8")))
    blocks = [block for section in report.sections for block in section.blocks]
    assert sum(isinstance(block, Figure) for block in blocks) >= 12
    assert sum(isinstance(block, Table) for block in blocks) == 9
    assert report.provenance["seed"] == 1

    facts = report.facts
    assert facts["digits"]["n_held_out"] == 359
    assert set(facts["digits"]["held_out"]) == {"pPCA, 2-D", "pPCA, rank by BIC", "Gaussian mixture", "VAE, 2-D"}
    assert facts["patients"]["methods"] == ["mean or mode", "pPCA", "VAE"]
    # pPCA is exact and not cut short: it must beat the mean, on every mask
    mean, ppca = facts["patients"]["rmse_numeric"][:2]
    assert all(better < worse for better, worse in zip(ppca, mean, strict=True))

    assert facts["survival"]["horizon"] == 4 * 365.25
    assert facts["survival"]["decisions"]["options"] == ["no", "yes"]
    _check_what_the_app_shows(tmp_path / "demo", done.stdout.splitlines()[-1])


def _check_what_the_app_shows(out, last_line):
    assert last_line.startswith("play ")
    assert f"app {out}" in last_line
    found = {model.name: open_model(model, read_table) for model in models_in(out)}
    assert {name: opened.kind for name, opened in found.items()} == {
        "digits-and-style": "images",
        "digits-ppca": "images",
        "digits-vae": "images",
        "patients-survival": "survival",
        "patients-table": "table",
    }
    assert all(opened.missing == "" for opened in found.values())
    assert found["digits-vae"].labels.shape == (1797,)
    assert found["patients-survival"].outcomes["event"].sum() == 299
    assert found["patients-survival"].note.question["control"] == "no"


def test_demo_refuses_a_file_as_folder(run, tmp_path):
    file = tmp_path / "file"
    file.touch()
    done = run("demo", "--out", file)
    assert done.exit_code == 2
    assert "is a file; give a folder" in done.stderr
