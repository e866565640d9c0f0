"""What a first [gate] holds, from one recording: margins above the noise that it measured, and what its queries see.

Reads one Evidence and knows nothing of a second. Noise is the spread between the rounds of the recording: of a quantile
for latency; for a bill that is partly measured time, that of each stage's mean times its share of the bill. Where a
recording has too few rounds to tell, what was seen between jobs in public CI stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ragprof.errors import BadInput
from ragprof.quantities import Kind, Quantity
from ragprof.studies.compare.effects import Array
from ragprof.studies.compare.evidence import MACHINE_TIME, Evidence
from ragprof.studies.compare.latencies import QUANTILES, quantile, rounds
from ragprof.studies.compare.pairing import WHOLE, Side, check_figures
from ragprof.studies.compare.smallest_effects import Smallest, of_means, of_quantile
from ragprof.studies.compare.verdicts import BETWEEN_JOBS

ABSOLUTE: dict[Kind, float] = {"quality": 0.01, "latency": 0.0, "usage": 0.0, "cost": 0.0}
RELATIVE: dict[Kind, float] = {"quality": 0.0, "latency": 0.10, "usage": 0.02, "cost": 0.05}


@dataclass(frozen=True, slots=True)
class Seen:
    """One quantity of one pipeline: its figure, the relative noise (None: it has no clock), the smallest effect.

    Both the figure and the effect are in the quantity's unit.
    """

    pipeline: str
    base: float
    noise: float | None
    smallest: Smallest


@dataclass(frozen=True, slots=True)
class Proposal:
    """One line of the table. `everywhere` tells whether all pipelines of the recording have the quantity."""

    quantity: Quantity
    absolute: float
    relative: float
    seen: tuple[Seen, ...]
    everywhere: bool

    def margin(self, one: Seen) -> float:
        """In the quantity's unit."""
        return max(self.absolute, self.relative * abs(one.base))

    @property
    def noisiest(self) -> Seen:
        return max(self.seen, key=lambda one: one.noise or 0.0)

    @property
    def blindest(self) -> Seen:
        """Where the smallest detectable effect is largest beside the margin; one that is not known goes first."""
        return max(self.seen, key=lambda one: _over(one.smallest.effect, self.margin(one)))


@dataclass(frozen=True, slots=True)
class Proposals:
    """What may be gated in so many `gates`, and by pipeline why its bill may not: UNPRICED, with the reasons."""

    lines: tuple[Proposal, ...]
    gates: int
    unpriced: Mapping[str, Mapping[str, str]]


def proposals_of(evidence: Evidence, *, alpha: float) -> Proposals:
    """Margins for what the recording holds, never below the noise that it measured.

    Raises BadInput for an alpha that no gate takes, and where there is nothing to gate.
    """
    if not 0 < alpha < 0.5:
        raise BadInput(f"alpha lies between 0 and 0.5, not at {alpha}; 0.05 is usual")
    check_figures(evidence)
    queries = tuple(sorted({*evidence.figures["query_id"], *evidence.times["query_id"]}))
    sides = [Side(evidence, name, queries) for name in evidence.pipelines]
    wanted = [(one, having) for one in _quantities(evidence) if (having := [side for side in sides if _has(side, one)])]
    if not wanted:
        raise BadInput(f"'{evidence.label}' holds nothing to gate; record it again with 'ragprof run'")
    gates = sum(len(having) for _, having in wanted)
    lines = tuple(_proposal(one, having, level=alpha / gates) for one, having in wanted)
    return Proposals(lines, gates, {side.pipeline: side.unpriced for side in sides if side.unpriced})


def _quantities(evidence: Evidence) -> Iterator[Quantity]:
    """In the order of the table; whether a pipeline has one is asked later."""
    metrics = evidence.facts["metrics"]
    recall = [name for name in metrics[1:] if name.startswith("R@")]
    yield from (Quantity("quality", "", name) for name in [*metrics[:1], *recall[:1]])
    yield from (Quantity("latency", stage, name) for stage in ("", "rerank") for name in QUANTILES)
    yield Quantity("usage", "inject", "prompt_tokens")
    yield Quantity("usage", "rerank", "docs_scored")
    yield Quantity("cost", "", "")


def _has(side: Side, quantity: Quantity) -> bool:
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) and not (quantity.kind == "cost" and side.unpriced)


def _proposal(quantity: Quantity, sides: Sequence[Side], *, level: float) -> Proposal:
    looked = _timed if quantity.kind == "latency" else _counted
    seen = tuple(looked(quantity, sides, level))
    absolute, relative = margins_over(seen, floor=RELATIVE[quantity.kind])
    everywhere = len(seen) == len(sides[0].evidence.pipelines)
    return Proposal(quantity, ABSOLUTE[quantity.kind] or absolute, relative, seen, everywhere)


def margins_over(seen: Sequence[Seen], *, floor: float) -> tuple[float, float]:
    """An absolute and a relative margin, of which the larger is nowhere below the noise, and which are tight together.

    A pipeline that takes a millisecond is noisy in per cent and not in milliseconds: the absolute margin covers it,
    and the relative one of the slow pipelines stays small. Tight is the smallest mean logarithm of margin over figure,
    to a tenth; among those that are as tight, the smallest absolute margin.
    """
    shares = sorted({floor, *(_up(one.noise, digits=2) for one in seen if one.noise is not None and one.noise > floor)})
    options = [(_covering(seen, share), share) for share in shares]
    return min(options, key=lambda option: (round(sum(_looseness(one, option) for one in seen) / len(seen), 1), option))


def _covering(seen: Sequence[Seen], share: float) -> float:
    """The noise, in the quantity's unit, of what is noisier than a share of itself; 0 where nothing is."""
    above = [one.noise * abs(one.base) for one in seen if one.noise is not None and one.noise > share]
    return _up(max(above), digits=2) if above else 0.0


def _looseness(one: Seen, option: tuple[float, float]) -> float:
    absolute, share = option
    return math.log(max(absolute / abs(one.base), share)) if one.base and share else 0.0


def _up(number: float, *, digits: int) -> float:
    """Rounded up to so many digits, so that it covers what it was made of."""
    unit = 10.0 ** (math.floor(math.log10(number)) - digits + 1)
    return float(f"{math.ceil(number / unit - 1e-9) * unit:.6g}")


def _counted(quantity: Quantity, sides: Sequence[Side], level: float) -> Iterator[Seen]:
    """Quality, usage and money: sums of means over queries."""
    items = {side.pipeline: side.items(quantity) for side in sides}
    for side in sides:
        own, others = items[side.pipeline], {name: each for name, each in items.items() if name != side.pipeline}
        means = {(stage, name): float(np.nanmean(values)) for (_, stage, name), values in own.items()}
        noise = _bill_noise(side, means) if quantity.kind == "cost" else None
        yield Seen(side.pipeline, sum(means.values()), noise, of_means(own, others, alpha=level))


def _bill_noise(side: Side, means: Mapping[tuple[str, str], float]) -> float | None:
    """Share of the bill that is measured time, stage by stage, times the spread of that stage's mean between rounds."""
    clocked, total = side.evidence.facts["clocked"][side.pipeline], sum(means.values())
    if not clocked or total == 0:
        return None
    spreads = {stage: _spread(side.times[stage], np.mean) if stage in side.times else None for stage in clocked}
    shares = {stage: means.get((stage, MACHINE_TIME), 0.0) / total for stage in clocked}
    return sum(shares[stage] * (BETWEEN_JOBS if found is None else found) for stage, found in spreads.items())


def _timed(quantity: Quantity, sides: Sequence[Side], level: float) -> Iterator[Seen]:
    share = QUANTILES[quantity.name]
    for side in sides:
        rows = side.times[quantity.stage or WHOLE]
        queries = tuple(sorted(rows["query_id"].unique()))
        table, seed = rounds(rows, queries), side.evidence.facts["seed"]
        base = quantile(table, share)
        found = of_quantile(table, queries, share, alpha=level, seed=seed)
        effect = None if found.effect is None else found.effect * base
        yield Seen(side.pipeline, base, _latency_noise(side, quantity), replace(found, effect=effect))


def _latency_noise(side: Side, quantity: Quantity) -> float:
    """Spread between rounds of the quantile itself, and never less than that of the median, which is better known."""
    rows = side.times[quantity.stage or WHOLE]
    spreads = [_spread(rows, partial(np.quantile, q=QUANTILES[name])) for name in ("p50", quantity.name)]
    known = [*spreads, None if quantity.stage else side.evidence.facts["noise"][side.pipeline]]
    return max((float(one) for one in known if one is not None), default=BETWEEN_JOBS)


def _spread(rows: pd.DataFrame, figure: Callable[[Array], float]) -> float | None:
    """(highest - lowest of a round) / that of all; None below two rounds, and where no time passed."""
    each = [float(figure(own.to_numpy(dtype=np.float64))) for _, own in rows.groupby("round")["duration_ns"]]
    whole = float(figure(rows["duration_ns"].to_numpy(dtype=np.float64)))
    return None if len(each) < 2 or whole == 0 else (max(each) - min(each)) / whole


def _over(effect: float | None, margin: float) -> float:
    if effect is None:
        return math.inf
    return effect / margin if margin else 0.0
