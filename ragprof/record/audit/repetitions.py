"""The same query asked several times: is what every stage gave the same each time?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ragprof.core import Query
from ragprof.progress import Progress
from ragprof.record.audit.checks import (
    REPEATED,
    Check,
    Difference,
    ids,
    score_difference,
    vector_difference,
    worst,
)
from ragprof.record.audit.live import Live, ask_live
from ragprof.record.pipeline import Parts


def repetitions(parts: Parts, queries: Sequence[Query], *, times: int, progress: Progress) -> list[list[Live]]:
    """All queries once, then all of them again: one list a repetition, in the order of the queries."""
    progress.start(f"{parts.name}: ask {times} times", times * len(queries))
    asked: list[list[Live]] = []
    for _ in range(times):
        asked.append([])
        for query in queries:
            asked[-1].append(ask_live(parts, query))
            progress.advance(1)
    progress.done()
    return asked


def repetition_checks(lives: Sequence[Live]) -> Iterator[Check]:
    """One query's repetitions, each against the first. A stage gets what the stage before it gave that time."""
    first, *others = lives
    query_id = first.query.query_id
    if first.vector is not None:
        apart = [vector_difference(first.vector, other.vector) for other in others if other.vector is not None]
        yield Check("embed", "vectors", REPEATED, query_id, worst(apart))
    for stage, ranking in first.answer.rankings.items():
        theirs = [other.answer.rankings[stage] for other in others]
        same = all(ids(other) == ids(ranking) for other in theirs)
        yield Check(stage, "ranking", REPEATED, query_id, Difference(same))
        if stage != "inject":
            moved = worst(score_difference(ranking, other) for other in theirs)
            yield Check(stage, "scores", REPEATED, query_id, moved)
    same = all(other.answer.prompt == first.answer.prompt for other in others)
    yield Check("inject", "prompt", REPEATED, query_id, Difference(same))
