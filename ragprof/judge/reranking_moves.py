"""Where rerankers moved relevant documents, and which of the passages that they cut were relevant. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ragprof.core import Doc, Query
from ragprof.corpus.collection import Qrels
from ragprof.errors import BadInput
from ragprof.judge.arrays import Places, by_document
from ragprof.judge.reranking_curve import Curve, Passages

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
