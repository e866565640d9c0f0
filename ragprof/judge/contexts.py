"""What was put into each prompt, judged: tokens by kind, nDCG, the gold answers in it, and where they were lost.

Tables in, columns out, a row a prompt in the order of `prompts`. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.corpus.collection import Qrels
from ragprof.errors import BadInput
from ragprof.judge.answer_texts import Words
from ragprof.judge.arrays import Values, by_document, labels, metrics

KEY = ["pipeline", "setting", "query_id"]
TOKEN_KINDS = ("relevant", "irrelevant", "unjudged", "duplicate")
CUTOFF = 10


@dataclass(frozen=True)
class Evidence:
    """Where gold answers stand: (query_id, doc_id) of every passage that holds one of its question's."""

    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, passages: pd.DataFrame, *, golds: Mapping[str, Sequence[str]], contents: Mapping[str, str]) -> Evidence:
        """Of passages with `query_id` and `doc_id`. Raises BadInput for one whose content is not given."""
        wanted = {query_id: [Words.of(gold) for gold in answers] for query_id, answers in golds.items() if answers}
        distinct = passages[["query_id", "doc_id"]].drop_duplicates()
        asked = distinct[distinct["query_id"].isin(list(wanted))]
        words = {doc_id: Words.of(_content(doc_id, contents)) for doc_id in asked["doc_id"].unique()}
        pairs = asked.itertuples(index=False, name=None)
        return cls(frozenset((query, doc) for query, doc in pairs if any(map(words[doc].hold, wanted[query]))))

    def among(self, passages: pd.DataFrame) -> pd.DataFrame:
        """The rows whose passage holds a gold answer of its row's question."""
        held = [pair in self.pairs for pair in zip(passages["query_id"], passages["doc_id"], strict=True)]
        return passages[np.array(held, bool)]


def context_tokens(prompts: pd.DataFrame, chunks: pd.DataFrame, qrels: Qrels) -> pd.DataFrame:
    """`<kind>_tokens` of the chunks: a text that stood earlier in its prompt is a duplicate, the rest as judged."""
    ordered = chunks.sort_values("position", kind="stable")
    repeated = ordered.duplicated([*KEY, "content"]).to_numpy(bool)
    grades = [
        qrels.get(query_id, {}).get(document_id, np.nan)
        for query_id, document_id in zip(ordered["query_id"], ordered["document_id"], strict=True)
    ]
    graded = np.array(grades, float)
    kinds = np.select([repeated, graded > 0, np.isnan(graded)], ["duplicate", "relevant", "unjudged"], "irrelevant")
    tokens = ordered["tokens"].to_numpy(float)
    columns = {f"{kind}_tokens": tokens * (kinds == kind) for kind in TOKEN_KINDS}
    return _of_prompts(prompts, ordered[KEY].assign(**columns).groupby(KEY, as_index=False).sum()).fillna(0.0)


def context_ndcg(prompts: pd.DataFrame, chunks: pd.DataFrame, qrels: Qrels) -> Values:
    """nDCG@10 of the injected chunks' documents, as the final ranking orders them, whatever their order in the prompt.

    A document stands where its best chunk does. NaN for a question without judgements, 0 for a prompt without chunks.
    """
    row_of = {key: row for row, key in enumerate(_keys(prompts))}
    ranked = chunks.sort_values("rank", kind="stable")
    codes, documents = pd.factorize(ranked["document_id"])
    rows = np.array([row_of[key] for key in _keys(ranked)], np.int64)
    depths = ranked.groupby(KEY).cumcount().to_numpy(np.int64)
    places = np.full((len(prompts), int(depths.max(initial=0)) + 1), -1, np.int64)
    places[rows, depths] = codes
    numbers = {str(document): number for number, document in enumerate(documents)}
    labelled = labels(qrels, prompts["query_id"].tolist(), numbers)
    values = metrics(labelled.of(by_document(places)), labelled.ideal, (CUTOFF,))[f"nDCG@{CUTOFF}"]
    return np.where(prompts["query_id"].isin(list(qrels)).to_numpy(), values, np.nan)


def evidence_position(prompts: pd.DataFrame, chunks: pd.DataFrame, evidence: Evidence) -> Values:
    """Where the first chunk that holds a gold answer stands: 0 = first .. 1 = last, 0 for an only chunk; else NaN."""
    first = evidence.among(chunks).groupby(KEY, as_index=False)["position"].min()
    counts = chunks.groupby(KEY, as_index=False).agg(chunks=("position", "size"))
    both = _of_prompts(prompts, counts.merge(first, "left", KEY))
    last = np.maximum(both["chunks"].to_numpy(float) - 1, 1)
    position: Values = (both["position"].to_numpy(float) - 1) / last
    return position


def lost_at(
    prompts: pd.DataFrame, candidates: pd.DataFrame, evidence: Evidence, *, in_context: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Where a wrong answer's evidence was lost, by the last stage that still had it; `prompts` has `asked_k`.

    "model": it stood in the prompt. "packing": in a candidate among the `asked_k` best of the final ranking. "rerank":
    in some candidate that the search brought, in a pipeline with a reranker. "search": anything else.
    """
    with_reranker = candidates.loc[candidates["stage"] == "rerank", "pipeline"].unique()
    reranked = prompts["pipeline"].isin(with_reranker).to_numpy(bool)
    best = evidence.among(candidates).groupby(["stage", "pipeline", "query_id"])["rank"].min()
    searched = _ranks(prompts, best, np.full(len(prompts), "search"))
    final = _ranks(prompts, best, np.where(reranked, "rerank", "search"))
    packed = final <= prompts["asked_k"].to_numpy(float)
    return np.select([in_context, packed, reranked & ~np.isnan(searched)], ["model", "packing", "rerank"], "search")


def _ranks(prompts: pd.DataFrame, best: pd.Series, stages: NDArray[Any]) -> Values:
    """The best rank of evidence at a stage each; NaN where there is none, which is below no k."""
    keys = zip(stages.tolist(), prompts["pipeline"], prompts["query_id"], strict=True)
    known = best.to_dict()
    return np.array([known.get(key, np.nan) for key in keys], float)


def _of_prompts(prompts: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Columns of a table with one row a key, in the order of the prompts; missing where there is no row."""
    return prompts[KEY].merge(table, "left", KEY).drop(columns=KEY)


def _keys(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(*(table[column] for column in KEY), strict=True))


def _content(doc_id: str, contents: Mapping[str, str]) -> str:
    if doc_id not in contents:
        raise BadInput(f"passage '{doc_id}' was recorded but is not in the corpus; judge it with the recording's own")
    return contents[doc_id]
