"""What a user meets first: a fast import, public names that exist and show how they are used."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import underlie as ul

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
README = PYPROJECT.with_name("README.md")
PUBLIC = [name for name in ul.__all__ if not name.startswith("_")]


def modules_after(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after ``statement``."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_import_alone_loads_no_heavy_library():
    loaded = modules_after("import underlie")
    heavy = {"torch", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "lifelines", "rich", "typer", "jinja2"}
    assert "underlie" in loaded
    assert not loaded & heavy


def test_an_estimator_loads_no_plotting_or_command_line_code():
    loaded = modules_after("import underlie; underlie.VAE")
    assert "torch" in loaded  # the name was really resolved
    assert not loaded & {"matplotlib", "typer", "jinja2", "lifelines"}


def test_command_line_starts_without_heavy_libraries():
    loaded = modules_after("import underlie.cli")
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "sklearn", "matplotlib", "jinja2"}


def test_version_is_the_same_everywhere():
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"]
    assert ul.__version__ == declared
    assert version("underlie") == declared


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_resolves_and_is_documented(name):
    thing = getattr(ul, name)
    assert inspect.getdoc(thing), f"underlie.{name} has no docstring"
    if not inspect.ismodule(thing):
        assert "Examples\n--------" in inspect.getdoc(thing), f"underlie.{name} shows no example"


@pytest.mark.parametrize("name", PUBLIC)
def test_dir_lists_public_name(name):
    assert name in dir(ul)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'VEA'"):
        ul.VEA  # noqa: B018


def readme_examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("code", readme_examples())
def test_readme_example_runs(code):
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    (made,) = (namespace[name] for name in ("twenty", "simulated", "advice", "restyled") if name in namespace)
    assert len(made) in (20, 1000, 686, 5)


def test_readme_has_an_example_of_each_model():
    assert len(readme_examples()) == 4
