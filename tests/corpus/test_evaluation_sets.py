"""Queries and judgements against a corpus: who is left out is counted and named; a wrong pair is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ragprof.core import Doc
from ragprof.core.errors import BadInput, UnknownName
from ragprof.corpus import Corpus, EvaluationSet, fingerprint_of_docs, read_beir_folder_paths, read_evaluation_set


def corpus_of(*docs: tuple[str, str], manifest: Mapping[str, Any] | None = None) -> Corpus:
    """A corpus of (doc_id, document_id)."""
    made = tuple(Doc(doc_id, "", f"text of {doc_id}", document_id) for doc_id, document_id in docs)
    return Corpus("manual", made, fingerprint_of_docs(made), manifest or {})


CORPUS = corpus_of(("d1", "d1"), ("d2", "d2"))


def evaluation(tmp_path: Path, *, queries: list[str], qrels: list[str], corpus: Corpus = CORPUS) -> EvaluationSet:
    """An evaluation set of query ids and `query document relevance` rows."""
    asked, judged = tmp_path / "queries.tsv", tmp_path / "test.qrels"
    asked.write_text("".join(f"{query}\tabout {query}\n" for query in queries))
    judged.write_text("".join("{} 0 {} {}\n".format(*row.split()) for row in qrels))
    return read_evaluation_set(asked, judged, corpus=corpus)


def test_a_matching_pair_needs_no_notice(tmp_path: Path) -> None:
    found = evaluation(tmp_path, queries=["q2", "q1"], qrels=["q1 d1 1", "q2 d2 2", "q2 d1 0"])
    assert [query.query_id for query in found.queries] == ["q2", "q1"]
    assert found.qrels == {"q1": {"d1": 1}, "q2": {"d2": 2, "d1": 0}}
    assert found.notices == ()
    assert found.judged_documents == {"d1", "d2"}
    assert found.judged_documents_missing == 0


def test_unjudged_queries_are_left_out_and_named(tmp_path: Path) -> None:
    found = evaluation(tmp_path, queries=["q1", "q2", "q3", "q4"], qrels=["q4 d1 1"])
    assert [query.query_id for query in found.queries] == ["q4"]
    assert found.notices == ("3 queries have no relevance judgements and are left out: q1, q2, q3",)
    assert found.queries_without_judgements == 3


def test_at_most_five_are_named(tmp_path: Path) -> None:
    found = evaluation(tmp_path, queries=[f"q{number}" for number in range(8)], qrels=["q0 d1 1"])
    assert found.notices == ("7 queries have no relevance judgements and are left out: q1, q2, q3, q4, q5, ...",)


def test_judged_queries_that_are_not_asked_are_left_out_and_named(tmp_path: Path) -> None:
    found = evaluation(tmp_path, queries=["q1"], qrels=["q1 d1 1", "q8 d1 1"])
    assert found.qrels == {"q1": {"d1": 1}}
    assert found.notices == ("1 judged query is not in queries.tsv and is left out: q8",)
    assert found.judged_queries_unknown == 1


def test_judged_documents_that_the_corpus_lacks_stay_and_are_counted(tmp_path: Path) -> None:
    qrels = ["q1 d1 1", *(f"q1 gone{number} 1" for number in range(1200))]
    found = evaluation(tmp_path, queries=["q1"], qrels=qrels)
    assert len(found.qrels["q1"]) == 1201
    assert found.judged_documents_missing == 1200
    which = "gone0, gone1, gone2, gone3, gone4, ..."
    expected = f"1,200 of 1,201 judged documents are not in this corpus (another version of it?): {which}"
    assert found.notices == (expected,)


def test_a_corpus_of_packages_is_suspected_of_other_versions(tmp_path: Path) -> None:
    corpus = corpus_of(("d1", "d1"), manifest={"versions": {"numpy": "2.0"}})
    found = evaluation(tmp_path, queries=["q1"], qrels=["q1 d1 1", "q1 d2 1"], corpus=corpus)
    assert found.notices == ("1 of 2 judged documents is not in this corpus (other package versions?): d2",)


def test_judgements_name_documents_and_not_passages(tmp_path: Path) -> None:
    corpus = corpus_of(("guide.md#0001", "guide.md"), ("guide.md#0002", "guide.md"))
    found = evaluation(tmp_path, queries=["q1"], qrels=["q1 guide.md 1"], corpus=corpus)
    assert found.judged_documents_missing == 0
    with pytest.raises(BadInput, match=r"none of the judged documents \(guide\.md#0001\)"):
        evaluation(tmp_path, queries=["q1"], qrels=["q1 guide.md#0001 1"], corpus=corpus)


def test_queries_without_any_relevant_document_stay_and_are_named(tmp_path: Path) -> None:
    found = evaluation(tmp_path, queries=["q1", "q2"], qrels=["q1 d1 1", "q2 d1 0", "q2 d2 -2"])
    assert [query.query_id for query in found.queries] == ["q1", "q2"]
    assert found.notices == ("1 query has no relevant document, only irrelevant ones: q2",)


def test_another_collections_qrels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        evaluation(tmp_path, queries=["q1"], qrels=["q1 x1 1", "q1 x2 1"])
    assert str(caught.value) == (
        f"{tmp_path / 'test.qrels'}: none of the judged documents (x1, x2) is in the corpus 'manual', "
        "whose ids look like 'd1'; is it another collection's qrels?"
    )


def test_other_queries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        evaluation(tmp_path, queries=["q1"], qrels=["x1 d1 1"])
    assert str(caught.value) == (
        f"{tmp_path / 'test.qrels'}: none of the judged queries (x1) is in {tmp_path / 'queries.tsv'}; "
        "do the two files belong together?"
    )


def test_fingerprint_rests_on_judgements_and_not_on_their_order(tmp_path: Path) -> None:
    rows = ["q1 d1 1", "q1 d2 0"]
    first = evaluation(tmp_path, queries=["q1"], qrels=rows)
    second = evaluation(tmp_path, queries=["q1"], qrels=rows[::-1])
    third = evaluation(tmp_path, queries=["q1"], qrels=["q1 d1 1", "q1 d2 1"])
    assert first.qrels_sha256 == second.qrels_sha256 != third.qrels_sha256
    assert first.queries_sha256 == third.queries_sha256


def test_a_split_is_found_in_a_beir_folder(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    for name in ("queries.jsonl", "qrels/test.tsv", "qrels/dev.tsv"):
        (tmp_path / name).touch()
    assert read_beir_folder_paths(tmp_path) == (tmp_path / "queries.jsonl", tmp_path / "qrels" / "test.tsv")
    assert read_beir_folder_paths(tmp_path, "dev")[1] == tmp_path / "qrels" / "dev.tsv"
    with pytest.raises(UnknownName, match=r"no split named 'tset'; did you mean 'test'\? There are: dev, test"):
        read_beir_folder_paths(tmp_path, "tset")


def test_a_folder_without_queries_is_no_evaluation_set(tmp_path: Path) -> None:
    expected = r"no queries\.jsonl in this folder; BEIR has corpus\.jsonl, queries\.jsonl and qrels/"
    with pytest.raises(BadInput, match=expected):
        read_beir_folder_paths(tmp_path)
