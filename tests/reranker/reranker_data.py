"""A recording of rerankers made by hand: ranks of the one relevant document in, RerankerData out.

Each query has one relevant document, every document is one passage, and rank 0 or None means that it was not among the
candidates. So all metrics follow from a rank: with rank r, nDCG@c is 1 / log2(1 + r) and evidence@k is 1 for r <= k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ragprof.evals.reranker import RerankerSettings
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.recorded import ORACLE, RERANK, SEARCH, WINDOWED

Ranks: TypeAlias = Sequence[int | None]
LLM_USD = "1"
"""USD per million tokens unless a test says otherwise: a token is a millionth of a dollar."""


@dataclass(frozen=True)
class Arm:
    """One reranked pipeline, or a student over the candidates of `pipeline`.

    `search` and `reranked` are ranks of the relevant document, query by query. `reranked` may be a mapping from depth
    to ranks; ranks given once hold for every depth, as far as the search found the document within it. `usd` is what
    reranking a query costs: one figure, a figure for each query (None: not timed), or a mapping from depth to either;
    None is UNPRICED. `timed` is the end-to-end time in ns of the first queries, by depth (0: without the reranker).
    `tokens` is the length of each passage in tokens; a mapping from "search" and "rerank" makes them differ.
    """

    search: Ranks
    reranked: Ranks | Mapping[int, Ranks]
    depths: Sequence[int] = (10,)
    own_depth: int | None = None
    own_k: int = 5
    usd: Any = 0.001
    units: float = 1.0
    shape: str = "per_search"
    rate_usd: str = "1.00"
    rate_per: int = 1000
    utilisation: str | None = None
    history: Sequence[Mapping[str, str]] = ()
    timed: Mapping[int, Sequence[int]] = field(default_factory=dict)
    tokens: int | Mapping[str, int] = 100
    windowed: Ranks | None = None
    cuts: Sequence[Mapping[str, Any]] = ()
    lengths: Sequence[Mapping[str, Any]] = ()
    signals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pipeline: str | None = None
    student: str | None = None
    against: str | None = None
    embedder: str = "hashing"
    store: str = "flat"
    reranker: str = "overlap"
    listwise: bool = False
    remote: bool = False
    max_tokens: int | None = None

    @property
    def depth(self) -> int:
        return self.own_depth or self.depths[-1]

    def rank_of(self, query: int, depth: int) -> int | None:
        """Where the reranker puts the relevant document among the first `depth`; None where it is not among them."""
        found = self.search[query]
        ranks = self.reranked[depth] if isinstance(self.reranked, Mapping) else self.reranked
        return (ranks[query] or None) if found and found <= depth else None

    def rankings(self) -> list[tuple[str, int, list[int | None]]]:
        """(ranking, depth, rank of each query's relevant document)."""
        queries = range(len(self.search))
        plain = [found if found and found <= self.depth else None for found in self.search]
        rows: list[tuple[str, int, list[int | None]]] = [(SEARCH, self.depth, plain)]
        for depth in self.depths:
            rows.append((RERANK, depth, [self.rank_of(query, depth) for query in queries]))
            rows.append((ORACLE, depth, [1 if found and found <= depth else None for found in self.search]))
        return rows if self.windowed is None else [*rows, (WINDOWED, self.depth, list(self.windowed))]

    def usd_of(self, query: int, depth: int) -> float:
        usd = self.usd[depth] if isinstance(self.usd, Mapping) else self.usd
        one = usd[query] if isinstance(usd, Sequence) else usd
        return math.nan if one is None else float(one)

    def tokens_of(self, ranking: str) -> int:
        return self.tokens if isinstance(self.tokens, int) else self.tokens[ranking]


def data_of(
    arms: Arm | Mapping[str, Arm],
    *,
    others: Mapping[str, Ranks] | None = None,
    pipelines: Sequence[Mapping[str, Any]] = (),
    llm: str | None = LLM_USD,
    llms: Mapping[str, str | None] | None = None,
    queries_per_month: int | None = 1_000_000,
    ks: Sequence[int] = (1, 3, 5, 8, 10),
    home: Path = Path("nowhere"),
    template_tokens: float = 50.0,
    **settings: Any,
) -> RerankerData:
    """A recording of these arms; a single one is named "reranked".

    `others` are final rankings of further pipelines, which `pipelines` declares (a plain search over the first arm's
    store unless it does). `llm` is the price of a million tokens of the eval's LLM, None where it is unpriced; `llms`
    are further prices. `settings` go into the [reranker] table (metric, margin, worth_usd_per_point, ...).
    """
    named = {"reranked": arms} if isinstance(arms, Arm) else dict(arms)
    table = RerankerSettings.model_validate({"ks": list(ks), **settings}).model_dump(mode="json")
    queries = [f"q{number:03}" for number in range(len(next(iter(named.values())).search))]
    max_k = max([*ks, *(arm.own_k for arm in named.values()), 10])
    cutoffs = _cutoffs(table["metric"], ks, named)
    declared = [_pipeline(name, arm) for name, arm in named.items() if arm.student is None]
    declared += [dict(pipeline) for pipeline in pipelines]
    known = {pipeline["name"] for pipeline in declared}
    first = next(iter(named.values()))
    declared += [_plain(name, first) for name in others or {} if name not in known]
    finals = {name: _final(arm) for name, arm in named.items() if arm.student is None} | dict(others or {})
    priced = [
        _llm("the LLM", llm, primary=True),
        *(_llm(name, usd, primary=False) for name, usd in (llms or {}).items()),
    ]
    return RerankerData(
        home,
        {
            "recording": "made by hand", "query_ids": queries, "max_k": max_k, "template_tokens": template_tokens,
            "query_tokens": 10.0, "texts": True, "arms": {name: _manifest(name, arm) for name, arm in named.items()},
            "work": {"pairs_scored": 0, "pairs_reused": 0, "searches": 0}, "environment": {},
            "config": {
                "name": "by-hand", "seed": 0, "reranker": table, "pipelines": declared,
                "traffic": {"queries_per_month": queries_per_month},
            },
        },
        {
            "on": "2026-07-01", "books": [], "queries_per_month": queries_per_month,
            "arms": {name: {**_rate(arm), "llms": priced} for name, arm in named.items()},
        },
        {
            "candidates": _frame(_candidates(named, queries), "arm depth query_id rank doc_id document_id"),
            "judged": _frame(_judged(named, queries, cutoffs=cutoffs, max_k=max_k), "arm ranking depth query_id"),
            "others": _frame(_others(finals, queries, cutoffs=cutoffs, max_k=max_k), "pipeline query_id"),
            "moves": _frame(_moves(named, queries), "arm query_id query_text doc_id doc_text from_rank to_rank"),
            "cuts": _frame(_own(named, "cuts"), "arm query_id doc_id relevant tokens kept_tokens"),
            "lengths": _frame(_own(named, "lengths"), "arm query_id doc_id tokens kept_tokens"),
            "signals": _frame(_signals(named, queries), "arm signal query_id value"),
            "live": _frame(_live(named, queries), "arm depth round query_id end_to_end_ns rerank_ns candidates"),
            "costs": _frame(_costs(named, queries), "arm depth query_id units usd"),
            "prompts": _frame(_prompts(named, queries, max_k), "arm ranking depth query_id k context_tokens"),
        },
    )  # fmt: skip


def scores(rank: int | None, *, cutoffs: Sequence[int], max_k: int) -> dict[str, float]:
    """Every metric of a ranking that holds its one relevant document at this rank."""
    row: dict[str, float] = {"RR@10": 1 / rank if rank and rank <= 10 else 0.0}
    for cutoff in cutoffs:
        hit = float(bool(rank) and (rank or 0) <= cutoff)
        row[f"nDCG@{cutoff}"] = hit / math.log2(1 + (rank or 1))
        row[f"P@{cutoff}"], row[f"R@{cutoff}"], row[f"Success@{cutoff}"] = hit / cutoff, hit, hit
        row[f"Judged@{cutoff}"] = 1.0
    return row | {f"evidence@{k}": float(bool(rank) and (rank or 0) <= k) for k in range(1, max_k + 1)}


def _cutoffs(metric: str, ks: Sequence[int], arms: Mapping[str, Arm]) -> list[int]:
    return sorted({5, 10, 20, *ks, *(arm.own_k for arm in arms.values()), int(metric.partition("@")[2])})


def _frame(rows: list[dict[str, Any]], columns: str) -> pd.DataFrame:
    """The columns stand there without any row too."""
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns.split())


def _pipeline(name: str, arm: Arm) -> dict[str, Any]:
    return {
        "name": name, "embedder": {"name": arm.embedder}, "store": {"name": arm.store}, "depth": arm.depth,
        "reranker": {"name": arm.reranker}, "injector": {"name": "top_k", "k": arm.own_k}, "generator": None,
    }  # fmt: skip


def _plain(name: str, arm: Arm) -> dict[str, Any]:
    return {**_pipeline(name, arm), "reranker": {"name": "none"}}


def _final(arm: Arm) -> list[int | None]:
    return [arm.rank_of(query, arm.depth) for query in range(len(arm.search))]


def _manifest(name: str, arm: Arm) -> dict[str, Any]:
    pipeline = arm.pipeline or name
    return {
        "pipeline": pipeline, "student": arm.student, "reranker": {"name": arm.reranker}, "own_depth": arm.depth,
        "own_k": arm.own_k, "depths": list(arm.depths), "against": arm.against or f"{pipeline} without its reranker",
        "pointwise": {
            "declared": not arm.listwise, "checked_queries": 5, "largest_difference": 0.0, "listwise": arm.listwise,
        },
        "remote": arm.remote, "max_tokens": arm.max_tokens, "prefix": True,
    }  # fmt: skip


def _rate(arm: Arm) -> dict[str, Any]:
    unpriced = all(math.isnan(arm.usd_of(query, arm.depth)) for query in range(len(arm.search)))
    units = {"per_hour": "hour", "per_input_token": "input token", "per_request": "request", "free": "query"}
    rate = {
        "name": "acme/rerank", "shape": arm.shape, "unit": units.get(arm.shape, "search"), "usd": arm.rate_usd,
        "output_usd": None, "per": arm.rate_per, "since": "2026-01-01", "source": "https://example.org/prices",
        "verified": "2026-06-01", "note": "", "docs_per_unit": None, "window_tokens": None,
    }  # fmt: skip
    return {
        "rate": None if unpriced else rate, "unpriced": "no price is set" if unpriced else None,
        "utilisation": arm.utilisation, "history": [dict(each) for each in arm.history],
        "hourly": arm.shape == "per_hour",
    }  # fmt: skip


def _llm(name: str, usd: str | None, *, primary: bool) -> dict[str, Any]:
    reason = "no price is set" if usd is None else None
    return {"name": name, "usd_per_million_tokens": usd, "unpriced": reason, "primary": primary}


def _candidates(arms: Mapping[str, Arm], queries: Sequence[str]) -> list[dict[str, Any]]:
    """The deepest set; document d<n> was found at rank n, and the relevant one stands where the ranks say."""
    rows = []
    for name, arm in arms.items():
        depth = max(*arm.depths, arm.depth)
        for number, query_id in enumerate(queries):
            relevant, place = arm.search[number], arm.rank_of(number, max(arm.depths))
            order = [rank for rank in range(1, depth + 1) if rank != relevant or not place]
            if place:
                order.insert(place - 1, relevant or 0)
            for rank in range(1, depth + 1):
                row = {"arm": name, "depth": depth, "query_id": query_id, "rank": rank, "doc_id": f"d{rank}"}
                row |= {"document_id": f"d{rank}", "search_score": 1 / rank, "tokens": arm.tokens_of(RERANK)}
                rows.append({**row, "rerank_score": float(-order.index(rank))})
    return rows


def _judged(
    arms: Mapping[str, Arm], queries: Sequence[str], *, cutoffs: Sequence[int], max_k: int
) -> list[dict[str, Any]]:
    return [
        {"arm": name, "ranking": ranking, "depth": depth, "query_id": query_id}
        | scores(rank, cutoffs=cutoffs, max_k=max_k)
        for name, arm in arms.items()
        for ranking, depth, ranks in arm.rankings()
        for query_id, rank in zip(queries, ranks, strict=True)
    ]


def _others(
    finals: Mapping[str, Ranks], queries: Sequence[str], *, cutoffs: Sequence[int], max_k: int
) -> list[dict[str, Any]]:
    return [
        {"pipeline": name, "query_id": query_id} | scores(rank or None, cutoffs=cutoffs, max_k=max_k)
        for name, ranks in finals.items()
        for query_id, rank in zip(queries, ranks, strict=True)
    ]


def _moves(arms: Mapping[str, Arm], queries: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "arm": name, "query_id": query_id, "query_text": f"question {number}", "doc_id": f"d{arm.search[number]}",
            "doc_text": f"document {arm.search[number]}", "from_rank": arm.search[number],
            "to_rank": arm.rank_of(number, arm.depth),
        }
        for name, arm in arms.items()
        for number, query_id in enumerate(queries)
        if arm.search[number]
    ]  # fmt: skip


def _own(arms: Mapping[str, Arm], table: str) -> list[dict[str, Any]]:
    return [{"arm": name, **row} for name, arm in arms.items() for row in getattr(arm, table)]


def _signals(arms: Mapping[str, Arm], queries: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"arm": name, "signal": signal, "query_id": query_id, "value": float(value)}
        for name, arm in arms.items()
        for signal, values in arm.signals.items()
        for query_id, value in zip(queries, values, strict=True)
    ]


def _live(arms: Mapping[str, Arm], queries: Sequence[str]) -> list[dict[str, Any]]:
    """Two rounds alike. Without the reranker a tenth of the time is embedding, the rest the search."""
    rows = []
    for name, arm in arms.items():
        plain = arm.timed.get(0, ())
        for depth, times in arm.timed.items():
            for query, whole in enumerate(times):
                base = plain[query] if query < len(plain) else 0
                parts = {"embed_ns": base // 10, "search_ns": base - base // 10, "inject_ns": 0}
                row = {"arm": name, "depth": depth, "query_id": queries[query], "end_to_end_ns": whole, **parts}
                row |= {"rerank_ns": whole - base if depth else math.nan, "candidates": depth}
                row |= {"candidate_tokens": depth * arm.tokens_of(RERANK)}
                rows += [{**row, "round": turn} for turn in range(2)]
    return rows


def _costs(arms: Mapping[str, Arm], queries: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for name, arm in arms.items():
        for depth in arm.depths:
            for number, query_id in enumerate(queries):
                usd = arm.usd_of(number, depth)
                units = math.nan if arm.shape == "per_hour" and math.isnan(usd) else arm.units
                rows.append({"arm": name, "depth": depth, "query_id": query_id, "units": units, "usd": usd})
    return rows


def _prompts(arms: Mapping[str, Arm], queries: Sequence[str], max_k: int) -> list[dict[str, Any]]:
    return [
        {
            "arm": name, "ranking": ranking, "depth": depth, "query_id": query_id, "k": k,
            "context_tokens": min(k, depth) * arm.tokens_of(ranking),
        }
        for name, arm in arms.items()
        for ranking, depth in [(SEARCH, arm.depth), *((RERANK, depth) for depth in arm.depths)]
        for query_id in queries
        for k in range(1, max_k + 1)
    ]  # fmt: skip
