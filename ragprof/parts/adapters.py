"""Any callable as a stage, async ones too: what comes out of it is counted and checked, never cached.

What does not fit is told in one line that says what was expected and what came, and never prints what was retrieved.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from ragprof.core import (
    DEFAULT_K,
    Doc,
    Embedded,
    EmbeddedQuery,
    Found,
    Generated,
    Injected,
    Query,
    Ranking,
    Scored,
    Vectors,
)
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter
from ragprof.parts.hits import Hit, KnownPassages, hit_of, listed, short, what


class FunctionPart:
    """What all adapted callables share: no identity, so nothing they return is ever reused; nothing to load."""

    identity = None
    role = "function"
    given: tuple[str, ...] = ()
    """What the function is called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises BadInput where the function does not take what it would be given."""
        self._function = function
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # it tells nobody what it takes, as some that are written in C
            return
        try:
            signature.bind(*self.given)
        except TypeError:
            raise BadInput(
                f"{self.role} '{self._name}' takes {signature}; it is called with ({', '.join(self.given)})"
            ) from None

    @property
    def _name(self) -> str:
        return getattr(self._function, "__name__", type(self._function).__name__)

    def load(self) -> None:
        """Nothing to load."""

    def _call(self, *given: object) -> Any:
        """What the function returns; a coroutine is run to its end."""
        returned = self._function(*given)
        if not inspect.isawaitable(returned):
            return returned
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return event_loop().run(_awaited(returned))
        # A notebook's cell runs within a loop, which cannot wait for another one on its own thread.
        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(event_loop().run, _awaited(returned)).result()

    def _unexpected(self, returned: object, expected: str) -> BadInput:
        return BadInput(f"{self.role} '{self._name}' returned {what(returned)}; expected {expected}")

    def _text(self, returned: object) -> str:
        """A text, or the content of a message object. Raises BadInput."""
        text = returned if isinstance(returned, str) else getattr(returned, "content", None)
        if not isinstance(text, str):
            raise self._unexpected(returned, "a text")
        return text


@cache
def event_loop() -> asyncio.Runner:
    """One loop for all async stages, as long as the process lives: a client that two stages share stays on its loop."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


async def _awaited(returned: Awaitable[Any]) -> Any:
    return await returned


class FunctionEmbedder(FunctionPart):
    """`function(texts) -> array of shape (texts, dimensions)`, for documents and queries alike."""

    role, given = "embedder", ("texts",)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        returned = self._call(list(texts))
        try:
            given = np.asarray(list(returned) if isinstance(returned, Iterator) else returned)
            if given.dtype.kind in "cmM":
                raise TypeError("no real numbers")
            vectors = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise self._unexpected(returned, f"numbers of shape ({len(texts)}, dimensions)") from None
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise BadInput(
                f"embedder '{self._name}' gave shape {vectors.shape} for {counted(len(texts), 'text')}; "
                "it owes one row a text"
            )
        return Embedded(vectors, {"texts": len(texts)})

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self.embed_documents(texts)


class FunctionStore(FunctionPart):
    """`function(question, depth) -> results, best first`: a retriever that has its own index.

    A result is an id, a pair (id, score), a mapping, or an object with an id or a source, such as LangChain's
    documents, alone or in a pair with its score. An id is a passage's or a document's: a document stands for its
    passage that holds the result's text, else for its first.
    """

    role, given = "retriever", ("question", "depth")
    needs_vectors = False
    index_bytes = 0
    expected = "ids, pairs (id, score), or objects with an id or a metadata source, best first"

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._known = KnownPassages(())

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        self._known = KnownPassages(docs)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        returned = self._call(query.query.text, depth)
        results = listed(returned.items() if isinstance(returned, Mapping) else returned)
        if results is None:
            raise self._unexpected(returned, self.expected)
        hits = [self._hit(item) for item in results]
        scored = [hit.score for hit in hits if hit.score is not None]
        if scored and len(scored) < len(hits):
            raise BadInput(
                f"retriever '{self._name}' returned some results with a score and some without; give all one"
            )
        if hits and not all(hit.exact for hit in hits) and len(scored) > 1 and scored == sorted(set(scored)):
            raise BadInput(
                f"retriever '{self._name}' returned scores that rise from {scored[0]:g} to {scored[-1]:g}, but the "
                "best result comes first: return the negative of a distance"
            )
        found: dict[str, tuple[Doc, float]] = {}
        for place, hit in enumerate(hits):
            doc = self._doc(hit)
            if doc.doc_id in found and hit.exact:
                raise BadInput(
                    f"retriever '{self._name}' returned the document '{hit.ids[0]}' twice; give each one once"
                )
            found.setdefault(doc.doc_id, (doc, float(-place) if hit.score is None else hit.score))
        return Found(ranked(found.values())[:depth], {"searches": 1})

    def _hit(self, item: object) -> Hit:
        """Raises BadInput for what names no document."""
        hit = hit_of(item)
        if hit is None or not hit.ids:
            raise self._unexpected(item, self.expected)
        return hit

    def _doc(self, hit: Hit) -> Doc:
        doc = self._known.doc_of(hit)
        if doc is not None:
            return doc
        raise BadInput(
            f"retriever '{self._name}' returned the document {short(hit.ids[0])}, which is not in the corpus"
            + (f" (whose ids look like '{self._known.example}')" if self._known.example else "")
        )


class FunctionReranker(FunctionPart):
    """`function(question, texts) -> one score a text`, higher is better."""

    role, given = "reranker", ("question", "texts")
    pointwise = False

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        returned = self._call(query.text, [doc.content for doc in docs])
        try:
            values = listed(returned)
            if values is None or isinstance(returned, Mapping):
                raise TypeError("in no order")
            alone = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
            scores = tuple(float(score) for score in alone)
        except (TypeError, ValueError, OverflowError):
            raise self._unexpected(returned, f"one number for each of {len(docs)} texts") from None
        if len(scores) != len(docs):
            raise BadInput(
                f"reranker '{self._name}' gave {counted(len(scores), 'score')} for {counted(len(docs), 'document')}"
            )
        return Scored(scores, {"requests": 1, "docs_scored": len(docs)})


class FunctionGenerator(FunctionPart):
    """`function(prompt) -> answer`. Its tokens, its window and its time to first token are unknown."""

    role, given = "generator", ("prompt",)
    context_tokens: int | None = None
    max_new_tokens = 0

    @property
    def model_name(self) -> str:
        return self._name

    def count_tokens(self, prompt: str) -> int:
        return counter(DEFAULT_TOKENIZER)(prompt)

    def generate(self, prompt: str) -> Generated:
        return Generated(self._text(self._call(prompt)), {"requests": 1, "retries": 0}, None, "stop")


class FunctionInjector(FunctionPart):
    """`function(question, texts) -> prompt`; all `k` best chunks are given to it."""

    role, given = "injector", ("question", "texts")

    def __init__(self, function: Callable[..., Any], k: int = DEFAULT_K) -> None:
        super().__init__(function)
        self.k = k

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        chosen = ranking[: self.k]
        prompt = self._text(self._call(query.text, [item.doc.content for item in chosen]))
        return Injected(prompt, chosen, {"docs_injected": len(chosen)})
