"""Parts of a report as one HTML page that needs nothing else: no network, no server, not even scripts.

Every chart is in the page twice: as a still picture, for paper and for browsers without scripts, and as a Vega-Lite
specification that replaces it on screen. Texts of the summary are escaped by the template and, in pictures, by Vega;
specifications are written so that no text in them can end the script element that they are in.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ragprof.core import files
from ragprof.report.blocks import Block, Pair, PipelineFold, ReportPart
from ragprof.report.decision import PaidDecision
from ragprof.report.tables import Tile

if TYPE_CHECKING:
    from ragprof.report.theme import Chart

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Front:
    """What a reader meets before the parts: the answer in a sentence, findings, key figures, warnings.

    `created` and `version` are finished text. `decisions`, where a study took some, come before all of it.
    """

    title: str
    answer: str
    findings: Sequence[str]
    tiles: Sequence[Tile]
    warnings: Sequence[str]
    created: str
    version: str
    decisions: Sequence[PaidDecision] = ()


def page(front: Front, parts: Sequence[ReportPart], colours: Mapping[str, str]) -> str:
    """The whole page. `colours` are the pipelines'. Tables without rows and charts without data are left out."""
    charts = {chart.key: chart for part in parts for chart in charts_of(part.blocks)}
    return template("page.html.jinja").render(front=front, parts=parts, colours=colours, kind=_kind, **drawn(charts))


def charts_of(blocks: Iterable[Block]) -> Iterator[Chart]:
    """Every chart in these blocks and in the blocks inside them, in order."""
    for block in blocks:
        if isinstance(block, Pair):
            yield from charts_of((block.left, block.right))
        elif isinstance(block, PipelineFold):
            yield from charts_of(block.blocks)
        elif _kind(block) == "Chart":
            yield block  # type: ignore[misc]  # named by its class: importing theme.py here would load Altair


def _kind(block: Block) -> str:
    """The name of a block's class, by which the template chooses how to draw it."""
    return type(block).__name__


def drawn(charts: Mapping[str, Chart]) -> dict[str, Any]:
    """What a template needs to show charts (by key) in the look of every page: pictures, scripts and styles."""
    return {
        "charts": charts,
        "stills": _stills(charts.values()),
        "specifications": _trusted(
            script_json({place: spec for chart in charts.values() for place, spec in chart.pictures().items()})
        ),
        "library": _trusted(_library()) if charts else "",
        "script": _asset("charts.js"),
        "opening": _asset("parts.js"),
        "style": _asset("style.css"),
    }


@functools.cache
def template(name: str, *, folder: Path = _FOLDER) -> Template:
    """A template of a folder, which may use the parts of this one; what it is given is escaped."""
    environment = Environment(
        loader=FileSystemLoader([folder, _FOLDER]), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


def _stills(charts: Iterable[Chart]) -> dict[str, Markup]:
    """Place on the page -> still picture; panels are drawn small, so that their texts stay readable."""
    wanted = [(place, spec, chart) for chart in charts for place, spec in chart.pictures().items()]
    if not wanted:
        return {}
    from ragprof.report.theme import PANEL_WIDTH, STATIC_WIDTH, static_svgs

    widths = [PANEL_WIDTH if chart.panels and not chart.stacked else STATIC_WIDTH for *_, chart in wanted]
    drawn = static_svgs([(spec, width) for (_, spec, _), width in zip(wanted, widths, strict=True)])
    return {place: _trusted(still) for (place, *_), still in zip(wanted, drawn, strict=True)}


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: it holds no `<`, `>` or `&`, so nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def _asset(name: str) -> Markup:
    return _trusted((_FOLDER / name).read_text(encoding="utf-8"))


def _trusted(text: str) -> Markup:
    """Text that is markup already: files of this package, scripts, and what escapes for itself."""
    return Markup(text)  # no text of a summary gets here without having been escaped


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed, as one script. Bundling takes seconds, so a bundle is kept in the cache."""
    import vl_convert

    kept = files.cache_folder() / "pages" / f"vega-embed-{version('vl-convert-python')}.js"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the report
        kept.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(kept, bundle)
    return bundle
