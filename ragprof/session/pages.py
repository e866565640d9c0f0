"""The report: what the profile and the studies show, drawn as report.html, report.md and the studies' own pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ragprof.core.files import write_text
from ragprof.report import figures, html, markdown
from ragprof.report.blocks import Block, Folded, Pair, PipelineFold, ReportPart, Sentences
from ragprof.report.brief import Room, first_rows, fitting, shortened
from ragprof.report.tables import Table
from ragprof.session import studies
from ragprof.session.drawn import SUMMARY
from ragprof.session.summary import Analysis
from ragprof.studies.profile.headline import tiles

FULL = "report-full.md"
"""The whole report as Markdown, written only where somebody asked for it."""


def page_names(folder: Path) -> tuple[str, ...]:
    """Return the names of all files that are written from an analysis of this recording."""
    return (
        SUMMARY,
        "report.html",
        "report.md",
        FULL,
        *(name for study in studies.present(folder) for name in study.pages),
    )


def write_report(analysis: Analysis, folder: Path, *, full: bool = False) -> Path:
    """Write all pages into the folder, each whole or not at all. Returns the path of report.html.

    report-full.md is written where `full` asks for it, and where it was written before.
    """
    page = folder / "report.html"
    context = replace(analysis.context, decisions=tuple(analysis.decisions()))
    for study in studies.present(folder):
        section = analysis.sections.get(study.name)
        for name, write in study.pages.items():
            if section is None:
                (folder / name).unlink(missing_ok=True)
            else:
                text = write(section, context)
                if study.name in analysis.context.stale:
                    head, _, rest = text.partition("\n\n")
                    text = f"{head}\n\n{markdown.as_warnings([analysis.context.stale[study.name]])}\n\n{rest}"
                write_text(folder / name, text)
    parts = parts_of(analysis)
    write_text(folder / "report.md", render_brief(analysis, parts))
    if full or (folder / FULL).exists():
        write_text(folder / FULL, render_markdown(analysis, parts))
    write_text(page, render_html(analysis, parts))
    return page


def parts_of(analysis: Analysis) -> list[ReportPart]:
    """All parts in the order of the report: the profile, the studies, and last what the figures rest on."""
    from altair.utils.schemapi import debug_mode

    shown: list[ReportPart] = []
    with debug_mode(False):  # Altair checks each piece of a chart against its schema; the tests of charts let it
        for name in (studies.PROFILE, studies.TRACE, *studies.STUDIES):
            section = analysis.profile if name == studies.PROFILE else analysis.sections.get(name)
            if section is None:
                continue
            own = list(studies.study(name).show(section, analysis.context))
            if own and name in analysis.context.stale:
                own[0] = replace(own[0], blocks=[Sentences([analysis.context.stale[name]]), *own[0].blocks])
            shown += own
    return sorted(shown, key=lambda part: part.last)


def render_html(analysis: Analysis, parts: list[ReportPart]) -> str:
    """One self-contained page: no network, readable without scripts, made for A4 paper too."""
    return html.page(front_of(analysis), parts, analysis.context.colours)


def front_of(analysis: Analysis) -> html.Front:
    """What a reader meets first, of a profile or of traces."""
    profile = analysis.profile
    if profile is not None:
        headline, warnings, shown = profile.headline, profile.warnings, tiles(profile)
        title, created, version = profile.title, profile.created, profile.ragprof_version
    else:
        from ragprof.studies.trace import words as traces
        from ragprof.studies.trace.section import TraceSection

        section = analysis.sections.get(studies.TRACE)
        if not isinstance(section, TraceSection):
            raise ValueError("a study that stands alone has no report")
        headline, warnings, shown = section.headline, section.warnings, traces.tiles(section)
        title, created, version = (str(analysis.about[key]) for key in ("title", "created", "ragprof_version"))
    return html.Front(
        title=title,
        answer=headline[0] if headline else "",
        findings=headline[1:],
        tiles=shown,
        warnings=warnings,
        created=figures.day(created),
        version=version,
        decisions=analysis.decisions(),
    )


BRIEF = Room(lines=60, size=6_000)
"""What report.md may take, so that it fits into a pull request whatever was run."""
ROOM_FOR_FRONT, ROOM_FOR_ORIGIN = Room(lines=24, size=2_600), Room(lines=3, size=400)
LONGEST_TITLE, LONGEST_ANSWER, LONGEST_CELL = 100, 400, 60
MOST_SENTENCES = 7


def render_brief(analysis: Analysis, parts: list[ReportPart]) -> str:
    """GitHub Markdown for a pull request: answer, findings with the first of each study, warnings, the table of
    pipelines, and first tables of other parts, folded, while there is room; what was left out is counted.
    """
    front = front_of(analysis)
    texts = _brief_front(front, [*front.findings, *_answers(analysis, parts)])
    room = Room(BRIEF.lines - ROOM_FOR_ORIGIN.lines, BRIEF.size - ROOM_FOR_ORIGIN.size)
    for text in texts:
        room = room.less(text)
    answering_first = sorted(parts, key=lambda part: part.details)
    tables = [[table for block in part.blocks for table in _tables(block) if table.rows] for part in answering_first]
    shown = _while_there_is_room([each[0] for each in tables if each], room)
    left = sum(map(len, tables)) - len(shown)
    more = f" {figures.counted(left, 'more table')} and all charts are in report.html;" if left else ""
    origin = f"ragprof {markdown.escaped(front.version)}, {markdown.escaped(front.created)}."
    whole = f"{more} `ragprof report DIR --full` writes all tables as Markdown."
    last = f"<sub>{origin}{whole} n/a: not measured or not applicable.</sub>"
    return "\n\n".join(text for text in (*texts, *shown, last) if text) + "\n"


def _brief_front(front: html.Front, findings: list[str]) -> list[str]:
    """Title, answer, findings and warnings, each cut to what it may take."""
    title = f"## {markdown.escaped(shortened(front.title, LONGEST_TITLE))}"
    answer = f"**{markdown.escaped(shortened(front.answer, LONGEST_ANSWER))}**" if front.answer else ""
    texts, room = [], ROOM_FOR_FRONT
    for text in (title, answer):
        if room.holds(text):
            texts.append(text)
            room = room.less(text)
    half = Room(room.lines // 2, room.size // 2)
    warnings = fitting(front.warnings, MOST_SENTENCES, half, markdown.as_warnings)
    return [*texts, fitting(findings, MOST_SENTENCES, room.less(warnings), markdown.as_bullets), warnings]


def _answers(analysis: Analysis, parts: list[ReportPart]) -> list[str]:
    """The first sentence of each study; a study of an earlier recording answers nothing here."""
    firsts = [part.blocks[0] for part in parts if part.blocks]
    found = [each.items[0] for each in firsts if isinstance(each, Sentences) and each.items]
    told = {*front_of(analysis).findings, *analysis.context.stale.values()}
    return [sentence for sentence in dict.fromkeys(found) if sentence not in told]


def _while_there_is_room(tables: list[Table], room: Room) -> list[str]:
    """The first table open, as many of its rows as fit; the others folded, those that fit whole."""
    texts: list[str] = []
    for place, table in enumerate(tables):
        if place:
            body = markdown.as_table(table).partition("\n\n")[2]
            text = markdown.as_folded(shortened(table.title, LONGEST_TITLE), body)
        else:
            text = first_rows(table, room.holds, why="because this page is kept short", longest=LONGEST_CELL)
        if room.holds(text):
            texts.append(text)
            room = room.less(text)
    return texts


def _tables(block: Block) -> list[Table]:
    """The tables in a block, in the order in which a reader meets them."""
    match block:
        case Table():
            return [block]
        case Folded(table):
            return [table]
        case Pair(left, right):
            return [*_tables(left), *_tables(right)]
        case PipelineFold(blocks=inner):
            return [table for one in inner for table in _tables(one)]
        case _:
            return []


def render_markdown(analysis: Analysis, parts: list[ReportPart]) -> str:
    """The whole report as GitHub Markdown: headline, warnings, a table a part; details folded. Ends with a newline."""
    front = front_of(analysis)
    origin = f"ragprof {markdown.escaped(front.version)}, {markdown.escaped(front.created)}"
    texts = [
        f"## {markdown.escaped(front.title)}",
        f"**{markdown.escaped(front.answer)}**" if front.answer else "",
        markdown.as_bullets(front.findings),
        markdown.as_warnings(front.warnings),
        *(markdown.as_part(part) for part in parts),
        f"<sub>{origin}. n/a: not measured or not applicable.</sub>",
    ]
    return "\n\n".join(text for text in texts if text) + "\n"
