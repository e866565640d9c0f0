"""`gate --init`: a first [gate] table, from what a recording can tell, written at the end of its eval file.

A first [gate] table as TOML, with what to print beside it: margins, noise, what can be found, and warnings.

What a first [gate] holds, from one recording: margins above the noise that it measured, and what its queries see.

Reads one Evidence and knows nothing of a second. Noise is the spread between the rounds of the recording: of a quantile
for latency; for a bill that is partly measured time, that of each stage's mean times its share of the bill. Where a
recording has too few rounds to tell, what was seen between jobs in public CI stands for it.

The smallest effect that a recording's queries will tell from none, guessed before there is anything to compare with.

Power 0.8, paired by query (`power.detectable`). How much the differences will scatter is taken from the most similar
other pipeline of the recording, else from the pipeline's own scatter and a correlation of 0.8, and said which: a guess
either way. For latency it is the pipeline's own first and last rounds, so such an effect holds within one job.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.quantities import LATENCIES, Kind, Quantity
from ragprof.evals import EvalConfig, read_eval
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import QUANTILES, quantile, quantile_draws, rounds_of
from ragprof.statistics.paired import DUST, NS_PER_MS
from ragprof.statistics.power import POWER, detectable, spread
from ragprof.studies.gate.evidence import MACHINE_TIME, WHOLE, Cell, Evidence, PipelineSide, check_figures
from ragprof.studies.gate.sides import read_side
from ragprof.studies.gate.verdicts import BETWEEN_JOBS

ASSUMED_CORRELATION = 0.8
Items: TypeAlias = Mapping[Cell, Array]
"""Values of each item by query, all in one order; NaN where a query has none."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The effect in the unit of what was given, on so many queries; None where nothing can be said, and why."""

    effect: float | None
    queries: int
    rests_on: str


def of_means(own: Items, others: Mapping[str, Items], *, alpha: float) -> Smallest:
    """Of a sum of means, as a metric or a bill is. An item that a whole pipeline lacks is 0 there.

    A pipeline that differs in no query tells nothing of how a changed one would, and is passed by.
    """
    guesses = {name: _smallest(_difference(own, other), alpha) for name, other in others.items()}
    telling = {name: (effect, n) for name, (effect, n) in guesses.items() if effect}
    if telling:
        like = min(telling, key=lambda name: telling[name])
        return Smallest(*telling[like], f"differences from {like}")
    effect, n = _smallest(np.column_stack(list(own.values())), alpha)
    if effect is None:
        return Smallest(None, n, "it was measured on a single query")
    if effect == 0:
        return Smallest(0.0, n, "every query has the same")
    return Smallest(
        effect * math.sqrt(2 * (1 - ASSUMED_CORRELATION)), n, f"assuming a correlation of {ASSUMED_CORRELATION}"
    )


def of_quantile(rounds: Array, level: float, *, alpha: float, seed: int) -> Smallest:
    """Relative: of the log ratio of a quantile of (queries, rounds), first rounds against last, resampled by query."""
    half, n = rounds.shape[1] // 2, len(rounds)
    if half == 0 or n < 2 or (rounds <= 0).any():
        return Smallest(None, n, "two queries in two rounds are needed, each with a time above 0")
    first, last = (quantile_draws(each, [level], seed=seed)[1:] for each in (rounds[:, :half], rounds[:, -half:]))
    sd = float(np.log(last / first).std(ddof=1)) * math.sqrt(n)
    return Smallest(math.expm1(detectable(sd, n, alpha=alpha)), n, "its own first and last rounds")


def _difference(own: Items, other: Items) -> Array:
    nothing = np.zeros(len(next(iter(own.values()))))
    return np.column_stack([own.get(cell, nothing) - other.get(cell, nothing) for cell in {**own, **other}])


def _smallest(table: Array, alpha: float) -> tuple[float | None, int]:
    """(queries, items) -> the smallest effect on the sum of the items' means, and the queries that have any item."""
    known = ~np.isnan(table[:, ~np.isnan(table).all(axis=0)])
    cells = np.where(known, table[:, ~np.isnan(table).all(axis=0)], 0.0)
    n, counts = int(known.any(axis=1).sum()), known.sum(axis=0)
    if n < 2:
        return None, n
    shares = (known * (cells - cells.sum(axis=0) / counts) / counts).sum(axis=1)[known.any(axis=1)]
    effect = detectable(spread(shares * n), n, alpha=alpha)
    return (0.0 if effect <= DUST * float(np.abs(cells).max()) else effect), n


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
    sides = [PipelineSide(evidence, name, queries) for name in evidence.pipelines]
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
    yield from (Quantity("latency", stage, name) for stage in ("", "rerank") for name in LATENCIES)
    yield Quantity("usage", "inject", "prompt_tokens")
    yield Quantity("usage", "rerank", "docs_scored")
    yield Quantity("cost", "", "")


def _has(side: PipelineSide, quantity: Quantity) -> bool:
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) and not (quantity.kind == "cost" and side.unpriced)


def _proposal(quantity: Quantity, sides: Sequence[PipelineSide], *, level: float) -> Proposal:
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


def _counted(quantity: Quantity, sides: Sequence[PipelineSide], level: float) -> Iterator[Seen]:
    """Quality, usage and money: sums of means over queries."""
    items = {side.pipeline: side.items(quantity) for side in sides}
    for side in sides:
        own, others = items[side.pipeline], {name: each for name, each in items.items() if name != side.pipeline}
        means = {(stage, name): float(np.nanmean(values)) for (_, stage, name), values in own.items()}
        noise = _bill_noise(side, means) if quantity.kind == "cost" else None
        yield Seen(side.pipeline, sum(means.values()), noise, of_means(own, others, alpha=level))


def _bill_noise(side: PipelineSide, means: Mapping[tuple[str, str], float]) -> float | None:
    """Share of the bill that is measured time, stage by stage, times the spread of that stage's mean between rounds."""
    clocked, total = side.evidence.facts["clocked"][side.pipeline], sum(means.values())
    if not clocked or total == 0:
        return None
    spreads = {stage: _spread(side.times[stage], np.mean) if stage in side.times else None for stage in clocked}
    shares = {stage: means.get((stage, MACHINE_TIME), 0.0) / total for stage in clocked}
    return sum(shares[stage] * (BETWEEN_JOBS if found is None else found) for stage, found in spreads.items())


def _timed(quantity: Quantity, sides: Sequence[PipelineSide], level: float) -> Iterator[Seen]:
    share = QUANTILES[quantity.name]
    for side in sides:
        table = rounds_of(side.times[quantity.stage or WHOLE]) / NS_PER_MS
        base = quantile(table, share)
        found = of_quantile(table, share, alpha=level, seed=side.evidence.facts["seed"])
        effect = None if found.effect is None else found.effect * base
        yield Seen(side.pipeline, base, _latency_noise(side, quantity), replace(found, effect=effect))


def _latency_noise(side: PipelineSide, quantity: Quantity) -> float:
    """Spread between rounds of the quantile itself, and never less than that of the median, which is better known."""
    rows = side.times[quantity.stage or WHOLE]
    spreads = [_spread(rows, partial(_quantile, level=QUANTILES[name])) for name in ("p50", quantity.name)]
    known = [*spreads, None if quantity.stage else side.evidence.facts["noise"][side.pipeline]]
    return max((float(one) for one in known if one is not None), default=BETWEEN_JOBS)


def _quantile(times: Array, level: float) -> float:
    return quantile(times[:, None], level)


def _spread(rows: pd.DataFrame, figure: Callable[[Array], float]) -> float | None:
    """(highest - lowest of a round) / that of all; None below two rounds, and where no time passed."""
    each = [float(figure(own.to_numpy(dtype=np.float64))) for _, own in rows.groupby("round")["duration_ns"]]
    whole = float(figure(rows["duration_ns"].to_numpy(dtype=np.float64)))
    return None if len(each) < 2 or whole == 0 else (max(each) - min(each)) / whole


def _over(effect: float | None, margin: float) -> float:
    if effect is None:
        return math.inf
    return effect / margin if margin else 0.0


@dataclass(frozen=True, slots=True)
class InitialGate:
    """`toml` is the [gate] table, `lines` what to print with it: a sentence a quantity, warnings after them."""

    toml: str
    lines: tuple[str, ...]


def initial_gate(evidence: Evidence, *, alpha: float = 0.05) -> InitialGate:
    """Propose a gate for what the recording holds. Raises as `proposals_of` does."""
    found = proposals_of(evidence, alpha=alpha)
    unpriced = _unpriced(found.unpriced)
    table = [*_head(evidence, found.gates, alpha), *map(_toml_line, found.lines), *(f"# {line}" for line in unpriced)]
    warnings = [*_warnings(found.lines), *_too_few(evidence, found.gates, alpha)]
    return InitialGate(
        toml="".join(f"{line}\n" for line in table), lines=(*map(_sentence, found.lines), *unpriced, *warnings)
    )


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


def _unpriced(reasons: Mapping[str, Mapping[str, str]]) -> list[str]:
    label = Quantity("cost", "", "").label
    return [
        f"{label} of {pipeline} is UNPRICED: {_one_line(why)}; name a rate in [prices] to gate it"
        for pipeline, why in reasons.items()
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
            f"warning: latency: this noise was measured within one job; between jobs {BETWEEN_JOBS:.0%} was seen in "
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


def propose(eval_file: str | Path, *, recording: str | Path | None = None) -> InitialGate:
    """Write a [gate] into an eval file, from a recording of it (default: reports/<name>), and return what it says.

    Raises BadInput where the file has one already, or where the recording is of another eval.
    """
    path = Path(eval_file)
    config = read_eval(path)
    if config.gate.quantities:
        raise BadInput("it has [gate.quantities] already; edit them, or take them out first", file=path)
    side = read_side(Path("reports") / config.name if recording is None else recording)
    if side.facts["eval"] != config.name:
        raise BadInput(
            f"'{side.label}' is a recording of '{side.facts['eval']}', not of '{config.name}'; run 'ragprof run' first",
            file=path,
        )
    proposal = initial_gate(side, alpha=config.gate.alpha)
    text = _writable_text(path)
    if re.search(r"^\s*\[\s*gate\s*[\].]", text, re.MULTILINE):
        raise BadInput("it has a [gate] table without quantities; take it out and run this again", file=path)
    whole = f"{text.rstrip()}\n\n{proposal.toml}"
    _check_toml(whole, path)
    mode = stat.S_IMODE(path.stat().st_mode)
    files.write_text(path, whole.replace("\n", "\r\n") if b"\r\n" in path.read_bytes() else whole)
    path.chmod(mode)
    return proposal


def _writable_text(path: Path) -> str:
    """What is in it, line ends as in Python. Raises BadInput where it may not be written, which a rename would be."""
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise BadInput("it is read-only; allow writing to it (chmod u+w), so that [gate] can be added", file=path)
    return path.read_text(encoding="utf-8-sig")


def _check_toml(text: str, path: Path) -> None:
    """What will be written can be read again."""
    try:
        EvalConfig.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as failure:
        raise BadInput(f"a [gate] cannot be added to it ({failure}); write one by hand", file=path) from None
