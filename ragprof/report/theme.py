"""How every chart looks, and how an Altair chart becomes a specification that fits its container."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.lookup import Summary, at, pipelines
from ragprof.report.palette import GRID, INK, MUTED, RULE, SHAPES, TEXTURES

FONT = "-apple-system, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
STATIC_WIDTH, PANEL_WIDTH = 660, 300
_LINE = 15
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AXIS = {
    "labelFont": FONT,
    "titleFont": FONT,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelColor": MUTED,
    "titleColor": MUTED,
    "titlePadding": 10,
    "labelPadding": 6,
    "labelLimit": 0,
    "titleLimit": 0,
    "gridColor": GRID,
    "domain": False,
    "ticks": False,
    "labelFlush": False,
}
_LEGEND = {
    "orient": "top",
    "direction": "horizontal",
    "title": None,
    "labelFont": FONT,
    "labelFontSize": 12,
    "labelColor": INK,
    "labelLimit": 0,
    "symbolSize": 90,
    "symbolStrokeWidth": 0,
    "symbolOpacity": 1,
    "columnPadding": 14,
    "padding": 0,
    "offset": 14,
    "layout": {"top": {"anchor": "start", "direction": "horizontal", "margin": 26}},
}
_CONFIG = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisY": {"labelColor": INK},
    "legend": _LEGEND,
    "text": {"font": FONT, "fontSize": 12, "fill": INK},
    "rule": {"stroke": RULE},
}


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend that stands above the chart: a line with its dashes and its mark, or an area.

    An area may have a texture; a mark may be `hollow`.
    """

    label: str
    colour: str
    dash: tuple[float, ...] = ()
    shape: str = ""
    area: bool = False
    texture: str = ""
    hollow: bool = False

    @property
    def grain(self) -> str:
        """The texture as SVG; empty where there is none."""
        return TEXTURES.get(self.texture, "")

    @property
    def path(self) -> str:
        """The mark as SVG; empty where there is none."""
        return SHAPES.get(self.shape, "")


@dataclass(frozen=True, slots=True)
class Panel:
    """One of several charts under one title: for one pipeline, or for what its own `title` says."""

    pipeline: str
    spec: dict[str, Any]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn study. `caption` gives n and what the interval is; `notes` lists what could not be drawn.

    A `wide` chart needs the whole width of the page to itself. A chart of `panels` has no specification of its own;
    its panels are small and side by side, or as wide as the page and `stacked`.
    """

    key: str
    title: str
    caption: str
    spec: dict[str, Any]
    notes: tuple[str, ...] = ()
    wide: bool = False
    panels: tuple[Panel, ...] = ()
    legend: tuple[Key, ...] = ()
    stacked: bool = False

    def pictures(self) -> dict[str, dict[str, Any]]:
        """Place on the page -> specification: one, or one a panel."""
        if not self.panels:
            return {self.key: self.spec}
        return {f"{self.key}-{place}": panel.spec for place, panel in enumerate(self.panels, start=1)}


def specification(chart: Any, *, height: float) -> dict[str, Any]:
    """Vega-Lite as wide as its container. It names no schema address: a report mentions no place on a network."""
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict(validate=False)
    spec.pop("$schema", None)
    spec["config"] = _CONFIG
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def static_svg(spec: dict[str, Any], width: int = STATIC_WIDTH) -> str:
    """The same chart as a still picture, for paper and for browsers without scripts."""
    import vl_convert

    picture = str(vl_convert.vegalite_to_svg(_drawable({**spec, "width": width})))
    return picture.replace(f' font-family="{FONT}"', "")  # the page's own; it would be repeated with every text


def _drawable(value: Any) -> Any:
    """A specification without the characters that no picture can hold; with one, Vega's converter ends the process."""
    if isinstance(value, str):
        return _NOT_XML.sub("", value)
    if isinstance(value, dict):
        return {_drawable(key): _drawable(each) for key, each in value.items()}
    return [_drawable(each) for each in value] if isinstance(value, list | tuple) else value


def rows(values: list[dict[str, Any]]) -> Any:
    """Literal data inside the chart."""
    return alt.InlineData(values=values)


def named_axis(label_offset: float = 0) -> Any:
    """Names down the left side; their own line breaks are kept."""
    lines = "split(datum.label, '\\n')"
    return alt.Axis(title=None, labelExpr=lines, grid=False, labelPadding=12, labelOffset=label_offset)


def rows_height(names: list[str], step: int) -> int:
    """Room for every row; a name on several lines gets what it needs."""
    most_lines = max(name.count("\n") + 1 for name in names)
    return len(names) * max(step, _LINE * most_lines + 8)


def colour_by(field: str, colours: Mapping[str, str], *, symbol: str) -> Any:
    """Colours by name, with a legend in the same order."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend(symbolType=symbol))


def queries_words(summary: Summary) -> str:
    """What a quality figure rests on."""
    queries = at(summary, "queries")
    return f"n {figures.ABSENT}" if queries is None else f"n = {figures.count(queries)} queries"


def timings_words(summary: Summary) -> str:
    """What a latency figure rests on."""
    counts = sorted({at(pipeline, "end_to_end", "n") for pipeline in pipelines(summary).values()} - {None})
    if not counts:
        return f"n {figures.ABSENT}"
    ends = [figures.count(count) for count in dict.fromkeys((counts[0], counts[-1]))]
    return f"n = {' to '.join(ends)} timings per pipeline"
