"""`ragprof init`: looks, asks on a terminal alone, and writes an eval file that runs; nothing is overwritten."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import typer
from commandline import Ragprof
from real_files import page, pdf

import ragprof as package
from ragprof.studies.preparation import prepare

WRITTEN = """# Written by ragprof init. Every key: docs/eval-file.md. Check it with: ragprof check our-docs.toml
name = "our-docs"               # folder under reports/

[corpus]
path = "our docs"               # 4 passages of 4 documents

[evaluation]
queries = "our-docs.questions.jsonl"
# qrels = "our-docs.labels/qrels.tsv" # what ragprof label writes; without: time, tokens and money alone

# [labels]                      # who judges, for ragprof label
# judge = { name = "openai_compatible", base_url = "http://127.0.0.1:8000/v1", model = "its-name" }
# price = "free"                # the rate of that model, such as openai:gpt-4o-mini

[timing]
seconds = 45                    # for all live queries

[prices]                        # a stage without a price is UNPRICED, never 0
llm = "openai:gpt-4o-mini"
machine = "aws/m7i.large"
utilisation = 0.5               # the busy share of paid hours
# parse = "book/name"           # what a service takes for parsing documents, if one does

[[pipelines]]
name = "bm25"
store = "bm25s"                 # finds out the language of the corpus
depth = 4
injector = { name = "token_budget", k = 4, tokens = 2000 }
"""


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pages, two of them alike, a PDF, and a file that nobody reads."""
    folder = tmp_path / "our docs"
    folder.mkdir()
    (folder / "ponds.md").write_text("# Ponds\n\n## Ducks\n\nDucks swim in every pond of the park.\n")
    (folder / "copy.md").write_text("# Ponds\n\n## Ducks\n\nDucks swim in every pond of the park.\n")
    (folder / "rails.txt").write_text("Trains run on rails that are made of steel.\n")
    (folder / "leave.pdf").write_bytes(pdf(page("Thirty days of paid leave a year.", heading="Leave")))
    (folder / "plan.dwg").write_bytes(b"DWG")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_folder_becomes_an_eval_file_that_can_be_checked(ragprof: Ragprof, documents: Path) -> None:
    outcome = ragprof("init", "our docs")
    assert outcome.code == 0
    said = " ".join(outcome.output.split())
    for told in (
        "read 2 .md, 1 .pdf, 1 .txt",
        "left out 1 .dwg (this kind of file is not read): plan.dwg",
        "corpus 4 documents, 4 passages",
        "languages english 100% of 4 passages that were looked at",
        "duplicates 1 exact copy: ponds.md",
        "questions none found",
        "from a log (CSV, JSONL, lines of text or traces): ragprof init 'our docs' --queries FILE --force.",
        "have a model write some from the passages: ragprof label our-docs.toml --generate",
        "next: ragprof run our-docs.toml",
        "without judgements a run gives time, tokens and money, and ranks no pipeline",
        "next: ragprof label our-docs.toml: judgements by a model and a few people, for quality",
    ):
        assert told in said
    assert Path("our-docs.toml").read_text().startswith(WRITTEN)
    made = [json.loads(line) for line in Path("our-docs.questions.jsonl").read_text().splitlines()]
    assert [(one["text"], one["metadata"]["document"]) for one in made] == [
        ("Ponds", "copy.md"), ("Leave", "leave.pdf"), ("Ponds", "ponds.md"), ("rails", "rails.txt"),
    ]  # fmt: skip
    prepared = prepare(Path("our-docs.toml"))
    assert [parts.name for parts in prepared.subject.pipelines] == ["bm25", "dense", "hybrid", "hybrid+maxsim"]


def test_a_language_is_not_told_from_one_passage(
    ragprof: Ragprof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "資料").mkdir()
    (tmp_path / "資料" / "休暇.md").write_text("# 休暇規定\n\n有給休暇は年間三十日です。\n", encoding="utf-8")
    (tmp_path / "資料" / "laptop.md").write_text("# Laptop\n\nReport a lost laptop.\n")
    (tmp_path / "資料" / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    monkeypatch.chdir(tmp_path)
    outcome = ragprof("init", "資料")
    said = " ".join(outcome.output.split())
    assert outcome.code == 0
    assert "languages too little text to tell" in said
    assert "left out 1 .pdf (broken: no PDF that can be opened): broken.pdf" in said


def test_what_is_there_is_overwritten_only_by_force(ragprof: Ragprof, documents: Path) -> None:
    Path("our-docs.toml").write_text("mine\n")
    said = ragprof("init", "our docs").message
    assert "our-docs.toml: this file is there already; --force overwrites it, --out names another" in said
    assert Path("our-docs.toml").read_text() == "mine\n"
    assert not Path("our-docs.questions.jsonl").exists()
    assert ragprof("init", "our docs", "--force", "--no-reranker").code == 0
    assert "maxsim" not in Path("our-docs.toml").read_text()


def test_questions_beside_the_folder_are_taken_and_read_first(ragprof: Ragprof, documents: Path) -> None:
    Path("questions.tsv").write_text("q1\twhere do ducks swim\n")
    Path("qrels.txt").write_text("q1 0 ponds.md 1\n")
    made = package.init("our docs", name="ducks", llm="none", machine="none")
    assert (made.eval_file, made.made) == (Path("ducks.toml"), ())
    text = made.eval_file.read_text()
    assert 'queries = "questions.tsv"\nqrels = "qrels.txt"\n' in text
    assert "llm =" not in text
    assert prepare(made.eval_file).evaluation.is_judged
    Path("own.jsonl").write_text("no json\n")
    assert "own.jsonl:1: not valid JSON" in ragprof("init", "our docs", "--queries", "own.jsonl").message
    assert not Path("our-docs.toml").exists()
    Path("log.csv").write_text("when,question\nmon,Who swims?\ntue,who swims\nwed,Who swims?\n")
    assert package.init("our docs", queries="log.csv").made == (Path("our-docs.questions.jsonl"),)
    (question,) = Path("our-docs.questions.jsonl").read_text().splitlines()
    assert (json.loads(question)["text"], json.loads(question)["metadata"]["asked"]) == ("Who swims?", 3)


def test_a_beir_folder_brings_its_own_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "facts"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "title": "", "text": "Ducks swim."}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "who swims"}\n')
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n")
    monkeypatch.chdir(tmp_path)
    made = package.init(folder)
    assert 'split = "dev"' in made.eval_file.read_text()
    assert prepare(made.eval_file).evaluation.queries[0].text == "who swims"


def test_a_terminal_is_asked_five_questions_at_most(
    ragprof: Ragprof, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(question: str, default: object, **_options: object) -> object:
        asked.append(question)
        return "none" if question.startswith("M") else default

    monkeypatch.setattr(typer, "prompt", answer)
    monkeypatch.setattr(typer, "confirm", lambda question, **_options: asked.append(question))
    monkeypatch.setattr(os, "isatty", lambda _stream: True)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert ragprof("init", "our docs", "--quiet").code == 0
    assert asked == [
        "Name of the eval",
        "File of questions (none: some are made of headings)",
        "Model that reads the prompts, for its price",
        "Machine that this runs on, for its price",
        "Compare with a reranker?",
    ]
    assert 'llm = "' not in Path("our-docs.toml").read_text()


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("nowhere", "nowhere: there is no such file or folder; check the path"),
        ("week.txt", "cannot tell the format of a '.txt' file"),
        (
            "eval.toml",
            "eval.toml: this is no folder of documents; give the folder, a BEIR folder, a .jsonl file or traces",
        ),
        ("spans.jsonl", "spans.jsonl: no span in it"),
    ],
)
def test_what_is_no_corpus_is_told(ragprof: Ragprof, documents: Path, subject: str, said: str) -> None:
    Path("week.txt").write_text("x\n")
    Path("eval.toml").write_text("x = 1\n")
    Path("spans.jsonl").write_text('{"resourceSpans": []}\n')
    outcome = ragprof("init", subject)
    assert (outcome.code, outcome.output) == (2, "")
    assert said in outcome.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.txt", "how do ducks swim\nwhich rails are there\nHow do ducks swim?\n"),
        ("log.jsonl", '{"question": "how do ducks swim"}\n{"question": "which rails are there"}\n'),
        ("log.json", '[{"query": "how do ducks swim"},\n {"query": "which rails are there"}]'),
        ("log.tsv", "query\thits\nhow do ducks swim\t3\nwhich rails are there\t1\n"),
        ("log.csv", "when,query\n1,how do ducks swim\n2,which rails are there\n"),
    ],
)
def test_a_log_of_any_kind_gives_the_questions_and_is_named_as_what_was_found(
    ragprof: Ragprof, documents: Path, name: str, content: str
) -> None:
    Path(name).write_text(content)
    ended = ragprof("init", documents.name, "--yes", "--queries", name)
    assert (ended.code, " ".join(ended.output.split()).count(f"questions {name}")) == (0, 1)
    assert f"look through our-docs.questions.jsonl: 2 questions of {name}" in " ".join(ended.output.split())
    asked = [json.loads(line)["text"].lower() for line in Path("our-docs.questions.jsonl").read_text().splitlines()]
    assert sorted(text.rstrip("?") for text in asked) == ["how do ducks swim", "which rails are there"]


def test_questions_with_ids_in_a_table_stay_as_they_are(ragprof: Ragprof, documents: Path) -> None:
    Path("asked.tsv").write_text("q7\thow do ducks swim\n")
    assert ragprof("init", documents.name, "--yes", "--queries", "asked.tsv").code == 0
    assert 'queries = "asked.tsv"' in Path("our-docs.toml").read_text()


def test_a_file_whose_name_no_judgement_can_hold_is_left_out_and_told(ragprof: Ragprof, documents: Path) -> None:
    (documents / "new\nline.md").write_text("# Lamps\n\nLamps give light.\n")
    Path(os.fsdecode(os.fsencode(documents) + b"/caf\xe9.md")).write_text("# Coffee\n\nCoffee is hot.\n")
    (documents / "codes.csv").write_text("text\n" + "".join(f"{7 * number} {number} %% 12\n" for number in range(40)))
    ended = ragprof("init", documents.name, "--yes")
    told = " ".join(ended.output.split())
    assert ended.code == 0
    assert "1 .md (its name holds a tab or a line break, which no file of judgements can hold; rename it)" in told
    assert "1 .md (its name is not UTF-8; rename it)" in told
    assert "zxx" not in told
