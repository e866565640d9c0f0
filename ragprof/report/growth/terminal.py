"""Growth on a terminal: a line a pipeline, then crossovers and forecasts in words, no wider than 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.growth.forecast_tables import reach, writer
from ragprof.report.lookup import COST, Summary, at, entries

_WIDTH = 78
_INDENT = (0, 1)
_ARROW = "\u2192"


def growth_table(summary: Summary) -> RenderableType:
    """Smallest against largest corpus. Without growth one line that says so. Nothing is cut; long names go on below."""
    if not grown.names(summary):
        return Padding(Text("no growth study in this summary", style="dim"), _INDENT)
    lines = [*_crossovers(summary), *_forecasts(summary), *_notes(summary), _basis(summary)]
    return Group(_table(summary), *(Padding(line, _INDENT) for line in lines))


def _table(summary: Summary) -> Table:
    table = Table(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1)
    titles = (grown.metric(summary), "change", "relevant\nof tokens", "p50\nend to end")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name in grown.names(summary):
        table.add_row(Text(name), *(Text(words) for words in _cells(summary, name)))
    return table


def _cells(summary: Summary, name: str) -> list[str]:
    ends = [grown.point_of_size(summary, name, size) for size in _ends(grown.sizes_of(summary, name))]
    return [
        _from_to([figures.score(at(grown.score(summary, name, point), "mean")) for point in ends]),
        _change(summary, name),
        _from_to([figures.share(at(point, "context_share", "relevant", "mean")) for point in ends]),
        _from_to([figures.duration(at(point, "end_to_end", "p50_ns")) for point in ends]),
    ]


def _ends(sizes: list[int]) -> list[int]:
    """Smallest and largest; one where there is but one."""
    return list(dict.fromkeys((sizes[0], sizes[-1]))) if sizes else []


def _from_to(words: list[str]) -> str:
    if set(words) <= {figures.ABSENT}:
        return figures.ABSENT
    return f" {_ARROW} ".join(words)


def _change(summary: Summary, name: str) -> str:
    sizes = grown.sizes_of(summary, name)
    return figures.difference(at(grown.change(summary, name, sizes[-1]), "mean")) if len(sizes) > 1 else figures.ABSENT


def _crossovers(summary: Summary) -> list[Text]:
    return [Text(f"\u00d7 {_crossover(found)}") for found in entries(summary, "growth", "crossovers")]


def _crossover(found: Mapping[str, Any]) -> str:
    what, status = figures.text(at(found, "what")), figures.text(at(found, "status"))
    size, interval = at(found, "size"), reach(found)
    where = [] if size is None else [f"{figures.count(size)} passages"]
    where += [] if interval == figures.ABSENT else [f"interval {interval}"]
    return f"{what}: {status}" + (f", {', '.join(where)}" if where else "")


def _forecasts(summary: Summary) -> list[Text]:
    """Quality, latency and cost at the farthest size that was asked for: a heading, then a line a pipeline."""
    ahead = [size for forecast in entries(summary, "growth", "forecast") for size in grown.targets(forecast)]
    lines = [words for name in grown.names(summary) for words in _expected(summary, name, max(ahead, default=0))]
    if not lines:
        return []
    where = f"Forecast at {figures.count(max(ahead))} passages" if ahead else "Forecast"
    return [Text(f"{where}, 95% intervals; cost is of 1,000 queries:"), *map(Text, lines)]


def _expected(summary: Summary, name: str, size: int) -> list[str]:
    """At most one line; a quantity without an answer is named."""
    asked = {grown.metric(summary): grown.metric(summary), "end_to_end_p50_ns": "p50", COST: "cost"}
    words = []
    for quantity, word in asked.items():
        forecast = grown.drawn_forecast(summary, name, quantity)
        if forecast:
            words.append(f"{word} {_value(forecast, size)}")
        elif name in grown.abstaining(summary, quantity):
            words.append(f"{word} abstains")
    return [f"{_ARROW} {name}: {', '.join(words)}"] if words else []


def _value(forecast: Mapping[str, Any], size: int) -> str:
    found, write = grown.of_size(entries(forecast, "at"), size), writer(forecast)
    if at(found, "value") is None:
        return figures.ABSENT
    return f"{write(found['value'])} ({figures.span(at(found, 'interval'), write)})"


def _notes(summary: Summary) -> list[Text]:
    return [Text(f"! {note}", style="yellow") for note in entries(summary, "growth", "notes")]


def _basis(summary: Summary) -> Text:
    sizes = _ends(grown.sizes(summary))
    words = f" {_ARROW} ".join(figures.count(size) for size in sizes) or figures.ABSENT
    return Text(f"{words} passages; {grown.basis(summary)}; every judged document is kept", style="dim")
