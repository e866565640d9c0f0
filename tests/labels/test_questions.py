"""Questions: the users' own by frequency, a model's checked, titles marked as weak."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.labels.questions import (
    copied,
    generated_questions,
    heading_questions,
    keep_questions,
    own_questions,
    writing_tasks,
)

FILLER = "with so many other words that the passage is long enough to be asked about by anybody who reads all of it"


def doc(number: int, text: str, part: int = 1) -> Doc:
    return Doc(f"d{number}#{part:04d}", f"Page {number} on topic{number}", f"{text} {FILLER}", f"d{number}")


def span(trace: str, name: str, attributes: dict[str, str]) -> dict[str, object]:
    values = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    return {
        "traceId": trace * 16, "spanId": "a" * 15 + name[0].lower().replace("r", "b"), "name": name,
        "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": values,
    }  # fmt: skip


def test_a_log_is_freed_of_copies_clustered_and_drawn_by_frequency(tmp_path: Path) -> None:
    rows = ["how do I reset my password"] * 6 + ["How do I reset my password?", "reset the password: how do I"]
    rows += ["what is the travel budget"] * 4 + [f"rare thing number{number}" for number in range(40)] + [""]
    (tmp_path / "log.csv").write_text("when,Query\n" + "".join(f'1,"{row}"\n' for row in rows))
    found = own_questions(tmp_path / "log.csv", count=42, seed=0)
    facts = {each.text: dict(each.metadata) for each in found.questions}
    assert facts["how do I reset my password"] == {"asked": 8, "wordings": 3, "from": "log.csv"}
    assert len(found.questions) == 42
    first = Counter(own_questions(tmp_path / "log.csv", count=1, seed=seed).questions[0].text for seed in range(300))
    # 8 of 52 questions asked were after the password, 4 after the budget.
    assert 25 <= first["how do I reset my password"] <= 70
    assert 10 <= first["what is the travel budget"] <= 40


def test_questions_come_from_jsonl_lines_and_traces_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "who pays?", "user": 1}\n{"text": "who goes there?"}\n')
    (tmp_path / "b.txt").write_text("who pays?\n\nwho goes there?\n")
    spans = [
        span("1", "retrieve", {"openinference.span.kind": "RETRIEVER", "input.value": "who pays?"}),
        span("1", "chain", {"openinference.span.kind": "CHAIN", "input.value": "hello, who pays?"}),
        span("2", "chain", {"openinference.span.kind": "CHAIN", "input.value": "who goes there?"}),
    ]
    otlp = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(otlp) + "\n")
    # Langfuse calls the question of an observation `input`, and a model's prompt as well.
    asked = {"traceId": "1", "startTime": "2026-11-01T00:00:00Z", "input": {"query": "who pays?"}}
    seen = [
        {**asked, "id": "1", "type": "GENERATION", "name": "llm", "input": "Answer from this: ... who pays?"},
        {**asked, "id": "2", "type": "RETRIEVER", "name": "retrieve"},
        {**asked, "id": "3", "type": "RETRIEVER", "name": "retrieve", "traceId": "2", "input": "who goes there?"},
    ]
    lines = "".join(f"{json.dumps(each)}\n" for each in seen)
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "e.json").write_text('["who pays?", {"query": "who goes there?"}]')
    (tmp_path / "f.csv").write_text('query\n"who\npays?"\nwho goes there?\n')
    for name in ("a.jsonl", "b.txt", "c.jsonl", "d.jsonl.gz", "e.json", "f.csv"):
        texts = {each.text for each in own_questions(tmp_path / name, count=9, seed=0).questions}
        assert texts == {"who pays?", "who goes there?"}, name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "a,b\n1,2\n", "a.csv:1: it has no column question, query, text, input, prompt"),
        ("a.jsonl", '{"text": "x"}\n{"no": 1}\n', "a.jsonl:2: it has no text under question"),
        ("a.txt", "\n\n", "a.txt: there is no question in it"),
    ],
)
def test_a_file_without_questions_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput) as refused:
        own_questions(tmp_path / name, count=1, seed=0)
    assert message in str(refused.value)


def test_passages_are_drawn_evenly_over_documents_and_every_fifth_task_has_two() -> None:
    docs = [doc(0, f"part {part}", part) for part in range(50)] + [doc(number, "alone") for number in range(1, 5)]
    tasks = writing_tasks(docs, count=25, seed=0)
    assert set(Counter(task.passages[0].document_id for task in tasks).values()) == {5}
    two = [task for task in tasks if len(task.passages) == 2]
    assert {task.passages[0].document_id for task in two} <= {"d0"}
    assert len({task.persona for task in tasks}) == 4
    assert 'DATA: ["Page' in tasks[0].prompt


def test_a_models_questions_are_checked_and_the_refused_counted() -> None:
    docs = [
        doc(number, f"the warranty of machine{number} lasts number{number} years in every country")
        for number in range(6)
    ]
    said = iter(
        [
            "What does this document say about warranty?",
            "warranty of machine{} lasts number{} years in every country",
            "How long is machine{} covered?", "how long is machine{} covered", "Is it?", "page topic words passage",
            "For what time do they repair machine{} for free?",
        ]
    )  # fmt: skip

    def answers(prompts: list[str]) -> list[str]:
        numbers = [prompt.partition("machine")[2][0] for prompt in prompts]
        found = [next(said, "When is machine{} repaired for free, abroad?").replace("{}", number) for number in numbers]
        found[3] = found[2]  # a near-copy, whatever passage it was asked of
        return found

    found = generated_questions(docs, answers, model="tiny", count=4, seed=1)
    assert dict(found.refused) == {
        "refers to the document": 1, "copies its passage": 1, "no question": 1, "near-copy of another question": 1,
    }  # fmt: skip
    assert [each.metadata["model"] for each in found.questions] == ["tiny"] * len(found.questions)
    assert found.questions[0].metadata["documents"] == [found.questions[0].metadata["passages"][0].partition("#")[0]]


def test_what_many_documents_answer_is_refused() -> None:
    docs = [doc(number, "holidays are thirty days a year for everybody") for number in range(6)]
    found = generated_questions(
        docs, lambda prompts: ["thirty days holidays"] * len(prompts), model="m", count=2, seed=0
    )
    assert (found.questions, dict(found.refused)) == ([], {"answerable elsewhere": 3})


def test_the_copied_share_is_the_longest_run_in_the_same_order() -> None:
    assert copied("red green blue", "a blue red green lamp") == pytest.approx(2 / 3)
    assert copied("", "anything") == 0.0


def test_titles_are_weak_questions_and_each_keeps_where_it_comes_from(tmp_path: Path) -> None:
    docs = [Doc("d1#0001", "Annual leave rules", "x", "d1"), Doc("d1#0002", "Annual leave rules", "y", "d1"),
            Doc("d2", "Index", "z", "d2")]  # fmt: skip
    keep_questions(tmp_path / "queries.jsonl", heading_questions(docs, count=9, seed=0).questions)
    assert json.loads((tmp_path / "queries.jsonl").read_text()) == {
        "_id": "q0001", "text": "Annual leave rules",
        "metadata": {"origin": "heading", "documents": ["d1"], "weak": True},
    }  # fmt: skip
