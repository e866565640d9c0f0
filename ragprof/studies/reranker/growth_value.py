"""What a reranker gains as the corpus grows, and from which size it pays, from a growth recording of the same eval.

The reranker's cost at one depth does not depend on the corpus. How many tokens it saves at a size is not recorded (it
would take every k at every size), so the net is known only where the eval says what a point of quality is worth: then
it is the cost minus what the gain is worth. Intervals are those of the growth study: its queries and orders resampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ragprof.core import files
from ragprof.price.pricing import QUERIES
from ragprof.studies.growth import data as growth_data
from ragprof.studies.growth.analysis import CROSSES, FROM_THE_SMALLEST, NOT_WITHIN, crossover
from ragprof.studies.growth.data import BIASED, Array, GrowthData
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import money
from ragprof.studies.reranker.statement import POINTS

NO_TOKENS = "Tokens saved at each size were not recorded, so LLM money saved is not in it."


def growth_value(data: RerankerData, arm: str) -> dict[str, Any] | None:
    """The `growth` of an arm; None without a judged growth recording of the same eval that holds its pipeline."""
    grown = _recorded(data.home)
    pipeline = data.arm(arm)["pipeline"]
    if grown is None or data.arm(arm)["student"] is not None or pipeline not in grown.names:
        return None
    if BIASED not in grown.curves or not grown.is_reranked(pipeline):
        return None
    metric, search, reranked = _both(grown, pipeline, data.metric)
    return None if search is None or reranked is None else _value(data, arm, grown, metric, search, reranked)


def _value(
    data: RerankerData, arm: str, grown: GrowthData, metric: str, search: Array, reranked: Array
) -> dict[str, Any]:
    cost, worth = _cost(data, arm), data.settings["worth_usd_per_point"]
    bound = _bound(float(data.settings["margin"]), cost, worth)
    pays_from = crossover(grown.sizes(), reranked.swapaxes(0, 1), search.swapaxes(0, 1), bound=bound, draws=grown.draws)
    gains = [grown.draws.estimate(reranked[:, place] - search[:, place]) for place in range(len(grown.sizes()))]
    return {
        "curve": BIASED,
        "metric": metric,
        "bound": bound,
        "points": [
            {"size": size, "gain": gain, **_money(gain["mean"], cost, worth)}
            for size, gain in zip(grown.sizes(), gains, strict=True)
        ],
        "pays_from": pays_from,
        "sentence": " ".join([*_other_metric(metric, data.metric), _sentence(pays_from, metric, bound), NO_TOKENS]),
    }


def _recorded(home: Path) -> GrowthData | None:
    """The growth recording that lies in the same folder; None where there is none or it is of another eval."""
    if not growth_data.is_recorded(home):
        return None
    manifest, judgement = files.read_manifest(home), files.read_json(home / "judgement.json")
    return growth_data.read_growth(home) if growth_data.belongs(home, manifest, judgement) else None


def _both(grown: GrowthData, pipeline: str, wanted: str) -> tuple[str, Array | None, Array | None]:
    """The metric that was recorded, and it before and after the reranker: (orders, sizes, queries) each."""
    read = grown.read(pipeline)
    metric = wanted if wanted in read.metrics else grown.metric
    before, after = (read.at_stage(BIASED, stage, [metric]) for stage in ("search", "rerank"))
    return metric, None if before is None else before[..., 0], None if after is None else after[..., 0]


def _cost(data: RerankerData, arm: str) -> float | None:
    """USD per 1,000 queries at the arm's own depth."""
    usd = data.usd(arm, data.arm(arm)["own_depth"])
    return None if usd is None else float(np.nanmean(usd)) * QUERIES


def _bound(margin: float, cost: float | None, worth: float | None) -> float:
    """The gain from which it pays: the smallest that counts, or the one that is worth its cost where that is more."""
    return margin if cost is None or not worth else max(margin, cost / worth / POINTS)


def _money(gain: float | None, cost: float | None, worth: float | None) -> dict[str, Any]:
    """What the gain is worth and what is left of the cost, USD per 1,000 queries; null where nobody said."""
    value = None if gain is None or worth is None else gain * POINTS * worth
    net = None if value is None or cost is None else cost - value
    return {"worth": money(value), "net_usd_per_1000_queries": money(net)}


def _other_metric(metric: str, wanted: str) -> list[str]:
    return [] if metric == wanted else [f"The growth recording has no {wanted}, so the gain is in {metric}."]


def _sentence(pays_from: Mapping[str, Any], metric: str, bound: float) -> str:
    points = POINTS * bound
    gain = f"more than {points:.3g} {'point' if points == 1 else 'points'} of {metric}"
    status = pays_from["status"]
    if status == FROM_THE_SMALLEST:
        return f"It gains {gain} at every size that was measured."
    if status == NOT_WITHIN:
        return f"It does not gain {gain} at the largest size that was measured."
    if status == CROSSES:
        low, high = pays_from["interval"]
        return f"It gains {gain} from about {pays_from['size']:,} passages (95 % interval {low:,} to {high:,})."
    return f"From which size it gains {gain} is undecided."
