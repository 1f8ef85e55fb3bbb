"""Every estimator has a report, which survives JSON and says the same in every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from html import unescape

import numpy as np
import pandas as pd
import pytest
from report_cases import CASES, case, images, patients, report

import underlie as ul
from underlie.estimators.persistence import REGISTRY
from underlie.report import CODES, document_from_summary, render_html, render_markdown
from underlie.report.render import write_report

NAMES = sorted(CASES)
NUMBER = re.compile(r"(?<![\w.])[−-]?\d[\d,]*(?:\.\d+)?(?![\w])")
PICTURE = re.compile(r'(?:src="data:[^"]*"|data:image/[^"\']*)')


def test_every_estimator_that_can_be_saved_is_tried():
    assert set(REGISTRY) <= set(CASES)


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("name", NAMES)
def test_json_gives_back_an_equal_report(name, tmp_path):
    made = report(name)
    text = made.to_json()
    made.to_json(tmp_path / "r.json")
    for source in (text, tmp_path / "r.json", str(tmp_path / "r.json"), json.loads(text)):
        again = ul.Report.from_json(source)
        assert again == made
        assert again.facts == made.facts
        assert again.summary() == made.summary()
        assert again.alerts == made.alerts
    assert again.to_html() == made.to_html()
    assert again.to_latex() == made.to_latex()
    assert again.to_markdown() == made.to_markdown()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_needs_nothing_from_elsewhere(name):
    page = report(name).to_html()
    assert not re.findall(r"<(?:script|link|iframe|object|embed)\b", page)
    assert not re.findall(r'(?:src|href)="(?!data:image/|#)', page)
    assert not re.search(r"https?://|@import|url\(", PICTURE.sub("", page))
    assert page.count("<figure>") >= 1
    assert not re.findall(r'<img(?![^>]*alt="[^"]+")', page)


def test_numbers_and_pages_are_there_without_models():
    """The app and the command line show numbers long before a model is asked for."""
    code = "import sys, underlie.report; sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def numbers_in(value):
    """All numbers of JSON content, in the facts or anywhere."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def is_rounded(shown: str, known: np.ndarray) -> bool:
    """Whether a number as it is written is a known one, rounded; a share may be written in percent."""
    plain = shown.replace("−", "-").replace(",", "")
    half = 0.5 * 10.0 ** -len(plain.partition(".")[2]) * 1.001
    return bool(min(np.abs(known * f - abs(float(plain))).min() - half for f in (1, 100, -1, -100)) <= 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_on_the_page_is_in_the_json(name):
    """Numbers of the page are facts, rounded, or stand in the words of the facts and of the sections."""
    made = report(name)
    page = re.sub(r"<style>.*?</style>", "", PICTURE.sub("", made.to_html()), flags=re.S)
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    content = json.loads(made.to_json())
    known = np.array(list(numbers_in(content)))
    said = {
        t for words in re.findall(r'"(?:[^"\\]|\\.)*"', json.dumps(content["facts"])) for t in NUMBER.findall(words)
    }
    # levels, scales and thresholds that sentences name, and the name of the fingerprint
    fixed = {"95", "0.5", "0", "1", "2", "5", "25", "75", "15", "0.7", "256"}
    strange = {
        token
        for token in NUMBER.findall(text)
        if token not in fixed and token not in said and not is_rounded(token, known)
    }
    counted = {f"{len(column['levels'])}" for column in made.facts["data"]["columns"] if column["levels"]}
    differences = _differences(made.facts)
    assert {t for t in strange - counted if not is_rounded(t, differences)} == set()


def _differences(facts):
    """What a reader could compute from the facts, and the page does: sums, ratios of gaps to chance, counts from 1."""
    found = [np.nan]
    if facts["survival"]:
        n, events = facts["survival"]["n"], facts["survival"]["n_events"]
        found += [n - events, (n - events) / n]
    if facts["moments"]:
        m = facts["moments"]
        found += [m[k] / m[f"floor_{k}"] for k in ("first", "second") if m[f"floor_{k}"]]
        found += [float(f"{m[k] / m[f'floor_{k}']:.2g}") for k in ("first", "second") if m[f"floor_{k}"]]
    latent = facts["latent"]
    if latent:
        found += [latent["n_latent"] - latent["n_active"], sum(latent["explained_variance_ratio"] or ())]
    for kept, curve in zip(facts["model"]["best_epoch"] or (), (facts["history"] or {}).get("valid", ()), strict=False):
        end = [value for value in curve if value is not None][-1]
        found += [float(f"{curve[kept] - end:.2g}")] if curve[kept] is not None else []
    best = facts["model"]["best_replicate"]
    found += [] if best is None else [best + 1]
    found += [k + 1 for k in range(facts["model"]["n_replicates"] or 0)]
    found += [1 - one["supported"] for one in (facts["effects"] or {"compared": []})["compared"]]
    return np.array([f for f in found if np.isfinite(f)])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_undefined_is_ever_shown(name):
    made = report(name)
    for text in (made.summary(), made.to_markdown(), made.to_latex(), PICTURE.sub("", made.to_html())):
        assert not re.findall(r"\b(?:nan|NaN|None|inf)\b", re.sub(r"=None\b", "", text))


@pytest.mark.parametrize("name", NAMES)
def test_alerts_have_codes_of_the_list_and_stand_first(name):
    made = report(name)
    assert {alert.code for alert in made.alerts} <= set(CODES)
    levels = [("error", "warning", "note").index(alert.level) for alert in made.alerts]
    assert levels == sorted(levels)
    page = made.to_html()
    for alert in made.alerts:
        assert page.index(f'data-code="{alert.code}"') < page.index("<section")


@pytest.mark.parametrize("name", NAMES)
def test_latex_is_balanced_and_escaped(name):
    text = report(name).to_latex()
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") > 0
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == text.count(r"\begin{tabular}")
    bare = re.sub(r"\\[\\{}$&#%_]", "", text.removeprefix(r"% \usepackage{booktabs}"))
    assert not re.findall(r"[#~%]", bare)
    assert not re.findall(r"(?<!\$)[_^](?!\{)", re.sub(r"\$[^$]*\$", "", bare))
    assert bare.count("$") % 2 == 0
    assert bare.count("{") == bare.count("}")
    for tabular in re.findall(r"\\begin\{tabular\}\{((?:[lr]|p\{[^}]*\})+)\}(.*?)\\end\{tabular\}", text, re.S):
        columns = len(re.sub(r"p\{[^}]*\}", "l", tabular[0]))
        rows = [line for line in tabular[1].splitlines() if line.endswith((r"\\", r"\tabularnewline"))]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
    assert text.isascii() or name == "ProbabilisticPCA", sorted(set(re.findall(r"[^\x00-\x7f]", text)))


@pytest.mark.parametrize("name", NAMES)
def test_markdown_tables_have_as_many_cells_as_headers(name):
    lines = report(name).to_markdown().splitlines()
    rules = [i for i, line in enumerate(lines) if re.fullmatch(r"\|(?:-+:?\|)+", line)]
    assert rules
    for i in rules:
        width = len(re.findall(r"(?<!\\)\|", lines[i]))
        block = [lines[i - 1]]
        while i + 1 < len(lines) and lines[i + 1].startswith("|"):
            i += 1
            block.append(lines[i])
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in block} == {width}


def test_markdown_has_its_pictures_beside_it(tmp_path):
    made = report("ProbabilisticPCA")
    made.to_markdown(tmp_path / "my report.md")
    text = (tmp_path / "my report.md").read_text(encoding="utf-8")
    addresses = re.findall(r"\]\((my%20report_files/figure_\d+\.(?:png|svg))\)", text)
    assert len(addresses) == made.to_html().count("<figure>")
    for address in addresses:
        assert (tmp_path / address.replace("%20", " ")).stat().st_size > 500


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    made = report("ProbabilisticPCA")
    (frame,) = re.findall(r'<iframe srcdoc="([^"]*)"', made._repr_html_())
    assert unescape(frame) == made.to_html()


def test_files_and_texts_are_the_same(tmp_path):
    made = report("PPCAClassifier")
    for name in ("html", "latex", "json"):
        path = tmp_path / name
        assert getattr(made, f"to_{name}")(path) is None
        assert path.read_text(encoding="utf-8") == getattr(made, f"to_{name}")()
    assert "report.json" not in made.to_html()
    page = write_report(made.document, tmp_path)
    assert "report.json" in page.read_text(encoding="utf-8")
    assert ul.Report.from_json(page.with_suffix(".json")) == made


def test_pages_of_other_kinds_and_other_files_are_refused(tmp_path, full_report):
    with pytest.raises(ValueError, match="no report on one model"):
        ul.Report.from_json(full_report.to_json())
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(ValueError, match="no report"):
        ul.Report.from_json(tmp_path / "x.json")
    with pytest.raises(ValueError, match="no JSON"):
        ul.Report.from_json("{broken")
    with pytest.raises(FileNotFoundError):
        ul.Report.from_json(tmp_path / "absent.json")


# -------------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("name", NAMES)
def test_one_row_and_rows_without_labels_have_a_report(name):
    one = case(name)
    first = one.X.iloc[:1] if isinstance(one.X, pd.DataFrame) else one.X[:1]
    made = ul.Report(one.model, first, figures=False, n_draws=32, n_simulations=9)
    assert made.facts["data"]["n_rows"] == 1
    assert "few-rows" in {alert.code for alert in made.alerts}
    assert made.facts["labels"] is None
    assert made.facts["survival"] is None
    missing = {part["part"] for part in made.facts["left_out"]}
    assert "Moments" in missing
    assert ("Labels" in missing) == hasattr(one.model, "classes_")
    assert ("Event times" in missing) == hasattr(one.model, "predict_survival_function")
    assert "Not in this report" in made.to_html()
    assert "<figure>" not in made.to_html()


def test_the_same_report_twice_and_from_polars():
    polars = pytest.importorskip("polars")
    one = case("ProbabilisticPCA")
    a, b, c = (
        ul.Report(one.model, X, figures=False, n_simulations=19) for X in (one.X, one.X, polars.from_pandas(one.X))
    )
    table = patients()
    fitted = ul.Report(one.model, polars.from_pandas(table), figures=False, n_simulations=0)
    assert fitted.facts["data"]["seen"]["rows"] == "training"
    dropped = ("provenance", "log_likelihood")
    same = [{k: v for k, v in r.facts.items() if k not in dropped} for r in (a, b, c)]
    assert same[0] == same[1] == same[2]
    assert a.facts["log_likelihood"]["mean"] == c.facts["log_likelihood"]["mean"]


def test_several_columns_of_labels_and_further_predictors():
    X, y = images(60)
    table = pd.DataFrame({"digit": np.where(np.arange(60) < 50, y, -1), "slant": np.linspace(0.5, 1.7, 60)})
    quick = {"hidden": (8,), "max_epochs": 1, "random_state": 0, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ul.SemiSupervisedVAE(2, **quick).fit(X, table)
        labels = ul.Report(model, X, table, figures=False, n_draws=4, n_simulations=9).facts["labels"]
        extra = pd.DataFrame({"w": np.arange(60.0)})
        classifier = ul.NeuralClassifier("mlp", max_epochs=1, random_state=0, verbose=False).fit(X, y, extra=extra)
        made = ul.Report(classifier, X, y, extra=extra, max_rows=30, figures=False, n_simulations=9)
    assert [(one["name"], one["kind"], one["n"]) for one in labels] == [
        ("digit", "classes", 50),
        ("slant", "number", 60),
    ]
    error = np.asarray(model.predict(X)[:, 1], dtype=float) - table["slant"]
    assert labels[1]["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert made.facts["labels"][0]["n"] == 30
    with pytest.raises(ValueError, match="extra"):
        ul.Report(classifier, X, y)


@pytest.mark.parametrize(
    ("rows", "changed", "missing"),
    [
        (slice(5), {}, set()),  # in so few all may have received the same
        (slice(40), {"event": 0}, {"Event times"}),
        (slice(90), {"horizon": 1e6}, {"Event times"}),
        (slice(90), {"entry": 0.001}, {"Event times"}),
    ],
)
def test_outcomes_that_say_little_leave_parts_out(rows, changed, missing):
    one = case("SurvivalVAE")
    X, y = one.X[rows].assign(arm="new") if not changed else one.X[rows], one.y[rows]
    if "event" in changed:
        y = ul.Surv(y["time"], np.zeros(len(y)))
    if "entry" in changed:
        y = ul.Surv(y["time"], y["event"], entry=np.full(len(y), changed["entry"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ul.Report(one.model, X, y, horizon=changed.get("horizon"), n_simulations=9)
    found = {part["part"] for part in made.facts["left_out"]} - {"Moments"}
    assert found == missing
    assert "<figure>" in made.to_html()


def test_many_rows_are_judged_by_some_and_the_report_says_so():
    one = case("ProbabilisticPCA")
    made = ul.Report(one.model, one.X, max_rows=50, figures=False, n_simulations=9)
    assert (made.facts["data"]["n_rows"], made.facts["data"]["n_given"]) == (50, 80)
    assert "some-rows" in {alert.code for alert in made.alerts}
    assert "50 of 80, at random" in made.summary()
    other = ul.Report(one.model, one.X, max_rows=50, figures=False, n_simulations=9, random_state=1)
    assert other.facts["data"]["fingerprint"] != made.facts["data"]["fingerprint"]


def test_a_file_larger_than_memory_is_read_in_part(tmp_path):
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(3000, 4))
    X[:] = rng.normal(size=X.shape) @ rng.normal(size=(4, 4))
    from underlie.data import as_source

    source = as_source(np.load(tmp_path / "x.npy", mmap_mode="r"))
    model = ul.ProbabilisticPCA(2).fit(source)
    made = ul.Report(model, source, held_out=False, max_rows=500, figures=False, n_simulations=9)
    assert (made.facts["data"]["n_rows"], made.facts["data"]["n_given"]) == (500, 3000)
    assert made.facts["log_likelihood"]["mean"] == pytest.approx(model.score(np.asarray(X)), abs=0.5)


def test_whether_rows_were_seen_is_found_stated_or_unknown():
    table = patients()
    model = ul.ProbabilisticPCA(1, standardize=True).fit(table)

    def seen(X, **said):
        return ul.Report(model, X, figures=False, n_simulations=0, **said).facts["data"]["seen"]

    assert seen(table) == {"rows": "training", "known_by": "statistics"}
    assert seen(table.iloc[::-1])["rows"] == "training"  # an order is no new row
    assert seen(table.iloc[1:])["rows"] == "unknown"
    assert seen(patients(seed=1)) == {"rows": "unknown", "known_by": "nothing"}
    assert seen(table, held_out=True) == {"rows": "held out", "known_by": "statement"}
    assert seen(patients(seed=1), held_out=False)["rows"] == "training"


def test_images_are_not_taken_for_training_rows_by_their_common_scale():
    one = case("VAE of images")
    assert ul.Report(one.model, images(120)[0], figures=False, n_draws=8, n_simulations=0).facts["data"]["seen"] == {
        "rows": "unknown",
        "known_by": "nothing",
    }


# ----------------------------------------------------------------------------------------------------- facts are right


def test_accuracy_and_calibration_are_those_of_the_predictions():
    one, facts = case("NeuralClassifier"), report("NeuralClassifier").facts
    (label,) = facts["labels"]
    proba = one.model.predict_proba(one.X)
    right = one.model.classes_[proba.argmax(axis=1)] == one.y
    assert label["accuracy"]["value"] == pytest.approx(right.mean())
    assert np.array(label["confusion"]).sum() == len(one.y)
    assert label["calibration"]["confidence"] == pytest.approx(proba.max(axis=1).mean())
    own = proba[np.arange(len(one.y)), np.searchsorted(one.model.classes_, one.y)]
    assert label["calibration"]["log_loss"] == pytest.approx(-np.log(own).mean())


def test_unlabelled_rows_do_not_count():
    one = case("SemiSupervisedVAE")
    y = np.where(np.arange(len(one.y)) < 40, one.y, -1)
    made = ul.Report(one.model, one.X, y, figures=False, n_draws=8, n_simulations=9)
    (label,) = made.facts["labels"]
    assert (label["n"], label["n_unlabelled"]) == (40, len(y) - 40)
    assert label["accuracy"]["value"] == pytest.approx(one.model.score(one.X, y))


def test_survival_figures_are_those_of_survival_metrics():
    one, facts = case("SurvivalVAE"), report("SurvivalVAE").facts
    found = facts["survival"]
    assert found["n_events"] == one.y["event"].sum()
    assert found["horizon"] == np.median(one.y["time"][one.y["event"]])
    survival = one.model.predict_survival_function(one.X, [found["horizon"]])
    assert found["predicted_risk"]["value"] == pytest.approx(1 - survival.mean(), abs=0.01)  # read off a grid of times
    (effect,) = facts["effects"]["compared"]
    average = one.model.average_effect(one.X, found["horizon"], "old", "new").iloc[0]
    assert (effect["treatment"], facts["effects"]["control"]) == ("old", "new")
    assert effect["effect"] == pytest.approx(
        {k: average[c] for k, c in zip(("value", "lower", "upper"), ("effect", "lower", "upper"), strict=True)}
    )


def test_a_unit_of_time_is_said_wherever_a_time_is(monkeypatch):
    """Texts, tables and axes say 4 years for 48 months; no number and no alert differs otherwise."""
    one, axes = case("SurvivalVAE"), []
    for figure in ("survival_curves", "survival_calibration"):
        drawn = getattr(ul.plot, figure)
        monkeypatch.setattr(
            ul.plot, figure, lambda *a, drawn=drawn, **k: axes.append(drawn(*a, **k)) or axes[-1], raising=True
        )
    asked = {"n_draws": 8, "n_simulations": 9, "horizon": 4.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare = ul.Report(one.model, one.X, one.y, **asked)
        made = ul.Report(one.model, one.X, one.y, time_unit="months", **asked)
    unit = made.facts.pop("time_unit")
    assert unit == {"own": "months", "shown": "months", "per_shown": 1.0}
    assert bare.facts.pop("time_unit") is None
    for part in ("survival", "effects", "log_likelihood"):
        assert made.facts[part] == bare.facts[part]
    assert [alert.code for alert in made.alerts] == [alert.code for alert in bare.alerts]
    made.facts["time_unit"] = unit
    for text in (made.summary(), made.to_markdown(), made.to_latex(), made.to_html()):
        assert "4 months" in text
        assert not re.search(r"time \d", text)
    labels = [ax.get_xlabel() for ax in axes]
    assert labels
    assert all("months" in label for label in labels)
    with_years = made.facts | {"time_unit": {"own": "days", "shown": "years", "per_shown": 365.25}}
    with_years["survival"] = with_years["survival"] | {"horizon": 1461.0, "end": 2000.0}
    assert "By 4 years (1,461 days) the model" in render_markdown(document_from_summary(with_years))


@pytest.mark.parametrize("unit", ["fortnights", "", 12])
def test_an_unknown_unit_of_time_is_refused_before_any_work(unit):
    with pytest.raises((ValueError, TypeError), match="time_unit"):
        ul.Report(object(), None, time_unit=unit)


def test_a_calibrated_classifier_is_not_accused_and_an_overconfident_one_is():
    from underlie.report.facts.labels import Labelled, label_facts
    from underlie.report.rules.labels import of_labels

    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1.0, 4000)
    stated = np.column_stack([p, 1 - p])
    accused = 0
    for seed in range(20):
        true = (np.random.default_rng(seed).random(4000) > p).astype(int)
        facts = label_facts(Labelled("y", ["a", "b"], true, np.zeros(4000, int), stated, 0), 199, 0)
        accused += "miscalibrated" in {alert.code for alert in of_labels({"labels": [facts]})}
    assert accused <= 2  # each with probability .01: three or more of twenty in one run of a thousand
    sharp = np.column_stack([p**0.2, 1 - p**0.2])
    facts = label_facts(Labelled("y", ["a", "b"], true, np.zeros(4000, int), sharp, 0), 199, 0)
    (alert,) = (a for a in of_labels({"labels": [facts]}) if a.code == "miscalibrated")
    assert "too confident" in alert.text


# ------------------------------------------------------------------------------------------------------------ refusals


def test_what_is_no_fitted_model_is_refused():
    from sklearn.decomposition import PCA
    from sklearn.exceptions import NotFittedError

    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(TypeError, match=r"fitted estimator of underlie.*underlie\.mega"):
        ul.Report(PCA(1).fit(X), X)
    with pytest.raises(NotFittedError):
        ul.Report(ul.ProbabilisticPCA(1), X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_rows": 0}, "max_rows"),
        ({"n_simulations": -1}, "n_simulations"),
        ({"held_out": "yes"}, "held_out"),
        ({"random_state": None}, "random_state"),
        ({"n_draws": 0}, "n_draws"),
        ({"y": [1, 2]}, "80 rows, y has 2"),
    ],
)
def test_arguments_are_checked(arguments, message):
    one = case("ProbabilisticPCA")
    with pytest.raises((ValueError, TypeError), match=message):
        ul.Report(one.model, one.X, **arguments)


def test_a_label_that_the_model_does_not_know_is_named():
    one = case("PPCAClassifier")
    y = np.where(np.arange(80) == 7, "other", one.y)
    with pytest.raises(ValueError, match=r"'other' in row 7.*'a_b', 'c&d'"):
        ul.Report(one.model, one.X, y)


def test_a_page_rendered_from_facts_alone_is_the_page_without_figures():
    made = ul.Report(case("PPCAClassifier").model, case("PPCAClassifier").X, figures=False, n_simulations=9)
    assert render_html(json.loads(json.dumps(made.facts))) == made.to_html()
