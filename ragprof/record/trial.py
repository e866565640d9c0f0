"""What recording would take, tried out on a small scale: live calls, real searches, real prompts. Writes nothing.

The corpus is indexed as it is and all questions are searched for, so that candidates and prompts are those of the run.
Where embedding it takes longer than a moment, vectors of a static embedder stand in for those that are not in the cache
yet: other passages then come first, but passages of the same length. A reranker is tried on some candidates alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ragprof.core import Doc, Query, Ranking, Vectors
from ragprof.core.caches import digest, known_keys
from ragprof.core.clock import Clock, Silent, now_ns
from ragprof.core.ranking import without
from ragprof.core.stages import CutsTexts, Embedder, Generator, PairReranker, Reranker
from ragprof.core.tokens import counter
from ragprof.evals.tables import Timing
from ragprof.parts.embedders.static import StaticEmbedder
from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import cache_identity, document_vectors, pair_key, score_pairs
from ragprof.record.recording import Subject, embedded_queries, shuffled
from ragprof.record.timings import shares

SAMPLE = 400
PROBE = 32
"""Texts or pairs that a model is tried on."""
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


@dataclass
class Trial:
    """Tries each part once; what it measured is kept."""

    subject: Subject
    cache: Path
    clock: Clock = now_ns
    _speeds: dict[int, float] = field(default_factory=dict)
    _calls: dict[int, float] = field(default_factory=dict)
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
        """Distinct texts of documents whose vectors are not in the cache."""
        identity = cache_identity(embedder, "document")
        known = frozenset[bytes]() if identity is None else frozenset(known_keys(self.cache / "vectors", identity))
        return [text for text in dict.fromkeys(doc.content for doc in docs) if digest(text) not in known]

    def embedding_s(self, embedder: Embedder, texts: Sequence[str]) -> float:
        """Seconds that embedding these documents takes, by how many characters are read of each."""
        if not texts:
            return 0.0
        limit = embedder.max_tokens if isinstance(embedder, CutsTexts) else None
        most = None if limit is None else int(limit * CHARACTERS_PER_TOKEN)
        key = id(embedder)
        if key not in self._speeds:
            embedder.load()
            some = random.Random(0).sample(list(texts), min(PROBE, len(texts)))
            embedder.embed_documents(some[:1])
            taken = self.timed(lambda: embedder.embed_documents(some))
            self._speeds[key] = taken / sum(len(text[:most]) + 1 for text in some)
        return self._speeds[key] * sum(len(text[:most]) + 1 for text in texts)

    def scoring_s(self, reranker: Reranker, pairs: Sequence[tuple[Query, Doc]]) -> float:
        """Seconds that scoring these pairs takes; of the same documents once, where the reranker reads them once."""
        identity = cache_identity(reranker, "pair")
        reused = reranker.pointwise and identity is not None
        known = known_keys(self.cache / "scores", str(identity)) if reused else set()
        todo = [pair for pair in pairs if pair_key(*pair) not in known]
        if not todo:
            return 0.0
        by_document = isinstance(reranker, PairReranker)

        def units(some: Sequence[tuple[Query, Doc]]) -> int:
            return len({doc.content for _, doc in some}) if by_document else len(some)

        key = id(reranker)
        if key not in self._speeds:
            reranker.load()
            some = random.Random(0).sample(todo, min(PROBE, len(todo)))
            score_pairs(reranker, some[:1])
            self._speeds[key] = self.timed(lambda: score_pairs(reranker, some)) / units(some)
        return self._speeds[key] * units(todo)

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
                needs = parts.embedder is not None and parts.store.needs_vectors
                vectors = self._vectors[id(parts.embedder)][0] if needs else None
                self._built.append(self.timed(partial(parts.store.add, self.indexed, vectors)))
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
            if self.embedding_s(stand_in, missing) > MOMENT_S:
                stand_in = StaticEmbedder()
            stand_in.load()
            if missing or stand_in is not parts.embedder:
                documents = stand_in.embed_documents(texts).vectors
            else:
                documents = document_vectors(stand_in, texts, cache=self.cache, progress=Silent()).vectors
            found[id(parts.embedder)] = documents, stand_in.embed_queries(asked).vectors
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
        key = id(reranker)
        if key not in self._calls:
            docs = [item.doc for item in ranking]
            reranker.load()
            reranker.score(query, docs)
            self._calls[key] = self.timed(lambda: reranker.score(query, docs)) / max(1, len(docs))
        return self._calls[key]

    def _tried(self, parts: Parts) -> Tried:
        found, prompts, tokens = list[tuple[Query, Ranking]](), list[str](), list[int]()
        count, asked = counter(self.subject.config.tokenizer), len(self.queries)
        search_s = self.timed(lambda: found.extend(self.found(parts, parts.depth))) / asked * self.scale
        inject_s = self.timed(lambda: prompts.extend(parts.injector.inject(*one).prompt for one in found)) / asked
        count_s = self.timed(lambda: tokens.extend(map(count, prompts))) / asked
        most = max(found, key=lambda one: len(one[1]))
        embed_s = 0.0
        if (embedder := parts.embedder) is not None:
            embedder.load()
            embedder.embed_queries([self.queries[0].text])  # the model's cold start is no live call
            calls = [self.timed(partial(embedder.embed_queries, [each.text])) for each in self.queries[:5]]
            embed_s = float(np.median(calls))
        return Tried(
            embed_s=embed_s,
            search_s=search_s,
            rerank_s=0.0 if parts.reranker is None else len(most[1]) * self.candidate_s(parts.reranker, *most),
            inject_s=inject_s,
            count_s=count_s,
            found=found,
            prompt_tokens=float(np.mean(tokens)),
        )

    def answer_s(self, generator: Generator, parts: Parts) -> float | None:
        """Seconds of one answer to a prompt of this pipeline; None where a server answers, which may cost money."""
        if isinstance(generator, OpenAICompatibleGenerator):
            return None
        key = id(generator)
        if key not in self._calls:
            prompts = [parts.injector.inject(*one).prompt for one in self.pipelines[parts.name].found[:3]]
            generator.load()
            generator.generate(prompts[0])
            self._calls[key] = self.timed(lambda: [generator.generate(prompt) for prompt in prompts]) / len(prompts)
        return self._calls[key]


def rounds_s(latencies_s: dict[str, float], timing: Timing, *, available: int, bare: bool = False) -> float:
    """Seconds of warm-up and live rounds: `min_queries` are asked even where that takes longer than `seconds`.

    With `bare`, each query is also asked once without instruments.
    """
    counts = shares({name: int(seconds * 1e9) for name, seconds in latencies_s.items()}, available, timing)
    times = timing.rounds + (1 if bare else 0)
    return sum(seconds * (counts[name] * times + timing.warmup) for name, seconds in latencies_s.items())


AFTERWARDS_S, PIPELINE_AFTERWARDS_S = 2.8, 0.4
"""In all, and of each pipeline: judging, pricing, resampling, drawing, and imports that nothing before needs."""


def recording_s(trial: Trial) -> tuple[float, float]:
    """Seconds of the main recording in all, and of its live rounds among them; without the answers of generators."""
    subject, tried = trial.subject, trial.pipelines
    embedders = {id(parts.embedder): parts.embedder for parts in subject.pipelines if parts.embedder is not None}
    seconds = AFTERWARDS_S + len(tried) * PIPELINE_AFTERWARDS_S + trial.counting_s + trial.building_s
    for embedder in embedders.values():
        seconds += trial.embedding_s(embedder, trial.missing(embedder, subject.corpus.docs))
        seconds += trial.embedding_s(embedder, [query.text for query in subject.queries])
    for parts in subject.pipelines:
        one = tried[parts.name]
        seconds += len(trial.queries) * (one.search_s + one.inject_s + one.count_s)
    live = rounds_s(
        {name: one.query_s for name, one in tried.items()},
        subject.config.timing,
        available=len(trial.queries),
        bare=True,
    )
    flops = subject.config.gate.flop_queries * sum(one.query_s for one in tried.values())
    return seconds + sum(pairs_s for _, pairs_s in scoring(trial).values()) + live + flops, live


def scoring(trial: Trial) -> dict[str, tuple[int, float]]:
    """Pairs that each distinct reranker is given, and the seconds that scoring those that are not cached takes."""
    pairs: dict[int, dict[bytes, tuple[Query, Doc]]] = {}
    names: dict[int, Parts] = {}
    for parts in trial.subject.pipelines:
        if parts.reranker is not None:
            names.setdefault(id(parts.reranker), parts)
            mine = pairs.setdefault(id(parts.reranker), {})
            for query, ranking in trial.pipelines[parts.name].found:
                mine.update({pair_key(query, item.doc): (query, item.doc) for item in ranking})
    return {
        parts.name: (len(pairs[key]), trial.scoring_s(parts.reranker, list(pairs[key].values())))
        for key, parts in names.items()
        if parts.reranker is not None
    }
