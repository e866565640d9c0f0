"""Judging: ir_measures on documents, in the order that the pipeline had, every judged query counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

from ragprof.core.errors import BadInput, NonFiniteScore, UnknownName
from ragprof.corpus import EvaluationSet, read_evaluation_set
from ragprof.corpus.formats import read_corpus
from ragprof.evals.recorded import final_stage, ranking_stages
from ragprof.judge.scores import canonical, falling, judge, measure, scores_of, trec_run

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
RANKING = [("d1", 3.0), ("d2", 2.0), ("d3", 1.0)]


def table(ranking: Sequence[tuple[str, float]], *, query_id: str = "q1", stage: str = "search") -> pd.DataFrame:
    """A ranking table of (doc_id, score), best first; what is before `#` in a doc_id is its document."""
    rows = [(query_id, stage, rank, doc, doc.split("#")[0], score) for rank, (doc, score) in enumerate(ranking, 1)]
    return pd.DataFrame(rows, columns=["query_id", "stage", "rank", "doc_id", "document_id", "score"])


def judged(
    ranking: pd.DataFrame, grades: Mapping[str, Mapping[str, int]], *metrics: str
) -> dict[tuple[str, str], float]:
    """(metric, query_id) -> value at the search stage."""
    scores = scores_of(ranking, grades, [measure(metric) for metric in metrics], stages=["search"])
    return {(row.metric, row.query_id): row.value for row in scores.itertuples()}


@pytest.fixture(scope="module")
def evaluation() -> EvaluationSet:
    corpus = read_corpus(HANDBOOK)
    return read_evaluation_set(HANDBOOK / "queries.jsonl", HANDBOOK / "qrels" / "test.tsv", corpus=corpus)


def test_one_relevant_document_in_second_place() -> None:
    found = judged(table(RANKING), {"q1": {"d2": 1}}, "nDCG@10", "RR@10", "P@5", "AP", "Success@1", "Judged@3")
    assert {name: round(value, 6) for (name, _), value in found.items()} == {
        "nDCG@10": 0.63093,
        "RR@10": 0.5,
        "P@5": 0.2,
        "AP": 0.5,
        "Success@1": 0.0,
        "Judged@3": round(1 / 3, 6),
    }


def test_grades_count_and_not_only_relevance() -> None:
    better = judged(table([("d1", 2.0), ("d2", 1.0)]), {"q1": {"d1": 2, "d2": 1}}, "nDCG@10")
    worse = judged(table([("d2", 2.0), ("d1", 1.0)]), {"q1": {"d1": 2, "d2": 1}}, "nDCG@10")
    assert better["nDCG@10", "q1"] == 1.0
    assert worse["nDCG@10", "q1"] == pytest.approx(0.859719, abs=1e-6)


def test_chunks_are_judged_where_the_best_chunk_of_their_document_stands() -> None:
    ranking = [("d1#1", 5.0), ("d2#3", 4.0), ("d1#2", 3.0), ("d2#1", 2.0), ("d3#1", 1.0)]
    assert trec_run(table(ranking)) == {"q1": {"d1": 5.0, "d2": 4.0, "d3": 1.0}}
    found = judged(table(ranking), {"q1": {"d3": 1}}, "RR@10", "P@5")
    assert found == {("RR@10", "q1"): 1 / 3, ("P@5", "q1"): 0.2}


def test_a_judged_query_that_the_run_misses_scores_zero_and_is_counted() -> None:
    found = judged(table(RANKING), {"q1": {"d1": 1}, "q2": {"d1": 1}}, "nDCG@10", "Judged@10")
    assert found["nDCG@10", "q1"] == 1.0
    assert (found["nDCG@10", "q2"], found["Judged@10", "q2"]) == (0.0, 0.0)


def test_a_query_that_nobody_judged_is_not_counted() -> None:
    both = pd.concat([table(RANKING), table(RANKING, query_id="q9")])
    assert set(judged(both, {"q1": {"d1": 1}}, "nDCG@10")) == {("nDCG@10", "q1")}


def test_a_stage_that_found_nothing_for_any_query_is_judged_too() -> None:
    scores = scores_of(table(RANKING), {"q1": {"d1": 1}}, [measure("AP")], stages=["search", "inject"])
    assert list(scores.itertuples(index=False, name=None)) == [("search", "AP", "q1", 1.0), ("inject", "AP", "q1", 0.0)]


def test_only_pipelines_with_a_reranker_rank_at_that_stage() -> None:
    nothing = pd.DataFrame({"stage": []})
    assert ranking_stages({"reranker": {"name": "none"}}, nothing) == ("search", "inject")
    assert ranking_stages({"reranker": {"name": "overlap"}}, nothing) == ("search", "rerank", "inject")


def test_an_app_ranks_where_it_gave_rankings() -> None:
    app = {"app": "rag.py:answer", "reranker": {"name": "none"}}
    assert final_stage(app, pd.DataFrame({"stage": ["search", "inject"]})) == "search"
    assert final_stage(app, pd.DataFrame({"stage": ["search", "rerank", "inject"]})) == "rerank"


@pytest.mark.parametrize("metric", ["nDCG@10", "RR@10", "RR", "AP", "P@1", "Success@1"])
def test_ties_are_judged_in_the_pipelines_order(metric: str) -> None:
    """ir_measures asks several libraries, which break ties differently; the ranking has one order."""
    for order in (["d1", "d2"], ["d2", "d1"]):
        ranking = table([(doc, 0.5) for doc in order])
        assert judged(ranking, {"q1": {order[0]: 1}}, metric)[metric, "q1"] == 1.0
        assert judged(ranking, {"q1": {order[1]: 1}}, metric)[metric, "q1"] < 1.0


@pytest.mark.parametrize("metric", ["nDCG@10", "RR@10", "AP"])
def test_scores_that_single_precision_cannot_tell_apart_keep_their_order(metric: str) -> None:
    ranking = table([("d1", 0.1 + 1e-12), ("d2", 0.1)])
    assert judged(ranking, {"q1": {"d1": 1}}, metric)[metric, "q1"] == 1.0


def test_scores_stay_as_they_are_where_nothing_ties() -> None:
    assert falling([3.0, 0.1 + 0.2, 0.1, -7.5]) == [3.0, 0.30000000000000004, 0.1, -7.5]


def test_tied_scores_fall_by_the_smallest_step() -> None:
    assert falling([1.0, 1.0, 1.0, 0.5]) == [1.0, 1 - 2**-24, 1 - 2**-23, 0.5]
    assert falling([]) == []


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_refused(score: float) -> None:
    with pytest.raises(NonFiniteScore, match="a ranking holds a score that is NaN or infinite; record it again"):
        judged(table([("d1", 1.0), ("d2", score)]), {"q1": {"d1": 1}}, "nDCG@10")


def test_a_nan_in_a_ranking_file_is_refused(handbook_recording: Path, evaluation: EvaluationSet) -> None:
    path = handbook_recording / "rankings" / "dense.parquet"
    ranking = pd.read_parquet(path)
    ranking.loc[7, "score"] = float("nan")
    ranking.to_parquet(path, index=False)
    with pytest.raises(NonFiniteScore):
        judge(handbook_recording, evaluation, metrics=["nDCG@10"])


def test_a_truncated_ranking_file_is_named(handbook_recording: Path, evaluation: EvaluationSet) -> None:
    path = handbook_recording / "rankings" / "dense.parquet"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match=r"dense\.parquet: not a readable Parquet file .*; record it again"):
        judge(handbook_recording, evaluation, metrics=["nDCG@10"])


def test_a_recording_is_judged_again_by_other_labels(handbook_recording: Path, evaluation: EvaluationSet) -> None:
    before = {path.name: path.read_bytes() for path in (handbook_recording / "rankings").iterdir()}
    only = EvaluationSet(evaluation.queries[:1], {"q01": {"leave-annual": 1}}, ("a notice",), "abc", 0)
    scores = judge(handbook_recording, only, metrics=["RR@10"])
    assert set(scores["query_id"]) == {"q01"}
    assert set(scores["value"]) == {1.0}
    assert {path.name: path.read_bytes() for path in (handbook_recording / "rankings").iterdir()} == before
    assert (handbook_recording / "judgement.json").read_text().count("a notice") == 1


@pytest.mark.parametrize("name", ["nDCG@0", "P@0", "P", "R@1.5", "RBP(p=0.8)", "alpha_nDCG@10", "1+1", "", "P@5+P@10"])
def test_a_metric_that_cannot_be_computed_is_refused_beforehand(name: str) -> None:
    with pytest.raises(UnknownName, match="no metric named"):
        measure(name)


def test_an_unknown_metric_is_refused_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="no metric named 'nDGC@10'; did you mean 'nDCG@10'"):
        measure("nDGC@10")


def test_other_names_of_a_metric_are_its_own() -> None:
    assert canonical(["MAP", "MRR@10", "NDCG@10", "AP"]) == ("AP", "RR@10", "nDCG@10")


def test_a_query_that_is_judged_only_below_zero_scores_zero_and_ends_nothing() -> None:
    """trec_eval alone would end the process."""
    metrics = ("nDCG@10", "AP", "RR", "R@20", "Bpref", "Success@5", "Judged@3")
    found = judged(table(RANKING), {"q1": {"d1": -2}}, *metrics)
    assert {name: round(value, 6) for (name, _), value in found.items()} == {
        **dict.fromkeys(metrics, 0.0),
        "Judged@3": round(1 / 3, 6),
    }


def test_grades_below_zero_beside_others_are_judged_as_before() -> None:
    found = judged(table(RANKING), {"q1": {"d1": -2, "d2": 1}}, "nDCG@10", "Bpref")
    assert {name: round(value, 6) for (name, _), value in found.items()} == {"nDCG@10": 0.63093, "Bpref": 1.0}


def test_a_metric_outside_its_range_is_refused_before_it_is_printed() -> None:
    doubled = ir_measures.define_byquery(lambda _judged, _run: 2.0, name="Doubled")
    with pytest.raises(BadInput, match=r"Doubled of query 'q1' came out as 2, and it cannot lie outside 0 to 1; check"):
        scores_of(table(RANKING), {"q1": {"d1": 1}}, [doubled], stages=["search"])


def test_counts_have_no_upper_bound() -> None:
    assert judged(table(RANKING), {"q1": {"d1": 1}}, "NumRet") == {("NumRet", "q1"): 3.0}
