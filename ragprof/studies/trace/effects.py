"""What the retrieval of traces did to their prompts: the inert-reranker test, passages that reach none, quality."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.core import Estimate
from ragprof.core.recorded import TRACED, RecordedTable
from ragprof.evals.recorded import SCORES
from ragprof.report import figures
from ragprof.report.figures import counted
from ragprof.statistics.grouped import grouped_mean, grouped_share
from ragprof.statistics.unpaired import mean_effect, quantile_effect
from ragprof.statistics.unseen import UNIT
from ragprof.studies.contract import EstimateValue
from ragprof.studies.trace.section import RerankerActivity, ShallowerDepth, ShrinkCandidates

INERT_BOUND = 0.05
"""A reranker that changes fewer than one prompt in twenty is inert: of the time it takes, 95 % change nothing."""
ALPHA = 0.01
"""Of a drift: a report makes three such tests for each service."""
NS_PER_DAY = 86_400 * 10**9
DEPTHS = (3, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200)
KEEPS = 0.95
"""Share of the prompts that a smaller depth has to leave as they are."""
RANKED = RecordedTable(text="pipeline query_id stage doc_id document_id", whole="rank", number="score",
                       may_be_empty=True, remedy=TRACED)  # fmt: skip
"""Rankings of the traces whose question is judged."""


def reranker_activity(
    traces: pd.DataFrame, rerank: pd.DataFrame | None, whole: pd.DataFrame | None
) -> RerankerActivity | None:
    """How often the reranker changed the set, the order, the first passage; None where no reranking is known."""
    known = traces[traces["order_changed"].notna()]
    if known.empty:
        return None
    sets = known["set_changed"].dropna()
    changed = None if sets.empty else _share(sets, traces)
    order, first = (_share(known[name], traces) for name in ("order_changed", "first_changed"))
    decisive = changed or order
    low, high = decisive.interval or (0.0, 1.0)
    verdict = "inert" if high < INERT_BOUND else "active" if low > INERT_BOUND else "undecided"
    share = None
    if rerank is not None and whole is not None:
        mine = whole[whole["query_id"].isin(set(rerank["query_id"]))]
        total = float(mine["duration_ns"].sum())
        share = (
            float(rerank[rerank["query_id"].isin(set(mine["query_id"]))]["path_ns"].sum()) / total if total else None
        )
    what = "which passages go on" if changed else "the order of the passages"
    told = {
        "inert": f"The reranker is inert: it changed {what} in",
        "active": f"The reranker changed {what} in",
        "undecided": f"Whether the reranker is inert is undecided: it changed {what} in",
    }[verdict]
    cost = "" if share is None else f", for {figures.share(share)} of their time"
    sentence = (
        f"{told} {figures.with_interval(decisive.mean, decisive.interval, figures.share)} of "
        f"{counted(decisive.n, 'trace')}{cost}."
    )
    return RerankerActivity(
        traces=len(known), set_changed=None if changed is None else EstimateValue.of(changed),
        order_changed=EstimateValue.of(order), first_changed=EstimateValue.of(first), verdict=verdict,
        bound=INERT_BOUND, time_share=share, sentence=sentence,
    )  # fmt: skip


def _share(flags: pd.Series, traces: pd.DataFrame) -> Estimate:
    return grouped_share(flags.to_numpy(bool), traces["group"].loc[flags.index].to_numpy())


def shrink_candidates(traces: pd.DataFrame) -> ShrinkCandidates | None:
    """Which candidates never reach a prompt, and what fewer of them would have changed. None where nobody knows."""
    known = traces[traces["deepest"].notna() & (traces["candidates"] > 0) & (traces["deepest"] > 0)]
    if known.empty:
        return None
    candidates, injected, deepest = (
        known[name].to_numpy(dtype=float) for name in ("candidates", "injected", "deepest")
    )
    total = float(candidates.sum())
    rows = []
    for depth in DEPTHS:
        if depth >= candidates.max():
            break
        same = grouped_share(deepest <= depth, known["group"].to_numpy())
        saved = float(np.maximum(0, candidates - depth).sum()) / total
        rows.append(ShallowerDepth(depth=depth, same_prompt=EstimateValue.of(same), saved_share=saved))
    enough = next(
        (row for row in rows if row.same_prompt.interval and (row.same_prompt.interval[0] or 0) >= KEEPS), None
    )
    never = max(0.0, 1 - float(injected.sum()) / total)
    sentence = (
        f"{figures.share(never)} of the candidates never reach a prompt (mean {figures.mean_count(candidates.mean())} "
        f"candidates, {figures.mean_count(injected.mean())} in the prompt, {counted(len(known), 'trace')})."
    )
    if enough is not None:
        alike = figures.with_interval(enough.same_prompt.mean, enough.same_prompt.interval, figures.share)
        sentence += (
            f" With {enough.depth} candidates {alike} of the prompts would hold the same passages, and "
            f"{figures.share(enough.saved_share)} of the candidates be saved."
        )
    return ShrinkCandidates(
        traces=len(known), candidates=float(candidates.mean()), injected=float(injected.mean()),
        never_injected_share=never, by_depth=tuple(rows), depth=None if enough is None else enough.depth, keeps=KEEPS,
        sentence=sentence,
    )  # fmt: skip


def drift(traces: pd.DataFrame) -> Iterator[str]:
    """What the second half of the days differs in from the first, in sentences; nothing of a single day."""
    timed = traces[traces["duration_ns"].notna()]
    days = timed["start_ns"] // NS_PER_DAY
    every = sorted(set(days.tolist()))
    if len(every) < 2:
        return
    later = days >= every[(len(every) + 1) // 2]
    halves = [timed[~later], timed[later]]
    groups = halves[0]["group"].to_numpy(), halves[1]["group"].to_numpy()
    for name in ("p50", "p95"):
        before, after = (half["duration_ns"].to_numpy(dtype=float) for half in halves)
        found = quantile_effect(before, after, name, seed=0, groups=groups)
        if found.p is not None and found.p < ALPHA:
            was, now = figures.duration(found.base), figures.duration(found.candidate)
            yield (
                f"Drift: {name} is {now} in the second half of the days and was {was} in the first "
                f"({counted(len(after), 'trace')} and {len(before):,})."
            )
    failed = [half["failed"].to_numpy(dtype=float) for half in halves]
    found = mean_effect(*failed, bounds=UNIT, groups=groups)
    if found.p is not None and found.p < ALPHA:
        yield (
            f"Drift: {figures.share(found.candidate)} of the traces fail in the second half of the days, and "
            f"{figures.share(found.base)} did in the first."
        )


def scores_of_traces(folder: Path) -> pd.DataFrame:
    """Scores of the judged traces; without rows where there are no judgements."""
    path = folder / "scores.parquet"
    if not path.exists():
        return pd.DataFrame(columns=["pipeline", "stage", "metric", "query_id", "value"])
    return SCORES.read(path)


def quality(scores: pd.DataFrame) -> dict[str, dict[str, EstimateValue]]:
    """stage -> metric -> mean over the judged traces, with intervals over the column `group`."""
    found: dict[str, dict[str, EstimateValue]] = {}
    for (stage, metric), rows in scores.groupby(["stage", "metric"], sort=False):
        own = rows.sort_values("query_id")
        estimate = grouped_mean(own["value"].to_numpy(dtype=float), own["group"].to_numpy(), bounds=UNIT)
        found.setdefault(str(stage), {})[str(metric)] = EstimateValue.of(estimate)
    return found
