"""Wire formats, of OpenAI-compatible answers (streamed or in one object, chat or text) and of rerankers over HTTP.

Opens no connection and makes nothing up: a count that the server does not give is absent, and so is a first token that
was not seen coming; a score that is missing is an error.

Where the formats of rerankers were read:
cohere  docs.cohere.com/reference/rerank (v2: example with `meta.billed_units.search_units`; at most 1,000 documents are
        recommended, long ones are cut at `max_tokens_per_doc`); cohere-python, types/api_meta_billed_units.py.
jina    github.com/jina-ai/meta-prompt, v13.txt (`return_documents` is true unless it is refused); `usage.total_tokens`:
        github.com/jina-ai/node-DeepResearch, tools/jina-rerank.ts, and LiteLLM's llms/jina_ai/rerank.
voyage  docs.voyageai.com/reference/reranker-api (`top_k`, `truncation`, 1,000 documents); voyageai-python,
        object/reranking.py (`data`, `usage.total_tokens`).
tei     huggingface/text-embeddings-inference, router/src/http/types.rs and server.rs (`texts`, a bare list back, tokens
        in the header x-compute-tokens; 413 over --max-client-batch-size, 32 unless it is raised).
vllm    vllm-project/vllm, entrypoints/pooling/scoring/protocol.py and api_router.py (/rerank and /v1/rerank alike;
        `truncate_prompt_tokens` -1 is the model's own length; `max_tokens_per_doc` since pull request 38827). Infinity
        has the same at /rerank (michaelfeil/infinity, fastapi_schemas/pymodels.py), `data` for `results` in some.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import httpx2

from ragprof.core import Generated
from ragprof.core.clock import Clock
from ragprof.core.errors import NonFiniteScore
from ragprof.core.reasoning import inner, reasoning_ends
from ragprof.parts.http.calls import CallFailed, complaint, parsed

DONE = "[DONE]"
STREAM = "text/event-stream"
CUT = frozenset({"length", "max_tokens", "model_length"})
HELD_BACK = frozenset({"content_filter", "safety"})
THINKING = frozenset({"thinking", "reasoning"})
Piece: TypeAlias = tuple[str, int | None]
AMENDMENTS = {"stream_options": None, "temperature": None, "max_tokens": "max_completion_tokens"}
"""Settings of a chat that not every server knows, and the newer name of the one that has one."""
UNSUPPORTED = re.compile(r"unsupported|not support|forbidden|not permitted|unrecogni[sz]ed|unexpected|unknown", re.I)
TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window)|max_new_tokens|too many tokens|(prompt|input) is too long", re.I
)


@dataclass
class Reply:
    """An answer as it comes in: its text in pieces, each with the clock's reading (None where nothing was streamed).

    `thoughts` are pieces of reasoning that the server sends apart from the answer.
    """

    pieces: list[Piece] = field(default_factory=list)
    thoughts: list[Piece] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    finish: str | None = None
    has_answer: bool = False

    def take(self, chunk: Mapping[str, Any], clock: Clock | None = None) -> None:
        """Add what a chunk, or a whole response, says. Raises CallFailed where it is not of the format."""
        self.usage |= counted(chunk.get("usage"))
        choices = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise malformed()
        for choice in choices[:1]:
            self.has_answer = True
            thought, said = said_by(choice)
            at_ns = clock() if clock is not None and (thought or said) else None
            self.thoughts += [(thought, at_ns)] if thought else []
            self.pieces += [(said, at_ns)] if said else []
            self.finish = choice.get("finish_reason") or self.finish

    def hide(self, secret: Callable[[str], str]) -> None:
        """Take a secret that the server sent back out of what it said, where it came in pieces, too."""
        for pieces in (self.pieces, self.thoughts):
            said = "".join(piece for piece, _ in pieces)
            if (hidden := secret(said)) != said:
                pieces[:] = [(hidden, pieces[0][1])]

    def generated(self, sent_ns: int, usage: Mapping[str, int]) -> Generated:
        """The answer, its reasoning apart: what the server sent apart, or what stands before </think>."""
        text = "".join(piece for piece, _ in self.pieces)
        start = reasoning_ends(text)
        thoughts = self.thoughts or (self.pieces if start else [])
        reasoning = "".join(piece for piece, _ in self.thoughts) or inner(text[:start])
        answer = text[start:].lstrip() if reasoning else text
        # The first piece that reaches beyond the reasoning and the blanks after it holds the answer's first token.
        length, place = len(text) - len(answer), 0
        first_at_ns = None
        for piece, at_ns in self.pieces:
            place += len(piece)
            if place > length:
                first_at_ns = at_ns
                break
        thought_at_ns = thoughts[0][1] if thoughts else None
        return Generated(
            answer,
            {**self.usage, **usage},
            None if first_at_ns is None else first_at_ns - sent_ns,
            "length" if self.finish in CUT else "content_filter" if self.finish in HELD_BACK else "stop",
            reasoning,
            None if thought_at_ns is None else thought_at_ns - sent_ns,
        )


def read(response: httpx2.Response, clock: Clock) -> Reply:
    """The whole answer. Raises CallFailed where it is cut, malformed, an error, or no answer at all."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != STREAM and not kind.endswith("json"):
        raise CallFailed(f"it sent '{kind}' where an answer should be", again=False)
    reply = Reply()
    if kind != STREAM:
        reply.take(object_of(response.read()))
        if not reply.has_answer:
            raise malformed()
        return reply
    ended = False
    for event in httpx2.EventSource(response):  # to its very end, so that the connection can be used again
        if ended or not event.data:
            continue
        if event.data.strip() == DONE:
            ended = True
            continue
        reply.take(object_of(event.data), clock)
    if not reply.has_answer or not (ended or reply.finish):
        raise CallFailed("the stream ended before the answer did")
    return reply


def unknown_settings(failure: CallFailed, body: Mapping[str, Any]) -> frozenset[str]:
    """Which settings of a request were refused, of those that it can do without; none where something else is wrong."""
    said = f"{failure.code} {failure.reason}"
    if failure.status not in (400, 422) or not UNSUPPORTED.search(said) or TOO_LONG.search(said):
        return frozenset()
    return frozenset(name for name in AMENDMENTS if name in body and re.search(rf"\b{name}\b", said))


def amended(body: Mapping[str, Any], unknown: frozenset[str]) -> dict[str, Any]:
    """The request without these settings, or by their newer names."""
    newer = {new: body[old] for old in unknown if (new := AMENDMENTS[old]) and old in body}
    return {name: value for name, value in body.items() if name not in unknown} | newer


def object_of(content: bytes | str) -> Mapping[str, Any]:
    """One JSON object. Raises CallFailed for anything else, and for one that tells an error."""
    chunk = parsed(content)
    if not isinstance(chunk, dict):
        raise malformed()
    if chunk.get("error"):
        code = chunk["error"].get("code") if isinstance(chunk["error"], dict) else None
        raise complaint(chunk, code if isinstance(code, int) else 500)
    return chunk


def said_by(choice: Any) -> tuple[str, str]:
    """Reasoning and text that a choice adds: of a delta or a message in chat, its own in a text completion.

    Reasoning stands in `reasoning_content` (DeepSeek, SGLang, llama.cpp), in `reasoning` (vLLM, OpenRouter, Ollama), or
    among the parts of `content` (Mistral). A model that refuses may say so in `refusal` (OpenAI).
    """
    if not isinstance(choice, dict):
        raise malformed()
    inside = choice.get("delta", choice.get("message"))
    if not isinstance(inside, dict):
        return "", plain_text(choice.get("text") if inside is None else inside)
    content = inside.get("content")
    thought = plain_text(inside.get("reasoning_content") or inside.get("reasoning"))
    if isinstance(content, list):
        thoughts = [part for part in content if isinstance(part, dict) and part.get("type") in THINKING]
        thought += plain_text(thoughts)
        content = [part for part in content if part not in thoughts]
    return thought, plain_text(content or inside.get("refusal"))


def plain_text(given: Any) -> str:
    """A text, or the texts of a list of parts ({"type": "text", "text": ...}); parts of another kind say nothing."""
    if given is None or isinstance(given, str):
        return given or ""
    if not isinstance(given, list):
        raise malformed()
    texts = []
    for part in given:
        if not isinstance(part, str | dict):
            raise malformed()
        inside = part if isinstance(part, str) else part.get("text", part.get(str(part.get("type"))))
        texts.append("" if isinstance(inside, dict) else plain_text(inside))
    return "".join(texts)


def counted(usage: Any) -> dict[str, int]:
    """Tokens as the server counted them; a unit that it does not give is left out.

    Reasoning is part of the completion (OpenAI), or stands beside it in the total alone (xAI, Gemini): `output_tokens`
    holds it either way, as it is billed.
    """
    if not isinstance(usage, dict):
        return {}
    read, told = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    given = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cached_tokens": read.get("cached_tokens") if isinstance(read, dict) else None,
        "reasoning_tokens": told.get("reasoning_tokens") if isinstance(told, dict) else None,
        "total": usage.get("total_tokens"),
    }
    known = {unit: count for unit, count in given.items() if type(count) is int and count >= 0}
    beside = known.pop("total", 0) - known.get("input_tokens", 0) - known.get("output_tokens", 0)
    if beside > 0 and {"input_tokens", "output_tokens"} <= known.keys():
        known["output_tokens"] += beside
        known["reasoning_tokens"] = max(beside, known.get("reasoning_tokens", 0))
    return known


def malformed() -> CallFailed:
    """A chunk that is JSON but not of the format."""
    return CallFailed("what came is not an answer of the OpenAI format")


Dialect: TypeAlias = Literal["cohere", "jina", "voyage", "tei", "vllm"]
Place: TypeAlias = tuple[str, ...]
"""Keys from the outermost to the innermost."""
RERANK = "/rerank"
TOTAL_TOKENS: Mapping[str, tuple[Place, ...]] = {"input_tokens": (("usage", "total_tokens"),)}


@dataclass(frozen=True)
class Format:
    """One dialect. `most_documents` is what a request holds unless the user says otherwise.

    `cut` and `uncut` are sent where texts that are too long are to be cut, and where they are to be refused; both are
    empty where the dialect has no such switch. `entries` are the keys that the results may stand under, none where they
    are the whole answer. `counts` says where a unit of usage stands, the first place that holds a number counting;
    `tokens_header` is a header that holds `input_tokens`.
    """

    path: str
    key_name: str
    most_documents: int
    texts: str = "documents"
    count: str | None = "top_n"
    sends_model: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)
    cut: Mapping[str, Any] = field(default_factory=dict)
    uncut: Mapping[str, Any] = field(default_factory=dict)
    limits_documents: bool = False
    entries: Place = ("results",)
    score: str = "relevance_score"
    counts: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    tokens_header: str | None = None


COHERE_COUNTS: Mapping[str, tuple[Place, ...]] = {
    "search_units": (("meta", "billed_units", "search_units"),),
    "input_tokens": (("meta", "billed_units", "input_tokens"), ("meta", "tokens", "input_tokens")),
}
WITHOUT_TEXTS = {"return_documents": False}
FORMATS: Mapping[Dialect, Format] = {
    "cohere": Format("/v2/rerank", "CO_API_KEY", 1000, limits_documents=True, counts=COHERE_COUNTS),
    "jina": Format("/v1/rerank", "JINA_API_KEY", 1000, fixed=WITHOUT_TEXTS, counts=TOTAL_TOKENS),
    "voyage": Format(
        *("/v1/rerank", "VOYAGE_API_KEY", 1000),
        count="top_k", fixed=WITHOUT_TEXTS, cut={"truncation": True}, uncut={"truncation": False},
        entries=("data",), counts=TOTAL_TOKENS,
    ),
    "tei": Format(
        *(RERANK, "TEI_API_KEY", 32),
        texts="texts", count=None, sends_model=False, fixed={"raw_scores": True, "return_text": False},
        cut={"truncate": True}, uncut={"truncate": False},
        entries=(), score="score", tokens_header="x-compute-tokens",
    ),
    "vllm": Format(
        *(RERANK, "VLLM_API_KEY", 1000),
        cut={"truncate_prompt_tokens": -1}, limits_documents=True, entries=("results", "data"), counts=TOTAL_TOKENS,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class RerankSettings:
    """What is asked of the model besides its texts; `model` is left out where the server has but one."""

    model: str
    truncate: bool
    max_tokens_per_doc: int | None


def path_under(base_url: str, form: Format) -> str:
    """What follows the address: nothing where it is whole, and no version where it ends in one."""
    if base_url.endswith(RERANK):
        return ""
    return RERANK if re.search(r"/v\d+$", base_url) else form.path


def request_body(form: Format, settings: RerankSettings, query: str, texts: Sequence[str]) -> dict[str, Any]:
    """One request for the scores of all these texts."""
    body: dict[str, Any] = {"model": settings.model} if form.sends_model else {}
    body |= {"query": query, form.texts: list(texts)}
    if form.count is not None:
        body[form.count] = len(texts)
    if settings.max_tokens_per_doc is not None:
        body["max_tokens_per_doc"] = settings.max_tokens_per_doc
    return {**body, **form.fixed, **(form.cut if settings.truncate else form.uncut)}


def scores_in(form: Format, payload: object, count: int) -> list[float]:
    """One score a text, in the order in which the texts were sent, whatever the order of the results.

    Raises CallFailed where a text has no score or several, or what came is not of the format, and NonFiniteScore for
    NaN, infinity and null, which is how some servers write NaN.
    """
    held = [payload] if not form.entries else [_at(payload, (key,)) for key in form.entries]
    entries = next((some for some in held if isinstance(some, list)), None)
    if entries is None:
        where = " or ".join(f"'{key}'" for key in form.entries) or "the answer itself"
        raise CallFailed(f"a list of results should be {where}", again=False)
    scores: dict[int, float] = {}
    for entry in entries:
        index, score = _at(entry, ("index",)), _at(entry, (form.score,))
        if type(index) is not int or not (isinstance(entry, Mapping) and form.score in entry):
            raise CallFailed(f"a result has 'index' and '{form.score}'; one has not", again=False)
        if score is None or (isinstance(score, float) and not math.isfinite(score)):
            given = "null" if score is None else score
            raise NonFiniteScore(
                f"the reranker gave {given} as the score of document {index}; no ranking could be trusted"
            )
        if not isinstance(score, int | float) or isinstance(score, bool):
            raise CallFailed(f"the score of document {index} is no number", again=False)
        if not 0 <= index < count:
            raise CallFailed(f"it scored document {index} of {count}, counted from 0", again=False)
        if index in scores:
            raise CallFailed(f"it scored document {index} twice", again=False)
        try:
            scores[index] = float(score)
        except OverflowError:
            raise CallFailed(f"the score of document {index} is beyond all numbers", again=False) from None
    missing = [index for index in range(count) if index not in scores]
    if missing:
        raise CallFailed(
            f"it scored {len(scores)} of {count} documents; the first without a score is {missing[0]}",
            again=False,
        )
    return [scores[index] for index in range(count)]


def units_counted(form: Format, payload: object, headers: Mapping[str, str]) -> dict[str, int]:
    """Units as the server counted them; one that it does not give as a whole number is left out."""
    found: dict[str, int] = {}
    for unit, places in form.counts.items():
        for value in (_at(payload, place) for place in places):
            whole = type(value) is int or (isinstance(value, float) and value.is_integer())
            if whole and value >= 0 and unit not in found:
                found[unit] = int(value)
    header = headers.get(form.tokens_header, "") if form.tokens_header else ""
    return found | ({"input_tokens": int(header)} if re.fullmatch(r"\d+", header) else {})


def _at(payload: Any, place: Place) -> Any:
    """What stands there; None where something on the way is missing."""
    for key in place:
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    return payload
