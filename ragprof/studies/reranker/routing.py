"""Reranking only the queries that the retriever is unsure of: what is kept of the gain, and what of the cost is saved.

A signal is higher where the retriever is surer. Reranking a share p of the queries means those whose signal is not
above the p-quantile of it. The quantile is taken from the training folds and applied to the fold held out, so every
query is routed by a threshold that it had no part in; intervals resample queries with that routing as it is. A random
choice keeps of the gain what it reranks of the queries. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.report import figures
from ragprof.statistics.draws import Array, resampled
from ragprof.statistics.unseen import SIGNED, unseen_share
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import change, estimate, means, ratio, told
from ragprof.studies.reranker.section import Routed, RoutingChoice

SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
ENOUGH = 0.95
Mask = NDArray[np.bool_]


def routing(data: RerankerData, arm: str) -> tuple[Routed, ...]:
    """A row for each signal and share to rerank (0.1 to 1); no share of a gain that is not significant.

    `share_reranked` is what was reranked, and `random` what as many queries by chance keep; `threshold` is that of all
    queries, to be used (None: every query).
    """
    folds = _folds(data)
    steps = [(signal, values, share) for signal, values in signals(data, arm).items() for share in SHARES]
    masks = []
    for _, values, share in steps:
        thresholds = [_threshold(values[folds != fold], share) for fold in range(int(folds.max()) + 1)]
        masks.append(np.asarray(values <= np.array(thresholds)[folds]))
    named = [(signal, _threshold(values, share)) for signal, values, share in steps]
    return _kept(data, arm, masks, named)


def routing_choice(data: RerankerData, arm: str) -> RoutingChoice | None:
    """The smallest share that keeps 95 % of the gain, with the signal that needs the smallest; None without a signal.

    Both are chosen in the training folds and judged on the fold held out; `signal` and `threshold` are what the same
    choice comes to on all queries, to be used; both None where that is to rerank every query.
    """
    known = signals(data, arm)
    if not known or len(data.query_ids) < 2:
        return None
    gain, folds = data.gain(arm, data.metric), _folds(data)
    if not _is_significant(data, gain):
        words = f"There is no significant gain that could be kept: reranking every query changes {data.metric} by"
        unknown = dict.fromkeys(Routed.model_fields)
        return RoutingChoice(**unknown, sentence=f"{words} {change(estimate(data, gain, SIGNED))}.")
    everywhere = np.ones(len(gain), bool)
    signal, threshold = _chosen(known, gain, everywhere)
    routed = np.zeros(len(gain), bool)
    for fold in range(int(folds.max()) + 1):
        by, limit = _chosen(known, gain, folds != fold)
        routed |= (folds == fold) & (known[by] <= limit)
    everyone = not np.isfinite(threshold)
    (found,) = _kept(data, arm, [everywhere if everyone else routed], [(None if everyone else signal, threshold)])
    return RoutingChoice(**dict(found), sentence=_sentence(found))


def signals(data: RerankerData, arm: str) -> dict[str, Array]:
    """Name -> a value for each query; one without a value (search found nothing) counts as the least sure."""
    rows = data.table("signals", arm)
    found = {}
    for name, mine in rows.groupby("signal", sort=False):
        values = mine.set_index("query_id")["value"].astype(float).reindex(data.query_ids).to_numpy(float)
        if not np.isnan(values).all():
            found[str(name)] = np.where(np.isnan(values), np.nanmin(values) - 1.0, values)
    return found


def _folds(data: RerankerData) -> NDArray[np.int64]:
    """The fold of each query: seeded, as equal in size as they can be, none of them empty."""
    n = len(data.query_ids)
    return np.random.default_rng([data.seed, 5]).permutation(n) % min(data.settings.folds, n)


def _threshold(values: Array, share: float) -> float:
    return float(np.quantile(values, share)) if share < 1 and len(values) else np.inf


def _chosen(known: Mapping[str, Array], gain: Array, training: Mask) -> tuple[str, float]:
    """The signal and threshold that keep 95 % of these queries' gain with the fewest of them; the first of equals."""
    best = (1.0, next(iter(known)), np.inf)
    for signal, values in known.items():
        for share in SHARES[:-1]:
            limit = _threshold(values[training], share)
            routed = training & (values <= limit)
            needed = float(routed.sum() / training.sum())
            if needed < best[0] and gain[routed].sum() >= ENOUGH * gain[training].sum() > 0:
                best = (needed, signal, limit)
    return best[1], best[2]


def _kept(
    data: RerankerData, arm: str, masks: list[Mask], named: Sequence[tuple[str | None, float]]
) -> tuple[Routed, ...]:
    """What each routing keeps: 1 minus what it loses, so that what loses nothing keeps exactly everything."""
    if not masks:
        return ()
    gain = data.gain(arm, data.metric)
    total = means(data, gain) if _is_significant(data, gain) else np.zeros(len(data.draws.counts))
    lost = data.draws.means(np.column_stack([gain * ~mask for mask in masks]))
    usd = data.usd(arm, data.arm(arm).own_depth)
    # By money where every query's is known and not 0, else by the number of queries.
    cost = np.ones(len(gain)) if usd is None or np.isnan(usd).any() or usd.sum() <= 0 else usd
    found = []
    for mask, column, (signal, threshold) in zip(masks, lost.T, named, strict=True):
        share = float(mask.mean())
        kept: dict[str, Any] = {"mean": None, "interval": None}
        if total[0] > 0:
            kept = resampled(1 - ratio(column, total), len(mask))
        if total[0] > 0 and not column.any():
            # Where every query is reranked all is kept by definition, else what no query lost others still may.
            reach = unseen_share(len(mask)) / float(total[0])
            kept["interval"] = [1.0, 1.0] if mask.all() else [1.0 - reach, 1.0 + reach]
        found.append(
            Routed(
                signal=signal,
                threshold=threshold if np.isfinite(threshold) else None,
                share_reranked=share,
                share_of_gain_kept=kept["mean"],
                interval=kept["interval"],
                share_of_cost_saved=float(cost[~mask].sum() / cost.sum()),
                random=share,
            )
        )
    return tuple(found)


def _is_significant(data: RerankerData, gain: Array) -> bool:
    """Whether there is a gain to keep a share of; shares of what may be nothing say nothing."""
    low, _ = estimate(data, gain, SIGNED).interval or (None, None)
    return low is not None and low > 0


def _sentence(found: Routed) -> str:
    if found.threshold is None or found.random is None:
        return f"Rerank every query: by no signal does a smaller share of them keep {100 * ENOUGH:.0f} % of the gain."
    reranked, kept = figures.share(found.share_reranked), told(found.share_of_gain_kept, found.interval, figures.share)
    low, _ = found.interval or (None, None)
    if low is None or low <= found.random:
        return (
            f"{found.signal} is not significantly better than chance: reranking {reranked} of queries by it keeps "
            f"{kept} of the gain, as many by chance keep {reranked}."
        )
    return (
        f"Rerank {reranked} of queries ({found.signal} at most {found.threshold:.4g}), keep {kept} of the gain, "
        f"save {figures.share(found.share_of_cost_saved)} of the cost."
    )
