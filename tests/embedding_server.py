"""A server on this machine's loopback that speaks one dialect of embeddings, and fails as it is told to.

Unasked, a text's vector counts its words in eight places, three times over, so that it is no unit vector. A token is a
word. A step of `plan` takes the place of one answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from speaking_server import Handler, SpeakingServer, speaking

MODEL = "words-1"
WIDTH = 8
Vector: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"


@contextmanager
def embedding(dialect: str, *, most: int = 1000, width: int = WIDTH) -> Iterator[SpeakingServer]:
    """A server of one dialect that takes at most so many texts in a request."""
    with speaking() as server:
        server.otherwise = partial(embeds, dialect=dialect, most=most, width=width)
        yield server


def vector_of(text: str, width: int = WIDTH) -> Vector:
    """Words counted in so many places, times three, with something in each."""
    vector = np.full(width, 0.25, np.float32)
    for word in text.lower().split():
        vector[crc32(word.encode()) % width] += 3.0
    return vector


def embeds(
    handler: Handler,
    dialect: str,
    most: int = 1000,
    width: int = WIDTH,
    change: Callable[[Any], Any] = lambda answer: answer,
) -> None:
    """The usual answer, or what `change` makes of it; an error for what the dialect does not take."""
    body = handler.body
    texts = texts_of(body)
    if handler.path not in ("/v1/embeddings", "/v2/embed", "/openai/v1/embeddings"):
        handler.send(404, "404 page not found", "text/plain")
    elif body["model"] != MODEL:
        handler.send(404, json.dumps({"error": {"message": f"The model '{body['model']}' does not exist"}}))
    elif len(texts) > most:
        handler.send(400, json.dumps({"error": f"batch size {len(texts)} > maximum allowed batch size {most}"}))
    else:
        handler.send(200, json.dumps(change(answer_of(dialect, body, texts, width))))


def answer_of(dialect: str, body: Mapping[str, Any], texts: Sequence[str], width: int) -> Any:
    """What each of them sends back, the last text first where entries have places."""
    size = body.get("dimensions", body.get("output_dimension", width))
    vectors = [vector_of(text, size) for text in texts]
    tokens = sum(len(text.split()) for text in texts)
    if dialect == "cohere":
        units = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": float(tokens)}}
        floats = {"float": [vector.tolist() for vector in vectors]}
        return {"id": "1", "response_type": "embeddings_by_type", "embeddings": floats, "texts": texts, "meta": units}
    written = [
        base64.b64encode(vector.astype("<f4").tobytes()).decode()
        if body.get("encoding_format") == "base64"
        else vector.tolist()
        for vector in vectors
    ]
    data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(written)]
    usage = {"total_tokens": tokens} if dialect in ("voyage", "jina") else {"prompt_tokens": tokens, "total_tokens": 99}
    return {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}


def texts_of(body: Mapping[str, Any]) -> list[str]:
    texts: list[str] = body.get("input", body.get("texts"))
    return texts
