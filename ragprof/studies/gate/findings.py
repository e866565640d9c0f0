"""What each asked quantity of each pipeline comes to: an effect, or what stands in the way of one; then one row of it.

p is corrected after Holm over the rows that are asked for together; rows that cannot be compared have none. Figures are
given to twelve digits, and judged as given: what is beyond them is the arithmetic's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ragprof.core.quantities import Quantity
from ragprof.statistics.estimates import FEWEST
from ragprof.statistics.paired import Effect, Timed, holm, mean_effects, quantile_effects
from ragprof.statistics.power import more_queries
from ragprof.studies.gate import verdicts
from ragprof.studies.gate.document import Better, FactDifference, Interval, Noise, QuantityRow, Verdict
from ragprof.studies.gate.evidence import (
    NOT_JUDGED,
    PipelinePair,
    blocked,
    loaded_apart,
    missing,
    own_figure,
    paired,
    timed_of,
    unpriced,
    withheld,
)
from ragprof.studies.gate.loaded import load_finding
from ragprof.studies.gate.verdicts import Clock, Tolerance

Obstacle: TypeAlias = Literal["unpriced", "missing", "incomparable"]
ONE_QUERY = "one query has no interval"
TOO_FEW = f"a p95 of fewer than {FEWEST['p95']} queries has no interval"
NO_RATIO = "a duration of 0 has no ratio"
PROMPT = Quantity("usage", "inject", "prompt_tokens")


@dataclass(frozen=True)
class Ask:
    """One quantity of one pipeline, how much it may differ, and which direction is good."""

    pair: PipelinePair
    quantity: Quantity
    allowed: Tolerance
    better: Better


@dataclass(frozen=True)
class ComparisonTerms:
    """What all rows have in common.

    `looks` is how often a job that goes on timing while undecided looks at its clock: where both sides share that job,
    the intervals of what is timed are as many times less likely to be wrong, and p as many times larger.
    """

    alpha: float
    seed: int
    one_job: bool
    differences: Sequence[FactDifference]
    looks: int = 1
    noise: Noise = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """Whose clock both sides were timed by."""
        if self.one_job:
            return "one job"
        return "two machines" if any(each.blocks == "latency" for each in self.differences) else "two jobs"


@dataclass(frozen=True)
class Finding:
    """What an ask came to: an effect, or what stands in the way of one with the reason.

    An effect that is `withheld`, which says why, has figures and no verdict.
    """

    ask: Ask
    effect: Effect | None
    obstacle: Obstacle | None
    reason: str
    confidence: float
    clocked_base: float = 0.0
    looks: int = 1
    withheld: str = ""

    @property
    def p(self) -> float | None:
        """Times the number of looks; None where there is no test."""
        if self.effect is None or self.effect.p is None or self.withheld:
            return None
        return min(1.0, self.effect.p * self.looks)

    def judged(self, interval: Interval | None) -> Interval | None:
        """What a verdict goes by: of queries of which none differs, that none does."""
        return (0.0, 0.0) if self.effect is not None and self.effect.identical else interval

    def more_queries(self, *, alpha: float, beyond: float = 0.0) -> int | None:
        """How many more would tell the difference from `beyond`; at least those that a quantile lacks to have an
        interval at all."""
        if self.effect is None or self.withheld or self.ask.quantity.kind == "load":
            return None
        effect, lacking = self.effect, 0
        if self.reason == TOO_FEW:
            lacking = FEWEST[self.ask.quantity.name] - effect.n
        distance = effect.difference - beyond
        needed = more_queries(distance, effect.standard_error, n=effect.spread_over, alpha=alpha)
        return max(needed or 0, lacking) or None


def findings(asks: Sequence[Ask], terms: ComparisonTerms) -> list[Finding]:
    """In the order of the asks."""
    found: dict[int, Finding] = {}
    means: list[int] = []
    times: dict[tuple[PipelinePair, str], list[int]] = defaultdict(list)
    for at, ask in enumerate(asks):
        if obstacle := _obstacle(ask, terms):
            found[at] = Finding(ask, None, *obstacle, confidence=1 - terms.alpha)
        elif ask.quantity.kind == "load":
            found[at] = _loaded(ask, terms)
        elif ask.quantity.kind == "latency":
            times[ask.pair, ask.quantity.stage].append(at)
        else:
            means.append(at)
    found |= zip(means, _means([asks[at] for at in means], terms), strict=True)
    for (pair, stage), places in times.items():
        if timed := timed_of(pair, stage):  # always: what was not timed on both sides is missing
            found |= zip(places, _times(timed, [asks[at] for at in places], terms), strict=True)
    return [found[at] for at in range(len(asks))]


def _obstacle(ask: Ask, terms: ComparisonTerms) -> tuple[Obstacle, str] | None:
    if reason := unpriced(ask.pair, ask.quantity):
        return "unpriced", reason
    if reason := missing(ask.pair, ask.quantity):
        return "missing", reason
    if reason := blocked(ask.quantity, terms.differences) or loaded_apart(ask.pair, ask.quantity):
        return "incomparable", reason
    if ask.quantity.kind == "cost" and terms.clock == "two machines" and all(paired(ask.pair, ask.quantity).clocked):
        return "incomparable", "it is all measured time, of two machines"
    return None


def _means(asks: Sequence[Ask], terms: ComparisonTerms) -> list[Finding]:
    columns = [paired(ask.pair, ask.quantity) for ask in asks]
    if terms.clock == "two machines":
        columns = [each.without_clock() for each in columns]
    looks = [terms.looks if terms.one_job and any(each.clocked) else 1 for each in columns]
    confidences = [1 - terms.alpha / each for each in looks]
    effects = mean_effects(columns, seed=terms.seed, confidences=confidences)
    return [
        Finding(
            ask,
            effect,
            None,
            _remark(effect),
            confidence,
            column.clocked_base,
            seen,
            withheld(ask.pair, one_job=terms.one_job) if any(column.clocked) else "",
        )
        for ask, effect, confidence, column, seen in zip(asks, effects, confidences, columns, looks, strict=True)
    ]


def _times(timed: Timed, asks: Sequence[Ask], terms: ComparisonTerms) -> list[Finding]:
    """Quantiles of the same stage come from the same resamples."""
    looks = terms.looks if terms.one_job else 1
    confidence = 1 - terms.alpha / looks
    names = [ask.quantity.name for ask in asks]
    effects = quantile_effects(timed, names, seed=terms.seed, confidence=confidence)
    return [
        Finding(
            ask,
            effect,
            None,
            _remark(effect),
            confidence,
            looks=looks,
            withheld=withheld(ask.pair, one_job=terms.one_job),
        )
        for ask, effect in zip(asks, effects, strict=True)
    ]


def _loaded(ask: Ask, terms: ComparisonTerms) -> Finding:
    before, after = ask.pair.base.load, ask.pair.candidate.load
    if before is None or after is None:
        raise TypeError("what was not recorded on both sides is missing")
    confidence = 1 - terms.alpha
    found = load_finding(before, after, ask.quantity, confidence=confidence)
    told = f"{NOT_JUDGED}: {found.withheld}" if found.withheld else ""
    return Finding(ask, found.effect, None, found.remark, confidence, withheld=told)


def _remark(effect: Effect) -> str:
    if effect.identical:
        return f"the same in all {effect.n:,} queries"
    if effect.interval is None:
        return ONE_QUERY if effect.n == 1 else TOO_FEW
    return NO_RATIO if effect.p is None else ""


def rows_of(asks: Sequence[Ask], terms: ComparisonTerms) -> list[tuple[Finding, QuantityRow]]:
    """One row an ask, in order, each with what it was made from; Holm's family is all of them that have a p."""
    found = findings(asks, terms)
    p_values = {str(at): each.p for at, each in enumerate(found) if each.p is not None}
    corrected = holm(p_values)
    family = len(p_values)
    return [(each, _row(each, corrected.get(str(at)), terms, family=family)) for at, each in enumerate(found)]


def family_of(rows: Sequence[QuantityRow]) -> int:
    """How many p values were corrected together."""
    return sum(row.p_holm is not None for row in rows)


def tidy(value: float) -> float:
    """To twelve digits."""
    return float(f"{value:.12g}")


def _tidy(value: float | None) -> float | None:
    return None if value is None else tidy(value)


def _ends(interval: Interval | None) -> Interval | None:
    return None if interval is None else (tidy(interval[0]), tidy(interval[1]))


def _row(found: Finding, p_holm: float | None, terms: ComparisonTerms, *, family: int) -> QuantityRow:
    alone = terms.alpha / max(1, family)  # what a row has to itself at worst
    ask, quantity, effect = found.ask, found.ask.quantity, found.effect
    pair, interval = ask.pair, _ends(effect.interval) if effect else None
    base = _tidy(effect.base if effect else own_figure(pair.base, quantity))
    candidate = _tidy(effect.candidate if effect else own_figure(pair.candidate, quantity))
    noise = terms.noise.get(pair.name, {}).get(quantity.label)
    if noise is not None and quantity.kind == "cost":  # of a bill, its measured time alone is noisy
        noise = noise * found.clocked_base / base if base else None
    margin = verdicts.bound(ask.allowed, base=base, clocked_base=found.clocked_base, noise=noise, unit=quantity.unit)
    told: Verdict = found.obstacle or "undecided"
    if not (found.obstacle or found.withheld):
        told = verdicts.verdict(
            found.judged(interval), margin=tidy(margin.value), p=p_holm, better=ask.better, alpha=terms.alpha
        )
    reason = found.withheld or found.reason or verdicts.correction(told, interval, p=p_holm, family=family)
    return QuantityRow(
        pipeline=pair.name, base_pipeline=pair.base.pipeline, quantity=quantity.label, kind=quantity.kind,
        stage=quantity.stage, name=quantity.name, unit=quantity.unit, better=ask.better,
        primary=not quantity.stage or quantity == PROMPT, base=base, candidate=candidate,
        difference=_tidy(effect.difference) if effect else None, interval=interval,
        relative=_tidy(effect.relative) if effect else None,
        relative_interval=_ends(effect.relative_interval) if effect else None,
        p=_tidy(effect.p) if effect else None, p_holm=_tidy(p_holm), n=effect.n if effect else 0,
        margin=tidy(margin.value), margin_why=margin.why, verdict=told, reason=reason,
        more_queries=found.more_queries(alpha=alone) if told == "undecided" else None, noise=_tidy(noise),
    )  # fmt: skip
