"""What a difference amounts to: its margin, the verdict of a comparison, and that of a gate. Computes no statistics.

A difference inside the margin with its whole interval is equivalent; one whose interval excludes 0 and whose p,
corrected over the family, is below alpha is better or worse; any other is undecided. A gate asks for more: a
regression lies beyond the margin with its whole interval and p < alpha, and what holds is within the margin with the
interval's bad end. A margin is never below the noise that the machine was found to have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ragprof.core.quantities import Kind, Quantity
from ragprof.evals import GateMargin

Verdict: TypeAlias = Literal["better", "worse", "equivalent", "undecided", "unpriced", "incomparable", "missing"]
GateVerdict: TypeAlias = Literal["holds", "regression", "undecided", "unpriced", "incomparable"]
Better: TypeAlias = Literal["lower", "higher"]
Clock: TypeAlias = Literal["one job", "two jobs", "two machines"]

ALPHA = 0.05
BETWEEN_JOBS = 0.26
DEFAULTS: dict[Kind, GateMargin] = {
    "quality": GateMargin(absolute=0.01),
    "latency": GateMargin(relative=0.10),
    "usage": GateMargin(relative=0.01),
    "cost": GateMargin(relative=0.02),
}
TWO_JOBS = "the sides were timed in two jobs"
DONE, REGRESSED, INCOMPARABLE, UNDECIDED = 0, 1, 3, 4


@dataclass(frozen=True)
class Tolerance:
    """How much a quantity may differ: the larger of `absolute`, in its unit, and a share of the base's figure.

    `clocked` is the share of that part of a bill that is measured time, where it is another than `relative`; `why` is
    added to what a reader is told.
    """

    absolute: float
    relative: float
    clocked: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Bound:
    """A margin in the quantity's unit, and where it comes from."""

    value: float
    why: str


def default_tolerance(kind: Kind, clock: Clock) -> Tolerance:
    """What compares without a margin of its own. Between jobs 26 % was seen in public CI, within one 0.3 %."""
    margin = DEFAULTS[kind]
    if kind == "latency" and clock != "one job":
        return Tolerance(margin.absolute, BETWEEN_JOBS, None, TWO_JOBS)
    return _with_clock(margin, kind, clock)


def given_tolerance(margin: GateMargin) -> Tolerance:
    """What the user allows, as it is."""
    return Tolerance(margin.absolute, margin.relative)


def gated_tolerance(margin: GateMargin, kind: Kind, clock: Clock) -> Tolerance:
    """What the user allows; never less, for what was not timed in one job, than two jobs may differ by."""
    if kind == "latency" and clock != "one job":
        return Tolerance(margin.absolute, max(margin.relative, BETWEEN_JOBS), None, TWO_JOBS)
    return _with_clock(margin, kind, clock)


def _with_clock(margin: GateMargin, kind: Kind, clock: Clock) -> Tolerance:
    """Of a bill, measured time may differ by more than what is counted; that of two machines is not in the bill."""
    if kind != "cost" or clock != "two jobs":
        return given_tolerance(margin)
    return Tolerance(margin.absolute, margin.relative, max(margin.relative, BETWEEN_JOBS), TWO_JOBS)


def better_of(quantity: Quantity, margin: GateMargin | None = None) -> Better:
    """Which direction is good; the margin may say otherwise than the quantity's kind."""
    if margin is not None and margin.better is not None:
        return margin.better
    return "lower" if quantity.lower_is_better else "higher"


def bound(
    allowed: Tolerance, *, base: float | None, clocked_base: float = 0.0, noise: float | None = None, unit: str = ""
) -> Bound:
    """The margin beside a base's figure; the absolute one alone where there is none. Noise, a share, raises it."""
    found = _absolute(allowed, unit)
    if base is None:
        return found
    relative = _relative(allowed, abs(base), clocked_base)
    if relative.value > found.value:
        found = relative
    if noise is not None and noise * abs(base) > found.value:
        return Bound(noise * abs(base), f"{100 * noise:.3g} % of the base, the noise of this machine")
    return found


def verdict(
    interval: Sequence[float] | None, *, margin: float, p: float | None, better: Better, alpha: float
) -> Verdict:
    """Of a difference (candidate - base) with its interval and its corrected p."""
    if interval is None:
        return "undecided"
    low, high = interval
    if -margin <= low and high <= margin:
        return "equivalent"
    if p is None or p >= alpha or low <= 0 <= high:
        return "undecided"
    return "better" if (high < 0) == (better == "lower") else "worse"


def gate_verdict(
    interval: Sequence[float] | None, *, margin: float, p: float | None, better: Better, alpha: float
) -> GateVerdict:
    """Of a difference (candidate - base) with its interval and its p, corrected over the gates."""
    if interval is None:
        return "undecided"
    low, high = interval if better == "lower" else (-interval[1], -interval[0])
    if high <= margin:
        return "holds"
    return "regression" if low > margin and p is not None and p < alpha else "undecided"


def exit_code(verdicts: Sequence[GateVerdict], *, strict: bool) -> int:
    """1 regression or UNPRICED, 3 incomparable, 4 undecided where that is `strict`, else 0."""
    if "regression" in verdicts or "unpriced" in verdicts:
        return REGRESSED
    if "incomparable" in verdicts:
        return INCOMPARABLE
    return UNDECIDED if strict and "undecided" in verdicts else DONE


def overall(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """The worst of them; what is unpriced fails as a regression does."""
    if "regression" in verdicts or "unpriced" in verdicts:
        return "regression"
    if "incomparable" in verdicts:
        return "incomparable"
    return "undecided" if "undecided" in verdicts else "holds"


def _absolute(allowed: Tolerance, unit: str) -> Bound:
    if not allowed.absolute:
        return Bound(0.0, "no difference is allowed")
    return Bound(allowed.absolute, f"{allowed.absolute:.4g} {unit}".strip())


def _relative(allowed: Tolerance, base: float, clocked_base: float) -> Bound:
    share, tail = f"{100 * allowed.relative:.3g} % of the base", f": {allowed.why}" if allowed.why else ""
    if allowed.clocked is None or not clocked_base:
        return Bound(allowed.relative * base, share + (tail if allowed.clocked is None else ""))
    value = allowed.relative * (base - clocked_base) + allowed.clocked * clocked_base
    return Bound(value, f"{share}, {100 * allowed.clocked:.3g} % of its measured time{tail}")
