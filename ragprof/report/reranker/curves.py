"""What the charts of the reranker share: lines with bands and marks, rules with words, axes of depths and shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report.growth.axes import Mark
from ragprof.report.growth.panels import Series
from ragprof.report.palette import MUTED, PAPER
from ragprof.report.scales import Scale
from ragprof.report.theme import rows, specification

_BAND, _AXIS_PX = 0.13, 44
Lines = Mapping[Series, Sequence[Mark]]


def quiet_specification(layers: Sequence[Any], *, height: float) -> dict[str, Any]:
    """A layered chart whose marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(alt.layer(*layers), height=height)
    return spec | {"config": spec["config"] | {"aria": False}}


def vertical(field: str, title: str, scale: Scale, spelling: str, *, above: int = 12, ticks: int = 5) -> Any:
    """The title lies flat above the axis; every chart's plot starts at the same place, so that stacked ones align."""
    flat: dict[str, Any] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleAnchor": "end"}
    place: dict[str, Any] = {"titleX": -_AXIS_PX + 6, "titleY": -above, "minExtent": _AXIS_PX, "maxExtent": _AXIS_PX}
    axis = alt.Axis(format=spelling, tickCount=ticks, labelColor=MUTED, **flat, **place)
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.Y(f"{field}:Q", title=title, axis=axis, scale=domain)


def line_layers(lines: Lines, x: Any, y: Mapping[str, Any], *, hollow: Sequence[str] = ()) -> list[Any]:
    """Bands, lines and marks; `y` is the same axis by field: value and low. `hollow` series are estimates."""
    drawn = [series for series in lines if lines[series]]
    data = [one.row(name=series.name) for series in drawn for one in lines[series]]
    base = alt.Chart(rows(data)).encode(x=x, color=_look(drawn, [one.colour for one in drawn], alt.Color))
    marks = base.encode(
        shape=_look(drawn, [one.shape for one in drawn], alt.Shape),
        tooltip=[
            alt.Tooltip("name:N", title="Line"),
            alt.Tooltip("x:Q", title="At"),
            alt.Tooltip("words:N", title="Value"),
        ],
    )
    dashes = _look(drawn, [list(one.dash) or [1, 0] for one in drawn], alt.StrokeDash)
    estimated = f"indexof({list(hollow)!r}, datum.name) >= 0"
    return [
        base.mark_area(opacity=_BAND).encode(y=y["low"], y2="high:Q"),
        base.mark_line(strokeWidth=1.8).encode(y=y["value"], strokeDash=dashes),
        marks.transform_filter(estimated)
        .mark_point(filled=False, fill=PAPER, size=110, opacity=1, strokeWidth=1.6)
        .encode(y=y["value"]),
        marks.transform_filter(f"!({estimated})").mark_point(filled=True, size=44, opacity=1).encode(y=y["value"]),
    ]


def _look(drawn: Sequence[Series], values: Sequence[Any], channel: Any) -> Any:
    names = [series.name for series in drawn]
    return channel("name:N", scale=alt.Scale(domain=names, range=list(values)), legend=None)


def whiskers(marks: Sequence[Mark], x: Any, low: Any, colour: str) -> list[Any]:
    """Intervals as upright lines, where a band would hide what was not measured between the points."""
    known = [one.row() for one in marks if one.low is not None]
    if not known:
        return []
    return [
        alt.Chart(rows(known)).mark_rule(stroke=colour, strokeWidth=1.8, opacity=0.6).encode(x=x, y=low, y2="high:Q")
    ]


def upright_rules(found: Mapping[float, str], x: Any, height: float, *, worded: bool = True) -> list[Any]:
    """A thin rule at each place, with its word above the plot."""
    if not found:
        return []
    base = alt.Chart(rows([{"x": place, "word": word} for place, word in found.items()])).encode(x=x)
    rule = base.mark_rule(strokeWidth=1, stroke=MUTED, strokeDash=[2, 2])
    layers = [rule.encode(y=alt.value(-2), y2=alt.value(height))]
    if worded:
        text = base.mark_text(baseline="bottom", fontSize=11, fill=MUTED)
        layers.append(text.encode(y=alt.value(-5), text="word:N"))
    return layers


def level_rule(value: float, y: Any, *, dash: Sequence[float] = (1.5, 3)) -> Any:
    """A thin rule across the plot."""
    base = alt.Chart(rows([{"value": value}]))
    return base.mark_rule(strokeWidth=1.4, stroke=MUTED, strokeDash=list(dash)).encode(y=y)
