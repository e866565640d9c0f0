"""A server that refuses, fails or answers nonsense: retried, counted, or told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from embedding_server import MODEL, embeds, vector_of
from generators.passing_time import PassingTime
from reranker_server import is_cut_half_way
from speaking_server import SpeakingServer, Step, fails, hangs_up, is_silent

from ragprof.core.clock import excluded_ns
from ragprof.core.errors import BadInput, NonFiniteScore, RagprofError
from ragprof.parts.http.embedding import HostedEmbedder
from ragprof.record.query import trusted

Asked = Callable[..., HostedEmbedder]
TEXTS = ["red fox", "blue whale"]


def changed(change: Callable[[Any], Any]) -> Step:
    return partial(embeds, dialect="openai_compatible", change=change)


def error(status: int, message: str, **headers: str) -> Step:
    return partial(fails, status=status, content=json.dumps({"error": {"message": message}}), **headers)


def test_a_busy_server_is_asked_again_and_the_wait_is_in_no_latency(
    asking: Asked, server: SpeakingServer, time: PassingTime
) -> None:
    server.plan += [error(429, "slow down", retry_after="7"), error(503, "busy"), hangs_up, is_cut_half_way]
    before = excluded_ns()
    embedded = asking().embed_queries(TEXTS[:1])
    np.testing.assert_allclose(embedded.vectors[0], vector_of("red fox") / np.linalg.norm(vector_of("red fox")), 1e-6)
    assert embedded.usage == {"texts": 1, "requests": 1, "retries": 4, "input_tokens": 2}
    assert time.slept[0] == 7
    assert excluded_ns() - before >= sum(time.slept) * 1e9


def test_a_request_that_is_too_large_goes_out_in_halves(asking: Asked, server: SpeakingServer) -> None:
    server.otherwise = partial(embeds, dialect="openai_compatible", most=2)
    texts = [f"word {number}" for number in range(5)]
    embedded = asking(similarity="dot").embed_documents(texts)
    np.testing.assert_array_equal(embedded.vectors, [vector_of(text) for text in texts])
    assert embedded.usage == {"texts": 5, "requests": 3, "retries": 2, "input_tokens": 10}


def test_a_server_that_knows_no_base64_is_asked_for_numbers(asking: Asked, server: SpeakingServer) -> None:
    server.plan.append(error(400, "Unrecognized request argument supplied: encoding_format"))
    assert asking().embed_queries(TEXTS).usage["retries"] == 1
    assert [body.get("encoding_format") for body in server.bodies] == ["base64", None]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (changed(lambda answer: {**answer, "data": answer["data"][:1]}), "it gave 1 vectors for 2 texts"),
        (changed(lambda answer: {**answer, "data": answer["data"][:1] * 2}), "it gave two vectors of text 1"),
        (changed(lambda answer: {"object": "list"}), "a list of vectors should be 'data' or 'embeddings.float'"),
        (error(401, "no"), "wants a key (401) and $OPENAI_API_KEY is not set"),
        (error(400, "maximum context length is 8192 tokens"), "finds a text of about 2 tokens too long"),
        (error(404, f"The model '{MODEL}' does not exist"), f"has no model '{MODEL}'"),
        (partial(fails, status=404, content="{}"), "is no address of 'openai'"),
        (error(402, "pay first"), "refused the request with 402: pay first"),
    ],
)
def test_what_no_attempt_mends_is_told_in_one_line(
    asking: Asked, server: SpeakingServer, step: Step, said: str
) -> None:
    server.plan += [step] * 3  # a request of two texts may go out in halves
    with pytest.raises(BadInput) as caught:
        asking(retries=0).embed_documents(TEXTS)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_stays_silent_is_told_with_the_time_it_had(asking: Asked, server: SpeakingServer) -> None:
    server.plan.append(is_silent)
    with pytest.raises(BadInput, match=r"nothing came within 0.2 s.*raise timeout_seconds or lower max_texts"):
        asking(timeout_seconds=0.2, retries=0).embed_queries(TEXTS)


def put(value: object) -> Callable[[Any], Any]:
    """The first number of the first vector that is sent, changed."""

    def change(answer: Any) -> Any:
        answer["data"][0]["embedding"][0] = value
        return answer

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_vector_with_what_is_no_number_ends_the_run(asking: Asked, server: SpeakingServer, value: object) -> None:
    server.plan.append(changed(put(value)))
    embedder = asking(encoding="float")
    with pytest.raises(NonFiniteScore, match="no ranking could be trusted"):
        trusted(embedder.embed_documents(TEXTS).vectors, TEXTS, embedder)


def test_other_dimensions_than_before_or_than_asked_for_end_the_run(asking: Asked, server: SpeakingServer) -> None:
    embedder = asking()
    embedder.embed_queries(TEXTS)
    server.plan.append(partial(embeds, dialect="openai_compatible", width=5))
    with pytest.raises(RagprofError, match="gave 8 dimensions before and 5 now: another model stands behind"):
        embedder.embed_queries(TEXTS)
    server.plan.append(changed(lambda answer: {**answer, "data": [{"index": 0, "embedding": [1.0, 2.0]}]}))
    with pytest.raises(BadInput, match="gave 2 dimensions where 4 were asked for; 'words-1' does not take dimensions"):
        asking(dimensions=4).embed_queries(TEXTS[:1])


def test_a_wrong_key_is_told_before_anything_is_embedded(
    asking: Asked, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server.plan.append(error(401, "Incorrect API key provided: sk-secret"))
    with pytest.raises(BadInput, match=r"the key in \$OPENAI_API_KEY was refused by .* \(401\)") as caught:
        asking().load()
    assert "sk-secret" not in str(caught.value)
