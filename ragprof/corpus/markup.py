"""Title, text and headings of a page: Markdown, reStructuredText, HTML, plain text; tables as Markdown.

Only HTML is rewritten: scripts and the site's navigation are no text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from ragprof.core.documents import ReadDocument, sections

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
NOT_TEXT = ("script", "style", "template", "noscript", "head", "title")
LINE, PARAGRAPH, LEVEL, CODE_SPACE = "\x1f", "\x1e", "\x1d", "\x1c"
PARAGRAPHS = (
    "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "section", "table", "ul",
)  # fmt: skip
LINES_OF_THEIR_OWN = (
    "br", "button", "caption", "center", "details", "dialog", "dir", "hgroup", "legend", "listing", "menu", "optgroup",
    "option", "plaintext", "search", "select", "summary", "tbody", "textarea", "thead", "tr", "xmp",
)  # fmt: skip
"""What the HTML standard shows apart besides the block elements, of which Beautiful Soup keeps the list."""
HEADINGS = {f"h{level}": level for level in range(1, 7)}
SECTIONS = frozenset(["article", "aside", "main", "nav", "section"])
OF_THE_SITE = frozenset(["banner", "contentinfo", "navigation"])
"""Roles of content repeated on every page: those of <nav>, and of <header> and <footer> outside any section."""


def markdown(source: str) -> ReadDocument:
    """Title from the front matter, else the first heading outside of code."""
    front = FRONT_MATTER.match(source)
    below = front.end() if front else 0
    # Code and front matter are blanked out, so that the headings' places stay what they are.
    prose = _blanked(source[:below]) + FENCED_CODE.sub(lambda code: _blanked(code[0]), source[below:])
    found = [(heading.start(), *_heading(heading)) for heading in MARKDOWN_HEADING.finditer(prose)]
    title = (_front_title(front[1]) if front else "") or (found[0][2] if found else "")
    return ReadDocument(title, sections(source, found), is_markdown=True)


def _blanked(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _heading(found: re.Match[str]) -> tuple[int, str]:
    """Level and words."""
    if found["marked"]:
        return len(found[0].lstrip(" ")) - len(found[0].lstrip(" #")), CLOSING_HASHES.sub("", found["marked"].strip())
    return (1 if found[0].rstrip().endswith("=") else 2), found["underlined"].strip()


def _front_title(front_matter: str) -> str:
    """The title that YAML front matter gives on one line; empty where it gives none or is no YAML."""
    import yaml

    try:  # BaseLoader makes nothing but strings, lists and mappings: a title such as `2024` or `yes` stays as written
        said = yaml.load(front_matter, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError):
        return ""
    title = said.get("title") if isinstance(said, dict) else None
    return " ".join(title.split()) if isinstance(title, str) else ""


def restructured_text(source: str) -> ReadDocument:
    """Title from the first line that is underlined over its whole length. Levels are in the order of their lines."""
    found, levels = [], dict[str, int]()
    for heading in RST_HEADING.finditer(source):
        title, line = heading["title"].strip(), heading["line"]
        if len(line) >= len(title) and any(map(str.isalnum, title)):
            above = source[: heading.start()].rstrip("\n").rpartition("\n")[2].strip()
            over = above == line and source[heading.start() - 1] == "\n" != source[heading.start() - 2]
            start = source.rindex(above, 0, heading.start()) if over else heading.start()
            found.append((start, levels.setdefault(line[0] * (1 + over), len(levels) + 1), title))
    return ReadDocument(found[0][2] if found else "", sections(source, found))


def html(source: str) -> ReadDocument:
    """Title from the first <h1>, else <title>. Drops scripts, styles and what the site shows on every page.

    Keeps blocks apart and <pre> as it is.
    """
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():  # XHTML, and a page that looks like a file name, are read as HTML
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        soup = BeautifulSoup(_without_open_ends(source), "html.parser")
    titles = (" ".join(_text(tag)[0].split()) for tag in (soup.h1, soup.title) if tag)
    text, headings = _text(soup)
    return ReadDocument(next(filter(None, titles), ""), sections(text, headings))


OPEN_ENDS = (("<!--", "-->"), ("<![", "]>"), ("<", ">"))
MANY_OPEN = 200


def _without_open_ends(source: str) -> str:
    """The page with marks that nothing closes as text, where there are many: the parser looks through the whole rest
    of the page for the end of each, and takes minutes for some hundred kilobytes of them."""
    for opening, closing in OPEN_ENDS:
        closed = source.rfind(closing) + 1
        if source.count(opening, closed) > MANY_OPEN:
            source = source[:closed] + source[closed:].replace(opening, f"&lt;{opening[1:]}")
    return source


def table(rows: Iterable[Sequence[str]]) -> tuple[str, str]:
    """Rows as a Markdown table, the first as its head: head, and all other rows. Both empty where no cell has words.

    Rows without words are left out, rows that are too short filled up.
    """
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return "", ""
    width = max(map(len, cells))
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in cells]
    return f"{lines[0]}\n|{' --- |' * width}", "\n".join(lines[1:])


def _text(root: Tag) -> tuple[str, list[tuple[int, int, str]]]:
    """Text, and of each heading its place in it, its level and its words."""
    joined = re.sub(r" {2,}", " ", "".join(_pieces(root)).replace("\xa0", " "))
    parted = re.sub(f" *[{LINE}{PARAGRAPH}][ {LINE}{PARAGRAPH}{LEVEL}]*", _break, joined)
    marked = parted.strip(" \n").replace(CODE_SPACE, " ")
    text, headings = "", []
    for piece in re.split(f"(?={LEVEL}+)(?<!{LEVEL})", marked):
        plain = piece.lstrip(LEVEL)
        if len(plain) < len(piece):
            headings.append((len(text), len(piece) - len(plain), plain.partition("\n")[0]))
        text += plain.replace(LEVEL, "")
    return text, headings


def _break(borders: re.Match[str]) -> str:
    levels = re.findall(f"{LEVEL}+", borders[0])
    return ("\n\n" if PARAGRAPH in borders[0] else "\n") + (levels[-1] if levels else "")


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
            yield border + LEVEL * HEADINGS.get(node.name, 0)
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
