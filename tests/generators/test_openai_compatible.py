"""A model behind an endpoint: what it is sent, what is made of its stream, and what is timed."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import Any

import pytest
from asker import Asker
from passing_time import PassingTime
from speaking_server import (
    SpeakingServer,
    Words,
    fails,
    hangs_up,
    is_cut,
    is_silent,
    says,
    speaks,
    takes,
    writes,
)

from ragprof.core.clock import excluded_ns, now_ns
from ragprof.parts.http.calls import Patience

PROMPT = "one two three four five six"
SECOND = 1_000_000_000


def waits(gate: threading.Event | threading.Barrier, seconds: float) -> None:
    gate.wait(seconds)


def test_the_answer_its_counts_and_its_end(asking: Asker) -> None:
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.finish) == (PROMPT, "stop")
    assert generated.usage == {
        "input_tokens": 6, "output_tokens": 6, "cached_tokens": 0, "requests": 1, "retries": 0,
    }  # fmt: skip


def test_an_answer_cut_at_the_most_tokens_says_so(asking: Asker) -> None:
    generated = asking(max_new_tokens=2).generate(PROMPT)
    assert (generated.text, generated.finish, generated.usage["output_tokens"]) == ("one two", "length", 2)


def test_what_is_sent_in_chat(asking: Asker, server: SpeakingServer) -> None:
    asking(seed=3, stop=("\n",)).generate("hello")
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [
        {
            "model": "tiny-1",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 64,
            "temperature": 0,
            "seed": 3,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert server.headers[0]["Authorization"] == "Bearer sk-test-3141592653589793"


def test_what_is_sent_for_a_text_completion(asking: Asker, server: SpeakingServer) -> None:
    assert asking(style="completions").generate("hello there").text == "hello there"
    assert server.paths == ["/v1/completions"]
    assert server.bodies[0]["prompt"] == "hello there"
    assert {"messages", "seed", "stop"} & set(server.bodies[0]) == set()


def test_without_a_key_no_header_is_sent(
    asking: Asker, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    asking().generate(PROMPT)
    assert "Authorization" not in server.headers[0]


def test_the_key_is_read_from_the_variable_that_is_named(
    asking: Asker, server: SpeakingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_KEY", " other \n")
    asking(api_key_env="HOUSE_KEY").generate(PROMPT)
    assert server.headers[0]["Authorization"] == "Bearer other"


def test_no_proxy_stands_before_this_machine(asking: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert asking().generate(PROMPT).text == PROMPT


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, {}),
        ({"prompt_tokens": 9}, {"input_tokens": 9}),
        ({"prompt_tokens": None, "completion_tokens": "6"}, {}),
        ({"prompt_tokens": -1, "completion_tokens": 2.5}, {}),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, {"input_tokens": 9}),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}},
            {"input_tokens": 9, "output_tokens": 1, "cached_tokens": 8},
        ),
    ],
)
def test_counts_that_the_server_does_not_give_are_absent(
    asking: Asker, server: SpeakingServer, usage: dict[str, Any] | None, counts: dict[str, int]
) -> None:
    server.plan.append(partial(says, words=Words(["yes"], usage=usage)))
    assert asking().generate(PROMPT).usage == {**counts, "requests": 1, "retries": 0}


def test_an_empty_answer_has_no_first_token(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(partial(says, words=Words([])))
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.finish, generated.first_token_ns) == ("", "stop", None)


ENDS = [("content_filter", "content_filter"), ("length", "length"), ("model_length", "length"), ("eos", "stop")]


@pytest.mark.parametrize(("finish", "expected"), ENDS)
def test_how_the_answer_ended_is_said_in_one_word(
    asking: Asker, server: SpeakingServer, finish: str, expected: str
) -> None:
    server.plan.append(partial(says, words=Words(["a"], finish=finish)))
    assert asking().generate(PROMPT).finish == expected


def chunk(content: str | None, finish: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": content}, "finish_reason": finish}]}, ensure_ascii=False)


MANY_LINES = json.dumps(json.loads(chunk("yes", "stop")), indent=2)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([f"data: {chunk('yes', 'stop')}\r\n\r\ndata: [DONE]\r\n\r\n"], id="CRLF"),
        pytest.param([f"data: {chunk('yes', 'stop')}\r\n\r", "\ndata: [DONE]\r\n\r\n"], id="CRLF torn apart"),
        pytest.param([f"data:{chunk('yes', 'stop')}\n\ndata:[DONE]\n\n"], id="no space"),
        pytest.param(["".join(f"data: {line}\n" for line in MANY_LINES.splitlines()) + "\n"], id="several lines"),
        pytest.param(
            [": waiting\n\n", ":\n", f"data: {chunk('yes')}\n\n", ": on\n\n", f"data: {chunk('', 'stop')}\n\n"]
        ),
        pytest.param([f"event: message\nid: 7\nretry: 10\ndata: {chunk('yes', 'stop')}\n\n"], id="other fields"),
        pytest.param([f"data: {chunk('y')}\n\ndata: {chunk('es')}\n\ndata: {chunk(None, 'stop')}\n\n"], id="together"),
        pytest.param([*f"data: {chunk('yes', 'stop')}\n\n"], id="letter by letter"),
        pytest.param([f"data: {chunk('yes')}\n\ndata: [DONE]\n\n"], id="no finish_reason"),
        pytest.param([f"data: {chunk('yes', 'stop')}\n\ndata: [DONE]\n\ndata: odd\n\n"], id="something after the end"),
    ],
)
def test_event_streams_as_servers_write_them(asking: Asker, server: SpeakingServer, pieces: list[str]) -> None:
    server.plan.append(lambda handler: writes(handler, *pieces))
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.usage["retries"]) == ("yes", 0)


def test_text_that_looks_like_a_line_break_is_text(asking: Asker, server: SpeakingServer) -> None:
    odd = "a\u2028b\u2029c\x85d\x0be 🦉 ü"
    server.plan.append(lambda handler: writes(handler, f"data: {chunk(odd, 'stop')}\n\n"))
    assert asking().generate(PROMPT).text == odd


def test_a_server_that_does_not_stream_has_no_first_token(asking: Asker, server: SpeakingServer) -> None:
    whole = {
        "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
    server.plan.append(partial(fails, status=200, content=json.dumps(whole)))
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.finish, generated.first_token_ns) == ("yes", "length", None)
    assert generated.usage == {"input_tokens": 4, "output_tokens": 1, "requests": 1, "retries": 0}


def test_the_first_token_is_the_first_text_and_not_the_first_chunk(
    asking: Asker, server: SpeakingServer, time: PassingTime
) -> None:
    def dawdles(handler: Any) -> None:
        handler.begin()
        handler.write(f"data: {chunk('')}\n\n")
        time.passes(3.0)
        handler.write(f"data: {chunk('yes', 'stop')}\n\n")
        handler.end()

    server.plan.append(dawdles)
    assert asking().generate(PROMPT).first_token_ns == 3 * SECOND


def test_the_first_token_by_the_real_clock(asking: Asker, server: SpeakingServer) -> None:
    later = threading.Event()
    server.plan.append(partial(takes, passing=partial(waits, later, 0.15), then=speaks))
    generator = asking()
    generator.patience = Patience()
    begun = now_ns()
    first_token_ns = generator.generate(PROMPT).first_token_ns
    assert first_token_ns is not None
    assert 0.15 * SECOND < first_token_ns < now_ns() - begun


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param(partial(fails, status=429), id="429"),
        pytest.param(partial(fails, status=500, content="<h1>oops</h1>"), id="500"),
        pytest.param(partial(fails, status=503), id="503"),
        pytest.param(is_cut, id="cut"),
        pytest.param(hangs_up, id="no response"),
        pytest.param(lambda handler: writes(handler, "data: {broken\n\n"), id="malformed JSON"),
        pytest.param(lambda handler: writes(handler, "data: 7\n\n"), id="no object"),
        pytest.param(lambda handler: writes(handler, 'data: {"choices": 7}\n\n'), id="no choices"),
        pytest.param(lambda handler: writes(handler, 'data: {"choices": [7]}\n\n'), id="odd choice"),
        pytest.param(lambda handler: writes(handler, 'data: {"choices": [{"text": 7}]}\n\n'), id="odd text"),
        pytest.param(lambda handler: writes(handler, f"data: {chunk('half')}\n\n"), id="ended early"),
        pytest.param(lambda handler: writes(handler, "data: [DONE]\n\n"), id="nothing but the end"),
        pytest.param(writes, id="nothing"),
        pytest.param(lambda handler: writes(handler, 'data: {"error": {"message": "lost"}}\n\n'), id="error inside"),
        pytest.param(partial(fails, status=200, content="{}"), id="empty object"),
    ],
)
def test_an_attempt_that_fails_is_repeated_counted_and_kept_out_of_the_latency(
    asking: Asker, server: SpeakingServer, time: PassingTime, failing: Any
) -> None:
    server.plan.append(partial(takes, passing=time.passing(7.0), then=failing))
    server.plan.append(partial(takes, passing=time.passing(3.0), then=speaks))
    before, begun = excluded_ns(), time.now_ns
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.usage["retries"], generated.usage["requests"]) == (PROMPT, 1, 1)
    assert generated.first_token_ns == 3 * SECOND
    assert time.now_ns - begun - (excluded_ns() - before) == 3 * SECOND
    assert excluded_ns() - before == 7 * SECOND + round(time.slept[0] * SECOND)


def test_a_server_that_says_when_is_taken_at_its_word(asking: Asker, server: SpeakingServer, time: PassingTime) -> None:
    server.plan.append(partial(fails, status=429, Retry_After="11"))
    server.plan.append(partial(fails, status=503, Retry_After="2"))
    assert asking().generate(PROMPT).usage["retries"] == 2
    assert time.slept == [11.0, 2.0]


def test_a_server_that_does_not_say_when_is_given_longer_and_longer(
    asking: Asker, server: SpeakingServer, time: PassingTime
) -> None:
    server.plan.extend([partial(fails, status=429)] * 3)
    asking().generate(PROMPT)
    bounds = zip(time.slept, (0.5, 1.0, 2.0), strict=True)
    assert all(bound / 2 <= slept <= bound for slept, bound in bounds)


def test_a_time_out_is_repeated(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(is_silent)
    generated = asking(timeout_seconds=0.1).generate(PROMPT)
    assert (generated.text, generated.usage["retries"]) == (PROMPT, 1)


@pytest.mark.parametrize(
    ("status", "error", "gone", "instead"),
    [
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}, "stream_options", None),
        (400, {"error": {"message": "Unsupported value", "param": "temperature"}}, "temperature", None),
        (
            400,
            {"error": {"message": "'max_tokens' is not supported; use 'max_completion_tokens'", "param": "max_tokens"}},
            "max_tokens",
            "max_completion_tokens",
        ),
    ],
)
def test_a_setting_that_the_server_does_not_know_is_left_out_from_then_on(
    asking: Asker, server: SpeakingServer, status: int, error: dict[str, Any], gone: str, instead: str | None
) -> None:
    server.plan.append(partial(fails, status=status, content=json.dumps(error)))
    generator = asking(max_new_tokens=2)
    assert [generator.generate(PROMPT).usage["retries"] for _ in range(2)] == [1, 0]
    assert [gone in body for body in server.bodies] == [True, False, False]
    assert instead is None or [body.get(instead) for body in server.bodies] == [None, 2, 2]


def test_many_prompts_have_their_answers_in_order_and_nothing_measured(asking: Asker) -> None:
    prompts = [f"prompt {number} of many" for number in range(20)]
    generated = asking(concurrency=5).generate_many(prompts)
    assert [answer.text for answer in generated] == prompts
    assert {answer.first_token_ns for answer in generated} == {None}
    assert asking().generate_many([]) == []


def test_no_more_prompts_are_asked_at_once_than_allowed(asking: Asker, server: SpeakingServer) -> None:
    together = threading.Barrier(3)
    server.otherwise = partial(takes, passing=partial(waits, together, 5), then=speaks)
    asking(concurrency=3).generate_many([PROMPT] * 12)
    assert server.most_at_once == 3


def test_the_endpoint_is_probed_once(asking: Asker, server: SpeakingServer) -> None:
    generator = asking()
    generator.load()
    generator.load()
    assert (server.listings, server.bodies) == (1, [])


@pytest.mark.parametrize("status", [404, 405, 429, 500, 503])
def test_a_server_without_a_list_of_models_or_time_for_it_is_no_error(
    asking: Asker, server: SpeakingServer, status: int
) -> None:
    server.listing = partial(fails, status=status)
    generator = asking()
    generator.load()
    assert generator.generate(PROMPT).text == PROMPT


def test_tokens_are_counted_with_what_chat_puts_around(asking: Asker) -> None:
    assert asking(style="completions").count_tokens("hello world") == 2
    assert asking(style="chat").count_tokens("hello world") == 9


def test_the_identity_tells_settings_apart(asking: Asker, server: SpeakingServer) -> None:
    assert asking().identity == (f"openai_compatible {server.url} tiny-1 chat max_new_tokens=64 seed=None stop=[]")
    others: list[dict[str, Any]] = [
        {"model": "tiny-2"},
        {"style": "completions"},
        {"max_new_tokens": 9},
        {"seed": 1},
        {"stop": ("x",)},
    ]
    identities = {asking(**options).identity for options in [{}, *others]}
    assert len(identities) == 6


def test_what_does_not_change_an_answer_is_not_in_the_identity(asking: Asker) -> None:
    same: list[dict[str, Any]] = [
        {"retries": 0},
        {"concurrency": 1},
        {"timeout_seconds": 1.0},
        {"context_tokens": 5},
        {"api_key_env": "X"},
    ]
    assert {asking(**options).identity for options in [{}, *same]} == {asking().identity}
