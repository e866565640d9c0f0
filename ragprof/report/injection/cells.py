"""Figures of the answers as cells: estimates with their intervals, money that may be unpriced, gains in points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.context_tables import verdict_cell
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.lookup import at
from ragprof.report.tables import Cell, Column, Row, figure

PIPELINE = Column("Pipeline", numeric=False)
_POINTS = " pp"


def plain(value: float | None) -> str:
    """Three significant digits of a figure whose unit is told elsewhere."""
    return figures.ABSENT if value is None else figures.three_digits(value).replace("-", figures.MINUS)


def points(value: float | None) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return figures.ABSENT if value is None else f"{100 * value:+.1f}{_POINTS}".replace("-", figures.MINUS)


def points_span(interval: Any) -> str:
    """Both ends of a difference of shares; the unit is written once."""
    return figures.span(interval, points).replace(f"{_POINTS} to ", " to ")


def gain_span(interval: Any, write: Callable[[Any], str]) -> str:
    """Both ends of a gain, each with its sign."""
    return figures.span(interval, lambda end: signed(end, write))


def open_span(interval: Any, write: Callable[[Any], str]) -> str:
    """An interval that may have no lower or no upper end: a price for each of what may not have been there at all."""
    low, high = interval or (None, None)
    if (low is None) == (high is None):
        return figures.span(interval, write)
    return f"{write(low)} or more" if high is None else f"up to {write(high)}"


def estimate_cell(estimate: Any, write: Callable[[Any], str]) -> Cell:
    return figure(write(at(estimate, "mean")), open_span(at(estimate, "interval"), write))


def share_cell(estimate: Any) -> Cell:
    return estimate_cell(estimate, figures.share)


def points_cell(estimate: Any) -> Cell:
    return figure(points(at(estimate, "mean")), points_span(at(estimate, "interval")))


def gain_cell(estimate: Any, write: Callable[[Any], str]) -> Cell:
    return figure(signed(at(estimate, "mean"), write), gain_span(at(estimate, "interval"), write))


def money_cell(node: Any, key: str, *, write: Callable[[Any], str] = figures.usd) -> Cell:
    """A decimal string under the key. Null is a price that nobody knows; with the key missing none was asked for."""
    if not isinstance(node, Mapping) or key not in node:
        return figure(figures.ABSENT)
    return figure(figures.UNPRICED) if is_unpriced(node[key]) else figure(write(node[key]))


def is_unpriced(value: Any) -> bool:
    return value is None or value == figures.UNPRICED


def price_cell(node: Any) -> Cell:
    """The cost of 1,000 queries with its interval."""
    cell = money_cell(node, "usd_per_1000_queries")
    return cell if cell.tone else figure(cell.text, figures.span(at(node, "usd_interval"), figures.usd))


def cost_cell(economics: Mapping[str, Any], key: str) -> Cell:
    """An estimate in USD. Null is UNPRICED where the query has no price either; else there was nothing to divide by."""
    if at(economics, key, "mean") is not None:
        return estimate_cell(economics[key], figures.usd)
    unpriced = key in economics and "usd_per_query" in economics and at(economics, "usd_per_query", "mean") is None
    return figure(figures.UNPRICED if unpriced else figures.ABSENT)


def facts(pairs: Mapping[str, Any]) -> tuple[Row, ...]:
    """A row a fact that is known."""
    known = {label: value for label, value in pairs.items() if value is not None}
    return tuple(Row((Cell(label), figure(figures.text(value)))) for label, value in known.items())


def verdict_cells(comparison: Mapping[str, Any]) -> tuple[Cell, Cell]:
    """p, corrected where it was, and the verdict with what is missing for one."""
    corrected = at(comparison, "p_holm")
    note = "" if corrected is None else f"Holm {figures.p_value(corrected)}"
    return figure(figures.p_value(at(comparison, "p")), note), verdict_cell(comparison)
