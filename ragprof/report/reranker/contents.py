"""Every table of the reranker's section, in the order in which a reader meets them, and what is said between them."""

from __future__ import annotations

from dataclasses import dataclass

from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import depth_tables, glance_tables, price_tables, query_tables, statement_tables, study
from ragprof.report.tables import Table, Tone

_OF_PIPELINE = (
    statement_tables.statement,
    price_tables.break_even,
    price_tables.scenarios,
    price_tables.alternatives,
    depth_tables.curve,
    depth_tables.grid,
    depth_tables.headroom,
    depth_tables.truncation,
    query_tables.clearest,
    query_tables.routing,
    query_tables.growth,
    price_tables.price_trend,
    price_tables.price_history,
)
_SAID = {
    "depth": (("knee", "sentence"), ("falls_from", "sentence"), ("latency_check", "sentence")),
    "headroom": (("headroom", "sentence"),),
    "truncation": (("truncation", "sentence"),),
    "routing": (("routing_choice", "sentence"),),
    "growth": (("growth", "sentence"),),
}
GLANCE = glance_tables.glance
SIDES = glance_tables.side_by_side


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one pipeline; `place` counts from 1 and is part of its charts' names."""

    name: str
    place: int
    verdict: str
    tone: Tone
    sentences: tuple[str, ...]
    said: dict[str, tuple[str, ...]]
    tables: dict[str, Table]
    notes: tuple[str, ...]


def sections(summary: Summary) -> list[Section]:
    """A section a pipeline with a verdict."""
    return [_section(summary, name, place) for place, name in enumerate(study.names(summary), start=1)]


def _section(summary: Summary, name: str, place: int) -> Section:
    one = study.of(summary, name)
    drawn = (draw(summary, name) for draw in _OF_PIPELINE)
    said = {part: tuple(str(at(one, *keys)) for keys in places if at(one, *keys)) for part, places in _SAID.items()}
    return Section(
        name,
        place,
        study.verdict_words(one),
        study.verdict_tone(at(one, "verdict")),
        tuple(study.sentences(one)),
        said,
        {table.key.removeprefix("reranker-"): table for table in drawn},
        tuple(str(note) for note in entries(one, "notes")),
    )
