"""Reasoning told from the answer in all the ways in which servers send it, and answers that a filter holds back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from asker import Asker
from speaking_server import SpeakingServer, Step, fails, writes

from ragprof.core import Generated
from ragprof.core.caches import AnswerCache
from ragprof.core.errors import BadInput
from ragprof.core.reasoning import apart
from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator
from ragprof.parts.http.calls import Patience

PROMPT = "one two three"
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}, {"type": "text", "text": "so"}]}


def streams(deltas: Sequence[dict[str, Any]], finish: str = "stop") -> Step:
    """One chunk a delta, then the end."""
    chunks = [{"delta": delta} for delta in deltas] + [{"delta": {}, "finish_reason": finish}]
    return lambda handler: writes(handler, *(f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks))


@pytest.fixture
def timed(asking: Asker) -> OpenAICompatibleGenerator:
    """Its clock goes on by one with every reading: when the request is sent, and when a piece of text comes."""
    generator = asking()
    generator.patience = Patience(clock=itertools.count().__next__)
    return generator


@pytest.mark.parametrize(
    ("deltas", "first_token_ns"),
    [
        ([{"reasoning_content": "hm, "}, {"reasoning_content": "so"}, {"content": "yes"}], 3),
        ([{"reasoning": "hm, ", "content": ""}, {"reasoning": "so"}, {"content": "yes"}], 3),
        ([{"content": [THOUGHT]}, {}, {"content": [{"type": "text", "text": "yes"}]}], 2),
        ([{"content": "<think>hm, "}, {"content": "so</think>\n\n"}, {"content": "yes"}], 3),
        ([{"content": "\n<thi"}, {"content": "nk>\nhm, so\n</think>"}, {"content": "yes"}], 3),
        ([{"content": "hm, "}, {"content": "so</think>"}, {"content": "\nyes"}], 3),
    ],
    ids=["deepseek", "vllm", "mistral", "marks", "torn marks", "closing mark alone"],
)
def test_reasoning_is_no_part_of_the_answer_and_each_has_its_first_token(
    timed: OpenAICompatibleGenerator, server: SpeakingServer, deltas: list[dict[str, Any]], first_token_ns: int
) -> None:
    server.plan.append(streams(deltas))
    generated = timed.generate(PROMPT)
    assert (generated.text, generated.reasoning, generated.finish) == ("yes", "hm, so", "stop")
    assert (generated.first_reasoning_ns, generated.first_token_ns) == (1, first_token_ns)


@pytest.mark.parametrize("delta", [{"reasoning_content": "hm"}, {"content": "<think>hm"}])
def test_reasoning_that_takes_all_tokens_leaves_an_empty_answer_that_was_cut(
    timed: OpenAICompatibleGenerator, server: SpeakingServer, delta: dict[str, str]
) -> None:
    server.plan.append(streams([delta], finish="length"))
    generated = timed.generate(PROMPT)
    assert (generated.text, generated.reasoning, generated.finish) == ("", "hm", "length")
    assert (generated.first_reasoning_ns, generated.first_token_ns) == (1, None)


def test_reasoning_of_a_server_that_does_not_stream(asking: Asker, server: SpeakingServer) -> None:
    whole = {"choices": [{"message": {"reasoning_content": "hm", "content": "yes"}, "finish_reason": "stop"}]}
    server.plan.append(partial(fails, status=200, content=json.dumps(whole)))
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.reasoning) == ("yes", "hm")
    assert generated.first_token_ns is generated.first_reasoning_ns is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "y"}, {"type": "text", "text": "es"}], "yes"),
        (["y", "es"], "yes"),
        ([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "yes"}], "yes"),
        ([], ""),
    ],
)
def test_content_may_be_a_list_of_parts(asking: Asker, server: SpeakingServer, content: list[Any], text: str) -> None:
    server.plan.append(streams([{"content": content}]))
    generated = asking().generate(PROMPT)
    assert (generated.text, generated.usage["retries"]) == (text, 0)


def test_a_refusal_is_the_answer(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(streams([{"content": None, "refusal": "I cannot "}, {"refusal": "say."}]))
    assert asking().generate(PROMPT).text == "I cannot say."


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49,
             "completion_tokens_details": {"reasoning_tokens": 30}},
            {"input_tokens": 9, "output_tokens": 40, "reasoning_tokens": 30}, id="openai",
        ),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 49,
             "completion_tokens_details": {"reasoning_tokens": 30}},
            {"input_tokens": 9, "output_tokens": 40, "reasoning_tokens": 30}, id="xai",
        ),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 49},
            {"input_tokens": 9, "output_tokens": 40, "reasoning_tokens": 30}, id="gemini",
        ),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19, "completion_tokens_details": None},
            {"input_tokens": 9, "output_tokens": 10}, id="no reasoning",
        ),
    ],
)  # fmt: skip
def test_output_tokens_hold_the_reasoning_however_it_is_counted(
    asking: Asker, server: SpeakingServer, usage: dict[str, Any], counts: dict[str, int]
) -> None:
    answer = {"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}], "usage": usage}
    server.plan.append(lambda handler: writes(handler, f"data: {json.dumps(answer)}\n\n"))
    assert asking().generate(PROMPT).usage == {**counts, "requests": 1, "retries": 0}


AZURE = {"message": "The response was filtered", "type": None, "param": "prompt", "code": "content_filter"}
OPENAI = {
    "message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "code": "invalid_prompt",
}
ROUTER = {"message": "The model requires moderation and your input was flagged", "code": 403}


@pytest.mark.parametrize(("status", "error"), [(400, AZURE), (400, OPENAI), (403, ROUTER)])
def test_a_prompt_that_a_content_filter_refuses_is_answered_by_nothing_at_once(
    asking: Asker, server: SpeakingServer, status: int, error: dict[str, Any]
) -> None:
    server.plan.append(partial(fails, status=status, content=json.dumps({"error": error})))
    generated = asking().generate(PROMPT)
    assert generated == Generated(
        "", {"input_tokens": 0, "output_tokens": 0, "requests": 1, "retries": 0}, None, "content_filter"
    )
    assert len(server.bodies) == 1


def test_a_filter_within_the_stream_holds_the_answer_back(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(lambda handler: writes(handler, f"data: {json.dumps({'error': AZURE})}\n\n"))
    assert asking().generate(PROMPT).finish == "content_filter"
    assert len(server.bodies) == 1


def test_a_refused_key_is_no_content_filter(asking: Asker, server: SpeakingServer) -> None:
    server.plan.append(partial(fails, status=403, content='{"error": {"message": "no access to this model"}}'))
    with pytest.raises(BadInput, match=r"the key in \$OPENAI_API_KEY was refused"):
        asking().generate(PROMPT)


def test_reasoning_in_the_text_of_any_generator_is_taken_out_of_it() -> None:
    plain = Generated("yes", {}, 5, "stop")
    assert apart(plain) is plain
    marked = apart(Generated("<think>\nhm\n</think>\n\nyes", {}, 5, "stop"))
    assert marked == Generated("yes", {}, None, "stop", reasoning="hm", first_reasoning_ns=5)
    assert apart(marked) is marked
    endless = apart(Generated("<think>hm", {}, 5, "length"))
    assert (endless.text, endless.reasoning) == ("", "hm")


def test_reasoning_is_kept_with_the_answer(tmp_path: Any) -> None:
    answer = Generated("yes", {"output_tokens": 3}, None, "stop", reasoning="hm")
    AnswerCache(tmp_path, identity="one").put(["asked"], [answer])
    assert AnswerCache(tmp_path, identity="one").get("asked") == answer
