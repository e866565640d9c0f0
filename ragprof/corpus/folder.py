"""A folder of pages (.md .txt .rst .html .htm) as documents. Follows no linked folder; a broken file stops nothing.

Title and text of one page: Markdown, reStructuredText, HTML, plain text. Only HTML is rewritten: scripts and the site's
navigation are no text. Everything that is not read is counted in the tally, with kind and reason.
"""

from __future__ import annotations

import codecs
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.corpus.account import Tally
from ragprof.corpus.jsonl import clean_id, is_blank

if TYPE_CHECKING:
    from bs4 import Tag
    from bs4.element import PageElement


FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FENCED_CODE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
MARKDOWN_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(?P<marked>\S.*)$|^ {0,3}(?P<underlined>[^\s>#|+*-].*)\n {0,3}(?:=+|-{2,})[ \t]*$",
    re.MULTILINE,
)
CLOSING_HASHES = re.compile(r"[ \t]+#+$")
RST_HEADING = re.compile(r"^[ \t]*(?P<title>\S.*)\n(?P<line>([=\-`:.'\"~^_*+#])\3{2,})[ \t]*$", re.MULTILINE)
HEADING_ANCHOR = "¶"
DATA_URI = re.compile(
    r"data:(?:[a-z]+/[\w.+-]+(?:;[\w.-]+=[\w.-]+)*;base64,[\w+/=-]+"
    r"|(?:image|font|audio|video)/[\w.+-]+(?:;[\w.-]+=[\w.-]+)*,[^\s)\"'<>\]]+)",
    re.IGNORECASE,
)
"""A page about data URIs may show one whose content is text; that is left as it is."""
NOT_TEXT = ("script", "style", "template", "noscript", "head", "title")
LINE, PARAGRAPH, CODE_SPACE = "\x1f", "\x1e", "\x1c"
PARAGRAPHS = (
    "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "section", "table", "ul",
)  # fmt: skip
LINES_OF_THEIR_OWN = (
    "br", "button", "caption", "center", "details", "dialog", "dir", "hgroup", "legend", "listing", "menu", "optgroup",
    "option", "plaintext", "search", "select", "summary", "tbody", "textarea", "thead", "tr", "xmp",
)  # fmt: skip
"""What the HTML standard shows apart besides the block elements, of which Beautiful Soup keeps the list."""
SECTIONS = frozenset(["article", "aside", "main", "nav", "section"])
OF_THE_SITE = frozenset(["banner", "contentinfo", "navigation"])
"""Roles of content repeated on every page: those of <nav>, and of <header> and <footer> outside any section."""


@dataclass(frozen=True)
class Page:
    """Title and text of a file; `title` is empty if it has none."""

    title: str
    text: str


def markdown(source: str) -> Page:
    """Title from the front matter, else the first heading outside of code."""
    front = FRONT_MATTER.match(source)
    if front and (title := _front_title(front[1])):
        return Page(title, source)
    heading = MARKDOWN_HEADING.search(FENCED_CODE.sub("", source[front.end() :] if front else source))
    found = (heading["marked"] or heading["underlined"]).strip() if heading else ""
    return Page(CLOSING_HASHES.sub("", found), source)


def _front_title(front_matter: str) -> str:
    """The title that YAML front matter gives on one line; empty where it gives none or is no YAML."""
    import yaml

    try:  # BaseLoader makes nothing but strings, lists and mappings: a title such as `2024` or `yes` stays as written
        said = yaml.load(front_matter, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError):
        return ""
    title = said.get("title") if isinstance(said, dict) else None
    return " ".join(title.split()) if isinstance(title, str) else ""


def restructured_text(source: str) -> Page:
    """Title from the first line that is underlined over its whole length."""
    headings = ((found["title"].strip(), found["line"]) for found in RST_HEADING.finditer(source))
    fitting = (title for title, line in headings if len(line) >= len(title) and any(map(str.isalnum, title)))
    return Page(next(fitting, ""), source)


def plain(source: str) -> Page:
    return Page("", source)


def html(source: str) -> Page:
    """Title from the first <h1>, else <title>. Drops scripts, styles and what the site shows on every page.

    Keeps blocks apart and <pre> as it is.
    """
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


@cache
def _borders() -> Mapping[str, str]:
    """Element -> what stands before and behind it."""
    from bs4.builder import HTMLTreeBuilder

    return {
        **dict.fromkeys((*HTMLTreeBuilder.DEFAULT_BLOCK_ELEMENTS, *LINES_OF_THEIR_OWN), LINE),
        **dict.fromkeys(PARAGRAPHS, PARAGRAPH),
        **dict.fromkeys(("td", "th"), " "),
    }


def _pieces(root: Tag) -> Iterator[str]:
    """Text and borders in the order of the page. Blanks in the source mean nothing, except in <pre>."""
    from bs4 import Tag
    from bs4.element import NavigableString

    borders = _borders()
    waiting: list[tuple[PageElement | str, bool, bool]] = [(root, False, False)]
    while waiting:
        node, is_code, in_section = waiting.pop()
        if isinstance(node, Tag):
            border = borders.get(node.name, "")
            yield border
            waiting.append((border, False, False))
            is_text = node is root or not (node.name in NOT_TEXT or _is_of_the_site(node, in_section=in_section))
            inside = (is_code or node.name == "pre", in_section or node.name in SECTIONS)
            waiting.extend((child, *inside) for child in (reversed(node.contents) if is_text else ()))
        elif type(node) is str:
            yield node
        elif type(node) is NavigableString and node != HEADING_ANCHOR:
            yield node.replace(" ", CODE_SPACE) if is_code else re.sub(r"[\s\x1c-\x1f]+", " ", node)


def _is_of_the_site(tag: Tag, *, in_section: bool) -> bool:
    """Whether it is the same on every page: navigation, or the page's own header or footer."""
    return tag.name == "nav" or tag.get("role") in OF_THE_SITE or (tag.name in ("header", "footer") and not in_section)


def read_folder(folder: Path, tally: Tally) -> list[Doc]:
    """Documents sorted by id (the path below the folder, with slashes), what cannot be read left out and counted.

    Raises BadInput where no page is left.
    """
    docs: dict[str, Doc] = {}
    found = pages(folder, tally)
    for path in found:
        kind, name = path.suffix.lower(), _shown(path, folder)
        try:
            doc_id, source = clean_id(path.relative_to(folder).as_posix(), "file name", file=folder), _source(path)
        except OSError as failure:
            tally.leave_out(kind, f"cannot be read: {failure.strerror or failure}", name)
            continue
        except ValueError as failure:
            tally.leave_out(kind, str(failure), name)
            continue
        page = PAGES[kind](source)
        text, embedded = DATA_URI.subn("", page.text)
        for _ in range(embedded):
            tally.leave_out("data URI", "the bytes of an image or a font", name)
        if is_blank(FRONT_MATTER.sub("", text)):
            tally.leave_out_empty(
                kind, "no text" if is_blank(source) else "no text beside scripts and navigation", doc_id
            )
        elif doc_id in docs:
            tally.leave_out(kind, "another page has this name, with its accents encoded differently", name)
        else:
            tally.read(kind)
            docs[doc_id] = Doc(doc_id, page.title or path.stem, text, document_id=doc_id)
    if not docs:
        what = "no page with text" if found else "no page"
        raise BadInput(f"{what} below this folder; a corpus needs text in {', '.join(PAGES)} files", file=folder)
    return list(docs.values())


def _source(path: Path) -> str:
    """The file's text, line ends as newlines. HTML may state its encoding, the others are UTF-8 or UTF-16 with a mark.

    Raises ValueError with the reason for other encodings, OSError for what cannot be read.
    """
    if not path.is_file():
        raise ValueError("a link that leads nowhere" if path.is_symlink() else "not a file")
    raw = path.read_bytes()
    declared = None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        declared = "utf-16"
    elif path.suffix.lower() in (".html", ".htm"):
        from bs4.dammit import EncodingDetector

        declared = EncodingDetector.find_declared_encoding(raw, is_html=True)
    for encoding in ("utf-8-sig", declared):
        try:
            if encoding:
                return raw.decode(encoding).replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError):
            continue
    raise ValueError("not UTF-8; convert it with iconv")


def pages(folder: Path, tally: Tally) -> list[Path]:
    """All files below the folder whose names are those of pages, sorted by their path; the others go to the tally."""
    found: list[Path] = []

    def closed(failure: OSError) -> None:
        tally.leave_out("folder", f"cannot be opened: {failure.strerror}", _shown(Path(failure.filename), folder))

    for parent, children, names in os.walk(folder, onerror=closed):
        for child in (Path(parent, name) for name in sorted(children)):
            if child.name.startswith(".") or child.is_symlink():
                children.remove(child.name)
                tally.leave_out("folder", "hidden" if child.name.startswith(".") else "a link", _shown(child, folder))
        for path in (Path(parent, name) for name in sorted(names)):
            kind = path.suffix.lower()
            if path.name.startswith("."):
                tally.leave_out("file", "hidden", _shown(path, folder))
            elif kind in PAGES:
                found.append(path)
            else:
                tally.leave_out(kind or "file without a suffix", "this kind of file is not read", _shown(path, folder))
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _shown(path: Path, folder: Path) -> str:
    """The path below the folder, whatever bytes are in it."""
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
