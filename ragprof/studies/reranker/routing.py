"""Reranking only the queries that the retriever is unsure of: what is kept of the gain, and what of the cost is saved.

A signal is higher where the retriever is surer. Reranking a share p of the queries means those whose signal is not
above the p-quantile of it. The quantile is taken from the training folds and applied to the fold held out, so every
query is routed by a threshold that it had no part in; intervals resample queries with that routing as it is. A random
choice keeps of the gain what it reranks of the queries. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.statistics.draws import Array, resampled
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import change, means, percent, ratio

SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
ENOUGH = 0.95
Mask = NDArray[np.bool_]


def routing(data: RerankerData, arm: str) -> list[dict[str, Any]]:
    """A row for each signal and share to rerank (0.1 to 1); no share of a gain that is not told from none.

    `share_reranked` is what was reranked, and `random` what as many queries by chance keep; `threshold` is that of all
    queries, to be used (null: every query).
    """
    folds = _folds(data)
    steps = [(signal, values, share) for signal, values in signals(data, arm).items() for share in SHARES]
    masks = [_held_out(values, folds, share) for _, values, share in steps]
    return [
        {"signal": signal, "threshold": _finite(_threshold(values, share)), **row}
        for (signal, values, share), row in zip(steps, _kept(data, arm, masks), strict=True)
    ]


def routing_choice(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """The smallest share that keeps 95 % of the gain, with the signal that needs the smallest; None without a signal.

    Both are chosen in the training folds and judged on the fold held out; `signal` and `threshold` are what the same
    choice comes to on all queries, to be used; both null where that is to rerank every query.
    """
    known = signals(data, arm)
    if not known or len(data.query_ids) < 2:
        return None
    gain, folds = data.gain(arm, data.metric), _folds(data)
    if not _is_told(data, gain):
        return _nothing(data, gain)
    everywhere = np.ones(len(gain), bool)
    signal, threshold = _chosen(known, gain, everywhere)
    routed = np.zeros(len(gain), bool)
    for fold in range(int(folds.max()) + 1):
        by, limit = _chosen(known, gain, folds != fold)
        routed |= (folds == fold) & (known[by] <= limit)
    if not np.isfinite(threshold):
        routed = everywhere
    row = _kept(data, arm, [routed])[0]
    found = {"signal": signal if np.isfinite(threshold) else None, "threshold": _finite(threshold), **row}
    return {**found, "sentence": _sentence(found)}


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
    return np.random.default_rng([data.seed, 5]).permutation(n) % min(int(data.settings["folds"]), n)


def _threshold(values: Array, share: float) -> float:
    return float(np.quantile(values, share)) if share < 1 and len(values) else np.inf


def _held_out(values: Array, folds: NDArray[np.int64], share: float) -> Mask:
    """Which queries are reranked, each by the threshold of the other folds."""
    limits = [_threshold(values[folds != fold], share) for fold in range(int(folds.max()) + 1)]
    return np.asarray(values <= np.array(limits)[folds])


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


def _kept(data: RerankerData, arm: str, masks: list[Mask]) -> list[dict[str, Any]]:
    """What each routing keeps: 1 minus what it loses, so that what loses nothing keeps exactly everything."""
    if not masks:
        return []
    gain = data.gain(arm, data.metric)
    total = means(data, gain) if _is_told(data, gain) else np.zeros(len(data.draws.counts))
    lost = data.draws.means(np.column_stack([gain * ~mask for mask in masks]))
    saved = _cost_saved(data.usd(arm, int(data.arm(arm)["own_depth"])), masks)
    return [_row(*each, total) for each in zip(masks, saved, lost.T, strict=True)]


def _is_told(data: RerankerData, gain: Array) -> bool:
    """Whether there is a gain to keep a share of; shares of what may be nothing say nothing."""
    low = (data.draws.estimate(gain)["interval"] or [0.0])[0]
    return low is not None and low > 0


def _row(mask: Mask, saved: float, lost: Array, total: Array) -> dict[str, Any]:
    share = float(mask.mean())
    kept = {"mean": None, "interval": None} if total[0] <= 0 else resampled(1 - ratio(lost, total), len(mask))
    return {
        "share_reranked": share,
        "share_of_gain_kept": kept["mean"],
        "interval": kept["interval"],
        "share_of_cost_saved": saved,
        "random": share,
    }


def _cost_saved(usd: Array | None, masks: list[Mask]) -> list[float]:
    """By money where every query's is known and not 0, else by the number of queries."""
    cost = np.ones(len(masks[0])) if usd is None or np.isnan(usd).any() or usd.sum() <= 0 else usd
    return [float(cost[~mask].sum() / cost.sum()) for mask in masks]


def _finite(threshold: float) -> float | None:
    return threshold if np.isfinite(threshold) else None


def _nothing(data: RerankerData, gain: Array) -> dict[str, Any]:
    keys = ("signal", "threshold", "share_reranked", "share_of_gain_kept", "interval", "share_of_cost_saved", "random")
    told = change(data.draws.estimate(gain))
    sentence = f"There is no gain told that could be kept: reranking every query changes {data.metric} by {told}."
    return {**dict.fromkeys(keys), "sentence": sentence}


def _sentence(found: Mapping[str, Any]) -> str:
    share, kept = found["share_reranked"], found["share_of_gain_kept"]
    if found["threshold"] is None:
        return f"Rerank every query: by no signal does a smaller share of them keep {100 * ENOUGH:.0f} % of the gain."
    low = (found["interval"] or [None])[0]
    reranked, told = f"{100 * share:.0f} %", percent({"mean": kept, "interval": found["interval"]})
    if low is None or low <= found["random"]:
        return (
            f"{found['signal']} is not told from chance: reranking {reranked} of queries by it keeps {told} of the "
            f"gain, as many by chance keep {reranked}."
        )
    return (
        f"Rerank {reranked} of queries ({found['signal']} at most {found['threshold']:.4g}), keep {told} of the gain, "
        f"save {100 * found['share_of_cost_saved']:.0f} % of the cost."
    )
