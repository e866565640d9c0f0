"""The report: what the profile and the studies show, drawn as report.html, report.md and the studies' own pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ragprof.core.files import write_text
from ragprof.report import figures, html, markdown
from ragprof.report.blocks import ReportPart, Sentences
from ragprof.session import studies
from ragprof.session.drawn import SUMMARY
from ragprof.session.summary import Analysis
from ragprof.studies.profile.headline import tiles
from ragprof.studies.trace import words as traces
from ragprof.studies.trace.section import TraceSection


def page_names(folder: Path) -> tuple[str, ...]:
    """Return the names of all files that are written from an analysis of this recording."""
    return (SUMMARY, "report.html", "report.md", *(name for study in studies.present(folder) for name in study.pages))


def write_report(analysis: Analysis, folder: Path) -> Path:
    """Write all pages into the folder, each whole or not at all. Returns the path of report.html."""
    page = folder / "report.html"
    for study in studies.present(folder):
        section = analysis.sections.get(study.name)
        for name, write in study.pages.items():
            if section is None:
                (folder / name).unlink(missing_ok=True)
            else:
                text = write(section, analysis.context)
                if study.name in analysis.context.stale:
                    head, _, rest = text.partition("\n\n")
                    text = f"{head}\n\n{markdown.as_warnings([analysis.context.stale[study.name]])}\n\n{rest}"
                write_text(folder / name, text)
    parts = parts_of(analysis)
    write_text(folder / "report.md", render_markdown(analysis, parts))
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
    )


def render_markdown(analysis: Analysis, parts: list[ReportPart]) -> str:
    """GitHub Markdown for a pull request: headline, warnings, a table a part; details folded. Ends with a newline."""
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
