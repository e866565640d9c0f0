"""The queries that got worst, with what was ranked before and after. Ids and places only; no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragprof.report import figures
from ragprof.report.compare.cells import ARROW
from ragprof.report.compare.reading import Document, worst
from ragprof.report.lookup import at, entries
from ragprof.report.tables import Cell, Column, Row, Table, figure


@dataclass(frozen=True, slots=True)
class Fallen:
    """One pipeline's worst queries: a table of their scores and, a query each, the two rankings."""

    name: str
    scores: Table
    rankings: tuple[Table, ...]


def fallen(document: Document) -> list[Fallen]:
    """A section a pipeline that has queries which got worse."""
    return [_fallen(name, one) for name, one in worst(document).items()]


def line(name: str, one: Mapping[str, Any]) -> str:
    """`dense, nDCG@10: q12 0.910 -> 0.200, q7 ...`"""
    told = (f"{at(query, 'query_id')} {_scores(query)}" for query in entries(one, "queries"))
    return f"{name}, {figures.text(at(one, 'metric'))}: {', '.join(told)}"


def _fallen(name: str, one: Mapping[str, Any]) -> Fallen:
    metric, queries = figures.text(at(one, "metric")), entries(one, "queries")
    columns = (
        Column("Query", numeric=False),
        Column("Base", metric),
        Column("Candidate", metric),
        Column("Difference", metric),
        Column("First before", "document", numeric=False),
        Column("First after", "document", numeric=False),
    )
    rows = tuple(Row(_query_cells(query)) for query in queries)
    scores = Table("compare-worst", f"{name}: queries that got worst", columns, rows)
    return Fallen(name, scores, tuple(_ranking(query, metric) for query in queries))


def _query_cells(query: Mapping[str, Any]) -> tuple[Cell, ...]:
    base, candidate = at(query, "base"), at(query, "candidate")
    change = None if base is None or candidate is None else candidate - base
    return (
        Cell(figures.text(at(query, "query_id"))),
        figure(figures.score(base)),
        figure(figures.score(candidate)),
        figure(figures.difference(change), tone="worse"),
        *(figure(str(next(iter(entries(query, key)), figures.ABSENT))) for key in ("before", "after")),
    )


def _scores(query: Mapping[str, Any]) -> str:
    return f"{figures.score(at(query, 'base'))} {ARROW} {figures.score(at(query, 'candidate'))}"


def _ranking(query: Mapping[str, Any], metric: str) -> Table:
    """Rank by rank: what stood there before, and where it went; what stands there after, and whence it came."""
    before, after = entries(query, "before"), entries(query, "after")
    columns = (Column("Rank"), Column("Before", "document", numeric=False), Column("After", "document", numeric=False))
    rows = tuple(
        Row((Cell(str(place + 1)), _moved(before, place, after, "now"), _moved(after, place, before, "was")))
        for place in range(max(len(before), len(after)))
    )
    title = f"Query {figures.text(at(query, 'query_id'))}: {metric} {_scores(query)}"
    return Table("compare-ranking", title, columns, rows)


def _moved(ranking: Sequence[str], place: int, other: Sequence[str], word: str) -> Cell:
    if place >= len(ranking):
        return figure(figures.ABSENT)
    document = ranking[place]
    if document not in other:
        return Cell(str(document), _GONE[word], "strong")
    there = other.index(document)
    return Cell(str(document), "" if there == place else f"{word} {there + 1}")


_GONE = {"now": "gone from the first ten", "was": "new in the first ten"}
