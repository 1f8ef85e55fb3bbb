"""Pages about errors: each message points at one, each example raises the message, each remedy works."""

from __future__ import annotations

import doctest
import re
import warnings
from pathlib import Path

import pytest

import underlie
from underlie import explanations

ROOT = Path(underlie.__file__).parent
_BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)
_POINTER = re.compile(r"more: underlie explain ([a-z][a-z-]*)\)")


def pointers_of_the_source() -> set[str]:
    files = [f for f in ROOT.rglob("*.py") if f.parent != ROOT / "explanations"]
    return {name for file in files for name in _POINTER.findall(file.read_text(encoding="utf-8"))}


def parts(name: str) -> tuple[str, str, list[str]]:
    """What raises the message, the message, and the remedies."""
    example, remedy = explanations.page(name).split("\n## What to do\n")
    (first, source), (second, message) = _BLOCK.findall(example)
    assert (first, second) == ("python", "text")
    remedies = [code for language, code in _BLOCK.findall(remedy) if language == "python"]
    assert remedies, "a page names a remedy that can be run"
    return source, message.strip(), remedies


def test_each_pointer_has_its_page_and_each_page_is_pointed_at():
    assert pointers_of_the_source() == set(explanations.names())


@pytest.mark.parametrize("name", explanations.names())
def test_the_example_raises_the_message_and_the_remedy_works(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, message, remedies = parts(name)
    scope: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raised = None
        try:
            exec(compile(source, f"{name}.md", "exec"), scope)
        except (ValueError, TypeError) as error:
            raised = error
    told = [raised] if raised is not None else [w.message for w in caught]
    shown = [f"{type(one).__name__}: {one}" for one in told]
    matches, freely = doctest.OutputChecker().check_output, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert any(matches(message + "\n", text.strip() + "\n", freely) for text in shown), shown
    assert message.endswith(f"(more: underlie explain {name})")

    with warnings.catch_warnings():
        warnings.simplefilter("error", underlie.warnings.UnderlieWarning)
        # what these examples leave out to be short is not what they are about
        warnings.filterwarnings("ignore", message="the held-out bound was still rising after max_epochs=[12];")
        for k, code in enumerate(remedies):
            exec(compile(code, f"{name}.md, remedy {k}", "exec"), scope)


@pytest.mark.parametrize("name", explanations.names())
def test_pages_have_a_title_and_lines_that_can_be_read(name):
    text = explanations.page(name)
    assert text.startswith(f"# {explanations.title(name)}\n")
    assert not explanations.title(name).endswith(".")
    outside = _BLOCK.sub("", text)
    assert max(map(len, outside.splitlines())) <= 125
    inside = [line for _, block in _BLOCK.findall(text) for line in block.splitlines()]
    assert max(map(len, inside)) <= 88  # what a page shows without scrolling


def test_a_page_that_is_not_there_is_refused():
    with pytest.raises(KeyError):
        explanations.page("../warnings")
