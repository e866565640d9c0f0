"""Every cell of the grid equals brute force: the pipeline itself on that sub-corpus alone, judged by ir_measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from grown import Grown

from ragprof.core import Layout
from ragprof.core.clock import Silent
from ragprof.core.tokens import counter
from ragprof.judge.scores import measure, scores_of
from ragprof.record.pipeline import Parts, Workshop
from ragprof.record.rankings import rank_queries
from ragprof.record.recording import Bench, Embedding, embed, embedded_queries
from ragprof.studies.growth.record import layouts_of

CURVES = ("all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign")
PIPELINES = ("bm25", "dense", "dense+overlap", "hybrid+overlap")
ORDERS = [
    pytest.param(slice(0, 1), id="the first order"),
    pytest.param(slice(1, None), id="the others", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def embedding(grown: Grown) -> Embedding:
    return embed(grown.growing.subject, grown.growing.pool.docs, Bench(grown.folder, grown.cache, Silent()))


@pytest.fixture(scope="module")
def layouts(grown: Grown, embedding: Embedding) -> dict[str, list[Layout]]:
    return layouts_of(grown.growing, embedding.documents)


FOUND: dict[tuple[str, bytes], tuple[pd.DataFrame, pd.DataFrame]] = {}


def brute_force(
    grown: Grown, embedding: Embedding, name: str, members: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rankings and prompt tokens of a pipeline that is built anew and knows nothing but this sub-corpus."""
    if (name, members.tobytes()) not in FOUND:
        FOUND[name, members.tobytes()] = _brute_force(grown, embedding, name, members)
    return FOUND[name, members.tobytes()]


def _brute_force(
    grown: Grown, embedding: Embedding, name: str, members: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    config = next(each for each in grown.prepared.subject.config.pipelines if each.name == name)
    known = next(parts for parts in grown.growing.subject.pipelines if parts.name == name)
    parts: Parts = Workshop().parts(config)
    vectors = embedding.documents.get(id(known.embedder))
    parts.store.add(
        [grown.growing.pool.docs[place] for place in members], None if vectors is None else vectors[members]
    )
    queries = embedded_queries(grown.growing.subject.queries, embedding.queries.get(id(known.embedder)))
    count = counter("o200k_base")
    found = rank_queries(parts, queries, cache=grown.folder / "brute", count=count, progress=Silent())
    return found.rankings, found.tokens


def cells_of(grown: Grown, name: str, curve: str, order: int, size: int) -> pd.DataFrame:
    cells = pd.read_parquet(grown.folder / "growth" / "cells" / name / f"{curve}.parquet")
    cells = cells[(cells["order"] == order) & (cells["size"] == size)]
    docs = pd.read_parquet(grown.folder / "growth" / "docs.parquet")
    queries = pd.read_parquet(grown.folder / "growth" / "queries.parquet")
    return cells.assign(
        doc_id=docs["doc_id"].to_numpy()[cells["place"]], query_id=queries["query_id"].to_numpy()[cells["query"]]
    )


@pytest.mark.parametrize(
    ("curve", "name"),
    [
        pytest.param(curve, name, marks=() if curve == CURVES[0] or name == PIPELINES[-1] else pytest.mark.slow)
        for curve in CURVES
        for name in PIPELINES
    ],
)
@pytest.mark.parametrize("orders", ORDERS)
def test_every_cell_equals_brute_force_on_its_own_sub_corpus(
    grown: Grown, embedding: Embedding, layouts: dict[str, list[Layout]], name: str, curve: str, orders: slice
) -> None:
    depth = next(parts.depth for parts in grown.growing.subject.pipelines if parts.name == name)
    assert len(layouts[curve][orders])
    for order, layout in list(enumerate(layouts[curve]))[orders]:
        for size in layout.sizes:
            cells = cells_of(grown, name, curve, order, size)
            rankings, _ = brute_force(grown, embedding, name, layout.members[:size])
            for query_id, mine in rankings.groupby("query_id"):
                found = cells[cells["query_id"] == query_id]
                searched, injected = mine[mine["stage"] == "search"], mine[mine["stage"] == "inject"]
                top = found[found["rank"] <= depth]
                assert top["doc_id"].tolist() == searched["doc_id"].tolist()
                assert top["score"].tolist() == searched["score"].tolist()
                inside = found[found["injected"] > 0].sort_values("injected")
                assert inside["doc_id"].tolist() == injected["doc_id"].tolist()
                if (reranked := mine[mine["stage"] == "rerank"]).empty:
                    continue
                again = top.sort_values(["rerank_score", "doc_id"], ascending=False)
                assert again["doc_id"].tolist() == reranked["doc_id"].tolist()
                assert again["rerank_score"].tolist() == reranked["score"].tolist()


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("curve", ["all_judged", "proportional", "contradicting"])
@pytest.mark.parametrize("orders", ORDERS)
def test_every_score_is_that_of_ir_measures_on_that_sub_corpus(
    grown: Grown, embedding: Embedding, layouts: dict[str, list[Layout]], name: str, curve: str, orders: slice
) -> None:
    judged = pd.read_parquet(grown.folder / "growth" / "scores" / f"{name}.parquet")
    judged = judged[judged["curve"] == curve]
    names = ["nDCG@3", "nDCG@10", "P@3", "R@10", "Judged@3", "Judged@10"]
    ids = [query.query_id for query in grown.growing.subject.queries]
    for order, layout in list(enumerate(layouts[curve]))[orders]:
        for size in layout.sizes:
            rankings, _ = brute_force(grown, embedding, name, layout.members[:size])
            stages = [stage for stage in ("search", "rerank", "inject") if (rankings["stage"] == stage).any()]
            wanted = scores_of(
                rankings, grown.prepared.evaluation.qrels, [measure(each) for each in names], stages=stages
            )
            for (stage, metric), rows in wanted.groupby(["stage", "metric"]):
                at = (judged["order"] == order) & (judged["size"] == size) & (judged["stage"] == stage)
                mine = judged[at].sort_values("query")[metric].tolist()
                assert mine == pytest.approx(rows.set_index("query_id")["value"].loc[ids].tolist(), abs=1e-12)


def test_a_depth_of_the_depth_curve_equals_a_pipeline_of_that_depth(
    grown: Grown, embedding: Embedding, layouts: dict[str, list[Layout]]
) -> None:
    judged = pd.read_parquet(grown.folder / "growth" / "scores" / "dense+overlap.parquet")
    subject = grown.prepared.subject
    for depth in (3, 6, 12):
        config = next(each for each in subject.config.pipelines if each.name == "dense+overlap")
        parts = Workshop().parts(config.model_copy(update={"depth": depth}))
        known = next(each for each in grown.growing.subject.pipelines if each.name == "dense+overlap")
        members = layouts["all_judged"][1].members[:90]
        parts.store.add(
            [grown.growing.pool.docs[place] for place in members], embedding.documents[id(known.embedder)][members]
        )
        queries = embedded_queries(grown.growing.subject.queries, embedding.queries[id(known.embedder)])
        found = rank_queries(
            parts, queries, cache=grown.folder / "brute", count=counter("o200k_base"), progress=Silent()
        )
        wanted = scores_of(found.rankings, grown.prepared.evaluation.qrels, [measure("nDCG@10")], stages=["rerank"])
        at = (judged["stage"] == "final") & (judged["depth"] == depth) & (judged["order"] == 1) & (judged["size"] == 90)
        ids = [query.query_id for query in grown.growing.subject.queries]
        assert judged[at].sort_values("query")["nDCG@10"].tolist() == pytest.approx(
            wanted.set_index("query_id")["value"].loc[ids].tolist(), abs=1e-12
        )


@pytest.mark.parametrize("name", PIPELINES)
def test_prompt_tokens_are_those_of_the_pipeline_on_that_sub_corpus(
    grown: Grown, embedding: Embedding, layouts: dict[str, list[Layout]], name: str
) -> None:
    prompts = pd.read_parquet(grown.folder / "growth" / "prompts" / name / "similar.parquet")
    ids = [query.query_id for query in grown.growing.subject.queries]
    layout = layouts["similar"][2]
    _, tokens = brute_force(grown, embedding, name, layout.members[:150])
    mine = prompts[(prompts["order"] == 2) & (prompts["size"] == 150)].sort_values("query")
    for unit in ("prompt_tokens", "query_tokens", "context_tokens"):
        wanted = tokens[tokens["unit"] == unit].set_index("query_id")["count"].loc[ids]
        assert mine[unit].tolist() == wanted.tolist()


def test_each_pair_is_scored_once(grown: Grown) -> None:
    cells = [
        pd.read_parquet(path)
        for name in ("dense+overlap", "hybrid+overlap")
        for path in (grown.folder / "growth" / "cells" / name).glob("*.parquet")
    ]
    contents = [doc.content for doc in grown.growing.pool.docs]
    pairs = {
        (query, contents[place]) for table in cells for query, place in zip(table["query"], table["place"], strict=True)
    }
    work = grown.growth["work"]
    assert work["pairs_scored"] + work["pairs_reused"] >= len(pairs)
    assert 0 < work["pairs_scored"] <= len(pairs)
