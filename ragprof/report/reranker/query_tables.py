"""Query by query: whom the reranker helps and hurts most, which queries could go without it, and corpus size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection.cells import open_span
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import net_at, score_change
from ragprof.report.tables import Cell, Column, Row, Table, Tone, figure, group

_KINDS: dict[str, tuple[str, Tone]] = {
    "helped": ("\u25b2 helped", "better"),
    "hurt": ("\u25bc hurt", "worse"),
    "unchanged": ("= unchanged", "quiet"),
}


def clearest(summary: Summary, name: str) -> Table:
    """The clearest queries of each kind with the document that moved most. Texts are those of the recording."""
    one = study.of(summary, name)
    metric = study.metric(summary, name)
    columns = (
        *(Column("Query", numeric=False), Column("Change", metric), Column("Before"), Column("After")),
        *(Column("Relevant document that moved most", numeric=False), Column("Rank", "from \u2192 to")),
    )
    rows = [row for kind in _KINDS for row in _kind_rows(kind, at(one, "queries") or {})]
    counts = ", ".join(f"{kind} {figures.count(at(one, 'queries', kind))}" for kind in _KINDS)
    note = f"Of {study.basis(summary, name).removeprefix('n = ')}: {counts}. Single queries have no interval."
    return Table(
        "reranker-clearest",
        "The clearest queries of each kind",
        (Column("", numeric=False), *columns),
        tuple(rows),
        note,
    )


def _kind_rows(kind: str, queries: Mapping[str, Any]) -> list[Row]:
    found = entries(queries, "clearest", kind)
    words, _ = _KINDS[kind]
    total = at(queries, kind)
    return group(Cell(words, f"{figures.count(total)} in all"), [_query_cells(one) for one in found])


def _query_cells(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    query, text = figures.text(at(one, "query_id")), at(one, "text")
    document, words = at(one, "doc_id"), at(one, "doc_text")
    return (
        Cell(str(text), query) if text else Cell(query),
        *(figure(figures.difference(at(one, "change"))), figure(figures.score(at(one, "before")))),
        figure(figures.score(at(one, "after"))),
        Cell(str(words), figures.text(document)) if words else figure(figures.text(document)),
        figure(_ranks(one)),
    )


def _ranks(one: Mapping[str, Any]) -> str:
    before, after = at(one, "from_rank"), at(one, "to_rank")
    if before is None and after is None:
        return figures.ABSENT
    return f"{_rank(before)} \u2192 {_rank(after)}"


def _rank(rank: Any) -> str:
    return "not found" if rank is None else figures.count(rank)


def routing(summary: Summary, name: str) -> Table:
    """Rerank only where the retriever is unsure: what is kept and what is saved, a group a signal."""
    one = study.of(summary, name)
    columns = (
        *(Column("Signal", numeric=False), Column("Reranked", "of the queries"), Column("Gain kept", "95% interval")),
        *(Column("At random", "gain kept"), Column("Cost saved", "of the reranker's")),
    )
    by_signal: dict[str, list[tuple[Cell, ...]]] = {}
    for point in entries(one, "routing"):
        by_signal.setdefault(figures.text(at(point, "signal")), []).append(_routing_cells(point))
    rows = [row for signal, lines in by_signal.items() for row in group(Cell(signal), lines)]
    note = (
        f"Queries are reranked where the signal says that search is least sure; thresholds are cross-validated, "
        f"{study.basis(summary, name)}. Random: the same share of queries picked blindly."
    )
    return Table("reranker-routing", "Reranking only some queries", columns, tuple(rows), note)


def _routing_cells(point: Mapping[str, Any]) -> tuple[Cell, ...]:
    interval = open_span(at(point, "interval"), figures.share)
    return (
        figure(figures.share(at(point, "share_reranked"))),
        figure(figures.share(at(point, "share_of_gain_kept")), interval),
        figure(figures.share(at(point, "random"))),
        figure(figures.share(at(point, "share_of_cost_saved"))),
    )


def growth(summary: Summary, name: str) -> Table:
    """Gain and net value at each corpus size. No rows without a growth recording."""
    found = at(study.of(summary, name), "growth")
    columns = (
        *(Column("Corpus", "passages", numeric=False), Column("Gain", f"{study.metric(summary, name)}, 95% interval")),
        *(Column("Net", "USD per 1,000 queries"), Column("Worth it", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    rows = tuple(Row(_size_cells(point, statement)) for point in entries(found, "points"))
    note = f"Small figures are 95% intervals, {study.basis(summary, name)}; net below 0 saves."
    return Table("reranker-growth", "By corpus size", columns, rows, note)


def _size_cells(point: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    return (
        figure(figures.count(at(point, "size"))),
        score_change(at(point, "gain")),
        net_at(statement, point),
        figure(figures.text(at(point, "worth"))),
    )
