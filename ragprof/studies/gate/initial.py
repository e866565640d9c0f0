"""`gate --init`: a first [gate] table, from what a recording can tell, written at the end of its eval file.

Margins stand above the noise that the recording measured, which is the spread between its rounds: of a quantile for
latency; for a bill that is partly measured time, that of each stage's mean times its share of the bill. Where a
recording has too few rounds to tell, what was seen between jobs in public CI stands for it.

Beside each margin stands the smallest effect that the recording's queries will tell from none, with power 0.8 and
paired by query: a guess. How much the differences will scatter is taken from the most similar other pipeline of the
recording, else from the pipeline's own scatter and a correlation of 0.8, and said which. For latency it is the
pipeline's own first and last rounds, so such an effect holds within one job.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from ragprof.studies.gate.evidence import MACHINE_TIME, WHOLE, Cell, PipelineSide, SideEvidence, check_figures
from ragprof.studies.gate.sides import read_side
from ragprof.studies.gate.verdicts import BETWEEN_JOBS

ASSUMED_CORRELATION = 0.8
ABSOLUTE: dict[Kind, float] = {"quality": 0.01, "latency": 0.0, "usage": 0.0, "cost": 0.0}
RELATIVE: dict[Kind, float] = {"quality": 0.0, "latency": 0.10, "usage": 0.02, "cost": 0.05}
"""The least margins that are proposed."""
Items: TypeAlias = Mapping[Cell, Array]
"""Values of each item by query, all in one order; NaN where a query has none."""


@dataclass(frozen=True, slots=True)
class InitialGate:
    """`toml` is the [gate] table, `lines` what to print with it: a sentence a quantity, warnings after them."""

    toml: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Smallest:
    """The effect in the unit of what was given, on so many queries; None where nothing can be said, and why."""

    effect: float | None
    queries: int
    rests_on: str


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

    @property
    def noisiest(self) -> Seen:
        return max(self.seen, key=lambda one: one.noise or 0.0)

    @property
    def blindest(self) -> Seen:
        """Where the smallest detectable effect is largest beside the margin; one that is not known goes first."""
        known = [one for one in self.seen if one.smallest.effect is None]
        return known[0] if known else max(self.seen, key=self._over_margin)

    def _over_margin(self, one: Seen) -> float:
        margin = max(self.absolute, self.relative * abs(one.base))
        return (one.smallest.effect or 0.0) / margin if margin else 0.0

    @property
    def toml(self) -> str:
        sizes = {"absolute": self.absolute, "relative": self.relative}
        inside = ", ".join(f"{name} = {size:g}" for name, size in sizes.items() if size)
        if not self.everywhere:
            names = json.dumps([one.pipeline for one in self.seen], ensure_ascii=False)
            inside = f"{inside}, pipelines = {names}"
        return f"{json.dumps(self.quantity.label)} = {{ {inside} }}  # {self._told()}"

    @property
    def sentence(self) -> str:
        unit = f" {self.quantity.unit}".rstrip()
        absolute = [f"{self.absolute:g}{unit}"] if self.absolute else []
        relative = [f"{100 * self.relative:.3g}%"] if self.relative else []
        return f"{self.quantity.label}: margin {' or '.join([*absolute, *relative])}; {self._told()}"

    @property
    def warning(self) -> str:
        """Where the smallest detectable effect exceeds the margin: how many queries would be needed. Else empty."""
        one, excess = self.blindest, self._over_margin(self.blindest)
        if one.smallest.effect is None or excess <= 1:
            return ""
        queries = one.smallest.queries
        needed = queries * excess**2
        unit = int(10 ** max(0, math.floor(math.log10(needed)) - 1))  # rounded up to two digits
        return (
            f"warning: {self.quantity.label}: the smallest detectable effect, {self._amount(one)} with {queries:,} "
            f"queries ({one.pipeline}), exceeds the margin; about {math.ceil(needed / unit) * unit:,} queries would be "
            "needed"
        )

    def _told(self) -> str:
        """The noise, where there is a clock, and the smallest effect."""
        noisiest, one = self.noisiest, self.blindest
        found, queries = one.smallest, f"{one.smallest.queries:,} queries"
        noise = "" if noisiest.noise is None else f"noise {noisiest.noise:.1%} ({noisiest.pipeline}); "
        if found.effect == 0:
            return f"{noise}any change shows: {found.rests_on} ({queries})"
        if found.effect is None:
            return f"{noise}no smallest detectable effect is known: {found.rests_on} ({one.pipeline})"
        effect = f"smallest detectable effect {self._amount(one)} with {queries}"
        return f"{noise}{effect} ({one.pipeline}; {found.rests_on})"

    def _amount(self, one: Seen) -> str:
        effect = one.smallest.effect or 0.0
        if self.quantity.kind == "quality" or one.base == 0:
            return f"{effect:.3f}"
        return f"{effect / abs(one.base):.1%}"


def initial_gate(evidence: SideEvidence, *, alpha: float = 0.05) -> InitialGate:
    """Propose a gate for what the recording holds.

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
    proposals = [_proposal(one, having, alpha=alpha / gates) for one, having in wanted]
    bill = Quantity("cost", "", "").label
    unpriced = [
        f"{bill} of {side.pipeline} is UNPRICED: {' '.join(reasons.split())}; name a rate in [prices] to gate it"
        for side in sides
        if (reasons := "; ".join(f"{stage}: {reason}" for stage, reason in side.unpriced.items()))
    ]
    facts, count = evidence.facts, len(sides)
    table = [
        f"# The gate of {facts['eval']}, from the recording of {facts['created']}: {facts['queries']:,} queries, "
        f"{count} {'pipeline' if count == 1 else 'pipelines'}, {gates} gates.",
        "# The smallest detectable effect is what so many queries tell from none in the least sure pipeline, with "
        f"power {POWER}",
        f"# and alpha {alpha:g} shared by all gates; a guess: a change that moves all queries alike shows sooner.",
        "[gate]",
        f"alpha = {alpha:g}",
        "",
        "[gate.quantities]",
        *(proposal.toml for proposal in proposals),
        *(f"# {line}" for line in unpriced),
    ]
    said = [*(proposal.sentence for proposal in proposals), *unpriced, *_warnings(proposals)]
    least = math.ceil(math.log2(2 * gates / alpha))
    if facts["queries"] < least:  # flipping the signs of n differences makes no p below 2 / 2^n
        lack = f"fewer than {least} queries cannot tell any loss over {gates} gates, however large"
        said.append(f"warning: {lack}; judge more")
    return InitialGate("".join(f"{line}\n" for line in table), tuple(said))


def _quantities(evidence: SideEvidence) -> Iterator[Quantity]:
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


def _warnings(proposals: Sequence[Proposal]) -> Iterator[str]:
    yield from (proposal.warning for proposal in proposals if proposal.warning)
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


def _proposal(quantity: Quantity, sides: Sequence[PipelineSide], *, alpha: float) -> Proposal:
    items = {side.pipeline: side.items(quantity) for side in sides} if quantity.kind != "latency" else {}
    seen = []
    for side in sides:
        if quantity.kind == "latency":
            # The noise is that of the quantile itself, and never less than that of the median, which is better known.
            level, table = QUANTILES[quantity.name], rounds_of(side.times[quantity.stage or WHOLE]) / NS_PER_MS
            base, facts = quantile(table, level), side.evidence.facts
            found = of_quantile(table, level, alpha=alpha, seed=facts["seed"])
            effect = None if found.effect is None else found.effect * base
            spreads = [_spread(side, quantity.stage, level=each) for each in (QUANTILES["p50"], level)]
            known = [*spreads, None if quantity.stage else facts["noise"][side.pipeline]]
            noise = max((float(one) for one in known if one is not None), default=BETWEEN_JOBS)
            seen.append(Seen(side.pipeline, base, noise, replace(found, effect=effect)))
            continue
        own, others = items[side.pipeline], {name: each for name, each in items.items() if name != side.pipeline}
        means = {(stage, name): float(np.nanmean(values)) for (_, stage, name), values in own.items()}
        clocked = _bill_noise(side, means) if quantity.kind == "cost" else None
        seen.append(Seen(side.pipeline, sum(means.values()), clocked, of_means(own, others, alpha=alpha)))
    absolute, relative = margins_over(seen, floor=RELATIVE[quantity.kind])
    everywhere = len(seen) == len(sides[0].evidence.pipelines)
    return Proposal(quantity, ABSOLUTE[quantity.kind] or absolute, relative, tuple(seen), everywhere)


def _bill_noise(side: PipelineSide, means: Mapping[tuple[str, str], float]) -> float | None:
    """Share of the bill that is measured time, stage by stage, times the spread of that stage's mean between rounds."""
    clocked, total = side.evidence.facts["clocked"][side.pipeline], sum(means.values())
    if not clocked or total == 0:
        return None
    noise = 0.0
    for stage in clocked:
        found = _spread(side, stage, level=None) if stage in side.times else None
        noise += means.get((stage, MACHINE_TIME), 0.0) / total * (BETWEEN_JOBS if found is None else found)
    return noise


def _spread(side: PipelineSide, stage: str, *, level: float | None) -> float | None:
    """(highest - lowest of a round) / that of all, of a quantile, or of the mean where there is no level.

    None below two rounds, and where no time passed.
    """
    rows = side.times[stage or WHOLE]

    def figure(durations: pd.Series) -> float:
        times = durations.to_numpy(dtype=np.float64)
        return float(times.mean()) if level is None else quantile(times[:, None], level)

    each = [figure(own) for _, own in rows.groupby("round")["duration_ns"]]
    whole = figure(rows["duration_ns"])
    return None if len(each) < 2 or whole == 0 else (max(each) - min(each)) / whole


def margins_over(seen: Sequence[Seen], *, floor: float) -> tuple[float, float]:
    """An absolute and a relative margin, of which the larger is nowhere below the noise, and which are tight together.

    A pipeline that takes a millisecond is noisy in per cent and not in milliseconds: the absolute margin covers it,
    and the relative one of the slow pipelines stays small. Tight is the smallest mean logarithm of margin over figure,
    to a tenth; among those that are as tight, the smallest absolute margin.
    """

    def up(number: float) -> float:
        """Rounded up to two digits, so that it covers what it was made of."""
        unit = 10.0 ** (math.floor(math.log10(number)) - 1)
        return float(f"{math.ceil(number / unit - 1e-9) * unit:.6g}")

    def looseness(option: tuple[float, float]) -> float:
        absolute, share = option
        sizes = [max(absolute / abs(one.base), share) for one in seen if one.base and share]
        return round(sum(map(math.log, sizes)) / len(seen), 1)

    noisy = [(one.noise, one.noise * abs(one.base)) for one in seen if one.noise is not None]
    options = []
    for share in sorted({floor, *(up(noise) for noise, _ in noisy if noise > floor)}):
        above = [size for noise, size in noisy if noise > share]
        options.append((up(max(above)) if above else 0.0, share))
    return min(options, key=lambda option: (looseness(option), option))


def of_means(own: Items, others: Mapping[str, Items], *, alpha: float) -> Smallest:
    """Of a sum of means, as a metric or a bill is. An item that a whole pipeline lacks is 0 there.

    A pipeline that differs in no query tells nothing of how a changed one would, and is passed by.
    """
    nothing = np.zeros(len(next(iter(own.values()))))
    telling: dict[str, tuple[float, int]] = {}
    for name, other in others.items():
        columns = [own.get(cell, nothing) - other.get(cell, nothing) for cell in {**own, **other}]
        effect, n = _smallest(np.column_stack(columns), alpha)
        if effect:
            telling[name] = effect, n
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


def _smallest(table: Array, alpha: float) -> tuple[float | None, int]:
    """(queries, items) -> the smallest effect on the sum of the items' means, and the queries that have any item."""
    table = table[:, ~np.isnan(table).all(axis=0)]
    known = ~np.isnan(table)
    cells = np.where(known, table, 0.0)
    n, counts = int(known.any(axis=1).sum()), known.sum(axis=0)
    if n < 2:
        return None, n
    shares = (known * (cells - cells.sum(axis=0) / counts) / counts).sum(axis=1)[known.any(axis=1)]
    effect = detectable(spread(shares * n), n, alpha=alpha)
    return (0.0 if effect <= DUST * float(np.abs(cells).max()) else effect), n


def of_quantile(rounds: Array, level: float, *, alpha: float, seed: int) -> Smallest:
    """Relative: of the log ratio of a quantile of (queries, rounds), first rounds against last, resampled by query."""
    half, n = rounds.shape[1] // 2, len(rounds)
    if half == 0 or n < 2 or (rounds <= 0).any():
        return Smallest(None, n, "two queries in two rounds are needed, each with a time above 0")
    first, last = (quantile_draws(each, [level], seed=seed)[1:] for each in (rounds[:, :half], rounds[:, -half:]))
    sd = float(np.log(last / first).std(ddof=1)) * math.sqrt(n)
    return Smallest(math.expm1(detectable(sd, n, alpha=alpha)), n, "its own first and last rounds")


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
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):  # writing is a rename, which would go through
        raise BadInput("it is read-only; allow writing to it (chmod u+w), so that [gate] can be added", file=path)
    text = path.read_text(encoding="utf-8-sig")
    if re.search(r"^\s*\[\s*gate\s*[\].]", text, re.MULTILINE):
        raise BadInput("it has a [gate] table without quantities; take it out and run this again", file=path)
    whole = f"{text.rstrip()}\n\n{proposal.toml}"
    try:
        EvalConfig.model_validate(tomllib.loads(whole))  # what will be written can be read again
    except (tomllib.TOMLDecodeError, ValidationError) as failure:
        raise BadInput(f"a [gate] cannot be added to it ({failure}); write one by hand", file=path) from None
    mode = stat.S_IMODE(path.stat().st_mode)
    files.write_text(path, whole.replace("\n", "\r\n") if b"\r\n" in path.read_bytes() else whole)
    path.chmod(mode)
    return proposal
