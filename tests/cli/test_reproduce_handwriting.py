"""The study of handwriting on a tiny set: the page, that nothing is computed twice, and that tables are the results."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from underlie.cli.errors import BadInput
from underlie.cli.handwriting import cells, page
from underlie.cli.handwriting.accuracy import mean_sd
from underlie.cli.handwriting.cells import Bench, Cell, Effort
from underlie.cli.handwriting.intervals import over_splits
from underlie.cli.handwriting.material import Material
from underlie.cli.handwriting.published import ACCURACY, EXTRA, M2
from underlie.cli.handwriting.store import Store
from underlie.datasets import Handwriting, load_digits
from underlie.report import Document, Table

_N_WRITERS, _EACH = 6, 4


def tiny() -> Material:
    """scikit-learn's digits made 16 x 16 pixels, as if by six writers, each pressing harder than the one before."""
    digits = load_digits()
    images = np.kron(digits.data[:, 1:7] / 16, np.ones((1, 2, 2)))
    images = np.pad(images[:, :, ::1], ((0, 0), (2, 2), (0, 0)))
    by_digit = [np.flatnonzero(digits.target == d)[: _N_WRITERS * _EACH] for d in range(10)]
    rows = np.concatenate(by_digit)
    writer = np.tile(np.repeat(np.arange(_N_WRITERS), _EACH), 10)
    pressed = images[rows] * (0.4 + 0.1 * writer[:, None, None])
    people = pd.DataFrame({"hand": ["left", "right"] * 3}, index=range(_N_WRITERS))
    hand = Handwriting(np.rint(255 * pressed), digits.target[rows], writer, people, "tiny digits", 0)
    rest = np.setdiff1d(np.arange(len(images)), rows)[:100]
    return Material(hand, images[rest].astype(np.float32), stand_in=True)


_M2 = {"alpha": 0.1, "neighbours": False, "max_epochs": 1, "n_unlabelled": 50}
_TINY = Effort(
    repeats=2,
    members=2,
    epochs={"else": 1},
    m2={"digit": _M2, "writer": _M2},
    sdgm={"n_latent": 2, "hidden": (8,), "auxiliary": True, "alpha": 1.0, "max_epochs": 1},
    per_cell=1,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tiny(), _TINY, 0, Store.open(tmp_path_factory.mktemp("handwriting")))


def write(bench: Bench, parts=page.PARTS) -> Document:
    out = bench.store.folder.parent
    page.study(bench, list(parts), out, jobs=1, quick=False, quiet=True, command=None)
    return Document.from_json(json.loads((out / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def made(bench):
    return write(bench)


def tables(report: Document) -> dict[str, Table]:
    return {b.caption: b for section in report.sections for b in section.blocks if isinstance(b, Table)}


def test_the_page_has_every_part_and_says_what_the_images_are(bench, made):
    headings = [section.heading for section in made.sections]
    assert headings[:4] == [
        "Accuracy",
        "The other label as a further predictor",
        "Unlabelled images: M2",
        "Generated images",
    ]
    assert made.alerts[0].title == "Not HWD+: a stand-in"
    html = (bench.store.folder.parent / "report.html").read_text(encoding="utf-8")
    assert "Not HWD+: a stand-in" in html
    assert html.count("<img src=") == html.count('<img src="data:image/png;base64,') == 1
    assert any("resolution: MNIST exists at 28" in str(block) for block in made.sections[0].blocks)


def test_the_real_one_is_not_called_a_stand_in(tmp_path):
    real = replace(tiny(), stand_in=False, unlabelled=None, why="MNIST is not on this machine")
    bench = Bench(real, replace(_TINY, repeats=1), 0, Store.open(tmp_path))
    report = write(bench, ["digit", "m2"])
    assert [alert.title for alert in report.alerts] == ["m2: left out"]
    assert report.alerts[0].text == "MNIST is not on this machine."
    assert [r[1] for r in tables(report)["Share of test images named right"].rows][:2] == ["HWD+", "published"]


def test_tables_are_made_of_the_stored_results(bench, made):
    main = tables(made)["Share of test images named right"]
    row = next(r for r in main.rows if r[:2] == ("writer", "stand-in"))
    stored = [
        json.loads((bench.store.folder / f"writer-by-digits-lenet5-{r:03d}.json").read_text())["result"]
        for r in range(_TINY.repeats)
    ]
    assert row[3] == mean_sd([value for result in stored for value in result["members"]])
    assert row[4] == mean_sd([result["committee"] for result in stored])
    gain = next(p for p in made.facts["Accuracy"]["differences"] if p["target"] == "writer")
    assert gain["differences"] == pytest.approx([r["committee"] - np.mean(r["members"]) for r in stored])
    assert {"hand", "digit", "writer"} == {r[0] for r in main.rows if r[1] == "stand-in"}


def test_published_figures_stand_beside_ours(made):
    found = tables(made)
    main = {r[0]: r[2:7] for r in found["Share of test images named right"].rows if r[1] == "published"}
    assert main["digit"] == (
        "0.7431 (0.0222)",
        "0.9399 (0.0143)",
        "0.9762 (0.0013)",
        "0.9192 (0.0160)",
        "0.9683 (0.0044)",
    )
    assert main["writer"][2] == "0.6195 (0.0063)"
    assert main["medium"][0] == "0.4650 (0.0243)"
    assert len(main) == 7
    m2 = [r for r in found["Labelled images, and unlabelled ones beside them"].rows if r[1] == "published"]
    assert [(r[0], r[2], r[4]) for r in m2] == [
        ("digit", "0.9399 (0.0143)", "0.9542 (0.0060)"),
        ("writer", "0.3473 (0.0136)", "0.4174 (0.0099)"),
    ]
    gains = {t: M2[t].mean - ACCURACY[t]["lenet5"].mean for t in M2}
    assert gains == pytest.approx({"digit": 0.0143, "writer": 0.0701})
    assert (EXTRA["digit"]["committee"].mean, EXTRA["writer"]["lenet5"].mean) == (0.9812, 0.3575)


def count_fits(monkeypatch) -> list[str]:
    """Names of the cells that are computed from here on."""
    computed: list[str] = []
    for method, compute in cells._COMPUTE.items():

        def counted(bench, cell, compute=compute):
            computed.append(cell.name)
            return compute(bench, cell)

        monkeypatch.setitem(cells._COMPUTE, method, counted)
    return computed


def test_nothing_is_computed_twice(bench, made, monkeypatch):
    computed = count_fits(monkeypatch)
    again = write(bench)
    assert computed == []
    assert again.facts["cells"] == made.facts["cells"]
    assert len(again.facts["computed_before"]) == len(made.facts["cells"])
    (bench.store.folder / "digit-by-individuals-knn-001.json").unlink()
    write(bench)
    assert computed == ["digit-by-individuals-knn-001"]


def test_more_splits_keep_those_that_are_there_and_changed_settings_do_not(bench, made, monkeypatch):
    computed = count_fits(monkeypatch)
    write(replace(bench, effort=replace(_TINY, repeats=3)), ["digit"])
    assert computed == [f"digit-by-individuals-{m}-002" for m in ("lenet5", "mlp", "knn")]
    computed.clear()
    other = replace(bench, effort=replace(_TINY, epochs={"else": 2}), store=Store.open(bench.store.folder.parent))
    assert other.known(Cell("digit", "individuals", "lenet5", 0)) is None
    assert other.known(Cell("digit", "individuals", "knn", 0)) is not None
    assert replace(bench, seed=1).known(Cell("digit", "individuals", "knn", 0)) is None


def test_a_half_written_result_is_computed_again(tmp_path):
    store = Store.open(tmp_path)
    store.put("one", {"a": (1,)}, {"found": 0.5})
    assert store.get("one", {"a": (1,)}) == {"found": 0.5}
    assert store.get("one", {"a": (2,)}) is None
    (store.folder / "one.json").write_text('{"settings": ')
    assert store.get("one", {"a": (1,)}) is None


def test_members_are_those_of_the_committee_and_extra_sees_the_other_label(bench, made):
    stored = made.facts["cells"]
    for name, result in stored.items():
        if "lenet5" in name and "alike" not in name:
            assert len(result["members"]) == _TINY.members
    same = [stored[f"digit-by-digits-{m}-000"]["n_train"] for m in ("lenet5", "lenet5_extra")]
    assert same[0] == same[1]


def test_intervals_of_differences():
    d = [0.01, 0.03, -0.01, 0.02]
    plain, corrected = over_splits(d), over_splits(d, ratio=0.4)
    # t(.975, 3) = 3.18245, from tables
    assert plain.upper - plain.value == pytest.approx(3.18245 * np.std(d, ddof=1) / 2, rel=1e-5)
    assert (corrected.upper - corrected.value) / (plain.upper - plain.value) == pytest.approx(np.sqrt(0.65 / 0.25))
    assert np.isnan(over_splits([0.1]).lower)


def test_refuses_what_cannot_be_done(run, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    done = run("reproduce", "handwriting", "--out", file)
    assert done.exit_code == 2
    assert "is a file; give a folder" in done.stderr
    done = run("reproduce", "handwriting", "--out", file / "below")
    assert done.exit_code == 2
    assert "nothing can be written there" in done.stderr
    done = run("reproduce", "handwriting", "--only", "digits", "--out", tmp_path)
    assert done.exit_code == 2
    assert "--only digits: there is no such part; choose from digit, writer" in done.stderr
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    monkeypatch.setenv("UNDERLIE_CACHE", str(tmp_path))
    done = run("reproduce", "handwriting", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "neither HWD+ nor its stand-in is at hand" in done.stderr
    assert "Images(28x28).npy" in done.stderr
    assert "mnist.npz" in done.stderr
    done = run("reproduce", "handwriting", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "HWD+ is not on this machine" in done.stderr


def test_parts_are_in_the_order_of_the_page():
    assert page._checked_parts(["m2", "digit"]) == ["digit", "m2"]
    with pytest.raises(BadInput):
        page._checked_parts(["digit", "nothing"])
