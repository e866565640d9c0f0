"""A first [gate] table as TOML, with what to print beside it: margins, noise, what can be found, and warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragprof.quantities import Quantity
from ragprof.statistics import POWER
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.proposals import RELATIVE, Proposal, Seen, proposals_of
from ragprof.studies.compare.verdicts import BETWEEN_JOBS


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
