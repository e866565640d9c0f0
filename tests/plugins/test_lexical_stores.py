"""BM25 twice: each store gives the scores of the formula in its own docstring, term by term."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passages import DOCS, embedded

from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.parts.stores.bm25s import Bm25sStore
from ragprof.parts.stores.rank_bm25 import RankBm25Store
from ragprof.parts.words import words

SAMPLE = [
    Doc("a", "Tea", "green tea and black tea", "a"),
    Doc("b", "", "black coffee", "b"),
    Doc("c", "Water", "water boils; water for tea", "c"),
    Doc("d", "", "nothing of the kind here, only long rows of other terms that nobody asks for", "d"),
    Doc("e", "", "the", "e"),
]
QUERIES = ["tea", "black tea", "tea tea tea black", "water water", "coffee unknownword", "tea unknownword unknownword"]
COLOURS = ("red", "blue", "green", "pink", "gold", "grey")
vocabulary = st.lists(st.sampled_from(COLOURS), min_size=0, max_size=9).map(" ".join)
collections = st.lists(vocabulary.filter(bool), min_size=2, max_size=12)


def asked(text: str) -> EmbeddedQuery:
    return EmbeddedQuery(Query("q", text), None)


def found(store: Bm25sStore | RankBm25Store, docs: Sequence[Doc], text: str) -> dict[str, float]:
    store.add(docs, None)
    return {item.doc.doc_id: item.score for item in store.search(asked(text), len(docs)).ranking}


class Counts:
    """What both formulas need: term counts, document frequencies and lengths."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        self.terms = {doc.doc_id: Counter(words(doc.content)) for doc in docs}
        self.lengths = {doc_id: sum(counts.values()) for doc_id, counts in self.terms.items()}
        self.average = sum(self.lengths.values()) / len(docs)
        self.frequencies = Counter(term for counts in self.terms.values() for term in counts)

    def saturated(self, doc_id: str, term: str, *, k1: float, b: float) -> float:
        tf = self.terms[doc_id][term]
        return tf and tf / (tf + k1 * (1 - b + b * self.lengths[doc_id] / self.average))


def lucene(docs: Sequence[Doc], text: str, *, k1: float, b: float) -> dict[str, float]:
    """log(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)), positive scores only."""
    counts = Counts(docs)
    scores = dict.fromkeys(counts.terms, 0.0)
    for term in words(text):
        df = counts.frequencies[term]
        for doc_id in scores:
            idf = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
            scores[doc_id] += idf * counts.saturated(doc_id, term, k1=k1, b=b)
    return {doc_id: score for doc_id, score in scores.items() if score > 0}


def okapi(docs: Sequence[Doc], text: str, *, k1: float, b: float, epsilon: float) -> dict[str, float]:
    """Robertson's idf, negative ones replaced by epsilon times the average; k1 + 1 above; positive scores only."""
    counts = Counts(docs)
    idfs = {term: math.log((len(docs) - df + 0.5) / (df + 0.5)) for term, df in counts.frequencies.items()}
    floor = epsilon * sum(idfs.values()) / len(idfs)
    scores = dict.fromkeys(counts.terms, 0.0)
    for term in words(text):
        idf = idfs.get(term, 0.0)
        for doc_id in scores:
            scores[doc_id] += (floor if idf < 0 else idf) * (k1 + 1) * counts.saturated(doc_id, term, k1=k1, b=b)
    return {doc_id: score for doc_id, score in scores.items() if score > 0}


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (2.0, 0.0), (1.2, 1.0)])
def test_bm25s_gives_lucenes_formula(text: str, k1: float, b: float) -> None:
    expected = lucene(SAMPLE, text, k1=k1, b=b)
    assert found(Bm25sStore(k1=k1, b=b), SAMPLE, text) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize(("k1", "b", "epsilon"), [(1.5, 0.75, 0.25), (0.9, 0.4, 0.5), (2.0, 0.0, 0.0)])
def test_rank_bm25_gives_robertsons_formula_with_its_floor(text: str, k1: float, b: float, epsilon: float) -> None:
    expected = okapi(SAMPLE, text, k1=k1, b=b, epsilon=epsilon)
    assert found(RankBm25Store(k1=k1, b=b, epsilon=epsilon), SAMPLE, text) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(collections, vocabulary.filter(bool))
def test_bm25s_gives_the_formula_on_any_collection(texts: list[str], text: str) -> None:
    docs = [Doc(f"d{place:02}", "", content, "") for place, content in enumerate(texts)]
    assert found(Bm25sStore(), docs, text) == pytest.approx(lucene(docs, text, k1=1.5, b=0.75), rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(collections, vocabulary.filter(bool))
def test_rank_bm25_gives_the_formula_on_any_collection(texts: list[str], text: str) -> None:
    docs = [Doc(f"d{place:02}", "", content, "") for place, content in enumerate(texts)]
    expected = okapi(docs, text, k1=1.5, b=0.75, epsilon=0.25)
    given_scores = found(RankBm25Store(), docs, text)
    rounding = 1e-12  # a sum that is 0 on paper may be a hair above it
    assert {name: score for name, score in given_scores.items() if score > rounding} == pytest.approx(
        {name: score for name, score in expected.items() if score > rounding}
    )


def test_one_score_worked_on_paper() -> None:
    docs = [Doc("a", "", "red red blue", "a"), Doc("b", "", "blue", "b"), Doc("c", "", "green green", "c")]
    # N = 3, df = 1, |d| = 3, avgdl = 2: log(1 + 2.5 / 1.5) * 2 / (2 + 1.5 * (0.25 + 0.75 * 1.5)) = 0.980829 * 0.492308
    assert found(Bm25sStore(), docs, "red") == pytest.approx({"a": 0.4828697}, rel=1e-6)
    # log(2.5 / 1.5) * 2.5 * 0.492308
    assert found(RankBm25Store(), docs, "red") == pytest.approx({"a": 0.6287084}, rel=1e-6)


@pytest.mark.parametrize("store", [Bm25sStore(), RankBm25Store()])
def test_a_query_term_counts_as_often_as_it_is_asked(store: Bm25sStore | RankBm25Store) -> None:
    once, thrice = found(store, SAMPLE, "coffee"), found(store, SAMPLE, "coffee coffee coffee")
    assert thrice["b"] == pytest.approx(3 * once["b"], rel=1e-6)


@pytest.mark.parametrize("store", [Bm25sStore(), RankBm25Store()])
def test_documents_without_any_of_the_terms_are_not_returned(store: Bm25sStore | RankBm25Store) -> None:
    assert set(found(store, SAMPLE, "coffee water")) == {"b", "c"}
    assert found(store, SAMPLE, "unknownword") == {}


def test_the_idfs_differ_for_a_term_that_most_documents_have() -> None:
    docs = [Doc(name, "", "common " + name, name) for name in ("alpha", "beta", "gamma", "delta")]
    assert len(found(Bm25sStore(), docs, "common")) == 4
    assert found(RankBm25Store(epsilon=0.0), docs, "common") == {}


def test_ties_at_the_cut_go_by_doc_id() -> None:
    docs = [Doc(doc_id, "", "same words", doc_id) for doc_id in "badc"] + list(DOCS)
    for store in (Bm25sStore(), RankBm25Store()):
        store.add(docs, None)
        assert [item.doc.doc_id for item in store.search(embedded("same words"), 2).ranking] == ["d", "c"]
