"""The audit in words."""

from __future__ import annotations

from pathlib import Path

import faiss
import torch
from restless import BatchBoundReranker, TurningReranker, audited

THREADS = max(torch.get_num_threads(), faiss.omp_get_max_threads())
OTHER = 1 if THREADS > 1 else 2


def test_what_never_differs_is_said_in_few_sentences(handbook: Path, cache: Path) -> None:
    assert audited(handbook, cache).statements == [
        "Everything repeats to the last bit: 14 checks over all stages.",
        "Embed gave the same vectors 3 times for 12 of 12 queries in hybrid+overlap.",
        "Search gave the same ranking and scores 3 times for 12 of 12 queries in hybrid+overlap.",
        "Rerank gave the same ranking and scores 3 times for 12 of 12 queries in hybrid+overlap.",
        "Inject gave the same ranking and prompt 3 times for 12 of 12 queries in hybrid+overlap.",
        "Alone or in one call with the others, the same to the last bit: query vectors of hashing and document "
        "vectors of hashing.",
        f"On {THREADS} or {OTHER} threads, the same to the last bit: query vectors of hashing, scores of rrf and "
        "scores of overlap.",
        "One candidate a call or all in one call, the same to the last bit: scores of overlap.",
        "Candidates in their order or in reverse, the same to the last bit: scores of overlap.",
        "Equal scores on both sides of the cut at the depth or at k, so that ids decide: 11 of 12 queries in "
        "hybrid+overlap.",
        "Mean nDCG@10 is the same over 3 repetitions in every pipeline.",
    ]


def test_what_differs_is_said_with_what_it_changed(handbook: Path, cache: Path) -> None:
    said = audited(handbook, cache, reranker=BatchBoundReranker()).statements
    assert (
        "Scores of overlap, one candidate a call or all in one call: up to 2.2 apart for 12 of 12 queries, which "
        "changed no ranking."
    ) in said


def test_how_much_of_the_interval_repetition_explains_is_said(handbook: Path, cache: Path) -> None:
    section = audited(handbook, cache, reranker=TurningReranker(), times=2, queries=3)
    quality = section.pipelines["hybrid+overlap"].quality
    assert (
        f"Mean nDCG@10 moves by up to {quality.spread:.2g} over 2 repetitions, {quality.share:.1%} of its "
        "interval's width (hybrid+overlap)."
    ) in section.statements


def test_one_query_is_said_as_one(handbook: Path, cache: Path) -> None:
    said = audited(handbook, cache, queries=1).statements
    assert said[1] == "Embed gave the same vectors 3 times for 1 of 1 query in hybrid+overlap."
    assert not [sentence for sentence in said if "1 queries" in sentence]
