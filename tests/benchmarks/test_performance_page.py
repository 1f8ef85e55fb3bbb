"""The page of measurements is made of the results, says where they come from, and owns up to shortfalls."""

from __future__ import annotations

import importlib.util
import json
import operator
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import measured
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs" / "make_performance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(study: str, table: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": study,
        "command": f"python benchmarks/{study}.py --rounds 3",
        "date": "2020-02-29",
        "machine": measured.machine(),
        "versions": {"torch": "9.9.9"},
        "tables": [table],
    }


def write(folder: Path, study: str, *rows: dict[str, Any], **more: Any) -> None:
    table = {"title": f"Table of {study}", "note": f"Note of {study}.", "rows": list(rows)} | more
    (folder / f"{study}.json").write_text(json.dumps(record(study, table)))


def line_of(text: str, variant: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {variant} |"))


def test_every_study_is_there_in_order_with_its_origin(maker, tmp_path):
    own = measured.row("underlie", {"ratio": 1.0, "low": 1.0, "high": 1.0}, gap=None)
    for study in ("a_new_one", "growth", "startup"):
        write(tmp_path, study, own)
    text = maker.page(tmp_path)
    places = [text.index(f"Table of {study}") for study in ("startup", "growth", "a_new_one")]
    assert places == sorted(places)
    for study in ("startup", "growth", "a_new_one"):
        assert f"python benchmarks/{study}.py --rounds 3" in text
        assert f"Note of {study}." in text
    assert text.count("Measured 2020-02-29") == text.count("torch 9.9.9") == 3
    assert "## One variational autoencoder" not in text
    assert maker.STUDIES["growth"][1] in text
    assert "falls short" not in text


@pytest.mark.parametrize(("ratio", "marked"), [(0.9, True), (1.0, False), (1.2, False)])
def test_a_faster_peer_is_marked_in_its_row_and_on_top(maker, tmp_path, ratio, marked):
    own = measured.row("underlie", {"ratio": 1.0, "low": 1.0, "high": 1.0})
    write(tmp_path, "single_fits", own, measured.row("peer", {"ratio": ratio, "low": 0.5, "high": 2.0}))
    text = maker.page(tmp_path)
    assert ("faster than underlie" in line_of(text, "peer")) is marked
    assert "faster" not in line_of(text, "underlie")
    assert ("* One variational autoencoder – Table of single_fits – faster than underlie: peer" in text) is marked
    assert "(0.500 to 2.00)" in line_of(text, "peer")


@pytest.mark.parametrize(("ratio", "marked"), [(0.9, False), (1.3, True)])
def test_our_rows_are_held_against_a_named_reference(maker, tmp_path, ratio, marked):
    row = measured.row("underlie, wide", {"ratio": ratio, "low": ratio, "high": ratio})
    write(tmp_path, "ppca_missing", row, reference="PCA")
    assert ("slower than PCA" in line_of(maker.page(tmp_path), "underlie, wide")) is marked


@pytest.mark.parametrize(("seconds", "marked"), [(0.4, False), (0.6, True)])
def test_a_missed_reach_is_marked(maker, tmp_path, seconds, marked):
    write(tmp_path, "startup", {"variant": "underlie --help", "seconds": seconds, "reach": 0.5})
    assert ("beyond its reach" in line_of(maker.page(tmp_path), "underlie --help")) is marked


def test_the_page_in_the_documentation_is_made_of_the_results_there(maker):
    made = maker.page(maker.RESULTS)
    assert made == maker.PAGE.read_text(encoding="utf-8"), "run python docs/make_performance.py"


def test_ratios_are_paired_within_rounds():
    found = measured.ratios({"a": [2.0, 20.0, 6.0], "b": [1.0, 10.0, 2.0]}, "b")
    assert found["a"] == {"ratio": 2.0, "low": 2.0, "high": 3.0}
    assert found["b"]["ratio"] == 1.0


def test_a_package_that_is_not_there_is_named_and_has_no_version():
    packages = ["numpy", "no-such-package-of-any-name"]
    assert list(measured.versions(packages)) == ["numpy"]
    assert "no-such-package-of-any-name" in measured.absent(packages)
    assert "numpy" not in measured.absent(packages)
    assert measured.absent(["numpy"]) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a peak cannot be reset")
def test_the_peak_of_a_job_is_its_own(monkeypatch):
    """64 MiB in a process of its own, however much this one and the job's preparation have had before."""
    monkeypatch.setattr(measured, "PRELOADED", [])
    large = b"x" * 2**28
    cost = measured.in_child(partial, operator.mul, b"x", 2**26)
    del large
    assert 63 < cost.peak - cost.before < 80
    assert cost.peak < 2**10
