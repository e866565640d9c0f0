"""A reranker behind a `/rerank` HTTP endpoint: Cohere, Jina, Voyage, Text Embeddings Inference, vLLM, Infinity.

What is sent and read is in `ragprof.parts.http.formats`, with the pages where each dialect was looked up. Scores are
reused under the address, the dialect, the model's name and the settings. What stands behind a name can change without
one of them changing: give another name, or clear the cache, when it does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt

from ragprof.core import Doc, Query, Scored, Usage
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reranker
from ragprof.parts.http.calls import (
    CallFailed,
    FormatName,
    Patience,
    Server,
    attempted,
    is_loopback,
    parsed,
    persistently,
)
from ragprof.parts.http.formats import (
    FORMATS,
    Dialect,
    RerankSettings,
    path_under,
    request_body,
    scores_in,
    units_counted,
)

Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Answer: TypeAlias = tuple[list[float], dict[str, int]]
"""One score a document, and the units that the server counted."""
GREETING = "hello"
TOO_MANY = re.compile(r"batch size|too many (documents|texts|inputs)|(number|amount|list) of (documents|texts)", re.I)
TOO_LONG = re.compile(r"\btokens?\b|context.{0,12}(length|size|window)|too long", re.I)


class RerankApiReranker:
    """Raw scores as the server gives them: only their order means anything.

    `pointwise` is what the user says of the model, and false for a listwise one: Jina's v3 reads all documents of a
    request together, so its scores change with the company, are not reused, and more documents than one request holds
    are an error. Pointwise documents over `max_documents` go out in several requests, one after the other. With
    `truncate` the server cuts what is too long, without it refuses; `max_tokens_per_doc` cuts documents before. Usage
    counts `requests`, `docs_scored`, `retries`, and `search_units` and `input_tokens` where every answer says them.
    """

    asks_by_query = True

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        dialect: Dialect = "cohere",
        api_key_env: str | None = None,
        pointwise: bool = True,
        max_documents: PositiveInt | None = None,
        max_tokens_per_doc: PositiveInt | None = None,
        truncate: bool = True,
        timeout_seconds: Seconds = 60.0,
        retries: NonNegativeInt = 4,
        concurrency: PositiveInt = 4,
    ) -> None:
        self._dialect, self._form = dialect, FORMATS[dialect]
        key_name = self._form.key_name if api_key_env is None else api_key_env
        self._server = Server(base_url, key_name=key_name, timeout_s=timeout_seconds, connections=concurrency)
        self._path = path_under(self._server.url, self._form)
        self._settings = RerankSettings(model, truncate, max_tokens_per_doc)
        if max_tokens_per_doc is not None and not self._form.limits_documents:
            known = ", ".join(name for name, other in FORMATS.items() if other.limits_documents)
            raise BadInput(f"'{dialect}' has no max_tokens_per_doc; leave it out (these have: {known})")
        if not truncate and not self._form.cut:
            raise BadInput(f"'{dialect}' cannot be told to refuse what is too long; leave truncate out")
        self.pointwise, self.patience = pointwise, Patience(retries)
        self._most, self._concurrency = max_documents or self._form.most_documents, concurrency
        self._greeted = False

    @property
    def identity(self) -> str:
        asked = f"truncate={self._settings.truncate} max_tokens_per_doc={self._settings.max_tokens_per_doc}"
        return f"rerank_api {self._server.url}{self._path} {self._dialect} {self._settings.model} {asked}"

    @property
    def engine(self) -> str:
        return f"POST {self._path or 'base_url'} ({self._dialect})"

    @property
    def precision(self) -> str:
        return "what the server computes in"

    @property
    def max_tokens_per_doc(self) -> int | None:
        return self._settings.max_tokens_per_doc

    @property
    def truncate(self) -> bool:
        return self._settings.truncate

    @property
    def remote(self) -> bool:
        """Whether its time is another machine's: not where the server stands on this one's loopback."""
        return not is_loopback(self._server.url)

    def load(self) -> None:
        """Score one tiny pair, once: a request that is billed like any other.

        Raises BadInput where nobody answers, where the key, the model or the format is not what the server takes.
        """
        if self._greeted:
            return
        answered = attempted(lambda: persistently(self._greeting, self.patience))
        if isinstance(answered, CallFailed):
            raise self._explained(answered, 1)
        self._greeted = True

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        """Raises BadInput where the server refuses or fails more often than `retries`, NonFiniteScore for NaN."""
        if len(docs) > self._most and not self.pointwise:
            raise BadInput(
                f"{len(docs)} documents do not fit one request of {self._most}, and a listwise model scores apart what "
                "it reads apart; raise max_documents as far as the server allows, or lower depth"
            )
        texts = [doc.content for doc in docs]
        scores: list[float] = []
        counts: list[dict[str, int]] = []
        failed = 0
        for start in range(0, len(texts), self._most):
            (some, counted_units), failures = self._asked(query.text, texts[start : start + self._most])
            scores += some
            counts.append(counted_units)
            failed += failures
        usage = {"requests": len(counts), "docs_scored": len(docs), "retries": failed, **summed(counts)}
        return Scored(tuple(scores), usage)

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
        """Pairs of one query go out together, `concurrency` queries at a time."""
        places: dict[tuple[str, str], list[int]] = {}
        for place, (query, _) in enumerate(pairs):
            places.setdefault((query.query_id, query.text), []).append(place)
        scores = [0.0] * len(pairs)
        with ThreadPoolExecutor(self._concurrency) as pool:
            found = pool.map(lambda mine: self.score(pairs[mine[0]][0], [pairs[at][1] for at in mine]), places.values())
            for mine, scored in zip(places.values(), found, strict=True):
                for place, score in zip(mine, scored.scores, strict=True):
                    scores[place] = score
        return scores

    def _asked(self, query: str, texts: Sequence[str]) -> tuple[Answer, int]:
        """One request's answer, and how many attempts failed before it."""
        answered = attempted(lambda: persistently(lambda: self._attempt(query, texts), self.patience))
        if isinstance(answered, CallFailed):
            raise self._explained(answered, len(texts))
        return answered

    def _attempt(self, query: str, texts: Sequence[str]) -> Answer:
        body = request_body(self._form, self._settings, query, texts)
        with self._server.exchange("POST", self._path, body) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if not kind.endswith("json"):  # a page and not data, which another attempt would not mend
                raise CallFailed(f"it sent '{kind}' where scores should be", again=False)
            payload = parsed(response.read())
            counted = units_counted(self._form, payload, response.headers)
            return scores_in(self._form, payload, len(texts)), counted

    def _greeting(self) -> Answer:
        """The tiny pair. A server that does not answer at all is not waited for."""
        answered = attempted(lambda: self._attempt(GREETING, [GREETING]))
        if isinstance(answered, CallFailed):
            raise answered if answered.status is not None else CallFailed(answered.reason, again=False)
        return answered

    def _explained(self, failure: CallFailed, documents: int) -> BadInput:
        """What the user can do about it. It is never chained to what was caught: that may hold the request."""
        form = FormatName(self._dialect, "dialect", self._form.path, f"dialect one of: {', '.join(FORMATS)}")
        when_slow, model = "raise timeout_seconds or lower max_documents", self._settings.model
        told = self._server.mismatch(failure, self._path, form=form, model=model, when_slow=when_slow)
        if told is not None:
            return told
        status, reason, said = failure.status, failure.reason, f"{failure.code} {failure.reason}"
        if TOO_MANY.search(said) or (status == 413 and not TOO_LONG.search(said)):
            why = f"does not take {documents} documents in a request ({status}: {reason}); lower max_documents"
        elif TOO_LONG.search(said):
            why = (
                f"finds a text too long ({status}: {reason}); have it cut by truncate or max_tokens_per_doc, or "
                "lower max_documents where the limit is on all texts together"
            )
        else:
            why = f"refused the request with {status}: {reason}"
        return BadInput(f"{self._server.url}{self._path} {why}")


def summed(counts: Sequence[Usage]) -> dict[str, int]:
    """Units that every request was told of: a sum that lacks one of them would be too small."""
    units = set.intersection(*(set(some) for some in counts)) if counts else set()
    return {unit: sum(some[unit] for some in counts) for unit in sorted(units)}


plugin: type[Reranker] = RerankApiReranker
