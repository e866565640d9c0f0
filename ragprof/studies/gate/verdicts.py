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
from ragprof.report import figures
from ragprof.studies.gate.document import Better, GateVerdict, Interval, QuantityRow, Verdict

Clock: TypeAlias = Literal["one job", "two jobs", "two machines"]
"""Whose clock both sides were timed by."""

ALPHA = 0.05
BETWEEN_JOBS = 0.26
"""By how much two jobs of public CI differ on the same code; two halves of one job by 0.3 % (docs/ci.md, Measured)."""
DEFAULTS: dict[Kind, GateMargin] = {
    "quality": GateMargin(absolute=0.01),
    "latency": GateMargin(relative=0.10),
    "usage": GateMargin(relative=0.01),
    "cost": GateMargin(relative=0.02),
    "load": GateMargin(relative=0.10),
}
TWO_JOBS = "the sides were timed in two jobs"
REGRESSED, INCOMPARABLE, UNDECIDED = 1, 3, 4
"""Exit codes."""


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


def given_tolerance(margin: GateMargin) -> Tolerance:
    """What the user allows, as it is."""
    return Tolerance(margin.absolute, margin.relative)


def clocked_tolerance(margin: GateMargin, kind: Kind, clock: Clock) -> Tolerance:
    """What is allowed; never less, for what was not timed in one job, than two jobs may differ by.

    Of a bill, that is true of its measured time alone; the time of two machines is not in the bill.
    """
    between = max(margin.relative, BETWEEN_JOBS)
    if kind in ("latency", "load") and clock != "one job":
        return Tolerance(margin.absolute, between, None, TWO_JOBS)
    if kind == "cost" and clock == "two jobs":
        return Tolerance(margin.absolute, margin.relative, between, TWO_JOBS)
    return given_tolerance(margin)


def better_of(quantity: Quantity, margin: GateMargin | None = None) -> Better:
    """Which direction is good; the margin may say otherwise than the quantity's kind."""
    if margin is not None and margin.better is not None:
        return margin.better
    return "lower" if quantity.lower_is_better else "higher"


def bound(
    allowed: Tolerance, *, base: float | None, clocked_base: float = 0.0, noise: float | None = None, unit: str = ""
) -> Bound:
    """The margin beside a base's figure; the absolute one alone where there is none. Noise, a share, raises it."""
    found = Bound(0.0, "no difference is allowed")
    if allowed.absolute:
        found = Bound(allowed.absolute, f"{allowed.absolute:.4g} {unit}".strip())
    if base is None:
        return found
    share, why = f"{100 * allowed.relative:.3g} % of the base", f": {allowed.why}" if allowed.why else ""
    relative = Bound(allowed.relative * abs(base), share + (why if allowed.clocked is None else ""))
    if allowed.clocked is not None and clocked_base:
        value = allowed.relative * (abs(base) - clocked_base) + allowed.clocked * clocked_base
        relative = Bound(value, f"{share}, {100 * allowed.clocked:.3g} % of its measured time{why}")
    if relative.value > found.value:
        found = relative
    if noise is not None and noise * abs(base) > found.value:
        return Bound(noise * abs(base), f"{100 * noise:.3g} % of the base, the noise of this machine")
    return found


def verdict(interval: Interval | None, *, margin: float, p: float | None, better: Better, alpha: float) -> Verdict:
    """Of a difference (candidate - base) with its interval and its corrected p."""
    if interval is None:
        return "undecided"
    low, high = interval
    if -margin <= low and high <= margin:
        return "equivalent"
    if p is None or p >= alpha or low <= 0 <= high:
        return "undecided"
    return "better" if (high < 0) == (better == "lower") else "worse"


def correction(told: str, interval: Interval | None, *, p: float | None, family: int) -> str:
    """Why a difference is undecided though its interval excludes 0: p is corrected, the interval is not; else empty."""
    if told != "undecided" or family < 2:
        return ""
    words = figures.not_significant(interval, p, family)
    return "" if words == figures.NOT_SIGNIFICANT else words


def gate_correction(told: str, row: QuantityRow, *, family: int) -> str:
    """The same of a gate that is undecided though its whole interval is worse than its margin."""
    if row.interval is None:
        return ""
    low, high = row.interval if row.better == "lower" else (-row.interval[1], -row.interval[0])
    return correction(told, (low - row.margin, high - row.margin), p=row.p_holm, family=family)


def gate_verdict(
    interval: Interval | None, *, margin: float, p: float | None, better: Better, alpha: float
) -> GateVerdict:
    """Of a difference (candidate - base) with its interval and its p, corrected over the gates."""
    if interval is None:
        return "undecided"
    low, high = interval if better == "lower" else (-interval[1], -interval[0])
    if high <= margin:
        return "holds"
    return "regression" if low > margin and p is not None and p < alpha else "undecided"


def overall(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """The worst of them; what is unpriced fails as a regression does."""
    if "regression" in verdicts or "unpriced" in verdicts:
        return "regression"
    if "incomparable" in verdicts:
        return "incomparable"
    return "undecided" if "undecided" in verdicts else "holds"


def exit_code(verdicts: Sequence[GateVerdict], *, strict: bool) -> int:
    """1 regression or UNPRICED, 3 incomparable, 4 undecided where that is `strict`, else 0."""
    codes = {"regression": REGRESSED, "incomparable": INCOMPARABLE, "undecided": UNDECIDED if strict else 0}
    return codes.get(overall(verdicts), 0)
