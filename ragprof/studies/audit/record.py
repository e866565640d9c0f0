"""Records an audit: audit/{checks,rankings,ties}.parquet and, last, audit/manifest.json. Ids and numbers, no texts.

The vectors of the corpus come from the cache, as in every recording; whatever is done for a query is done live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof.core import Query, Ranking, StageName, environment, files
from ragprof.core.clock import Progress
from ragprof.core.recorded import write_sealed
from ragprof.record.pipeline import Parts
from ragprof.record.recording import (
    Bench,
    Subject,
    build_indexes,
    embed,
    fingerprint_of,
    identities,
    load,
    redacted,
    shuffled,
)
from ragprof.studies.audit.checks import (
    Alone,
    Check,
    LiveQuery,
    answer_checks,
    ask_live,
    document_checks,
    other_threads,
    present_threads,
    query_checks,
    repetition_checks,
    rerank_checks,
    thread_checks,
    threads,
    tie_table,
)

FORMAT = 1
CHECK_COLUMNS = (
    "pipeline", "stage", "what", "variant", "query_id", "identical", "largest_difference",
    "ranking_changed", "injection_changed",
)  # fmt: skip
RANKING_COLUMNS = ("pipeline", "run", "query_id", "stage", "rank", "doc_id", "document_id", "score")


def record_audit(subject: Subject, bench: Bench, *, times: int, queries: int) -> None:
    """Audit every pipeline on a seeded sample of the queries. An older audit in the folder is taken away first."""
    place = bench.folder / "audit"
    for name in ("manifest.json", "judgement.json", "audit.json"):
        (place / name).unlink(missing_ok=True)
    sample = replace(subject, queries=shuffled(subject.queries, subject.config.seed)[:queries])
    load(sample.pipelines, bench.progress)
    vectors = embed(sample, sample.corpus.docs, bench).documents
    build_indexes(sample.pipelines, sample.corpus.docs, vectors, clock=bench.clock, progress=bench.progress)
    alone = Alone()
    checks, rankings, ties = [], [], []
    for parts in subject.pipelines:
        asked = repetitions(parts, sample.queries, times=times, progress=bench.progress)
        # What the repetitions gave the first time is what every other way of doing it is held against.
        found = [check for each in zip(*asked, strict=True) for check in repetition_checks(each)]
        found += other_ways(parts, asked[0], alone, bench.progress)
        found += answer_checks(parts, asked[0], times=times, progress=bench.progress)
        checks.append(check_table(parts.name, found))
        rankings.append(ranking_table(parts, asked, found))
        ties.append(tie_table(parts, asked[0], documents=len(sample.corpus.docs)))
    for name, tables in (("checks", checks), ("rankings", rankings), ("ties", ties)):
        files.write_table(place / f"{name}.parquet", pd.concat(tables, ignore_index=True))
    write_sealed(
        place / "manifest.json",
        manifest(subject, sample, times),
        "checks.parquet",
        "rankings.parquet",
        "ties.parquet",
    )


def repetitions(parts: Parts, queries: Sequence[Query], *, times: int, progress: Progress) -> list[list[LiveQuery]]:
    """All queries once, then all of them again: one list per repetition, in the order of the queries."""
    progress.start(f"{parts.name}: ask {times} times", times * len(queries))
    asked: list[list[LiveQuery]] = []
    for _ in range(times):
        asked.append([])
        for query in queries:
            asked[-1].append(ask_live(parts, query))
            progress.advance(1)
    progress.done()
    return asked


def other_ways(parts: Parts, lives: Sequence[LiveQuery], alone: Alone, progress: Progress) -> list[Check]:
    """In batches of another size, and with another number of threads where a library has one."""
    progress.start(f"{parts.name}: other batches and threads", 2 * len(lives))
    checks = [*query_checks(parts, lives), *document_checks(parts, lives, alone)]
    for live in lives:
        checks.extend(rerank_checks(parts, live))
        progress.advance(1)
    number = other_threads()
    if number is not None:
        with threads(number):
            for live in lives:
                checks.extend(thread_checks(parts, live))
                progress.advance(1)
    progress.done()
    return checks


def check_table(pipeline: str, checks: Sequence[Check]) -> pd.DataFrame:
    """One row per check; effects are nullable booleans."""
    rows = [
        (
            pipeline, check.stage, check.what, check.variant, check.query_id,
            check.difference.identical, check.difference.largest,
            check.effect.ranking if check.effect else None,
            check.effect.injection if check.effect else None,
        )
        for check in checks
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(CHECK_COLUMNS))
    nullable = dict.fromkeys(("ranking_changed", "injection_changed"), "boolean")
    return table.astype({"identical": bool, "largest_difference": float, **nullable})


def ranking_table(parts: Parts, asked: Sequence[Sequence[LiveQuery]], checks: Sequence[Check]) -> pd.DataFrame:
    """Every ranking of every repetition; of another way that changed some, the final ones of all queries."""
    rankings = [
        (str(number), live.query.query_id, stage, ranking)
        for number, lives in enumerate(asked, start=1)
        for live in lives
        for stage, ranking in live.answer.rankings.items()
    ]
    # `stage: variant` -> query_id -> final ranking, where that may be another one.
    runs: dict[str, dict[str, Ranking]] = {}
    for check in checks:
        if check.effect and check.effect.final is not None:
            runs.setdefault(f"{check.stage}: {check.variant}", {})[check.query_id] = check.effect.final
    final: StageName = "rerank" if parts.reranker else "search"
    for run in sorted(runs):
        for live in asked[0]:
            query_id = live.query.query_id
            rankings.append((run, query_id, final, runs[run].get(query_id, live.final)))
    rows = [
        (parts.name, run, query_id, stage, rank, item.doc.doc_id, item.doc.document_id, item.score)
        for run, query_id, stage, ranking in rankings
        for rank, item in enumerate(ranking, start=1)
    ]
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS))


def manifest(subject: Subject, sample: Subject, times: int) -> dict[str, Any]:
    """What the audit rests on."""
    return {
        "format": FORMAT,
        "ragprof_version": version("ragprof"),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {
            "name": subject.corpus.name,
            "docs": len(subject.corpus.docs),
            "documents": subject.corpus.documents,
            "sha256": subject.corpus.sha256,
        },
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "environment": environment.describe(),
        "times": times,
        "queries": [query.query_id for query in sample.queries],
        "pointwise": {parts.name: parts.reranker.pointwise for parts in subject.pipelines if parts.reranker},
        "threads": {"present": present_threads(), "other": other_threads()},
    }
