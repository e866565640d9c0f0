"""The report as one HTML page that needs nothing else: no network, no server, not even scripts.

Every chart is in the page twice: as a still picture, for paper and for browsers without scripts, and as a Vega-Lite
specification that replaces it on screen. Texts of the summary are escaped by the template and, in pictures, by Vega;
specifications are written so that no text in them can end the script element that they are in.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

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
from ragprof.report.tables import Table
from ragprof.report.tiles import tiles

if TYPE_CHECKING:
    from ragprof.report.theme import Chart

_FOLDER = Path(__file__).parent
_GROWTH_TABLES = (
    growth_tables.glance,
    growth_tables.evidence,
    growth_tables.kinds,
    growth_tables.context,
    growth_tables.loss,
    growth_forecast_tables.crossovers,
    growth_forecast_tables.forecasts,
    growth_forecast_tables.other_forecasts,
    growth_work_tables.resources,
    growth_work_tables.curves,
    growth_work_tables.work,
)


def render_html(summary: Summary) -> str:
    """The whole page. Draws what the summary says; absent values are `n/a`, charts without data are left out."""
    from ragprof.report.charts import draw

    return template("template.html.jinja").render(
        **_words(summary),
        **drawn(draw(summary)),
        growth=bool(grown.names(summary)),
        growth_notes=entries(summary, "growth", "notes"),
        injection=_injection_words(summary) if study.is_present(summary) else None,
        reranker=_reranker_words(summary) if reranker_study.is_present(summary) else None,
        audited=bool(study.audited(summary)),
        audit_statements=entries(summary, "audit", "statements"),
        tables=_tables(summary),
        tiles=tiles(summary),
        colours=reranker_study.colours(summary),
    )


def drawn(charts: Mapping[str, Chart]) -> dict[str, Any]:
    """What a template needs to show charts (by key) in the look of every page: pictures, scripts and styles."""
    return {
        "charts": charts,
        "stills": {place: still for chart in charts.values() for place, still in _stills(chart).items()},
        "specifications": _trusted(script_json(_specifications(charts.values()))),
        "library": _trusted(_library()) if charts else "",
        "script": _asset("charts.js"),
        "style": _asset("style.css"),
    }


def template(name: str) -> Template:
    """A template of this folder; what it is given is escaped."""
    return _environment().get_template(name)


def _specifications(charts: Iterable[Chart]) -> dict[str, Any]:
    return {place: spec for chart in charts for place, spec in chart.pictures().items()}


def _stills(chart: Chart) -> dict[str, Markup]:
    """Place on the page -> still picture; panels are drawn small, so that their texts stay readable."""
    from ragprof.report.theme import PANEL_WIDTH, STATIC_WIDTH, static_svg

    width = PANEL_WIDTH if chart.panels and not chart.stacked else STATIC_WIDTH
    return {place: _trusted(static_svg(spec, width)) for place, spec in chart.pictures().items()}


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: it holds no `<`, `>` or `&`, so nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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
        "packages": context_tables.packages(summary),
        "versions": sorted((at(summary, "corpus", "versions") or {}).items()),
    }


def _injection_words(summary: Summary) -> Mapping[str, Any]:
    return {
        "model": study.model_words(summary),
        "statements": entries(summary, "injection", "statements"),
        "marginal": marginal_statements(summary),
        "notes": entries(summary, "injection", "notes"),
    }


def _reranker_words(summary: Summary) -> Mapping[str, Any]:
    return {
        "statements": entries(summary, "reranker_study", "statements"),
        "glance": reranker_contents.GLANCE(summary),
        "sides": reranker_contents.SIDES(summary),
        "sections": reranker_contents.sections(summary),
        "notes": entries(summary, "reranker_study", "notes"),
    }


def _tables(summary: Summary) -> dict[str, Table]:
    drawn = (
        *_GROWTH_TABLES,
        *injection_contents.EVERY,
        pipeline_tables.glance,
        pipeline_tables.latency,
        pipeline_tables.quality,
        pipeline_tables.cost,
        pipeline_tables.builds,
        pipeline_tables.trust,
        context_tables.comparisons,
        context_tables.rates,
        context_tables.machine,
        context_tables.measured,
    )
    return {table.key: table for table in (draw(summary) for draw in drawn)}


@functools.cache
def _environment() -> Environment:
    loader = FileSystemLoader(_FOLDER)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@functools.cache
def _asset(name: str) -> Markup:
    return _trusted((_FOLDER / name).read_text(encoding="utf-8"))


def _trusted(text: str) -> Markup:
    """Text that is markup already: files of this package, scripts, and what escapes for itself."""
    return Markup(text)  # no text of a summary gets here without having been escaped


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed, as one script."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
