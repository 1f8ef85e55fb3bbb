"""Sphinx configuration: pages in Markdown, the reference from the docstrings."""

from __future__ import annotations

from typing import Any

import underlie

project = "underlie"
author = "The underlie developers"
copyright = "2026, The underlie developers"
release = underlie.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "decisions"]
myst_enable_extensions = ["dollarmath", "fieldlist"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": False, "undoc-members": False}


def _skip_plumbing(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Leave out scikit-learn's metadata routing, which no user of these models calls."""
    return skip or name == "get_metadata_routing" or (name.startswith("set_") and name.endswith("_request"))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip_plumbing)


html_theme = "alabaster"
html_theme_options = {"description": "Latent-variable models, fitted in one line", "page_width": "1080px"}
html_static_path: list[str] = []
