"""What a verdict rests on, put together from a recording: one case for each reranker and price of the LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragprof.price.pricing import QUERIES
from ragprof.statistics.paired import paired_ps
from ragprof.statistics.power import more_queries_needed
from ragprof.studies.reranker.alternatives import ANOTHER_EMBEDDER, ANOTHER_SEARCH, AS_GOOD, BETTER
from ragprof.studies.reranker.candidates import is_inert
from ragprof.studies.reranker.chunks import iso_quality, more_chunks
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import added_latency, means
from ragprof.studies.reranker.verdict import CLEARLY, AtDepth, Case, Rival

NS_PER_MS = 1e6


def case_of(data: RerankerData, arm: str, *, others: Mapping[str, Any], llm_usd_per_million: float | None) -> Case:
    """At the price of the LLM that the bills were made at; `others` are the alternatives and the own figures."""
    facts, settings = data.arm(arm), data.settings
    at = _depths(data, arm)
    own = at.pop(int(facts["own_depth"]))
    bill = others["own"]["usd_per_1000_queries"]
    return Case(
        metric=data.metric,
        own=own,
        smaller=tuple(at.values()),
        inert=is_inert(data, arm),
        queries=len(data.query_ids),
        more_queries=more_queries_needed(data.gain(arm, data.metric)) or None,
        margin=float(settings["margin"]),
        k=int(facts["own_k"]),
        bill_usd=None if bill is None else float(bill),
        tokens_saved=iso_quality(data, arm).tokens_saved,
        llm_usd_per_million=llm_usd_per_million,
        rivals=rivals(
            _without_reranker(data, others["alternatives"]),
            others["own"],
            cost=None if own.cost is None else float(own.cost[0]),
            llm=llm_usd_per_million,
        ),
        worth_usd_per_point=settings["worth_usd_per_point"],
        max_added_p95_ms=settings["max_added_p95_ms"],
        max_usd_per_1000=settings["max_usd_per_1000_queries"],
        hourly=bool(data.rates["arms"][arm]["hourly"]),
    )


def rivals(
    alternatives: Sequence[Mapping[str, Any]], own: Mapping[str, Any], *, cost: float | None, llm: float | None
) -> tuple[Rival, ...]:
    """Those that are told to be as good and whose median is clearly lower, with what their bills differ by.

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
        if each["relation"] in (AS_GOOD, BETTER)
        and None not in (each["usd_per_1000_queries"], each["tokens_per_query"], each["p50_ns"], own["p50_ns"])
        and each["p50_ns"] < (1 - CLEARLY) * own["p50_ns"]
    )


def _without_reranker(data: RerankerData, alternatives: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Pipelines of the eval with another search or embedder that do without a reranker."""
    plain = {each["name"] for each in data.config["pipelines"] if each["reranker"]["name"] == "none"}
    return [
        each for each in alternatives if each["what"] in (ANOTHER_SEARCH, ANOTHER_EMBEDDER) and each["name"] in plain
    ]


def _depths(data: RerankerData, arm: str) -> dict[int, AtDepth]:
    """The own depth and every smaller one."""
    facts = data.arm(arm)
    depths = [int(depth) for depth in facts["depths"] if depth <= facts["own_depth"]]
    gains = np.stack([data.gain(arm, data.metric, depth) for depth in depths])
    ps = paired_ps(gains.T, seed=data.seed).tolist()
    return {depth: _at(data, arm, depth, p) for depth, p in zip(depths, ps, strict=True)}


def _at(data: RerankerData, arm: str, depth: int, p: float) -> AtDepth:
    own, here = data.reranked(arm, data.metric), data.reranked(arm, data.metric, depth)
    usd = data.usd(arm, depth)
    return AtDepth(
        depth,
        gain=means(data, data.gain(arm, data.metric, depth)),
        loss=means(data, own - here),
        cost=None if usd is None else means(data, usd) * QUERIES,
        p=p,
        added_p95_ms=_added(data, arm, depth),
        more_chunks=more_chunks(data, arm, depth),
    )


def _added(data: RerankerData, arm: str, depth: int) -> tuple[float, float, float] | None:
    """Milliseconds at p95 with the interval's ends; None where nothing was timed."""
    found = added_latency(data, arm, depth)
    mean, ends = found["added_p95_ns"], found["added_p95_interval_ns"]
    if mean is None:
        return None
    low, high = ends or (None, None)
    return mean / NS_PER_MS, -np.inf if low is None else low / NS_PER_MS, np.inf if high is None else high / NS_PER_MS
