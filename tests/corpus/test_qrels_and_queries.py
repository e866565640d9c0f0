"""Queries and judgements as files: both layouts of each, and each mistake with its line."""

from pathlib import Path

import pytest

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.corpus import read_qrels, read_queries
from ragprof.corpus.evaluation import Questions, read_questions

HEADER = "query-id\tcorpus-id\tscore\n"


def qrels_complaint(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "test.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInput) as caught:
        read_qrels(path)
    return str(caught.value).removeprefix(str(path))


def queries_complaint(tmp_path: Path, content: str, *, name: str = "queries.jsonl") -> str:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_queries(path)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "q1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n",
        "\ufeff" + (HEADER + "q1\td1\t2\nq1\td2\t0\n\nq2\td1\t-1").replace("\n", "\r\n"),
        "q1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n",
        "q1 0 d1 2\nq1 0 d2 0\nq2 0 d1 -1\n",
        "q1\t0\td1\t2\nq1  Q0  d2  0\nq2 0 d1 -1\n",
    ],
    ids=["beir", "beir-windows", "beir-without-header", "trec", "trec-other-blanks"],
)
def test_layouts_of_judgements_are_told_apart(tmp_path: Path, content: str) -> None:
    path = tmp_path / "qrels"
    path.write_bytes(content.encode())
    assert read_qrels(path) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}


def test_ids_with_blanks_are_whole_in_tab_separated_judgements(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(HEADER + "q1\tuser guide/set up.md\t1\n")
    assert read_qrels(path) == {"q1": {"user guide/set up.md": 1}}


def test_the_same_judgement_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(HEADER + "q1\td1\t1\nq1\td1\t1\n")
    assert read_qrels(path) == {"q1": {"d1": 1}}


def test_contradiction_names_both_lines(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, HEADER + "q1\td1\t1\nq1\td2\t1\nq1\td1\t0\n")
    assert said == ":4: query 'q1', document 'd1' has relevance 0 here and 1 in line 2; keep one of the two"


def test_wrong_number_of_columns(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, HEADER + "q1\td1\t1\nq1\td2\n")
    assert said == ":3: 2 columns in this line; it should have 3: BEIR's query-id<TAB>corpus-id<TAB>score"
    said = qrels_complaint(tmp_path, "q1 0 d1 1\nq1 0 d 2 1\n")
    assert said == ":2: 5 columns in this line; it should have 4: TREC's 'query_id 0 doc_id relevance'"


def test_neither_layout(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, "q1,d1,1\n")
    assert said == (
        ":1: 1 column in this line; judgements are BEIR's query-id<TAB>corpus-id<TAB>score "
        "or TREC's 'query_id 0 doc_id relevance'"
    )


def test_blank_column(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, HEADER + "q1\t\t1\n")
    assert said == ":2: one of its columns is blank; write BEIR's query-id<TAB>corpus-id<TAB>score"


@pytest.mark.parametrize("relevance", ["1.0", "yes"])
def test_relevance_must_be_an_integer(tmp_path: Path, relevance: str) -> None:
    said = qrels_complaint(tmp_path, HEADER + f"q1\td1\t{relevance}\n")
    assert said == f":2: relevance '{relevance}' is not an integer; write 0, 1, 2, ..."


@pytest.mark.parametrize("content", ["", HEADER])
def test_no_judgement_at_all(tmp_path: Path, content: str) -> None:
    assert qrels_complaint(tmp_path, content).startswith(": there is no judgement in it; each line should be BEIR's")


def test_judgements_in_another_encoding(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, HEADER.encode() + b"q1\tcaf\xe9\t1\n")
    assert said.startswith(":2: byte 0xe9 at offset 31 is not UTF-8")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.tsv: there is no such file; check the path"):
        read_qrels(tmp_path / "no.tsv")
    with pytest.raises(BadInput, match=r"no\.jsonl: there is no such file; check the path"):
        read_queries(tmp_path / "no.jsonl")


def test_queries_keep_what_is_said_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(
        '{"_id": 1, "text": "why", "level": 2, "metadata": {"answers": ["so"]}}\n{"query_id": "b", "text": "how"}'
    )
    assert read_queries(path) == [Query("1", "why", {"level": 2, "answers": ["so"]}), Query("b", "how", {})]


def test_queries_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "topics.tsv"
    path.write_bytes(b"\xef\xbb\xbf1\twhy is it so\r\n2\thow\tmuch\r\n")
    assert read_queries(path) == [Query("1", "why is it so"), Query("2", "how\tmuch")]


def test_table_line_without_a_tab(tmp_path: Path) -> None:
    said = queries_complaint(tmp_path, "1\twhy\n2 how\n", name="topics.tsv")
    assert said == ":2: not 'id<TAB>text'; put one tab between the query's id and its text"


def test_mistakes_in_queries_name_their_line(tmp_path: Path) -> None:
    good = '{"_id": "a", "text": "why"}\n'
    assert queries_complaint(tmp_path, good + good) == (
        ":2: query id 'a' was already given in line 1; ids must be distinct"
    )
    assert queries_complaint(tmp_path, good + '{"text": "how"}') == (
        ":2: no id: one of '_id', 'id', 'query_id' is needed, this line has 'text'"
    )
    assert queries_complaint(tmp_path, good + '{"_id": "b", "text": "how", "metadata": [1]}') == (
        ":2: 'metadata' is an array; it must be an object"
    )


def test_no_query_at_all(tmp_path: Path) -> None:
    said = queries_complaint(tmp_path, "\n")
    assert said == ': there is no query in it; each line should be {"_id": "...", "text": "..."}'


def test_queries_without_text_are_left_out_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "a", "text": "why"}\n{"_id": "b", "text": " "}\n{"_id": "c", "text": null}\n')
    assert [query.query_id for query in read_queries(path)] == ["a"]
    assert read_questions(path).notices == ("2 queries have no text and are left out: b, c",)
    table = tmp_path / "topics.tsv"
    table.write_text("1\twhy\n\n2\t\n")
    assert read_questions(table) == Questions((Query("1", "why"),), ("2",))
    assert queries_complaint(tmp_path, "1\t\n2\t \n", name="topics.tsv") == (
        ": no query in it has a text; is this the right file?"
    )


@pytest.mark.parametrize("relevance", ["1700000000000", "9223372036854775807", "2147483648", "-1001", "9" * 5000])
def test_a_grade_that_is_none_is_refused_with_its_line(tmp_path: Path, relevance: str) -> None:
    said = qrels_complaint(tmp_path, HEADER + f"q1\td1\t{relevance}\n")
    assert said == (
        f":2: relevance {relevance[:40]} is not a grade: grades lie between -1,000 and 1,000, and most are 0 to 3; "
        "is this column a time, a count or an id?"
    )


@pytest.mark.parametrize("relevance", ["1_0", "\u0661", "0x1", "one"])
def test_a_grade_is_written_in_plain_digits(tmp_path: Path, relevance: str) -> None:
    assert "is not an integer; write 0, 1, 2, ..." in qrels_complaint(tmp_path, HEADER + f"q1\td1\t{relevance}\n")


def test_blanks_around_judged_ids_do_not_count_and_accents_have_one_form(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(HEADER + " q1 \tcafe\u0301.md \t1 \n", encoding="utf-8")
    assert read_qrels(path) == {"q1": {"caf\u00e9.md": 1}}


def test_a_judged_id_with_nul_is_refused(tmp_path: Path) -> None:
    said = qrels_complaint(tmp_path, HEADER + "q1\td1\0x\t1\n")
    assert said == ":2: 'document' holds a NUL character, which no judgement can carry; remove it"
