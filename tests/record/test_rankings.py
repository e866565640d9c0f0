"""Rankings with as little scoring as possible, equal to scoring everything, to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from clockwork import DOCS, QUESTIONS
from counting import CountingReranker, NanReranker, ShortReranker

from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.core.clock import Silent
from ragprof.core.errors import NonFiniteScore
from ragprof.corpus import read_corpus, read_queries
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.record.pipeline import Given, Parts, Pipeline
from ragprof.record.query import ask, bare
from ragprof.record.rankings import Ranked, rank_queries

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
CORPUS = read_corpus(HANDBOOK).docs
QUERIES = tuple(read_queries(HANDBOOK / "queries.jsonl"))
VECTORS = HashingEmbedder().embed_queries([query.text for query in QUERIES]).vectors


def pipeline(reranker: Given | None = None, *, depth: int = 10, docs: Sequence[Doc] = CORPUS) -> Parts:
    """Hashed words, exact vector search, the reranker: an index over the documents."""
    parts = Pipeline("p", embedder="hashing", store="faiss_flat", depth=depth, reranker=reranker).parts()
    parts.store.add(docs, HashingEmbedder().embed_documents([doc.content for doc in docs]).vectors)
    return parts


def ranked(parts: Parts, cache: Path, queries: Sequence[Query] = QUERIES) -> Ranked:
    """Every query through the pipeline, tokens counted as characters."""
    vectors = HashingEmbedder().embed_queries([query.text for query in queries]).vectors
    embedded = [EmbeddedQuery(query, vectors[place]) for place, query in enumerate(queries)]
    return rank_queries(parts, embedded, cache=cache, count=len, progress=Silent())


def brute_force(parts: Parts) -> list[tuple[str, str, int, str, float]]:
    """The rows of the ranking table by asking the live pipeline, which knows no cache."""
    return [
        (query.query_id, stage, rank, item.doc.doc_id, item.score)
        for query in QUERIES
        for stage, ranking in ask(parts, query, bare).rankings.items()
        for rank, item in enumerate(ranking, start=1)
    ]


def rows(table: pd.DataFrame) -> list[tuple[str, str, int, str, float]]:
    return list(table[["query_id", "stage", "rank", "doc_id", "score"]].itertuples(index=False, name=None))


def order(result: Ranked, query_id: str, stage: str) -> list[str]:
    table = result.rankings
    return list(table[(table["query_id"] == query_id) & (table["stage"] == stage)]["doc_id"])


def test_scores_from_the_cache_equal_brute_force_to_the_last_digit(tmp_path: Path) -> None:
    parts = pipeline("overlap")
    expected = brute_force(parts)
    assert rows(ranked(parts, tmp_path).rankings) == expected
    assert rows(ranked(parts, tmp_path).rankings) == expected


@pytest.mark.parametrize("depth", [5, 9])
def test_every_depth_below_is_a_new_sort_of_the_same_scores(tmp_path: Path, depth: int) -> None:
    ranked(pipeline("overlap", depth=10), tmp_path)
    shallow = pipeline("overlap", depth=depth)
    result = ranked(shallow, tmp_path)
    assert result.pairs_scored == 0
    assert rows(result.rankings) == brute_force(shallow)


def test_a_smaller_corpus_needs_no_new_scores(tmp_path: Path) -> None:
    ranked(pipeline("overlap", depth=24), tmp_path)
    half = pipeline("overlap", docs=CORPUS[:12])
    result = ranked(half, tmp_path)
    assert result.pairs_scored == 0
    assert rows(result.rankings) == brute_force(half)


def test_each_distinct_pair_is_scored_once(tmp_path: Path) -> None:
    reranker = CountingReranker()
    result = ranked(pipeline(reranker), tmp_path)
    assert result.pairs_scored == len(reranker.pairs) == len(set(reranker.pairs)) == 12 * 10


def test_the_same_question_under_two_ids_is_scored_once(tmp_path: Path) -> None:
    twins = (QUERIES[0], Query("again", QUERIES[0].text))
    result = ranked(pipeline("overlap"), tmp_path, twins)
    assert result.pairs_scored == 10
    assert order(result, "again", "rerank") == order(result, "q01", "rerank")


def test_a_second_run_scores_nothing(tmp_path: Path) -> None:
    first = ranked(pipeline("overlap"), tmp_path)
    second = ranked(pipeline("overlap"), tmp_path)
    assert (first.pairs_scored, second.pairs_scored) == (120, 0)
    assert second.rankings.equals(first.rankings)
    assert second.tokens.equals(first.tokens)


def test_a_deeper_run_scores_what_is_new(tmp_path: Path) -> None:
    ranked(pipeline("overlap", depth=10), tmp_path)
    assert ranked(pipeline("overlap", depth=13), tmp_path).pairs_scored == 12 * 3


def test_a_listwise_reranker_is_asked_every_time(tmp_path: Path) -> None:
    asked: list[int] = []

    def by_length(question: str, texts: Sequence[str]) -> list[float]:
        asked.append(len(texts))
        return [float(len(text)) for text in texts]

    parts = pipeline(by_length)
    assert [ranked(parts, tmp_path).pairs_scored for _ in range(2)] == [120, 120]
    assert asked == [10] * 24


def test_without_a_reranker_there_is_no_rerank_stage(tmp_path: Path) -> None:
    result = ranked(pipeline(), tmp_path)
    assert list(result.rankings["stage"].unique()) == ["search", "inject"]
    assert result.pairs_scored == 0


def test_a_document_that_is_the_query_is_no_result(tmp_path: Path) -> None:
    asked = Query("q", "How many days of annual leave do I have?", own_document="leave-annual")
    parts = pipeline("overlap")
    result = ranked(parts, tmp_path, [asked])
    for stage, count in (("search", 9), ("rerank", 9), ("inject", 5)):
        assert len(order(result, "q", stage)) == count
        assert "leave-annual" not in order(result, "q", stage)
    assert [item.doc.doc_id for item in ask(parts, asked, bare).rankings["rerank"]] == order(result, "q", "rerank")


def test_passages_carry_the_document_that_they_were_cut_from(tmp_path: Path) -> None:
    passages = [Doc(f"{doc.doc_id}#0001", doc.title, doc.text, doc.doc_id) for doc in CORPUS]
    table = ranked(pipeline(docs=passages), tmp_path).rankings
    assert (table["doc_id"] == table["document_id"] + "#0001").all()


def test_tokens_of_a_prompt_add_up(tmp_path: Path) -> None:
    tokens = ranked(pipeline(), tmp_path).tokens.set_index(["query_id", "unit"])["count"]
    one = tokens["q01"]
    assert one["prompt_tokens"] == one["query_tokens"] + one["context_tokens"] + one["template_tokens"]
    assert one["query_tokens"] == len("How many days of annual leave do I have?")
    assert one["docs_injected"] == 5


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_reranking_function_without_a_finite_score_is_refused(tmp_path: Path, score: float) -> None:
    def broken(question: str, texts: Sequence[str]) -> list[float]:
        return [0.5] * (len(texts) - 1) + [score]

    with pytest.raises(NonFiniteScore, match=f"got the score {score}; scores must be finite"):
        ranked(pipeline(broken), tmp_path)


def test_a_pointwise_reranker_without_finite_scores_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteScore, match="the reranker gave NaN or infinity; no ranking could be trusted"):
        ranked(pipeline(NanReranker()), tmp_path)
    assert not list(tmp_path.rglob("rows.bin"))


def test_a_retriever_without_a_finite_score_is_refused(tmp_path: Path) -> None:
    parts = Pipeline("p", store=lambda question, depth: [("d1", float("nan"))], depth=5).parts()
    parts.store.add(DOCS, None)
    with pytest.raises(NonFiniteScore, match="document 'd1' got the score nan"):
        rank_queries(parts, [EmbeddedQuery(QUESTIONS[0], None)], cache=tmp_path, count=len, progress=Silent())


def test_a_live_reranker_that_forgets_a_document_is_refused() -> None:
    with pytest.raises(NonFiniteScore, match="the reranker gave 9 scores for 10 documents"):
        ask(pipeline(ShortReranker()), QUERIES[0], bare)


def test_a_pointwise_reranker_that_forgets_a_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteScore, match=r"the reranker gave \d+ scores for \d+ documents"):
        ranked(pipeline(ShortReranker()), tmp_path)
