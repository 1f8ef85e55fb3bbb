"""The page: valid, complete, self-contained, safe against what a table's names may hold."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from report_cases import report

from underlie.report import Alert, Column, Document, Section, picture, render_html, table, write_report

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects tags and text, and fails on tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_nothing_is_loaded_from_elsewhere(full_report):
    source = render_html(full_report)
    page = Page(source)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        for name in ("src", "srcset", "data", "poster", "background", "action", "href"):
            assert attrs.get(name) is None or attrs[name].startswith(("data:image/", "#")), (tag, name)
    assert not re.search(r"https?://|@import|url\(", source)


def test_everything_in_the_report_is_on_the_page(full_report):
    page = Page(render_html(full_report))
    for text in (
        "A fit",
        "Two models.",
        "Not converged",
        "Results",
        "A paragraph.",
        "Groups are apart.",
        "A note.",
        "12.5 %",
    ):
        assert text in page.text
    assert page.all("img")[0]["alt"] == "Points in a plane."
    assert "−1.50 ± 0.25" in page.text


def test_alerts_stand_before_everything_else(full_report):
    source = render_html(full_report)
    assert source.index("Not converged") < source.index('class="headline"') < source.index("<section")


def test_names_from_a_table_cannot_become_markup():
    evil = '<script>alert("x")</script>'
    columns = (Column(evil), Column(evil, "number"))
    report = Document(
        evil,
        evil,
        ((evil, evil),),
        (Alert("note", evil, evil),),
        (Section(evil, (evil, table(evil, columns, [(evil, 1.0)], evil))),),
    )
    page = Page(render_html(report))
    assert not page.all("script")
    assert page.text.count(evil) >= 9


def test_a_report_its_json_and_its_text_give_the_same_page(full_report):
    report = full_report
    as_text = json.loads(json.dumps(report.to_json()))
    assert render_html(report) == render_html(report.to_json()) == render_html(as_text)


def test_write_report_puts_facts_beside_the_page(tmp_path, full_report):
    page = write_report(full_report, tmp_path / "new" / "folder")
    facts = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert Document.from_json(facts) == full_report
    assert page.read_text(encoding="utf-8") == render_html(full_report, beside="report.json")


def test_an_unknown_dict_is_refused():
    with pytest.raises(ValueError, match="not a report"):
        render_html({"title": "no format"})


@pytest.mark.parametrize("media", ["png", "svg"])
def test_picture_is_deterministic_and_closes_its_figure(media):
    import matplotlib.pyplot as plt

    def draw():
        _, axes = plt.subplots(1, 2)
        axes[0].plot([0, 1], [1, 0])
        return axes

    before = plt.get_fignums()
    first, second = (picture(draw(), "Line", alt="A line.", reading="It falls.", media=media) for _ in range(2))
    assert plt.get_fignums() == before
    assert first == second


def test_picture_refuses_what_is_no_drawing():
    with pytest.raises(TypeError, match="Axes"):
        picture("plot", "t", alt="a", reading="r")


def luminance(colour):
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_is_dark_enough_on_every_ground(full_report):
    style = re.search(r"<style>(.*?)</style>", render_html(full_report), re.S).group(1)
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style))
    grounds = {"#ffffff", *re.findall(r"background: (#[0-9a-f]{6})", style)}
    texts = {named[name] for name in re.findall(r"(?<![-\w])color: var\(--(\w+)\)", style)}
    assert len(grounds) >= 4
    assert len(texts) >= 3
    for ground in grounds:
        for text in texts:
            light, dark = sorted((luminance(ground), luminance(text)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("name", ["ProbabilisticPCA", "PPCAClassifier"])
def test_pages_of_real_models_are_well_formed(name):
    page = Page(report(name).to_html())
    assert {"h1", "h2", "table", "th", "img"} <= {tag for tag, _ in page.tags}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    assert named <= set(ids)
    assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)
