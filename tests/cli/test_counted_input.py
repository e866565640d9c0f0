"""What is odd in the data but no error: it is counted and said, and the run goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commandline import Ragprof


@pytest.fixture
def folder(handbook: Path) -> Path:
    """The collection beside this test's eval file."""
    return handbook.parent / "handbook"


def test_query_without_judgements(ragprof: Ragprof, handbook: Path, folder: Path) -> None:
    with (folder / "queries.jsonl").open("a") as stream:
        stream.write('{"_id": "q13", "text": "Who waters the plants?"}\n')
    outcome = ragprof("check", handbook)
    assert (outcome.code, outcome.message) == (0, "")
    said = " ".join(outcome.output.split())
    assert "questions 12 judged" in said
    assert "note: 1 query has no relevance judgements and is left out: q13" in said


def test_judged_documents_that_the_corpus_lacks(ragprof: Ragprof, handbook: Path, folder: Path) -> None:
    with (folder / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q12\tpay-bonus\t1\n")
    outcome = ragprof("check", handbook)
    assert (outcome.code, outcome.message) == (0, "")
    said = " ".join(outcome.output.split())
    assert "note: 1 of 20 judged documents is not in this corpus (another version of it?): pay-bonus" in said


def test_byte_order_mark_and_windows_line_ends_change_nothing(ragprof: Ragprof, handbook: Path, folder: Path) -> None:
    expected = ragprof("check", handbook)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        path = folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    handbook.write_bytes(b"\xef\xbb\xbf" + handbook.read_bytes().replace(b"\n", b"\r\n"))
    outcome = ragprof("check", handbook)
    assert outcome.code == 0
    # estimated times are measured anew
    said, meant = (
        " ".join(re.sub(r"[\d.]+ (s|min)\b", "", text).split()) for text in (outcome.output, expected.output)
    )
    assert (said, outcome.message) == (meant, expected.message)
