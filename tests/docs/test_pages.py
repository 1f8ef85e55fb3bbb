"""The pages of the documentation: their code is run at the build or is at least real, what they name exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer.main
import yaml

import underlie as ul

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SKIPPED = {"_build", "generated", "_ipython", "_templates"}
PAGES = sorted(p for p in DOCS.rglob("*.md") if not SKIPPED & set(p.relative_to(DOCS).parts))
TOP = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

#: Pages with code that the build does not run, and why.
NOT_RUN = {
    "handwriting.md": "needs scanned sheets",
    "scale.md": "needs files larger than memory, or several processes",
    "from-r.md": "is R",
    "ecosystem.md": "is run by tests/ecosystem, as optional libraries may be missing",
    "README.md": "is run by tests/test_package.py",
}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def static_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text(path), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_of_a_page_is_run_at_the_build(page: Path) -> None:
    content = text(page)
    cells = "{code-cell}" in content
    assert cells == ("file_format: mystnb" in content), "cells are run only under the header of an executed page"
    if page.name in NOT_RUN or page.parent.name == "errors":  # the examples of errors are run by their own tests
        return
    assert not static_blocks(page), "give the code in a {code-cell}, which is run, or say in NOT_RUN why it cannot be"
    assert "remove-input" not in content, "a reader must see the code of what is shown"
    assert "raises-exception" not in content


@pytest.mark.parametrize("page", [p for p in PAGES if p.name in NOT_RUN], ids=name)
def test_code_that_is_not_run_compiles_and_names_what_exists(page: Path) -> None:
    for block in static_blocks(page):
        compile(block, page.name, "exec")
        for dotted in set(re.findall(r"\bul\.(\w+(?:\.\w+)*)", block)):
            thing = ul
            for part in dotted.split("."):
                thing = getattr(thing, part)


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_links_between_files_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(page)):
        if not target.startswith(("http", "mailto:")):
            assert (page.parent / target).exists(), f"{target} does not exist"


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"(?<![\w/.])((?:src/underlie|docs|tests|benchmarks|estimators)/[\w/.-]+\.(?:py|md|html|json))", text(page)
    )
    for path in named:
        if "NAME" in path or "_build" in path:
            continue
        assert (ROOT / path).exists() or (ROOT / "src" / "underlie" / path).exists(), f"{path} does not exist"


def listed(module: str) -> set[str]:
    """Names that the reference lists under a module."""
    found: set[str] = set()
    current = None
    for line in text(DOCS / "api.md").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            current = match.group(1)
        elif match := re.match(r"\.\. auto(?:class|function)::\s+(\S+)", line):
            found |= {match.group(1).removeprefix(f"{module}.")}
        elif current == module and (match := re.match(r"   ([A-Za-z]\w*)$", line)):
            found.add(match.group(1))
    return found


@pytest.mark.parametrize("module", ["underlie", "underlie.plot", "underlie.datasets", "underlie.sheets"])
def test_reference_has_every_public_name(module: str) -> None:
    public = {n for n in importlib.import_module(module).__all__ if not n.startswith("_")}
    public -= {"datasets", "plot", "report", "LAYOUT", "REASONS"}  # modules have sections of their own; two constants
    assert not public - listed(module)


def test_reference_has_no_name_that_is_gone() -> None:
    for module in re.findall(r"\.\. currentmodule:: (\S+)", text(DOCS / "api.md")):
        for public in listed(module):
            if "." not in public:
                assert hasattr(importlib.import_module(module), public), f"{module}.{public}"


def commands_in(path: Path) -> list[str]:
    """Indented lines that are shell commands, without their comments."""
    lines = re.findall(r"^    ((?:make|underlie) .*?)(?:  +#.*)?$", text(path), flags=re.MULTILINE)
    return [line.strip() for line in lines]


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    from underlie.cli import app

    group = typer.main.get_command(app)
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), flags=re.MULTILINE))
    for command in commands_in(page):
        program, *words = command.split()
        if program == "make":
            assert set(words) <= targets, command
            continue
        found = group
        while hasattr(found, "commands"):
            assert words[0] in found.commands, command
            found, words = found.commands[words[0]], words[1:]
        options = {o for parameter in found.params for o in parameter.opts} | {"--help"}
        shown = {w.partition("=")[0] for w in words if w.startswith("--")}
        assert shown <= options, f"{command}: {shown - options}"


def test_readme_shows_how_to_begin() -> None:
    shown = commands_in(ROOT / "README.md")
    assert {"make demo", "make test", "make docs"} <= set(shown)
    assert any(command.startswith("underlie survival") for command in shown)


def test_citation_file_is_of_this_version() -> None:
    citation = yaml.safe_load(text(ROOT / "CITATION.cff"))
    assert citation["version"] == ul.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert all({"type", "title", "authors", "year"} <= set(reference) for reference in citation["references"])


FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("form", [f for f in FORMS if f.name != "config.yml"], ids=lambda p: p.stem)
def test_issue_forms_are_complete(form: Path) -> None:
    content = yaml.safe_load(text(form))
    assert {"name", "description", "body"} <= set(content)
    fields = [part for part in content["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in fields}) == len(fields)
    assert any(part.get("validations", {}).get("required") for part in fields)
    assert all(part["attributes"]["label"] for part in fields)


def test_pages_need_no_network() -> None:
    conf = text(DOCS / "conf.py")
    assert "intersphinx" not in conf
    assert 'mathjax_path = "mathjax/' in conf
    for page in PAGES:
        assert not re.search(r"!\[[^]]*\]\(http|<(?:script|img|link)[^>]*http", text(page)), name(page)
