"""The record pass: run the pipelines and write down facts. Knows no relevance judgement and no price.

A recording is a folder: manifest.json, rankings/<pipeline>.parquet, spans.parquet, first_tokens.parquet,
usage.parquet, tokens.parquet, builds.parquet. The manifest is written last: a folder without it was not finished.
Vectors and pair scores are kept in the cache as they come, so a killed run goes on where it stopped; live timings
always start anew. Each distinct store is built once, live, with its duration, its bytes and the memory that it took. Of
the configuration a recording keeps no folder of this machine and no secret.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from ragprof.core import Doc, EmbeddedQuery, Query, Trace, Vectors, environment, files
from ragprof.core.caches import unknown_rows
from ragprof.core.clock import Clock, Progress, excluded_ns, now_ns, step
from ragprof.core.errors import BadInput
from ragprof.core.plain import names_secret, without_secrets
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import Embedder, ExistingIndex, IndexesLater, NamedEngine, RemoteEmbedder
from ragprof.core.tokens import counter
from ragprof.corpus import Corpus
from ragprof.corpus.collection import StoredVectors
from ragprof.evals import EvalConfig
from ragprof.record.indexed import IndexedApp
from ragprof.record.pipeline import Parts
from ragprof.record.purse import Purse
from ragprof.record.query import ask, bare
from ragprof.record.rankings import Ranked, Reused, document_vectors, missing_texts, query_vectors, rank_queries
from ragprof.record.timings import ColdStarts, Timings, TraceSink, answered, count_flops, time_pipelines
from ragprof.record.unread import (
    UnreadTexts,
    left_out_by_injectors,
    unknown_to_embedders,
    unread_by_embedders,
    unread_by_rerankers,
)
from ragprof.report.figures import rough_duration

if TYPE_CHECKING:
    import pandas as pd


BUILD_COLUMNS = ("pipeline", "duration_ns", "index_bytes", "peak_rss_bytes")


def build_indexes(
    pipelines: Sequence[Parts], docs: Sequence[Doc], vectors: Mapping[int, Vectors], *, clock: Clock, progress: Progress
) -> pd.DataFrame:
    """Fill every store and return one row a pipeline; pipelines that share a store show the same build.

    An app has an index of its own: it learns the corpus, and has no row. One that is filled anew has a row, without
    its bytes where it does not tell them, and without memory where it is filled in another process.

    `vectors` are the corpus's vectors by id() of the embedder. Embedding is not part of the build. Raises BadInput
    where two pipelines would fill one store differently.
    """
    import pandas as pd

    embedders: dict[int, int] = {}
    for parts in pipelines:  # one store holds the vectors of one embedder
        first = embedders.setdefault(id(parts.store), id(parts.embedder))
        if parts.store.needs_vectors and first != id(parts.embedder):
            raise BadInput(
                f"pipeline '{parts.name}' shares its store with another embedder; give it a store of its own"
            )
    built: dict[int, tuple[int, int | None, int | None]] = {}
    progress.start("build indexes", len({id(parts.store) for parts in pipelines}))
    for parts in pipelines:
        if id(parts.store) not in built:
            environment.reset_peak()
            start, apart = clock(), excluded_ns()
            parts.store.add(docs, vectors.get(id(parts.embedder)) if parts.store.needs_vectors else None)
            duration = clock() - start - (excluded_ns() - apart)
            if isinstance(parts.store, IndexesLater):  # what is asked next is to go through the index
                parts.store.await_index()
            size, peak = parts.store.index_bytes, environment.peak_rss_bytes()
            own = parts.store if isinstance(parts.store, IndexedApp) else None
            known = (size, peak) if own is None else (size or None, None if own.is_elsewhere else peak)
            built[id(parts.store)] = (duration, *known)
            progress.advance(1)
    progress.done()
    rows = [(parts.name, *built[id(parts.store)]) for parts in pipelines if parts.store is not parts.app]
    return pd.DataFrame(rows, columns=list(BUILD_COLUMNS)).astype(dict.fromkeys(BUILD_COLUMNS[1:], "Int64"))


ROOTED = re.compile(r"(?:~|[A-Za-z]:)?[/\\](?:[^/\\\s]+[/\\])*[^/\\\s]+")


def redacted(value: Any, key: str = "") -> Any:
    """A copy with absolute paths cut to their last name and values of secret options starred out."""
    if isinstance(value, Mapping):
        return {name: redacted(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, key) for inner in value]
    if not isinstance(value, str):
        return value
    return "***" if names_secret(key) else without_folders(without_secrets(value))


def without_folders(text: str) -> str:
    """The text with every absolute path in it, or one from home, cut to its last name."""
    words = re.split(r"(\s+)", text)
    return "".join(PurePath(word.replace("\\", "/")).name if ROOTED.match(word) else word for word in words)


OUTSIDE = "outside"
"""The kind of a document in tokens.parquet that is not in the corpus."""
FORMAT = 1
DERIVED = (
    "manifest.json", "settings.json", "judgement.json", "labelled.json", "rates.json", "summary.json",
    "scores.parquet", "costs.parquet", "report.html", "report.md", "report-full.md",
    "reranker.md", "decision.md",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What is recorded: a checked configuration, its corpus and questions, and the pipelines' parts.

    `smallest_part` is how many passages a part of the corpus needs at least; None where nobody may choose one.
    `revision` is the commit that is checked out around the eval file, if there is one.
    """

    config: EvalConfig
    corpus: Corpus
    queries: tuple[Query, ...]
    pipelines: tuple[Parts, ...]
    smallest_part: int | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Bench:
    """Where and how it is recorded."""

    folder: Path
    cache: Path
    progress: Progress
    clock: Clock = now_ns
    sink: TraceSink | None = None
    """Who is told of each live query."""
    purse: Purse | None = None
    """What hosted parts may spend; None: as much as it takes."""


@dataclass(frozen=True, slots=True)
class EmbeddedTokens:
    """What a server counted for the whole corpus, and for each query's text; None where it did not say."""

    documents: int | None
    queries: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors of the corpus and the queries by id() of the embedder, and the work they took."""

    documents: dict[int, Vectors]
    queries: dict[int, Vectors]
    work: dict[str, int]
    unknown: dict[int, tuple[int, int]] = field(default_factory=dict)
    """How many documents, and queries, the embedder knows no word of."""
    tokens: dict[int, EmbeddedTokens] = field(default_factory=dict)
    """What servers counted; of embedders that do not count, nothing."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Pipelines that can be asked: models loaded, corpus embedded, indexes built, the first calls taken."""

    embedding: Embedding
    builds: pd.DataFrame
    cold: dict[str, Trace]


def record(subject: Subject, bench: Bench) -> None:
    """Make a recording in `bench.folder`. What was made of an older one there is taken away first."""
    clear(bench.folder)
    made = ready(subject, bench)
    ranked = rank(subject, made.embedding, bench)
    timed = shuffled(subject.queries, subject.config.seed)
    timings = time_pipelines(
        subject.pipelines,
        timed,
        timing=subject.config.timing,
        clock=bench.clock,
        progress=bench.progress,
        sink=bench.sink,
    )
    count_flops(subject.pipelines, timed[: subject.config.gate.flop_queries], timings, bench.progress)
    found = unread(subject, made.embedding, ranked, bench)
    write(subject, bench, made, ranked, timings, unread=[each.model_dump(mode="json") for each in found])


def record_untimed(subject: Subject, bench: Bench, *, asked: Sequence[str], queries: int) -> None:
    """As `record`, but times nothing: rankings and prompts, and what the models of the pipelines in `asked` use.

    Those are asked a few queries live, once each, to count it.
    """
    clear(bench.folder)
    made = ready(subject, bench)
    ranked = rank(subject, made.embedding, bench)
    order, timings = shuffled(subject.queries, subject.config.seed), Timings()
    pipelines = [parts for parts in subject.pipelines if parts.name in asked]
    some = order[:queries] if pipelines else ()
    with step(bench.progress, "count what queries use", len(pipelines) * len(some)):
        for parts in pipelines:
            for query in answered(parts, some):
                timings.add_usage(parts.name, ask(parts, query, bare))
                bench.progress.advance(1)
    count_flops(subject.pipelines, order[: subject.config.gate.flop_queries], timings, bench.progress)
    found = unread(subject, made.embedding, ranked, bench)
    told = [each.model_dump(mode="json") for each in found]
    write(subject, bench, made, ranked, timings, unread=told, untimed=True)


def unread(subject: Subject, embedding: Embedding, ranked: Mapping[str, Ranked], bench: Bench) -> list[UnreadTexts]:
    """What embedders, rerankers and injectors left unread of what they were given."""
    bench.progress.start("find cut texts", 1)
    docs = {doc.doc_id: doc for doc in subject.corpus.docs}
    queries = {query.query_id: query for query in subject.queries}
    candidates = {}
    for name in (parts.name for parts in subject.pipelines if parts.reranker is not None):
        result = ranked[name]
        found = result.rankings[result.rankings["stage"] == "search"]
        pairs = zip(found["query_id"], found["doc_id"], strict=True)
        candidates[name] = [(queries[query_id], docs[doc_id]) for query_id, doc_id in pairs]
    passages, asked = [doc.content for doc in docs.values()], [query.text for query in subject.queries]
    told = [
        *unread_by_embedders(subject.config, subject.pipelines, passages=passages, queries=asked, cache=bench.cache),
        *unknown_to_embedders(subject.config, subject.pipelines, embedding.unknown, of=(len(docs), len(queries))),
        *unread_by_rerankers(subject.config, subject.pipelines, candidates, cache=bench.cache),
        *left_out_by_injectors({name: result.tokens for name, result in ranked.items()}),
    ]
    bench.progress.done()
    return told


def clear(folder: Path) -> None:
    """Take away what was made of an older recording, and what killed runs left half-written."""
    files.sweep(folder)
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)


def ready(subject: Subject, bench: Bench) -> Ready:
    """Load, embed and build, and take the first call of every part before anything warms it."""
    load(subject.pipelines, bench.progress)
    cold = ColdStarts(bench.clock)
    first = shuffled(subject.queries, subject.config.seed)[0]
    cold.embedders(subject.pipelines, first)
    embedding = embed(subject, subject.corpus.docs, bench)
    builds = build_indexes(
        subject.pipelines, subject.corpus.docs, embedding.documents, clock=bench.clock, progress=bench.progress
    )
    return Ready(embedding, builds, cold.queries(subject.pipelines, first))


def write(
    subject: Subject, bench: Bench, made: Ready, ranked: dict[str, Ranked], timings: Timings, **facts: Any
) -> None:
    """The tables of a recording and, last, its manifest with `facts` besides its own."""
    for name, trace in made.cold.items():
        timings.add(name, "cold", 0, trace)
    files.write_table(bench.folder / "builds.parquet", made.builds)
    files.write_table(bench.folder / "spans.parquet", timings.span_table())
    files.write_table(bench.folder / "first_tokens.parquet", timings.first_token_table())
    files.write_table(bench.folder / "usage.parquet", usage_table(subject, ranked, timings, made.embedding))
    tokens = token_table(subject, counter(subject.config.tokenizer), bench.progress)
    files.write_table(bench.folder / "tokens.parquet", tokens)
    work = {**made.embedding.work, "pairs_scored": sum(result.pairs_scored for result in ranked.values())}
    embedded = corpus_tokens(subject, made.embedding)
    if embedded:
        facts["embedded_tokens"] = embedded
    write_sealed(
        bench.folder / "manifest.json",
        {**manifest(subject, tokens, work, timings), **facts},
        *(f"{name}.parquet" for name in ("builds", "spans", "first_tokens", "usage", "tokens", "rankings/*")),
    )


def load(pipelines: Sequence[Parts], progress: Progress) -> None:
    """Bring every model into memory, each part once."""
    parts = list({id(part): part for pipeline in pipelines for part in pipeline.stages}.values())
    progress.start("load models", len(parts))
    for part in parts:
        part.load()
        progress.advance(1)
    progress.done()


def embed(subject: Subject, docs: Sequence[Doc], bench: Bench) -> Embedding:
    """Each distinct text of the documents and queries once for each distinct embedder."""
    embedding = Embedding({}, {}, {"docs_embedded": 0, "docs_reused": 0, "queries_embedded": 0})
    embedders: dict[int, Embedder] = {
        id(parts.embedder): parts.embedder for parts in subject.pipelines if parts.embedder is not None
    }
    contents = [doc.content for doc in docs]
    questions = [query.text for query in subject.queries]
    existing = check_existing(subject.pipelines, bench.progress)
    for key, embedder in embedders.items():
        stored, pay = subject.corpus.stored if key in existing else None, None
        texts = contents if stored is None else [doc.content for doc in docs if doc.doc_id not in stored.places]
        if bench.purse is not None and isinstance(embedder, RemoteEmbedder):
            pay = bench.purse.opened(embedder, expected_tokens(subject, embedder, texts, bench.cache))
        documents = document_vectors(
            embedder, texts, cache=bench.cache, progress=bench.progress, foretell=partial(foretold, subject), pay=pay
        )
        documents = documents if stored is None else with_stored(documents, docs, stored)
        queries = query_vectors(embedder, questions, cache=bench.cache, progress=bench.progress, pay=pay)
        if isinstance(embedder, RemoteEmbedder):
            embedding.tokens[key] = EmbeddedTokens(
                None if documents.tokens is None else round(float(documents.tokens.sum())),
                None
                if queries.tokens is None
                else {text: max(1, round(each)) for text, each in zip(questions, queries.tokens.tolist(), strict=True)},
            )
        if documents.unknown == len(contents):
            raise BadInput(
                f"the embedder '{embedder.identity}' knows no word of any passage, so nothing could be found; "
                "name one that knows their language"
            )
        embedding.documents[key], embedding.queries[key] = documents.vectors, queries.vectors
        embedding.unknown[key] = documents.unknown, queries.unknown
        embedding.work["docs_embedded"] += documents.computed
        embedding.work["docs_reused"] += len(contents) - documents.computed
        embedding.work["queries_embedded"] += queries.computed
    return embedding


def check_existing(pipelines: Sequence[Parts], progress: Progress) -> set[int]:
    """Compare embedders with the indexes that exist, before anything is embedded; id() of those that filled one."""
    found: dict[tuple[int, int], tuple[ExistingIndex, Embedder]] = {}
    for parts in pipelines:
        if isinstance(parts.store, ExistingIndex) and parts.store.is_existing and parts.embedder is not None:
            found[id(parts.store), id(parts.embedder)] = parts.store, parts.embedder
    if found:
        with step(progress, "compare embedders with the index"):
            for store, embedder in found.values():
                store.check_embedder(embedder)
    return {embedder for _, embedder in found}


def with_stored(embedded: Reused, docs: Sequence[Doc], stored: StoredVectors) -> Reused:
    """Vectors of all documents: as an index holds them where it does, those of the others as they were embedded."""
    held = np.array([doc.doc_id in stored.places for doc in docs], bool)
    vectors = np.empty((len(docs), stored.width), np.float32)
    vectors[held] = stored.of([doc.doc_id for doc in docs if doc.doc_id in stored.places])
    if not held.all():
        vectors[~held] = embedded.vectors
    return replace(embedded, vectors=vectors, unknown=int(unknown_rows(vectors).sum()))


def expected_tokens(subject: Subject, embedder: Embedder, contents: Sequence[str], cache: Path) -> int:
    """About how many tokens a server will read: of texts that are not in the cache, and of live queries."""
    new = missing_texts(embedder, contents, "document", cache=cache)
    return sum(map(counter(subject.config.tokenizer), new)) + query_tokens(subject, embedder, cache)


def query_tokens(subject: Subject, embedder: Embedder, cache: Path) -> int:
    """The same of queries alone: once for the rankings where they are not in the cache, and in every live round."""
    count, timing = counter(subject.config.tokenizer), subject.config.timing
    questions = [query.text for query in subject.queries]
    pipelines = sum(parts.embedder is embedder for parts in subject.pipelines)
    live = pipelines * (timing.rounds + 1) * sum(map(count, questions))
    return live + sum(map(count, missing_texts(embedder, questions, "query", cache=cache)))


LONG_S, SHORT_S = 120.0, 60.0
"""Seconds of embedding from which a part of the corpus is offered, and that embedding a part should take."""


def foretold(subject: Subject, texts: int, each_s: float) -> str | None:
    """Return what embedding so many texts takes and, where that is long, how many passages would do for a first report.

    None where it is over in a moment.
    """
    seconds = texts * each_s
    if seconds < LONG_S / 4:
        return None
    said = f"embedding {texts:,} passages: about {rough_duration(seconds)}"
    part = max(100 * round(SHORT_S / each_s / 100), subject.smallest_part or 0)
    if subject.smallest_part is None or seconds < LONG_S or part > len(subject.corpus.docs) / 2:
        return said
    # A reranker reads no more texts than there are, each about as long as embedding it takes.
    readers = 1 + len({id(parts.reranker) for parts in subject.pipelines if parts.reranker is not None})
    first = readers * part * each_s + subject.config.timing.seconds
    return f"{said}; --passages {part} would give a first report in about {rough_duration(first)}"


def rank(subject: Subject, embedding: Embedding, bench: Bench) -> dict[str, Ranked]:
    """Rankings of every pipeline, written as soon as each is done."""
    results = {}
    for parts in subject.pipelines:
        queries = embedded_queries(subject.queries, embedding.queries.get(id(parts.embedder)))
        count = counter(subject.config.tokenizer)
        result = rank_queries(parts, queries, cache=bench.cache, count=count, progress=bench.progress)
        files.write_table(bench.folder / "rankings" / f"{parts.name}.parquet", result.rankings)
        results[parts.name] = result
    return results


def embedded_queries(queries: Sequence[Query], vectors: Vectors | None) -> list[EmbeddedQuery]:
    """The queries with their vectors, where the pipeline has an embedder."""
    return [EmbeddedQuery(query, None if vectors is None else vectors[row]) for row, query in enumerate(queries)]


def shuffled(queries: Sequence[Query], seed: int) -> tuple[Query, ...]:
    """All queries in one seeded order, so that any prefix is a random sample."""
    order = list(queries)
    random.Random(seed).shuffle(order)
    return tuple(order)


def corpus_tokens(subject: Subject, embedding: Embedding) -> dict[str, int]:
    """Pipeline -> tokens of its whole corpus as the server counted them, where one did."""
    found = {parts.name: embedding.tokens.get(id(parts.embedder)) for parts in subject.pipelines}
    return {name: each.documents for name, each in found.items() if each is not None and each.documents is not None}


def usage_table(subject: Subject, ranked: dict[str, Ranked], timings: Timings, embedding: Embedding) -> pd.DataFrame:
    """What the stages reported in live calls, and the prompt's tokens of every query.

    Of queries that no live call was made of, what a server counted as it embedded them for the rankings stands in.
    """
    import pandas as pd

    tokens = [
        result.tokens.assign(pipeline=name, stage="inject")[["pipeline", "query_id", "stage", "unit", "count"]]
        for name, result in ranked.items()
    ]
    live = timings.usage_table()
    counted = live[(live["stage"] == "embed") & (live["unit"] == "input_tokens")]
    rows: list[tuple[str, str, str, str, int]] = []
    for parts in subject.pipelines:
        told = embedding.tokens.get(id(parts.embedder))
        if told is not None and told.queries is not None:
            asked = set(counted.loc[counted["pipeline"] == parts.name, "query_id"])
            others = [query for query in subject.queries if query.query_id not in asked]
            rows += [(parts.name, each.query_id, "embed", "input_tokens", told.queries[each.text]) for each in others]
    untimed = [pd.DataFrame(rows, columns=["pipeline", "query_id", "stage", "unit", "count"])] if rows else []
    return pd.concat([*tokens, live[live["stage"] != "inject"], *untimed], ignore_index=True)


def token_table(subject: Subject, count: Callable[[str], int], progress: Progress) -> pd.DataFrame:
    """Tokens of every document and query by the eval's tokenizer, and of documents that only an app has."""
    import pandas as pd

    progress.start("count tokens", len(subject.corpus.docs))
    rows = [("query", query.query_id, count(query.text)) for query in subject.queries]
    for doc in subject.corpus.docs:
        rows.append(("doc", doc.doc_id, count(doc.content)))
        progress.advance(1)
    progress.done()
    outside: dict[str, int] = {}
    for parts in subject.pipelines:
        outside |= {} if parts.app is None else parts.app.log.unknown_tokens
    rows += [(OUTSIDE, doc_id, tokens) for doc_id, tokens in outside.items()]
    return pd.DataFrame(rows, columns=["kind", "id", "tokens"])


def manifest(subject: Subject, tokens: pd.DataFrame, work: dict[str, int], timings: Timings) -> dict[str, Any]:
    """What the recording rests on: configuration, corpus, versions, machine, work done."""
    corpus_tokens = int(tokens.loc[tokens["kind"] == "doc", "tokens"].sum())
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
            "reading": subject.corpus.account.model_dump(mode="json"),
            **({} if subject.corpus.whole is None else {"whole": asdict(subject.corpus.whole)}),
            "tokens": corpus_tokens,
            "sha256": subject.corpus.sha256,
            "versions": subject.corpus.manifest.get("versions"),
        },
        **({} if subject.revision is None else {"revision": subject.revision}),
        "queries": len(subject.queries),
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        **({"apps": apps} if (apps := facts_of_apps(subject.pipelines)) else {}),
        "depths": {parts.name: parts.depth for parts in subject.pipelines},
        "environment": environment.describe(),
        "engines": engines(subject.pipelines),
        "work": work,
        "peak_rss_bytes": timings.peaks,
    }  # fmt: skip


def facts_of_apps(pipelines: Sequence[Parts]) -> dict[str, dict[str, Any]]:
    """Of each pipeline that is an app: what it is, and what was noticed while it was asked."""
    return {
        parts.name: {
            "kind": parts.app.kind,
            "description": parts.app.app.description,
            "target": without_folders(parts.app.target),
            **parts.app.log.facts(),
        }
        for parts in pipelines
        if parts.app is not None
    }


def fingerprint_of(queries: Sequence[Query]) -> str:
    """sha256 over ids, texts and own documents, in order."""
    asked = [(query.query_id, query.text, query.own_document) for query in queries]
    return hashlib.sha256(json.dumps(asked, ensure_ascii=True).encode()).hexdigest()


def engines(pipelines: Sequence[Parts]) -> dict[str, dict[str, dict[str, str]]]:
    """By pipeline and stage: the call that was timed, and its number format. Parts that do not tell are left out."""
    return {
        parts.name: {
            stage: {"engine": part.engine, "precision": part.precision}
            for stage, part in parts.by_stage.items()
            if isinstance(part, NamedEngine)
        }
        for parts in pipelines
    }


def identities(pipelines: Sequence[Parts]) -> dict[str, dict[str, str | None]]:
    """What the parts of each pipeline call themselves."""
    return {
        parts.name: {"app": parts.app.identity}
        if parts.app is not None
        else {
            "embedder": parts.embedder.identity if parts.embedder else None,
            "store": parts.store.identity,
            "reranker": parts.reranker.identity if parts.reranker else None,
            "injector": parts.injector.identity,
            "generator": parts.generator.identity if parts.generator else None,
        }
        for parts in pipelines
    }
