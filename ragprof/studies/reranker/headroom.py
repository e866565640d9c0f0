"""What the best order of the same candidates would reach, and whether search or the ordering is in the way.

The oracle puts the candidates into the best order that exists. What it does not reach was missed by search; what lies
between it and the reranker is left to a better reranker. Reads no file.

What the reranker does not read: pairs over its length, tokens dropped, relevant texts cut, the quality that costs.

The quality is that of reading cut texts piece by piece, the best piece counting (MaxP; Dai and Callan, SIGIR 2019),
minus the reranker's own. Judges nothing: grades come from the judge pass.

Which queries a reranker helps and which it hurts, by the study's metric. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.statistics.draws import Array
from ragprof.statistics.paired import paired_p
from ragprof.studies.reranker.data import ORACLE, WINDOWED, RerankerData
from ragprof.studies.reranker.effects import change, level, means, percent, ratio_estimate

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
        "search": data.draws.estimate(search),
        "reranked": data.draws.estimate(own),
        "oracle": data.draws.estimate(oracle),
        "captured_share": captured_share(data, search=search, own=own, oracle=oracle),
        "missed_by_search": data.draws.estimate(missed),
        "left_by_reranker": data.draws.estimate(left),
        "deepest": {"depth": int(data.arm(arm)["depths"][-1]), "oracle": data.draws.estimate(deepest)},
        "limit": _limit(data.draws.estimate(missed - left)["interval"]),
    }
    deeper = data.draws.estimate(deepest - oracle)["interval"] or [0.0, 0.0]
    advice = _advice(found, deeper=float(deeper[0] or 0.0) > float(data.settings["margin"]))
    return {**found, "sentence": _sentence(found, advice)}


def captured_share(data: RerankerData, *, search: Array, own: Array, oracle: Array) -> dict[str, Any] | None:
    """(reranked - search) / (oracle - search), of means; below 0 where the reranker loses what search had."""
    room = oracle - search
    if not room.any():
        return None
    won, winnable = means(data, own - search), means(data, room)
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


def truncation(data: RerankerData, arm: str) -> dict[str, Any]:
    """At the own depth; null throughout where the reranker does not say how much it reads."""
    lengths = data.table("lengths", arm)
    limit = data.arm(arm)["max_tokens"]
    if lengths.empty:
        return _untold(limit)
    dropped = lengths["tokens"] - lengths["kept_tokens"]
    found = {
        "pairs": len(lengths),
        "max_tokens": limit,
        "over_length_share": float((dropped > 0).mean()),
        "tokens_dropped": float(dropped.mean()),
        "tokens_dropped_share": float(dropped.sum() / lengths["tokens"].sum()) if lengths["tokens"].sum() else 0.0,
        "judged_cut": _judged_cut(data.table("cuts", arm)),
        "quality_cost": _quality_cost(data, arm),
    }
    return {**found, "sentence": _truncation_sentence(found, data.metric)}


def _untold(limit: int | None) -> dict[str, Any]:
    keys = ("pairs", "over_length_share", "tokens_dropped", "tokens_dropped_share", "judged_cut", "quality_cost")
    sentence = "The reranker does not say how much of a text it reads, so what it leaves out is not known."
    return {**dict.fromkeys(keys), "max_tokens": limit, "sentence": sentence}


def _judged_cut(cuts: pd.DataFrame) -> dict[str, Any] | None:
    """Relevant candidates, one for each query that they are relevant to; None where there is none."""
    relevant = cuts[cuts["relevant"].eq(True).fillna(False).astype(bool)]
    if relevant.empty:
        return None
    cut = int((relevant["tokens"] > relevant["kept_tokens"]).sum())
    return {"documents": cut, "of": len(relevant), "share": cut / len(relevant)}


def _quality_cost(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """Windowed minus own; None where cut pairs were not read in pieces."""
    if not data.has(arm, WINDOWED, int(data.arm(arm)["own_depth"])):
        return None
    windowed = data.values(arm, WINDOWED, int(data.arm(arm)["own_depth"]), data.metric)
    own = data.reranked(arm, data.metric)
    difference = data.draws.estimate(windowed - own)
    return {
        "difference": difference["mean"],
        "interval": difference["interval"],
        "p": paired_p(windowed, own, seed=data.seed),
        "n": difference["n"],
    }


def _truncation_sentence(found: dict[str, Any], metric: str) -> str:
    limit = "" if found["max_tokens"] is None else f" of {found['max_tokens']:,} tokens"
    if not found["over_length_share"]:
        return f"The reranker reads all {found['pairs']:,} pairs whole; none is over its length{limit}."
    return (
        f"{100 * found['over_length_share']:.1f} % of {found['pairs']:,} pairs are over the reranker's length{limit}; "
        f"{100 * found['tokens_dropped_share']:.1f} % of all tokens are never read ({found['tokens_dropped']:,.1f} a "
        f"pair). {_cut(found['judged_cut'])}{_cost(found['quality_cost'], metric)}"
    )


def _cut(judged: dict[str, Any] | None) -> str:
    if judged is None:
        return "No relevant passage is among the candidates."
    were = "was" if judged["documents"] == 1 else "were"
    return f"Of {judged['of']:,} relevant passages among the candidates, {judged['documents']:,} {were} cut."


def _cost(cost: dict[str, Any] | None, metric: str) -> str:
    if cost is None:
        return ""
    told = change({"mean": cost["difference"], "interval": cost["interval"]})
    return f" Reading them piece by piece changes {metric} by {told}."


CLEAREST = 10
TOLD = ("doc_id", "doc_text", "from_rank", "to_rank")


def queries(data: RerankerData, arm: str) -> dict[str, Any]:
    """Counts of helped, hurt and unchanged (to the last digit), and the ten clearest of each.

    Largest change first. Of the unchanged, those where the best order of the candidates would have been better, the
    lowest metric first. Equals stand in the order of their ids.
    """
    before, after = data.plain(arm, data.metric), data.reranked(arm, data.metric)
    change = after - before
    room = data.values(arm, ORACLE, int(data.arm(arm)["own_depth"]), data.metric) > after
    chosen = {
        "helped": _first(-change, after > before),
        "hurt": _first(change, after < before),
        "unchanged": _first(after, (after == before) & room),
    }
    moves = data.table("moves", arm).set_index("query_id")
    return {
        "helped": int((after > before).sum()),
        "hurt": int((after < before).sum()),
        "unchanged": int((after == before).sum()),
        "clearest": {
            kind: [_told(data.query_ids[place], before[place], after[place], moves) for place in places]
            for kind, places in chosen.items()
        },
    }


def _first(keys: Array, wanted: NDArray[np.bool_]) -> list[int]:
    """Positions of the smallest keys among the wanted."""
    order = np.argsort(keys, kind="stable")
    return [int(place) for place in order if wanted[place]][:CLEAREST]


def _told(query_id: str, before: float, after: float, moves: pd.DataFrame) -> dict[str, Any]:
    """A query with the relevant document that moved most; null where none is among the candidates or texts are off."""
    found: Mapping[str, Any] = dict(moves.loc[query_id]) if query_id in moves.index else {}
    return {
        "query_id": query_id,
        "text": _plain(found.get("query_text")),
        "change": float(after - before),
        "before": float(before),
        "after": float(after),
        **{key: _plain(found.get(key)) for key in TOLD},
    }


def _plain(value: Any) -> str | int | None:
    """As JSON has it."""
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value)
