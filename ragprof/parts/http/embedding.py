"""An embedder behind a server: what all hosted ones share, whatever format they speak.

Vectors are reused under the address, the model's name and all that changes them; the key is no part of it. What stands
behind a name can change without one of them changing: give another name, or clear the cache, when it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from ragprof.core import Embedded, PairLength, Vectors
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter
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
from ragprof.parts.http.vectors import (
    EmbedFormat,
    EmbedSettings,
    Encoding,
    Purpose,
    embed_body,
    embed_path,
    requests_of,
    tokens_in,
    vectors_in,
)

Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Similarity: TypeAlias = Literal["cosine", "dot"]
Answered: TypeAlias = tuple[Vectors, int | None]
"""Vectors, and the tokens that the server counted for them."""
GREETING = "hello"
TOO_MANY = re.compile(
    r"batch size|too many (documents|texts|inputs)|(number|amount|list|array) of (documents|texts|inputs|items)"
    r"|at most \d+ items|max(imum)? \d+ tokens per request|tokens per request|largest allowed size",
    re.I,
)
TOO_LONG = re.compile(r"\btokens?\b|context.{0,12}(length|size|window)|too long|input.{0,20}length", re.I)
UNSUPPORTED = re.compile(
    r"unsupported|not support|forbidden|not permitted|unrecogni[sz]ed|unexpected|unknown|extra", re.I
)


class HostedEmbedder:
    """Texts go out in as few requests as the limits allow, `concurrency` at a time where nothing is timed.

    What stands before a text (`query_prefix`, `document_prefix`) is sent with it, and billed with it. Vectors are made
    unit vectors where `similarity` is "cosine", whatever the server sends, and taken as they come where it is "dot".
    `max_tokens` cuts texts before they are sent, as the tokenizer `o200k_base` counts. Usage counts `texts`,
    `requests`, `retries`, and `input_tokens` where every answer says them.
    """

    form: ClassVar[EmbedFormat]

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        dimensions: PositiveInt | None = None,
        query_prefix: str = "",
        document_prefix: str = "",
        query_type: str | None = None,
        document_type: str | None = None,
        similarity: Similarity = "cosine",
        truncate: bool = True,
        max_tokens: PositiveInt | None = None,
        max_texts: PositiveInt | None = None,
        max_request_tokens: PositiveInt | None = None,
        encoding: Encoding | None = None,
        timeout_seconds: Seconds = 60.0,
        retries: NonNegativeInt = 4,
        concurrency: PositiveInt = 4,
    ) -> None:
        form = self.form
        address = base_url or form.base_url
        if address is None:
            raise BadInput(f"'{form.name}' has no address of its own; set base_url, such as http://127.0.0.1:8080/v1")
        if encoding is not None and encoding not in form.encodings:
            raise BadInput(f"'{form.name}' sends vectors as {' or '.join(form.encodings)}; leave encoding out")
        if not truncate and not form.cut:
            raise BadInput(f"'{form.name}' cannot be told to refuse what is too long; leave truncate out")
        self._server = Server(
            address, key_name=form.key_name if api_key_env is None else api_key_env, timeout_s=timeout_seconds,
            connections=concurrency, key_header=form.key_header,
        )  # fmt: skip
        self._path = embed_path(self._server.url, form)
        given: dict[Purpose, str | None] = {"query": query_type, "document": document_type}
        kinds = {purpose: form.kinds.get(purpose, "") if kind is None else kind for purpose, kind in given.items()}
        told = {purpose: kind for purpose, kind in kinds.items() if kind}
        self._settings = EmbedSettings(model, dimensions, told, truncate, encoding or form.encodings[0])
        self._prefixes: Mapping[Purpose, str] = {"query": query_prefix, "document": document_prefix}
        self._similarity, self.max_tokens = similarity, max_tokens
        self._most_texts = max_texts or form.most_texts
        self._most_tokens = max_request_tokens or form.most_tokens
        self._concurrency, self.patience = concurrency, Patience(retries)
        self._no_base64 = self._greeted = False
        self._width: int | None = None

    @property
    def identity(self) -> str:
        asked = self._settings
        return (
            f"{self.form.name} {self._server.url}{self._path} {asked.model} dimensions={asked.dimensions} "
            f"kinds={dict(asked.kinds)} prefixes={dict(self._prefixes)} {self._similarity} truncate={asked.truncate} "
            f"max_tokens={self.max_tokens} {asked.encoding}"
        )

    @property
    def engine(self) -> str:
        return f"POST {self._path or 'base_url'} ({self.form.name})"

    @property
    def precision(self) -> str:
        return "what the server computes in"

    @property
    def remote(self) -> bool:
        """Whether its time is another machine's: not where the server stands on this one's loopback."""
        return not is_loopback(self._server.url)

    @property
    def texts_at_once(self) -> int:
        return self._most_texts * self._concurrency

    def load(self) -> None:
        """Embed one word, once: a request that is billed like any other.

        Raises BadInput where nobody answers, where the key, the model or the format is not what the server takes.
        """
        if self._greeted:
            return
        answered = attempted(lambda: persistently(self._greeting, self.patience))
        if isinstance(answered, CallFailed):
            raise self._explained(answered, [GREETING])
        self._checked(answered[0][0])
        self._greeted = True

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        return self._embedded("document", texts)

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        return self._embedded("query", texts)

    def document_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        return self._lengths("document", texts)

    def query_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        return self._lengths("query", texts)

    def _lengths(self, purpose: Purpose, texts: Sequence[str]) -> list[PairLength]:
        """Of what is sent, prefix included. What the server cuts besides it does not tell."""
        count = counter(DEFAULT_TOKENIZER)
        tokens = [count(self._prefixes[purpose] + text) for text in texts]
        return [PairLength(each, min(each, self.max_tokens or each)) for each in tokens]

    def _embedded(self, purpose: Purpose, texts: Sequence[str]) -> Embedded:
        """Raises BadInput where the server refuses or fails more often than `retries`, NonFiniteScore for NaN."""
        if not texts:
            self.load()  # which tells how wide a row is
            return Embedded(np.zeros((0, self._width or 0), np.float32), {"texts": 0, "requests": 0, "retries": 0})
        sent = [self._cut(self._prefixes[purpose] + text) for text in texts]
        requests = list(
            requests_of(
                sent, most_texts=self._most_texts, most_tokens=self._most_tokens, count=counter(DEFAULT_TOKENIZER)
            )
        )
        if len(requests) == 1:  # the live call: no thread stands between
            answers = [self._asked(purpose, requests[0])]
        else:
            with ThreadPoolExecutor(self._concurrency) as pool:
                answers = list(pool.map(lambda some: self._asked(purpose, some), requests))
        made = [answer for several, _ in answers for answer in several]
        vectors = np.concatenate([self._checked(answer[0]) for answer in made])
        usage = {"texts": len(texts), "requests": len(made), "retries": sum(failed for _, failed in answers)}
        tokens = [answer[1] for answer in made if answer[1] is not None]
        return Embedded(
            unit_vectors(vectors) if self._similarity == "cosine" else vectors,
            {**usage, "input_tokens": sum(tokens)} if len(tokens) == len(made) else usage,
        )

    def _asked(self, purpose: Purpose, texts: Sequence[str]) -> tuple[list[Answered], int]:
        """Answers that cover the texts in order, and how many attempts failed.

        A request that is too large for the server goes out again in two halves.
        """
        answered = attempted(lambda: persistently(lambda: self._attempt(purpose, texts), self.patience))
        if not isinstance(answered, CallFailed):
            answer, failed = answered
            return [answer], failed
        if len(texts) == 1 or not is_too_large(answered):
            raise self._explained(answered, texts)
        half = len(texts) // 2
        first, second = self._asked(purpose, texts[:half]), self._asked(purpose, texts[half:])
        return [*first[0], *second[0]], answered.attempts + first[1] + second[1]

    def _attempt(self, purpose: Purpose, texts: Sequence[str]) -> Answered:
        settings = replace(self._settings, encoding="float") if self._no_base64 else self._settings
        body = embed_body(self.form, settings, purpose, texts)
        try:
            with self._server.exchange("POST", self._path, body) as response:
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if not kind.endswith("json"):  # a page and not data, which another attempt would not mend
                    raise CallFailed(f"it sent '{kind}' where vectors should be", again=False)
                payload = parsed(response.read())
                return vectors_in(payload, len(texts)), tokens_in(payload)
        except CallFailed as failure:
            said = f"{failure.code} {failure.reason}"
            if "encoding_format" not in body or "encoding_format" not in said or not UNSUPPORTED.search(said):
                raise
            self._no_base64 = True
            raise CallFailed(failure.reason, status=failure.status, code=failure.code, wait_s=0.0) from None

    def _greeting(self) -> Answered:
        """A server that does not answer at all is not waited for."""
        answered = attempted(lambda: self._attempt("query", [GREETING]))
        if isinstance(answered, CallFailed):
            raise answered if answered.status is not None else CallFailed(answered.reason, again=False)
        return answered

    def _checked(self, vectors: Vectors) -> Vectors:
        """The same. Raises BadInput where they are not as long as was asked for, or as they were before."""
        width, wanted, where = vectors.shape[1], self._settings.dimensions, f"{self._server.url}{self._path}"
        if wanted is not None and width != wanted:
            raise BadInput(
                f"{where} gave {width} dimensions where {wanted} were asked for; '{self._settings.model}' does not "
                "take dimensions: leave the option out, or name a model that does"
            )
        if self._width is not None and width != self._width:
            raise BadInput(
                f"{where} gave {self._width} dimensions before and {width} now: another model stands behind "
                f"'{self._settings.model}'; run again once it is settled"
            )
        self._width = width
        return vectors

    def _cut(self, text: str) -> str:
        """The longest beginning of at most `max_tokens`."""
        most, count = self.max_tokens, counter(DEFAULT_TOKENIZER)
        if most is None or len(text.encode("utf-8", "surrogatepass")) <= most or count(text) <= most:
            return text
        fits, over = 0, len(text)
        while over - fits > 1:
            middle = (fits + over) // 2
            fits, over = (middle, over) if count(text[:middle]) <= most else (fits, middle)
        return text[:fits]

    def _explained(self, failure: CallFailed, texts: Sequence[str]) -> BadInput:
        """What the user can do about it. It is never chained to what was caught: that may hold the request."""
        form = FormatName(self.form.name, "the name", self.form.path)
        when_slow, model = "raise timeout_seconds or lower max_texts", self._settings.model
        told = self._server.mismatch(failure, self._path, form=form, model=model, when_slow=when_slow)
        if told is not None:
            return told
        status, reason, said = failure.status, failure.reason, f"{failure.code} {failure.reason}"
        if TOO_LONG.search(said) or status == 413:
            tokens = max(map(counter(DEFAULT_TOKENIZER), texts))
            why = (
                f"finds a text of about {counted(tokens, 'token')} too long ({status}: {reason}); set max_tokens to "
                "what the model reads, or cut the corpus into smaller passages with [corpus] chunking"
            )
        elif "dimension" in said and self._settings.dimensions is not None:
            why = f"does not take dimensions = {self._settings.dimensions} ({status}: {reason})"
        else:
            why = f"refused the request with {status}: {reason}"
        return BadInput(f"{self._server.url}{self._path} {why}")


def is_too_large(failure: CallFailed) -> bool:
    """Whether fewer texts in a request may be taken."""
    said = f"{failure.code} {failure.reason}"
    return failure.status == 413 or (
        failure.status in (400, 422) and (TOO_MANY.search(said) or TOO_LONG.search(said)) is not None
    )


def unit_vectors(vectors: Vectors) -> Vectors:
    """The same directions, of length 1; a vector of zeros or of what is no number stays what it is."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.where((norms > 0) & np.isfinite(norms), norms, 1.0)).astype(np.float32)
    return scaled
