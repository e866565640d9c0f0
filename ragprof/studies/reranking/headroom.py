"""What the best order of the same candidates would reach, and whether search or the ordering is in the way.

The oracle puts the candidates into the best order that exists. What it does not reach was missed by search; what lies
between it and the reranker is left to a better reranker. Reads no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.data import ORACLE, RerankerData
from ragprof.studies.reranking.means import estimate, mean_draws
from ragprof.studies.reranking.ratios import level, percent, ratio_estimate

RECALL, ORDERING, NEITHER = "recall", "ordering", "neither"
MUCH_LESS = 2.0
"""The ordering is not in the way where it leaves less than half of what the search misses."""


def headroom(data: RerankerData, arm: str) -> dict[str, Any]:
    """At the own depth. `captured_share` is null where no order of these candidates beats that of the search."""
    search, own = data.plain(arm, data.metric), data.reranked(arm, data.metric)
    oracle = data.values(arm, ORACLE, int(data.arm(arm)["own_depth"]), data.metric)
    missed, left = best_possible(data, arm) - oracle, oracle - own
    deepest = data.values(arm, ORACLE, int(data.arm(arm)["depths"][-1]), data.metric)
    found = {
        "metric": data.metric,
        "search": estimate(data.draws, search),
        "reranked": estimate(data.draws, own),
        "oracle": estimate(data.draws, oracle),
        "captured_share": captured_share(data, search=search, own=own, oracle=oracle),
        "missed_by_search": estimate(data.draws, missed),
        "left_by_reranker": estimate(data.draws, left),
        "deepest": {"depth": int(data.arm(arm)["depths"][-1]), "oracle": estimate(data.draws, deepest)},
        "limit": _limit(estimate(data.draws, missed - left)["interval"]),
    }
    deeper = estimate(data.draws, deepest - oracle)["interval"] or [0.0, 0.0]
    advice = _advice(found, deeper=float(deeper[0] or 0.0) > float(data.settings["margin"]))
    return {**found, "sentence": _sentence(found, advice)}


def captured_share(data: RerankerData, *, search: Array, own: Array, oracle: Array) -> dict[str, Any] | None:
    """(reranked - search) / (oracle - search), of means; below 0 where the reranker loses what search had."""
    room = oracle - search
    if not room.any():
        return None
    won, winnable = mean_draws(data.draws, own - search), mean_draws(data.draws, room)
    return ratio_estimate(won, winnable, n=len(room))


def best_possible(data: RerankerData, arm: str) -> Array:
    """The metric of each query if search had found everything: 1, but for P and R at a cutoff.

    Those are held back by the number of relevant documents, which P and R of the oracle tell together; where it found
    none, one is taken to exist.
    """
    family, _, cutoff = data.metric.partition("@")
    if family not in ("P", "R"):
        return np.ones(len(data.query_ids))
    depth = int(data.arm(arm)["own_depth"])
    recall, precision = (data.values(arm, ORACLE, depth, f"{each}@{cutoff}") for each in ("R", "P"))
    found = recall > 0
    relevant = np.where(found, np.round(precision * int(cutoff) / np.where(found, recall, 1.0)), 1.0)
    reachable = np.minimum(relevant, int(cutoff))
    return np.asarray(reachable / (int(cutoff) if family == "P" else relevant))


def _limit(ends: list[float | None] | None) -> str:
    """From the interval of what search misses minus what the ordering leaves."""
    low, high = ends or (None, None)
    if low is not None and low > 0:
        return RECALL
    return ORDERING if high is not None and high < 0 else NEITHER


def _sentence(found: dict[str, Any], advice: str) -> str:
    missed, left, share = (found[key] for key in ("missed_by_search", "left_by_reranker", "captured_share"))
    lead = f"Search misses {level(missed)} of {found['metric']}"
    if share is None:
        return f"{lead}; from these candidates there is nothing that any reranker could win.{advice}"
    wins = f"of what any reranker could win from these candidates, this one wins {percent(share)}"
    if share["mean"] < 0:
        wins = f"any reranker could win something from these candidates, but this one loses ({percent(share)} of it)"
    left_over = f"; {level(left)} is left" if left["mean"] > 0 else ""
    return f"{lead}; {wins}{left_over}.{advice}"


def _advice(found: dict[str, Any], *, deeper: bool) -> str:
    """What would help more than another reranker; empty where the ordering leaves as much as the search misses."""
    missed, left = found["missed_by_search"]["mean"], found["left_by_reranker"]["mean"]
    if found["limit"] != RECALL or left * MUCH_LESS > missed:
        return ""
    if deeper:
        depth, reached = found["deepest"]["depth"], level(found["deepest"]["oracle"])
        return f" Give it more candidates before a better reranker: the best order of {depth} would reach {reached}."
    return f" Do not buy a better reranker: search misses {missed:.3f}, the ordering only {left:.3f}."
