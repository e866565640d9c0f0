"""The judge pass over a recording of rerankers: reranker/{judged,others,moves,cuts}.parquet and judgement.json.

Every ranking that the candidates' scores make, against the judgements, a row a query. Knows no clock and no price.

Where rerankers moved relevant documents, and which of the passages that they cut were relevant. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import Doc, Query, files
from ragprof.core.errors import BadInput
from ragprof.corpus import EvaluationSet
from ragprof.corpus.collection import Qrels
from ragprof.judge.arrays import Places, by_document, labels
from ragprof.judge.scores import ranking_stages, rankings
from ragprof.studies.reranker.judge_curve import Candidates, Curve, Passages, Yardstick, first_of, rescored

MOVE_COLUMNS = ("arm", "query_id", "query_text", "doc_id", "doc_text", "from_rank", "to_rank")
SHOWN = 200


@dataclass(frozen=True)
class Texts:
    """The words of questions and passages; `keep` False writes none of them down."""

    queries: Mapping[str, Query]
    contents: Mapping[str, Doc]
    keep: bool

    def of_query(self, query_id: str) -> str | None:
        return self.queries[query_id].text if self.keep else None

    def of_doc(self, doc_id: str) -> str | None:
        """Title and the first 200 characters; None for a document that the corpus lacks."""
        doc = self.contents.get(doc_id)
        return f"{doc.title} {doc.text[:SHOWN]}".strip() if doc and self.keep else None

    def passage(self, document_id: str) -> str:
        """The first passage of a document; its own id where the corpus has none."""
        return document_id if document_id in self.contents else self._firsts.get(document_id, document_id)

    @cached_property
    def _firsts(self) -> dict[str, str]:
        firsts: dict[str, str] = {}
        for doc in self.contents.values():
            firsts.setdefault(doc.document_id, doc.doc_id)
        return firsts


def moves(arm: str, curve: Curve, query_ids: list[str], *, qrels: Qrels, texts: Texts) -> pd.DataFrame:
    """Of each query that has one, the relevant document that the reranker moved most, by the change of 1 / rank.

    Ranks are those of documents at the own depth, from 1; a document stands where its best passage does. Of equal
    changes the first in the search's order. Where no relevant document was found both ranks are null, and the document
    is the most relevant. `doc_id` is the document's passage that stands best after the reranker.
    """
    passages = curve.yardstick.passages
    searched, reranked = by_document(passages.documents[curve.searched]), curve.reranked_at_own
    after = by_document(passages.documents[reranked])
    rows: list[tuple[Any, ...]] = []
    for number, query_id in enumerate(query_ids):
        relevant = {document: grade for document, grade in qrels[query_id].items() if grade > 0}
        if not relevant:
            continue
        codes = {passages.numbers[document] for document in relevant if document in passages.numbers}
        moved = _most(_ranks(searched[number], codes), _ranks(after[number], codes))
        code, *ranks = moved or (None, None, None)
        doc_id = texts.passage(_best(relevant)) if code is None else _best_passage(reranked[number], code, passages)
        rows.append((arm, query_id, texts.of_query(query_id), doc_id, texts.of_doc(doc_id), *ranks))
    return pd.DataFrame(rows, columns=list(MOVE_COLUMNS)).astype({"from_rank": "Int64", "to_rank": "Int64"})


def cuts(lengths: pd.DataFrame, passages: Passages, *, qrels: Qrels) -> pd.DataFrame:
    """Lengths of pairs with whether their document is relevant; null where nobody judged it."""
    documents = list(passages.numbers)
    document_of = {
        doc_id: documents[code] for doc_id, code in zip(passages.doc_ids, passages.documents[:-1].tolist(), strict=True)
    }
    unknown = lengths["doc_id"][~lengths["doc_id"].isin(list(document_of))]
    if len(unknown):
        raise BadInput(f"lengths.parquet has '{unknown.iloc[0]}', which no ranking holds; run 'ragprof reranker' again")
    grades = [
        qrels.get(query_id, {}).get(document_of[doc_id])
        for query_id, doc_id in zip(lengths["query_id"], lengths["doc_id"], strict=True)
    ]
    relevant = pd.array([None if grade is None else grade > 0 for grade in grades], dtype="boolean")
    return lengths.assign(relevant=relevant)[["arm", "query_id", "doc_id", "relevant", "tokens", "kept_tokens"]]


def _ranks(row: Places, codes: set[int]) -> dict[int, int]:
    """Document number -> rank of those wanted, best first."""
    return {code: rank for rank, code in enumerate(row.tolist(), start=1) if code in codes}


def _best(relevant: Mapping[str, int]) -> str:
    return max(relevant, key=lambda document: relevant[document])


def _most(before: Mapping[int, int], after: Mapping[int, int]) -> tuple[int, int, int] | None:
    """Number, rank before and rank after of the document that moved most; None where there is none."""
    if not before:
        return None
    most = max(before, key=lambda code: abs(1 / after[code] - 1 / before[code]))
    return most, before[most], after[most]


def _best_passage(row: Places, code: int, passages: Passages) -> str:
    best = int(row[passages.documents[row] == code][0])
    return passages.doc_ids[best]


CUTOFFS = (5, 10, 20)
AGAIN = "run 'ragprof reranker' again"


@dataclass(frozen=True)
class Bench:
    """A recording of rerankers, read as far as all of its arms share it. `candidates` and `windows` are numbered."""

    place: Path
    manifest: Mapping[str, Any]
    yardstick: Yardstick
    candidates: pd.DataFrame
    windows: pd.DataFrame

    @property
    def query_ids(self) -> list[str]:
        return list(self.manifest["query_ids"])

    def curve(self, name: str) -> Curve:
        """Raises BadInput where a depth has no candidates of its own or one of them has no score."""
        arm, rows = self.manifest["arms"][name], self.candidates[self.candidates["arm"] == name]
        recorded = sorted(rows["depth"].unique().tolist())
        shared = arm["prefix"] and not arm["pointwise"]["listwise"]
        sets = {depth: self._set(name, depth, recorded, shared=shared) for depth in sorted(arm["depths"])}
        found = {each: self._candidates(rows[rows["depth"] == each]) for each in set(sets.values())}
        candidates = {depth: first_of(found[each], depth) for depth, each in sets.items()}
        return Curve(self.yardstick, candidates, arm["own_depth"])

    def windowed(self, name: str, curve: Curve) -> Candidates | None:
        """The own depth's candidates with the best window's score; None where no pair was read in windows."""
        rows = self.windows[self.windows["arm"] == name]
        return rescored(curve.candidates[curve.own], rows[["query", "place", "score"]]) if len(rows) else None

    def _set(self, name: str, depth: int, recorded: Sequence[int], *, shared: bool) -> int:
        """The set that a depth is judged by: its own, or a deeper one that begins with the same candidates."""
        fitting = [each for each in recorded if each == depth or (shared and each > depth)]
        if recorded and not fitting:
            raise BadInput(f"it lacks the candidates of '{name}' at depth {depth}; {AGAIN}", file=self._file)
        return fitting[0] if fitting else depth

    def _candidates(self, rows: pd.DataFrame) -> Candidates:
        unscored = rows[~np.isfinite(rows["rerank_score"].to_numpy(float, na_value=np.nan))]
        if len(unscored):
            arm, query_id, doc_id = unscored[["arm", "query_id", "doc_id"]].iloc[0]
            raise BadInput(
                f"'{doc_id}' has no finite rerank_score for '{query_id}' in '{arm}', so no order is known; {AGAIN}",
                file=self._file,
            )
        return Candidates.of(rows, queries=len(self.query_ids))

    @property
    def _file(self) -> Path:
        return self.place / "candidates.parquet"


def judge_reranking(folder: Path, evaluation: EvaluationSet, contents: Mapping[str, Doc], *, keep_text: bool) -> None:
    """Judge `folder`/reranker; without `keep_text` no word of questions or documents is written.

    A query without candidates scores 0 and is counted. `contents` are the corpus' passages by doc_id. Raises BadInput
    where it is not a finished recording of rerankers, or one of other questions than the evaluation's.
    """
    bench, finals = _read(folder, evaluation)
    texts = Texts({query.query_id: query for query in evaluation.queries}, contents, keep_text)
    query_ids, judged, moved = bench.query_ids, [], []
    for arm in bench.manifest["arms"]:
        curve = bench.curve(arm)
        table = curve.tables(query_ids, bench.windowed(arm, curve))
        table.insert(0, "arm", arm)
        judged.append(table)
        moved.append(moves(arm, curve, query_ids, qrels=evaluation.qrels, texts=texts))
    lengths = files.read_table(bench.place / "lengths.parquet")
    tables = {
        "judged": pd.concat(judged, ignore_index=True),
        "others": _others(finals, bench.yardstick, query_ids),
        "moves": pd.concat(moved, ignore_index=True),
        "cuts": cuts(lengths, bench.yardstick.passages, qrels=evaluation.qrels),
    }
    for name, table in tables.items():
        files.write_table(bench.place / f"{name}.parquet", table)
    facts = {"recording": bench.manifest["recording"], "qrels_sha256": evaluation.qrels_sha256}
    files.write_json(bench.place / "judgement.json", {**facts, "queries": len(query_ids)})


@dataclass(frozen=True)
class Final:
    """The last ranking of one pipeline of the eval, recorded to `depth`."""

    pipeline: str
    rows: pd.DataFrame
    depth: int


def _read(folder: Path, evaluation: EvaluationSet) -> tuple[Bench, list[Final]]:
    place = folder / "reranker"
    manifest, file = files.read_json(place / "manifest.json"), place / "candidates.parquet"
    query_ids, candidates, finals = manifest["query_ids"], files.read_table(file), _finals(folder)
    passages = Passages.of([candidates, *(final.rows for final in finals)])
    _check_queries(query_ids, evaluation, candidates, file)
    yardstick = Yardstick(
        passages, labels(evaluation.qrels, query_ids, passages.numbers), cutoffs(manifest), manifest["max_k"]
    )
    windows = files.read_table(place / "windows.parquet")
    bench = Bench(
        place, manifest, yardstick, passages.numbered(candidates, query_ids), passages.numbered(windows, query_ids)
    )
    return bench, finals


def cutoffs(manifest: Mapping[str, Any]) -> list[int]:
    """Of every metric that is judged: the usual ones, the study's ks and its metric's, and each arm's own k."""
    study = manifest["config"]["reranker"]
    own = [arm["own_k"] for arm in manifest["arms"].values()]
    return sorted({*CUTOFFS, *study["ks"], *own, int(study["metric"].rpartition("@")[2])})


def _check_queries(query_ids: Sequence[str], evaluation: EvaluationSet, candidates: pd.DataFrame, file: Path) -> None:
    unjudged = [query_id for query_id in query_ids if query_id not in evaluation.qrels]
    if unjudged:
        raise BadInput(
            f"it asked '{unjudged[0]}', which the judgements do not know; judge it by those of its own eval",
            file=file.with_name("manifest.json"),
        )
    unasked = set(candidates["query_id"]) - set(query_ids)
    if unasked:
        raise BadInput(f"it has '{min(unasked)}', which manifest.json does not ask; {AGAIN}", file=file)


def _finals(folder: Path) -> list[Final]:
    pipelines = files.read_manifest(folder)["config"]["pipelines"]
    last = {each["name"]: "rerank" if "rerank" in ranking_stages(each) else "search" for each in pipelines}
    depths = {each["name"]: each["depth"] for each in pipelines}
    return [Final(name, table[table["stage"] == last[name]], depths[name]) for name, table in rankings(folder).items()]


def _others(finals: Sequence[Final], yardstick: Yardstick, query_ids: Sequence[str]) -> pd.DataFrame:
    """A row a pipeline and query. evidence@k is NaN for a k beyond the depth that the ranking was recorded to."""
    tables = []
    for final in finals:
        rows = yardstick.passages.numbered(final.rows, query_ids).assign(rerank_score=np.nan)
        values = yardstick.values(Candidates.of(rows[rows["query"] >= 0], queries=len(query_ids)).places)
        beyond = [f"evidence@{k}" for k in range(final.depth + 1, yardstick.max_k + 1)]
        keys = {"pipeline": final.pipeline, "query_id": query_ids}
        tables.append(pd.DataFrame({**keys, **values, **dict.fromkeys(beyond, np.nan)}))
    return pd.concat(tables, ignore_index=True)
