"""Where cells have gaps, scores may not be reused, documents have several passages, or nothing is found at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grown import Grown

from ragprof.core import Doc, Injected, Query, Ranking, Scored
from ragprof.core.errors import NonFiniteScore
from ragprof.parts.injectors.top_k import TopKInjector
from ragprof.parts.rerankers.overlap import OverlapReranker
from ragprof.record.rankings import CountedReranker
from ragprof.session.run import grow
from ragprof.studies.growth.analysis import analyse
from ragprof.studies.growth.data import read_growth
from ragprof.studies.growth.extrapolation import LINEAR
from ragprof.studies.growth.forecasts import COST, cost_series
from ragprof.studies.growth.judge import Collection, judge_tails
from ragprof.studies.growth.record_cells import Cells, scored_cell_by_cell, union
from ragprof.studies.growth.record_live import InjectedPrompts

DOCS = tuple(Doc(f"d{number}", "", text, f"d{number}") for number, text in enumerate(["red", "green", "blue red"]))
QUERY = Query("q", "blue red")


class Listwise(OverlapReranker):
    pointwise = False


class Broken(Listwise):
    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored((float("nan"),) * len(docs), {})


class Picky(TopKInjector):
    """Injects what scores above 1."""

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        return super().inject(query, tuple(item for item in ranking if item.score > 1))


def cells(*places: int) -> Cells:
    row = np.array([[[places]]])
    return Cells((3,), row, np.zeros(row.shape))


def test_a_listwise_score_stands_with_its_passage_where_the_query_s_own_is_left_out() -> None:
    reranker = CountedReranker(Listwise())
    alone = reranker.score(QUERY, [DOCS[0], DOCS[2]]).scores
    found = scored_cell_by_cell(reranker, cells(0, -1, 2, 1), [QUERY], DOCS, 3)[0, 0, 0]
    assert found[[0, 2]].tolist() == list(alone)
    assert np.isnan(found[[1, 3]]).all()


def test_a_listwise_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(NonFiniteScore):
        scored_cell_by_cell(CountedReranker(Broken()), cells(0, 1), [QUERY], DOCS, 2)


def test_no_candidate_anywhere_has_no_score() -> None:
    nothing = cells(-1, -1)
    spread = union([nothing], passages=3).spread(np.empty(0), nothing.places)
    assert np.isnan(spread).all()
    assert spread.shape == (1, 1, 1, 2)


def test_the_same_ranking_with_other_scores_is_injected_anew() -> None:
    prompts, places = InjectedPrompts(Picky(k=2), DOCS, lambda text: len(text.split()), {}), np.array([0, 2])
    assert prompts.of(0, QUERY, places, np.array([3.0, 2.0]))[0] == [0, 2]
    assert prompts.of(0, QUERY, places, np.array([3.0, 0.5]))[0] == [0]


def test_a_document_counts_once_among_those_above_a_relevant_one(tmp_path: Path) -> None:
    collection = Collection(
        codes=np.array([0, 0, 1, 2, 2, -1]), numbers={"a": 0, "b": 1, "c": 2}, kinds=np.array([""] * 6, object),
        contents=np.arange(6), tokens=np.zeros(6), ranks=np.arange(6), query_ids=["q", "r"],
    )  # fmt: skip
    (tmp_path / "tails").mkdir()
    rows = [(0, 0, 0, 2, 0.7), (0, 0, 1, 2, 0.1)]
    rows += [(0, 9, 0, 3, 0.9), (0, 9, 0, 4, 0.8), (0, 9, 0, 2, 0.7), (0, 9, 0, 1, 0.6), (0, 9, 0, 0, 0.5)]
    tails = pd.DataFrame(rows, columns=["order", "size", "query", "place", "score"])
    tails.to_parquet(tmp_path / "tails" / "dense.parquet")
    judge_tails(tmp_path, "dense", collection, {"q": {"b": 1}, "r": {"b": 0, "c": 2}})
    found = pd.read_parquet(tmp_path / "distributions" / "dense.parquet")
    assert found.loc[found["grade"] == 0, "score"].tolist() == [0.9, 0.6]
    assert found[found["grade"] > 0]["score"].fillna(-1).tolist() == [0.7, -1]


def test_scores_of_what_is_kept_are_known_whoever_asks_for_it(grown: Grown) -> None:
    tails = pd.read_parquet(grown.folder / "growth" / "tails" / "dense.parquet")
    kept = tails[tails["size"] == 0]
    assert len(kept) == 24 * 12
    assert kept.groupby("query")["place"].nunique().tolist() == [24] * 12


@pytest.mark.slow
def test_no_score_distribution_for_a_metric_that_looks_deeper_than_the_pipeline(grown: Grown, copy: Path) -> None:
    lines = grow(grown.eval_file, out=copy, changes={"metric": "nDCG@12", "cutoffs": (12,)}).summary["growth"][
        "forecast"
    ]
    assert {line["model"] for line in lines if line["quantity"] == "nDCG@12"} == {"log-linear"}


def test_a_replicate_without_a_timed_query_has_no_cost(copy: Path) -> None:
    bills = {path: pd.read_parquet(path) for path in (copy / "growth" / "sizes").glob("*/costs.parquet")}
    # How many queries of a pipeline are timed at a size depends on the machine; two of them are at every size.
    of_dense = [costs[(costs["item"] == "machine time") & (costs["pipeline"] == "dense")] for costs in bills.values()]
    two = sorted(set.intersection(*(set(costs["query_id"]) for costs in of_dense)))[:2]
    for path, costs in bills.items():
        costs[(costs["item"] != "machine time") | costs["query_id"].isin(two)].to_parquet(path)
    series = cost_series(read_growth(copy).read("dense"), LINEAR)
    assert series is not None
    (machine,) = [part for part in series.parts if part.model == LINEAR]
    missing = np.isnan(machine.replicates).all(axis=1)
    assert 0.05 < missing.mean() < 0.2
    assert np.isfinite(machine.replicates[~missing]).all()


def small(eval_file: Path, pipeline: str) -> None:
    """One pipeline, one order, curves of the corpus alone."""
    text = eval_file.read_text()
    curves = next(line for line in text.splitlines() if line.startswith("curves"))
    text = text.replace(curves, 'curves = ["all_judged", "proportional"]').replace("orders = 3", "orders = 1")
    eval_file.write_text(text[: text.index("[[pipelines]]")] + pipeline)


@pytest.mark.slow
def test_a_reranker_whose_scores_are_not_reused_has_the_same_depth_curve(
    eval_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(
        eval_file,
        '[[pipelines]]\nname = "reranked"\nstore = "bm25s"\ndepth = 4\nreranker = "overlap"\n'
        'injector = { name = "top_k", k = 3 }\n',
    )

    def curve(out: str) -> Any:
        points = grow(eval_file, out=tmp_path / out).summary["growth"]["pipelines"]["reranked"]["all_judged"]
        return [point["by_depth"] for point in points]

    reused = curve("reused")
    monkeypatch.setattr(OverlapReranker, "identity", None)
    assert curve("anew") == reused


def test_an_embedder_whose_vectors_are_not_reused_reuses_none(
    eval_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragprof.parts.embedders.hashing import HashingEmbedder

    monkeypatch.setattr(HashingEmbedder, "identity", None)
    small(eval_file, '[[pipelines]]\nname = "dense"\nembedder = "hashing"\nstore = "faiss_flat"\ndepth = 10\n')
    assert grow(eval_file, out=tmp_path / "out").summary["growth"]["work"]["docs_reused"] == 0


def test_questions_that_find_nothing_score_nothing(eval_file: Path, tmp_path: Path) -> None:
    queries = eval_file.parent / "collection" / "queries.jsonl"
    asked = [{**json.loads(line), "text": "zzz"} for line in queries.read_text().splitlines()]
    queries.write_text("".join(json.dumps(query) + "\n" for query in asked))
    small(eval_file, '[[pipelines]]\nname = "lost"\nstore = "bm25s"\ndepth = 10\nreranker = "overlap"\n')
    summary = grow(eval_file, out=tmp_path / "out").summary
    assert summary["pipelines"]["lost"]["scores"]["rerank"]["nDCG@10"]["mean"] == 0
    point = summary["growth"]["pipelines"]["lost"]["all_judged"][0]
    assert point["scores"]["rerank"]["nDCG@10"]["mean"] == 0
    assert point["context_share"]["relevant"] == {"mean": None, "interval": None, "n": 0}


def test_what_is_left_unread_of_the_pool_is_in_the_section_and_among_its_notes(eval_file: Path, tmp_path: Path) -> None:
    """The embedder knows no word of one passage of the corpus."""
    corpus = next(path for path in eval_file.parent.rglob("corpus.jsonl"))
    with corpus.open("a") as stream:
        stream.write('{"_id": "dots", "text": "..."}\n')
    small(
        eval_file,
        '[[pipelines]]\nname = "dense"\nembedder = "hashing"\nstore = "faiss_flat"\ndepth = 10\n'
        'injector = { name = "top_k", k = 3 }\n',
    )
    growth = grow(eval_file, out=tmp_path / "out").summary["growth"]
    assert [(each["what"], each["cut"], each["limit"]) for each in growth["unread"]] == [("passages", 1, None)]
    told = f"hashing (dense) knows no word of 1 of {growth['unread'][0]['of']:,} passages: it is not in its index; "
    assert any(note.startswith(told) for note in growth["notes"])


@pytest.mark.slow
def test_sizes_that_were_timed_on_a_busy_machine_are_flagged_and_forecast_no_time_and_no_machine_money(
    grown: Grown, copy: Path
) -> None:
    path = copy / "growth" / "sizes" / "150" / "spans.parquet"
    spans = pd.read_parquet(path)
    timed = (spans["phase"] == "round") & (spans["pipeline"] == "dense")
    read = {"cpu_ns": spans["duration_ns"] * timed, "waiting_ns": 3 * spans["duration_ns"] * timed}
    spans.assign(**{name: values.astype("Int64") for name, values in read.items()}).to_parquet(path)
    found, quiet = analyse(copy), analyse(grown.folder)
    busy = "the machine was busy (75% of the time waiting for a core)"
    assert {
        (name, curve, point.size): (point.latency_withheld, point.cost_withheld)
        for name, curves in found.pipelines.items()
        for curve, points in curves.items()
        for point in points
        if point.latency_withheld or point.cost_withheld
    } == {("dense", "all_judged", 150): (busy, busy)}
    why = "the machine was busy at 150 passages (up to 75% of the time waiting for a core)"
    assert any(note.startswith(f"dense: {why}. Its live times there") for note in found.notes)
    silent = {line.quantity for line in found.forecast if line.pipeline == "dense" and line.reason == why}
    assert silent == {"embed_p50_ns", "search_p50_ns", "inject_p50_ns", "end_to_end_p50_ns", "end_to_end_p95_ns", COST}
    assert all(line.abstained and not line.at for line in found.forecast if line.reason == why)
    others = [line for line in quiet.forecast if line.pipeline != "dense" or line.quantity not in silent]
    assert [line for line in found.forecast if line.reason != why] == others
