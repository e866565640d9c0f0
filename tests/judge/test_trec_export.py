"""TREC runs: any other tool that reads them finds the scores that ragprof has."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

from ragprof.corpus import read_qrels
from ragprof.exports.trec import export_runs, qrels_text, run_text
from ragprof.judge.scores import measure

QRELS = read_qrels(Path(__file__).parents[1] / "data" / "handbook" / "qrels" / "test.tsv")
STAGES = [
    ("bm25", "search"),
    ("dense", "search"),
    ("dense", "inject"),
    ("hybrid", "search"),
    ("hybrid+overlap", "rerank"),
    ("hybrid+overlap", "inject"),
]


@pytest.fixture(scope="module")
def exported(recorded_handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handbook's runs and its qrels as TREC files."""
    folder = tmp_path_factory.mktemp("trec")
    export_runs(recorded_handbook, into=folder)
    (folder / "qrels.txt").write_text(qrels_text(QRELS))
    return folder


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_every_metric_is_that_of_ir_measures_on_the_files(
    recorded_handbook: Path, exported: Path, pipeline: str, stage: str
) -> None:
    scores = pd.read_parquet(recorded_handbook / "scores.parquet")
    ours = scores[(scores["pipeline"] == pipeline) & (scores["stage"] == stage)]
    names = list(ours["metric"].unique())
    assert len(names) == 8
    run = list(ir_measures.read_trec_run(str(exported / f"{pipeline}.{stage}.run")))
    qrels = list(ir_measures.read_trec_qrels(str(exported / "qrels.txt")))
    theirs = {
        (str(metric.measure), metric.query_id): metric.value
        for metric in ir_measures.iter_calc([measure(name) for name in names], qrels, run)
    }
    for row in ours.itertuples():
        assert row.value == theirs.get((row.metric, row.query_id), 0.0)


def test_qrels_come_back_as_they_were(exported: Path) -> None:
    back = ir_measures.read_trec_qrels(str(exported / "qrels.txt"))
    assert {(row.query_id, row.doc_id, row.relevance) for row in back} == {
        (query_id, doc, grade) for query_id, grades in QRELS.items() for doc, grade in grades.items()
    }


def test_files_sort_by_score_into_the_pipelines_order(recorded_handbook: Path, exported: Path) -> None:
    """The overlap reranker ties often."""
    table = pd.read_parquet(recorded_handbook / "rankings" / "hybrid+overlap.parquet")
    reranked = table[table["stage"] == "rerank"].sort_values(["query_id", "rank"])
    assert reranked.duplicated(["query_id", "score"]).any()
    lines = [line.split() for line in (exported / "hybrid+overlap.rerank.run").read_text().splitlines()]
    assert [(line[0], line[2]) for line in lines] == list(zip(reranked["query_id"], reranked["doc_id"], strict=True))
    for before, after in pairwise(lines):
        assert before[0] != after[0] or float(before[4]) > float(after[4])


def test_scores_are_written_in_full_precision() -> None:
    assert run_text({"q1": {"d1": 1 / 3, "d2": 0.1 + 0.2}}, "dense.search") == (
        "q1 Q0 d1 1 0.3333333333333333 dense.search\nq1 Q0 d2 2 0.30000000000000004 dense.search\n"
    )


def test_equal_scores_stand_by_document_id_descending_as_trec_eval_breaks_them() -> None:
    lines = run_text({"q1": {"a": 1.0, "c": 1.0, "b": 1.0}}, "t").splitlines()
    assert [line.split()[2] for line in lines] == ["c", "b", "a"]
