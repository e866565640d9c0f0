"""The checks of an audit: a stage's work done again, or in another way, compared bit for bit with the first time.

Each check also says what a difference would have done to the ranking and to the prompt. No text is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ragprof.core import Answer, Doc, EmbeddedQuery, Generated, Query, Ranking, StageName, Vectors
from ragprof.core.clock import Progress
from ragprof.core.ranking import ranked, without
from ragprof.core.reasoning import apart
from ragprof.core.stages import Embedder, ManyGenerator, Reranker
from ragprof.record.pipeline import Parts
from ragprof.record.query import ask, one_each, trusted, within_window
from ragprof.record.rankings import answer_of, final_of

What: TypeAlias = Literal["vectors", "ranking", "scores", "prompt", "answer", "batch size", "threads"]
REPEATED, IN_A_BATCH, DOCUMENTS_IN_A_BATCH = "repeated", "in a batch", "documents in a batch"
ONE_BY_ONE, REVERSED, OTHER_THREADS = "one by one", "reversed", "other threads"
ANSWERED = 5
"""At most so many queries are answered: a model takes seconds for an answer."""
AS_GOOD_AS = 0.02
"""Scores this close to inner products are taken for inner products: a batch in bfloat16 moves them by that much."""
TIE_COLUMNS = ("pipeline", "query_id", "at_depth", "at_k")


@dataclass(frozen=True, slots=True)
class Difference:
    """Whether outcomes are the same to the last bit, and the largest absolute difference where they are numbers."""

    identical: bool
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a difference does: to documents or order of the stage's ranking, and to the chunks in the prompt.

    None where that cannot be known. `final` is the pipeline's own ranking where that may have become another one.
    """

    ranking: bool
    injection: bool | None
    final: Ranking | None = None


NO_EFFECT = Consequence(False, False)


@dataclass(frozen=True, slots=True)
class Check:
    """One stage's work for one query, done in another way. `effect` is None where it was only done again."""

    stage: StageName
    what: What
    variant: str
    query_id: str
    difference: Difference
    effect: Consequence | None = None


@dataclass(frozen=True, slots=True)
class LiveQuery:
    """A query's answer, its vector (None without an embedder), and all that the store returned for it."""

    answer: Answer
    vector: Vectors | None
    found: Ranking

    @property
    def query(self) -> Query:
        return self.answer.query

    @property
    def searched(self) -> Ranking:
        return self.answer.rankings["search"]

    @property
    def final(self) -> Ranking:
        return final_of(self.answer.rankings)

    @property
    def injected(self) -> Ranking:
        return self.answer.rankings["inject"]


def ask_live(parts: Parts, query: Query) -> LiveQuery:
    """Every stage but the generator, with nothing reused. Raises NonFiniteScore where a stage yields NaN."""
    heard: dict[StageName, Any] = {}

    def call(stage: StageName, function: Callable[..., Any], *arguments: Any) -> Any:
        # A model is slow, so answers are asked for apart, for fewer queries.
        heard[stage] = Generated("", {}, None, "stop") if stage == "generate" else function(*arguments)
        return heard[stage]

    answer = ask(parts, query, call)
    return LiveQuery(answer, heard["embed"].vectors[0] if "embed" in heard else None, heard["search"].ranking)


def ids(ranking: Ranking) -> tuple[str, ...]:
    """Documents of a ranking, best first."""
    return tuple(item.doc.doc_id for item in ranking)


def vector_difference(first: Vectors, second: Vectors) -> Difference:
    """Of two arrays of one shape. Another shape is a difference without a size."""
    if first.shape != second.shape:
        return Difference(False)
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    return Difference(first.tobytes() == second.tobytes(), float(apart.max(initial=0.0)))


def score_difference(first: Ranking, second: Ranking) -> Difference:
    """Of the documents that both rankings hold, wherever they stand; None as the largest where they share none."""
    known = {item.doc.doc_id: item.score for item in first}
    apart = [abs(item.score - known[item.doc.doc_id]) for item in second if item.doc.doc_id in known]
    return Difference(not any(apart), max(apart, default=None))


def worst(differences: Iterable[Difference]) -> Difference:
    """All of them in one."""
    every = list(differences)
    sizes = [each.largest for each in every if each.largest is not None]
    return Difference(all(each.identical for each in every), max(sizes, default=None))


def effect_of_search(parts: Parts, live: LiveQuery, found: Ranking) -> Consequence:
    """What another search result leads to; the later stages run only where its order is another one."""
    if ids(found) == ids(live.searched):
        return NO_EFFECT
    answer = answer_of(parts, live.query, found, parts.reranker)
    return Consequence(True, ids(answer.rankings["inject"]) != ids(live.injected), final_of(answer.rankings))


def repetition_checks(lives: Sequence[LiveQuery]) -> Iterator[Check]:
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


def answer_checks(parts: Parts, lives: Sequence[LiveQuery], *, times: int, progress: Progress) -> Iterator[Check]:
    """The first queries' prompts, each answered several times alone and once together with the others."""
    if parts.generator is None:
        return
    asked = lives[:ANSWERED]
    alone: list[str] = []
    progress.start(f"{parts.name}: answer {times} times", len(asked) * times)
    for live in asked:
        texts = []
        for _ in range(times):
            texts.append(apart(parts.generator.generate(live.answer.prompt)).text)
            progress.advance(1)
        alone.append(texts[0])
        yield Check("generate", "answer", REPEATED, live.query.query_id, Difference(len(set(texts)) == 1))
    progress.done()
    if isinstance(parts.generator, ManyGenerator):
        together = parts.generator.generate_many([live.answer.prompt for live in asked])
        for live, text, generated in zip(asked, alone, together, strict=True):
            same = Difference(apart(generated).text == text)
            yield Check("generate", "batch size", IN_A_BATCH, live.query.query_id, same)


class Alone:
    """Documents embedded one in a call; pipelines that share an embedder share the work."""

    def __init__(self) -> None:
        self._vectors: dict[tuple[int, str], Vectors] = {}

    def vector(self, embedder: Embedder, doc: Doc) -> Vectors:
        key = (id(embedder), doc.doc_id)
        if key not in self._vectors:
            self._vectors[key] = trusted(embedder.embed_documents([doc.content]).vectors, [doc.content], embedder)[0]
        return self._vectors[key]


def query_checks(parts: Parts, lives: Sequence[LiveQuery]) -> Iterator[Check]:
    """Query vectors: alone, as a live query is, against one call with all of them."""
    if parts.embedder is None:
        return
    texts = [live.query.text for live in lives]
    together = trusted(parts.embedder.embed_queries(texts).vectors, texts, parts.embedder)
    for live, vector in zip(lives, together, strict=True):
        yield vector_check(parts, live, vector, ("batch size", IN_A_BATCH))


def vector_check(parts: Parts, live: LiveQuery, vector: Vectors, way: tuple[What, str]) -> Check:
    """A query's vector made in another way, and the search for it."""
    alone = np.empty(0, np.float32) if live.vector is None else live.vector
    difference = vector_difference(alone, vector)
    found = live.searched if difference.identical else searched(parts, live.query, vector)
    return Check("embed", *way, live.query.query_id, difference, effect_of_search(parts, live, found))


def searched(parts: Parts, query: Query, vector: Vectors | None) -> Ranking:
    """What the store finds, without the query's own document."""
    return without(parts.store.search(EmbeddedQuery(query, vector), parts.depth).ranking, query.own_document)


def document_checks(parts: Parts, lives: Sequence[LiveQuery], alone: Alone) -> Iterator[Check]:
    """Vectors of the documents that were found for each query: one in a call against one call with all of them.

    The index is not built anew: the effect is on the order of the found documents by inner product. What that does to
    the prompt is known where the store's scores are inner products and no reranker comes behind it.
    """
    docs = list({item.doc.doc_id: item.doc for live in lives for item in live.searched}.values())
    if parts.embedder is None or not parts.store.needs_vectors or not docs:
        return
    contents = [doc.content for doc in docs]
    vectors = trusted(parts.embedder.embed_documents(contents).vectors, contents, parts.embedder)
    together = {doc.doc_id: vector for doc, vector in zip(docs, vectors, strict=True)}
    by_product = {live.query.query_id: products(live, together) for live in lives}
    knows_prompt = parts.reranker is None and all(
        np.allclose(
            [item.score for item in live.searched],
            [product for _, product in by_product[live.query.query_id]],
            rtol=AS_GOOD_AS,
            atol=AS_GOOD_AS,
        )
        for live in lives
    )
    for live in lives:
        one = {item.doc.doc_id: alone.vector(parts.embedder, item.doc) for item in live.searched}
        difference = worst(vector_difference(vector, together[doc_id]) for doc_id, vector in one.items())
        first, second = ids(ranked(products(live, one))), ids(ranked(by_product[live.query.query_id]))
        injected = first[: len(live.injected)] != second[: len(live.injected)]
        effect = Consequence(first != second, injected if knows_prompt else None)
        yield Check("embed", "batch size", DOCUMENTS_IN_A_BATCH, live.query.query_id, difference, effect)


def products(live: LiveQuery, vectors: Mapping[str, Vectors]) -> list[tuple[Doc, float]]:
    """The found documents with their inner products with the query, in single precision as stores have them."""
    if live.vector is None:
        return []
    asked = live.vector.astype(np.float64)
    docs = [item.doc for item in live.searched]
    return [(doc, float(np.float32(vectors[doc.doc_id].astype(np.float64) @ asked))) for doc in docs]


def rerank_checks(parts: Parts, live: LiveQuery) -> Iterator[Check]:
    """Scores of one query's candidates: all in one call against one in a call, and against the reverse order."""
    if parts.reranker is None:
        return
    docs = [item.doc for item in live.searched]
    alone = [pair for doc in docs for pair in scored(parts.reranker, live.query, [doc])]
    yield score_check(parts, live, alone, ("batch size", ONE_BY_ONE))
    yield score_check(parts, live, scored(parts.reranker, live.query, docs[::-1]), ("batch size", REVERSED))


def score_check(parts: Parts, live: LiveQuery, pairs: Iterable[tuple[Doc, float]], way: tuple[What, str]) -> Check:
    """The candidates scored in another way, and what the order that this gives leads to."""
    ranking, effect = ranked(pairs), NO_EFFECT
    if ids(ranking) != ids(live.final):
        injected = within_window(parts, live.query, ranking).ranking
        effect = Consequence(True, ids(injected) != ids(live.injected), ranking)
    return Check("rerank", *way, live.query.query_id, score_difference(live.final, ranking), effect)


def scored(reranker: Reranker, query: Query, docs: Sequence[Doc]) -> list[tuple[Doc, float]]:
    """Each document with its score."""
    return list(zip(docs, one_each(reranker.score(query, docs).scores, docs), strict=True))


def thread_settings() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """How the number of threads is read and written, for each library that is loaded; nothing is imported for it.

    PyTorch and FAISS can be set; what other libraries take, nobody here can set.
    """
    verbs = {"torch": ("get_num_threads", "set_num_threads"), "faiss": ("omp_get_max_threads", "omp_set_num_threads")}
    loaded = {name: sys.modules[name] for name in verbs if name in sys.modules}
    return [(getattr(module, verbs[name][0]), getattr(module, verbs[name][1])) for name, module in loaded.items()]


def present_threads() -> int | None:
    """The highest number that some library is set to; None where none is loaded that has one."""
    return max((read() for read, _ in thread_settings()), default=None)


def other_threads() -> int | None:
    """1, or 2 where 1 is the present number."""
    present = present_threads()
    return None if present is None else 2 if present == 1 else 1


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Every loaded library with this many threads; afterwards each has the number that it had."""
    before = [(write, read()) for read, write in thread_settings()]
    try:
        for write, _ in before:
            write(number)
        yield
    finally:
        for write, was in before:
            write(was)


def thread_checks(parts: Parts, live: LiveQuery) -> Iterator[Check]:
    """Embedding, search and reranking of one query as they are now, each against what it gave live for that input."""
    if parts.embedder is not None:
        text = live.query.text
        vector = trusted(parts.embedder.embed_queries([text]).vectors, [text], parts.embedder)[0]
        yield vector_check(parts, live, vector, ("threads", OTHER_THREADS))
    found = searched(parts, live.query, live.vector)
    difference, effect = score_difference(live.searched, found), effect_of_search(parts, live, found)
    yield Check("search", "threads", OTHER_THREADS, live.query.query_id, difference, effect)
    if parts.reranker is not None:
        pairs = scored(parts.reranker, live.query, [item.doc for item in live.searched])
        yield score_check(parts, live, pairs, ("threads", OTHER_THREADS))


def tie_table(parts: Parts, lives: Sequence[LiveQuery], *, documents: int) -> pd.DataFrame:
    """One row per query; `documents` is the size of the corpus, beyond which no store is asked."""
    rows = [(parts.name, live.query.query_id, tied_at_depth(parts, live, documents), tied_at_k(live)) for live in lives]
    return pd.DataFrame(rows, columns=list(TIE_COLUMNS)).astype({"at_depth": bool, "at_k": bool})


def tied_at_depth(parts: Parts, live: LiveQuery, documents: int) -> bool:
    """Whether a search one deeper finds a document that was left out with the score of the last that was not."""
    if len(live.found) < parts.depth or parts.depth >= documents:
        return False
    deeper = parts.store.search(EmbeddedQuery(live.query, live.vector), parts.depth + 1).ranking
    inside = set(ids(live.found))
    return any(item.score == live.found[-1].score for item in deeper if item.doc.doc_id not in inside)


def tied_at_k(live: LiveQuery) -> bool:
    """Whether the last document in the prompt and the next one of the final ranking have one score."""
    injected = set(ids(live.injected))
    places = [place for place, item in enumerate(live.final) if item.doc.doc_id in injected]
    if not places or places[-1] + 1 == len(live.final):
        return False
    return live.final[places[-1]].score == live.final[places[-1] + 1].score
