"""Whatever a file holds, loading gives a model or a LoadError, in bounded memory, and runs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mutations
import pytest
import saved_models

import underlie as ul
from underlie.estimators import tagged_json
from underlie.estimators.persistence import REGISTRY, LoadError

#: Damaged files; beside them come some twenty bombs for each model.
N_FILES = 10_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process of its own found; a crash or a file that is never done with fails here."""
    script = Path(__file__).with_name("load_in_a_cage.py")
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("cage")), str(N_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_damaged_file_loads_or_is_refused(report: dict[str, Any]) -> None:
    assert report["wrong"] == []
    outcomes = report["outcomes"]
    assert outcomes["bombs"] > 100
    assert sum(outcomes.values()) - outcomes["bombs"] == N_FILES
    # The search reaches what it is to find: files that pass the checksum, of which some fit and some do not.
    for way in ("rewritten", "reshaped"):
        assert min(outcomes[f"{way}, loaded"], outcomes[f"{way}, refused"]) > 30


def test_loading_runs_no_code_and_opens_nothing_else(report: dict[str, Any]) -> None:
    assert report["events"] == []


def test_memory_is_bounded_by_the_file(report: dict[str, Any]) -> None:
    assert report["grown_MiB"] < 200  # the files have at most 70 kB


def test_the_audit_hook_would_see_code_that_runs(tmp_path: Path) -> None:
    """A check of the check: what the hook forbids is what running code raises."""
    code = "import sys, watch; w = watch.Watch('x'); w.active = True; sys.addaudithook(w); "
    acts = "eval('1'); __import__('colorsys'); open('/dev/null').close(); __import__('os').system('true')"
    command = [sys.executable, "-c", code + acts + "; print(sorted(w.seen))"]
    seen = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=True).stdout
    for event in ("compile", "exec", "import", "open /dev/null", "os.system"):
        assert event in seen


def test_every_class_that_can_be_saved_is_tried(report: dict[str, Any]) -> None:
    assert set(report["classes"]) == set(REGISTRY)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("n_latent", 10**9, "n_latent is 1000000000, but the file holds"),
        ("n_replicates", 10**9, "n_replicates is 1000000000, but the file holds"),
        ("hidden", [10**9], "needs shape"),
        ("hidden", [1] * 1000, "hidden has 1,000 layers, but the file holds"),
    ],
)
def test_a_size_that_the_file_does_not_bear_out_is_named(name: str, size: Any, words: str, tmp_path: Path) -> None:
    path = saved_models.save_all(tmp_path, only="vae")["vae"]
    document = mutations.document_of(path.read_bytes())
    document["params"][name] = size
    path.write_bytes(mutations.with_document(path.read_bytes(), document))
    with pytest.raises(LoadError, match=words):
        ul.load(path)


def test_text_far_wider_than_its_content_is_narrowed() -> None:
    wide = {"$": "numpy", "dtype": "<U99999999", "shape": [2], "v": ["a", "bc"]}
    found = tagged_json.decode(wide)
    assert found.tolist() == ["a", "bc"]
    assert found.nbytes < 1000


@pytest.mark.parametrize("dtype", ["(1000000000,)f8", "V1000000000", "S1000000000", "i4,f8", "os.system", "O", "g"])
def test_types_that_no_model_holds_are_not_handed_to_numpy(dtype: str) -> None:
    with pytest.raises(ValueError, match="not one that is stored"):
        tagged_json.decode({"$": "numpy", "dtype": dtype, "shape": [1], "v": [1]})


def test_an_empty_array_has_no_endless_axis() -> None:
    with pytest.raises(ValueError, match="do not make an array"):
        tagged_json.decode({"$": "numpy", "dtype": "<f8", "shape": [10**15, 0], "v": []})
