"""What pipelines of people's own return, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ragprof.core import Doc
from ragprof.parts.hits import KnownPassages, hit_of, value_at
from ragprof.parts.returned import answer_of, joined


@dataclass
class Page:
    """As LangChain's document."""

    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Message:
    content: str
    usage_metadata: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("returned", "text", "documents"),
    [
        (None, None, None),
        ("yes", "yes", None),
        (Message("yes"), "yes", None),
        (["d1", "d2"], None, ["d1", "d2"]),
        ([], None, []),
        ([("d1", 0.5)], None, [("d1", 0.5)]),
        ({"d1": 0.5, "d2": 0.25}, None, [("d1", 0.5), ("d2", 0.25)]),
        (("yes", ["d1"]), "yes", ["d1"]),
        ({"answer": "yes", "documents": ["d1"]}, "yes", ["d1"]),
        ({"response": Message("yes"), "contexts": [{"text": "a page"}]}, "yes", [{"text": "a page"}]),
        ({"replies": ["yes"]}, "yes", None),
        ({"context": "all pages in one", "answer": "yes"}, "yes", None),
        ([Page("a page")], None, [Page("a page")]),
    ],
)
def test_what_is_returned_is_taken_apart(returned: object, text: str | None, documents: list[Any] | None) -> None:
    read = answer_of(returned)
    assert read is not None
    assert (read.text, read.documents) == (text, documents)


@pytest.mark.parametrize("returned", [7, object(), {}, {"status": "ok"}, [object()], {"a", "b"}, b"bytes"])
def test_what_is_no_answer_is_not_read(returned: object) -> None:
    assert answer_of(returned) is None


def test_tokens_are_read_under_either_name() -> None:
    old = answer_of({"answer": "yes", "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
    new = answer_of(Message("yes", {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}))
    assert old is not None
    assert new is not None
    assert old.usage == new.usage == {"input_tokens": 7, "output_tokens": 2}


def test_paths_lead_to_unusual_names_and_must_lead_somewhere() -> None:
    returned = {"data": {"pages": ["d1"], "say": ["yes"]}}
    read = answer_of(returned, documents="data.pages", answer="data.say.0")
    assert read is not None
    assert (read.text, read.documents) == ("yes", ["d1"])
    assert answer_of(returned, documents="data.page") is None
    assert value_at({"a.b": 1}, "a.b") == 1


def test_a_stream_is_put_together() -> None:
    pieces = [{"documents": ["d1"]}, {"delta": "y"}, {"choices": [{"delta": {"content": "es"}}]}, {"usage": {}}]
    assert joined(pieces) == {"documents": ["d1"], "usage": {}, "answer": "yes"}
    assert joined(["y", "es"]) == "yes"
    assert joined([Page("a"), Page("b")]) == [Page("a"), Page("b")]
    with pytest.raises(ValueError, match="the stream tells an error: too long"):
        joined([{"delta": "y"}, {"error": {"message": "too long"}}])


DOCS = [
    Doc("guide.md#0001", "Guide", "First  part.", "guide.md"),
    Doc("guide.md#0002", "Guide", "Second part.", "guide.md"),
]


@pytest.mark.parametrize(
    ("result", "path", "found"),
    [
        (Page("Second part.", {"source": "/srv/docs/guide.md"}), None, "guide.md#0002"),
        (Page("another cut", {"source": "/srv/docs/guide.md"}), None, "guide.md#0001"),
        (Page("another cut", {"origin": {"file": "guide.md"}}), "metadata.origin.file", "guide.md#0001"),
        (Page("another cut", {"id": "7f3", "page": "guide.md#0002"}), "metadata.page", "guide.md#0002"),
        (("guide.md#0001", 0.5), None, "guide.md#0001"),
    ],
)
def test_a_document_is_told_by_its_path_its_id_and_its_source(result: object, path: str | None, found: str) -> None:
    hit = hit_of(result, path)
    assert hit is not None
    doc = KnownPassages(DOCS).doc_of(hit)
    assert doc is not None
    assert doc.doc_id == found


def test_a_document_without_a_known_id_is_told_by_its_text() -> None:
    known = KnownPassages(DOCS)
    for text in ("Second part.", " Guide Second\n part. "):
        doc = known.doc_with_text(text)
        assert doc is not None
        assert doc.doc_id == "guide.md#0002"
    assert known.doc_with_text("second") is None
    assert known.doc_with_text("") is None


def test_documents_that_a_generator_yields_are_documents_and_pieces_of_an_answer_are_not() -> None:
    found = [{"id": "d1", "text": "one"}, {"id": "d2", "text": "two"}]
    assert joined(iter(found)) == found
    pieces = [{"id": "a1", "text": "one "}, {"id": "a1", "text": "two"}]
    assert joined(iter(pieces)) == {"id": "a1", "answer": "one two"}
