"""What recording would take, tried out on a small scale: live calls, real searches, real prompts.

The corpus is indexed as it is and all questions are searched for, so that candidates and prompts are those of the run.
Where embedding it takes longer than a moment, vectors of a static embedder stand in for those that are not in the cache
yet: other passages then come first, but passages of the same length. A reranker is tried on some candidates alone.
Nothing is written but how fast the models are on this machine, in the cache.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from ragprof.core import Doc, Query, Ranking, Vectors
from ragprof.core.caches import digest, known_keys, unknown_rows
from ragprof.core.clock import Clock, Silent, now_ns
from ragprof.core.errors import AppFailed
from ragprof.core.ranking import without
from ragprof.core.stages import CutsTexts, Embedder, ExistingIndex, Generator, Part, RemoteEmbedder, Reranker, Store
from ragprof.core.tokens import counter
from ragprof.evals.tables import Timing
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.embedders.static import StaticEmbedder
from ragprof.parts.models.encoder import EncoderReranker
from ragprof.record.apps import AskedApp
from ragprof.record.budget import shares, taken_s
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import (
    cache_identity,
    document_vectors,
    missing_texts,
    pair_key,
    query_vectors,
    score_pairs,
)
from ragprof.record.recording import Subject, embedded_queries, load, shuffled
from ragprof.record.speeds import AFTERWARDS, Speeds

SAMPLE = 400
CALLS = 3
"""Live calls of which the median counts, after one that is forgotten."""
PROBE, PROBE_S = 32, 1.5
"""Texts or pairs that a model is tried on first, and seconds that it has to be busy with them."""
MOMENT_S = 10.0
"""What is embedded sooner is embedded for the trial, too."""
INDEXED = 50_000
"""Of a larger corpus a sample is indexed, and what takes time in proportion is scaled up."""
CHARACTERS_PER_TOKEN = 4.5


@dataclass(frozen=True)
class Tried:
    """One pipeline: seconds of each stage of a live query, candidates and prompts of the questions that were tried."""

    embed_s: float
    search_s: float
    rerank_s: float
    inject_s: float
    count_s: float
    """Of counting a prompt's tokens, which no live query does."""
    found: Sequence[tuple[Query, Ranking]]
    prompt_tokens: float

    @property
    def query_s(self) -> float:
        return self.embed_s + self.search_s + self.rerank_s + self.inject_s


T = TypeVar("T")


def texts_read(reranker: Reranker, pairs: Sequence[tuple[Query, Doc]]) -> int:
    """What a model reads to score these pairs: each pair, or each document where it reads them apart from queries."""
    return len({doc.content for _, doc in pairs}) if isinstance(reranker, EncoderReranker) else len(pairs)


@dataclass(frozen=True, slots=True)
class Scoring:
    """Distinct pairs of a reranker, what it reads for them, how much of that is not in the cache, and seconds of one.

    What it reads is a document or a pair: see `texts_read`.
    """

    pairs: int
    reads: int
    new: int
    read_s: float

    @property
    def seconds(self) -> float:
        return self.new * self.read_s


def is_existing(store: Store) -> bool:
    """Whether it is an index of somebody else's, which takes no documents."""
    return isinstance(store, ExistingIndex) and store.is_existing


@dataclass
class Trial:
    """Tries each part once; what it measured is kept."""

    subject: Subject
    cache: Path
    clock: Clock = now_ns
    start_s: float = 0.0
    """From the start of a command until its parts are made."""
    _speeds: dict[tuple[str, int], float] = field(default_factory=dict)
    _built: list[float] = field(default_factory=list)

    def timed(self, function: Callable[[], object]) -> float:
        start = self.clock()
        function()
        return (self.clock() - start) / 1e9

    @cached_property
    def sample(self) -> list[Doc]:
        docs = self.subject.corpus.docs
        return random.Random(self.subject.config.seed).sample(docs, min(SAMPLE, len(docs)))

    @cached_property
    def indexed(self) -> list[Doc]:
        docs = list(self.subject.corpus.docs)
        return docs if len(docs) <= INDEXED else random.Random(self.subject.config.seed).sample(docs, INDEXED)

    @property
    def scale(self) -> float:
        return len(self.subject.corpus.docs) / len(self.indexed)

    @cached_property
    def queries(self) -> tuple[Query, ...]:
        return shuffled(self.subject.queries, self.subject.config.seed)

    def missing(self, embedder: Embedder, docs: Sequence[Doc]) -> list[str]:
        """Distinct texts of documents whose vectors are neither in the cache nor in an index that exists."""
        if self.subject.corpus.stored is not None and self._filled_an_index(embedder):
            return []
        return missing_texts(embedder, [doc.content for doc in docs], "document", cache=self.cache)

    def _filled_an_index(self, embedder: Embedder) -> bool:
        """Whether a pipeline searches an index that exists with it: nothing can stand in for it there."""
        return any(parts.embedder is embedder and is_existing(parts.store) for parts in self.subject.pipelines)

    def embedding_s(self, embedder: Embedder, texts: Sequence[str]) -> float:
        """Seconds that embedding these documents takes, by how many characters are read of each."""
        if not texts:
            return 0.0
        limit = embedder.max_tokens if isinstance(embedder, CutsTexts) else None
        most = None if limit is None else int(limit * CHARACTERS_PER_TOKEN)

        def a_character() -> float:
            embedder.load()
            # What costs money is tried on a few texts alone.
            tried = texts[:PROBE] if isinstance(embedder, RemoteEmbedder) else texts
            return self._rate(embedder.embed_documents, tried, lambda some: sum(len(text[:most]) + 1 for text in some))

        return self._speed("document", embedder, a_character) * sum(len(text[:most]) + 1 for text in texts)

    def _rate(self, work: Callable[[list[T]], object], items: Sequence[T], amount: Callable[[list[T]], int]) -> float:
        """Seconds of one unit, by a seeded sample: four times as large until it takes PROBE_S, since small ones are
        slower by the unit, and none counts that found the model cold."""
        drawn, size = random.Random(0).sample(list(items), len(items)), PROBE
        work(drawn[:1])
        while True:
            some = drawn[:size]
            taken = self.timed(partial(work, some))
            if taken >= PROBE_S or size >= len(drawn):
                return taken / amount(some)
            size *= 4

    def _speed(self, what: str, part: Part, measure: Callable[[], float]) -> float:
        """Seconds of one of what the part does: measured once on this machine, unless it was busy meanwhile."""
        key = what, id(part)
        if key not in self._speeds:
            name = cache_identity(part, f"seconds of one {what}")
            self._speeds[key] = self.speeds.known(None if name is None else digest(name).hex(), measure)
        return self._speeds[key]

    @cached_property
    def speeds(self) -> Speeds:
        return Speeds(self.cache, self.clock)

    @cached_property
    def loading_s(self) -> float:
        """Seconds that loading all models takes, with the libraries that they need. Ask before anything is loaded."""
        declared = [each.model_dump(mode="json") for each in self.subject.config.pipelines]
        name = digest(json.dumps(["load", declared], sort_keys=True, default=str)).hex()
        return self.speeds.known(name, lambda: self.timed(partial(load, self.subject.pipelines, Silent())))

    def scoring(self, reranker: Reranker, pairs: Sequence[tuple[Query, Doc]]) -> Scoring:
        """What scoring these distinct pairs takes where some of them are in the cache."""
        identity = cache_identity(reranker, "pair")
        reused = reranker.pointwise and identity is not None
        known = known_keys(self.cache / "scores", str(identity)) if reused else set()
        todo = [pair for pair in pairs if pair_key(*pair) not in known]

        def one() -> float:
            reranker.load()
            return self._rate(partial(score_pairs, reranker), pairs, partial(texts_read, reranker))

        read_s = self._speed("pair", reranker, one) if pairs else 0.0
        return Scoring(len(pairs), texts_read(reranker, pairs), texts_read(reranker, todo), read_s)

    @cached_property
    def counting_s(self) -> float:
        """Seconds that counting the tokens of the whole corpus takes."""
        count = counter(self.subject.config.tokenizer)
        taken = self.timed(lambda: [count(doc.content) for doc in self.sample])
        return taken * len(self.subject.corpus.docs) / len(self.sample)

    @cached_property
    def pipelines(self) -> dict[str, Tried]:
        filled: dict[tuple[int, int], None] = {}
        tried = {}
        for parts in self.subject.pipelines:
            if (id(parts.store), id(parts.embedder)) not in filled:
                filled[id(parts.store), id(parts.embedder)] = None
                parts.store.load()
                docs = list(self.subject.corpus.docs) if is_existing(parts.store) else self.indexed
                needs = parts.embedder is not None and parts.store.needs_vectors
                vectors = self._vectors[id(parts.embedder)][0] if needs else None
                self._built.append(self.timed(partial(parts.store.add, docs, vectors)))
            tried[parts.name] = self._tried(parts)
        return tried

    @cached_property
    def _vectors(self) -> dict[int, tuple[Vectors, Vectors]]:
        """Of the documents and the queries, by id() of the embedder that they are of or stand in for."""
        found: dict[int, tuple[Vectors, Vectors]] = {}
        texts, asked = [doc.content for doc in self.indexed], [query.text for query in self.queries]
        for parts in self.subject.pipelines:
            if parts.embedder is None or id(parts.embedder) in found:
                continue
            missing = self.missing(parts.embedder, self.indexed)
            stand_in: Embedder = parts.embedder
            is_paid = isinstance(stand_in, RemoteEmbedder)
            lacking = [*missing, *missing_texts(stand_in, asked, "query", cache=self.cache)] if is_paid else missing
            if is_paid and lacking:  # nothing is paid for a trial, and no model is loaded for it
                stand_in = HashingEmbedder()
            elif not self._filled_an_index(stand_in) and self.embedding_s(stand_in, missing) > MOMENT_S:
                stand_in = StaticEmbedder()
            stand_in.load()
            stored = self.subject.corpus.stored if self._filled_an_index(parts.embedder) else None
            if stored is not None and stand_in is parts.embedder:
                documents = stored.of([doc.doc_id for doc in self.indexed])
            elif missing or stand_in is not parts.embedder:
                documents = stand_in.embed_documents(texts).vectors
            else:
                documents = document_vectors(stand_in, texts, cache=self.cache, progress=Silent()).vectors
            if is_paid and stand_in is parts.embedder:
                queries = query_vectors(stand_in, asked, cache=self.cache, progress=Silent()).vectors
            else:
                queries = stand_in.embed_queries(asked).vectors
            if stand_in is not parts.embedder:  # what it knows no word of, the embedder itself may know well
                documents, queries = (np.where(unknown_rows(rows)[:, None], 1, rows) for rows in (documents, queries))
            found[id(parts.embedder)] = documents, queries
        return found

    @property
    def building_s(self) -> float:
        """Seconds that filling all indexes takes."""
        return sum(self._built) * self.scale if self.pipelines else 0.0

    def found(self, parts: Parts, depth: int) -> list[tuple[Query, Ranking]]:
        """What the search finds for every question; the pipelines were tried before, so that the index is filled."""
        vectors = None if parts.embedder is None else self._vectors[id(parts.embedder)][1]
        rankings = (
            (each.query, parts.store.search(each, depth).ranking) for each in embedded_queries(self.queries, vectors)
        )
        return [(query, without(ranking, query.own_document)) for query, ranking in rankings]

    def candidate_s(self, reranker: Reranker, query: Query, ranking: Ranking) -> float:
        """Seconds that a live call takes for each candidate, the model's cold start left out."""

        def one() -> float:
            docs = [item.doc for item in ranking]
            if not docs:  # no query found anything
                return 0.0
            reranker.load()
            reranker.score(query, docs)
            return median(self.timed(lambda: reranker.score(query, docs)) for _ in range(CALLS)) / max(1, len(docs))

        return self._speed("candidate", reranker, one)

    def _tried_app(self, app: AskedApp) -> Tried:
        """Asked a few questions, since it may take long and cost money; raises AppFailed where it fails for most."""
        count = counter(self.subject.config.tokenizer)
        found, taken, tokens = list[tuple[Query, Ranking]](), list[float](), list[int]()
        failed: list[AppFailed] = []
        for query in self.queries:
            start = self.clock()
            try:
                answer = app.answer(query)
            except AppFailed as failure:
                failed.append(failure)
                if len(failed) > CALLS:
                    raise
                continue
            taken.append((self.clock() - start) / 1e9)
            found.append((query, answer.rankings["search"]))
            tokens.append(answer.usage.get("generate", {}).get("input_tokens") or count(answer.prompt))
            if len(taken) == CALLS:
                break
        if not taken:
            raise failed[0]
        return Tried(0.0, median(taken), 0.0, 0.0, 0.0, found, float(np.mean(tokens)))

    def _tried(self, parts: Parts) -> Tried:
        if parts.app is not None:
            return self._tried_app(parts.app)
        found, prompts, tokens = list[tuple[Query, Ranking]](), list[str](), list[int]()
        count, asked = counter(self.subject.config.tokenizer), len(self.queries)
        search_s = self.timed(lambda: found.extend(self.found(parts, parts.depth))) / asked * self.scale
        inject_s = self.timed(lambda: prompts.extend(parts.injector.inject(*one).prompt for one in found)) / asked
        count_s = self.timed(lambda: tokens.extend(map(count, prompts))) / asked
        most = max(found, key=lambda one: len(one[1]))
        embed_s = 0.0
        if (embedder := parts.embedder) is not None:
            embed_s = self._speed("query", embedder, partial(self._query_s, embedder))
        return Tried(
            embed_s=embed_s,
            search_s=search_s,
            rerank_s=0.0 if parts.reranker is None else len(most[1]) * self.candidate_s(parts.reranker, *most),
            inject_s=inject_s,
            count_s=count_s,
            found=found,
            prompt_tokens=float(np.mean(tokens)),
        )

    def _query_s(self, embedder: Embedder) -> float:
        """Seconds of embedding one query in a live call, the model's cold start left out."""
        embedder.load()
        embedder.embed_queries([self.queries[0].text])
        some = self.queries[: 2 * CALLS]
        return median(self.timed(partial(embedder.embed_queries, [each.text])) for each in some)

    def answer_s(self, generator: Generator, parts: Parts) -> float | None:
        """Seconds of one answer to a prompt of this pipeline; None where a server answers, which may cost money."""
        from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator  # it loads an HTTP client

        if isinstance(generator, OpenAICompatibleGenerator):
            return None

        def one() -> float:
            prompts = [parts.injector.inject(*one).prompt for one in self.pipelines[parts.name].found[:CALLS]]
            generator.load()
            generator.generate(prompts[0])
            return self.timed(lambda: [generator.generate(prompt) for prompt in prompts]) / len(prompts)

        return self._speed("answer", generator, one)


def rounds_s(
    latencies_s: Mapping[str, float], timing: Timing, *, available: int, bare: bool = False, warmed: int = 1
) -> float:
    """Seconds of warm-up and live rounds, as `record/budget.py` shares them out.

    With `bare`, each query is also asked once without instruments; `warmed` is how often the pipelines warm up.
    """
    durations = {name: int(seconds * 1e9) for name, seconds in latencies_s.items()}
    asked = timing.rounds + bare
    counts = shares(durations, available, timing, asked=asked, warmed=warmed)
    return taken_s(counts, durations, timing, asked=asked, warmed=warmed)


START_S = 2.0
"""Of starting Python and importing what every command needs."""
AFTERWARDS_S, PIPELINE_AFTERWARDS_S = 2.8, 0.4
"""In all, and of each pipeline: judging, pricing, resampling, drawing, and imports that nothing before needs. Taken
where no command has told yet how long it is on this machine."""


@dataclass(frozen=True)
class RecordingEffort:
    """Seconds that the main recording takes, without the answers of generators."""

    embedding_s: float
    scoring: Mapping[str, Scoring]
    """Of each distinct reranker, by the first of its pipelines."""
    live_s: float
    rest_s: float
    fixed_s: float
    """Of any command on this eval: it starts, reads, loads its models, and in the end prices and draws."""

    @property
    def seconds(self) -> float:
        return self.embedding_s + sum(each.seconds for each in self.scoring.values()) + self.again_s

    @property
    def again_s(self) -> float:
        """When all that can be is in the cache."""
        return self.live_s + self.clockless_s

    @property
    def clockless_s(self) -> float:
        """The same without live queries."""
        return self.rest_s + self.fixed_s


def recording_effort(trial: Trial) -> RecordingEffort:
    """What the main recording would take, by what was tried."""
    fixed = trial.start_s + trial.loading_s
    subject, tried = trial.subject, trial.pipelines
    embedders = {id(parts.embedder): parts.embedder for parts in subject.pipelines if parts.embedder is not None}
    embedding = 0.0
    for embedder in embedders.values():
        embedding += trial.embedding_s(embedder, trial.missing(embedder, subject.corpus.docs))
        embedding += trial.embedding_s(embedder, [query.text for query in subject.queries])
    fixed += trial.speeds.kept.get(AFTERWARDS, AFTERWARDS_S + len(tried) * PIPELINE_AFTERWARDS_S)
    rest = trial.counting_s + trial.building_s
    for parts in subject.pipelines:
        one = tried[parts.name]
        rest += len(trial.queries) * (one.search_s + one.inject_s + one.count_s)
    rest += subject.config.gate.flop_queries * sum(one.query_s for one in tried.values())
    latencies = {name: one.query_s for name, one in tried.items()}
    live = rounds_s(latencies, subject.config.timing, available=len(trial.queries), bare=True)
    return RecordingEffort(embedding, scoring(trial), live, rest, fixed)


def scoring(trial: Trial) -> dict[str, Scoring]:
    """Of each distinct reranker, by the first of its pipelines: the pairs that the main recording gives it."""
    pairs: dict[int, dict[bytes, tuple[Query, Doc]]] = {}
    names: dict[int, Parts] = {}
    for parts in trial.subject.pipelines:
        if parts.reranker is not None:
            names.setdefault(id(parts.reranker), parts)
            mine = pairs.setdefault(id(parts.reranker), {})
            for query, ranking in trial.pipelines[parts.name].found:
                mine.update({pair_key(query, item.doc): (query, item.doc) for item in ranking})
    return {
        parts.name: trial.scoring(parts.reranker, list(pairs[key].values()))
        for key, parts in names.items()
        if parts.reranker is not None
    }
