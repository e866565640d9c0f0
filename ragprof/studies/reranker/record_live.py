"""Live queries at every depth of every reranker, for cost. Nothing is reused.

Rounds are interleaved over pipelines and depths, as the main recording's are over pipelines. Depth 0 is the pipeline
without its reranker, over the candidates of its own depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from ragprof.core import RETRIEVAL_STAGES, Query
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.recording import Bench
from ragprof.record.timings import shares, warmed
from ragprof.studies.reranker.plan import RerankerPlan

WITHOUT = 0
STAGES = (*RETRIEVAL_STAGES, "inject")
LIVE_COLUMNS = (
    "arm", "depth", "round", "query_id", "end_to_end_ns", *(f"{stage}_ns" for stage in STAGES), "candidates",
    "candidate_tokens",
)  # fmt: skip


@dataclass(frozen=True)
class TimedDepth:
    """A pipeline at one depth."""

    arm: str
    depth: int
    parts: Parts

    @property
    def key(self) -> str:
        return f"{self.arm} {self.depth}"


def time_depths(
    plan: RerankerPlan, queries: Sequence[Query], bench: Bench, *, count: Callable[[str], int]
) -> pd.DataFrame:
    """Warm-up, then rounds over every depth. `queries` must be in a seeded order: a prefix of them is timed.

    The time is shared out by how long the warm-up took; depths of one arm answer the same number of queries.
    """

    def ask(timed: TimedDepth, query: Query) -> tuple[int, tuple[object, ...]]:
        """One live query: its duration in ns, and what there is to write down of it."""
        answer, trace = traced(timed.parts, query, bench.clock)
        spans = {str(span.stage): span.duration_ns for span in trace.spans}
        reranked = answer.rankings.get("rerank", ())
        tokens = sum(count(item.doc.content) for item in reranked)
        facts = (query.query_id, trace.duration_ns, *(spans.get(stage) for stage in STAGES), len(reranked), tokens)
        return trace.duration_ns, facts

    def duration(timed: TimedDepth, query: Query) -> int:
        return ask(timed, query)[0]

    timing, every = plan.settings.timing, timed_depths(plan)
    asking = {timed.key: partial(duration, timed) for timed in every}
    estimates = warmed(asking, queries, count=timing.warmup, progress=bench.progress)
    by_arm: dict[str, int] = {}
    for timed in every:
        by_arm[timed.arm] = by_arm.get(timed.arm, 0) + estimates[timed.key]
    counts = shares(by_arm, len(queries), timing)
    bench.progress.start("time every depth", sum(counts[timed.arm] for timed in every) * timing.rounds)
    rows: list[tuple[object, ...]] = []
    for number in range(timing.rounds):
        for place in range(len(every)):
            # Each round starts one further (A B C, C A B, ...), so that no depth always follows the same other.
            timed = every[(place - number) % len(every)]
            for query in queries[: counts[timed.arm]]:
                rows.append((timed.arm, timed.depth, number, *ask(timed, query)[1]))
                bench.progress.advance(1)
    bench.progress.done()
    table = pd.DataFrame(rows, columns=list(LIVE_COLUMNS))
    return table.astype({column: "Int64" for column in LIVE_COLUMNS if column not in ("arm", "query_id")})


def timed_depths(plan: RerankerPlan) -> list[TimedDepth]:
    """Each pipeline without its reranker, and every depth of every arm."""
    plain = [TimedDepth(arm.name, WITHOUT, arm.plain) for arm in plan.own]
    return plain + [TimedDepth(arm.name, depth, arm.at(depth)) for arm in plan.arms for depth in arm.depths]
