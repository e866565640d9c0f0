"""Rerankers judged: every depth's figures are those of a run at that depth, by ir_measures, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
from complete_tables import complete

from ragprof.core import Doc, Position, Query
from ragprof.core.errors import BadInput
from ragprof.core.ranking import ranked
from ragprof.corpus import EvaluationSet
from ragprof.judge.scores import measure, scores_of
from ragprof.studies.reranker.judge import judge
from ragprof.studies.reranker.recorded import TABLES

Found: TypeAlias = Mapping[str, Sequence[tuple[str, float | None]]]
FAMILIES = ("nDCG", "P", "R", "Judged", "Success")


@dataclass(frozen=True)
class Case:
    """A recording of one reranked pipeline by hand. `found`: query -> (doc_id, rerank score) in the search's order.

    A passage's document is what stands before its '#'. `sets` are further sets by depth, where each depth has its own.
    """

    found: Found
    qrels: Mapping[str, Mapping[str, int]]
    own: int = 3
    own_k: int = 1
    depths: Sequence[int] = (3,)
    ks: Sequence[int] = (1,)
    max_k: int = 3
    sets: Mapping[int, Found] = field(default_factory=dict)
    prefix: bool = True
    listwise: bool = False
    windows: Sequence[tuple[str, str, float]] = ()
    lengths: Sequence[tuple[str, str, int, int]] = ()
    others: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    metric: str = "nDCG@10"

    def write(self, folder: Path) -> Path:
        place = folder / "reranker"
        (folder / "rankings").mkdir(parents=True)
        place.mkdir()
        config = {"pipelines": self.pipelines(), "reranker": {"ks": [*self.ks], "metric": self.metric}}
        arm = {
            "pipeline": "dense+r", "student": None, "own_depth": self.own, "own_k": self.own_k,
            "depths": [*self.depths], "prefix": self.prefix, "pointwise": {"listwise": self.listwise},
        }  # fmt: skip
        manifest = {
            "recording": "abc", "config": config, "query_ids": sorted(self.qrels), "arms": {"dense+r": arm},
            "max_k": self.max_k,
        }  # fmt: skip
        (place / "manifest.json").write_text(json.dumps(manifest))
        (folder / "manifest.json").write_text(json.dumps({"config": config}))
        sets = self.sets or {max(self.depths): self.found}
        rows = [row for depth, found in sets.items() for row in candidate_rows(depth, found)]
        candidates = table(rows, "arm depth query_id rank doc_id document_id rerank_score")
        complete(candidates, TABLES["candidates"]).to_parquet(place / "candidates.parquet")
        windows = [("dense+r", query, doc, 2, score) for query, doc, score in self.windows]
        table(windows, "arm query_id doc_id windows score").to_parquet(place / "windows.parquet")
        lengths = [("dense+r", *row) for row in self.lengths]
        table(lengths, "arm query_id doc_id tokens kept_tokens").to_parquet(place / "lengths.parquet")
        for name, final in {"dense+r": {}, **self.others}.items():
            stage = "rerank" if name == "dense+r" else "search"
            ranking_table(final, stage).to_parquet(folder / "rankings" / f"{name}.parquet")
        return folder

    def pipelines(self) -> list[dict[str, Any]]:
        plain = [{"name": name, "reranker": {"name": "none"}, "depth": self.own} for name in self.others]
        return [{"name": "dense+r", "reranker": {"name": "overlap"}, "depth": self.own}, *plain]

    def evaluation(self) -> EvaluationSet:
        queries = tuple(Query(query_id, f"What is {query_id}?") for query_id in self.qrels)
        return EvaluationSet(queries, self.qrels, (), "sha", 0)

    def contents(self) -> dict[str, Doc]:
        found = [*self.sets.values(), self.found]
        ids = dict.fromkeys(doc_id for each in found for docs in each.values() for doc_id, _ in docs)
        page = Position(0, 300, 12, 13, "Leave")
        return {doc_id: Doc(doc_id, f"Title of {doc_id}", "x" * 300, document_of(doc_id), page) for doc_id in ids}

    def judge(self, folder: Path, *, keep_text: bool = True) -> Path:
        judge(self.write(folder), self.evaluation(), self.contents(), keep_text=keep_text)
        return folder / "reranker"


def document_of(doc_id: str) -> str:
    return doc_id.partition("#")[0]


def candidate_rows(depth: int, found: Found) -> Iterable[tuple[Any, ...]]:
    for query_id, docs in found.items():
        for rank, (doc_id, score) in enumerate(docs[:depth], start=1):
            yield ("dense+r", depth, query_id, rank, doc_id, document_of(doc_id), score)


def table(rows: Iterable[tuple[Any, ...]], columns: str) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def ranking_table(final: Mapping[str, Sequence[str]], stage: str) -> pd.DataFrame:
    rows = [
        (query_id, stage, rank, doc_id, document_of(doc_id), 1 / rank)
        for query_id, docs in final.items()
        for rank, doc_id in enumerate(docs, start=1)
    ]
    return table(rows, "query_id stage rank doc_id document_id score")


def pipeline_run(found: Found, depth: int) -> dict[str, list[str]]:
    """What a pipeline of this depth hands on, in its order."""
    orders = {}
    for query_id, docs in found.items():
        pairs = [(Doc(doc_id, "", "", document_of(doc_id)), float(score or 0)) for doc_id, score in docs[:depth]]
        orders[query_id] = [item.doc.doc_id for item in ranked(pairs)]
    return orders


def read(place: Path, name: str, **chosen: Any) -> pd.DataFrame:
    rows = pd.read_parquet(place / f"{name}.parquet")
    for column, value in chosen.items():
        rows = rows[rows[column] == value]
    return rows


def one(place: Path, ranking: str, query_id: str, **chosen: Any) -> Mapping[str, Any]:
    rows = read(place, "judged", ranking=ranking, query_id=query_id, **chosen)
    assert len(rows) == 1
    return dict(rows.iloc[0])


def drawn(seed: int, *, passages: int, depth: int = 20) -> Case:
    """30 queries with ties, unjudged and negative documents, too few candidates, or none at all."""
    rng = np.random.default_rng(seed)
    pool = [f"d{number:02}" if passages == 1 else f"d{number // passages:02}#{number}" for number in range(60)]
    documents = sorted({document_of(doc_id) for doc_id in pool})
    found, qrels = {}, {}
    for number in range(30):
        query_id = f"q{number:02}"
        judged = rng.choice(documents, rng.integers(1, 12), replace=False).tolist()
        qrels[query_id] = {document: int(rng.integers(-1, 4)) for document in judged}
        docs = rng.permutation(pool)[: int(rng.integers(0, depth + 10))].tolist()
        if docs:
            found[query_id] = [(doc_id, float(rng.integers(0, 6)) / 5) for doc_id in docs]
    qrels["q00"] = {"nowhere": 2, "d01": 1}
    qrels["q01"] = {"d01": 0}
    found["q02"] = []
    return Case(found, qrels, own=8, own_k=4, depths=(1, 3, 8, 13, depth), ks=(1, 3, 5, 12), max_k=12, metric="nDCG@7")


def expected(case: Case, final: Mapping[str, Sequence[str]], columns: Sequence[str]) -> pd.DataFrame:
    """query_id x metric, by ir_measures on the run of a pipeline."""
    measures = [measure(column) for column in columns]
    scores = scores_of(ranking_table(final, "rerank"), case.qrels, measures, stages=["rerank"])
    return scores.pivot(index="query_id", columns="metric", values="value").loc[sorted(case.qrels), list(columns)]


def metrics_of(rows: pd.DataFrame) -> list[str]:
    return [column for column in rows.columns if column.partition("@")[0] in (*FAMILIES, "RR")]


@pytest.mark.parametrize("passages", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_figure_at_every_depth_is_that_of_a_run_at_that_depth(tmp_path: Path, seed: int, passages: int) -> None:
    case = drawn(seed, passages=passages)
    place = case.judge(tmp_path)
    for depth in case.depths:
        rows = read(place, "judged", ranking="rerank", depth=depth).set_index("query_id")
        wanted = expected(case, pipeline_run(case.found, depth), metrics_of(rows))
        assert rows.index.tolist() == wanted.index.tolist()
        for column in metrics_of(rows):
            assert rows[column].tolist() == wanted[column].tolist(), (depth, column)


@pytest.mark.parametrize("separate", [{"prefix": False}, {"listwise": True}])
def test_where_depths_have_sets_of_their_own_each_is_judged_by_its_own(
    tmp_path: Path, separate: dict[str, Any]
) -> None:
    sets = {depth: drawn(depth, passages=2).found for depth in (1, 3, 8, 13, 20)}
    case = replace(drawn(20, passages=2), sets=sets, **separate)
    place = case.judge(tmp_path)
    for depth in case.depths:
        rows = read(place, "judged", ranking="rerank", depth=depth).set_index("query_id")
        wanted = expected(case, pipeline_run(sets[depth], depth), metrics_of(rows))
        assert rows[metrics_of(rows)].to_numpy().tolist() == wanted.to_numpy().tolist()
    searched = read(place, "judged", ranking="search").set_index("query_id")
    order = {query_id: [doc_id for doc_id, _ in docs[:8]] for query_id, docs in sets[8].items()}
    assert (
        searched[metrics_of(searched)].to_numpy().tolist()
        == expected(case, order, metrics_of(searched)).to_numpy().tolist()
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_search_and_the_windows_are_judged_at_the_own_depth(tmp_path: Path, seed: int) -> None:
    case = drawn(seed, passages=3)
    rng = np.random.default_rng(seed)
    cut = [(query, doc, float(rng.integers(0, 6)) / 5) for query, docs in case.found.items() for doc, _ in docs[1:8:2]]
    case = replace(case, windows=cut)
    again = {(query, doc): score for query, doc, score in cut}
    rescored = {q: [(doc, again.get((q, doc), score)) for doc, score in docs] for q, docs in case.found.items()}
    wanted = {
        "search": {query: [doc for doc, _ in docs[: case.own]] for query, docs in case.found.items()},
        "windowed": pipeline_run(rescored, case.own),
    }
    place = case.judge(tmp_path)
    for ranking, final in wanted.items():
        rows = read(place, "judged", ranking=ranking).set_index("query_id")
        assert set(rows["depth"]) == {8}
        figures = expected(case, final, metrics_of(rows))
        assert rows[metrics_of(rows)].to_numpy().tolist() == figures.to_numpy().tolist()


@pytest.mark.parametrize("passages", [1, 3])
def test_no_order_of_the_same_candidates_beats_the_oracle(tmp_path: Path, passages: int) -> None:
    place = drawn(9, passages=passages).judge(tmp_path)
    judged = pd.read_parquet(place / "judged.parquet")
    best, after = (judged[judged["ranking"] == ranking].reset_index() for ranking in ("oracle", "rerank"))
    assert best[["depth", "query_id"]].equals(after[["depth", "query_id"]])
    columns = [column for column in metrics_of(judged) if not column.startswith("Judged")]
    columns += [f"evidence@{k}" for k in range(1, 13)]
    assert (best[columns].to_numpy() >= after[columns].to_numpy()).all()
    assert best["nDCG@10"].mean() > after["nDCG@10"].mean()


SMALL = Case(
    found={
        "q1": [("a#1", 0.1), ("b#1", 0.9), ("a#2", 0.8), ("c#1", 0.8)],
        "q2": [("c#1", 0.5)],
    },
    qrels={"q1": {"a": 1, "c": 2, "nowhere": 1}, "q2": {"b": 1}, "q3": {"a": 1}, "q4": {"a": 0}},
    own=4,
    own_k=2,
    depths=(2, 4),
    max_k=5,
)


def test_evidence_counts_documents_that_have_a_passage_among_the_first_k(tmp_path: Path) -> None:
    place = SMALL.judge(tmp_path)
    reranked = one(place, "rerank", "q1", depth=4)  # b#1, c#1 (ties with a#2: the later id), a#2, a#1
    assert [reranked[f"evidence@{k}"] for k in range(1, 6)] == [0.0, 1 / 3, 2 / 3, 2 / 3, 2 / 3]
    shallow = one(place, "rerank", "q1", depth=2)  # b#1, a#1 and no more
    assert [shallow[f"evidence@{k}"] for k in range(1, 6)] == [0.0, 1 / 3, 1 / 3, 1 / 3, 1 / 3]
    searched = one(place, "search", "q1")
    assert [searched[f"evidence@{k}"] for k in range(1, 6)] == [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert "evidence@6" not in reranked


def test_the_oracle_puts_each_relevant_document_first_once(tmp_path: Path) -> None:
    place = SMALL.judge(tmp_path)
    best = one(place, "oracle", "q1", depth=4)  # c#1, a#1, b#1, a#2
    assert [best[f"evidence@{k}"] for k in range(1, 6)] == [1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3]
    assert best["nDCG@5"] == pytest.approx((2 + 1 / np.log2(3)) / (2 + 1 / np.log2(3) + 1 / 2))
    assert one(place, "oracle", "q1", depth=2)["RR@10"] == 1.0


def test_a_query_without_candidates_scores_0_and_is_counted(tmp_path: Path) -> None:
    place = SMALL.judge(tmp_path)
    judged = pd.read_parquet(place / "judged.parquet")
    assert judged.groupby(["ranking", "depth"])["query_id"].apply(list).tolist() == [["q1", "q2", "q3", "q4"]] * 5
    for query_id in ("q2", "q3", "q4"):
        row = one(place, "rerank", query_id, depth=4)
        assert [row["nDCG@10"], row["R@5"], row["RR@10"], row["Success@5"], row["evidence@5"]] == [0.0] * 5


def test_a_best_window_replaces_the_score_of_a_pair_that_was_cut(tmp_path: Path) -> None:
    place = replace(SMALL, windows=[("q1", "c#1", 0.95)]).judge(tmp_path)
    assert one(place, "windowed", "q1")["RR@10"] == 1.0
    assert one(place, "rerank", "q1", depth=4)["RR@10"] == 0.5


def test_without_cut_pairs_there_is_no_ranking_by_windows(tmp_path: Path) -> None:
    assert set(read(SMALL.judge(tmp_path), "judged")["ranking"]) == {"search", "rerank", "oracle"}


def test_nothing_was_found_at_all(tmp_path: Path) -> None:
    place = Case(found={}, qrels={"q1": {"a": 1}}).judge(tmp_path)
    judged = pd.read_parquet(place / "judged.parquet")
    assert judged["ranking"].tolist() == ["search", "rerank", "oracle"]
    assert (judged[[*metrics_of(judged), "evidence@1", "evidence@3"]] == 0).to_numpy().all()


def test_the_cutoffs_are_the_usual_ones_the_ks_and_those_of_the_arms_and_the_metric(tmp_path: Path) -> None:
    place = replace(SMALL, ks=(1, 3), metric="P@7").judge(tmp_path)
    columns = read(place, "judged").columns.tolist()
    assert [column for column in columns if column.startswith("P@")] == [f"P@{c}" for c in (1, 2, 3, 5, 7, 10, 20)]
    assert columns[:4] == ["arm", "ranking", "depth", "query_id"]
    assert [column for column in columns if column.startswith("RR")] == ["RR@10"]


def test_other_pipelines_hold_evidence_as_far_as_they_were_recorded(tmp_path: Path) -> None:
    others = {"bm25": {"q1": ["b#1", "c#1", "a#1", "a#2"], "q2": ["b#1"]}}
    place = replace(SMALL, others=others).judge(tmp_path)
    rows = read(place, "others", pipeline="bm25").set_index("query_id")
    held = rows[[f"evidence@{k}" for k in range(1, 5)]].to_numpy().tolist()
    assert held[:2] == [[0.0, 1 / 3, 2 / 3, 2 / 3], [1.0] * 4]
    assert rows["evidence@5"].isna().all()
    assert rows["RR@10"].tolist() == [0.5, 1.0, 0.0, 0.0]
    assert set(read(place, "others")["pipeline"]) == {"dense+r", "bm25"}
    assert read(place, "others").columns.tolist()[2:] == read(place, "judged").columns.tolist()[4:]


def test_a_move_is_that_of_the_relevant_document_whose_rank_changed_most(tmp_path: Path) -> None:
    moves = read(SMALL.judge(tmp_path), "moves").set_index("query_id")
    first = moves.loc["q1"]  # documents: a, b, c -> b, c, a: a by 2/3, c by 1/6
    assert (first["doc_id"], first["from_rank"], first["to_rank"]) == ("a#2", 1, 3)
    assert first["query_text"] == "What is q1?"
    assert first["doc_text"] == "Title of a#2 " + "x" * 200
    assert first["doc_where"] == "a p. 12-13, § Leave"


def test_a_relevant_document_that_the_search_missed_has_no_ranks(tmp_path: Path) -> None:
    moves = read(SMALL.judge(tmp_path), "moves").set_index("query_id")
    assert moves.index.tolist() == ["q1", "q2", "q3"]
    assert moves.loc["q2", "doc_id"] == "b#1"
    assert moves.loc["q3", "doc_id"] == "a#1"
    assert moves.loc[["q2", "q3"], ["from_rank", "to_rank"]].isna().to_numpy().all()


def test_without_texts_no_word_is_written(tmp_path: Path) -> None:
    moves = read(SMALL.judge(tmp_path, keep_text=False), "moves")
    assert moves[["query_text", "doc_text", "doc_where"]].isna().to_numpy().all()
    assert moves["doc_id"].tolist() == ["a#2", "b#1", "a#1"]


def test_cuts_say_whether_the_document_is_relevant_or_unjudged(tmp_path: Path) -> None:
    lengths = [("q1", "c#1", 700, 512), ("q1", "b#1", 600, 512), ("q2", "c#1", 80, 80), ("q4", "a#1", 90, 90)]
    found = {**SMALL.found, "q4": [("a#1", 0.1)]}
    cuts = read(replace(SMALL, lengths=lengths, found=found).judge(tmp_path), "cuts")
    assert [None if pd.isna(each) else bool(each) for each in cuts["relevant"]] == [True, None, None, False]
    assert cuts["kept_tokens"].tolist() == [512, 512, 80, 90]


def test_the_judgement_names_recording_and_labels(tmp_path: Path) -> None:
    written = json.loads((SMALL.judge(tmp_path) / "judgement.json").read_text())
    assert {key: written[key] for key in ("recording", "qrels_sha256", "queries")} == {
        "recording": "abc", "qrels_sha256": "sha", "queries": 4,
    }  # fmt: skip
    assert {*written["tables"]} >= {"cuts.parquet", "judged.parquet", "moves.parquet"}


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_a_candidate_without_a_score_is_refused(tmp_path: Path, score: float | None) -> None:
    broken = replace(SMALL, found={"q1": [("a#1", 0.5), ("b#1", score)]})
    with pytest.raises(BadInput, match=r"candidates.parquet: 'b#1' has no finite rerank_score for 'q1' in 'dense\+r'"):
        broken.judge(tmp_path)


def test_a_depth_without_candidates_of_its_own_is_refused(tmp_path: Path) -> None:
    listwise = replace(SMALL, listwise=True)
    with pytest.raises(BadInput, match=r"candidates.parquet lacks the candidates of 'dense\+r' at depth 2"):
        listwise.judge(tmp_path)


def test_other_questions_than_the_evaluations_are_refused(tmp_path: Path) -> None:
    folder = SMALL.write(tmp_path)
    other = Case(found={}, qrels={"q9": {"a": 1}}).evaluation()
    with pytest.raises(BadInput, match=r"manifest.json: it asked 'q1', which the judgements do not know"):
        judge(folder, other, {}, keep_text=True)
    asked = json.loads((folder / "reranker" / "manifest.json").read_text())
    (folder / "reranker" / "manifest.json").write_text(json.dumps({**asked, "query_ids": ["q1"]}))
    with pytest.raises(BadInput, match=r"candidates.parquet: it has 'q2', which manifest.json does not ask"):
        judge(folder, SMALL.evaluation(), SMALL.contents(), keep_text=True)
