"""What a run and each study would take, said before they run, from small live probes and from the studies' plans."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from ragprof.core import DEFAULT_K, Doc, Query, files
from ragprof.core.caches import digest, known_keys
from ragprof.core.clock import now_ns
from ragprof.core.errors import BadInput
from ragprof.core.stages import CutsTexts, Embedder, LengthLimited
from ragprof.core.tokens import counter
from ragprof.evals import PipelineConfig
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import cache_identity
from ragprof.record.recording import Subject
from ragprof.record.unread import UnreadTexts, unread_by_embedders, unread_by_rerankers
from ragprof.report.figures import corpus_size
from ragprof.session import studies
from ragprof.studies.contract import Request
from ragprof.studies.preparation import prepare

SAMPLE = 400
PROBE = 24
NS = 1e9


@dataclass(frozen=True)
class EvalForecast:
    """Rows of (what, how much) for an eval, and what a reader must know of its questions and judgements."""

    name: str
    rows: Sequence[tuple[str, str]]
    notices: Sequence[str]


def forecast_eval(eval_file: Path, *, corpus: Path | None = None, books: Sequence[Path] = ()) -> EvalForecast:
    """Check an eval file with all that it names, and estimate the main recording and every study of it.

    Raises RagprofError for what the main recording cannot do without. A study that cannot be made says why in its row.
    """
    prepared = prepare(eval_file, corpus=corpus, books=books)
    rows = forecast(prepared.subject, judged=prepared.evaluation.is_judged, cache=files.cache_folder())
    for study in studies.every():
        try:
            plan = study.plan(prepared, Request(eval_file, books=books))
        except BadInput as problem:
            rows.append((study.name, f"not possible as it stands: {problem.message}"))
        else:
            rows += [(f"{study.name}: {what}", much) for what, much in study.estimate(plan, files.cache_folder())]
    return EvalForecast(prepared.subject.config.name, rows, prepared.evaluation.notices)


def forecast(subject: Subject, *, judged: bool, cache: Path) -> list[tuple[str, str]]:
    """Rows of (what, how much). Every estimate says what it rests on."""
    docs = subject.corpus.docs
    sample = random.Random(subject.config.seed).sample(docs, min(SAMPLE, len(docs)))
    mean_tokens = float(np.mean([counter(subject.config.tokenizer)(doc.content) for doc in sample]))
    size = corpus_size(len(docs), subject.corpus.documents)
    rows = [
        ("read", str(subject.corpus.account)),
        *(("left out", str(each)) for each in subject.corpus.account.left_out),
        ("corpus", f"{subject.corpus.name}: {size}, about {mean_tokens * len(docs):,.0f} tokens"),
        ("questions", f"{len(subject.queries):,} {'judged' if judged else 'without judgements'}"),
        ("pipelines", ", ".join(parts.name for parts in subject.pipelines)),
    ]
    seconds = 0.0
    for label, embedder in _embedders(subject).items():
        missing = _missing(embedder, docs, cache)
        needed = missing / _speed(embedder, sample[:PROBE]) if missing else 0.0
        seconds += needed
        rows.append((f"embed with {label}", f"{missing:,} of {len(docs):,} passages are new: about {_minutes(needed)}"))
    for name, parts in _rerankers(subject).items():
        pairs = len(subject.queries) * parts.depth
        needed = pairs / _pair_speed(parts, subject.queries[0], sample[:PROBE])
        seconds += needed
        rows.append((f"rerank with {name}", f"at most {pairs:,} pairs if none is cached: about {_minutes(needed)}"))
    seconds += subject.config.timing.seconds
    rows.append(("time", f"about {_minutes(seconds)} in all, {subject.config.timing.seconds:.0f} s of it live timings"))
    rows += [("cut", each.sentence) for each in _unread(subject, sample)]
    rows.extend(_prompts(subject, pipeline, mean_tokens) for pipeline in subject.config.pipelines)
    return rows


def _unread(subject: Subject, sample: Sequence[Doc]) -> list[UnreadTexts]:
    """What would be left unread of a sample of the passages, of all queries, and of pairs made of both."""
    pairs = list(zip(cycle(subject.queries), sample, strict=False))
    candidates = {parts.name: pairs for parts in subject.pipelines}
    passages, queries = [doc.content for doc in sample], [query.text for query in subject.queries]
    for parts in subject.pipelines:
        for part in (parts.embedder, parts.reranker):
            if isinstance(part, CutsTexts | LengthLimited):
                part.load()
    return [
        *unread_by_embedders(subject.config, subject.pipelines, passages=passages, queries=queries),
        *unread_by_rerankers(subject.config, subject.pipelines, candidates),
    ]


def _embedders(subject: Subject) -> dict[str, Embedder]:
    found: dict[int, tuple[str, Embedder]] = {}
    for parts, config in zip(subject.pipelines, subject.config.pipelines, strict=True):
        if parts.embedder is not None and config.embedder is not None:
            label = str(config.embedder.options.get("model", config.embedder.name))
            found.setdefault(id(parts.embedder), (label, parts.embedder))
    return dict(found.values())


def _rerankers(subject: Subject) -> dict[str, Parts]:
    """Each distinct reranker by its name, with the pipeline that asks it for the most."""
    found: dict[int, Parts] = {}
    for parts in sorted(subject.pipelines, key=lambda parts: -parts.depth):
        if parts.reranker is not None:
            found.setdefault(id(parts.reranker), parts)
    return {parts.name: parts for parts in found.values()}


def _pair_speed(parts: Parts, query: Query, docs: list[Doc]) -> float:
    """Pairs a second on a small sample, the model's cold start left out."""
    if parts.reranker is None:
        return 1.0
    parts.reranker.load()
    parts.reranker.score(query, docs[:1])
    start = now_ns()
    parts.reranker.score(query, docs)
    return len(docs) / max(1e-9, (now_ns() - start) / NS)


def _missing(embedder: Embedder, docs: tuple[Doc, ...], cache: Path) -> int:
    distinct = {digest(doc.content) for doc in docs}
    identity = cache_identity(embedder, "document")
    return len(docs) if identity is None else len(distinct - known_keys(cache / "vectors", identity))


def _speed(embedder: Embedder, docs: list[Doc]) -> float:
    """Passages a second on a small sample, the model's cold start left out."""
    embedder.load()
    embedder.embed_documents([docs[0].content])
    start = now_ns()
    embedder.embed_documents([doc.content for doc in docs])
    return len(docs) / max(1e-9, (now_ns() - start) / NS)


def _prompts(subject: Subject, pipeline: PipelineConfig, mean_tokens: float) -> tuple[str, str]:
    k = int(pipeline.injector.options.get("k", DEFAULT_K))
    budget = pipeline.injector.options.get("tokens")
    tokens = k * mean_tokens if budget is None else min(float(budget), k * mean_tokens)
    llm = pipeline.prices.llm or subject.config.prices.llm
    return f"prompt of {pipeline.name}", f"about {tokens:,.0f} tokens a query{_cost(llm, tokens)}"


def _cost(llm: str | None, tokens: float) -> str:
    if llm is None:
        return ", UNPRICED (no llm in [prices])"
    if ":" not in llm:
        return f", priced by '{llm}'"
    from genai_prices import Usage, calc_price

    provider, _, model = llm.partition(":")
    price = calc_price(Usage(input_tokens=round(tokens)), model_ref=model, provider_id=provider)
    return f", about ${float(price.total_price) * 1000:,.3g} per 1,000 queries with {llm}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
