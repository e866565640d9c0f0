"""Files of traces to tables: one row a trace and stage, one a model call, one a trace. Nothing is run, no text is kept.

Of questions and passages ids alone are written; a question that is judged is known by its text while it is read.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from ragprof.core import OTHER, STAGES
from ragprof.core.clock import Progress, step
from ragprof.core.collecting import give_back_large_blocks, without_collecting
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.evals.traced import KIND, UNACCOUNTED, WHOLE
from ragprof.traces import SpanFacts
from ragprof.traces.otlp import UNNAMED
from ragprof.traces.reading import TraceAccount, read_spans
from ragprof.traces.spill import by_trace
from ragprof.traces.trees import REST, Documents, TraceFacts, trace_of

TRACES = 4_000
"""Of which the rows are in memory at a time."""
MOST_OTHER = 60
"""Names of other stages that are told apart; the rest share one, so that a name with an id in it fills no memory."""
TIMED = "timed"
REST_OF_OTHERS = f"{OTHER}(more names)"
TEXT = pa.dictionary(pa.int32(), pa.string())
OWNER = [("pipeline", TEXT), ("query_id", TEXT)]
"""The first columns of each table: whose trace it is."""
SCHEMAS: Mapping[str, pa.Schema] = {
    "spans": pa.schema([
        *OWNER, ("phase", TEXT), ("stage", TEXT), ("round", pa.int8()), ("start_ns", pa.int64()),
        ("duration_ns", pa.int64()), ("path_ns", pa.int64()),
    ]),
    "usage": pa.schema([*OWNER, ("stage", TEXT), ("unit", TEXT), ("count", pa.int64())]),
    "calls": pa.schema([
        *OWNER, ("stage", TEXT), ("provider", TEXT), ("model", TEXT), ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()), ("cached_tokens", pa.int64()), ("docs", pa.int64()),
        ("reported_usd", pa.float64()),
    ]),
    "traces": pa.schema([
        *OWNER, ("name", TEXT), ("question", TEXT), ("asked", TEXT), ("start_ns", pa.int64()),
        ("duration_ns", pa.int64()), ("first_token_ns", pa.int64()), ("spans", pa.int32()), ("errors", pa.int32()),
        ("retries", pa.int32()), ("failed", pa.bool_()), ("reranked", pa.int32()), ("set_changed", pa.bool_()),
        ("order_changed", pa.bool_()), ("first_changed", pa.bool_()), ("candidates", pa.int32()),
        ("injected", pa.int32()), ("deepest", pa.int32()), ("question_key", pa.int64()), ("session_key", pa.int64()),
    ]),
    "ranked": pa.schema([
        *OWNER, ("stage", TEXT), ("rank", pa.int32()), ("doc_id", TEXT), ("document_id", TEXT), ("score", pa.float64()),
    ]),
}  # fmt: skip


@dataclass
class TraceTally:
    """What all traces have together."""

    spans: int = 0
    traces: int = 0
    without_stage: int = 0
    rootless: int = 0
    unfinished: int = 0
    repeated: int = 0
    skewed: int = 0
    overlapping: int = 0
    timed: int = 0
    sampled: Counter[str] = field(default_factory=Counter)
    kept_share: float | None = None
    asked_again: int = 0
    pipelines: Counter[str] = field(default_factory=Counter)
    queries: set[tuple[str, str]] = field(default_factory=set)

    def add(self, trace: TraceFacts, *, pipeline: str | None) -> None:
        """Count a trace; one without a pipeline is left out of the profile."""
        self.spans += trace.spans
        self.repeated += trace.repeated
        self.sampled.update(trace.sampled)
        if trace.kept_share is not None:
            self.kept_share = min(trace.kept_share, self.kept_share or 1.0)
        if pipeline is None:
            self.without_stage += 1
            return
        self.traces += 1
        self.pipelines[pipeline] += 1
        if trace.query_id is not None:
            self.asked_again += (pipeline, trace.query_id) in self.queries
            self.queries.add((pipeline, trace.query_id))
        self.rootless += not trace.is_rooted
        self.unfinished += trace.unfinished
        self.skewed += trace.skewed
        self.timed += trace.duration_ns is not None or not trace.untimed.issuperset(trace.busy_ns)
        busy, path = sum(trace.busy_ns.values()), sum(trace.path_ns.values())
        self.overlapping += bool(path) and busy > path

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("pipelines", "queries")}


class TraceTables:
    """Parquet files that grow by traces, a few thousand in memory at a time.

    Rows of `spans`, `usage` and the others begin with the place of their trace among those in memory, in place of its
    pipeline and its id.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
        self._owners: list[tuple[str, str]] = []
        # Keys of one profile tell what repeats in it; without the salt nobody can look up whether a text was asked.
        self._salt = token_bytes(16)
        self._writers = {
            name: stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema))
            for name, schema in SCHEMAS.items()
        }

    def begin(self, pipeline: str, trace_id: str) -> int:
        """Return the place of a trace whose rows come now."""
        if len(self._owners) == TRACES:
            self.write()
        self._owners.append((pipeline, trace_id))
        return len(self._owners) - 1

    def key_of(self, told: str | None) -> int | None:
        """Return a number for a question or a session, the same for the same words."""
        if told is None:
            return None
        words = " ".join(told.casefold().split()).encode(errors="replace")
        return int.from_bytes(hashlib.blake2b(words, digest_size=6, key=self._salt).digest(), "big")

    def write(self) -> None:
        """Write what is in memory."""
        pipelines, traces = (pa.array(names, pa.string()) for names in zip(*self._owners, strict=True))
        for name, rows in self.rows.items():
            if rows:
                schema = SCHEMAS[name]
                places, *columns = zip(*rows, strict=True)
                owners = pa.array(places, pa.int32())
                arrays = [pipelines.take(owners).dictionary_encode(), pa.DictionaryArray.from_arrays(owners, traces)]
                for column, field in zip(columns, list(schema)[2:], strict=True):
                    is_text = field.type == TEXT
                    array = pa.array(column, pa.string() if is_text else field.type)
                    arrays.append(array.dictionary_encode() if is_text else array)
                self._writers[name].write_table(pa.table(arrays, schema=schema))
                rows.clear()
        self._owners.clear()


class StageNames(dict[str, str]):
    """What stages are called in the tables: without the numbers in the names of others, and few enough names."""

    def __init__(self) -> None:
        super().__init__({stage: stage for stage in STAGES})
        self[REST] = UNACCOUNTED
        self._others: set[str] = set()

    def __missing__(self, stage: str) -> str:
        plain = re.sub(r"[0-9a-fA-F-]{8,}|\d+", "#", stage.removeprefix(OTHER))[:60]
        name = f"{OTHER}{plain}"
        if name not in self._others:
            if len(self._others) < MOST_OTHER:
                self._others.add(name)
            else:
                name = REST_OF_OTHERS
        if len(self) < 100 * MOST_OTHER:
            self[stage] = name
        return name

    def added_up(self, times: Mapping[str, int]) -> dict[str, int]:
        """Return the times of stages by these names."""
        told: dict[str, int] = {}
        for stage, value in times.items():
            name = self[stage]
            told[name] = told.get(name, 0) + value
        return told


def record_traces(
    paths: Sequence[Path],
    folder: Path,
    *,
    config: Mapping[str, Any],
    judged: Mapping[str, str],
    progress: Progress,
) -> None:
    """Read the files and write the tables and the manifest of a trace profile into the folder.

    `config` is what the manifest says besides the pipelines, which the traces name; `judged` is the digest of a judged
    question's text -> its id. Raises BadInput for a file that cannot be read, and where no span tells its stage.
    """
    give_back_large_blocks()
    total = sum(path.stat().st_size * (5 if path.suffix in (".gz", ".parquet") else 1) for path in paths)
    accounts = [TraceAccount(path) for path in paths]
    found, pipelines = TraceTally(), PipelineNames()
    with ExitStack() as stack:
        tables = TraceTables(folder, stack)
        names = StageNames()
        read = _all_spans(accounts, progress)
        stack.enter_context(without_collecting())
        for spans in by_trace(read, total_bytes=total, beside=folder):
            trace = trace_of(spans)
            pipeline = pipelines[trace.service] if trace.is_rag else None
            found.add(trace, pipeline=pipeline)
            if pipeline is not None:
                _add_trace(tables, trace, pipeline, names, judged)
        if found.traces:
            tables.write()
    if not found.traces:
        raise BadInput(
            f"{counted(found.spans, 'span')}, none of which tells that it embeds, searches, reranks or generates; what "
            "tells it are openinference.span.kind, gen_ai.operation.name, Langfuse's types and Phoenix's kinds "
            "(docs/traces.md)",
            file=paths[0],
        )
    if not found.timed:
        raise BadInput(
            f"none of its {counted(found.spans, 'span')} has an end after its beginning, so nothing is told of time; "
            "export them once they have ended",
            file=paths[0],
        )
    manifest = {
        "format": 1,
        "kind": KIND,
        "ragprof_version": version("ragprof"),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recording": uuid4().hex,
        "config": {**config, "pipelines": [{"name": name} for name, _ in found.pipelines.most_common()]},
        "sources": [_source(account) for account in accounts],
        "counts": {**found.as_json(), "renamed": pipelines.renamed()},
    }
    write_sealed(folder / "manifest.json", manifest, *(f"{name}.parquet" for name in SCHEMAS))


def _all_spans(accounts: Sequence[TraceAccount], progress: Progress) -> Iterator[SpanFacts]:
    for account in accounts:
        size = account.path.stat().st_size if account.path.is_file() else 1
        with step(progress, f"read {account.path.name}", max(2, size)):
            yield from read_spans(account.path, account, progress.advance)


def _source(account: TraceAccount) -> dict[str, Any]:
    return {
        "name": account.path.name, "bytes": account.path.stat().st_size, "spans": dict(account.spans),
        "unread": account.unread, "first_unread": account.first_unread, "foreign": account.foreign,
        "too_long": account.too_long, "cut_off": account.cut_off and account.unread > 0,
        "without_trace": account.without_trace, "lost_attributes": account.lost_attributes,
    }  # fmt: skip


class PipelineNames(dict[str, str]):
    """Services by the names of pipelines, which may stand in the name of a file: no two have one in common."""

    def __missing__(self, service: str) -> str:
        # Letters with accents lose them; what has no letter of ASCII is known by a digest.
        plain = unicodedata.normalize("NFKD", service).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9+._ -]", "-", plain).strip(" -._+")[:80] or UNNAMED
        if name in self.values() or (name == UNNAMED and service != UNNAMED):
            name = f"{name[:70]}-{hashlib.sha256(service.encode(errors='replace')).hexdigest()[:8]}"
        self[service] = name
        return name

    def renamed(self) -> dict[str, str]:
        """Name -> service, of those that are called otherwise."""
        return {name: service for service, name in self.items() if name != service}


def digest_of(question: str) -> str:
    """Return what a question is known by: a digest of its words, without regard to case and blanks."""
    return hashlib.sha256(" ".join(question.casefold().split()).encode(errors="replace")).hexdigest()


def _add_trace(
    tables: TraceTables, trace: TraceFacts, pipeline: str, names: StageNames, judged: Mapping[str, str]
) -> None:
    owner, start = tables.begin(pipeline, trace.trace_id), trace.start_ns
    spans, usage, calls = tables.rows["spans"], tables.rows["usage"], tables.rows["calls"]
    if trace.duration_ns is not None:
        spans.append((owner, TIMED, WHOLE, 0, start, trace.duration_ns, trace.duration_ns))
    paths = names.added_up(trace.path_ns)
    untimed = {names[stage] for stage in trace.untimed}
    for stage, busy in names.added_up(trace.busy_ns).items():
        if stage not in untimed:
            path = paths.get(stage, 0) if paths else None
            spans.append((owner, TIMED, stage, 0, trace.starts_ns.get(stage, start), busy, path))
    for (stage, unit), count in _usage_of(trace).items():
        usage.append((owner, stage, unit, count))
    for call in trace.model_calls:
        calls.append((
            owner, call.stage, call.provider, call.model, call.input_tokens, call.output_tokens, call.cached_tokens,
            call.docs, call.reported_usd,
        ))  # fmt: skip
    question = judged.get(digest_of(trace.question)) if judged and trace.question else None
    tables.rows["traces"].append((
        owner, trace.name[:80], question, trace.query_id, start, trace.duration_ns, trace.first_token_ns, trace.spans,
        sum(trace.errors.values()), sum(trace.retries.values()), trace.failed, len(trace.rerankings),
        *_changes(trace), *_depth(trace), tables.key_of(trace.question), tables.key_of(trace.session),
    ))  # fmt: skip
    if question is not None:
        for stage, ranking in _rankings(trace).items():
            for rank, doc_id in enumerate(dict.fromkeys(ranking), start=1):
                tables.rows["ranked"].append((owner, stage, rank, doc_id, doc_id, 1.0 / rank))


def _usage_of(trace: TraceFacts) -> dict[tuple[str, str], int]:
    """What each stage did, in units that a comparison knows: calls, tokens, passages; errors and retries if any.

    What a recording of ragprof counted goes before what the spans show.
    """
    used: dict[tuple[str, str], int] = {}
    used |= {(stage, "calls"): trace.calls[stage] for stage in STAGES if stage in trace.calls}
    for unit, numbers in (("errors", trace.errors), ("retries", trace.retries)):
        if numbers:
            used |= {(stage, unit): numbers[stage] for stage in STAGES if stage in numbers}
    for call in trace.model_calls:
        if call.input_tokens is not None:
            used[call.stage, "input_tokens"] = used.get((call.stage, "input_tokens"), 0) + call.input_tokens
        if call.output_tokens is not None:
            used[call.stage, "output_tokens"] = used.get((call.stage, "output_tokens"), 0) + call.output_tokens
        if call.cached_tokens:
            used[call.stage, "cached_tokens"] = used.get((call.stage, "cached_tokens"), 0) + call.cached_tokens
    if trace.found:
        used["search", "docs_found"] = len(trace.found)
    if trace.rerankings:
        used["rerank", "docs_scored"] = sum(len(offered) for offered, _ in trace.rerankings)
    if trace.injected is not None:
        used["inject", "docs_injected"] = len(trace.injected)
    return used | trace.usage


def _changes(trace: TraceFacts) -> tuple[bool | None, bool | None, bool | None]:
    """Whether any reranking changed the set, the order, the first passage; None where there was nothing to compare.

    The set is that of as many passages as the reranker let through; where it let all through, of as many as the prompt
    has, and where nobody knows that, no set was chosen.
    """
    if not trace.rerankings:
        return None, None, None
    sets, orders, firsts = [], [], []
    for offered, reranked in trace.rerankings:
        before, after = _ids(offered), _ids(reranked)
        if not before or not after:
            continue
        kept = min(len(after), len(before))
        orders.append(before[:kept] != after[:kept])
        firsts.append(before[0] != after[0])
        chosen = kept if kept < len(before) else None
        if chosen is None and trace.injected is not None and 0 < len(trace.injected) < len(before):
            chosen = len(trace.injected)
        if chosen is not None:
            sets.append({*before[:chosen]} != {*after[:chosen]})
    return tuple(any(each) if each else None for each in (sets, orders, firsts))  # type: ignore[return-value]


def _depth(trace: TraceFacts) -> tuple[int, int | None, int | None]:
    """How many candidates there were, how many passages the prompt holds, and the rank of the deepest of these.

    Without a prompt that tells, what the last reranker let through stands for it, where it held something back.
    """
    candidates = _ids(trace.rerankings[0][0] if trace.rerankings else trace.found)
    used = trace.injected
    if used is None and trace.rerankings:
        offered, reranked = trace.rerankings[-1]
        used = _ids(reranked) if len(reranked) < len(offered) else None
    if used is None:
        return len(candidates), None, None
    ranks = [candidates.index(doc_id) + 1 for doc_id in used if doc_id in candidates]
    return len(candidates), len(used), max(ranks, default=0)


def _rankings(trace: TraceFacts) -> dict[str, list[str]]:
    """Ranking by stage, best first. The prompt's passages stand in the order of what they were chosen from."""
    last = trace.rerankings[-1][1] if trace.rerankings else trace.found
    rankings = {
        "search": _ids(trace.found or (trace.rerankings[0][0] if trace.rerankings else [])),
        "rerank": _ids(trace.rerankings[-1][1]) if trace.rerankings else [],
        "inject": trace.injected or [],
    }
    if trace.injected:
        places = {doc_id: place for place, doc_id in enumerate(_ids(last))}
        rankings["inject"] = sorted(trace.injected, key=lambda doc_id: places.get(doc_id, len(places)))
    return {stage: ranking for stage, ranking in rankings.items() if ranking}


def _ids(documents: Documents) -> list[str]:
    return [str(doc_id) for doc_id, _ in documents]
