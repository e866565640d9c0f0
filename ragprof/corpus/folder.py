"""A folder of pages (.md .txt .rst .html .htm) as documents. Skips hidden files, follows no linked folder.

Title and text of one page: Markdown, reStructuredText, HTML, plain text. Only HTML is rewritten.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.corpus.account import Tally
from ragprof.corpus.jsonl import encodable, whole_text

if TYPE_CHECKING:
    from bs4 import Tag
    from bs4.element import PageElement


FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FRONT_MATTER_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
FENCED_CODE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
MARKDOWN_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(?P<marked>\S.*)$|^ {0,3}(?P<underlined>[^\s>#|+*-].*)\n {0,3}(?:=+|-{2,})[ \t]*$",
    re.MULTILINE,
)
CLOSING_HASHES = re.compile(r"[ \t]+#+$")
RST_HEADING = re.compile(r"^[ \t]*(?P<title>\S.*)\n(?P<line>([=\-`:.'\"~^_*+#])\3{2,})[ \t]*$", re.MULTILINE)
HEADING_ANCHOR = "¶"
NOT_TEXT = ("script", "style", "template", "noscript", "head", "title")
LINE, PARAGRAPH, CODE_SPACE = "\x1f", "\x1e", "\x1c"
BORDERS: Mapping[str, str] = {
    **dict.fromkeys(
        ("article", "aside", "dd", "div", "dt", "footer", "form", "header", "li", "main", "nav", "tr"), LINE
    ),
    **dict.fromkeys(("blockquote", "dl", "figure", "ol", "p", "pre", "section", "table", "ul"), PARAGRAPH),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), PARAGRAPH),
    **dict.fromkeys(("td", "th"), " "),
}


@dataclass(frozen=True)
class Page:
    """What a file says: `title` is empty where it names none."""

    title: str
    text: str


def markdown(source: str) -> Page:
    """Title from the front matter, else the first heading outside of code."""
    front = FRONT_MATTER.match(source)
    named = FRONT_MATTER_TITLE.search(front[1]) if front else None
    if named:
        return Page(named[1].strip("\"' "), source)
    heading = MARKDOWN_HEADING.search(FENCED_CODE.sub("", source[front.end() :] if front else source))
    found = (heading["marked"] or heading["underlined"]).strip() if heading else ""
    return Page(CLOSING_HASHES.sub("", found), source)


def restructured_text(source: str) -> Page:
    """Title from the first line that is underlined over its whole length."""
    headings = ((found["title"].strip(), found["line"]) for found in RST_HEADING.finditer(source))
    fitting = (title for title, line in headings if len(line) >= len(title) and any(map(str.isalnum, title)))
    return Page(next(fitting, ""), source)


def plain(source: str) -> Page:
    return Page("", source)


def html(source: str) -> Page:
    """Title from the first <h1>, else <title>. Drops scripts and styles; keeps paragraphs apart, <pre> as it is."""
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():  # XHTML, and a page that looks like a file name, are read as HTML
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        soup = BeautifulSoup(source, "html.parser")
    titles = (" ".join(_text(tag).split()) for tag in (soup.h1, soup.title) if tag)
    return Page(next(filter(None, titles), ""), _text(soup))


PAGES: Mapping[str, Callable[[str], Page]] = {
    ".md": markdown,
    ".txt": plain,
    ".rst": restructured_text,
    ".html": html,
    ".htm": html,
}


def _text(root: Tag) -> str:
    joined = re.sub(r" {2,}", " ", "".join(_pieces(root)).replace("\xa0", " "))
    parted = re.sub(
        f" *[{LINE}{PARAGRAPH}][ {LINE}{PARAGRAPH}]*", lambda found: "\n\n" if PARAGRAPH in found[0] else "\n", joined
    )
    return parted.strip(" \n").replace(CODE_SPACE, " ")


def _pieces(root: Tag) -> Iterator[str]:
    """Text and borders in the order of the page. Blanks in the source mean nothing, except in <pre>."""
    from bs4 import Tag
    from bs4.element import NavigableString

    waiting: list[tuple[PageElement | str, bool]] = [(root, False)]
    while waiting:
        node, is_code = waiting.pop()
        if isinstance(node, Tag):
            border = BORDERS.get(node.name, "")
            yield LINE if node.name == "br" else border
            waiting.append((border, False))
            children = [] if node.name in NOT_TEXT and node is not root else reversed(node.contents)
            waiting.extend((child, is_code or node.name == "pre") for child in children)
        elif type(node) is str:
            yield node
        elif type(node) is NavigableString and node != HEADING_ANCHOR:
            yield node.replace(" ", CODE_SPACE) if is_code else re.sub(r"[\s\x1c-\x1f]+", " ", node)


def read_folder(folder: Path, tally: Tally) -> list[Doc]:
    """Documents sorted by id (the path below the folder, with slashes), those without any text left out and counted.

    Raises BadInput where no page is left.
    """
    docs, found = [], pages(folder)
    for path in found:
        doc_id = encodable(path.relative_to(folder).as_posix(), "file name", file=folder)
        page = PAGES[path.suffix.lower()](whole_text(path))
        if page.text.strip():
            tally.read(path.suffix.lower())
            docs.append(Doc(doc_id, page.title or path.stem, page.text, document_id=doc_id))
        else:
            tally.leave_out_empty(path.suffix.lower(), "no text", doc_id)
    if not docs:
        what = "only empty pages" if found else "no page"
        raise BadInput(f"{what} below this folder; a corpus needs text in {', '.join(PAGES)} files", file=folder)
    return docs


def pages(folder: Path) -> list[Path]:
    """All files below the folder that can be read as pages, sorted by their path."""
    found: list[Path] = []
    for parent, children, names in os.walk(folder):
        children[:] = [name for name in children if not name.startswith(".")]
        fitting = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in PAGES)
        found.extend(Path(parent, name) for name in fitting)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
