"""Corpora in JSONL: what is read, and that each mistake in a file is named with its line and a remedy."""

import json
import time
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragprof.core.errors import BadInput
from ragprof.corpus import read_corpus
from ragprof.corpus.account import LeftOut
from ragprof.corpus.jsonl import is_blank

A = '{"_id": "a", "title": "Alpha", "text": "first"}\n'
B = '{"_id": "b", "text": "second"}\n'


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return tmp_path / "corpus.jsonl"


def complaint(path: Path, content: str | bytes) -> str:
    """What read_corpus says about the content, without the path in front."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInput) as caught:
        read_corpus(path)
    return str(caught.value).removeprefix(str(path))


def test_documents_keep_their_order_and_stand_for_themselves(corpus: Path) -> None:
    corpus.write_text(B + A)
    found = read_corpus(corpus)
    assert [(doc.doc_id, doc.title, doc.text) for doc in found.docs] == [("b", "", "second"), ("a", "Alpha", "first")]
    assert found.document_of == {"b": "b", "a": "a"}
    assert found.manifest == {"format": "jsonl", "documents": 2}


@pytest.mark.parametrize("field", ["_id", "id", "doc_id"])
def test_three_names_for_the_id_are_known_and_integers_become_strings(corpus: Path, field: str) -> None:
    corpus.write_text(json.dumps({field: 7, "text": "seven"}))
    assert read_corpus(corpus).docs[0].doc_id == "7"


def test_name_is_the_files_unless_given(tmp_path: Path) -> None:
    path = tmp_path / "manual.jsonl"
    path.write_text(A)
    assert read_corpus(path).name == "manual"
    assert read_corpus(path, name="handbook").name == "handbook"


def test_fingerprint_ignores_formatting_and_sees_content(corpus: Path) -> None:
    corpus.write_text('{"_id": "a", "title": "", "text": "caf\\u00e9"}\n' + B)
    plain = read_corpus(corpus).sha256
    corpus.write_bytes('\ufeff{"text":"café",  "_id":"a"}\r\n\r\n{"text":"second","id":"b"}'.encode())
    assert read_corpus(corpus).sha256 == plain
    corpus.write_text('{"_id": "a", "title": "café", "text": ""}\n' + B)
    assert read_corpus(corpus).sha256 != plain
    corpus.write_text(B + '{"_id": "a", "text": "café"}\n', encoding="utf-8")
    assert read_corpus(corpus).sha256 != plain


def test_bom_and_windows_line_ends_are_taken_off(corpus: Path) -> None:
    corpus.write_bytes(b"\xef\xbb\xbf" + (A + B).replace("\n", "\r\n").encode())
    assert [doc.doc_id for doc in read_corpus(corpus).docs] == ["a", "b"]


texts = st.text(st.characters(codec="utf-8"))
filled = texts.filter(lambda text: not is_blank(text))
ids = st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(lambda name: normalize("NFC", name).strip())


@given(
    rows=st.lists(st.tuples(ids.filter(bool), texts, filled), min_size=1, unique_by=lambda row: row[0]),
    escaped=st.booleans(),
)
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], escaped: bool
) -> None:
    path = tmp_path_factory.mktemp("round") / "corpus.jsonl"
    records = ({"_id": doc_id, "title": title, "text": text} for doc_id, title, text in rows)
    path.write_bytes("".join(json.dumps(record, ensure_ascii=escaped) + "\n" for record in records).encode())
    assert [(doc.doc_id, doc.title, doc.text) for doc in read_corpus(path).docs] == rows


def test_missing_file(corpus: Path) -> None:
    with pytest.raises(BadInput, match=r"corpus\.jsonl: there is no such file or folder; check the path"):
        read_corpus(corpus)


def test_malformed_line_is_named_with_its_column(corpus: Path) -> None:
    said = complaint(corpus, A + '{"_id": "b" "text": "second"}\n' + B)
    assert said == (
        ":2: not valid JSON at column 13: Expecting ',' delimiter; mend this line (JSONL has one object {...} a line)"
    )


def test_broken_last_line_may_be_a_truncated_file(corpus: Path) -> None:
    said = complaint(corpus, A + '{"_id": "b", "text": "sec\n\n')
    assert said == (
        ":2: not valid JSON at column 22: Unterminated string starting at; "
        "this is the last line, so the file may be truncated: copy or download it again"
    )


def test_endless_nesting_is_malformed_too(corpus: Path) -> None:
    assert complaint(corpus, "[" * 100_000).startswith(":1: not valid JSON (maximum recursion depth exceeded")


@pytest.mark.parametrize(
    ("line", "kind"), [("[1]", "an array"), ('"a"', "a string"), ("null", "null"), ("3", "a number")]
)
def test_line_that_is_no_object(corpus: Path, line: str, kind: str) -> None:
    assert complaint(corpus, A + line) == f":2: this line is {kind}; JSONL has one object {{...}} a line"


def test_line_without_an_id(corpus: Path) -> None:
    said = complaint(corpus, A + '{"key": "b", "text": "second"}')
    assert said == ":2: no id: one of '_id', 'id', 'doc_id' is needed, this line has 'key', 'text'"


def test_line_without_text(corpus: Path) -> None:
    said = complaint(corpus, A + '{"_id": "b", "contents": "second"}')
    assert said == ":2: no 'text': this line has '_id', 'contents'; rename or add the field"


@pytest.mark.parametrize(
    ("value", "kind"),
    [("1.5", "a number with a fraction"), ("true", "true or false"), ("null", "null"), ("[1]", "an array")],
)
def test_id_of_another_kind(corpus: Path, value: str, kind: str) -> None:
    said = complaint(corpus, A + f'{{"_id": {value}, "text": "second"}}')
    assert said == f":2: '_id' is {kind}; an id is a string or an integer"


def test_blank_id(corpus: Path) -> None:
    assert complaint(corpus, '{"id": " ", "text": "x"}') == ":1: 'id' is blank; give each line an id of its own"


def test_text_and_title_must_be_strings(corpus: Path) -> None:
    assert complaint(corpus, '{"_id": 1, "text": ["x"]}') == ":1: 'text' is an array; it must be a string"
    assert complaint(corpus, '{"_id": 1, "text": "x", "title": 3}') == ":1: 'title' is a number; it must be a string"


def test_repeated_id_names_both_lines(corpus: Path) -> None:
    said = complaint(corpus, A + B + "\n" + '{"_id": "a", "text": "again"}')
    assert said == ":4: document id 'a' was already given in line 1; ids must be distinct"
    said = complaint(corpus, '{"_id": 1, "text": "x"}\n{"_id": "1", "text": "y"}\n')
    assert said == ":2: document id '1' was already given in line 1; ids must be distinct"


@pytest.mark.parametrize("content", ["", "\n \r\n", "\ufeff"])
def test_empty_corpus(corpus: Path, content: str) -> None:
    said = complaint(corpus, content)
    assert said == ': this corpus is empty; each line should be {"_id": "...", "text": "..."}'


def test_documents_without_title_and_text_are_left_out_counted_and_listed(corpus: Path) -> None:
    """Stock FiQA and Cranfield have such documents."""
    corpus.write_text(
        A + '{"_id": "b", "title": " ", "text": "\\n"}\n{"_id": "c", "text": null}\n{"_id": "d", "text": "\\u200b"}\n'
    )
    found = read_corpus(corpus)
    assert [doc.doc_id for doc in found.docs] == ["a"]
    assert found.manifest["documents"] == 1
    assert (found.account.read, str(found.account)) == ({"document": 1}, "1 document")
    assert found.account.left_out == (
        LeftOut(kind="document", reason="neither title nor text", count=3, examples=("b", "c", "d")),
    )
    assert str(found.account.left_out[0]) == "3 document (neither title nor text): b, c, d"
    assert found.without_text == {"b", "c", "d"}


def test_a_corpus_of_empty_documents_is_refused(corpus: Path) -> None:
    said = complaint(corpus, '{"_id": "b", "text": ""}')
    assert said == ": no document in it has a title or a text; is this the right file?"


def test_blanks_around_ids_do_not_count_and_accents_have_one_form(corpus: Path) -> None:
    corpus.write_text('{"_id": " a ", "text": "x"}\n{"_id": "cafe\\u0301", "text": "y"}')
    assert [doc.doc_id for doc in read_corpus(corpus).docs] == ["a", "caf\u00e9"]
    said = complaint(corpus, A + '{"_id": "a ", "text": "x"}')
    assert said == ":2: document id 'a' was already given in line 1; ids must be distinct"


def test_an_id_with_nul_is_refused(corpus: Path) -> None:
    said = complaint(corpus, '{"_id": "a\\u0000b", "text": "x"}')
    assert said == ":1: '_id' holds a NUL character, which no judgement can carry; remove it"


def test_a_title_alone_is_enough(corpus: Path) -> None:
    corpus.write_text('{"_id": "b", "title": "Beta", "text": ""}')
    assert read_corpus(corpus).docs[0].content == "Beta"


def test_other_encodings_are_named_with_line_and_offset(corpus: Path) -> None:
    said = complaint(corpus, A.encode() + '{"_id": "b", "text": "café"}\n'.encode("latin-1"))
    assert said == (
        ":2: byte 0xe9 at offset 73 is not UTF-8; convert the file, for example: "
        "iconv -f ISO-8859-1 -t UTF-8 corpus.jsonl > corpus.utf8.jsonl && mv corpus.utf8.jsonl corpus.jsonl"
    )
    said = complaint(corpus, A.encode("utf-16"))
    assert said.startswith(":1: byte 0xff at offset 0 is not UTF-8")
    assert said.endswith(
        "iconv -f UTF-16 -t UTF-8 corpus.jsonl > corpus.utf8.jsonl && mv corpus.utf8.jsonl corpus.jsonl"
    )


def test_half_a_surrogate_pair_is_refused(corpus: Path) -> None:
    said = complaint(corpus, A + '{"_id": "b", "text": "so \\ud83d"}')
    expected = ":2: 'text' holds half a surrogate pair (\\ud83d) at character 3; remove it or write the whole character"
    assert said == expected


def test_unreadable_path_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read it: Is a directory; a readable file is needed"):
        read_corpus(tmp_path, format="jsonl")


def test_twenty_thousand_documents_take_about_a_second(corpus: Path) -> None:
    text = "two kilobytes of text " * 90
    corpus.write_text("".join(json.dumps({"_id": number, "text": text}) + "\n" for number in range(20_000)))
    started = time.perf_counter()
    assert len(read_corpus(corpus).docs) == 20_000
    assert time.perf_counter() - started < 5
