"""What one pipeline's statement becomes at other prices, and what else would buy the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection.cells import estimate_cell, is_unpriced, money_cell, open_span, plain
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import money, net_at, per_words, score_change, signed_usd
from ragprof.report.tables import Cell, Column, Row, Table, Tone, figure

_RELATIONS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "as good": ("= as good", "strong"),
    "worse": ("\u25bc worse", "worse"),
    "undecided": ("\u25c7 undecided", "undecided"),
}


def break_even(summary: Summary, name: str) -> Table:
    """Where the sign of net flips, one price or volume at a time. No rows where nobody says."""
    found = at(study.of(summary, name), "statement", "break_even") or {}
    reranker, llm, traffic = (
        at(found, key) for key in ("reranker_usd", "llm_usd_per_million_tokens", "queries_per_month")
    )
    columns = (
        *(Column("What", numeric=False), Column("Net is 0 at", "95% interval"), Column("Unit", numeric=False)),
        Column("In words", numeric=False),
    )
    lines = (
        ("the reranker's price", reranker, _flip_cell(reranker, figures.usd), f"USD per {per_words(reranker)}"),
        ("the LLM's price", llm, _flip_cell(llm, figures.usd), "USD per million tokens"),
        ("traffic", traffic, _flip_cell(traffic, figures.rough_count), "queries a month"),
    )
    rows = tuple(
        Row((Cell(what), cell, Cell(unit, tone="quiet"), figure(figures.text(at(node, "sentence")))))
        for what, node, cell, unit in lines
        if node
    )
    note = (
        f"One thing is moved, all others stay as they are today; {study.basis(summary, name)}. n/a: no value turns the "
        "sign, or a price is missing."
    )
    return Table("reranker-break-even", "Where it breaks even", columns, rows, note)


def _flip_cell(node: Any, write: Callable[[Any], str]) -> Cell:
    span = open_span(node["interval"], write) if at(node, "interval") else ""
    return figure(write(at(node, "value")), span)


def scenarios(summary: Summary, name: str) -> Table:
    """The statement at the prices of other LLMs. No rows where none was asked for."""
    columns = (
        *(Column("Prompt tokens priced as", numeric=False), Column("Price", "USD per million tokens")),
        *(Column("Saved", "USD per 1,000 queries"), Column("Net", "USD per 1,000 queries")),
        *(Column("Verdict", numeric=False), Column("Why", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    found = entries(statement, "scenarios")
    rows = tuple(Row(_scenario_cells(one, statement)) for one in found)
    note = f"Quality and time stay as they are. Net with 95% intervals, {study.basis(summary, name)}; below 0 it saves."
    return Table("reranker-scenarios", "At the prices of other LLMs", columns, rows, note)


def _scenario_cells(one: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    no_llm = is_unpriced(at(one, "usd_per_million_tokens"))
    no_reranker = is_unpriced(at(statement, "reranker_usd_per_1000_queries"))
    return (
        Cell(figures.text(at(one, "llm"))),
        money_cell(one, "usd_per_million_tokens", write=figures.plain_usd),
        money(one, "llm_usd_saved_per_1000_queries", "llm_usd_saved_interval", lacks_price=no_llm),
        money(one, "net_usd_per_1000_queries", "net_interval", lacks_price=no_llm or no_reranker, write=signed_usd),
        Cell(study.verdict_words({"verdict": at(one, "verdict")}), tone=study.verdict_tone(at(one, "verdict"))),
        figure(figures.text(at(one, "reason"))),
    )


def alternatives(summary: Summary, name: str) -> Table:
    """This pipeline first, then what else was tried. No rows where there is nothing beside it."""
    one = study.of(summary, name)
    found = entries(one, "statement", "alternatives")
    metric = study.metric(summary, name)
    columns = (
        *(Column("Alternative", numeric=False), Column("k", "chunks"), Column("Depth", "candidates")),
        *(Column("Quality", metric), Column("Difference", "to this pipeline"), Column("Is", numeric=False)),
        *(
            Column("Whole bill", "USD per 1,000 queries"),
            Column("p50", "of a query"),
            Column("Prompt", "tokens a query"),
        ),
    )
    own = at(one, "statement", "own")
    rows = [Row(_own_cells(name, one, own)), *(Row(_alternative_cells(other, metric)) for other in found)]
    note = (
        f"Small figures are 95% intervals, paired by query, {study.basis(summary, name)}. As good: the interval of the "
        "difference stays within the smallest gain that counts. The whole bill counts every stage and the prompt."
    )
    return Table("reranker-alternatives", "What else would buy the same", columns, tuple(rows) if found else (), note)


def _own_cells(name: str, one: Any, own: Any) -> tuple[Cell, ...]:
    k, depth = at(one, "k"), at(one, "own_depth")
    return (
        *(Cell(name, "as it is", pipeline=name), figure(figures.count(k)), figure(figures.count(depth))),
        *(
            estimate_cell(at(own, "quality"), figures.score),
            Cell(figures.DASH, tone="quiet"),
            Cell(figures.DASH, tone="quiet"),
        ),
        *_bill(own),
    )


def _alternative_cells(other: Mapping[str, Any], metric: str) -> tuple[Cell, ...]:
    relation, own_metric = at(other, "relation"), at(other, "metric")
    words, tone = _RELATIONS.get(relation or "", (figures.text(relation), "absent" if relation is None else ""))
    what = figures.text(at(other, "what"))
    return (
        Cell(figures.text(at(other, "name")), what if own_metric in (None, metric) else f"{what}, by {own_metric}"),
        *(figure(_or_dash(at(other, "k"))), figure(_or_dash(at(other, "depth")))),
        *(estimate_cell(at(other, "quality"), figures.score), score_change(at(other, "difference"))),
        *(Cell(words, tone=tone), *_bill(other)),
    )


def _or_dash(value: Any) -> str:
    return figures.DASH if value is None else figures.count(value)


def _bill(node: Any) -> tuple[Cell, Cell, Cell]:
    return (
        money(node, "usd_per_1000_queries", "usd_interval"),
        figure(figures.duration(at(node, "p50_ns"))),
        figure(figures.mean_count(at(node, "tokens_per_query"))),
    )


def price_trend(summary: Summary, name: str) -> Table:
    """The verdict if LLM prices keep falling. No rows where it was not asked for."""
    trend = at(study.of(summary, name), "price_trend")
    columns = (
        *(Column("Year", numeric=False), Column("LLM price", "USD per million tokens")),
        *(Column("Net", "USD per 1,000 queries"), Column("Verdict", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    rows = tuple(Row(_year_cells(year, statement)) for year in entries(trend, "years"))
    percent = at(trend, "percent_a_year")
    told = "" if percent is None else f"LLM prices fall by {plain(percent)}% a year here and nothing else changes."
    note = str(at(trend, "sentence") or told)
    return Table("reranker-trend", "As LLM prices fall", columns, rows, note)


def _year_cells(year: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    return (
        Cell(str(at(year, "year"))),
        money_cell(year, "llm_usd_per_million_tokens"),
        net_at(statement, year),
        Cell(study.verdict_words({"verdict": at(year, "verdict")}), tone=study.verdict_tone(at(year, "verdict"))),
    )


def price_history(summary: Summary, name: str) -> Table:
    """Every price of the reranker's rate that the books hold. No rows where there is just one."""
    found = entries(study.of(summary, name), "price_history")
    columns = (Column("In force since", numeric=False), Column("Price", "USD"))
    rows = tuple(
        Row((figure(figures.text(at(one, "since"))), money_cell(one, "usd", write=figures.plain_usd))) for one in found
    )
    return Table("reranker-history", "The reranker's price so far", columns, rows if len(found) > 1 else ())
