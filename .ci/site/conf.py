"""The documentation as a site: `make site` writes it to build/site, from docs/ as it stands.

docs/README.md is its first page, and the tables of that page are the order of all others. `SITE_REPOSITORY` is the
address below which files of the repository are shown, such as https://host/owner/ragprof/blob/main; without it, links
to files outside of docs/ stand as their words alone.
"""

from __future__ import annotations

import os
import re
from importlib import metadata
from typing import Any

project = "ragprof"
version = release = metadata.version("ragprof")
root_doc = "README"
extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"ragprof {release}"
html_show_sourcelink = False
suppress_warnings = ["myst.header"]

OUTSIDE = re.compile(r"(?<!!)\[([^\]\[]*)\]\(\.\./([^)\s]+)\)")
LISTED = re.compile(r"\[(\w[\w-]*)\.md\]\(\1\.md\)")


def prepare(_app: Any, page: str, text: list[str]) -> None:
    """Point links out of docs/ to the repository; give the first page a tree of all others, a part for each table."""
    repository = os.environ.get("SITE_REPOSITORY", "").rstrip("/")
    text[0] = OUTSIDE.sub(rf"[\1]({repository}/\2)" if repository else r"\1", text[0])
    if page == root_doc:
        listed = text[0]
        text[0] = LISTED.sub(r"[](\1.md)", listed)  # the page's title instead of its file's name
        for part in listed.split("\n## ")[1:]:
            title, _, rest = part.partition("\n")
            pages = "\n".join(LISTED.findall(rest))
            text[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", prepare)
