"""Reports: a summary drawn as HTML, Markdown or a terminal table. Draws what the summary says and computes nothing.

Every function takes the summary of `summary.json`. A value that is absent or null
is shown as `n/a`, a cost without a rate as `UNPRICED`; neither is shown as 0.

All charts of a report, in the order in which a reader meets them. Imports Altair: import this module late.

The report as one HTML page.

The report as GitHub Markdown, for a pull request: the answer and one table, everything else folded away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragprof.report import figures
from ragprof.report.blocks import Part
from ragprof.report.html import charts_of, drawn, template
from ragprof.report.lookup import Summary, at, colours, entries, metrics
from ragprof.report.markdown import as_bullets, as_details, as_folded, as_part, as_table, as_warnings, escaped
from ragprof.report.palette import pipeline_colours
from ragprof.report.tables import Table
from ragprof.report.theme import Chart
from ragprof.studies.audit.section import AuditSection
from ragprof.studies.audit.study import STUDY as AUDIT
from ragprof.studies.contract import Context
from ragprof.studies.growth.section import GrowthSection
from ragprof.studies.growth.study import STUDY as GROWTH
from ragprof.studies.injection.section import InjectionSection
from ragprof.studies.injection.study import STUDY as INJECTION
from ragprof.studies.profile import charts as own_charts
from ragprof.studies.profile import tables as own_tables
from ragprof.studies.profile.headline import tiles
from ragprof.studies.profile.section import PipelineFigures, ProfileSection
from ragprof.studies.reranker import show as reranker_show
from ragprof.studies.reranker.page import reranker_page
from ragprof.studies.reranker.section import RerankerSection

if TYPE_CHECKING:
    from rich.console import RenderableType


__all__ = [
    "audit_table",
    "growth_table",
    "injection_table",
    "render_html",
    "render_markdown",
    "render_reranker_page",
    "reranker_table",
    "terminal_table",
    "write_report",
]


def terminal_table(summary: Mapping[str, Any]) -> RenderableType:
    """For rich's Console; at most 80 columns wide."""
    from ragprof.studies.profile import tables as terminal

    return terminal.terminal_table(_profile(summary))


def growth_table(summary: Mapping[str, Any]) -> RenderableType:
    """The growth study for rich's Console; at most 80 columns wide. One line where the summary has none."""
    from ragprof.report.terminal import absent

    if not summary.get("growth"):
        return absent("no growth study in this summary")
    return GROWTH.print(GrowthSection.model_validate(summary["growth"]), context_of(summary))


def _growth_part(summary: Summary) -> Part | None:
    if not summary.get("growth"):
        return None
    (part,) = GROWTH.show(GrowthSection.model_validate(summary["growth"]), context_of(summary))
    return part


def injection_table(summary: Mapping[str, Any]) -> RenderableType:
    """What answers are worth and cost, for rich's Console; at most 80 columns wide. One line where there are none."""
    from ragprof.report.terminal import absent

    if not summary.get("injection"):
        return absent("no answers in this summary")
    return INJECTION.print(InjectionSection.of(dict(summary)), context_of(summary))


def _injection_part(summary: Summary) -> Part | None:
    if not summary.get("injection"):
        return None
    (part,) = INJECTION.show(InjectionSection.of(dict(summary)), context_of(summary))
    return part


def _audit_part(summary: Summary) -> Part | None:
    if not summary.get("audit"):
        return None
    (part,) = AUDIT.show(AuditSection.model_validate(summary["audit"]), context_of(summary))
    return part


def reranker_table(summary: Mapping[str, Any]) -> RenderableType:
    """What the rerankers are worth, for rich's Console; at most 80 columns wide. One line where there are none."""
    from ragprof.report.terminal import absent

    section = _reranker_section(summary)
    if section is None:
        return absent("no rerankers in this summary")
    return reranker_show.print_table(section, context_of(summary))


def render_reranker_page(summary: Mapping[str, Any]) -> str:
    """GitHub Markdown on one page for whoever pays: verdicts, what is bought, paid and saved, in plain words."""
    section = _reranker_section(summary)
    if section is None:
        raise ValueError("the summary has no rerankers")
    return reranker_page(section, context_of(summary))


def _reranker_section(summary: Summary) -> RerankerSection | None:
    if not summary.get("reranker"):
        return None
    return RerankerSection(verdicts=summary["reranker"], study=summary["reranker_study"])


def _reranker_part(summary: Summary) -> list[Part]:
    section = _reranker_section(summary)
    return [] if section is None else reranker_show.show(section, context_of(summary))


def audit_table(summary: Mapping[str, Any]) -> RenderableType:
    """The determinism audit for rich's Console; at most 80 columns wide. One line where the summary has none."""
    from ragprof.report.terminal import absent

    if not summary.get("audit"):
        return absent("no determinism audit in this summary")
    return AUDIT.print(AuditSection.model_validate(summary["audit"]), context_of(summary))


def context_of(summary: Summary) -> Context:
    """What the parts of a report may know of it."""
    names = tuple(at(summary, "pipelines") or {})
    metric = str(next(iter(metrics(summary)), "nDCG@10"))
    version, created = figures.text(at(summary, "ragprof_version")), figures.day(at(summary, "created"))
    origin = f"ragprof {version}, {created}, {figures.count(at(summary, 'corpus', 'docs'))} passages"
    title = figures.text(at(summary, "title") or at(summary, "eval"))
    return Context(names, metric, at(summary, "final_stage") or {}, colours(summary), title, origin)


def write_report(summary: Mapping[str, Any], folder: Path) -> Path:
    """Write report.html and report.md into the folder, each whole or not at all. Returns the path of report.html.

    Where the summary has verdicts on rerankers, reranker.md as well.
    """
    from ragprof.core.files import write_text

    page = folder / "report.html"
    if not summary.get("reranker"):
        (folder / "reranker.md").unlink(missing_ok=True)
    write_text(folder / "report.md", render_markdown(summary))
    if summary.get("reranker"):
        write_text(folder / "reranker.md", render_reranker_page(summary))
    write_text(page, render_html(summary))
    return page


def _profile(summary: Mapping[str, Any]) -> ProfileSection:
    """The main run's own part of a summary."""
    own = {key: value for key, value in summary.items() if key in ProfileSection.model_fields}
    fields = PipelineFigures.model_fields
    pipelines = {
        name: {key: value for key, value in entry.items() if key in fields} for name, entry in own["pipelines"].items()
    }
    return ProfileSection.model_validate({**own, "pipelines": pipelines})


def _own_charts(summary: Summary) -> list[Chart | None]:
    section = _profile(summary)
    shades = pipeline_colours(section.pipelines)
    return [
        own_charts.stage_times(section),
        own_charts.quality_against_latency(section, shades),
        own_charts.quality_against_cost(section, shades),
        own_charts.differences(section),
        own_charts.quality_by_stage(section),
    ]


def draw(summary: Summary) -> dict[str, Chart]:
    """key -> chart. A chart without data is left out rather than drawn empty."""
    parts = (_growth_part(summary), _injection_part(summary))
    tokens = own_charts.tokens(_profile(summary))
    reranked = charts_of(block for part in _reranker_part(summary) for block in part.blocks)
    studied = (chart for part in parts if part for chart in charts_of(part.blocks))
    drawn = (*_own_charts(summary), *studied, tokens, *reranked)
    return {chart.key: chart for chart in drawn if chart is not None}


def render_html(summary: Summary) -> str:
    """The whole page. Draws what the summary says; absent values are `n/a`, charts without data are left out."""

    return template("template.html.jinja").render(
        **_words(summary),
        **drawn(draw(summary)),
        growth=_growth_part(summary),
        kind=lambda block: type(block).__name__,
        injection=_injection_part(summary),
        reranker=_reranker_part(summary),
        audit=_audit_part(summary),
        tables=_tables(summary),
        tiles=tiles(_profile(summary)),
        colours=colours(summary),
    )


def _words(summary: Summary) -> Mapping[str, Any]:
    headline = list(entries(summary, "headline"))
    return {
        "title": at(summary, "title") or at(summary, "eval") or figures.ABSENT,
        "answer": headline[0] if headline else "",
        "findings": headline[1:],
        "warnings": entries(summary, "warnings"),
        "limits": entries(summary, "limits"),
        "method": entries(summary, "method"),
        "created": figures.day(at(summary, "created")),
        "version": figures.text(at(summary, "ragprof_version")),
        "corpus": at(summary, "corpus", "description") or "",
        "packages": sorted(_profile(summary).packages.items()),
        "versions": sorted((at(summary, "corpus", "versions") or {}).items()),
    }


def _tables(summary: Summary) -> dict[str, Table]:
    return {table.key: table for table in (draw(_profile(summary)) for draw in _OWN)}


_FOLDED = (
    own_tables.latency,
    own_tables.cost,
    own_tables.quality,
    own_tables.builds,
    own_tables.trust,
    own_tables.rates,
    own_tables.machine,
    own_tables.measured,
)
_OWN = (own_tables.glance, own_tables.comparisons, *_FOLDED)


def render_markdown(summary: Summary) -> str:
    """Headline, warnings, the table at a glance and the comparisons; details folded. Ends with a newline."""
    section = _profile(summary)
    parts = [
        f"## {escaped(figures.text(at(summary, 'title') or at(summary, 'eval')))}",
        *_headline(entries(summary, "headline")),
        as_warnings(entries(summary, "warnings")),
        as_table(own_tables.glance(section)),
        as_table(own_tables.comparisons(section)),
        as_part(growth) if (growth := _growth_part(summary)) else "",
        as_part(answers) if (answers := _injection_part(summary)) else "",
        *(as_part(part) for part in _reranker_part(summary)),
        as_part(audited) if (audited := _audit_part(summary)) else "",
        *(as_details(table(section)) for table in _FOLDED),
        as_folded("Method and limits", as_bullets([*entries(summary, "method"), *entries(summary, "limits")])),
        _origin(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return [f"**{escaped(sentences[0])}**", as_bullets(sentences[1:])]


def _origin(summary: Summary) -> str:
    created, version = figures.day(at(summary, "created")), figures.text(at(summary, "ragprof_version"))
    return f"<sub>ragprof {escaped(version)}, {escaped(created)}. n/a: not measured or not applicable.</sub>"
