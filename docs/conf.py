"""How sphinx makes a site of these pages: ``sphinx-build -W docs site``."""

import re

from sphinx.application import Sphinx

from autoreduce import __version__

project = "autoreduce"
author = "The autoreduce developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
numpydoc_show_class_members = False
autodoc_typehints = "none"
html_theme = "furo"
html_title = f"autoreduce {__version__}"
html_show_sphinx = False
html_copy_source = False

SOURCE = "https://github.com/autoreduce/autoreduce/blob/main"
"""Where files lie that are no pages of the site."""


def _outside(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Send links that lead out of this folder to where the source is kept."""
    source[0] = re.sub(r"\]\(\.\./(?!\.)([^)]+)\)", rf"]({SOURCE}/\1)", source[0])


def setup(app: Sphinx) -> None:
    """Have all pages looked through."""
    app.connect("source-read", _outside)
