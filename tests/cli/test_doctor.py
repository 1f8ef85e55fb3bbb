"""``underlie doctor``: sound here, and each kind of fault is found, named and given a remedy."""

from __future__ import annotations

import json
import os
from importlib import metadata

import pytest
import torch

from underlie.cli import doctor, doctor_machine


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """The variables of whoever runs the tests say nothing."""
    monkeypatch.delenv("UNDERLIE_DATA", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("UNDERLIE_CACHE", str(tmp_path / "cache"))


def problems(done) -> dict[str, str]:
    """By name of what is wrong, the remedy."""
    found = json.loads(done.stdout)
    assert found["healthy"] is False
    assert done.exit_code == 1
    return {one["name"]: one["remedy"] for one in found["findings"] if one["state"] == "problem"}


def test_a_sound_installation_is_said_to_be_sound(run):
    done = run("doctor", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["healthy"] is True
    values = {one["name"]: one["value"] for one in found["findings"]}
    assert values["torch"] == metadata.version("torch")
    assert f"PyTorch takes {torch.get_num_threads()} thread" in values["threads"]
    assert "fitted in" in values["a small fit"]
    assert {one["topic"] for one in found["findings"]} == {"installation", "machine", "data", "optional", "test"}
    assert all(one["remedy"] for one in found["findings"] if one["state"] != "ok")


def test_the_page_for_people_has_the_same_findings(run):
    done = run("doctor")
    assert done.exit_code == 0
    assert "all is well" in done.stdout
    for one in doctor.versions():
        assert one.name in done.stdout


def test_a_data_folder_that_is_not_there(run, monkeypatch, tmp_path):
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path / "nowhere"))
    assert "export UNDERLIE_DATA=DIR" in problems(run("doctor", "--json"))["UNDERLIE_DATA"]
    page = run("doctor")
    assert page.exit_code == 1
    assert "PROBLEM" in page.stdout
    assert "1 problem found" in page.stdout


def test_a_cache_in_which_nothing_can_be_written(run, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNDERLIE_CACHE", str(tmp_path / "file" / "cache"))
    assert "export UNDERLIE_CACHE=DIR" in problems(run("doctor", "--json"))["cache"]


@pytest.mark.parametrize("threads", ["", "many", "0", "4,1"])
def test_threads_that_are_no_number_are_found_before_libraries_stumble(run, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(doctor, "imports", pytest.fail)
    assert "unset it" in problems(run("doctor", "--json"))["OMP_NUM_THREADS"]


def test_a_library_that_is_missing_or_too_old(run, monkeypatch):
    needed = [("no-such-library", ">=1"), ("numpy", ">=99")]
    monkeypatch.setattr(doctor, "_required", lambda: needed)
    found = problems(run("doctor", "--json"))
    assert found["no-such-library"] == 'pip install "no-such-library>=1"'
    assert found["numpy"] == '>=99 is needed: pip install --upgrade "numpy>=99"'


def test_what_is_required_is_what_the_package_states():
    stated = {name for name, _ in doctor._required()}
    assert {"torch", "numpy", "scikit-learn"} <= stated
    assert "pytest" not in stated


def test_extras_that_are_absent_are_no_problem(monkeypatch):
    monkeypatch.setattr(doctor, "_optional", lambda: {"ghosts": ["no-such-library"], "arrays": ["numpy"]})
    ghosts, arrays = doctor.extras()
    assert (ghosts.state, arrays.state) == ("ok", "ok")
    assert ghosts.remedy == 'if you want it: pip install "underlie[ghosts]"'
    assert arrays.value == f"numpy {metadata.version('numpy')}"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_limits_of_containers_are_seen(tmp_path):
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    newer, older, free = tmp_path / "v2", tmp_path / "v1", tmp_path / "none"
    write(newer / "cpu.max", "50000 100000\n")
    write(newer / "memory.max", "1000000000\n")
    write(older / "cpu" / "cpu.cfs_quota_us", "100000\n")
    write(older / "cpu" / "cpu.cfs_period_us", "100000\n")
    write(older / "memory" / "memory.limit_in_bytes", "500000000\n")
    assert doctor_machine.usable_cores(newer) == doctor_machine.usable_cores(older) == 1
    assert doctor_machine.usable_memory(newer) == 10**9
    assert doctor_machine.usable_memory(older) == 5 * 10**8
    assert doctor_machine.usable_cores(free) == bound
    whole = doctor_machine.usable_memory(free)
    write(free / "cpu.max", "max 100000\n")
    write(free / "memory.max", "max\n")
    assert doctor_machine.usable_cores(free) == bound
    assert doctor_machine.usable_memory(free) == whole


def test_more_threads_than_cores_are_noted(monkeypatch):
    monkeypatch.setattr(doctor_machine, "usable_cores", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    found = doctor_machine.threads()
    assert (found.state, found.remedy) == ("note", "export OMP_NUM_THREADS=1")
