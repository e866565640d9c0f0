"""Record rerankers in <recording>/reranker/. Knows no relevance judgement and no price.

candidates, live, lengths, windows and signals.parquet; manifest.json is written last. Vectors and pair scores are in
the cache as they come, so a killed run goes on where it stopped; live timings always start anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof import environment, files
from ragprof.core import Doc, Query
from ragprof.errors import BadInput
from ragprof.record.indexes import build_indexes
from ragprof.record.recording import Bench, embed, embedded_queries, fingerprint_of, identities, load, shuffled
from ragprof.record.redaction import redacted
from ragprof.record.reranking.candidates import Candidates
from ragprof.record.reranking.lengths import length_table, lengths_of, window_table
from ragprof.record.reranking.live import time_depths
from ragprof.record.reranking.plan import Arm, Weighing
from ragprof.stages import LengthLimited, RemoteReranker
from ragprof.tokens import counter, remembering

FORMAT = 1
SIGNAL_COLUMNS = ("arm", "signal", "query_id", "value")
DERIVED = (
    "manifest.json", "judgement.json", "rates.json", "judged.parquet", "others.parquet", "moves.parquet",
    "cuts.parquet", "costs.parquet", "prompts.parquet",
)  # fmt: skip


def record_rerankers(weighing: Weighing, bench: Bench) -> None:
    """Make the recording. What was made of an older one in the folder is taken away first."""
    folder, subject = bench.folder / "reranker", weighing.subject
    files.ready_folder(folder, remedy="give another folder with --out (in Python out=)")
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)
    load([arm.parts for arm in weighing.arms], bench.progress)
    embedding = embed(subject, subject.corpus.docs, bench)
    build_indexes(
        subject.pipelines, subject.corpus.docs, embedding.documents, clock=bench.clock, progress=bench.progress
    )
    queries = {
        id(parts.embedder): embedded_queries(subject.queries, embedding.queries.get(id(parts.embedder)))
        for parts in subject.pipelines
    }
    count = counter(subject.config.tokenizer)
    with remembering():
        candidates = Candidates(queries, bench.cache, count, bench.progress)
        for arm in weighing.arms:
            candidates.add(arm)
        files.write_table(folder / "candidates.parquet", candidates.table())
        _write_lengths(weighing, candidates, folder, bench)
        files.write_table(folder / "signals.parquet", signal_table(weighing, candidates))
        live = time_depths(weighing, shuffled(subject.queries, weighing.settings.seed), bench, count=count)
    files.write_table(folder / "live.parquet", live)
    files.write_json(folder / "manifest.json", manifest(weighing, candidates, bench.folder))


def _write_lengths(weighing: Weighing, candidates: Candidates, folder: Path, bench: Bench) -> None:
    lengths, windows = [], []
    bench.progress.start("measure lengths", len(weighing.own))
    measured = []
    for arm in weighing.own:
        pairs = _pairs(arm, candidates)
        measured.append((arm, pairs, lengths_of(arm, pairs)))
        bench.progress.advance(1)
    bench.progress.done()
    for arm, pairs, found in measured:
        lengths.append(length_table(arm, pairs, found))
        if weighing.settings.windows and not candidates.company[arm.name].listwise:
            table, scored = window_table(arm, pairs, found, cache=bench.cache, progress=bench.progress)
            windows.append(table)
            candidates.work["pairs_scored"] += scored
    files.write_table(folder / "lengths.parquet", _joined(lengths, length_table(weighing.own[0], (), ())))
    empty = pd.DataFrame(columns=["arm", "query_id", "doc_id", "windows", "score"])
    files.write_table(folder / "windows.parquet", _joined(windows, empty))


def _joined(tables: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    """The tables that hold anything, behind each other."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else empty


def _pairs(arm: Arm, candidates: Candidates) -> list[tuple[Query, Doc]]:
    """Every pair that the arm's own depth holds."""
    found = zip(candidates.asked(arm), candidates.search(arm, arm.own_depth), strict=True)
    return [(query, item.doc) for query, ranking in found for item in ranking]


def signal_table(weighing: Weighing, candidates: Candidates) -> pd.DataFrame:
    """How sure the search of each pipeline was of each query, by every signal."""
    rows = [
        (arm.name, name, query.query_id, _finite(name, query, signal.value(query, ranking)))
        for arm in weighing.own
        for name, signal in weighing.signals.items()
        for query, ranking in zip(candidates.asked(arm), candidates.search(arm, arm.own_depth), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(SIGNAL_COLUMNS))


def _finite(name: str, query: Query, value: object) -> float:
    """Raises BadInput for what is no number, NaN or infinite."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise BadInput(f"the signal '{name}' gave {value!r} for query '{query.query_id}'; it must be a finite number")


def manifest(weighing: Weighing, candidates: Candidates, home: Path) -> dict[str, Any]:
    """What the recording rests on."""
    subject = weighing.subject
    config = subject.config.model_copy(update={"reranker": weighing.settings})
    return {
        "format": FORMAT,
        "recording": uuid4().hex,
        "config": redacted(config.model_dump(mode="json")),
        "corpus_sha256": subject.corpus.sha256,
        "questions_sha256": fingerprint_of(subject.queries),
        "identities": redacted(identities([replace(arm.parts, name=arm.name) for arm in weighing.arms])),
        "query_ids": sorted(query.query_id for query in subject.queries),
        "arms": {arm.name: _arm(arm, candidates) for arm in weighing.arms},
        "max_k": weighing.max_k,
        **_prompt_tokens(home, [arm.pipeline for arm in weighing.own]),
        "work": candidates.work,
        "environment": environment.describe(),
    }


def _arm(arm: Arm, candidates: Candidates) -> dict[str, Any]:
    reranker = arm.reranker
    return {
        "pipeline": arm.pipeline,
        "student": arm.student,
        "reranker": redacted(arm.spec.model_dump(mode="json")),
        "own_depth": arm.own_depth,
        "own_k": arm.own_k,
        "depths": list(arm.depths),
        "against": arm.against,
        "pointwise": candidates.company[arm.name].as_json(),
        "remote": isinstance(reranker, RemoteReranker) and reranker.remote,
        "max_tokens": reranker.max_tokens if isinstance(reranker, LengthLimited) else None,
        "prefix": arm.prefix and not candidates.company[arm.name].listwise,
    }


def _prompt_tokens(home: Path, pipelines: Sequence[str]) -> dict[str, float]:
    """Mean tokens of the template and of the question, as the main recording counted them."""
    usage = files.read_table(home / "usage.parquet")
    mine = usage[usage["pipeline"].isin(pipelines) & (usage["stage"] == "inject")]
    means = mine.groupby("unit")["count"].mean()
    return {unit: float(means[unit]) for unit in ("template_tokens", "query_tokens")}
