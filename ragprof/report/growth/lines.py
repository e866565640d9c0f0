"""Lines over corpus sizes as one specification: bands, measured and forecast strokes, names at the ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from ragprof.report.growth.axes import Mark, Vertical, apart, size_axis
from ragprof.report.labels import wrap
from ragprof.report.palette import MUTED, PAPER, RULE
from ragprof.report.scales import Scale
from ragprof.report.theme import rows, specification

_HEIGHT, _LINE_PX = 380, 16
_LABEL_CHARACTERS = 20
_BAND, _FORECAST_BAND = 0.12, 0.06


@dataclass(frozen=True, slots=True)
class Line:
    """A pipeline's values at the measured sizes, then its forecast, which is empty where there is none."""

    name: str
    colour: str
    shape: str
    measured: tuple[Mark, ...]
    forecast: tuple[Mark, ...]

    @property
    def label(self) -> str:
        """The name, on several lines where it is long."""
        return wrap(self.name, _LABEL_CHARACTERS)

    @property
    def label_height(self) -> int:
        return _LINE_PX * (self.label.count("\n") + 1)

    @property
    def last(self) -> Mark:
        """Where the line ends. A line has at least one value."""
        return [one for one in (*self.measured, *self.forecast) if one.value is not None][-1]


@dataclass(frozen=True, slots=True)
class Axes:
    """Sizes across, values upwards."""

    x: Scale
    y: Vertical


def line_specification(lines: Sequence[Line], axes: Axes) -> dict[str, Any]:
    names = [line.name for line in lines]
    colour = alt.Scale(domain=names, range=[line.colour for line in lines])
    base = alt.Chart().encode(x=size_axis(axes.x, ticks=5), color=alt.Color("name:N", scale=colour, legend=None))
    layers = [*_border(lines), *_bands(base, axes), *_strokes(base, axes, lines)]
    if named_at_ends(lines):
        layers += _labels(lines, axes)
    return specification(alt.layer(*layers, data=rows(_data(lines, axes.y.scale))), height=_HEIGHT)


def _data(lines: Sequence[Line], scale: Scale) -> list[dict[str, Any]]:
    """Measured rows, then those of forecasts, which set out from the last measured value."""
    measured = [one.row(name=line.name, part="measured") for line in lines for one in line.measured]
    ahead = [
        one.within(scale).row(name=line.name, part="forecast", start=one is line.measured[-1])
        for line in lines
        if line.forecast
        for one in (line.measured[-1], *line.forecast)
    ]
    return measured + ahead


def _bands(base: Any, axes: Axes) -> list[Any]:
    y = axes.y.axis("low")
    shades = {"measured": _BAND, "forecast": _FORECAST_BAND}
    return [
        base.transform_filter(f"datum.part == '{part}'").mark_area(opacity=opacity).encode(y=y, y2="high:Q")
        for part, opacity in shades.items()
    ]


def _strokes(base: Any, axes: Axes, lines: Sequence[Line]) -> list[Any]:
    y = axes.y.axis("value")
    scale = alt.Scale(domain=[line.name for line in lines], range=[line.shape for line in lines])
    titles = {"name": "Pipeline", "x": "Passages", "words": axes.y.title}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    measured, ahead = (base.transform_filter(f"datum.part == '{part}'") for part in ("measured", "forecast"))
    points = {"shape": alt.Shape("name:N", scale=scale, legend=None), "tooltip": tooltip}
    shown = ahead.transform_filter("!datum.start")
    return [
        measured.mark_line(strokeWidth=2).encode(y=y),
        ahead.mark_line(strokeWidth=1.6, strokeDash=[5, 4]).encode(y=y),
        measured.mark_point(filled=True, size=46, opacity=1).encode(y=y, **points),
        shown.mark_point(filled=False, size=46, opacity=1, fill="white", strokeWidth=1.5).encode(y=y, **points),
    ]


def _border(lines: Sequence[Line]) -> list[Any]:
    """Where measuring ends and forecasting begins."""
    if not any(line.forecast for line in lines):
        return []
    largest = max(one.x for line in lines for one in line.measured)
    rule = alt.Chart(rows([{"x": largest}])).mark_rule(stroke=RULE, strokeWidth=1).encode(x="x:Q")
    return [rule, _side(largest, "measured", "right", -6), _side(largest, "forecast", "left", 6)]


def _side(x: float, word: str, align: Literal["left", "right"], dx: float) -> Any:
    text = alt.Chart(rows([{"x": x, "word": word}])).encode(x="x:Q", text="word:N")
    return text.mark_text(align=align, dx=dx, y=2, baseline="top", fill=MUTED, fontSize=11)


def named_at_ends(lines: Sequence[Line]) -> bool:
    """Names stand at the ends of the lines where all of them fit above each other."""
    return sum(line.label_height for line in lines) <= _HEIGHT


def _labels(lines: Sequence[Line], axes: Axes) -> list[Any]:
    """At the right edge for lines that reach the farthest size; the others are named where they end."""
    edge = max(line.last.x for line in lines)
    far, near = ([line for line in lines if (line.last.x == edge) is wanted] for wanted in (True, False))
    named = [*_named(far, axes, axes.x.high), *_named(near, axes, None)]
    base = alt.Chart(rows(named)).encode(y="label:Q", x="edge:Q")
    leader = base.mark_rule(stroke=RULE, strokeWidth=1, xOffset=4).encode(x2="x:Q", y2="value:Q")
    text = base.mark_text(align="left", dx=8, baseline="middle", lineBreak="\n", fontWeight=500)
    halo = base.mark_text(
        align="left", dx=8, baseline="middle", lineBreak="\n", fontWeight=500, stroke=PAPER, strokeWidth=4
    )
    return [leader, halo.encode(text="name:N"), text.encode(text="name:N")]


def _named(lines: Sequence[Line], axes: Axes, edge: float | None) -> list[dict[str, Any]]:
    """Where each name goes, in units of the axes; names keep a line's height apart."""
    scale = axes.y.scale
    wanted = {line.name: _HEIGHT * (1 - scale.place(line.last.value or 0.0)) for line in lines}
    heights = {line.name: line.label_height for line in lines}
    placed = apart(wanted, heights, room=(6, _HEIGHT + _LINE_PX / 2))
    return [
        {
            **{"x": line.last.x, "value": line.last.value, "name": line.label, "edge": edge or line.last.x},
            "label": scale.high - placed[line.name] / _HEIGHT * (scale.high - scale.low),
        }
        for line in lines
    ]
