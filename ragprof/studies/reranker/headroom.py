"""What limits quality: the search or the ordering, how much of each text is read, and which queries that concerns.

The oracle puts the candidates into the best order that exists. What it does not reach was missed by search; what lies
between it and the reranker is left to a better reranker. What cut texts cost is the quality of reading them piece by
piece, the best piece counting (MaxP; Dai and Callan, SIGIR 2019), minus the reranker's own. Reads no file and judges
nothing: grades come from the judge pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.report import figures
from ragprof.statistics.draws import Array
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import estimate, level, means, paired_differences, percent, ratio_estimate, told
from ragprof.studies.reranker.recorded import ORACLE, WINDOWED
from ragprof.studies.reranker.section import (
    ChangedQuery,
    ClearestQueries,
    DeepestOracle,
    Headroom,
    HelpedAndHurt,
    JudgedCut,
    Truncation,
)

MUCH_LESS = 2.0
"""The ordering is not in the way where it leaves less than half of what the search misses."""
CLEAREST = 10


def headroom(data: RerankerData, arm: str) -> Headroom:
    """At the own depth. `captured_share` is None where no order of these candidates beats that of the search.

    It is (reranked - search) / (oracle - search), of means; below 0 where the reranker loses what search had.
    """
    depths, own_depth = data.arm(arm).depths, data.arm(arm).own_depth
    search, own = data.plain(arm, data.metric), data.reranked(arm, data.metric)
    oracle, deepest = (data.values(arm, ORACLE, depth, data.metric) for depth in (own_depth, depths[-1]))
    missed, left, room = best_possible(data, arm) - oracle, oracle - own, oracle - search
    missed_by_search, left_by_reranker, best = (estimate(data, each) for each in (missed, left, deepest))
    share = ratio_estimate(means(data, own - search), means(data, room), n=len(room), most=1.0) if room.any() else None
    limit: Literal["recall", "ordering", "neither"] = "neither"
    low, high = estimate(data, missed - left, SIGNED).interval or (None, None)
    if low is not None and low > 0:
        limit = "recall"
    elif high is not None and high < 0:
        limit = "ordering"

    wins = "from these candidates there is nothing that any reranker could win"
    if share is not None and share.mean is not None and share.mean < 0:
        low, high = share.interval or (None, None)
        ends = None if share.interval is None else (None if high is None else -high, None if low is None else -low)
        lost = share.model_copy(update={"mean": -share.mean, "interval": ends})
        wins = f"of what any reranker could win from these candidates, this one wins nothing and loses {percent(lost)}"
    elif share is not None:
        wins = f"of what any reranker could win from these candidates, this one wins {percent(share)}"
    if share is not None and left_by_reranker.mean is not None and left_by_reranker.mean > 0:
        wins += f"; {level(left_by_reranker)} is left"
    advice = ""
    if limit == "recall" and float(left.mean()) * MUCH_LESS <= float(missed.mean()):
        deeper, _ = estimate(data, deepest - oracle, SIGNED).interval or (0.0, 0.0)
        # What would help more than another reranker; nothing where the ordering leaves as much as the search misses.
        advice = (
            f" Give it more candidates before a better reranker: the best order of {depths[-1]} would reach "
            f"{level(best)}."
            if (deeper or 0.0) > data.settings.margin
            else f" Do not buy a better reranker: search misses {figures.score(missed_by_search.mean)}, the ordering "
            f"only {figures.score(left_by_reranker.mean)}."
        )
    return Headroom(
        metric=data.metric,
        search=estimate(data, search),
        reranked=estimate(data, own),
        oracle=estimate(data, oracle),
        captured_share=share,
        missed_by_search=missed_by_search,
        left_by_reranker=left_by_reranker,
        deepest=DeepestOracle(depth=depths[-1], oracle=best),
        limit=limit,
        sentence=f"Search misses {level(missed_by_search)} of {data.metric}; {wins}.{advice}",
    )


def best_possible(data: RerankerData, arm: str) -> Array:
    """The metric of each query if search had found everything: 1, but for P and R at a cutoff.

    Those are held back by the number of relevant documents, which P and R of the oracle tell together; where it found
    none, one is taken to exist.
    """
    family, _, cutoff = data.metric.partition("@")
    if family not in ("P", "R"):
        return np.ones(len(data.query_ids))
    depth = data.arm(arm).own_depth
    recall, precision = (data.values(arm, ORACLE, depth, f"{each}@{cutoff}") for each in ("R", "P"))
    found = recall > 0
    relevant = np.where(found, np.round(precision * int(cutoff) / np.where(found, recall, 1.0)), 1.0)
    reachable = np.minimum(relevant, int(cutoff))
    return np.asarray(reachable / (int(cutoff) if family == "P" else relevant))


def truncation(data: RerankerData, arm: str) -> Truncation:
    """At the own depth; None throughout where the reranker does not say how much it reads."""
    lengths, limit, metric = data.table("lengths", arm), data.arm(arm).max_tokens, data.metric
    if lengths.empty:
        keys = ("pairs", "over_length_share", "tokens_dropped", "tokens_dropped_share", "judged_cut", "quality_cost")
        unknown = "The reranker does not say how much of a text it reads, so what it leaves out is not known."
        return Truncation(**dict.fromkeys(keys), max_tokens=limit, sentence=unknown)
    dropped = lengths["tokens"] - lengths["kept_tokens"]
    over, mean, total = float((dropped > 0).mean()), float(dropped.mean()), lengths["tokens"].sum()
    share = float(dropped.sum() / total) if total else 0.0
    judged = _judged_cut(data.table("cuts", arm))
    cost = None
    if data.has(arm, WINDOWED, data.arm(arm).own_depth):
        windowed = data.values(arm, WINDOWED, data.arm(arm).own_depth, metric)
        (cost,) = paired_differences(data, (windowed - data.reranked(arm, metric))[None])
    length = "" if limit is None else f" of {limit:,} tokens"
    sentence = f"The reranker reads all {len(lengths):,} pairs whole; none is over its length{length}."
    if over:
        cut = "No relevant passage is among the candidates."
        if judged is not None:
            were = "was" if judged.documents == 1 else "were"
            passages = figures.counted(judged.of, "relevant passage")
            cut = f"Of {passages} among the candidates, {judged.documents:,} {were} cut."
        if cost is not None:
            changed = told(cost.difference, cost.interval, figures.difference)
            cut += f" Reading them piece by piece changes {metric} by {changed}."
        sentence = (
            f"{figures.share(over)} of {len(lengths):,} pairs are over the reranker's length{length}; "
            f"{figures.share(share)} of all tokens are never read ({mean:,.1f} a pair). {cut}"
        )
    return Truncation(
        pairs=len(lengths),
        over_length_share=over,
        tokens_dropped=mean,
        tokens_dropped_share=share,
        judged_cut=judged,
        quality_cost=cost,
        max_tokens=limit,
        sentence=sentence,
    )


def _judged_cut(cuts: pd.DataFrame) -> JudgedCut | None:
    """Relevant candidates, one for each query that they are relevant to; None where there is none."""
    relevant = cuts[cuts["relevant"].eq(True).fillna(False).astype(bool)]
    if relevant.empty:
        return None
    cut = int((relevant["tokens"] > relevant["kept_tokens"]).sum())
    return JudgedCut(documents=cut, of=len(relevant), share=cut / len(relevant))


def queries(data: RerankerData, arm: str) -> HelpedAndHurt:
    """Counts of helped, hurt and unchanged (to the last digit), and the ten clearest of each.

    Largest change first. Of the unchanged, those where the best order of the candidates would have been better, the
    lowest metric first. Equals stand in the order of their ids.
    """
    before, after = data.plain(arm, data.metric), data.reranked(arm, data.metric)
    room = data.values(arm, ORACLE, data.arm(arm).own_depth, data.metric) > after
    moves = data.table("moves", arm).set_index("query_id")

    def clearest(keys: Array, wanted: NDArray[np.bool_]) -> tuple[ChangedQuery, ...]:
        places = [int(place) for place in np.argsort(keys, kind="stable") if wanted[place]][:CLEAREST]
        return tuple(_changed(data.query_ids[place], before[place], after[place], moves) for place in places)

    return HelpedAndHurt(
        helped=int((after > before).sum()),
        hurt=int((after < before).sum()),
        unchanged=int((after == before).sum()),
        clearest=ClearestQueries(
            helped=clearest(before - after, after > before),
            hurt=clearest(after - before, after < before),
            unchanged=clearest(after, (after == before) & room),
        ),
    )


KEPT = ("doc_id", "doc_text", "doc_where", "query_text")


def _changed(query_id: str, before: float, after: float, moves: pd.DataFrame) -> ChangedQuery:
    """A query with the relevant document that moved most; None where none is among the candidates or texts are off."""
    found: Mapping[str, Any] = dict(moves.loc[query_id]) if query_id in moves.index else {}
    moved = {key: None if pd.isna(found.get(key)) else found[key] for key in KEPT}
    ranks = {key: None if pd.isna(found.get(key)) else int(found[key]) for key in ("from_rank", "to_rank")}
    return ChangedQuery(
        query_id=query_id,
        text=moved.pop("query_text"),
        change=float(after - before),
        before=float(before),
        after=float(after),
        **moved,
        **ranks,
    )
