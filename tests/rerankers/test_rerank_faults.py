"""What an endpoint can do wrong, what the user is told then, and that no message ever holds the key."""

from __future__ import annotations

import json
import traceback
from functools import partial
from typing import Any

import pytest
from generators.passing_time import PassingTime
from reranked import DIALECTS, DOCS, QUERY, SCORES, Asked
from reranker_server import address, changed, is_cut_half_way, reranking
from speaking_server import SpeakingServer, Step, fails, hangs_up, is_silent

from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.parts.http.formats import FORMATS
from ragprof.parts.rerankers.rerank_api import RerankApiReranker

KEY = "sk-test-2718281828459045"
LISTS = {"cohere": "results", "jina": "results", "voyage": "data", "vllm": "results"}
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def told(reranker: RerankApiReranker) -> str:
    """What the user reads when scoring fails."""
    with pytest.raises(BadInput) as caught:
        reranker.score(QUERY, DOCS)
    return str(caught.value)


def refusal(status: int, message: str) -> Step:
    return partial(fails, status=status, content=json.dumps({"message": message}))


def results_in(dialect: str, answer: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = answer if dialect == "tei" else answer[LISTS[dialect]]
    return results


def spoils(dialect: str, place: int, **values: Any) -> Step:
    """One answer with other values in one of its results."""

    def change(answer: Any) -> Any:
        results_in(dialect, answer)[place].update(values)
        return answer

    return changed(dialect, change)


def loses(dialect: str, place: int) -> Step:
    """One answer without one of its results."""

    def change(answer: Any) -> Any:
        del results_in(dialect, answer)[place]
        return answer

    return changed(dialect, change)


@each_dialect
@pytest.mark.parametrize(
    "fault",
    [
        partial(fails, status=429, retry_after="1"),
        partial(fails, status=500),
        partial(fails, status=503, content="<html>busy</html>", kind="text/html"),
        partial(fails, status=200, content='{"results": [', kind="application/json"),
        hangs_up,
        is_cut_half_way,
    ],
)
def test_a_fault_that_passes_is_retried_and_counted(asking: Asked, server: SpeakingServer, fault: Step) -> None:
    server.plan.append(fault)
    scored = asking().score(QUERY, DOCS)
    assert (scored.scores, scored.usage["retries"], scored.usage["requests"]) == (SCORES, 1, 1)


def test_a_busy_server_is_waited_for_as_long_as_it_asks(
    asking: Asked, server: SpeakingServer, time: PassingTime
) -> None:
    server.plan.append(partial(fails, status=429, retry_after="7"))
    asking().score(QUERY, DOCS)
    assert time.slept == [7.0]


def test_a_server_that_stays_busy_is_said_to_be(asking: Asked, server: SpeakingServer) -> None:
    server.plan.extend([refusal(503, "overloaded")] * 3)
    assert told(asking(retries=2)) == (
        f"{address(server)}/v2/rerank failed 3 times, last with 503: overloaded; "
        "try later, lower concurrency, or raise retries or timeout_seconds"
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable(
    asking: Asked, server: SpeakingServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan.extend([refusal(status, f"invalid api token {KEY}")] * 2)
    assert told(asking()) == (
        f"{address(server)} wants a key ({status}) and $CO_API_KEY is not set; set it, or name another in api_key_env"
    )
    monkeypatch.setenv("CO_API_KEY", KEY)
    assert told(asking()) == (
        f"the key in $CO_API_KEY was refused by {address(server)} ({status}); set one that it accepts"
    )
    assert len(server.bodies) == 2


@pytest.mark.parametrize("dialect", ["cohere", "jina", "voyage", "vllm"])
def test_an_unknown_model_is_told(asking: Asked, server: SpeakingServer) -> None:
    assert "/rerank has no model 'overlap-2': model 'overlap-2' not found" in told(asking(model="overlap-2"))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Model rerank-9 is not supported. Supported models are ['rerank-2.5'].",
        "The model `rerank-9` does not exist.",
        "unknown model: rerank-9",
    ],
)
def test_an_unknown_model_in_other_words(asking: Asked, server: SpeakingServer, message: str) -> None:
    server.plan.append(refusal(400, message))
    assert told(asking()) == f"{address(server)}/v2/rerank has no model 'overlap-1': {message}"


def test_a_wrong_address_is_told(asking: Asked, server: SpeakingServer) -> None:
    assert told(asking(base_url=f"{address(server)}/api")) == (
        f"{address(server)}/api/v2/rerank is no address of 'cohere' (404: 404 page not found); base_url is what stands "
        "before /v2/rerank, and dialect one of: cohere, jina, voyage, tei, vllm"
    )


def test_an_embedding_model_where_a_reranker_should_be(asking: Asked, server: SpeakingServer) -> None:
    server.plan.append(partial(fails, status=424, content='{"error": "model is not a re-ranker model"}'))
    assert told(asking()) == f"{address(server)}/v2/rerank refused the request with 424: model is not a re-ranker model"


def test_nobody_there_ends_the_run_at_loading_without_waiting(asking: Asked, time: PassingTime) -> None:
    with pytest.raises(BadInput, match=r"http://127\.0\.0\.1:1/v2/rerank does not answer \(ConnectError") as caught:
        asking(base_url="http://127.0.0.1:1").load()
    assert "start the server or mend base_url" in str(caught.value)
    assert time.slept == []


def test_silence_ends_the_run_at_loading(asking: Asked, server: SpeakingServer) -> None:
    server.plan.append(is_silent)
    with pytest.raises(BadInput, match=r"does not answer \(nothing came within 0\.1 s\)"):
        asking(timeout_seconds=0.1).load()
    assert len(server.bodies) == 1


def test_silence_later_is_given_every_retry(asking: Asked, server: SpeakingServer) -> None:
    server.plan.extend([is_silent] * 2)
    assert "does not answer (nothing came within 0.1 s)" in told(asking(timeout_seconds=0.1, retries=1))
    assert len(server.bodies) == 2


def test_a_busy_server_is_waited_for_at_loading(asking: Asked, server: SpeakingServer, time: PassingTime) -> None:
    server.plan.append(partial(fails, status=429, retry_after="2"))
    asking().load()
    assert time.slept == [2.0]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (refusal(401, "no"), "wants a key"),
        (refusal(404, "model 'overlap-1' not found"), "has no model"),
        (partial(fails, status=200, content="<html>", kind="text/html"), "it sent 'text/html' where scores should be"),
        (partial(fails, status=200, content="[]"), "a list of results should be 'results'"),
    ],
)
def test_what_is_wrong_is_known_at_loading(asking: Asked, server: SpeakingServer, fault: Step, message: str) -> None:
    server.plan.append(fault)
    with pytest.raises(BadInput, match=message):
        asking().load()
    assert len(server.bodies) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_dialect_than_the_servers_is_known_at_loading(dialect: str) -> None:
    """All but Jina's and vLLM's, which differ in what they take only."""
    alike = {frozenset(("jina", "vllm")), frozenset(("cohere", "vllm"))}
    with reranking(dialect) as server:
        for other in DIALECTS:
            if other == dialect or frozenset((other, dialect)) in alike:
                continue
            reranker = RerankApiReranker(address(server), "overlap-1", dialect=other, retries=0)  # type: ignore[arg-type]
            with pytest.raises(BadInput):
                reranker.load()


@each_dialect
def test_too_many_documents_for_a_request_are_told(dialect: str) -> None:
    with reranking(dialect, most=3) as server:
        reranker = RerankApiReranker(address(server), "overlap-1", dialect=dialect)  # type: ignore[arg-type]
        message = told(reranker)
    assert "does not take 5 documents in a request (4" in message
    assert message.endswith("; lower max_documents")


def test_a_text_that_is_too_long_is_told(asking: Asked, server: SpeakingServer) -> None:
    server.plan.append(refusal(413, "inputs must have less than 512 tokens. Given: 700"))
    assert told(asking()) == (
        f"{address(server)}/v2/rerank finds a text too long (413: inputs must have less than 512 tokens. Given: 700); "
        "have it cut by truncate or max_tokens_per_doc, or lower max_documents where the limit is on all texts together"
    )


@each_dialect
def test_a_document_without_a_score_is_an_error(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    server.plan.append(loses(dialect, 1))
    message = told(asking())
    assert f"does not answer as '{dialect}' does: it scored 4 of 5 documents; the first without" in message
    assert "a score is 4" in message
    assert len(server.bodies) == 1


@each_dialect
def test_a_document_with_two_scores_is_an_error(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    server.plan.append(spoils(dialect, 3, index=2))
    assert f"does not answer as '{dialect}' does: it scored document 2 twice; mend dialect or base_url" in told(
        asking()
    )
    assert len(server.bodies) == 1


@each_dialect
def test_a_score_that_is_no_number_is_an_error_of_its_own(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    server.plan.append(spoils(dialect, 0, **{FORMATS[dialect].score: float("nan")}))  # type: ignore[index]
    with pytest.raises(NonFiniteScore, match="the reranker gave nan as the score of document 2; no ranking"):
        asking().score(QUERY, DOCS)


@each_dialect
def test_results_may_come_in_any_order(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    def change(answer: Any) -> Any:
        results_in(dialect, answer).reverse()
        return answer

    server.plan.append(changed(dialect, change))
    assert asking().score(QUERY, DOCS).scores == SCORES


@pytest.mark.parametrize("dialect", ["vllm"])
def test_infinity_may_call_its_results_data(asking: Asked, server: SpeakingServer, dialect: str) -> None:
    server.plan.append(changed(dialect, lambda answer: {"object": "rerank", "data": answer["results"]}))
    assert asking().score(QUERY, DOCS).scores == SCORES


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"results": {}}'])
def test_json_that_is_no_answer_is_an_error(asking: Asked, server: SpeakingServer, content: str) -> None:
    server.plan.append(partial(fails, status=200, content=content))
    assert "does not answer as 'cohere' does: a list of results should be 'results'" in told(asking())


@pytest.mark.parametrize(
    "fault",
    [
        refusal(400, f"bad key {KEY}"),
        partial(fails, status=422, content=json.dumps({"detail": [{"input": {"authorization": KEY}}]})),
        partial(fails, status=200, content=json.dumps({"echo": KEY}), kind=f"text/{KEY}"),
        refusal(500, KEY),
        refusal(401, KEY),
    ],
)
def test_the_key_is_in_no_error_and_in_nothing_that_led_to_it(
    asking: Asked, server: SpeakingServer, fault: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    server.plan.append(fault)
    reranker = asking(retries=0)
    with pytest.raises(BadInput) as caught:
        reranker.score(QUERY, DOCS)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert KEY not in f"{reranker.identity} {vars(reranker)}"


def test_one_failing_query_ends_the_scoring_of_all(asking: Asked, server: SpeakingServer) -> None:
    server.otherwise = refusal(401, "no")
    with pytest.raises(BadInput, match="wants a key"):
        asking(concurrency=1).score_pairs([(QUERY, doc) for doc in DOCS])
    assert len(server.bodies) == 1
