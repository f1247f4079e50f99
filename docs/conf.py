"""Sphinx configuration: the guides in this folder and the API from docstrings."""

import re

from ecotone import __version__

project = "ecotone"
author = "The ecotone authors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "ecotone"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_heading_anchors = 3


def _plain(_app, _what, _name, _object, _options, lines):
    """Let docstrings be plain text: |x| is a norm and *shape a shape, not markup."""
    for index, line in enumerate(lines):
        parts = line.split("``")  # every second part is code
        parts[::2] = [re.sub(r"\|(?!\s*$)|\*(?=shape)", r"\\\g<0>", part) for part in parts[::2]]
        lines[index] = "``".join(parts)


def setup(app):
    """Connect the above."""
    app.connect("autodoc-process-docstring", _plain, priority=400)
