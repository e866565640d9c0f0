"""Records an audit: audit/{checks,rankings,ties}.parquet and, last, audit/manifest.json. Ids and numbers, no texts.

The vectors of the corpus come from the cache, as in every recording; whatever is done for a query is done live.

The same query asked several times: is what every stage gave the same each time?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof.core import Query, Ranking, environment, files
from ragprof.core.clock import Progress
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
    REPEATED,
    Alone,
    Check,
    Difference,
    Live,
    answer_checks,
    ask_live,
    check_table,
    document_checks,
    ids,
    other_threads,
    present_threads,
    query_checks,
    rerank_checks,
    score_difference,
    thread_checks,
    threads,
    tie_table,
    vector_difference,
    worst,
)


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


FORMAT = 1
RANKING_COLUMNS = ("pipeline", "run", "query_id", "stage", "rank", "doc_id", "document_id", "score")


@dataclass(frozen=True, slots=True)
class Audited:
    """One pipeline's facts as tables."""

    checks: pd.DataFrame
    rankings: pd.DataFrame
    ties: pd.DataFrame


def record_audit(subject: Subject, bench: Bench, *, times: int, queries: int) -> None:
    """Audit every pipeline on a seeded sample of the queries. An older audit in the folder is taken away first."""
    place = bench.folder / "audit"
    for name in ("manifest.json", "judgement.json", "audit.json"):
        (place / name).unlink(missing_ok=True)
    sample = replace(subject, queries=shuffled(subject.queries, subject.config.seed)[:queries])
    _make_ready(sample, bench)
    alone = Alone()
    audited = [
        audit_pipeline(parts, sample, times=times, alone=alone, progress=bench.progress) for parts in subject.pipelines
    ]
    for name in ("checks", "rankings", "ties"):
        tables = [getattr(each, name) for each in audited]
        files.write_table(place / f"{name}.parquet", pd.concat(tables, ignore_index=True))
    files.write_json(place / "manifest.json", manifest(subject, sample, times))


def _make_ready(sample: Subject, bench: Bench) -> None:
    """Models in memory and every store filled."""
    load(sample.pipelines, bench.progress)
    vectors = embed(sample, sample.corpus.docs, bench).documents
    build_indexes(sample.pipelines, sample.corpus.docs, vectors, clock=bench.clock, progress=bench.progress)


def audit_pipeline(parts: Parts, sample: Subject, *, times: int, alone: Alone, progress: Progress) -> Audited:
    """Repetitions first; what they gave the first time is what every other way of doing it is held against."""
    asked = repetitions(parts, sample.queries, times=times, progress=progress)
    lives = asked[0]
    checks = [check for each in zip(*asked, strict=True) for check in repetition_checks(each)]
    checks += other_ways(parts, lives, alone, progress)
    checks += answer_checks(parts, lives, times=times, progress=progress)
    return Audited(
        check_table(parts.name, checks),
        pd.DataFrame(_ranking_rows(parts, asked, checks), columns=list(RANKING_COLUMNS)),
        tie_table(parts, lives, documents=len(sample.corpus.docs)),
    )


def other_ways(parts: Parts, lives: Sequence[Live], alone: Alone, progress: Progress) -> list[Check]:
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


def _ranking_rows(parts: Parts, asked: Sequence[Sequence[Live]], checks: Sequence[Check]) -> Iterator[tuple[Any, ...]]:
    """Every ranking of every repetition; of another way that changed some, the final ones of all queries."""
    for number, lives in enumerate(asked, start=1):
        for live in lives:
            for stage, ranking in live.answer.rankings.items():
                yield from _rows(parts, str(number), (live.query.query_id, stage), ranking)
    for run, finals in changed_runs(checks).items():
        for live in asked[0]:
            ranking = finals.get(live.query.query_id, live.final)
            stage = "rerank" if parts.reranker else "search"
            yield from _rows(parts, run, (live.query.query_id, stage), ranking)


def changed_runs(checks: Sequence[Check]) -> Mapping[str, Mapping[str, Ranking]]:
    """`stage: variant` -> query_id -> final ranking, where that may be another one."""
    changed = [check for check in checks if check.effect and check.effect.final is not None]
    named = sorted(changed, key=run_name)
    return {
        run: {check.query_id: check.effect.final for check in each if check.effect and check.effect.final is not None}
        for run, each in groupby(named, key=run_name)
    }


def run_name(check: Check) -> str:
    return f"{check.stage}: {check.variant}"


def _rows(parts: Parts, run: str, place: tuple[str, str], ranking: Ranking) -> Iterator[tuple[Any, ...]]:
    for rank, item in enumerate(ranking, start=1):
        yield parts.name, run, *place, rank, item.doc.doc_id, item.doc.document_id, item.score


def manifest(subject: Subject, sample: Subject, times: int) -> dict[str, Any]:
    """What the audit rests on."""
    return {
        "format": FORMAT,
        "ragprof_version": version("ragprof"),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"name": subject.corpus.name, "docs": len(subject.corpus.docs), "sha256": subject.corpus.sha256},
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "environment": environment.describe(),
        "times": times,
        "queries": [query.query_id for query in sample.queries],
        "pointwise": {parts.name: parts.reranker.pointwise for parts in subject.pipelines if parts.reranker},
        "threads": {"present": present_threads(), "other": other_threads()},
    }
