"""A first [gate] table from one recording: what to gate, margins above the noise that it measured, and what they see.

Reads one Evidence and knows nothing of a second. Noise is the spread between the rounds of the recording: of a quantile
for latency; for a bill that is partly measured time, that of each stage's mean times its share of the bill. Where a
recording has too few rounds to tell, what was seen between jobs in public CI stands for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ragprof.errors import BadInput
from ragprof.quantities import Kind, Quantity
from ragprof.statistics import POWER
from ragprof.studies.compare.effects import Array
from ragprof.studies.compare.evidence import MACHINE_TIME, Evidence
from ragprof.studies.compare.latencies import QUANTILES, rounds
from ragprof.studies.compare.pairing import WHOLE, Side, check_figures
from ragprof.studies.compare.smallest_effects import Smallest, of_means, of_quantile

ABSOLUTE: dict[Kind, float] = {"quality": 0.01, "latency": 0.0, "usage": 0.0, "cost": 0.0}
RELATIVE: dict[Kind, float] = {"quality": 0.0, "latency": 0.10, "usage": 0.02, "cost": 0.05}
UNKNOWN_NOISE = 0.26


@dataclass(frozen=True, slots=True)
class InitialGate:
    """`toml` is the [gate] table, `lines` what to print with it: a sentence a quantity, warnings after them."""

    toml: str
    lines: tuple[str, ...]


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


def initial_gate(evidence: Evidence, *, alpha: float = 0.05) -> InitialGate:
    """Propose margins for what the recording holds, never below the noise that it measured.

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
    proposals = [_proposal(one, having, level=alpha / gates) for one, having in wanted]
    unpriced = _unpriced(sides)
    table = [*_head(evidence, gates, alpha), *map(_toml_line, proposals), *(f"# {line}" for line in unpriced)]
    return InitialGate(
        toml="".join(f"{line}\n" for line in table),
        lines=(*map(_sentence, proposals), *unpriced, *_warnings(proposals), *_too_few(evidence, gates, alpha)),
    )


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
    return sum(shares[stage] * (UNKNOWN_NOISE if found is None else found) for stage, found in spreads.items())


def _timed(quantity: Quantity, sides: Sequence[Side], level: float) -> Iterator[Seen]:
    share = QUANTILES[quantity.name]
    for side in sides:
        rows = side.times[quantity.stage or WHOLE]
        queries = tuple(sorted(rows["query_id"].unique()))
        table, seed = rounds(rows, queries), side.evidence.facts["seed"]
        base = float(np.quantile(table, share))
        found = of_quantile(table, queries, share, alpha=level, seed=seed)
        effect = None if found.effect is None else found.effect * base
        yield Seen(side.pipeline, base, _latency_noise(side, quantity), replace(found, effect=effect))


def _latency_noise(side: Side, quantity: Quantity) -> float:
    """Spread between rounds of the quantile itself, and never less than that of the median, which is better known."""
    rows = side.times[quantity.stage or WHOLE]
    spreads = [_spread(rows, partial(np.quantile, q=QUANTILES[name])) for name in ("p50", quantity.name)]
    known = [*spreads, None if quantity.stage else side.evidence.facts["noise"][side.pipeline]]
    return max((float(one) for one in known if one is not None), default=UNKNOWN_NOISE)


def _spread(rows: pd.DataFrame, figure: Callable[[Array], float]) -> float | None:
    """(highest - lowest of a round) / that of all; None below two rounds, and where no time passed."""
    each = [float(figure(own.to_numpy(dtype=np.float64))) for _, own in rows.groupby("round")["duration_ns"]]
    whole = float(figure(rows["duration_ns"].to_numpy(dtype=np.float64)))
    return None if len(each) < 2 or whole == 0 else (max(each) - min(each)) / whole


def _head(evidence: Evidence, gates: int, alpha: float) -> list[str]:
    facts, pipelines = evidence.facts, len(evidence.pipelines)
    return [
        f"# The gate of {facts['eval']}, from the recording of {facts['created']}: {facts['queries']:,} queries, "
        f"{pipelines} {'pipeline' if pipelines == 1 else 'pipelines'}, {gates} gates.",
        "# The smallest detectable effect is what so many queries tell from none in the least sure pipeline, with "
        f"power {POWER}",
        f"# and alpha {alpha:g} shared by all gates; a guess: a change that moves all queries alike shows sooner.",
        "[gate]",
        f"alpha = {alpha:g}",
        "",
        "[gate.quantities]",
    ]


def _toml_line(proposal: Proposal) -> str:
    sizes = {"absolute": proposal.absolute, "relative": proposal.relative}
    margin = ", ".join(f"{name} = {size:g}" for name, size in sizes.items() if size)
    names = json.dumps([one.pipeline for one in proposal.seen], ensure_ascii=False)
    inside = margin if proposal.everywhere else f"{margin}, pipelines = {names}"
    return f"{json.dumps(proposal.quantity.label)} = {{ {inside} }}  # {_noise(proposal)}{_effect(proposal)}"


def _sentence(proposal: Proposal) -> str:
    unit = f" {proposal.quantity.unit}".rstrip()
    sizes = [
        f"{proposal.absolute:g}{unit}" if proposal.absolute else "",
        f"{100 * proposal.relative:.3g}%" if proposal.relative else "",
    ]
    margin = " or ".join(size for size in sizes if size)
    return f"{proposal.quantity.label}: margin {margin}; {_noise(proposal)}{_effect(proposal)}"


def _noise(proposal: Proposal) -> str:
    noise = proposal.noisiest.noise
    return "" if noise is None else f"noise {noise:.1%} ({proposal.noisiest.pipeline}); "


def _effect(proposal: Proposal) -> str:
    one = proposal.blindest
    if one.smallest.effect == 0:
        return f"any change shows: {one.smallest.rests_on} ({one.smallest.queries:,} queries)"
    if one.smallest.effect is None:
        return f"no smallest detectable effect is known: {one.smallest.rests_on} ({one.pipeline})"
    return (
        f"smallest detectable effect {_amount(proposal.quantity, one)} with {one.smallest.queries:,} queries "
        f"({one.pipeline}; {one.smallest.rests_on})"
    )


def _amount(quantity: Quantity, one: Seen) -> str:
    effect = one.smallest.effect or 0.0
    if quantity.kind == "quality" or one.base == 0:
        return f"{effect:.3f}"
    return f"{effect / abs(one.base):.1%}"


def _unpriced(sides: Sequence[Side]) -> list[str]:
    label = Quantity("cost", "", "").label
    return [
        f"{label} of {side.pipeline} is UNPRICED: {_one_line(side.unpriced)}; name a rate in [prices] to gate it"
        for side in sides
        if side.unpriced
    ]


def _one_line(reasons: Mapping[str, str]) -> str:
    return " ".join("; ".join(f"{stage}: {reason}" for stage, reason in reasons.items()).split())


def _warnings(proposals: Sequence[Proposal]) -> Iterator[str]:
    yield from (line for one in proposals if (line := _blind(one)))
    noisy = [one for one in proposals if one.relative > RELATIVE[one.quantity.kind]]
    if noisy:
        named = ", ".join(f"{one.quantity.label} ({one.noisiest.pipeline})" for one in noisy)
        yield (
            f"warning: the noise of one pipeline sets the margin of all in {named}; record it again on a quieter "
            "machine, or leave the pipeline out with 'pipelines'"
        )
    if any(one.quantity.kind == "latency" for one in proposals):
        yield (
            f"warning: latency: this noise was measured within one job; between jobs {UNKNOWN_NOISE:.0%} was seen in "
            "public CI, so let 'ragprof gate --against' run both sides in one"
        )


def _too_few(evidence: Evidence, gates: int, alpha: float) -> Iterator[str]:
    """Flipping the signs of n differences makes no p below 2 / 2^n, however large the loss."""
    least = math.ceil(math.log2(2 * gates / alpha))
    if evidence.facts["queries"] < least:
        yield f"warning: fewer than {least} queries cannot tell any loss over {gates} gates, however large; judge more"


def _blind(proposal: Proposal) -> str:
    one = proposal.blindest
    effect, margin, queries = one.smallest.effect, proposal.margin(one), one.smallest.queries
    if effect is None or margin == 0 or effect <= margin:
        return ""
    needed = _about(queries * (effect / margin) ** 2)
    return (
        f"warning: {proposal.quantity.label}: the smallest detectable effect, {_amount(proposal.quantity, one)} with "
        f"{queries:,} queries ({one.pipeline}), exceeds the margin; about {needed:,} queries would be needed"
    )


def _about(number: float) -> int:
    """Rounded up to two digits."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit


def _over(effect: float | None, margin: float) -> float:
    if effect is None:
        return math.inf
    return effect / margin if margin else 0.0
