"""Live queries at every depth of every reranker, for cost. Nothing is reused.

Rounds are interleaved over pipelines and depths, as the main recording's are over pipelines. Depth 0 is the pipeline
without its reranker, over the candidates of its own depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from ragprof.core import RETRIEVAL_STAGES, Query
from ragprof.core.clock import Progress
from ragprof.evals import Timing
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.recording import Bench
from ragprof.record.timings import shares, warmed
from ragprof.studies.reranker.plan import Weighing

WITHOUT = 0
STAGES = (*RETRIEVAL_STAGES, "inject")
LIVE_COLUMNS = (
    "arm", "depth", "round", "query_id", "end_to_end_ns", *(f"{stage}_ns" for stage in STAGES), "candidates",
    "candidate_tokens",
)  # fmt: skip


@dataclass(frozen=True)
class Asker:
    """A pipeline at one depth."""

    arm: str
    depth: int
    parts: Parts

    @property
    def key(self) -> str:
        return f"{self.arm} {self.depth}"


@dataclass
class Live:
    """Rows of live.parquet so far."""

    bench: Bench
    count: Callable[[str], int]
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def ask(self, asker: Asker, query: Query) -> tuple[int, tuple[object, ...]]:
        """One live query: its duration in ns, and what there is to write down of it."""
        answer, trace = traced(asker.parts, query, self.bench.clock)
        spans = {str(span.stage): span.duration_ns for span in trace.spans}
        reranked = answer.rankings.get("rerank", ())
        tokens = sum(self.count(item.doc.content) for item in reranked)
        facts = (query.query_id, trace.duration_ns, *(spans.get(stage) for stage in STAGES), len(reranked), tokens)
        return trace.duration_ns, facts

    def table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.rows, columns=list(LIVE_COLUMNS))
        return table.astype({column: "Int64" for column in LIVE_COLUMNS if column not in ("arm", "query_id")})


def time_depths(
    weighing: Weighing, queries: Sequence[Query], bench: Bench, *, count: Callable[[str], int]
) -> pd.DataFrame:
    """Warm-up, then rounds over every depth. `queries` must be in a seeded order: a prefix of them is timed."""
    timing, live = weighing.settings.timing, Live(bench, count)
    askers = askers_of(weighing)
    counts = _counts(live, askers, queries, timing, bench.progress)
    bench.progress.start("time every depth", sum(counts.values()) * timing.rounds)
    for number in range(timing.rounds):
        for place in range(len(askers)):
            asker = askers[(place - number) % len(askers)]
            for query in queries[: counts[asker.key]]:
                _, facts = live.ask(asker, query)
                live.rows.append((asker.arm, asker.depth, number, *facts))
                bench.progress.advance(1)
    bench.progress.done()
    return live.table()


def askers_of(weighing: Weighing) -> list[Asker]:
    """Every depth of every arm, and each pipeline without its reranker."""
    plain = [Asker(arm.name, WITHOUT, arm.plain) for arm in weighing.own]
    return plain + [Asker(arm.name, depth, arm.at(depth)) for arm in weighing.arms for depth in arm.depths]


def _counts(
    live: Live, askers: Sequence[Asker], queries: Sequence[Query], timing: Timing, progress: Progress
) -> dict[str, int]:
    """Warm up, and share the time out by how long that took; depths of one arm answer the same number of queries."""
    asking = {asker.key: partial(_duration, live, asker) for asker in askers}
    estimates = warmed(asking, queries, count=timing.warmup, progress=progress)
    by_arm: dict[str, int] = {}
    for asker in askers:
        by_arm[asker.arm] = by_arm.get(asker.arm, 0) + estimates[asker.key]
    counts = shares(by_arm, len(queries), timing)
    return {asker.key: counts[asker.arm] for asker in askers}


def _duration(live: Live, asker: Asker, query: Query) -> int:
    return live.ask(asker, query)[0]
