"""What is found before work begins: everything that an eval file names is checked, and nothing is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.corpus import read_corpus
from ragprof.studies.preparation import prepare


def changed(path: Path, old: str, new: str) -> Path:
    """The file with its first `old` replaced."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_handbook_as_declared(handbook: Path) -> None:
    prepared = prepare(handbook)
    subject = prepared.subject
    assert [(parts.name, parts.depth) for parts in subject.pipelines] == [
        ("bm25", 10),
        ("dense", 10),
        ("hybrid", 10),
        ("hybrid+overlap", 10),
    ]
    assert subject.pipelines[2].store is subject.pipelines[3].store
    assert subject.pipelines[0].embedder is None
    assert len(subject.corpus.docs) == 24
    assert len(subject.queries) == len(prepared.evaluation.queries) == 12
    assert prepared.evaluation.notices == ()


def test_metrics_get_their_own_names(handbook: Path) -> None:
    changed(handbook, '"nDCG@10", "RR@10"', '"NDCG@10", "MRR@10", "RR@10"')
    assert prepare(handbook).subject.config.metrics[:3] == ("nDCG@10", "RR@10", "R@10")


def test_chunks_are_cut_as_the_eval_says(handbook: Path) -> None:
    changed(handbook, 'path = "handbook"', 'path = "handbook"\nchunking = { max_characters = 60 }')
    corpus = prepare(handbook).subject.corpus
    assert len(corpus.docs) > 24
    assert {doc.document_id for doc in corpus.docs} == {
        doc.doc_id for doc in read_corpus(handbook.parent / "handbook").docs
    }


def test_in_a_beir_collection_a_query_may_be_a_document(handbook: Path) -> None:
    folder = handbook.parent / "handbook"
    changed(folder / "queries.jsonl", '"q01"', '"leave-booking"')
    changed(folder / "qrels" / "test.tsv", "q01\tleave-annual", "leave-booking\tleave-annual")
    prepared = prepare(handbook)
    own = {query.query_id: query.own_document for query in prepared.subject.queries}
    assert own["leave-booking"] == "leave-booking"
    assert own["q02"] is None
    assert prepared.evaluation.notices[1:] == (
        "the document with the query's own id is left out of the results of 1 query (BEIR's rule); "
        'where ids are only numbered alike, set own_documents = "keep" in [evaluation]',
    )
    changed(handbook, "[timing]", '[evaluation]\nown_documents = "keep"\n\n[timing]')
    kept = prepare(handbook)
    assert {query.own_document for query in kept.subject.queries} == {None}
    assert kept.evaluation.notices[1:] == ()


def test_elsewhere_equal_ids_mean_nothing(handbook: Path) -> None:
    """Questions and pages may both be numbered from 1."""
    folder = handbook.parent / "handbook"
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    numbered = {row["_id"]: str(number) for number, row in enumerate(rows, start=1)}
    pages = handbook.parent / "pages.jsonl"
    pages.write_text("".join(json.dumps({**row, "_id": numbered[row["_id"]]}) + "\n" for row in rows))
    (handbook.parent / "asked.tsv").write_text("1\tHow many days of annual leave?\n")
    (handbook.parent / "judged.txt").write_text(f"1 0 {numbered['leave-annual']} 1\n")
    evaluation = 'path = "pages.jsonl"\n\n[evaluation]\nqueries = "asked.tsv"\nqrels = "judged.txt"'
    changed(handbook, 'path = "handbook"', evaluation)
    (query,) = prepare(handbook).subject.queries
    assert (query.query_id, query.own_document) == ("1", None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('path = "handbook"', "", r"handbook\.toml(:\d+)?: no corpus; give \[corpus\] recipe"),
        ('path = "handbook"', 'path = "handbook"\nrecipe = "python-docs"', "both a recipe and a path; give"),
        ('path = "handbook"', 'path = "nowhere"', "nowhere"),
        ("[timing]", '[evaluation]\nqrels = "handbook/qrels/test.tsv"\n\n[timing]', "gives qrels and no queries; name"),
        ("[timing]", '[evaluation]\nsplit = "dev"\n\n[timing]', "no split named 'dev'"),
        ('embedder = "hashing"', "", r"handbook\.toml:\d+: pipeline 'dense': its store compares vectors"),
        ("rounds = 3", "rounds = 1", r"handbook\.toml:11: timing\.rounds: Input should be greater than or equal to 2"),
        ('name = "dense"', 'name = "bm25"', r"two pipelines are named bm25; each needs its own name"),
        ('name = "dense"', 'name = "../dense"', r"name: '.*' cannot be a name: begin with a letter A to Z"),
        ('stores = ["bm25s", "faiss_flat"]', 'stores = ["bm25s"]', "the store 'rrf' fuses at least two stores"),
        ("utilisation = 0.5", "utilisation = 1.5", r"utilisation: Input should be less than or equal to 1"),
        ("[[pipelines]]", "[[pipeline]]", r"handbook\.toml:"),
    ],
    ids=[
        "no-corpus", "two-corpora", "corpus-missing", "half-an-evaluation", "split", "no-embedder", "one-round",
        "same-name", "name-with-a-path", "one-store", "utilisation", "misspelt-table",
    ],
)  # fmt: skip
def test_mistakes_are_named(handbook: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        prepare(changed(handbook, old, new))


def test_a_misspelt_key_inside_a_pipeline_is_found_with_its_line(handbook: Path) -> None:
    changed(handbook, 'reranker = "overlap"', 'rerankers = "overlap"')
    with pytest.raises(UnknownName) as caught:
        prepare(handbook)
    assert caught.value.file == handbook
    assert caught.value.line == 66
    assert "no key named 'rerankers'; did you mean 'reranker'?" in str(caught.value)


def test_a_budget_must_hold_the_prompt_and_not_only_a_passage(handbook: Path) -> None:
    """The shortest passage has 24 tokens, the prompt around it 27."""
    changed(handbook, "tokens = 200", "tokens = 40")
    with pytest.raises(BadInput, match="its budget of 40 tokens holds no passage"):
        prepare(handbook)
    prepare(changed(handbook, "tokens = 40", "tokens = 60"))


def test_preparing_writes_nothing(handbook: Path, cache: Path) -> None:
    before = sorted(handbook.parent.rglob("*"))
    prepare(handbook)
    assert sorted(handbook.parent.rglob("*")) == before
