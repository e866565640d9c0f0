"""A document of more than a megabyte, and the prompt that holds it, are profiled like any other."""

from __future__ import annotations

import json
from pathlib import Path

import ragprof
from ragprof.evals import Timing


def test_a_document_of_a_megabyte_is_profiled_with_the_right_tokens(tmp_path: Path, cache: Path) -> None:
    rows = [{"_id": "long", "text": "word " * 210_000 + "ducks"}, {"_id": "short", "text": "trains run on rails"}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "queries.tsv").write_text("q1\tducks\nq2\ttrains\n")
    (tmp_path / "qrels.txt").write_text("q1 0 long 1\nq2 0 short 1\n")
    result = ragprof.profile(
        [ragprof.Pipeline("bm25", store="bm25s", depth=1, injector={"name": "top_k", "k": 1})],
        corpus=tmp_path / "corpus.jsonl",
        queries=tmp_path / "queries.tsv",
        qrels=tmp_path / "qrels.txt",
        out=tmp_path / "out",
        timing=Timing(seconds=0.2, rounds=2, min_queries=1, warmup=1),
    )
    # 210,000 times "word", two tokens of " ducks", four of the other document
    assert result.summary["corpus"]["tokens"] == 210_002 + 4
    assert result.summary["pipelines"]["bm25"]["usage_per_query"]["inject.context_tokens"] == (210_002 + 4) / 2
