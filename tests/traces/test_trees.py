"""One trace: whose time is whose, on the clock and added up, and what its stages did."""

from __future__ import annotations

from typing import Any

import pytest
from written import DAY, MS, documents, openinference, request, span

from ragprof.traces.otlp import spans_of
from ragprof.traces.trees import REST, TraceFacts, trace_of


def read(spans: list[dict[str, Any]]) -> TraceFacts:
    return trace_of(list(spans_of(request(spans))))


def ms(times: dict[str, int]) -> dict[str, float]:
    return {stage: ns / MS for stage, ns in times.items()}


def test_a_stages_time_is_its_own_without_its_childrens() -> None:
    trace = read(openinference())
    assert trace.duration_ns == 180 * MS
    assert ms(trace.busy_ns) == {REST: 10, "search": 40, "embed": 10, "rerank": 20, "generate": 100}
    assert ms(trace.path_ns) == ms(trace.busy_ns)
    assert trace.first_token_ns == 25 * MS


def test_branches_side_by_side_are_busy_longer_than_the_clock_shows() -> None:
    spans = [
        span(1, 1, "root", 0, 100, {"openinference.span.kind": "CHAIN"}, parent=None),
        span(1, 2, "a", 0, 60, {"openinference.span.kind": "RETRIEVER"}),
        span(1, 3, "b", 20, 50, {"openinference.span.kind": "RETRIEVER"}),
        span(1, 4, "c", 40, 90, {"openinference.span.kind": "LLM"}),
    ]
    trace = read(spans)
    assert ms(trace.busy_ns) == {REST: 10, "search": 90, "generate": 50}
    # c ended last and began at 40; before that the end waited for a, which ran from 0 on.
    assert ms(trace.path_ns) == {REST: 10, "search": 40, "generate": 50}
    assert sum(trace.path_ns.values()) == trace.duration_ns


def test_what_names_no_stage_belongs_to_the_stage_that_it_lies_in() -> None:
    spans = [
        *openinference(),
        span(1, 6, "POST", 80, 170, {"http.request.method": "POST"}, parent=5),
        span(1, 7, "tool", 178, 180, {"openinference.span.kind": "TOOL"}),
    ]
    trace = read(spans)
    assert trace.busy_ns["generate"] == 100 * MS
    assert trace.busy_ns["other:tool"] == 2 * MS
    assert trace.calls["generate"] == 2


def test_a_rerankers_llm_is_the_rerankers() -> None:
    spans = [
        span(1, 1, "root", 0, 100, {"openinference.span.kind": "CHAIN"}, parent=None),
        span(1, 2, "LLMRerank", 0, 50, {"openinference.span.kind": "RERANKER", "reranker.model_name": "rank-gpt"}),
        span(1, 3, "chat", 5, 45, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini",
                                   "gen_ai.usage.input_tokens": 50, "gen_ai.usage.output_tokens": 5}, parent=2),
    ]  # fmt: skip
    trace = read(spans)
    assert ms(trace.busy_ns) == {REST: 50, "rerank": 50}
    assert [(call.stage, call.model) for call in trace.model_calls] == [("generate", "gpt-4o-mini")]


def test_a_call_that_framework_and_client_both_trace_counts_once() -> None:
    inner = span(1, 6, "openai.chat", 80, 170,
                 {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000}, parent=5)  # fmt: skip
    trace = read([*openinference(), inner])
    llms = [call for call in trace.model_calls if call.stage == "generate"]
    assert len(llms) == 1
    assert trace.busy_ns["generate"] == 100 * MS


def test_a_call_that_failed_and_was_made_again_is_a_retry() -> None:
    failed = span(1, 6, "ChatOpenAI", 76, 77,
                  {"openinference.span.kind": "LLM", "error.type": "RateLimit"}, status={"code": 2})  # fmt: skip
    trace = read([*openinference(), failed])
    assert (trace.errors["generate"], trace.retries["generate"]) == (1, 1)
    assert not trace.failed


def test_the_prompt_tells_which_passages_reached_it() -> None:
    trace = read(openinference(reranked=["b", "a", "c"], in_prompt=["b"]))
    assert trace.injected == ["b"]


def test_documents_that_the_inject_span_names_go_before_the_prompt() -> None:
    named = span(1, 6, "prompt", 75, 78, {"openinference.span.kind": "PROMPT", **documents("input.documents", ["a"])})
    assert read([*openinference(), named]).injected == ["a"]


def test_spans_that_are_each_others_parents_end_the_walk() -> None:
    spans = [
        span(1, 1, "a", 0, 10, {"openinference.span.kind": "LLM"}, parent=2),
        span(1, 2, "b", 0, 10, {"openinference.span.kind": "LLM"}, parent=1),
        span(1, 3, "c", 0, 10, {"openinference.span.kind": "LLM"}, parent=3),
    ]
    trace = read(spans)
    assert (trace.spans, trace.calls["generate"]) == (3, 3)


def test_a_thousand_spans_deep_is_no_recursion() -> None:
    spans = [span(1, 1, "root", 0, 5000, {}, parent=None)]
    spans += [
        span(1, n, "step", n, 5000 - n, {"openinference.span.kind": "CHAIN"}, parent=n - 1) for n in range(2, 2400)
    ]
    assert read(spans).duration_ns == 5000 * MS


@pytest.mark.parametrize("end_ms", [None, -5])
def test_a_span_without_an_end_or_with_one_before_its_beginning_has_no_time(end_ms: float | None) -> None:
    spans = [*openinference(reranked=None)[:-1], span(1, 5, "llm", 78, end_ms, {"openinference.span.kind": "LLM"})]
    trace = read(spans)
    assert trace.unfinished == 1
    assert trace.untimed == {"generate"}
    assert "generate" not in trace.busy_ns


def test_a_child_beyond_its_parent_is_counted_as_a_clock_that_is_off() -> None:
    spans = [
        span(1, 1, "root", 0, 100, {"openinference.span.kind": "CHAIN"}, parent=None),
        span(1, 2, "search", 90, 120, {"openinference.span.kind": "RETRIEVER"}),
    ]
    trace = read(spans)
    assert trace.skewed == 1
    assert trace.busy_ns[REST] == 90 * MS
    assert sum(trace.path_ns.values()) == trace.duration_ns == 100 * MS


def test_a_span_that_was_exported_twice_counts_once() -> None:
    trace = read([*openinference(), *openinference()])
    assert (trace.spans, trace.repeated, trace.duration_ns) == (5, 5, 180 * MS)


def test_spans_whose_parents_are_missing_lie_within_the_whole() -> None:
    orphan = span(1, 6, "search", 100, 140, {"openinference.span.kind": "RETRIEVER"}, parent=99)
    trace = read([*openinference(reranked=None)[:-1], orphan])
    assert (trace.is_rooted, trace.duration_ns) == (True, 180 * MS)
    assert trace.path_ns["search"] == 80 * MS
    assert sum(trace.path_ns.values()) == trace.duration_ns


def test_a_trace_whose_beginning_is_missing_goes_from_its_first_span_to_its_last() -> None:
    trace = read(openinference()[1:])
    assert not trace.is_rooted
    assert trace.start_ns == DAY + 5 * MS
    assert trace.duration_ns == 173 * MS


def test_a_child_that_begins_after_its_parents_end_takes_none_of_its_time() -> None:
    spans = [
        span(1, 1, "root", 0, 100, {"openinference.span.kind": "CHAIN"}, parent=None),
        span(1, 2, "search", 110, 120, {"openinference.span.kind": "RETRIEVER"}),
    ]
    assert ms(read(spans).busy_ns) == {REST: 100, "search": 10}
