"""`gate --init`: a first [gate] table, from what a recording can tell, written at the end of its eval file.

Margins stand above the noise that the recording measured, which is the spread between its rounds: of a quantile for
latency; for a bill that is partly measured time, that of each stage's mean times its share of the bill. Where a
recording has too few rounds to tell, what was seen between jobs in public CI stands for it. A figure whose rounds
differ by more than the figure itself gets no margin: nothing would ever fail by it.

Beside each margin stands the smallest effect that the recording's queries will tell from none, with power 0.8 and
paired by query: a guess. How much the differences will scatter is taken from the most similar other pipeline of the
recording, else from the pipeline's own scatter and a correlation of 0.8, and said which. For latency it is the
pipeline's own first and last rounds, so such an effect holds within one job. An effect of more than the figure itself
is not given: so few queries tell nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import ValidationError

from ragprof.core import files
from ragprof.core.counting import counted
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
LEAST: dict[Kind, tuple[float, float]] = {
    "quality": (0.01, 0.0), "latency": (0.0, 0.10), "usage": (0.0, 0.02), "cost": (0.0, 0.05),
}  # fmt: skip
"""The least margins that are proposed: absolute and relative."""
MOST_NOISE = 1.0
"""Share of the figure."""
MOST_QUERIES = 100_000
"""A larger number of queries is no plan: nobody judges so many."""
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
    """One line of the table, the same as a sentence, and a warning where so few queries cannot tell the margin.

    `noisy` names the pipeline whose noise set the margin.
    """

    label: str
    noisy: str
    toml: str
    sentence: str
    warning: str


def initial_gate(evidence: SideEvidence, *, alpha: float = 0.05) -> InitialGate:
    """Propose a gate for what the recording holds.

    Raises BadInput for an alpha that no gate takes, and where there is nothing to gate.
    """
    if not 0 < alpha < 0.5:
        raise BadInput(f"alpha lies between 0 and 0.5, not at {alpha}; 0.05 is usual")
    check_figures(evidence)
    queries = tuple(sorted({*evidence.figures["query_id"], *evidence.times["query_id"]}))
    sides = [PipelineSide(evidence, name, queries) for name in evidence.pipelines]
    wanted, left_out = [], []
    for quantity in _quantities(evidence):
        noises = {side: _noise(side, quantity) for side in sides if _has(side, quantity)}
        left_out += [
            f"{quantity.label} of {side.pipeline} is left out: its rounds differ by {noise:.0%}, so no margin could "
            "tell a change from noise; record it again on a quieter machine"
            for side, noise in noises.items()
            if noise is not None and noise > MOST_NOISE
        ]
        if steady := {side: noise for side, noise in noises.items() if noise is None or noise <= MOST_NOISE}:
            wanted.append((quantity, steady))
    gates = sum(len(steady) for _, steady in wanted)
    if not gates:
        raise BadInput(f"'{evidence.label}' holds nothing to gate; record it again with 'ragprof run'")
    proposals = [_proposal(each, steady, alpha=alpha / gates, of=len(sides)) for each, steady in wanted]
    bill = Quantity("cost", "", "").label
    left_out += [
        f"{bill} of {side.pipeline} is UNPRICED: {' '.join(reasons.split())}; name a rate in [prices] to gate it"
        for side in sides
        if (reasons := "; ".join(f"{stage}: {reason}" for stage, reason in side.unpriced.items()))
    ]
    facts, count = evidence.facts, len(sides)
    table = [
        f"# The gate of {facts['eval']}, from the recording of {facts['created']}: "
        f"{counted(facts['queries'], 'query')}, {counted(count, 'pipeline')}, {counted(gates, 'gate')}.",
        "# The smallest detectable effect is what so many queries tell from none in the least sure pipeline, with "
        f"power {POWER}",
        f"# and alpha {alpha:g} shared by all gates; a guess: a change that moves all queries alike shows sooner.",
        "[gate]",
        f"alpha = {alpha:g}",
        "",
        "[gate.quantities]",
        *(proposal.toml for proposal in proposals),
        *(f"# {line}" for line in left_out),
    ]
    said = [*(proposal.sentence for proposal in proposals), *left_out]
    said += [f"warning: {proposal.warning}" for proposal in proposals if proposal.warning]
    if noisy := ", ".join(f"{one.label} ({one.noisy})" for one in proposals if one.noisy):
        said.append(
            f"warning: the noise of one pipeline sets the margin of all in {noisy}; record it again on a quieter "
            "machine, or leave the pipeline out with 'pipelines'"
        )
    if any(quantity.kind == "latency" for quantity, _ in wanted):
        said.append(
            f"warning: latency: this noise was measured within one job; between jobs {BETWEEN_JOBS:.0%} was seen in "
            "public CI, so let 'ragprof gate --against' run both sides in one"
        )
    least = math.ceil(math.log2(2 * gates / alpha))
    if facts["queries"] < least:  # flipping the signs of n differences makes no p below 2 / 2^n
        lack = f"fewer than {least} queries cannot tell any loss over {counted(gates, 'gate')}, however large"
        said.append(f"warning: {lack}; judge more")
    return InitialGate("".join(f"{line}\n" for line in table), tuple(said))


def _quantities(evidence: SideEvidence) -> list[Quantity]:
    """In the order of the table; whether a pipeline has one is asked later."""
    metrics = evidence.facts["metrics"]
    recall = [name for name in metrics[1:] if name.startswith("R@")]
    return [
        *(Quantity("quality", "", name) for name in [*metrics[:1], *recall[:1]]),
        *(Quantity("latency", stage, name) for stage in ("", "rerank") for name in LATENCIES),
        Quantity("usage", "inject", "prompt_tokens"),
        Quantity("usage", "rerank", "docs_scored"),
        Quantity("cost", "", ""),
    ]


def _has(side: PipelineSide, quantity: Quantity) -> bool:
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) and not (quantity.kind == "cost" and side.unpriced)


def _noise(side: PipelineSide, quantity: Quantity) -> float | None:
    """As a share of the figure; None where no clock is in it.

    For latency never less than that of the median, which is better known than the p95's. For a bill the share that is
    measured time, stage by stage, times the spread of that stage's mean.
    """
    if quantity.kind == "latency":
        known = [_spread(side, quantity.stage, level) for level in (QUANTILES["p50"], QUANTILES[quantity.name])]
        known += [] if quantity.stage else [side.evidence.facts["noise"][side.pipeline]]
        return max((float(one) for one in known if one is not None), default=BETWEEN_JOBS)
    clocked = side.evidence.facts["clocked"][side.pipeline]
    if quantity.kind != "cost" or not clocked:
        return None
    means = {cell: float(np.nanmean(values)) for cell, values in side.items(quantity).items()}
    total, noise = sum(means.values()), 0.0
    for stage in clocked if total else ():
        found = _spread(side, stage, None) if stage in side.times else None
        noise += means.get(("cost", stage, MACHINE_TIME), 0.0) / total * (BETWEEN_JOBS if found is None else found)
    return noise if total else None


def _spread(side: PipelineSide, stage: str, level: float | None) -> float | None:
    """(highest - lowest of a round) / that of all, of a quantile, or of the mean where there is no level.

    None below two rounds, and where no time passed.
    """
    rows = side.times[stage or WHOLE]
    tables = [own["duration_ns"] for _, own in rows.groupby("round")]
    *each, whole = (
        float(times.mean()) if level is None else quantile(times[:, None], level)
        for times in (table.to_numpy(dtype=np.float64) for table in (*tables, rows["duration_ns"]))
    )
    return None if len(each) < 2 or whole == 0 else (max(each) - min(each)) / whole


def _proposal(quantity: Quantity, noises: Mapping[PipelineSide, float | None], *, alpha: float, of: int) -> Proposal:
    """`noises` are of the pipelines that are gated, out of so many."""
    kind, items = quantity.kind, {}
    if kind != "latency":
        items = {side.pipeline: side.items(quantity) for side in noises}
    seen = []
    for side, noise in noises.items():
        name = side.pipeline
        if kind == "latency":
            level, table = QUANTILES[quantity.name], rounds_of(side.times[quantity.stage or WHOLE]) / NS_PER_MS
            base, found = (
                quantile(table, level),
                of_quantile(table, level, alpha=alpha, seed=side.evidence.facts["seed"]),
            )
            found = replace(found, effect=None if found.effect is None else found.effect * base)
        else:
            base = sum(float(np.nanmean(values)) for values in items[name].values())
            found = of_means(items[name], {each: items[each] for each in items if each != name}, alpha=alpha)
        if found.effect is not None and 0 < abs(base) <= found.effect:
            what = "a doubling" if quantity.lower_is_better else "the loss of all of it"
            found = Smallest(None, found.queries, f"{counted(found.queries, 'query')} would not tell even {what}")
        seen.append(Seen(name, base, noise, found))
    absolute, relative = margins_over(seen, floor=LEAST[kind][1])
    absolute = LEAST[kind][0] or absolute

    def over_margin(one: Seen) -> float:
        margin = max(absolute, relative * abs(one.base))
        return (one.smallest.effect or 0.0) / margin if margin else 0.0

    # Where the smallest detectable effect is largest beside the margin; one that is not known goes first.
    one = next((each for each in seen if each.smallest.effect is None), None) or max(seen, key=over_margin)
    noisiest, found, excess = max(seen, key=lambda each: each.noise or 0.0), one.smallest, over_margin(one)
    queries, effect = counted(found.queries, "query"), found.effect or 0.0
    amount = f"{effect:.3f}" if kind == "quality" or one.base == 0 else f"{effect / abs(one.base):.1%}"
    warning = ""
    if found.effect is None:
        told = f"no smallest detectable effect is known: {found.rests_on} ({one.pipeline})"
    elif found.effect == 0:
        told = f"any change shows: {found.rests_on} ({queries})"
    else:
        told = f"smallest detectable effect {amount} with {queries} ({one.pipeline}; {found.rests_on})"
    if excess > 1:
        needed = found.queries * excess**2
        unit = int(10 ** max(0, math.floor(math.log10(needed)) - 1))  # rounded up to two digits
        plan = f"about {math.ceil(needed / unit) * unit:,} queries would be needed"
        if needed > MOST_QUERIES:
            plan = f"more than {MOST_QUERIES:,} queries would be needed, so give it a wider margin"
        warning = (
            f"{quantity.label}: the smallest detectable effect, {amount} with {queries} ({one.pipeline}), exceeds the "
            f"margin; {plan}"
        )
    if noisiest.noise is not None:
        told = f"noise {noisiest.noise:.1%} ({noisiest.pipeline}); {told}"
    sizes = {"absolute": absolute, "relative": relative}
    inside = ", ".join(f"{size} = {value:g}" for size, value in sizes.items() if value)
    if len(seen) < of:
        inside += f", pipelines = {json.dumps([each.pipeline for each in seen], ensure_ascii=False)}"
    unit_name = f" {quantity.unit}".rstrip()
    margins = [f"{absolute:g}{unit_name}"] if absolute else []
    margins += [f"{100 * relative:.3g}%"] if relative else []
    return Proposal(
        quantity.label, noisiest.pipeline if relative > LEAST[kind][1] else "",
        f"{json.dumps(quantity.label)} = {{ {inside} }}  # {told}",
        f"{quantity.label}: margin {' or '.join(margins)}; {told}", warning,
    )  # fmt: skip


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
