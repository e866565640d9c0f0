"""Parts of a report as GitHub Markdown, for a pull request: sentences and one table a part open, the rest folded.

Charts are left out. Text of the user's is escaped, so that it can neither mark up nor mention anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ragprof.report.blocks import Block, Folded, Pair, PipelineFold, ReportPart, Sentences, Small, Titled
from ragprof.report.tables import Cell, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION = re.compile(r"(?<!\w)@")
_IN_AN_ADDRESS = str.maketrans({" ": "%20", "<": "%3C", ">": "%3E", "|": "%7C", "\n": "%0A"})


def as_part(part: ReportPart) -> str:
    """A part under its heading: its first table is open, the others are folded. Empty where nothing is in it.

    A part of details has no heading here, and all its tables are folded.
    """
    texts: list[str] = []
    may_open = not part.details
    for block in part.blocks:
        if may_open and isinstance(block, Table) and block.rows:
            texts.append(as_table(block))
            may_open = False
        else:
            texts.append(as_block(block))
    texts = [text for text in texts if text]
    return _joined([f"### {escaped(part.title)}", *texts] if part.title and texts and not part.details else texts)


def as_block(block: Block) -> str:
    """One block; a table is folded under its title. Empty for a chart, and where the block has nothing to say."""
    shown = ""
    match block:
        case Sentences(items):
            shown = as_bullets(items)
        case Titled(title, items):
            shown = as_folded(title, as_bullets(items))
        case Small(text, label):
            shown = escaped(f"{label}: {text}" if label and text else text)
        case Table():
            shown = as_details(block)
        case Folded(table):
            shown = as_details(table)
        case Pair(left, right):
            shown = _joined(map(as_block, (left, right)))
        case PipelineFold(pipeline, verdict, _, blocks):
            inner = (as_table(one) if isinstance(one, Table) else as_block(one) for one in blocks)
            shown = as_folded(f"{pipeline}: {verdict}", _joined(inner))
    return shown


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def escaped(text: str) -> str:
    """What Markdown shows as the text itself, on one line: no markup, no mention, no end of a table cell."""
    return _in_html(_SPECIAL.sub(r"\\\1", text))


def _in_html(text: str) -> str:
    """As `escaped`, between HTML tags, where Markdown is not read and a backslash would show."""
    line = "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))
    return _MENTION.sub("&commat;", line)


def as_bullets(sentences: Iterable[str]) -> str:
    """A line a sentence; empty without any."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def as_warnings(warnings: Sequence[str]) -> str:
    """A framed list; empty without any."""
    if not warnings:
        return ""
    return "\n".join(["> [!WARNING]", *(f"> - {escaped(warning)}" for warning in warnings)])


def as_table(table: Table) -> str:
    """Empty where the table has no rows. Rows of a group repeat their first cell."""
    if not table.rows:
        return ""
    rule = ("---:" if column.numeric else ":---" for column in table.columns)
    titles = (escaped(f"{one.title}, {one.unit}" if one.unit else one.title) for one in table.columns)
    lines = [_line(titles), _line(rule), *(_line(map(_text, row.cells)) for row in table.rows)]
    note = f"\n\n<sub>{escaped(table.note)}</sub>" if table.note else ""
    return f"**{escaped(table.title)}**\n\n" + "\n".join(lines) + note


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(cell: Cell) -> str:
    """A pipeline's description stays out: it would widen every row."""
    shown = escaped(cell.text)
    if cell.href:
        shown = f"[{shown}](<{cell.href.translate(_IN_AN_ADDRESS)}>)"
    if cell.tone in ("strong", "unpriced", "better", "worse"):
        shown = f"**{shown}**"
    return f"{shown} ({escaped(cell.note)})" if cell.note and not cell.pipeline else shown


def as_details(table: Table) -> str:
    """A table folded under its title; empty where it has no rows."""
    return as_folded(table.title, as_table(table).partition("\n\n")[2])


def as_folded(title: str, body: str) -> str:
    """Markdown under a title that opens it; empty where there is none."""
    if not body:
        return ""
    return f"<details>\n<summary>{_in_html(title)}</summary>\n\n{body}\n\n</details>"
