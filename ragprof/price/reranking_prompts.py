"""What rerankers were given and what they hand on, in tokens, at every depth. Knows no money and no judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.errors import BadInput
from ragprof.ranking import closed_up, id_ranks, reordered

Counts = NDArray[np.int64]
SEARCH, RERANK = "search", "rerank"


@dataclass(frozen=True)
class ArmCandidates:
    """One arm's candidates: `rows` of candidates.parquet, numbered by `query` and by their doc_id's `standing`.

    `shared` where shallower candidates are the beginning of deeper ones, so that one set holds for several depths.
    """

    name: str
    rows: pd.DataFrame
    query_ids: tuple[str, ...]
    shared: bool

    @classmethod
    def of(cls, name: str, manifest: Mapping[str, Any], candidates: pd.DataFrame) -> ArmCandidates:
        """Raises BadInput for a candidate without a score or of a query that was not asked."""
        arm, rows = manifest["arms"][name], candidates[candidates["arm"] == name]
        query = pd.Index(manifest["query_ids"]).get_indexer(pd.Index(rows["query_id"]))
        if (query < 0).any() or rows["rerank_score"].isna().any():
            raise BadInput(
                f"candidates.parquet has one of '{name}' without a rerank_score or of a query that was not asked; "
                "run 'ragprof reranker' again"
            )
        codes, doc_ids = pd.factorize(rows["doc_id"])
        numbered = rows.assign(query=query, standing=id_ranks(doc_ids.tolist())[codes])
        shared = bool(arm["prefix"] and not arm["pointwise"]["listwise"])
        return cls(name, numbered, tuple(manifest["query_ids"]), shared)

    def at(self, depth: int) -> pd.DataFrame:
        """The rows of a depth. Raises BadInput where it was not recorded."""
        recorded = sorted(self.rows["depth"].unique().tolist())
        fitting = [each for each in recorded if each == depth or (self.shared and each > depth)]
        if recorded and not fitting:
            raise BadInput(
                f"candidates.parquet lacks those of '{self.name}' at depth {depth}; run 'ragprof reranker' again"
            )
        chosen = self.rows["depth"] == (fitting[0] if fitting else depth)
        return self.rows[chosen & (self.rows["rank"] <= depth)]

    def tokens(self, depth: int) -> dict[str, list[int]]:
        """query_id -> tokens of each document that the reranker is given; empty where the search found none."""
        per_query: dict[str, list[int]] = {query_id: [] for query_id in self.query_ids}
        rows = self.at(depth)
        for query_id, count in zip(rows["query_id"].tolist(), rows["tokens"].tolist(), strict=True):
            per_query[query_id].append(count)
        return per_query

    def prompts(self, depth: int, ranking: str, max_k: int) -> pd.DataFrame:
        """Tokens of the first 1 to max_k passages of a ranking, a row a query and k; all that there is, if shorter."""
        rows = self.at(depth)
        tokens = np.append(rows["tokens"].to_numpy(np.int64), 0)
        context = _first(np.cumsum(tokens[self._order(rows, depth, ranking)], axis=-1), max_k)
        keys = {"arm": self.name, "ranking": ranking, "depth": depth, "query_id": np.repeat(self.query_ids, max_k)}
        ks = np.tile(np.arange(1, max_k + 1), len(self.query_ids))
        return pd.DataFrame({**keys, "k": ks, "context_tokens": context.ravel()})

    def _order(self, rows: pd.DataFrame, depth: int, ranking: str) -> Counts:
        """Places in `rows` in a ranking's order, (queries, depth); -1 behind the last."""
        shape = (len(self.query_ids), depth)
        at = (rows["query"].to_numpy(np.int64), rows["rank"].to_numpy(np.int64) - 1)
        places, scores = np.full(shape, -1, np.int64), np.full(shape, np.nan)
        places[at], scores[at] = np.arange(len(rows)), rows["rerank_score"]
        if ranking == SEARCH:
            return closed_up(places)
        return reordered(places, scores, np.append(rows["standing"].to_numpy(np.int64), -1))[0]


def prompts_of(arms: Sequence[ArmCandidates], manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The search's order at each arm's own depth and the reranker's at every depth."""
    most = manifest["max_k"]
    tables = []
    for arm in arms:
        facts = manifest["arms"][arm.name]
        tables.append(arm.prompts(facts["own_depth"], SEARCH, most))
        tables += [arm.prompts(depth, RERANK, most) for depth in facts["depths"]]
    return pd.concat(tables, ignore_index=True)


def _first(sums: Counts, most: int) -> Counts:
    """The first `most` columns; the last one again where there are fewer, 0 where there is none."""
    if not sums.shape[-1]:
        return np.zeros((len(sums), most), np.int64)
    return sums[:, np.minimum(np.arange(most), sums.shape[-1] - 1)]
