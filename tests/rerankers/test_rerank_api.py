"""A reranker behind an endpoint: what each dialect is sent, what is made of its answer, what is counted and timed."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from generators.passing_time import PassingTime
from reranked import DIALECTS, DOCS, QUERY, SCORES, TEXTS, TOKENS, Asked
from reranker_server import MODEL, address, reranks
from speaking_server import SpeakingServer, fails, takes

from ragprof.core import Query, registry
from ragprof.core.clock import excluded_ns
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.core.stages import PairReranker
from ragprof.parts.rerankers.rerank_api import RerankApiReranker
from ragprof.record.recording import redacted

TOKENS_TOLD = {"input_tokens": TOKENS}
COUNTED = {
    "cohere": {"search_units": 1}, "jina": TOKENS_TOLD, "voyage": TOKENS_TOLD, "tei": TOKENS_TOLD, "vllm": TOKENS_TOLD,
}  # fmt: skip
ASKED = {"query": QUERY.text, "documents": list(TEXTS)}
SENT = {
    "cohere": ("/v2/rerank", {"model": MODEL, **ASKED, "top_n": 5}),
    "jina": ("/v1/rerank", {"model": MODEL, **ASKED, "top_n": 5, "return_documents": False}),
    "voyage": ("/v1/rerank", {"model": MODEL, **ASKED, "top_k": 5, "return_documents": False, "truncation": True}),
    "tei": (
        "/rerank",
        {"query": QUERY.text, "texts": list(TEXTS), "raw_scores": True, "return_text": False, "truncate": True},
    ),
    "vllm": ("/rerank", {"model": MODEL, **ASKED, "top_n": 5, "truncate_prompt_tokens": -1}),
}
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@each_dialect
def test_scores_stand_in_the_order_of_the_documents_and_units_are_the_servers(asking: Asked, dialect: str) -> None:
    scored = asking().score(QUERY, DOCS)
    assert scored.scores == SCORES
    assert scored.usage == {"requests": 1, "docs_scored": 5, "retries": 0, **COUNTED[dialect]}


@each_dialect
def test_what_is_sent(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    asking().score(QUERY, DOCS)
    path, body = SENT[dialect]
    assert (server.paths, server.bodies) == ([path], [body])


@pytest.mark.parametrize(
    ("dialect", "flags"),
    [("voyage", {"truncation": False}), ("tei", {"truncate": False}), ("vllm", {"truncate_prompt_tokens": None})],
)
def test_a_server_is_told_to_refuse_what_is_too_long(
    asking: Asked, server: SpeakingServer, flags: dict[str, Any]
) -> None:
    asking(truncate=False).score(QUERY, DOCS)
    assert {name: server.bodies[0].get(name) for name in flags} == flags


@pytest.mark.parametrize("dialect", ["cohere", "jina"])
def test_a_dialect_without_that_switch_says_so(asking: Asked, dialect: str) -> None:
    with pytest.raises(BadInput, match=f"'{dialect}' cannot be told to refuse what is too long; leave truncate out"):
        asking(truncate=False)


@pytest.mark.parametrize("dialect", ["cohere", "vllm"])
def test_documents_are_cut_by_the_server_where_it_knows_how(asking: Asked, server: SpeakingServer) -> None:
    asking(max_tokens_per_doc=512).score(QUERY, DOCS)
    assert server.bodies[0]["max_tokens_per_doc"] == 512


@pytest.mark.parametrize("dialect", ["jina", "voyage", "tei"])
def test_documents_are_cut_by_no_server_that_does_not_know_how(asking: Asked, dialect: str) -> None:
    with pytest.raises(BadInput) as caught:
        asking(max_tokens_per_doc=512)
    assert str(caught.value) == f"'{dialect}' has no max_tokens_per_doc; leave it out (these have: cohere, vllm)"


@pytest.mark.parametrize(
    ("dialect", "ending", "path"),
    [
        ("cohere", "/v2", "/v2/rerank"),
        ("cohere", "/v2/rerank", "/v2/rerank"),
        ("jina", "/v1/", "/v1/rerank"),
        ("tei", "/rerank", "/rerank"),
        ("vllm", "/v1", "/v1/rerank"),
    ],
)
def test_an_address_may_hold_the_version_and_the_path(
    asking: Asked, server: SpeakingServer, ending: str, path: str
) -> None:
    assert asking(base_url=address(server) + ending).score(QUERY, DOCS).scores == SCORES
    assert server.paths == [path]


def test_no_documents_are_not_sent(asking: Asked, server: SpeakingServer) -> None:
    scored = asking().score(QUERY, [])
    assert (scored.scores, scored.usage) == ((), {"requests": 0, "docs_scored": 0, "retries": 0})
    assert server.bodies == []


@each_dialect
def test_more_documents_than_a_request_holds_go_out_in_several(
    asking: Asked, server: SpeakingServer, dialect: str
) -> None:
    scored = asking(max_documents=2).score(QUERY, DOCS)
    assert scored.scores == SCORES
    assert [len(body.get("documents", body.get("texts"))) for body in server.bodies] == [2, 2, 1]
    told = {"search_units": 3} if dialect == "cohere" else TOKENS_TOLD
    assert scored.usage == {"requests": 3, "docs_scored": 5, "retries": 0, **told}


@pytest.mark.parametrize("dialect", ["tei"])
def test_tei_gets_no_more_than_it_takes_unasked(asking: Asked, server: SpeakingServer) -> None:
    assert asking().score(QUERY, DOCS * 7).usage["requests"] == 2
    assert [len(body["texts"]) for body in server.bodies] == [32, 3]


def test_a_unit_that_one_answer_lacks_is_not_summed(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    server.plan.append(partial(reranks, dialect=dialect, change=lambda answer: {"results": answer["results"]}))
    assert asking(max_documents=3).score(QUERY, DOCS).usage == {"requests": 2, "docs_scored": 5, "retries": 0}


def test_documents_of_a_listwise_model_are_never_split(asking: Asked, server: SpeakingServer) -> None:
    listwise = asking(pointwise=False, max_documents=4)
    assert (listwise.pointwise, listwise.score(QUERY, DOCS[:4]).scores) == (False, SCORES[:4])
    with pytest.raises(BadInput, match="5 documents do not fit one request of 4, and a listwise model scores apart"):
        listwise.score(QUERY, DOCS)
    assert len(server.bodies) == 1


def test_pairs_go_out_query_by_query_and_come_back_in_their_order(asking: Asked, server: SpeakingServer) -> None:
    others = [Query("r", "blue whale"), QUERY, Query("s", "snow")]
    pairs = [(query, doc) for doc in DOCS for query in others]
    reranker = asking()
    assert isinstance(reranker, PairReranker)
    expected = [reranker.score(query, [doc]).scores[0] for query, doc in pairs]
    del server.bodies[:]
    assert reranker.score_pairs(pairs) == expected
    assert sorted(body["query"] for body in server.bodies) == ["blue whale", "red fox in snow", "snow"]
    assert reranker.score_pairs([]) == []


def test_no_more_queries_are_open_at_once_than_allowed(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    gate = threading.Barrier(2)
    usual = partial(reranks, dialect=dialect)
    server.otherwise = partial(takes, passing=lambda: gate.wait(5) and None, then=usual)
    pairs = [(Query(f"q{number}", f"fox {number}"), DOCS[1]) for number in range(6)]
    assert asking(concurrency=2).score_pairs(pairs) == [0.5] * 6
    assert server.most_at_once == 2


def test_waiting_and_failed_attempts_are_in_no_latency(
    asking: Asked, server: SpeakingServer, dialect: str, time: PassingTime
) -> None:
    server.plan.append(partial(takes, passing=time.passing(2.0), then=partial(fails, status=429, retry_after="3")))
    server.plan.append(partial(takes, passing=time.passing(5.0), then=partial(fails, status=500)))
    server.plan.append(partial(takes, passing=time.passing(0.25), then=partial(reranks, dialect=dialect)))
    before, begun = excluded_ns(), time.now_ns
    assert asking().score(QUERY, DOCS).usage["retries"] == 2
    assert time.slept[0] == 3.0
    assert time.now_ns - begun - (excluded_ns() - before) == 250_000_000


def test_loading_scores_one_pair_and_only_once(asking: Asked, server: SpeakingServer) -> None:
    reranker = asking()
    reranker.load()
    reranker.load()
    assert [body["documents"] for body in server.bodies] == [["hello"]]


@each_dialect
def test_the_key_is_read_from_the_variable_of_the_dialect(
    asking: Asked, server: SpeakingServer, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"cohere": "CO", "jina": "JINA", "voyage": "VOYAGE", "tei": "TEI", "vllm": "VLLM"}[dialect]
    asking().score(QUERY, DOCS)
    monkeypatch.setenv(f"{name}_API_KEY", "sk-1")
    monkeypatch.setenv("HOUSE_KEY", "sk-2")
    asking().score(QUERY, DOCS)
    asking(api_key_env="HOUSE_KEY").score(QUERY, DOCS)
    assert [headers.get("Authorization") for headers in server.headers] == [None, "Bearer sk-1", "Bearer sk-2"]


def test_the_identity_names_what_scores_depend_on_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", "sk-hush")
    reranker = RerankApiReranker("https://api.cohere.com", "rerank-v3.5", max_tokens_per_doc=512, retries=9)
    assert reranker.identity == (
        "rerank_api https://api.cohere.com/v2/rerank cohere rerank-v3.5 truncate=True max_tokens_per_doc=512"
    )


@pytest.mark.parametrize(
    ("base_url", "remote"),
    [("https://api.jina.ai", True), ("http://10.0.0.7:8080", True), ("http://127.0.0.1:8080", False)],
)
def test_time_is_another_machines_unless_the_server_is_on_this_one(base_url: str, remote: bool) -> None:
    assert RerankApiReranker(base_url, "m", dialect="jina").remote is remote


def test_what_a_recording_keeps_of_the_options_is_all_of_them(server: SpeakingServer) -> None:
    options = {"base_url": address(server), "model": MODEL, "api_key_env": "HOUSE_KEY", "max_tokens_per_doc": 512}
    assert redacted(options) == options
    assert registry.create("rerankers", PartSpec(name="rerank_api", **options)).identity.endswith("=512")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dialect": "bing"}, "Input should be 'cohere', 'jina', 'voyage', 'tei' or 'vllm'"),
        ({"max_documents": 0}, "greater than 0"),
        ({"api_key": "sk-hush"}, "no option of the reranker 'rerank_api' named 'api_key'; did you mean 'api_key_env'"),
    ],
)
def test_options_are_checked(option: dict[str, Any], message: str) -> None:
    spec = PartSpec(name="rerank_api", base_url="http://127.0.0.1:1", model="m", **option)
    with pytest.raises(BadInput, match=message) as caught:
        registry.create("rerankers", spec)
    assert "hush" not in str(caught.value)
