"""What each asked quantity of each pipeline comes to: an effect, or what stands in the way of one. Gives no verdict.

One row of a comparison: both figures, their difference with interval and p, its margin and its verdict.

p is corrected after Holm over the rows that are asked for together; rows that cannot be compared have none. Figures are
given to twelve digits, and judged as given: what is beyond them is the arithmetic's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ragprof.core.quantities import Quantity
from ragprof.statistics.paired import FEWEST, Effect, Interval, Paired, holm, mean_effects, quantile_effects
from ragprof.statistics.power import more_queries
from ragprof.studies.gate import verdicts
from ragprof.studies.gate.evidence import Difference, Pair, blocked, missing, own_figure, paired, timed_of, unpriced
from ragprof.studies.gate.verdicts import Better, Clock, Tolerance

Obstacle: TypeAlias = Literal["unpriced", "missing", "incomparable"]
ONE_QUERY = "one query has no interval"
TOO_FEW = f"a p95 of fewer than {FEWEST['p95']} queries has no interval"
NO_RATIO = "a duration of 0 has no ratio"


@dataclass(frozen=True)
class Ask:
    """One quantity of one pipeline, how much it may differ, and which direction is good."""

    pair: Pair
    quantity: Quantity
    allowed: Tolerance
    better: Better


@dataclass(frozen=True)
class Terms:
    """What all rows have in common.

    `looks` is how often a job that goes on timing while undecided looks at its clock: where both sides share that job,
    the intervals of what is timed are as many times less likely to be wrong, and p as many times larger. `noise` is
    pipeline -> quantity -> the share by which two equal sides were seen to differ.
    """

    alpha: float
    seed: int
    one_job: bool
    differences: Sequence[Difference]
    looks: int = 1
    noise: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """Whose clock both sides were timed by."""
        if self.one_job:
            return "one job"
        return "two machines" if any(each.blocks == "latency" for each in self.differences) else "two jobs"


@dataclass(frozen=True)
class Finding:
    """What an ask came to: an effect, or what stands in the way of one with the reason."""

    ask: Ask
    effect: Effect | None
    obstacle: Obstacle | None
    reason: str
    clocked_base: float
    looks: int
    confidence: float

    @property
    def p(self) -> float | None:
        """Times the number of looks; None where there is no test."""
        return None if self.effect is None or self.effect.p is None else min(1.0, self.effect.p * self.looks)

    @property
    def lacking(self) -> int:
        """How many more queries a quantile needs to have an interval at all."""
        if self.reason != TOO_FEW or self.effect is None:
            return 0
        return FEWEST[self.ask.quantity.name] - self.effect.n


def findings(asks: Sequence[Ask], terms: Terms) -> list[Finding]:
    """In the order of the asks."""
    obstacles = {at: obstacle for at, ask in enumerate(asks) if (obstacle := _obstacle(ask, terms))}
    measured = [at for at in range(len(asks)) if at not in obstacles]
    means = _means({at: asks[at] for at in measured if asks[at].quantity.kind != "latency"}, terms)
    times = _times({at: asks[at] for at in measured if asks[at].quantity.kind == "latency"}, terms)
    stopped = {
        at: Finding(asks[at], None, kind, why, 0.0, 1, _confidence(terms, 1)) for at, (kind, why) in obstacles.items()
    }
    found = {**stopped, **means, **times}
    return [found[at] for at in range(len(asks))]


def _obstacle(ask: Ask, terms: Terms) -> tuple[Obstacle, str] | None:
    if reason := unpriced(ask.pair, ask.quantity):
        return "unpriced", reason
    if reason := missing(ask.pair, ask.quantity):
        return "missing", reason
    if reason := blocked(ask.quantity, terms.differences):
        return "incomparable", reason
    if ask.quantity.kind == "cost" and terms.clock == "two machines" and all(paired(ask.pair, ask.quantity).clocked):
        return "incomparable", "it is all measured time, of two machines"
    return None


def _means(asks: Mapping[int, Ask], terms: Terms) -> dict[int, Finding]:
    if not asks:
        return {}
    columns = {at: paired(ask.pair, ask.quantity) for at, ask in asks.items()}
    if terms.clock == "two machines":
        columns = {at: each.without_clock() for at, each in columns.items()}
    looks = [_looks(each, terms) for each in columns.values()]
    confidences = [_confidence(terms, each) for each in looks]
    effects = mean_effects(list(columns.values()), seed=terms.seed, confidences=confidences)
    return {
        at: Finding(ask, effect, None, _remark(effect), columns[at].clocked_base, seen, confidence)
        for (at, ask), effect, seen, confidence in zip(asks.items(), effects, looks, confidences, strict=True)
    }


def _looks(columns: Paired, terms: Terms) -> int:
    return terms.looks if terms.one_job and any(columns.clocked) else 1


def _times(asks: Mapping[int, Ask], terms: Terms) -> dict[int, Finding]:
    """Quantiles of the same stage come from the same resamples."""
    looks = terms.looks if terms.one_job else 1
    confidence = _confidence(terms, looks)
    stages: dict[tuple[Pair, str], list[int]] = {}
    for at, ask in asks.items():
        stages.setdefault((ask.pair, ask.quantity.stage), []).append(at)
    result = {}
    for (pair, stage), places in stages.items():
        timed = timed_of(pair, stage)
        if timed is None:
            # Such asks were stopped as missing.
            continue
        names = [asks[at].quantity.name for at in places]
        effects = quantile_effects(timed, names, seed=terms.seed, confidence=confidence)
        for at, effect in zip(places, effects, strict=True):
            result[at] = Finding(asks[at], effect, None, _remark(effect), 0.0, looks, confidence)
    return result


def _confidence(terms: Terms, looks: int) -> float:
    return 1 - terms.alpha / looks


def more_needed(found: Finding, *, alpha: float, beyond: float = 0.0) -> int | None:
    """Return how many queries more would tell the effect from `beyond`, and give it an interval at all."""
    effect = found.effect
    if effect is None:
        return None
    distance = effect.difference - beyond
    needed = more_queries(distance, effect.standard_error, n=effect.spread_over, alpha=alpha)
    return max(needed or 0, found.lacking) or None


def _remark(effect: Effect) -> str:
    if effect.interval is None:
        return ONE_QUERY if effect.n == 1 else TOO_FEW
    return NO_RATIO if effect.p is None else ""


Row: TypeAlias = dict[str, Any]
PROMPT = Quantity("usage", "inject", "prompt_tokens")


def rows_of(asks: Sequence[Ask], terms: Terms) -> list[Row]:
    """One row an ask, in order; Holm's family is all of them that have a p."""
    return [row for _, row in found_rows(asks, terms)]


def found_rows(asks: Sequence[Ask], terms: Terms) -> list[tuple[Finding, Row]]:
    """As `rows_of`, each with what it was made from."""
    found = findings(asks, terms)
    p_values = {str(at): each.p for at, each in enumerate(found) if each.p is not None}
    corrected = holm(p_values)
    alone = terms.alpha / max(1, len(p_values))
    return [(each, _row(each, corrected.get(str(at)), terms, alone=alone)) for at, each in enumerate(found)]


def family_of(rows: Sequence[Row]) -> int:
    """How many p values were corrected together."""
    return sum(row["p_holm"] is not None for row in rows)


def tidy(value: float | None) -> float | None:
    """To twelve digits."""
    return None if value is None else float(f"{value:.12g}")


def _row(found: Finding, p_holm: float | None, terms: Terms, *, alone: float) -> Row:
    """`alone` is alpha shared out over the family: what a row has to itself at worst."""
    ask, quantity = found.ask, found.ask.quantity
    figures = _figures(found)
    noise = _noise(found, terms, figures["base"])
    margin = verdicts.bound(
        ask.allowed, base=figures["base"], clocked_base=found.clocked_base, noise=noise, unit=quantity.unit
    )
    value = float(f"{margin.value:.12g}")
    told = found.obstacle or verdicts.verdict(
        figures["interval"], margin=value, p=p_holm, better=ask.better, alpha=terms.alpha
    )
    more = None
    if told == "undecided" and found.effect is not None:
        more = more_needed(found, alpha=alone)
    return {
        "pipeline": ask.pair.name,
        "base_pipeline": ask.pair.base.pipeline,
        "quantity": quantity.label,
        "kind": quantity.kind,
        "stage": quantity.stage,
        "name": quantity.name,
        "unit": quantity.unit,
        "better": ask.better,
        "primary": not quantity.stage or quantity == PROMPT,
        **figures,
        "p": tidy(found.effect.p) if found.effect else None,
        "p_holm": tidy(p_holm),
        "n": found.effect.n if found.effect else 0,
        "margin": value,
        "margin_why": margin.why,
        "verdict": told,
        "reason": found.reason,
        "more_queries": more,
        "noise": tidy(noise),
    }


def _noise(found: Finding, terms: Terms, base: float | None) -> float | None:
    """As a share of the base's figure: of a bill, of its measured time alone."""
    noise = terms.noise.get(found.ask.pair.name, {}).get(found.ask.quantity.label)
    if noise is None or found.ask.quantity.kind != "cost":
        return noise
    return noise * found.clocked_base / base if base else None


def _figures(found: Finding) -> Row:
    effect, ask = found.effect, found.ask
    if effect is None:
        sides = {"base": ask.pair.base, "candidate": ask.pair.candidate}
        figures = {name: tidy(own_figure(side, ask.quantity)) for name, side in sides.items()}
        return {**figures, "difference": None, "interval": None, "relative": None, "relative_interval": None}
    return {
        "base": tidy(effect.base),
        "candidate": tidy(effect.candidate),
        "difference": tidy(effect.difference),
        "interval": _ends(effect.interval),
        "relative": tidy(effect.relative),
        "relative_interval": _ends(effect.relative_interval),
    }


def _ends(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [tidy(end) for end in interval]
