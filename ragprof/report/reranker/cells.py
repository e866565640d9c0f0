"""Figures of the reranker's statement as cells: a price that nobody knows is UNPRICED, a missing figure n/a."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection.cells import gain_span, is_unpriced, open_span
from ragprof.report.lookup import at, entries
from ragprof.report.tables import Cell, Tone, figure


def signed_usd(value: Any) -> str:
    return signed(value, figures.usd)


def money(node: Any, key: str, interval: str, *, lacks_price: bool = True, write: Any = figures.usd) -> Cell:
    """A decimal string with its interval. Without a value: UNPRICED where `lacks_price`, else n/a.

    A node that has no such key promises no interval; one that has null says that there is none.
    """
    value = at(node, key)
    if is_unpriced(value):
        return figure(figures.UNPRICED if lacks_price and isinstance(node, Mapping) and key in node else figures.ABSENT)
    if interval not in node:
        return figure(write(value))
    return figure(write(value), open_span(node[interval], write))


def is_llm_unpriced(statement: Any) -> bool:
    """Whether an LLM was named whose price nobody knows. Where none was named, money saved is not applicable."""
    name = at(statement, "llm")
    known = [at(statement, "break_even", "grid", "here", "llm_usd_per_million_tokens")]
    known += [at(one, "usd_per_million_tokens") for one in entries(statement, "scenarios") if at(one, "llm") == name]
    return name is not None and all(is_unpriced(price) for price in known)


def is_net_unpriced(statement: Any) -> bool:
    """Because of the reranker or of the LLM; else a missing net is one that no number of chunks made finite."""
    return is_unpriced(at(statement, "reranker_usd_per_1000_queries")) or is_llm_unpriced(statement)


def cost_at(statement: Any, node: Any) -> Cell:
    """What the reranker costs at a depth: UNPRICED where it is so at every depth, else n/a where it was not timed."""
    if not is_unpriced(at(node, "usd_per_1000_queries")):
        return money(node, "usd_per_1000_queries", "usd_interval")
    unpriced = is_unpriced(at(statement, "reranker_usd_per_1000_queries"))
    return figure(figures.UNPRICED if unpriced else figures.ABSENT)


def net_at(statement: Any, node: Any) -> Cell:
    """The net of a depth or a corpus size, which may lack its price or its savings for other reasons."""
    if not is_unpriced(at(node, "net_usd_per_1000_queries")):
        return money(node, "net_usd_per_1000_queries", "net_interval", write=signed_usd)
    return figure(figures.UNPRICED if is_net_unpriced(statement) else figures.ABSENT)


def p_and_n(found: Mapping[str, Any]) -> str:
    p, n = at(found, "p"), at(found, "n")
    parts = [f"p {figures.p_value(p)}" if p is not None and p < 0.001 else f"p = {figures.p_value(p)}"]
    parts += [] if n is None else [f"n = {figures.count(n)} queries"]
    return ", ".join(parts)


def difference_cell(found: Mapping[str, Any], *, tone: Tone = "") -> Cell:
    """A paired difference of a score with its interval."""
    mean = at(found, "difference")
    interval = figures.span(at(found, "interval"), figures.difference)
    return figure(figures.difference(mean), interval, tone)


def score_change(estimate: Any) -> Cell:
    """An estimate of a difference of scores."""
    interval = figures.span(at(estimate, "interval"), figures.difference)
    return figure(figures.difference(at(estimate, "mean")), interval)


def added(value: Any) -> str:
    """Time that comes on top, with its sign."""
    return signed(value, figures.duration)


def added_cell(statement: Any, quantile: str) -> Cell:
    ends = at(statement, f"added_{quantile}_interval_ns")
    return figure(added(at(statement, f"added_{quantile}_ns")), gain_span(ends, figures.duration))


def per_words(billed: Any) -> str:
    """What a price is for: 1,000 searches, or one hour."""
    per, unit = at(billed, "per"), str(at(billed, "unit") or "unit").replace("_", " ").removesuffix("s")
    if per in (None, 1):
        return unit
    many = "queries" if unit == "query" else f"{unit}es" if unit.endswith("ch") else f"{unit}s"
    return f"{figures.count(per)} {many}"


def tokens(value: Any) -> str:
    """A mean count that may be below 0."""
    return figures.mean_count(value).replace("-", figures.MINUS)


def of_100(share: Any) -> str:
    """A share as so many of 100; a difference may be negative."""
    return figures.ABSENT if share is None else f"{100 * share:.0f}".replace("-", figures.MINUS)
