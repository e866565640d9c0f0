"""`ragprof label` as it is typed: judge in the terminal, what is refused."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from commandline import Ragprof

DATA = Path(__file__).parents[1] / "data"
EVAL = """name = "e"
[corpus]
path = "handbook/corpus.jsonl"
[evaluation]
queries = "e.labels/queries.jsonl"
qrels = "e.labels/qrels.tsv"
[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 3
injector = { name = "top_k", k = 3 }
"""


@pytest.fixture
def eval_file(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    (tmp_path / "e.toml").write_text(EVAL)
    return tmp_path / "e.toml"


def test_titles_become_questions_and_a_person_judges_undoes_and_stops(
    ragprof: Ragprof, eval_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ragprof("label", eval_file)
    assert "this eval has no questions; give --questions FILE" in refused.message
    made = ragprof("label", eval_file, "--headings", "--count", 5, "--quiet")
    assert (made.code, "questions         5" in made.output) == (0, True)
    assert "nothing is graded yet: name a model as judge in [labels], or let people judge" in made.output
    assert "nothing is judged yet; run 'ragprof label" in ragprof("check", eval_file).message
    drawn = ragprof("label", eval_file, "--next", 8)
    assert "2 questions drawn evenly: 6 passages to judge" in drawn.output
    assert "these are too few questions for an interval, which needs 15" in drawn.output
    monkeypatch.setattr("sys.stdin", io.StringIO("3\n7\n0\nu\n1\ns\nq\n"))
    asked = ragprof("label", eval_file, "--ask", "--as", "anna")
    assert (asked.code, asked.output.count("saved: "), asked.output.count("one of 0, 1, 2, 3, s, u and q")) == (0, 3, 1)
    assert "[1 of 6]" in asked.output
    lines = [json.loads(line) for line in (eval_file.parent / "e.labels" / "labels.jsonl").read_text().splitlines()]
    assert [(line.get("grade"), line["state"]) for line in lines] == [
        (3, "graded"), (0, "graded"), (None, "undone"), (1, "graded"), (None, "skipped"),
    ]  # fmt: skip
    assert len((eval_file.parent / "e.labels" / "qrels.tsv").read_text().splitlines()) == 3
    assert ragprof("check", eval_file, "--quiet").code == 0
    assert "give a name without a colon" in ragprof("label", eval_file, "--ask", "--as", "model:m").message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--serve", "--ask"), "--serve, --ask, --next and --rubric are different things to do; give one of them"),
        (("--next", "5"), "nothing is pooled yet; run `ragprof label` on the eval file first"),
        (("--headings", "--budget-usd", "much"), "a budget of 'much' is no amount of USD; write it like 2.50"),
        (("--generate",), "--generate needs a model; name one as judge in [labels]"),
        (("--next", "5", "--between", "bm25"), "--between 'bm25' is not two pipelines; write it like bm25,hybrid"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ragprof: Ragprof, eval_file: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = ragprof("label", eval_file, *options)
    assert (outcome.code, message in outcome.message) == (2, True)


def test_the_rubric_is_printed_as_the_model_gets_it(ragprof: Ragprof, eval_file: Path) -> None:
    printed = ragprof("label", eval_file, "--rubric").output
    assert printed.startswith("Given a question and a passage, you must provide a score on an integer scale of 0 to 3")
    assert 'DATA: {"question": "(the question)", "passage": "(the passage)"}' in printed
