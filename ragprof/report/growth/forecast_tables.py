"""Where pipelines change places, and what to expect beyond the largest corpus. That a model abstains is an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ragprof.report import figures
from ragprof.report.growth import grown
from ragprof.report.lookup import COST, Summary, at, entries
from ragprof.report.tables import Cell, Column, Row, Table, figure, group

_NAMES = {
    "index_bytes": "index size",
    "build_ns": "build time",
    "prompt_tokens": "prompt tokens",
    COST: "cost of 1,000 queries",
}
_FOREMOST = ("end_to_end_p50_ns", COST)


def crossovers(summary: Summary) -> Table:
    columns = (
        *(Column("What", numeric=False), Column("Metric", numeric=False), Column("By more than")),
        *(Column("From", "passages"), Column("Status", numeric=False)),
    )
    rows = tuple(Row(_crossover_cells(found)) for found in entries(summary, "growth", "crossovers"))
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. Not within the measured range is an answer: "
        "nothing is said of larger corpora."
    )
    return Table("growth-crossovers", "Where pipelines change places", columns, rows, note)


def _crossover_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        *(figure(figures.text(at(found, "what"))), figure(figures.text(at(found, "metric")))),
        *(figure(_bound(at(found, "bound"))), _size_cell(found), figure(figures.text(at(found, "status")))),
    )


def _size_cell(found: Mapping[str, Any]) -> Cell:
    """An undecided crossover has no size, and yet an interval."""
    size, interval = at(found, "size"), reach(found)
    if size is not None:
        return figure(figures.count(size), interval)
    return Cell(figures.DASH, "" if interval == figures.ABSENT else interval, "quiet")


def _bound(bound: float | None) -> str:
    return "0" if bound == 0 else figures.score(bound)


def reach(found: Mapping[str, Any]) -> str:
    """The interval of a size; an end that lies outside what was measured is open."""
    low, high = at(found, "interval") or (None, None)
    if low is not None and high is not None:
        return figures.span((low, high), figures.count)
    if low is None and high is None:
        return figures.ABSENT
    return f"up to {figures.count(high)}" if low is None else f"{figures.count(low)} or more"


def forecasts(summary: Summary) -> Table:
    """Quality, p50 end to end and cost, a group a pipeline."""
    return _table(summary, "growth-forecast", "Forecasts beyond the largest corpus", _foremost(summary))


def other_forecasts(summary: Summary) -> Table:
    """Everything else that was forecast: p95, single stages, builds, memory and tokens."""
    asked = dict.fromkeys(at(found, "quantity") for found in entries(summary, "growth", "forecast"))
    others = [quantity for quantity in asked if quantity not in _foremost(summary)]
    return _table(summary, "growth-forecast-parts", "Forecasts of p95, stages, builds, memory and tokens", others)


def _foremost(summary: Summary) -> list[str]:
    return [grown.metric(summary), *_FOREMOST]


def _table(summary: Summary, key: str, title: str, quantities: Sequence[str]) -> Table:
    targets = _targets(summary)
    columns = (
        *(Column("Pipeline", numeric=False), Column("Quantity", "model", numeric=False)),
        *(Column("Predicted", _held_out(summary)), Column("Measured", "there"), Column("Error")),
        *(Column("Forecast", f"at {figures.count(size)}") for size in targets),
        Column("Verdict", numeric=False),
    )
    rows = [row for name in grown.names(summary) for row in _rows(summary, name, quantities, targets)]
    note = (
        "Each model is first made from the smaller sizes for the largest measured one; where that misses its own "
        f"interval, it abstains. Error: predicted minus measured. Small figures are 95% intervals; "
        f"{grown.basis(summary)}. {_intervals(summary)}"
    ).strip()
    return Table(key, title, columns, tuple(rows), note)


def _intervals(summary: Summary) -> str:
    """What the intervals of each model take in, where the study says so."""
    found = [(at(one, "model"), at(one, "interval_kind")) for one in entries(summary, "growth", "forecast")]
    said = dict.fromkeys(f"{model}, {kind}" for model, kind in found if model and kind)
    return f"The intervals take in: {'; '.join(said)}." if said else ""


def _held_out(summary: Summary) -> str:
    """The measured size for which every model is first tried."""
    found = {at(forecast, "held_out", "size") for forecast in entries(summary, "growth", "forecast")} - {None}
    return f"at {figures.count(found.pop())}" if len(found) == 1 else "at the held-out size"


def _targets(summary: Summary) -> list[int]:
    return sorted({size for found in entries(summary, "growth", "forecast") for size in grown.targets(found)})


def _rows(summary: Summary, name: str, quantities: Sequence[str], targets: Sequence[int]) -> list[Row]:
    found = [one for one in grown.forecasts(summary, name) if at(one, "quantity") in quantities]
    return group(Cell(name, pipeline=name), [_cells(one, targets) for one in found])


def _cells(forecast: Mapping[str, Any], targets: Sequence[int]) -> tuple[Cell, ...]:
    write, held = writer(forecast), at(forecast, "held_out")
    label = Cell(quantity_name(at(forecast, "quantity")), figures.text(at(forecast, "model")))
    return (
        label,
        figure(write(at(held, "predicted")), figures.span(at(held, "interval"), write)),
        figure(write(at(held, "measured"))),
        figure(signed(at(held, "error"), write)),
        *(_target_cell(forecast, size, write) for size in targets),
        _verdict_cell(forecast),
    )


def _target_cell(forecast: Mapping[str, Any], size: int, write: Callable[[Any], str]) -> Cell:
    if not grown.given(forecast):
        return Cell(figures.DASH, tone="quiet")
    found = grown.of_size(entries(forecast, "at"), size)
    return figure(write(at(found, "value")), figures.span(at(found, "interval"), write))


def _verdict_cell(forecast: Mapping[str, Any]) -> Cell:
    reason = at(forecast, "reason") or ""
    if at(forecast, "abstained") is None:
        return figure(figures.ABSENT)
    return Cell("abstains", reason, "undecided") if at(forecast, "abstained") else Cell("holds", reason)


def quantity_name(quantity: Any) -> str:
    """As people say it: `search_p50_ns` is `search p50`."""
    words = _NAMES.get(quantity) or figures.text(quantity)
    return words.removesuffix("_ns").replace("_", " ")


def writer(forecast: Mapping[str, Any]) -> Callable[[Any], str]:
    """How values of the forecast's quantity are written."""
    quantity = str(at(forecast, "quantity"))
    if quantity == COST:
        return figures.usd
    if quantity.endswith("_ns"):
        return figures.duration
    if quantity.endswith("_bytes"):
        return figures.size
    return figures.mean_count if quantity.endswith("_tokens") else figures.score


def signed(value: Any, write: Callable[[Any], str]) -> str:
    """With its sign, whatever the unit. Values may be decimal strings."""
    if value is None:
        return figures.ABSENT
    number = Decimal(str(value))
    size = write(str(abs(number)) if isinstance(value, str) else abs(value))
    return size if number == 0 else f"{figures.MINUS if number < 0 else '+'}{size}"
