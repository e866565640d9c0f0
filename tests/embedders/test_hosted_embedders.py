"""An embedder behind an address: what each is sent, what is made of its answer, what is counted and reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from embedding_server import MODEL, vector_of
from speaking_server import SpeakingServer

from ragprof.core.errors import BadInput
from ragprof.parts.http.embedding import HostedEmbedder

Asked = Callable[..., HostedEmbedder]
TEXTS = ["red fox", "a blue whale sings", "snow"]
BASE64 = {"encoding_format": "base64"}
FLOATS = {"embedding_types": ["float"], "truncate": "END"}
SENT: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "openai_compatible": ("/v1/embeddings", BASE64, BASE64),
    "cohere": (
        "/v2/embed",
        {**FLOATS, "input_type": "search_query"},
        {**FLOATS, "input_type": "search_document"},
    ),
    "voyage": (
        "/v1/embeddings",
        {**BASE64, "truncation": True, "input_type": "query"},
        {**BASE64, "truncation": True, "input_type": "document"},
    ),
    "jina": (
        "/v1/embeddings",
        {"truncate": True, "task": "retrieval.query"},
        {"truncate": True, "task": "retrieval.passage"},
    ),
}
each_name = pytest.mark.parametrize("name", SENT)


@each_name
def test_a_query_and_a_document_are_told_apart(asking: Asked, server: SpeakingServer, name: str) -> None:
    embedder = asking()
    embedder.embed_queries(TEXTS[:1])
    embedder.embed_documents(TEXTS)
    path, query, document = SENT[name]
    texts = "texts" if name == "cohere" else "input"
    assert server.paths == [path, path]
    assert server.bodies == [
        {"model": MODEL, texts: TEXTS[:1], **query},
        {"model": MODEL, texts: TEXTS, **document},
    ]


@each_name
def test_vectors_stand_in_the_order_of_the_texts_and_tokens_are_the_servers(asking: Asked) -> None:
    embedded = asking(similarity="dot").embed_documents(TEXTS)
    np.testing.assert_array_equal(embedded.vectors, [vector_of(text) for text in TEXTS])
    assert embedded.vectors.dtype == np.float32
    assert embedded.usage == {"texts": 3, "requests": 1, "retries": 0, "input_tokens": 7}


def test_cosine_makes_unit_vectors_of_what_the_server_sends(asking: Asked) -> None:
    raw, unit = (asking(similarity=each).embed_queries(TEXTS).vectors for each in ("dot", "cosine"))
    assert np.linalg.norm(raw, axis=1).min() > 3
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("name", ["openai_compatible", "voyage"])
def test_base64_and_numbers_are_the_same_vectors(asking: Asked, server: SpeakingServer) -> None:
    both = [asking(encoding=each, similarity="dot").embed_queries(TEXTS).vectors for each in ("base64", "float")]
    np.testing.assert_array_equal(*both)
    assert [body.get("encoding_format") for body in server.bodies] == ["base64", None]


@pytest.mark.parametrize(
    ("name", "key"),
    [("openai_compatible", "dimensions"), ("cohere", "output_dimension"), ("voyage", "output_dimension")],
)
def test_fewer_dimensions_are_asked_for_by_the_name_that_the_server_knows(
    asking: Asked, server: SpeakingServer, key: str
) -> None:
    assert asking(dimensions=4).embed_queries(TEXTS).vectors.shape == (3, 4)
    assert server.bodies[0][key] == 4


@pytest.mark.parametrize("name", ["voyage"])
def test_prefixes_and_types_are_what_the_user_says(asking: Asked, server: SpeakingServer) -> None:
    embedder = asking(query_prefix="query: ", document_prefix="passage: ", query_type="", document_type="other")
    embedder.embed_queries(["red fox"])
    embedder.embed_documents(["red fox"])
    query, document = server.bodies
    assert (query["input"], query.get("input_type")) == (["query: red fox"], None)
    assert (document["input"], document["input_type"]) == (["passage: red fox"], "other")


def test_requests_keep_to_the_limits_of_texts_and_of_tokens(asking: Asked, server: SpeakingServer) -> None:
    texts = [f"word {number}" for number in range(7)]
    by_texts = asking(max_texts=3, concurrency=1).embed_documents(texts)
    by_tokens = asking(max_request_tokens=8, concurrency=1).embed_documents(texts)
    # A text has 3 tokens of o200k_base, and counts as 3.6: two of them are within 8.
    assert [len(body["input"]) for body in server.bodies] == [3, 3, 1, 2, 2, 2, 1]
    np.testing.assert_array_equal(by_texts.vectors, by_tokens.vectors)
    assert by_texts.usage == {"texts": 7, "requests": 3, "retries": 0, "input_tokens": 14}


def test_a_text_is_cut_where_the_user_says_and_its_length_is_told(asking: Asked, server: SpeakingServer) -> None:
    embedder = asking(max_tokens=2, document_prefix="a ")
    embedder.embed_documents(["fox in deep snow"])
    assert server.bodies[0]["input"] == ["a fox"]
    (length,) = embedder.document_lengths(["fox in deep snow"])
    assert (length.tokens, length.kept) == (5, 2)


@pytest.mark.parametrize(("dialect", "header"), [("openai", "Authorization"), ("azure", "api-key")])
def test_the_key_goes_into_the_header_of_the_dialect_and_into_nothing_else(
    asking: Asked, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch, dialect: str, header: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    embedder = asking(dialect=dialect, api_key_env="MY_KEY")
    embedder.embed_queries(["red fox"])
    assert server.headers[0][header].removeprefix("Bearer ") == "sk-secret"
    assert "sk-secret" not in f"{embedder.identity} {vars(embedder)}"


def test_all_that_changes_a_vector_is_in_the_identity(asking: Asked) -> None:
    options: list[dict[str, Any]] = [
        {}, {"dimensions": 4}, {"query_prefix": "q "}, {"document_prefix": "d "}, {"similarity": "dot"},
        {"max_tokens": 9}, {"encoding": "float"}, {"model": "words-2"}, {"base_url": "http://127.0.0.1:1"},
    ]  # fmt: skip
    assert len({asking(**each).identity for each in options}) == len(options)
    assert asking(max_texts=2, retries=1, timeout_seconds=3).identity == asking().identity


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dialect": "tei", "base_url": None}, "'tei' has no address of its own; set base_url"),
        ({"truncate": False}, "'openai' cannot be told to refuse what is too long; leave truncate out"),
        ({"base_url": "https://me:sk-1@host/v1"}, "base_url of host holds a user name, a query or a fragment"),
    ],
)
def test_options_that_cannot_be_are_refused(asking: Asked, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        asking(**options)
    assert "sk-1" not in str(caught.value)
