"""Floating point operations of live queries, as a unit of usage beside the others. Reads no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ragprof.core import Query, StageName
from ragprof.flop_counts import counted
from ragprof.progress import Progress
from ragprof.record.pipeline import Parts
from ragprof.record.query import ask
from ragprof.record.timings import Timings

FLOPS = "flops"
T = TypeVar("T")


def count_flops(pipelines: Sequence[Parts], queries: Sequence[Query], timings: Timings, progress: Progress) -> None:
    """Ask the queries once more and add `flops` to the usage of every stage that computes in torch."""
    if not queries:
        return
    progress.start("count operations", len(pipelines) * len(queries))
    for parts in pipelines:
        for query in queries:
            for stage, flops in flops_of(parts, query).items():
                timings.usage[parts.name, query.query_id, stage, FLOPS] = flops
            progress.advance(1)
    progress.done()


def flops_of(parts: Parts, query: Query) -> dict[StageName, int]:
    """Operations by stage of one query; a stage that does nothing in torch is left out, not 0."""
    taken: dict[StageName, int] = {}

    def call(stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
        result, flops = counted(function, *arguments)
        if flops:
            taken[stage] = flops
        return result

    ask(parts, query, call)
    return taken
