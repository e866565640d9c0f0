"""The report as GitHub Markdown, for a pull request: the answer and one table, everything else folded away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ragprof.report import context_tables, figures, pipeline_tables
from ragprof.report.growth import forecast_tables as growth_forecast_tables
from ragprof.report.growth import grown
from ragprof.report.growth import tables as growth_tables
from ragprof.report.growth import work_tables as growth_work_tables
from ragprof.report.injection import contents as injection_contents
from ragprof.report.injection import study
from ragprof.report.injection.sweep_tables import marginal_statements
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import contents as reranker_contents
from ragprof.report.reranker import study as reranker_study
from ragprof.report.tables import Cell, Column, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MENTION = re.compile(r"(?<!\w)@")
_GROWTH_FOLDED = (
    growth_forecast_tables.crossovers,
    growth_forecast_tables.forecasts,
    growth_forecast_tables.other_forecasts,
    growth_tables.evidence,
    growth_tables.kinds,
    growth_tables.context,
    growth_tables.loss,
    growth_work_tables.resources,
    growth_work_tables.curves,
    growth_work_tables.work,
)
_FOLDED = (
    pipeline_tables.latency,
    pipeline_tables.cost,
    pipeline_tables.quality,
    pipeline_tables.builds,
    pipeline_tables.trust,
    context_tables.rates,
    context_tables.machine,
    context_tables.measured,
)


def render_markdown(summary: Summary) -> str:
    """Headline, warnings, the table at a glance and the comparisons; details folded. Ends with a newline."""
    parts = [
        f"## {escaped(figures.text(at(summary, 'title') or at(summary, 'eval')))}",
        *_headline(entries(summary, "headline")),
        as_warnings(entries(summary, "warnings")),
        as_table(pipeline_tables.glance(summary)),
        as_table(context_tables.comparisons(summary)),
        *_growth(summary),
        *_injection(summary),
        *_reranker(summary),
        *_audit(summary),
        *(as_details(table(summary)) for table in _FOLDED),
        as_folded("Method and limits", as_bullets([*entries(summary, "method"), *entries(summary, "limits")])),
        _origin(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _growth(summary: Summary) -> list[str]:
    """The table of growth at a glance, everything else of it folded. Empty without a growth study."""
    if not grown.names(summary):
        return []
    glance = as_table(growth_tables.glance(summary))
    folded = [as_details(table(summary)) for table in _GROWTH_FOLDED]
    return ["### Growth", as_bullets(entries(summary, "growth", "notes")), glance, *folded]


def _injection(summary: Summary) -> list[str]:
    """Statements and answers at a glance, everything else folded, notes at the end. Empty without answers."""
    if not study.is_present(summary):
        return []
    said = [*entries(summary, "injection", "statements"), *marginal_statements(summary)]
    folded = [as_details(table(summary)) for table in injection_contents.FOLDED]
    glance = as_table(injection_contents.GLANCE(summary))
    notes = as_bullets(entries(summary, "injection", "notes"))
    return ["### Context and answers", as_bullets(said), escaped(study.model_words(summary)), glance, *folded, notes]


def _reranker(summary: Summary) -> list[str]:
    """Verdicts at a glance, each pipeline's statement folded, notes at the end. Empty without verdicts."""
    if not reranker_study.is_present(summary):
        return []
    said, notes = (as_bullets(entries(summary, "reranker_study", part)) for part in ("statements", "notes"))
    glance, sides = as_table(reranker_contents.GLANCE(summary)), as_table(reranker_contents.SIDES(summary))
    folded = [_reranked(section) for section in reranker_contents.sections(summary)]
    return ["### Is the reranker worth it?", said, glance, sides, *folded, notes]


def _reranked(section: reranker_contents.Section) -> str:
    said = [sentence for sentences in section.said.values() for sentence in sentences]
    tables = (as_table(table) for table in section.tables.values())
    parts = (as_bullets([*section.sentences, *said]), *tables, as_bullets(section.notes))
    return as_folded(f"{section.name}: {section.verdict}", "\n\n".join(part for part in parts if part))


def _audit(summary: Summary) -> list[str]:
    """What the audit found, its tables folded. Empty without one."""
    if not study.audited(summary):
        return []
    folded = [as_details(table(summary)) for table in injection_contents.AUDIT]
    return ["### Does it repeat?", as_bullets(entries(summary, "audit", "statements")), *folded]


def escaped(text: str) -> str:
    """What Markdown shows as the text itself, on one line: no markup, no mention, no end of a table cell."""
    return _in_html(_SPECIAL.sub(r"\\\1", text))


def _in_html(text: str) -> str:
    """As `escaped`, between HTML tags, where Markdown is not read and a backslash would show."""
    line = "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))
    return _MENTION.sub("&commat;", line)


def _headline(sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return [f"**{escaped(sentences[0])}**", as_bullets(sentences[1:])]


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
    lines = [_line(map(_title, table.columns)), _line(rule), *(_line(map(_text, row.cells)) for row in table.rows)]
    note = f"\n\n<sub>{escaped(table.note)}</sub>" if table.note else ""
    return f"**{escaped(table.title)}**\n\n" + "\n".join(lines) + note


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _title(column: Column) -> str:
    return escaped(f"{column.title}, {column.unit}" if column.unit else column.title)


def _text(cell: Cell) -> str:
    """A pipeline's description stays out: it would widen every row."""
    shown = f"[{escaped(cell.text)}](<{_address(cell.href)}>)" if cell.href else escaped(cell.text)
    if cell.tone in ("strong", "unpriced", "better", "worse"):
        shown = f"**{shown}**"
    return f"{shown} ({escaped(cell.note)})" if cell.note and not cell.pipeline else shown


def _address(href: str) -> str:
    for character, code in {" ": "%20", "<": "%3C", ">": "%3E", "|": "%7C", "\n": "%0A"}.items():
        href = href.replace(character, code)
    return href


def as_details(table: Table) -> str:
    """A table folded under its title; empty where it has no rows."""
    return as_folded(table.title, as_table(table).partition("\n\n")[2])


def as_folded(title: str, body: str) -> str:
    """Markdown under a title that opens it; empty where there is none."""
    if not body:
        return ""
    return f"<details>\n<summary>{_in_html(title)}</summary>\n\n{body}\n\n</details>"


def _origin(summary: Summary) -> str:
    created, version = figures.day(at(summary, "created")), figures.text(at(summary, "ragprof_version"))
    return f"<sub>ragprof {escaped(version)}, {escaped(created)}. n/a: not measured or not applicable.</sub>"
