"""The timed queries of a recording as traces: OTLP JSON lines with OpenInference or also GenAI attributes.

A trace a pipeline, round and query: a chain with a span a stage, and on these what the recording knows of them: model,
passages with scores, tokens, usage, money, quality. Ids and figures alone, unless texts are asked for; what
OPENINFERENCE_HIDE_* hides stays hidden. A recording's clock counts from nowhere, so the last span is put at the time
at which the recording was written.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd

from ragprof.core import OTHER, Doc, files
from ragprof.core.errors import BadInput
from ragprof.core.recorded import RUN, of_recording, recorded_by
from ragprof.evals.recorded import COSTS, FIRST_TOKENS, RANKING, SPANS, USAGE, read_manifest, read_scores
from ragprof.traces.privacy import hidden, shown
from ragprof.traces.writing import SpanToWrite, request_line

Form: TypeAlias = Literal["otlp", "openinference"]
KINDS: Mapping[str, str] = {
    "embed": "EMBEDDING", "search": "RETRIEVER", "rerank": "RERANKER", "inject": "PROMPT", "generate": "LLM",
}  # fmt: skip
OPERATIONS: Mapping[str, str] = {"embed": "embeddings", "search": "retrieval", "generate": "chat"}
"""GenAI has no operation of reranking and none of building a prompt."""
PARTS: Mapping[str, str] = {
    "embed": "embedder", "search": "store", "rerank": "reranker", "inject": "injector", "generate": "generator",
}  # fmt: skip
Key: TypeAlias = tuple[str, str]
"""query_id, stage"""


@dataclass(frozen=True)
class PipelineRecord:
    """What the recording knows of one pipeline, by query and stage."""

    name: str
    config: Mapping[str, Any]
    depth: int | None
    rankings: Mapping[Key, Sequence[tuple[str, float]]]
    usage: Mapping[Key, Mapping[str, int]]
    usd: Mapping[Key, Decimal | None]
    scores: Mapping[Key, Sequence[tuple[str, float]]]
    first_tokens: Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class SpanTexts:
    """Texts that may be written beside ids; empty where nobody asked for them."""

    questions: Mapping[str, str] = field(default_factory=dict)
    docs: Mapping[str, Doc] = field(default_factory=dict)


@of_recording
def timed_spans(folder: Path) -> pd.DataFrame:
    """Return the spans of the live rounds. Raises BadInput where nothing was timed, or without a beginning."""
    path = folder / "spans.parquet"
    table = SPANS.read(path)
    if "start_ns" not in table:
        raise BadInput(f"its spans have no beginning; {recorded_by(RUN)}", file=path)
    timed = table[table["phase"] == "timed"]
    if timed.empty:
        raise BadInput(f"nothing was timed in it; {recorded_by(RUN)}", file=path)
    return timed


def write_spans(folder: Path, name: str, *, form: Form, into: Path, texts: SpanTexts) -> Path:
    """Write the traces of one pipeline to `<into>/<form>/<pipeline>.jsonl`. Raises as `timed_spans` does."""
    manifest, timed = read_manifest(folder), timed_spans(folder)
    written_ns = round(datetime.fromisoformat(manifest["created"]).timestamp()) * 10**9
    ends = timed["start_ns"] + timed["duration_ns"]
    record = _record(folder, manifest, name)
    resource = resource_of(name, manifest["config"]["name"], manifest["ragprof_version"], manifest["recording"])
    beginnings, offset = hidden(os.environ), written_ns - int(ends.max())
    path = into / form / f"{name}.jsonl"
    with files.whole(path) as partial, partial.open("wb") as stream:
        for rows in (rows for _, rows in timed[timed["pipeline"] == name].groupby(["round", "query_id"], sort=False)):
            number, query_id = int(rows["round"].iloc[0]), str(rows["query_id"].iloc[0])
            places = {
                stage: (offset + int(start), offset + int(start) + int(duration))
                for stage, start, duration in _columns(rows.sort_values("start_ns"), "stage", "start_ns", "duration_ns")
            }
            around = (min(start for start, _ in places.values()), max(end for _, end in places.values()))
            spans = spans_of(record, places.pop("query", around), places, number, query_id, form, texts)
            masked = [replace(each, attributes=shown(each.attributes.items(), beginnings)) for each in spans]
            stream.write(request_line(f"{manifest['recording']}/{name}/{number}/{query_id}", masked, resource))
    return path


def resource_of(pipeline: str, eval_name: str, ragprof_version: str, recording: str) -> dict[str, Any]:
    """Who the traces of a pipeline are of. Phoenix has a project for each eval."""
    return {
        "service.name": pipeline, "telemetry.sdk.name": "ragprof", "ragprof.version": ragprof_version,
        "ragprof.eval": eval_name, "ragprof.recording": recording, "openinference.project.name": eval_name,
    }  # fmt: skip


def _record(folder: Path, manifest: Mapping[str, Any], name: str) -> PipelineRecord:
    config = next(each for each in manifest["config"]["pipelines"] if each["name"] == name)
    rankings: dict[Key, list[tuple[str, float]]] = defaultdict(list)
    table = RANKING.read(folder / "rankings" / f"{name}.parquet").sort_values("rank")
    for query_id, stage, doc_id, score in _columns(table, "query_id", "stage", "doc_id", "score"):
        rankings[query_id, stage].append((doc_id, score))
    usage: dict[Key, dict[str, int]] = defaultdict(dict)
    for query_id, stage, unit, count in _of(name, USAGE.read(folder / "usage.parquet"), "unit", "count"):
        usage[query_id, stage][unit] = int(count)
    usd: dict[Key, Decimal | None] = {}
    for query_id, stage, amount in _of(name, COSTS.read(folder / "costs.parquet"), "usd"):
        before = usd.get((query_id, stage), Decimal(0))
        usd[query_id, stage] = None if before is None or pd.isna(amount) else before + amount
    scores: dict[Key, list[tuple[str, float]]] = defaultdict(list)
    for query_id, stage, metric, value in _of(name, read_scores(folder), "metric", "value"):
        scores[query_id, stage].append((metric, value))
    first = FIRST_TOKENS.read(folder / "first_tokens.parquet")
    mine = first[first["pipeline"] == name]
    return PipelineRecord(
        name=name, config=config, depth=manifest.get("depths", {}).get(name), rankings=rankings, usage=usage, usd=usd,
        scores=scores,
        first_tokens={
            (query_id, int(number)): int(ns)
            for query_id, number, ns in _columns(mine, "query_id", "round", "first_token_ns")
        },
    )  # fmt: skip


def _of(name: str, table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    return _columns(table[table["pipeline"] == name], "query_id", "stage", *columns)


def _columns(table: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].tolist() for name in names), strict=True)


def spans_of(
    record: PipelineRecord, whole: tuple[int, int], places: Mapping[str, tuple[int, int]], number: int, query_id: str,
    form: Form, texts: SpanTexts,
) -> Iterator[SpanToWrite]:  # fmt: skip
    """The root first, then the stages in the order of their `places`: begin and end in ns since 1970."""
    question = texts.questions.get(query_id)
    about = {
        "openinference.span.kind": "CHAIN", "ragprof.stage": "query", "ragprof.query_id": query_id,
        "ragprof.pipeline": record.name, "ragprof.round": number,
    }  # fmt: skip
    yield SpanToWrite(record.name, *whole, {**about, "input.value": question}, None)
    for stage, place in places.items():
        attributes = {"openinference.span.kind": KINDS.get(stage, "CHAIN"), "ragprof.stage": stage}
        if stage in KINDS:  # of an app's other stages nothing is known but their time
            attributes |= dict(_attributes(record, stage, query_id, number, form=form, texts=texts))
        yield SpanToWrite(stage.removeprefix(OTHER), *place, attributes, 0)


def _attributes(
    record: PipelineRecord, stage: str, query_id: str, number: int, *, form: Form, texts: SpanTexts
) -> Iterator[tuple[str, Any]]:
    """What is known of one stage of one query."""
    key, question = (query_id, stage), texts.questions.get(query_id)
    usage = record.usage.get(key, {})
    yield from _model(record, stage, form)
    yield from _passages(record, stage, query_id, form=form, texts=texts)
    if stage in ("embed", "search"):
        yield "input.value", question
    if stage == "embed" and question is not None:
        yield "embedding.embeddings.0.embedding.text", question
    if stage == "rerank":
        yield "reranker.query", question
        yield "ragprof.rerank.candidates", len(record.rankings.get((query_id, "search"), ()))
    yield from _tokens(record, stage, query_id, form)
    if stage == "generate" and (first := record.first_tokens.get((query_id, number))) is not None:
        yield "gen_ai.response.time_to_first_chunk", first / 1e9
    for unit, count in usage.items():
        yield f"ragprof.usage.{unit}", count
    if (usd := record.usd.get(key)) is not None:
        yield "ragprof.cost.usd", float(usd)
    for place, (metric, value) in enumerate(record.scores.get(key, ())):
        yield f"evaluations.{place}.evaluation.name", metric
        yield f"evaluations.{place}.evaluation.score", value
        yield f"evaluations.{place}.evaluation.annotator_kind", "CODE"


def _model(record: PipelineRecord, stage: str, form: Form) -> Iterator[tuple[str, Any]]:
    """The model of a stage, and in GenAI's words its operation. Which models an app has nobody knows."""
    part = {} if record.config.get("app") else record.config.get(PARTS[stage]) or {}
    model = Path(str(part.get("model") or part.get("name") or "")).name or None
    named = {"embed": "embedding.model_name", "rerank": "reranker.model_name", "generate": "llm.model_name"}
    if stage in named:
        yield named[stage], model
    if stage == "rerank":
        yield "reranker.top_k", record.depth
    if form == "otlp" and stage in OPERATIONS:
        yield "gen_ai.operation.name", OPERATIONS[stage]
        yield ("gen_ai.data_source.id" if stage == "search" else "gen_ai.request.model"), model
        if stage == "search":
            yield "gen_ai.retrieval.top_k", record.depth


def _passages(
    record: PipelineRecord, stage: str, query_id: str, *, form: Form, texts: SpanTexts
) -> Iterator[tuple[str, Any]]:
    ranking = record.rankings.get((query_id, stage), ())
    listed = {"search": "retrieval.documents", "rerank": "reranker.output_documents", "inject": "input.documents"}
    if stage not in listed:
        return
    lists = [(listed[stage], ranking)]
    if stage == "rerank":
        lists.insert(0, ("reranker.input_documents", record.rankings.get((query_id, "search"), ())))
    for prefix, documents in lists:
        for place, (doc_id, score) in enumerate(documents):
            yield f"{prefix}.{place}.document.id", doc_id
            yield f"{prefix}.{place}.document.score", score
            if doc_id in texts.docs:
                yield f"{prefix}.{place}.document.content", texts.docs[doc_id].content
    if form == "otlp" and stage == "search":
        yield "gen_ai.retrieval.documents", [{"id": doc_id, "score": score} for doc_id, score in ranking]


def _tokens(record: PipelineRecord, stage: str, query_id: str, form: Form) -> Iterator[tuple[str, Any]]:
    """Tokens that a model read and wrote, in the words of the conventions; the prompt's where an LLM tells none."""
    usage = record.usage.get((query_id, stage), {})
    read, written = usage.get("input_tokens"), usage.get("output_tokens")
    if stage == "generate" and read is None:
        read = record.usage.get((query_id, "inject"), {}).get("prompt_tokens")
    if stage not in ("embed", "generate"):
        return
    yield "llm.token_count.prompt", read
    yield "llm.token_count.completion", written
    if read is not None and written is not None:
        yield "llm.token_count.total", read + written
    yield "llm.token_count.prompt_details.cache_read", usage.get("cached_tokens")
    if form == "otlp":
        yield "gen_ai.usage.input_tokens", read
        yield "gen_ai.usage.output_tokens", written
        yield "gen_ai.usage.cache_read.input_tokens", usage.get("cached_tokens")
