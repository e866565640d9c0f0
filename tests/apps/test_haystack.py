"""Haystack as it is: a pipeline of haystack-ai with its own retriever and prompt builder, watched by its tracing."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from passages import DOCS

import ragprof
from ragprof.apps.haystack import TRACING
from ragprof.core import Answer, Query
from ragprof.core.errors import BadInput
from ragprof.core.spantree import StageTime

if TYPE_CHECKING:
    from haystack import Pipeline

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
# Whoever only collects these tests does not wait for the framework.
pytestmark = pytest.mark.skipif(find_spec("haystack") is None, reason="haystack-ai is not installed")
QUERY = Query("q1", "spring tides come when sun and moon pull along one line")


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    import haystack_parts

    return haystack_parts.pipeline()


def heard(app: Any, **options: Any) -> tuple[Answer, dict[str, StageTime]]:
    asked = ragprof.Pipeline("prod", app=app, **options).parts().app
    assert asked is not None
    assert asked.kind == "haystack"
    asked.add(DOCS, None)
    answer, times, _ = asked.told(QUERY, asked.hear(QUERY, watched=True))
    return answer, dict(times)


def ids(answer: Answer, stage: str) -> list[str]:
    return [item.doc.doc_id for item in answer.rankings[stage]]  # type: ignore[index]


def test_a_pipeline_shows_its_stages_and_what_the_framework_takes(pipeline: Pipeline) -> None:
    answer, times = heard(pipeline, doc_id="meta.page")
    assert {stage: time.source for stage, time in times.items()} == dict.fromkeys(
        ("other:Haystack", "embed", "search", "rerank", "inject", "generate"), TRACING
    )
    assert ids(answer, "search")[0] == "d09"
    assert len(ids(answer, "search")) == 4
    assert ids(answer, "rerank") == ids(answer, "search")[::-1][:2] == ids(answer, "inject")


def test_its_answer_its_prompt_and_its_tokens_are_taken(pipeline: Pipeline) -> None:
    answer, _ = heard(pipeline, doc_id="meta.page")
    assert answer.generated is not None
    assert len(answer.generated.text.split()) == 3
    assert answer.usage["generate"]["output_tokens"] == 3
    assert answer.usage["generate"]["input_tokens"] == len(answer.prompt.split())
    assert answer.prompt.endswith(QUERY.text)


def test_the_question_goes_where_it_is_told_to(pipeline: Pipeline) -> None:
    with pytest.raises(BadInput, match=r"question = .text. names no input"):
        heard(pipeline, question="text")
    with pytest.raises(BadInput, match=r"[Mm]issing"):
        heard(pipeline, question="embedder.text")
    told = {"builder": {"question": "fixed"}}
    answer, _ = heard(pipeline, question="embedder.text", arguments=told, doc_id="meta.page")
    assert answer.prompt.endswith("fixed")


def test_a_knob_leads_to_a_component_by_its_name(pipeline: Pipeline) -> None:
    made = ragprof.Pipeline("prod", app=pipeline, doc_id="meta.page", knobs={"retriever.top_k": [4, 2]}).variants()
    for parts, found in zip(made, (4, 2), strict=True):
        assert parts.app is not None
        parts.app.add(DOCS, None)
        assert len(ids(parts.app.answer(QUERY), "search")) == found
    assert pipeline.get_component("retriever").top_k == 4
    with pytest.raises(BadInput, match="'top_k' is an argument of no component; write arguments by component"):
        ragprof.Pipeline("prod", app=pipeline, knobs={"top_k": [4, 2]}).variants()


def test_the_tracer_that_was_set_is_set_again(pipeline: Pipeline) -> None:
    from haystack import tracing

    own = tracing.tracer.actual_tracer
    heard(pipeline)
    assert tracing.tracer.actual_tracer is own


def test_the_first_piece_of_a_generator_that_calls_back_is_timed() -> None:
    from haystack_parts import streaming

    pieces: list[str] = []
    own = pieces.append
    made = streaming(own)
    answer, times = heard(made, question="llm.prompt")
    assert pieces == ["twice", "a month"]
    assert made.get_component("llm").streaming_callback is own
    assert answer.generated is not None
    assert answer.generated.first_token_ns is not None
    assert 0 < answer.generated.first_token_ns <= times["generate"].path_ns
