"""Sphinx configuration: pages in Markdown whose code runs at the build, the reference from the docstrings.

Nothing is fetched, neither at the build nor by the finished pages.
"""

from __future__ import annotations

import logging
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import underlie

HERE = Path(__file__).parent
BUILT = HERE / "_build"

project = "underlie"
author = "The underlie developers"
copyright = "2026, The underlie developers"
release = underlie.__version__

extensions = [
    "myst_nb",  # pages in Markdown; their code cells are run, and what they show is kept until the code changes
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_ipython", "_templates"]
templates_path = ["_templates"]
nitpicky = True

# ---- pages ----
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

smartquotes_action = "qe"  # quotes and ellipses; two hyphens are those of an option

# ---- code in pages ----
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILT / "cells")
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_number_source_lines = False

logging.getLogger("traitlets").setLevel(logging.WARNING)  # else each page that is run is announced

# Figures of all pages look alike: the kernels read their configuration from a copy, in which IPython may write.
_kernel = BUILT / "ipython" / "profile_default"
_kernel.mkdir(parents=True, exist_ok=True)
shutil.copy(HERE / "_ipython" / "ipython_kernel_config.py", _kernel)
os.environ["IPYTHONDIR"] = str(_kernel.parent)
os.environ.pop("MPLBACKEND", None)  # in a kernel figures are shown, whatever scripts do with them
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"

# ---- reference ----
autosummary_generate = True
_listed = set((HERE / "api.md").read_text(encoding="utf-8").split())
for _stub in (HERE / "generated").glob("*.rst"):  # pages of names that are gone would be in no table of contents
    if _stub.stem.rpartition(".")[2] not in _listed:
        _stub.unlink()
autosummary_context = {
    # Methods come from our own classes; those of scikit-learn's are on its pages.
    "stop": "BaseEstimator, TransformerMixin, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, _SetOutputMixin, "
    "Module, tuple, object"
}
napoleon_google_docstring = False
napoleon_use_param = False  # types are words such as "array (n, columns)", not names to be linked
napoleon_use_rtype = False
napoleon_use_ivar = False
napoleon_custom_sections = [("Attributes", "params_style"), ("Warns", "returns_style")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [(r"py:(class|obj|exc)", r".*")]  # bases and exceptions of other libraries


def _skip_plumbing(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Leave out scikit-learn's metadata routing, which no user of these models calls."""
    return skip or name == "get_metadata_routing" or (name.startswith("set_") and name.endswith("_request"))


# ---- look ----
html_theme = "furo"
html_title = "underlie"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_copy_source = False
html_show_sphinx = False
mathjax_path = "mathjax/tex-chtml.js"


def _bring_mathjax(app: Any, error: Exception | None) -> None:
    """Put the one file of MathJax that pages load, and its fonts, beside them."""
    spec = find_spec("sphinx-mathjax-offline")
    if error is not None or app.builder.format != "html" or spec is None or spec.origin is None:
        return
    source, target = Path(spec.origin).parent / "static" / "mathjax", Path(app.outdir) / "_static" / "mathjax"
    fonts = Path("output") / "chtml" / "fonts" / "woff-v2"
    (target / fonts).mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "tex-chtml.js", target)
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip_plumbing)
    app.connect("build-finished", _bring_mathjax)
