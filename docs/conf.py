"""Sphinx: `make docs` builds these pages into docs/_build.

The source folder is the repository's root: a link from one file to another means the same here and on GitHub.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE / "_extensions")]

project = "PIE"
html_title = "PIE: Pseudo-Invertible Encoder"
html_theme = "furo"
html_show_copyright = False
html_show_sourcelink = html_copy_source = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["commands", "executed", "reference", "repository", "shown"]  # our own, in _extensions

root_doc = "docs/index"
include_patterns = ["docs/*.md", "results/README.md", "bench/*.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = [".*", "docs/_*", "results/*/*", "pie_cli", "tests", "studies", "scripts"]  # not searched

myst_heading_anchors = 3
smartquotes = False  # they would make a dash of the two hyphens of an option
default_role = "code"  # docstrings have Markdown's single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# Only names of our own are checked: those of others would need their inventories, and so a network.
nitpick_ignore_regex = [("py:.*", r"(?!pie_cli).*")]
