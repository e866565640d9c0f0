"""What a reranker gains as the corpus grows, and from which size it pays, from a growth recording of the same eval.

The reranker's cost at one depth does not depend on the corpus. How many tokens it saves at a size is not recorded (it
would take every k at every size), so the net is known only where the eval says what a point of quality is worth: then
it is the cost minus what the gain is worth. Intervals are those of the growth study: its queries and orders resampled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ragprof.evals.recorded import JUDGEMENT, read_manifest
from ragprof.price.pricing import QUERIES
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.contract import EstimateValue
from ragprof.studies.growth import data as growth_data
from ragprof.studies.growth.analysis import CROSSES, FROM_THE_SMALLEST, NOT_WITHIN, crossover
from ragprof.studies.growth.data import BIASED, GrowthData
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import money
from ragprof.studies.reranker.section import GrowthValue, PaysFrom, SizePoint
from ragprof.studies.reranker.statement import POINTS

NO_TOKENS = "Tokens saved at each size were not recorded, so LLM money saved is not in it."


def growth_value(data: RerankerData, arm: str) -> GrowthValue | None:
    """None without a judged growth recording of the same eval that holds the arm's pipeline."""
    grown, pipeline = recorded_growth(data.home), data.arm(arm).pipeline
    if grown is None or data.arm(arm).student is not None or pipeline not in grown.names:
        return None
    if BIASED not in grown.curves or not grown.is_reranked(pipeline):
        return None
    read = grown.read(pipeline)
    metric = data.metric if data.metric in read.metrics else grown.metric
    before, after = (read.at_stage(BIASED, stage, [metric]) for stage in ("search", "rerank"))
    if before is None or after is None:
        return None
    search, reranked = before[..., 0], after[..., 0]
    usd, worth, margin = data.usd(arm, data.arm(arm).own_depth), data.settings.worth_usd_per_point, data.settings.margin
    busy = data.busy(arm) if data.rates["arms"][arm]["hourly"] else ""
    cost = None if usd is None or busy else float(np.nanmean(usd)) * QUERIES
    # It pays from the smallest gain that counts, or from the one that is worth its cost where that is more.
    bound = margin if cost is None or not worth else max(margin, cost / worth / POINTS)
    found = crossover(grown.sizes(), reranked.swapaxes(0, 1), search.swapaxes(0, 1), bound=bound, draws=grown.draws)
    points = []
    for place, size in enumerate(grown.sizes()):
        gain = EstimateValue(**grown.draws.estimate(reranked[:, place] - search[:, place], bounds=SIGNED))
        value = None if gain.mean is None or worth is None else gain.mean * POINTS * worth
        net = None if value is None or cost is None else cost - value
        points.append(SizePoint(size=size, gain=gain, worth=money(value), net_usd_per_1000_queries=money(net)))
    pays_from = PaysFrom(**found)
    other = "" if metric == data.metric else f"The growth recording has no {data.metric}, so the gain is in {metric}. "
    dear = f" Its cost is billed by time and withheld: {busy}." if busy else ""
    sentence = f"{other}{_sentence(pays_from, metric, bound)}{dear} {NO_TOKENS}"
    return GrowthValue(
        curve=BIASED, metric=metric, bound=bound, points=tuple(points), pays_from=pays_from, sentence=sentence
    )


def recorded_growth(home: Path) -> GrowthData | None:
    """The growth recording that lies in the same folder; None where there is none or it is of another eval."""
    if not growth_data.is_recorded(home):
        return None
    manifest, judgement = read_manifest(home), JUDGEMENT.read(home / "judgement.json")
    return growth_data.read_growth(home) if growth_data.belongs(home, manifest, judgement) else None


def _sentence(pays_from: PaysFrom, metric: str, bound: float) -> str:
    points = POINTS * bound
    gain = f"more than {points:.3g} {'point' if points == 1 else 'points'} of {metric}"
    if pays_from.status == FROM_THE_SMALLEST:
        return f"It gains {gain} at every size that was measured."
    if pays_from.status == NOT_WITHIN:
        return f"It does not gain {gain} at the largest size that was measured."
    if pays_from.status == CROSSES:
        low, high = (f"{end:,}" for end in pays_from.interval or ())
        return f"It gains {gain} from about {pays_from.size:,} passages (95% CI {low}\u2013{high})."
    return f"From which size it gains {gain} is undecided."
