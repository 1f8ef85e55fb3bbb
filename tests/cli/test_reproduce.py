"""The page is made from end to end on stand-ins, and without data its parts are left out with the remedy."""

from __future__ import annotations

import json

import pytest

from underlie.cli import reproduce
from underlie.cli.progress import silent
from underlie.report import Document, Figure, Table

_NEEDS_DATA = ("Outliers", "Mixtures of digits", "Fours with and without MEGA")


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce")
    done = run("reproduce", "mega", "--quick", "--jobs", 1, "--seed", 1, "--out", out)
    assert done.exit_code == 0, done.output
    return done, Document.from_json(json.loads((out / "report.json").read_text(encoding="utf-8")))


def test_every_part_has_a_table_the_paper_and_a_conclusion(made):
    done, report = made
    assert "report.html" in done.stdout
    assert len(report.sections) == 6
    for section in report.sections:
        texts = [block for block in section.blocks if isinstance(block, str)]
        assert texts[0].startswith("The paper: ")
        assert any(text.startswith("Conclusion: ") for text in texts)
        assert texts[-1].startswith("This part took")
        assert any(isinstance(block, Table) for block in section.blocks)
    assert sum(isinstance(block, Figure) for section in report.sections for block in section.blocks) == 6


def test_the_quick_page_says_that_it_is_quick(made):
    assert any(alert.title == "Quick version" for alert in made[1].alerts)


def test_facts_hold_laws(made):
    facts = made[1].facts
    for runs in facts["Four models on toy sets"]["judged"].values():
        for run in runs:
            # a mixture by EM has the data's mean, and its second moment but for the divisor n - 1
            assert run["GMM-2"]["first"] < 1e-9
            assert run["GMM-2"]["second"] == pytest.approx(run["GMM-3"]["second"], rel=1e-6)
    # the law of total variance, for either model: a forward draw is worth at least one sample. The ratio of 10
    # repetitions has a standard deviation of about .5, so less than a third would come about once in ten thousand runs
    for model in facts["Forward-model estimate"].values():
        assert all(ratio > 1 / 3 for ratio in model["variance_ratio"])
    exact = [row["exact"] for row in facts["Mixtures of digits"]["full"]]
    assert exact == pytest.approx([exact[0]] * len(exact), rel=1e-6)


@pytest.mark.parametrize("name", _NEEDS_DATA)
def test_parts_without_their_data_are_left_out_and_say_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    monkeypatch.setenv("UNDERLIE_CACHE", str(tmp_path))
    made = reproduce._make(name, 0, False, silent)
    assert made.chapter is None
    assert "UNDERLIE_DATA" in made.missing
    report = reproduce._report([made], False, 1, {})
    assert report.alerts[0].title == f"{name}: left out"
    assert report.sections[0].blocks[0].startswith("Left out: ")


def test_refuses_a_file_as_folder(run, tmp_path):
    file = tmp_path / "file"
    file.touch()
    done = run("reproduce", "mega", "--out", file)
    assert done.exit_code == 2
    assert "is a file; give a folder" in done.stderr
