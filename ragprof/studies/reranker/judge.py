"""The judge pass over a recording of rerankers: reranker/{judged,others,moves,cuts}.parquet and judgement.json.

Every ranking that the candidates' scores make, against the judgements, a row a query; where rerankers moved relevant
documents, and which of the passages that they cut were relevant. Passages are numbers; -1 is where nothing is. Knows no
clock and no price.
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
from ragprof.core.ranking import id_ranks
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.corpus.collection import Qrels
from ragprof.evals.recorded import final_stage, read_manifest
from ragprof.judge.arrays import (
    Labels,
    Places,
    Values,
    by_document,
    evidence,
    labels,
    metrics,
    reciprocal_rank,
    repeated,
    success,
)
from ragprof.judge.scores import rankings
from ragprof.studies.reranker.recorded import (
    AGAIN,
    MANIFEST,
    ORACLE,
    RERANK,
    SEARCH,
    TABLES,
    WINDOWED,
    WINDOWS,
    CandidateTable,
    RecordedArm,
    candidates_at,
    check_candidates,
)

MOVE_COLUMNS = ("arm", "query_id", "query_text", "doc_id", "doc_text", "doc_where", "from_rank", "to_rank")
SHOWN = 200
CUTOFFS = (5, 10, 20)


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

    def where(self, doc_id: str) -> str | None:
        """File, page and heading of a passage that knows more than its id; it is text as well."""
        doc = self.contents.get(doc_id)
        return doc.where if doc and self.keep and doc.where != doc.document_id else None

    def passage(self, document_id: str) -> str:
        """The first passage of a document; its own id where the corpus has none."""
        return document_id if document_id in self.contents else self._firsts.get(document_id, document_id)

    @cached_property
    def _firsts(self) -> dict[str, str]:
        firsts: dict[str, str] = {}
        for doc in self.contents.values():
            firsts.setdefault(doc.document_id, doc.doc_id)
        return firsts


def judge(folder: Path, evaluation: EvaluationSet, contents: Mapping[str, Doc], *, keep_text: bool) -> None:
    """Judge `folder`/reranker; without `keep_text` no word of questions or documents is written.

    A query without candidates scores 0 and is counted. `contents` are the corpus' passages by doc_id. Raises BadInput
    where it is not a finished recording of rerankers, or one of other questions than the evaluation's.
    """
    place = folder / "reranker"
    manifest, file = MANIFEST.read(place / "manifest.json"), place / "candidates.parquet"
    query_ids, candidates = list(manifest["query_ids"]), TABLES["candidates"].read(file)
    unjudged = [query_id for query_id in query_ids if query_id not in evaluation.qrels]
    if unjudged:
        raise BadInput(
            f"it asked '{unjudged[0]}', which the judgements do not know; judge it by those of its own eval",
            file=place / "manifest.json",
        )
    check_candidates(candidates, query_ids, file)
    arms = {name: RecordedArm.model_validate(arm) for name, arm in manifest["arms"].items()}
    finals = rankings(folder)
    passages = Passages.of([candidates, *finals.values()])
    numbers = labels(evaluation.qrels, query_ids, passages.numbers)
    yardstick = Yardstick(passages, numbers, cutoffs(manifest, arms), manifest["max_k"])
    candidates = passages.numbered(candidates, query_ids)
    windows = passages.numbered(WINDOWS.read(place / "windows.parquet"), query_ids)
    texts = Texts({query.query_id: query for query in evaluation.queries}, contents, keep_text)
    judged, moved = [], []
    for name, arm in arms.items():
        at = {depth: candidates_at(candidates, name, arm, depth) for depth in sorted(arm.depths)}
        curve = DepthCurve(
            yardstick,
            {depth: CandidateTable.of(rows, queries=len(query_ids)) for depth, rows in at.items()},
            arm.own_depth,
        )
        mine = windows[windows["arm"] == name]
        table = curve.tables(query_ids, rescored(curve.candidates[curve.own], mine) if len(mine) else None)
        table.insert(0, "arm", name)
        judged.append(table)
        moved.append(moves(name, curve, query_ids, qrels=evaluation.qrels, texts=texts))
    tables = {
        "judged": pd.concat(judged, ignore_index=True),
        "others": _others(folder, finals, yardstick, query_ids),
        "moves": pd.concat(moved, ignore_index=True),
        "cuts": cuts(TABLES["lengths"].read(place / "lengths.parquet"), passages, qrels=evaluation.qrels),
    }
    for name, table in tables.items():
        files.write_table(place / f"{name}.parquet", table)
    facts = {"recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256, "queries": len(query_ids)}
    write_sealed(place / "judgement.json", facts, *(f"{name}.parquet" for name in tables))


def cutoffs(manifest: Mapping[str, Any], arms: Mapping[str, RecordedArm]) -> list[int]:
    """Of every metric that is judged: the usual ones, the study's ks and its metric's, and each arm's own k."""
    settings = manifest["config"]["reranker"]
    own = (arm.own_k for arm in arms.values())
    return sorted({*CUTOFFS, *settings["ks"], *own, int(settings["metric"].rpartition("@")[2])})


def _others(
    folder: Path, finals: Mapping[str, pd.DataFrame], yardstick: Yardstick, query_ids: Sequence[str]
) -> pd.DataFrame:
    """The last ranking of every pipeline of the eval; evidence@k is NaN for a k beyond the depth of the recording."""
    declared = {each["name"]: each for each in read_manifest(folder)["config"]["pipelines"]}
    tables = []
    for name, table in finals.items():
        last = table[table["stage"] == final_stage(declared[name], table)]
        rows = yardstick.passages.numbered(last, query_ids).assign(rerank_score=np.nan)
        values = yardstick.values(CandidateTable.of(rows[rows["query"] >= 0], queries=len(query_ids)).places)
        beyond = [f"evidence@{k}" for k in range(declared[name]["depth"] + 1, yardstick.max_k + 1)]
        keys = {"pipeline": name, "query_id": query_ids}
        tables.append(pd.DataFrame({**keys, **values, **dict.fromkeys(beyond, np.nan)}))
    return pd.concat(tables, ignore_index=True)


def moves(arm: str, curve: DepthCurve, query_ids: list[str], *, qrels: Qrels, texts: Texts) -> pd.DataFrame:
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
        before, then = _ranks(searched[number], codes), _ranks(after[number], codes)
        if before:
            most = max(before, key=lambda code: abs(1 / then[code] - 1 / before[code]))
            ranks: tuple[int | None, int | None] = (before[most], then[most])
            places = reranked[number]
            doc_id = passages.doc_ids[int(places[passages.documents[places] == most][0])]
        else:
            ranks, doc_id = (None, None), texts.passage(max(relevant, key=lambda document: relevant[document]))
        rows.append(
            (arm, query_id, texts.of_query(query_id), doc_id, texts.of_doc(doc_id), texts.where(doc_id), *ranks)
        )
    return pd.DataFrame(rows, columns=list(MOVE_COLUMNS)).astype({"from_rank": "Int64", "to_rank": "Int64"})


def _ranks(row: Places, codes: set[int]) -> dict[int, int]:
    """Document number -> rank of those wanted, best first."""
    return {code: rank for rank, code in enumerate(row.tolist(), start=1) if code in codes}


def cuts(lengths: pd.DataFrame, passages: Passages, *, qrels: Qrels) -> pd.DataFrame:
    """Lengths of pairs with whether their document is relevant; null where nobody judged it."""
    documents = list(passages.numbers)
    document_of = {
        doc_id: documents[code] for doc_id, code in zip(passages.doc_ids, passages.documents[:-1].tolist(), strict=True)
    }
    unknown = lengths["doc_id"][~lengths["doc_id"].isin(list(document_of))]
    if len(unknown):
        raise BadInput(f"lengths.parquet has '{unknown.iloc[0]}', which no ranking holds; {AGAIN}")
    grades = [
        qrels.get(query_id, {}).get(document_of[doc_id])
        for query_id, doc_id in zip(lengths["query_id"], lengths["doc_id"], strict=True)
    ]
    relevant = pd.array([None if grade is None else grade > 0 for grade in grades], dtype="boolean")
    return lengths.assign(relevant=relevant)[["arm", "query_id", "doc_id", "relevant", "tokens", "kept_tokens"]]


RECIPROCAL = 10


@dataclass(frozen=True)
class Passages:
    """Every passage that stands in some ranking, numbered; `documents` are the numbers of what they were cut from.

    The arrays have one entry more than there are passages: what -1 points at, which is nothing.
    """

    doc_ids: tuple[str, ...]
    documents: Places
    numbers: Mapping[str, int]
    ranks: Places

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame]) -> Passages:
        """From the `doc_id` and `document_id` of tables."""
        known = pd.concat([table[["doc_id", "document_id"]] for table in tables]).drop_duplicates("doc_id")
        codes, documents = pd.factorize(known["document_id"])
        doc_ids = known["doc_id"].tolist()
        return cls(
            tuple(doc_ids),
            np.append(codes, -1).astype(np.int64),
            {str(document): number for number, document in enumerate(documents)},
            np.append(id_ranks(doc_ids), -1),
        )

    def numbered(self, table: pd.DataFrame, query_ids: Sequence[str]) -> pd.DataFrame:
        """The table with the numbers `query` and `place` of its `query_id` and `doc_id`; -1 for one unknown."""
        query = pd.Index(query_ids).get_indexer(pd.Index(table["query_id"]))
        return table.assign(query=query, place=self._places.get_indexer(pd.Index(table["doc_id"])))

    @cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self.doc_ids)


@dataclass(frozen=True)
class Yardstick:
    """What rankings of passages are judged by: all metrics of the documents, and evidence@1 to evidence@max_k."""

    passages: Passages
    labels: Labels
    cutoffs: Sequence[int]
    max_k: int

    def values(self, places: Places) -> dict[str, Values]:
        """column -> (..., queries) of rankings of shape (..., queries, depth)."""
        codes, ideal = self.passages.documents[places], self.labels.ideal
        grades = self.labels.of(by_document(codes))
        return {
            **metrics(grades, ideal, self.cutoffs),
            f"RR@{RECIPROCAL}": reciprocal_rank(grades, RECIPROCAL),
            **{f"Success@{cutoff}": success(grades, cutoff) for cutoff in self.cutoffs},
            **evidence(codes, self.labels.of(codes), ideal, range(1, self.max_k + 1)),
        }


@dataclass(frozen=True)
class DepthCurve:
    """One arm: its candidates at each of its depths. `own` is the depth that its pipeline declares."""

    yardstick: Yardstick
    candidates: Mapping[int, CandidateTable]
    own: int

    def tables(self, query_ids: Sequence[str], windowed: CandidateTable | None) -> pd.DataFrame:
        """A row a ranking, depth and query; `windowed` are the own depth's candidates with the windows' scores."""
        own, depths = (self.own,), tuple(self.candidates)
        rankings = [(SEARCH, own, self.searched), (RERANK, depths, self.reranked), (ORACLE, depths, self._oracle())]
        if windowed is not None:
            rankings.append((WINDOWED, own, windowed.reranked(self.yardstick.passages.ranks)))
        tables = []
        for ranking, at, places in rankings:
            columns = {name: values.ravel() for name, values in self.yardstick.values(places).items()}
            keys = {"ranking": ranking, "depth": np.repeat(at, len(query_ids)), "query_id": [*query_ids] * len(at)}
            tables.append(pd.DataFrame({**keys, **columns}))
        return pd.concat(tables, ignore_index=True)

    @property
    def searched(self) -> Places:
        """The search's order at the own depth, (queries, own depth)."""
        return self.candidates[self.own].searched

    @cached_property
    def reranked(self) -> Places:
        """(depths, queries, deepest)."""
        return self._stacked.reranked(self.yardstick.passages.ranks)

    @property
    def reranked_at_own(self) -> Places:
        return np.asarray(self.reranked[list(self.candidates).index(self.own)])

    def _oracle(self) -> Places:
        """The best order of the same candidates: relevance falling, otherwise as the search had them.

        A document counts once: its further passages stand behind, so that the first k passages hold all they can.
        """
        places = self._stacked.places
        documents = self.yardstick.passages.documents[places]
        grades = self.yardstick.labels.of(documents)
        relevance = np.where((grades > 0) & ~repeated(documents), grades, 0.0)
        order = np.argsort(np.where(places < 0, np.inf, -relevance), axis=-1, kind="stable")
        return np.take_along_axis(places, order, axis=-1)

    @cached_property
    def _stacked(self) -> CandidateTable:
        """The candidates of all depths in one shape, (depths, queries, deepest)."""
        queries = len(self.yardstick.labels.ideal)
        width = max(each.places.shape[-1] for each in self.candidates.values())
        shape = (len(self.candidates), queries, width)
        stacked = CandidateTable(np.full(shape, -1, np.int64), np.full(shape, np.nan))
        for row, each in enumerate(self.candidates.values()):
            stacked.places[row, :, : each.places.shape[-1]] = each.places
            stacked.scores[row, :, : each.places.shape[-1]] = each.scores
        return stacked


def rescored(candidates: CandidateTable, rows: pd.DataFrame) -> CandidateTable:
    """The candidates with another score where `rows` (`query`, `place`, `score`) have one."""
    known = rows[(rows["query"] >= 0) & (rows["place"] >= 0) & rows["score"].notna()]
    query, place = known["query"].to_numpy(np.int64), known["place"].to_numpy(np.int64)
    row, rank = np.nonzero(candidates.places[query] == place[:, None])
    scores = candidates.scores.copy()
    scores[query[row], rank] = known["score"].to_numpy(float)[row]
    return CandidateTable(candidates.places, scores)
