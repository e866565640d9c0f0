"""What a verdict rests on, put together from a recording: one case for each reranker and price of the LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragprof.price.pricing import QUERIES
from ragprof.statistics import more_queries_needed
from ragprof.studies.reranking.alternatives import (
    ANOTHER_EMBEDDER,
    ANOTHER_RERANKER,
    ANOTHER_SEARCH,
    AS_GOOD,
    BETTER,
)
from ragprof.studies.reranking.candidates import is_inert
from ragprof.studies.reranking.case import AtDepth, Case, Rival
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.effects import added_latency
from ragprof.studies.reranking.figures import means
from ragprof.studies.reranking.iso_quality import iso_quality
from ragprof.studies.reranking.more_chunks import more_chunks

OTHERS = (ANOTHER_SEARCH, ANOTHER_EMBEDDER, ANOTHER_RERANKER)
NS_PER_MS = 1e6


def case_of(data: RerankerData, arm: str, *, others: Mapping[str, Any], llm_usd_per_million: float | None) -> Case:
    """At the price of the LLM that the bills were made at; `others` are the alternatives and the own figures."""
    facts, settings = data.arm(arm), data.settings
    own_depth = int(facts["own_depth"])
    differences = data.gain(arm, data.metric)
    own = _at(data, arm, own_depth)
    cost = None if own.cost is None else float(own.cost[0])
    return Case(
        metric=data.metric,
        own=own,
        smaller=tuple(_at(data, arm, depth) for depth in facts["depths"] if depth < own_depth),
        inert=is_inert(data, arm),
        queries=len(data.query_ids),
        more_queries=more_queries_needed(differences) or None,
        margin=float(settings["margin"]),
        tokens_saved=iso_quality(data, arm).tokens_saved,
        llm_usd_per_million=llm_usd_per_million,
        more_chunks=more_chunks(data, arm),
        rivals=rivals(others["alternatives"], others["own"], cost=cost, llm=llm_usd_per_million),
        worth_usd_per_point=settings["worth_usd_per_point"],
        max_added_p95_ms=settings["max_added_p95_ms"],
        max_usd_per_1000=settings["max_usd_per_1000_queries"],
        hourly=bool(data.rates["arms"][arm]["hourly"]),
    )


def rivals(
    alternatives: Sequence[Mapping[str, Any]], own: Mapping[str, Any], *, cost: float | None, llm: float | None
) -> tuple[Rival, ...]:
    """Other pipelines that are told to be as good and whose median is lower, with what their bills differ by.

    `cost` is the reranker's own and `llm` the price that the bills were made at. None where a bill is not known.
    """
    if cost is None or llm is None or own["usd_per_1000_queries"] is None:
        return ()
    mine = float(own["usd_per_1000_queries"]) - cost - own["tokens_per_query"] * llm / QUERIES
    return tuple(
        Rival(
            each["name"],
            mine - float(each["usd_per_1000_queries"]) + each["tokens_per_query"] * llm / QUERIES,
            own["tokens_per_query"] - each["tokens_per_query"],
        )
        for each in alternatives
        if each["what"] in OTHERS
        and each["relation"] in (AS_GOOD, BETTER)
        and None not in (each["usd_per_1000_queries"], each["tokens_per_query"], each["p50_ns"], own["p50_ns"])
        and each["p50_ns"] < own["p50_ns"]
    )


def _at(data: RerankerData, arm: str, depth: int) -> AtDepth:
    own, here = data.reranked(arm, data.metric), data.reranked(arm, data.metric, depth)
    usd = data.usd(arm, depth)
    added = added_latency(data, arm, depth)["added_p95_ns"]
    return AtDepth(
        depth,
        gain=means(data, data.gain(arm, data.metric, depth)),
        loss=means(data, own - here),
        cost=None if usd is None else means(data, usd) * QUERIES,
        added_p95_ms=None if added is None else added / NS_PER_MS,
    )
