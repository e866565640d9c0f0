"""BEIR's rule on a query's own document, end to end: what is judged relevant is never taken out of the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ragprof
from ragprof.evals import Timing

TOPICS = ("ducks swim in ponds", "trains run on rails", "bread bakes in ovens", "stars shine at night")


@pytest.fixture
def numbered(tmp_path: Path, cache: Path) -> Path:
    """A BEIR folder whose queries and documents are both numbered from 1: each document answers its number."""
    folder = tmp_path / "numbered"
    (folder / "qrels").mkdir(parents=True)
    rows = list(enumerate(TOPICS, start=1))
    documents = [{"_id": str(number), "title": "", "text": text} for number, text in rows]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": str(n), "text": text}) + "\n" for n, text in rows))
    judged = "".join(f"{number}\t{number}\t1\n" for number, _ in rows)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder


def profiled(folder: Path, **options: object) -> ragprof.Result:
    return ragprof.profile(
        [ragprof.Pipeline("bm25", store="bm25s", depth=3, injector={"name": "top_k", "k": 1})],
        corpus=folder,
        queries=folder / "queries.jsonl",
        qrels=folder / "qrels" / "test.tsv",
        out=folder.parent / "recording",
        timing=Timing(seconds=0.2, rounds=2, min_queries=1, warmup=1),
        **options,
    )


def leading(result: ragprof.Result) -> float:
    return float(result.summary["pipelines"]["bm25"]["scores"]["search"]["nDCG@10"]["mean"])


def test_queries_and_documents_that_are_numbered_alike_keep_what_is_judged_relevant(numbered: Path) -> None:
    result = profiled(numbered)
    assert leading(result) == 1.0
    assert not [line for line in result.summary["warnings"] if "BEIR's rule" in line]


def test_what_is_left_out_is_counted_in_the_report(numbered: Path) -> None:
    (numbered / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n2\t3\t1\n3\t2\t1\n")
    result = profiled(numbered)
    said = (
        "the document with the query's own id is left out of the results of 2 queries (BEIR's rule; 1 kept, being "
        'judged relevant); where ids are only numbered alike, set own_documents = "keep" in [evaluation]'
    )
    assert said in result.summary["warnings"]
    kept = profiled(numbered, own_documents="keep")
    assert not [line for line in kept.summary["warnings"] if "BEIR's rule" in line]
