"""A server on this machine's loopback that speaks one dialect of `/rerank`, and fails as it is told to.

Unasked, it scores a document by the share of the query's words that it has, and sends the best first. A token is a
word; the query is counted once for every document. A step of `plan` takes the place of one answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from speaking_server import Handler, SpeakingServer, Step, speaking

PATHS: Mapping[str, Sequence[str]] = {
    "cohere": ("/v2/rerank",),
    "jina": ("/v1/rerank",),
    "voyage": ("/v1/rerank",),
    "tei": ("/rerank",),
    "vllm": ("/rerank", "/v1/rerank", "/v2/rerank"),
}
MODEL = "overlap-1"
Pair: TypeAlias = tuple[int, float]


@contextmanager
def reranking(dialect: str, *, most: int = 1000) -> Iterator[SpeakingServer]:
    """A server of one dialect, that takes at most so many documents in a request."""
    with speaking() as server:
        server.otherwise = partial(reranks, dialect=dialect, most=most)
        yield server


def address(server: SpeakingServer) -> str:
    """Where it stands, without a version."""
    return server.url.removesuffix("/v1")


def reranks(
    handler: Handler, dialect: str, most: int = 1000, change: Callable[[Any], Any] = lambda answer: answer
) -> None:
    """The usual answer, or what `change` makes of it; an error for what the dialect does not take."""
    body = handler.body
    if handler.path not in PATHS[dialect]:
        handler.send(404, "404 page not found", "text/plain")
    elif dialect != "tei" and body["model"] != MODEL:
        handler.send(404, json.dumps({"message": f"model '{body['model']}' not found"}))
    elif len(texts_of(body)) > most:
        status, message = too_many(dialect, len(texts_of(body)), most)
        handler.send(status, message)
    else:
        pairs = sorted(enumerate(overlaps(body)), key=lambda pair: -pair[1])
        tokens = sum(len(words_of(body["query"])) + len(words_of(text)) for text in texts_of(body))
        headers = {"x_compute_tokens": str(tokens)} if dialect == "tei" else {}
        handler.send(200, json.dumps(change(answer_of(dialect, body, pairs, tokens))), **headers)


def changed(dialect: str, change: Callable[[Any], Any]) -> Step:
    """One answer that is changed on its way."""
    return partial(reranks, dialect=dialect, change=change)


def answer_of(dialect: str, body: Mapping[str, Any], pairs: Sequence[Pair], tokens: int) -> Any:
    """What each of them sends back, with all that it sends besides."""
    if dialect == "tei":
        return [{"index": index, "score": score} for index, score in pairs]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in pairs]
    if dialect == "cohere":
        units = {"search_units": float(-(-len(results) // 100))}
        meta = {"api_version": {"version": "2", "is_experimental": False}, "billed_units": units}
        return {"id": "07734bd2", "results": results[: body["top_n"]], "meta": meta}
    usage = {"total_tokens": tokens}
    if dialect == "voyage":
        data = results[: body["top_k"]]
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}
    if dialect == "vllm":
        results = [{**result, "document": {"text": body["documents"][result["index"]]}} for result in results]
        usage["prompt_tokens"] = tokens
    return {"id": "rerank-1", "model": body["model"], "usage": usage, "results": results[: body["top_n"]]}


def too_many(dialect: str, count: int, most: int) -> tuple[int, str]:
    """How they refuse more documents than they take: status and content."""
    if dialect == "tei":
        said = f"batch size {count} > maximum allowed batch size {most}"
        return 413, json.dumps({"error": said, "error_type": "Validation"})
    return 400, json.dumps({"detail": f"The number of documents cannot exceed {most}."})


def overlaps(body: Mapping[str, Any]) -> list[float]:
    asked = words_of(body["query"])
    return [len(set(asked) & set(words_of(text))) / max(1, len(set(asked))) for text in texts_of(body)]


def texts_of(body: Mapping[str, Any]) -> list[str]:
    texts: list[str] = body.get("documents", body.get("texts"))
    return texts


def words_of(text: str) -> list[str]:
    return text.lower().split()


def is_cut_half_way(handler: Handler) -> None:
    """A response that announces more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"results": [{"index": 0, "relev')
    handler.close_connection = True
