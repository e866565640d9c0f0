"""`ragprof init` of traces: what they found becomes documents, what was asked becomes questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from written import openinference, passage, request, write

import ragprof
from ragprof.core.errors import BadInput
from ragprof.studies.preparation import prepare


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_traces_bring_their_documents_and_their_questions() -> None:
    asked = ["How many days of leave?", "Who pays trains?", "how many days of leave", "How many days of leave?"]
    spans = [openinference(number, question=question) for number, question in enumerate(asked, 1)]
    spans.append(openinference(5, question="Who pays trains?", found=("hidden", "z"), reranked=None))
    for place, text in enumerate(("__REDACTED__", "Another text.")):
        name = f"retrieval.documents.{place}.document.content"
        (content,) = (each for each in spans[-1][1]["attributes"] if each["key"] == name)
        content["value"] = {"stringValue": text}
    write(Path("week.jsonl"), [request(each) for each in spans])
    made = ragprof.init("week.jsonl", llm="none", machine="none")
    assert [made.eval_file, *made.made] == [
        Path("week.toml"),
        Path("week.documents.jsonl"),
        Path("week.questions.jsonl"),
    ]
    rows = {name: told for name, told in made.rows if name != "left out"}
    assert rows["traces"] == "5 traces, 24 spans (OTLP), 1 service: shop"
    assert rows["corpus"] == "5 documents, 5 passages"
    assert ("left out", "1 passage without a text") in made.rows
    assert made.next_steps[0] == "ragprof trace week.jsonl: what these traces took, stage by stage"
    docs = {doc["_id"]: doc["text"] for doc in lines("week.documents.jsonl")}
    assert docs == {**{name: passage(name) for name in "abcd"}, "z": "Another text."}
    questions = lines("week.questions.jsonl")
    assert sorted((each["text"], each["metadata"]["asked"]) for each in questions) == [
        ("How many days of leave?", 3), ("Who pays trains?", 2),
    ]  # fmt: skip
    assert len(prepare(made.eval_file).evaluation.queries) == 2
    leave = next(each["_id"] for each in questions if each["metadata"]["asked"] == 3)
    Path("qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{leave}\tb\t1\n")
    traced = ragprof.trace("week.jsonl", queries="week.questions.jsonl", qrels="qrels.tsv", out="out").summary["trace"]
    assert traced["pipelines"]["shop"]["judged"] == 2


def test_traces_without_texts_give_a_folder_its_questions(place: Path) -> None:
    write(Path("bare.jsonl"), [request(openinference(1, question="Who swims?")[:1])])
    said = "no passage in these 1 trace has a text, .*: ragprof init FOLDER --queries bare.jsonl"
    with pytest.raises(BadInput, match=said):
        ragprof.init("bare.jsonl")
    (place / "docs").mkdir()
    (place / "docs" / "a.txt").write_text("Ducks swim.")
    assert ragprof.init("docs", queries="bare.jsonl").made == (Path("docs.questions.jsonl"),)
    assert [each["text"] for each in lines("docs.questions.jsonl")] == ["Who swims?"]
