"""Rankings, for quality: what left each stage for every query. No clock runs; what is known is not computed again.

Each distinct text is embedded once, ever. A cached vector or score rests on the part's identity, its class and the
source of the file that it stands in: whoever edits a plugin gets new ones, not those of the code before.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Answer, Doc, Embedded, EmbeddedQuery, Query, Ranking, Scored, StageName, Vectors
from ragprof.core.caches import RowCache, digest, known_keys, known_width, unknown_rows
from ragprof.core.clock import Progress, now_ns
from ragprof.core.errors import NonFiniteScore
from ragprof.core.ranking import without
from ragprof.core.stages import Embedder, PairReranker, Part, QueryReranker, RemoteEmbedder, Reranker, UntimedEmbedder
from ragprof.record.apps import AskedApp
from ragprof.record.pipeline import Parts
from ragprof.record.query import one_each, reranked, trusted, within_window

if TYPE_CHECKING:
    import pandas as pd


def cache_identity(part: Part, purpose: str) -> str | None:
    """The name under which results may be reused; None where the part forbids it."""
    if part.identity is None:
        return None
    kind = type(part)
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # a class typed at a prompt stands in no file
        file = None
    source = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file and Path(file).is_file() else ""
    return f"{kind.__module__}.{kind.__qualname__} {source} {purpose} {part.identity}"


RANKING_COLUMNS = ("query_id", "stage", "rank", "doc_id", "document_id", "score")
TOKEN_COLUMNS = ("query_id", "unit", "count")
CHUNK, PAID_CHUNK = 4096, 512
"""Pairs that are scored before they are kept: what a kill loses. Fewer where every query is a request."""
STEP = 256
"""Texts or pairs that a model is given at once: progress is told after each of them, and a file written less often."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One pipeline's rankings and prompt tokens as tables, and how many pairs had to be scored for them."""

    rankings: pd.DataFrame
    tokens: pd.DataFrame
    pairs_scored: int


class CountedReranker:
    """A reranker whose scores may not be reused: asked every time, and counted."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self.pointwise = reranker.pointwise
        self.pairs_scored = 0

    @property
    def identity(self) -> str | None:
        return self._reranker.identity

    def load(self) -> None:
        self._reranker.load()

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        self.pairs_scored += len(docs)
        return self._reranker.score(query, docs)


class PairScores(CountedReranker):
    """A pointwise reranker that scores each distinct (query, document) pair once, over all runs."""

    def __init__(self, reranker: Reranker, cache: Path) -> None:
        super().__init__(reranker)
        self._rows = RowCache(
            cache / "scores", identity=str(cache_identity(reranker, "pair")), width=1, dtype=np.float64
        )

    def prepare(self, pairs: Iterable[tuple[Query, Doc]], progress: Progress) -> None:
        """Score all pairs that the cache lacks, a chunk at a time, so that a kill loses one chunk.

        Pairs of one document stand together (longest documents first): it is read once for all its queries. A reranker
        that is sent a query at a time, and billed so, gets all of a query's pairs at once.
        """
        wanted = {pair_key(*pair): pair for pair in pairs}
        absent = self._rows.lacking(wanted)
        missing = {key: pair for key, pair in wanted.items() if key in absent}
        by_query = isinstance(self._reranker, QueryReranker) and self._reranker.asks_by_query
        progress.start("score pairs", len(missing))
        for chunk in _by_query(missing) if by_query else _by_document(missing):
            found: list[float] = []
            size = STEP if isinstance(self._reranker, PairReranker) and not by_query else len(chunk)
            for at in range(0, len(chunk), size):
                some = chunk[at : at + size]
                found += score_pairs(self._reranker, [pair for _, pair in some])
                progress.advance(len(some))
            scores = np.array(found, np.float64)
            if not np.isfinite(scores).all():
                raise NonFiniteScore("the reranker gave NaN or infinity; no ranking could be trusted")
            self._rows.put([key for key, _ in chunk], scores[:, None])
            self.pairs_scored += len(chunk)
        progress.done()

    def scores_of(self, pairs: Sequence[tuple[Query, Doc]]) -> NDArray[np.float64]:
        """One score a pair, all of them prepared before."""
        return np.asarray(self._rows.get([pair_key(*pair) for pair in pairs])[:, 0], np.float64)

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored(tuple(self.scores_of([(query, doc) for doc in docs]).tolist()), {})


Keyed: TypeAlias = tuple[bytes, tuple[Query, Doc]]


def _by_document(missing: Mapping[bytes, tuple[Query, Doc]]) -> Iterator[list[Keyed]]:
    todo = sorted(missing.items(), key=lambda item: (-len(item[1][1].content), item[1][1].doc_id))
    for start in range(0, len(todo), CHUNK):
        yield todo[start : start + CHUNK]


def _by_query(missing: Mapping[bytes, tuple[Query, Doc]]) -> Iterator[list[Keyed]]:
    """Whole queries, as many as make a chunk."""
    chunk: list[Keyed] = []
    for _, mine in groupby(sorted(missing.items(), key=_query_of), _query_of):
        chunk.extend(mine)
        if len(chunk) >= PAID_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _query_of(item: Keyed) -> str:
    return item[1][0].query_id


def pair_key(query: Query, doc: Doc) -> bytes:
    return digest(query.text, doc.content)


def score_pairs(reranker: Reranker, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
    """One score a pair, in order; query by query where the reranker knows no other way."""
    if isinstance(reranker, PairReranker):
        return list(one_each(reranker.score_pairs(pairs), pairs))
    places: dict[str, list[int]] = {}
    for place, (query, _) in enumerate(pairs):
        places.setdefault(query.query_id, []).append(place)
    scores = [0.0] * len(pairs)
    for mine in places.values():
        scored = reranker.score(pairs[mine[0]][0], [pairs[place][1] for place in mine])
        for place, score in zip(mine, one_each(scored.scores, mine), strict=True):
            scores[place] = score
    return scores


def economical(reranker: Reranker, cache: Path) -> CountedReranker:
    """The reranker, scoring as little as its kind allows."""
    if reranker.pointwise and reranker.identity is not None:
        return PairScores(reranker, cache)
    return CountedReranker(reranker)


def rank_queries(
    parts: Parts, queries: Sequence[EmbeddedQuery], *, cache: Path, count: Callable[[str], int], progress: Progress
) -> Ranked:
    """Every query through one pipeline, with scores from the cache where they are known; an app is asked each once."""
    if parts.app is not None:
        return _tables(_asked(parts.app, [each.query for each in queries], progress), count, 0)
    ordered, pairs_scored = orders_of(parts, queries, cache=cache, progress=progress)
    answers = [_injected(parts, query.query, rankings) for query, rankings in zip(queries, ordered, strict=True)]
    return _tables(answers, count, pairs_scored)


def _asked(app: AskedApp, queries: Sequence[Query], progress: Progress) -> list[Answer]:
    answers = []
    progress.start(f"ask {app.name}", len(queries))
    for query in queries:
        answers.append(app.ranked(query, of=len(queries)))
        progress.advance(1)
    progress.done()
    return answers


def _tables(answers: Sequence[Answer], count: Callable[[str], int], pairs_scored: int) -> Ranked:
    import pandas as pd

    rows = [
        (answer.query.query_id, stage, rank, item.doc.doc_id, item.doc.document_id, item.score)
        for answer in answers
        for stage, ranking in answer.rankings.items()
        for rank, item in enumerate(ranking, start=1)
    ]
    return Ranked(
        pd.DataFrame(rows, columns=list(RANKING_COLUMNS)),
        pd.DataFrame(_token_rows(answers, count), columns=list(TOKEN_COLUMNS)),
        pairs_scored,
    )


def orders_of(
    parts: Parts, queries: Sequence[EmbeddedQuery], *, cache: Path, progress: Progress
) -> tuple[list[dict[StageName, Ranking]], int]:
    """What leaves search and rerank for each query, the last ranking last; and how many pairs had to be scored."""
    reranker = None if parts.reranker is None else economical(parts.reranker, cache)
    found = [without(parts.store.search(query, parts.depth).ranking, query.query.own_document) for query in queries]
    if isinstance(reranker, PairScores):
        pairs = [(query.query, item.doc) for query, ranking in zip(queries, found, strict=True) for item in ranking]
        reranker.prepare(pairs, progress)
    ordered = [_ordered(query.query, ranking, reranker) for query, ranking in zip(queries, found, strict=True)]
    return ordered, 0 if reranker is None else reranker.pairs_scored


def final_of(rankings: Mapping[StageName, Ranking]) -> Ranking:
    """The ranking that the injector is given."""
    return rankings.get("rerank", rankings["search"])


def answer_of(parts: Parts, query: Query, found: Ranking, reranker: Reranker | None) -> Answer:
    """The hops behind the search, as `record.query.ask` takes them; nothing is generated."""
    return _injected(parts, query, _ordered(query, found, reranker))


def _ordered(query: Query, found: Ranking, reranker: Reranker | None) -> dict[StageName, Ranking]:
    if reranker is None:
        return {"search": found}
    return {"search": found, "rerank": reranked(reranker, query, found)[0]}


def _injected(parts: Parts, query: Query, ordered: Mapping[StageName, Ranking]) -> Answer:
    injected = within_window(parts, query, final_of(ordered))
    rankings: dict[StageName, Ranking] = {**ordered, "inject": injected.ranking}
    return Answer(query, rankings, injected.prompt, {"inject": injected.usage})


def _token_rows(answers: Sequence[Answer], count: Callable[[str], int]) -> Iterator[tuple[str, str, int]]:
    """Tokens of the prompt: chunks and question each on their own, the template is what is left.

    An app's model tells how many it has read: in all its calls together.
    """
    for answer in answers:
        prompt = answer.usage.get("generate", {}).get("input_tokens") or count(answer.prompt)
        question = count(answer.query.text)
        chunks = sum(count(item.doc.content) for item in answer.rankings["inject"])
        context = max(0, min(chunks, prompt - question))  # an injector of the user's own may shorten its chunks
        yield answer.query.query_id, "prompt_tokens", prompt
        yield answer.query.query_id, "query_tokens", question
        yield answer.query.query_id, "context_tokens", context
        yield answer.query.query_id, "template_tokens", max(0, prompt - question - context)
        for unit, number in answer.usage["inject"].items():
            yield answer.query.query_id, unit, number


VECTORS_CHUNK, PAID_VECTORS, TRIED = 1024, 4096, 96


@dataclass(frozen=True, slots=True)
class Reused:
    """Vectors of shape (texts, dimensions) in the order of the texts, and how many had to be computed for them.

    `unknown` is how many of the texts the embedder knows no word of: their vectors are zeros. `tokens` is what a server
    counted of each text, where it counts: a request's tokens are shared out by length, so that their sum is exact.
    """

    vectors: Vectors
    computed: int
    unknown: int = 0
    tokens: NDArray[np.float64] | None = None


Pay: TypeAlias = Callable[[int], None]
"""Is told of tokens that were paid for; raises BadInput where the next ones would cost too much."""
Foretell: TypeAlias = Callable[[int, float], str | None]
"""(texts to embed, seconds of each) -> a sentence on what that will take; None where nothing is worth saying."""


def document_vectors(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    cache: Path,
    progress: Progress,
    foretell: Foretell | None = None,
    pay: Pay | None = None,
) -> Reused:
    """Vectors of documents; longest texts first, so that the remaining time is over-, not underestimated.

    What all of it will take is told by a few texts of every length, which come before the others. `pay` is told of
    every token that a server counted, once its vectors are kept, and may raise.
    """
    embed = embedder.embed_documents
    return _through_cache(
        embedder, texts, "document", embed, cache=cache, progress=progress, foretell=foretell, pay=pay
    )


def query_vectors(
    embedder: Embedder, texts: Sequence[str], *, cache: Path, progress: Progress, pay: Pay | None = None
) -> Reused:
    """Vectors of queries, kept apart from those of documents: models may prompt them differently."""
    embed = embedder.embed_queries_untimed if isinstance(embedder, UntimedEmbedder) else embedder.embed_queries
    return _through_cache(embedder, texts, "query", embed, cache=cache, progress=progress, pay=pay)


def missing_texts(embedder: Embedder, texts: Sequence[str], purpose: str, *, cache: Path) -> list[str]:
    """Distinct texts whose vectors are not in the cache."""
    identity = cache_identity(embedder, purpose)
    known = frozenset[bytes]() if identity is None else frozenset(known_keys(cache / "vectors", identity))
    return [text for text in dict.fromkeys(texts) if digest(text) not in known]


def _chunks(todo: Sequence[tuple[bytes, str]], *, tried: bool, size: int) -> Iterator[Sequence[tuple[bytes, str]]]:
    """What is embedded at a time; before the rest, where something is to be told by it, a few of every length."""
    if tried and len(todo) > TRIED:
        few = set(np.linspace(0, len(todo) - 1, TRIED).astype(int).tolist())
        yield [todo[place] for place in sorted(few)]
        todo = [item for place, item in enumerate(todo) if place not in few]
    for start in range(0, len(todo), size):
        yield todo[start : start + size]


def _through_cache(
    embedder: Embedder,
    texts: Sequence[str],
    purpose: str,
    embed: Callable[[Sequence[str]], Embedded],
    *,
    cache: Path,
    progress: Progress,
    foretell: Foretell | None = None,
    pay: Pay | None = None,
) -> Reused:
    identity = cache_identity(embedder, purpose)
    if identity is None:
        vectors = trusted(embed(texts).vectors, texts, embedder)
        return Reused(vectors, len(texts), int(unknown_rows(vectors).sum()))
    keys, folder = [digest(text) for text in texts], cache / "vectors"
    width, rows, absent = known_width(folder, identity), None, set(keys)
    if width is not None:
        rows = RowCache(folder, identity=identity, width=width, dtype=np.float32)
        absent = rows.lacking(keys)
    # Where every row is there, with its checksum, nothing is asked of the model: it need not even be loaded.
    dimensions = embed(["dimensions"]).vectors.shape[1] if absent or width is None else width
    if width is not None and dimensions != width and known_keys(folder, identity):
        progress.note(f"the embedder gives {dimensions} dimensions, {width} before: every text is embedded anew")
    if rows is None or dimensions != width:
        rows = RowCache(folder, identity=identity, width=dimensions, dtype=np.float32)
        absent = rows.lacking(keys)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key in absent}
    todo = sorted(missing.items(), key=lambda item: -len(item[1]))
    unknown: set[bytes] = set()
    counts, step, size = None, STEP, VECTORS_CHUNK
    if isinstance(embedder, RemoteEmbedder):
        counts = RowCache(cache / "tokens", identity=identity, width=1, dtype=np.float64)
        step = size = min(PAID_VECTORS, embedder.texts_at_once)  # what is paid for is kept at once
    progress.start(f"embed {purpose} texts", len(todo))
    for chunk in _chunks(todo, tried=foretell is not None, size=size):
        made, told, start = [], list[NDArray[np.float64]](), now_ns()
        for at in range(0, len(chunk), step):
            some = [text for _, text in chunk[at : at + step]]
            embedded = embed(some)
            made.append(trusted(embedded.vectors, some, embedder))
            if (tokens := embedded.usage.get("input_tokens")) is not None:
                lengths = np.array([len(text) + 1 for text in some], np.float64)
                told.append(tokens * lengths / lengths.sum())
            progress.advance(len(some))
        vectors = np.concatenate(made)
        # A row of zeros in a cache is damage: of texts that the embedder knows no word of none is kept.
        zeros = unknown_rows(vectors)
        unknown |= {key for (key, _), is_zero in zip(chunk, zeros.tolist(), strict=True) if is_zero}
        rows.put([key for key, _ in chunk if key not in unknown], vectors[~zeros])
        if counts is not None and len(told) == len(made):
            shares = np.concatenate(told)
            counts.put([key for key, _ in chunk], shares[:, None])
            if pay is not None:
                pay(round(shares.sum()))
        if foretell is not None and (said := foretell(len(todo), (now_ns() - start) / 1e9 / len(chunk))):
            progress.note(said)
        foretell = None
    progress.done()
    vectors = np.asanyarray(rows.get_mapped(keys, zeros=unknown), np.float32)
    known_tokens = None
    if counts is not None and not counts.lacking(keys):
        known_tokens = np.asarray(counts.get(keys)[:, 0], np.float64)
    return Reused(vectors, len(todo), sum(key in unknown for key in keys), known_tokens)
