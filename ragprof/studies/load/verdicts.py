"""Whether a reranker is worth it at the load that one has: money at the promise, joined with its gain in quality."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from ragprof.evals.recorded import JUDGEMENT, read_manifest
from ragprof.price.pricing import plain
from ragprof.report import figures
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.contract import EstimateValue, VerdictWord
from ragprof.studies.load.section import LoadSection, LoadTarget, LoadVerdict
from ragprof.studies.load.words import capacity_words
from ragprof.studies.reranker import data as reranker_data
from ragprof.studies.reranker.data import RerankerData

POINTS = 100
"""Of a metric between 0 and 1."""
NOT_RUN = "what it gains is not known here: run 'ragprof reranker' into this folder"


def verdicts_of(section: LoadSection, home: Path) -> list[LoadVerdict]:
    """One of each pipeline with a reranker that was loaded with and without it."""
    known, found = _recorded(home), []
    for target in section.targets:
        mine = [each for each in section.targets if each.pipeline == target.pipeline and each.batching is None]
        without = next((each for each in mine if each.reranked is False), None)
        if target.reranked and target.name == target.pipeline and without is not None:
            found.append(_verdict(target, without, [each for each in mine if each.reranked], known))
    return found


def _recorded(home: Path) -> RerankerData | None:
    """The rerankers that lie in the same folder; None where there are none or they are of another eval."""
    if not reranker_data.is_recorded(home):
        return None
    manifest, judgement = read_manifest(home), JUDGEMENT.read(home / "judgement.json")
    return reranker_data.read_recorded(home) if reranker_data.belongs(home, manifest, judgement) else None


def _verdict(own: LoadTarget, without: LoadTarget, depths: list[LoadTarget], known: RerankerData | None) -> LoadVerdict:
    added, name = _added(own, without), own.pipeline
    if known is None or name not in known.names:
        sentence = f"{name}: {_slower(own, without)}; {NOT_RUN}."
        return LoadVerdict(
            pipeline=name, verdict="UNDECIDED", depth=None, gain=None, metric="", added_usd_per_1000=added,
            sentence=sentence,
        )  # fmt: skip
    gain = _gain(known, name, own.depth)
    chosen, told = own, gain
    recorded = known.arm(name).depths
    for each in sorted((each for each in depths if each.depth in recorded), key=lambda each: each.depth):
        if each.depth < own.depth and _is_cheaper(each, own) and _keeps_quality(known, name, each.depth):
            chosen, told = each, _gain(known, name, each.depth)
            break
    word, reason = _word(chosen, own, without, told, known)
    depth = chosen.depth if word in ("KEEP", "SHRINK") else None
    gained = figures.with_interval(told.mean, told.interval, figures.difference)
    sentence = f"{word} the reranker of {name} under load" + (f" at depth {depth}" if depth else "") + (
        f": it gains {gained} of {known.metric}; {_slower(chosen, without)}; {reason}."
    )  # fmt: skip
    if word == "UNDECIDED":
        sentence = f"The reranker of {name} under load is undecided: {sentence.partition(': ')[2]}"
    return LoadVerdict(
        pipeline=name, verdict=word, depth=depth, gain=told, metric=known.metric,
        added_usd_per_1000=_added(chosen, without), sentence=sentence,
    )  # fmt: skip


def _gain(known: RerankerData, name: str, depth: int) -> EstimateValue:
    at = depth if depth in known.arm(name).depths else None
    return EstimateValue(**known.draws.estimate(known.gain(name, known.metric, at), bounds=SIGNED))


def _keeps_quality(known: RerankerData, name: str, depth: int) -> bool:
    """Whether the shallower depth surely loses less than the margin against the pipeline's own."""
    lost = known.reranked(name, known.metric) - known.reranked(name, known.metric, depth)
    loss = known.draws.estimate(lost, bounds=SIGNED)
    high = None if loss["interval"] is None else loss["interval"][1]
    return high is not None and high < known.settings.margin


def _word(  # noqa: PLR0911  # a guard a reason
    chosen: LoadTarget, own: LoadTarget, without: LoadTarget, gain: EstimateValue, known: RerankerData
) -> tuple[VerdictWord, str]:
    """The verdict and why; the promise first, then quality, then money."""
    margin, worth = known.settings.margin, known.settings.worth_usd_per_point
    low, high = gain.interval or (None, None)
    if chosen.capacity.per_second is None or chosen.capacity.status in ("never", "at most", "unknown"):
        if without.capacity.per_second is None or without.capacity.status in ("never", "at most", "unknown"):
            return "UNDECIDED", "the promise is kept neither with it nor without it"
        return "DROP", "with it the promise is kept at no rate that was tried"
    if low is None or high is None:
        return "UNDECIDED", "its gain has no interval"
    if high < margin:
        return "DROP", f"it surely gains less than the margin of {margin:g}"
    if low <= 0:
        return "UNDECIDED", "whether it gains anything is not certain"
    added = _added(chosen, without)
    keep: VerdictWord = "SHRINK" if chosen is not own else "KEEP"
    if worth is not None and added is not None and gain.mean is not None:
        value = Decimal(str(gain.mean * POINTS * worth))
        told = f"{figures.usd(plain(value))} per 1,000 questions is what its gain is worth"
        return ("DROP", told) if value < Decimal(added) else (keep, told)
    if low < margin:
        return "UNDECIDED", f"its gain may be less than the margin of {margin:g}"
    if worth is None:
        return keep, f"its gain is above the margin of {margin:g}; what a point is worth is not said"
    return keep, f"its gain is above the margin of {margin:g}"


def _added(own: LoadTarget, without: LoadTarget) -> str | None:
    """USD per 1,000 questions that it adds in machines at the promise."""
    if own.money.usd_per_1000 is None or without.money.usd_per_1000 is None:
        return None
    return plain(Decimal(own.money.usd_per_1000) - Decimal(without.money.usd_per_1000))


def _is_cheaper(one: LoadTarget, other: LoadTarget) -> bool:
    """In machines where both have a price, else in capacity."""
    if one.money.usd_per_1000_full is not None and other.money.usd_per_1000_full is not None:
        return Decimal(one.money.usd_per_1000_full) < Decimal(other.money.usd_per_1000_full)
    return (one.capacity.per_second or 0) > (other.capacity.per_second or 0)


def _slower(own: LoadTarget, without: LoadTarget) -> str:
    """The capacities, and what they cost, in words."""
    if not own.capacity.per_second or not without.capacity.per_second:
        return "a capacity with it and without it is not known"
    told = f"one machine keeps the promise for {capacity_words(own)} instead of {capacity_words(without)}"
    if own.money.usd_per_1000 is None or without.money.usd_per_1000 is None:
        return told
    return (
        f"{told}, {figures.usd(own.money.usd_per_1000)} instead of {figures.usd(without.money.usd_per_1000)} per 1,000 "
        f"questions in machines at the eval's traffic{_of_margin(own, without)}"
    )


def taken_of_margin(own: LoadTarget, without: LoadTarget) -> tuple[Decimal, float | None] | None:
    """USD of a question's margin that the reranker takes, and its share of what is left without it, if anything is."""
    left, all_of_it = own.money.margin_per_question, without.money.margin_per_question
    if left is None or all_of_it is None:
        return None
    taken, whole = Decimal(all_of_it) - Decimal(left), Decimal(all_of_it)
    return taken, float(taken / whole) if whole > 0 else None


def _of_margin(own: LoadTarget, without: LoadTarget) -> str:
    found = taken_of_margin(own, without)
    if found is None:
        return ""
    taken, share = found
    if taken <= 0:
        return ", and it takes nothing of a question's margin"
    part = "" if share is None else f", {figures.share(share)} of what is left without it"
    volumes = [None if (each := one.money.break_even_per_month) is None else f"{each:,}" for one in (own, without)]
    earns = (
        "" if None in volumes else f"; the business earns from {volumes[0]} instead of {volumes[1]} questions a month"
    )
    return f"; it takes {figures.usd(plain(taken))} of a question's margin{part}{earns}"
