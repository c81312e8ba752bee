"""The site of these pages: `make docs`, then open build/docs/index.html.

Sphinx, because it reads the docstrings as they are (NumPy style, their cross-references and
doctests), is what torch, NumPy and scikit-learn use, and fails on a warning; MyST, because the
pages are Markdown that is read on the repository's own site too; Furo, because it fits a telephone.
Nothing is fetched, neither here nor by the pages: they work from a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psann

project = "psann"
author = "the psann authors"
copyright = author
release = version = psann.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["images"]

html_theme = "furo"
html_title = f"psann {version}"
html_show_sourcelink = html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["narrow.css"]

myst_heading_anchors = 3
# A notebook that fails is a page that fails.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "py:obj"  # names in docstrings are code, and links where they are documented
highlight_language = "none"  # blocks of a console, which name no language, are no Python
suppress_warnings = ["misc.highlighting_failure"]  # lines of cron are no language to Pygments


def _missing(app: Any, what: str, name: str, obj: Any, options: Any, lines: Sequence[str]) -> None:
    """Let the build fail for a public object without a docstring."""
    if not any(lines) and name.partition(".")[0] == "psann" and what in ("class", "function"):
        raise ValueError(f"{name} has no docstring.")


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _missing)
