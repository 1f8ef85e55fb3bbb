"""Wording and structure of reports on fixed facts: text, Markdown and LaTeX as they were looked at and found good.

After a change that is meant, ``python tests/report/test_snapshots.py`` writes them again; read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from underlie.report import document_from_summary, find_alerts, render_latex, render_markdown, render_text
from underlie.report.layout import results

FOLDER = Path(__file__).parent / "snapshots"
CASES = ("survival", "labels", "images")


def rendered(name: str) -> dict[str, str]:
    """Every format of the facts of a case, by the suffix of its file."""
    facts = json.loads((FOLDER / f"{name}.facts.json").read_text(encoding="utf-8"))
    document = document_from_summary(facts)
    return {
        "txt": render_text(document.title, results(facts), document.alerts) + "\n",
        "md": render_markdown(document),
        "tex": render_latex(results(facts)),
    }


@pytest.mark.parametrize("suffix", ["txt", "md", "tex"])
@pytest.mark.parametrize("name", CASES)
def test_it_reads_as_it_did(name, suffix):
    expected = (FOLDER / f"{name}.{suffix}").read_text(encoding="utf-8")
    assert rendered(name)[suffix] == expected


@pytest.mark.parametrize("name", CASES)
def test_the_alerts_of_the_facts_are_those_that_the_facts_call_for(name):
    facts = json.loads((FOLDER / f"{name}.facts.json").read_text(encoding="utf-8"))
    assert [vars(alert) for alert in find_alerts(facts)] == facts["alerts"]


if __name__ == "__main__":
    for case in CASES:
        for suffix, text in rendered(case).items():
            (FOLDER / f"{case}.{suffix}").write_text(text, encoding="utf-8")
