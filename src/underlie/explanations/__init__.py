"""Pages about the most common errors and warnings, one each, shipped with the package so that no network is needed.

A message ends with a pointer, ``(more: underlie explain NAME)``, to the page ``NAME.md`` beside this file. Examples and
remedies are executed by the tests.
"""

from __future__ import annotations

from importlib import resources

__all__ = ["names", "page", "title"]


def names() -> list[str]:
    """Names of all pages, in alphabetical order.

    Examples
    --------
    >>> from underlie import explanations
    >>> "columns-differ" in explanations.names()
    True
    """
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".md") for file in files if file.name.endswith(".md"))


def page(name: str) -> str:
    """The text of one page, in Markdown.

    Raises
    ------
    KeyError
        If there is no page of this name.
    """
    if name not in names():
        raise KeyError(name)
    return (resources.files(__name__) / f"{name}.md").read_text(encoding="utf-8")


def title(name: str) -> str:
    """The heading of one page.

    Examples
    --------
    >>> from underlie import explanations
    >>> explanations.title("too-few-rows")
    'Too few rows'
    """
    return page(name).split("\n", 1)[0].removeprefix("# ")
