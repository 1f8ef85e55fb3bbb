"""What pages say in words of what their cells, or the measurements, show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_guide_to_checking_says_what_its_cells_give() -> None:
    content = (DOCS / "checking.md").read_text(encoding="utf-8")
    cells = re.findall(r"```\{code-cell\} python\n(.*?)```", content, flags=re.DOTALL)
    made: dict[str, Any] = {}
    for cell in cells:
        if "ul.plot" not in cell:
            exec(compile(cell, "checking.md", "exec"), made)
    assert made["result"].orders[2].p_value <= 0.05  # "the covariances do not fit"
    assert made["result"].first < 1e-12  # "the means fit whatever the number"
    assert made["fourth"][1] <= 0.05 < min(made["fourth"][2], made["fourth"][3])
    assert max(made["second"].values()) - min(made["second"].values()) < 1e-9
    assert made["both"].n == 150


def measured(heading: str) -> list[dict[str, list[str]]]:
    """The tables of a section of the page of measurements: variant -> cells."""
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    assert section, heading
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", section.group(1), flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in block.splitlines()]
        tables.append({row[0]: dict(zip(rows[0][1:], row[1:], strict=False)) for row in rows[2:]})
    return tables


def number(cell: str) -> float:
    return float(cell.split(" ")[0].replace(",", ""))


def test_comparison_of_incomplete_tables_is_as_measured() -> None:
    tables = [t for t in measured("Probabilistic PCA") if "ppca-py" in t]
    assert tables
    for peer in ("ppca-py", "rustypca"):
        assert all(number(t[peer]["gap"]) > number(t["underlie"]["gap"]) for t in tables)  # stops farther away
        assert any(number(t[peer]["rmse"]) < number(t["underlie"]["rmse"]) for t in tables)  # and may fill in better
    assert all(number(t["ppca-py"]["ratio"]) > 1 for t in tables)
    imputer = "scikit-learn IterativeImputer"
    both = [t for t in tables if imputer in t]
    assert all(number(t[imputer]["rmse"]) > number(t["underlie"]["rmse"]) for t in both)
    assert sum(number(t[imputer]["ratio"]) < 1 for t in both) == 1
    assert sum(number(t["rustypca"]["ratio"]) < 1 for t in tables) == 1


def test_comparison_with_pca_is_as_measured() -> None:
    rows = [row for t in measured("Probabilistic PCA") if "ppca-py" not in t for row in t.values()]
    slower = [row for row in rows if number(row["ratio"]) > 1]
    assert (len(slower), len(rows)) == (3, 16)
    assert all(row["solver of PCA"] == "randomized" for row in slower)
    assert all(0.035 < number(row["error of PCA"]) < 0.095 for row in slower)


@pytest.mark.parametrize(
    ("peer", "least", "most"),
    [("lifelines Cox", 0.0, 0.18), ("scikit-survival random forest", 0.45, 1.0), ("pycox DeepSurv", 0.0, 0.25)],
)
def test_comparison_of_survival_models_is_as_measured(peer: str, least: float, most: float) -> None:
    tables = measured("Survival")
    assert tables
    assert all(least < number(t[peer]["ratio"]) < most for t in tables)
    ours = [number(t["underlie SurvivalVAE"]["brier"]) for t in tables]
    theirs = [number(t[peer]["brier"]) for t in tables]
    assert all(a <= b for a, b in zip(ours, theirs, strict=True))


def test_comparison_of_autoencoders_is_as_measured() -> None:
    for table in measured("One variational autoencoder"):
        assert number(table["pythae"]["ratio"]) > number(table["underlie"]["ratio"])
