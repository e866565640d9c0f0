"""The statement of one pipeline's reranker: what it buys, takes, costs and saves, a line each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection.cells import estimate_cell, plain
from ragprof.report.lookup import Summary, at
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import (
    added_cell,
    difference_cell,
    is_llm_unpriced,
    is_net_unpriced,
    money,
    p_and_n,
    per_words,
    signed_usd,
    tokens,
)
from ragprof.report.tables import Cell, Column, Table, figure, group

_DASH = Cell(figures.DASH, tone="quiet")


def statement(summary: Summary, name: str) -> Table:
    """Profit and loss: quality and time of a query, money of 1,000 queries and of a month."""
    found = at(study.of(summary, name), "statement") or {}
    columns = (
        *(Column("", numeric=False), Column("Line", numeric=False), Column("Amount", "95% interval")),
        *(Column("Per month", _month_words(found)), Column("Rests on", numeric=False)),
    )
    rows = (
        *group(Cell("Buys", "per query"), _bought(found)),
        *group(Cell("Takes", "per query"), _taken(found)),
        *group(Cell("Costs", "USD per 1,000 queries"), _paid(summary, name)),
    )
    note = (
        f"Against {figures.text(at(study.of(summary, name), 'against'))}, paired by query. Small figures are 95% "
        "intervals, resampled by query. Net is the reranker's cost minus the prompt tokens saved: above 0 it costs, "
        f"below 0 it saves. A point is 0.01 of {study.metric(summary, name)}."
    )
    return Table("reranker-statement", "The statement", columns, tuple(rows), note)


def _month_words(found: Any) -> str:
    queries = at(found, "per_month", "queries")
    return f"{figures.rough_count(queries)} queries" if queries is not None else f"traffic {figures.ABSENT}"


def _bought(found: Any) -> list[tuple[Cell, ...]]:
    gains = at(found, "quality_gain") or {}
    return [_gain_line(metric, one or {}) for metric, one in gains.items()] or [
        (Cell("quality"), figure(figures.ABSENT), _DASH, figure(figures.ABSENT))
    ]


def _gain_line(metric: str, one: Mapping[str, Any]) -> tuple[Cell, ...]:
    without, reached = at(one, "without"), at(one, "with")
    change = f"{figures.score(without)} \u2192 {figures.score(reached)}"
    return (Cell(metric, change), difference_cell(one), _DASH, Cell(p_and_n(one), tone="quiet"))


def _taken(found: Any) -> list[tuple[Cell, ...]]:
    rests = Cell(study.timed({"statement": found}), tone="quiet")
    return [(Cell(f"added time, {quantile}"), added_cell(found, quantile), _DASH, rests) for quantile in ("p50", "p95")]


def _paid(summary: Summary, name: str) -> list[tuple[Cell, ...]]:
    found = at(study.of(summary, name), "statement") or {}
    no_llm, no_net = is_llm_unpriced(found), is_net_unpriced(found)
    no_rate = at(found, "reranker_usd_per_1000_queries") is None
    month = at(found, "per_month") or {}
    return [
        (
            Cell("reranker"),
            money(found, "reranker_usd_per_1000_queries", "reranker_usd_interval"),
            money(month, "reranker_usd", "reranker_usd_interval"),
            _billing_cell(found),
        ),
        (
            Cell("prompt tokens saved"),
            money(found, "llm_usd_saved_per_1000_queries", "llm_usd_saved_interval", lacks_price=no_llm),
            money(month, "llm_usd_saved", "llm_usd_saved_interval", lacks_price=no_llm),
            _saving_cell(found),
        ),
        (
            Cell("net"),
            money(found, "net_usd_per_1000_queries", "net_interval", lacks_price=no_net, write=signed_usd),
            money(month, "net_usd", "net_interval", lacks_price=no_net, write=signed_usd),
            Cell("reranker less tokens saved", tone="quiet"),
        ),
        (
            Cell("per point gained"),
            money(found, "usd_per_point", "usd_per_point_interval", lacks_price=no_rate),
            _DASH,
            Cell(f"reranker's price of 0.01 {study.metric(summary, name)} at equal k", tone="quiet"),
        ),
    ]


def _billing_cell(found: Any) -> Cell:
    """The rate with its true unit, and how many units a query takes."""
    billing = at(found, "billing") or {}
    if at(billing, "unpriced"):
        return Cell(str(billing["unpriced"]), tone="quiet")
    if not billing:
        return figure(figures.ABSENT)
    return Cell(f"{rate_words(billing)}; {_units_words(billing)}", _rate_note(billing), "quiet")


def rate_words(billing: Mapping[str, Any]) -> str:
    """The published rate: $2.00 per 1,000 searches."""
    return f"{figures.plain_usd(at(billing, 'usd'))} per {per_words(billing)}"


def _units_words(billing: Mapping[str, Any]) -> str:
    units = at(billing, "units_per_query")
    cell = estimate_cell(units, plain)
    words = f"{cell.text} {_units(billing)} a query" + (f" ({cell.note})" if cell.note else "")
    utilisation = at(billing, "utilisation")
    return words if utilisation is None else f"{words}, machine used to {figures.share(float(utilisation))}"


def _units(billing: Mapping[str, Any]) -> str:
    """In the plural: searches, hours, input tokens."""
    return per_words({"per": 2, "unit": at(billing, "unit")}).removeprefix("2 ")


def _rate_note(billing: Mapping[str, Any]) -> str:
    since, verified = at(billing, "since"), at(billing, "verified")
    parts = [figures.text(at(billing, "rate"))]
    parts += [f"since {since}"] if since is not None else []
    parts += [] if verified is None else ["not verified" if verified is False else f"verified {figures.text(verified)}"]
    parts += [str(billing["note"])] if at(billing, "note") else []
    return ", ".join(parts)


def _saving_cell(found: Any) -> Cell:
    """Iso-quality k: how many chunks hold what the search holds with its own."""
    iso = at(found, "iso_quality_k") or {}
    without, reached = at(iso, "k_without"), at(iso, "k_with")
    if without is None:
        return figure(figures.ABSENT)
    if reached is None:
        return Cell(
            f"no k holds the {figures.text(at(iso, 'metric'))} that search holds with {without} chunks", tone="quiet"
        )
    span = figures.span(at(iso, "interval"), figures.count)
    fewer = estimate_cell(at(iso, "tokens_saved_per_query"), tokens)
    words = f"{reached} chunks ({span}) hold what search holds with {without}"
    saving = f"tokens saved a query: {fewer.text}" + (f" ({fewer.note})" if fewer.note else "")
    model = at(found, "llm")
    return Cell(f"{words}; {saving}", f"tokens priced as {model}" if model else "no LLM is priced", "quiet")
