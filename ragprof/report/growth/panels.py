"""Small charts of lines, one a pipeline: the same series, told apart by colour, dashes and marks, with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ragprof.report.growth.axes import Mark, Vertical
from ragprof.report.theme import Key, rows, specification

_HEIGHT = 210
_PADDING = {"left": 0, "right": 10, "top": 4, "bottom": 0}
_BAND, _TICKS = 0.11, 4


@dataclass(frozen=True, slots=True)
class Series:
    """How a line looks, the same in every panel that has it."""

    name: str
    colour: str
    dash: tuple[float, ...] = ()
    shape: str = "circle"

    @property
    def key(self) -> Key:
        return Key(self.name, self.colour, self.dash, self.shape)


def lines_panel(lines: dict[Series, list[Mark]], x: Any, y: Vertical) -> dict[str, Any]:
    """The specification of one panel. `x` is the axis that its marks lie on; the first series lies on top."""
    drawn = [series for series in reversed(lines) if lines[series]]
    names = [series.name for series in drawn]
    base = alt.Chart().encode(x=x, color=alt.Color("name:N", scale=_scale(names, _colours(drawn)), legend=None))
    band = base.mark_area(opacity=_BAND).encode(y=y.axis("low", ticks=_TICKS), y2="high:Q")
    data = [one.row(name=series.name) for series in drawn for one in lines[series]]
    chart = alt.layer(band, *_strokes(base, drawn, y), data=rows(data))
    return panel_specification(chart)


def panel_specification(chart: Any) -> dict[str, Any]:
    """A small chart for one place of a grid. Its marks carry no spoken labels: the tables say the same, and shorter."""
    spec = specification(chart, height=_HEIGHT)
    return spec | {"padding": _PADDING, "config": spec["config"] | {"aria": False}}


def _strokes(base: Any, drawn: Sequence[Series], y: Vertical) -> list[Any]:
    names = [series.name for series in drawn]
    dashes = alt.StrokeDash("name:N", scale=_scale(names, [list(one.dash) or [1, 0] for one in drawn]), legend=None)
    shapes = alt.Shape("name:N", scale=_scale(names, [one.shape for one in drawn]), legend=None)
    titles = {"name": "Curve", "x": "At", "words": y.title}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    line = base.mark_line(strokeWidth=1.8).encode(y=y.axis("value", ticks=_TICKS), strokeDash=dashes)
    points = base.mark_point(filled=True, size=30, opacity=1).encode(
        y=y.axis("value", ticks=_TICKS), shape=shapes, tooltip=tooltip
    )
    return [line, points]


def _colours(drawn: Sequence[Series]) -> list[str]:
    return [series.colour for series in drawn]


def _scale(names: Sequence[str], values: Sequence[Any]) -> Any:
    return alt.Scale(domain=list(names), range=list(values))
