"""Two sides under load compared: capacity, and goodput and tails at the highest rate at which both were asked.

Nothing is paired: each side's own scatter, by blocks of time, is in the difference, on a logarithmic scale for tails,
where it is nearly symmetric; p is Wald's. A capacity that is only known to be above or below a rate says in which
direction the difference is at least as large, and decides only what follows from that. Reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

from ragprof.core.quantities import LOAD_RATES, Quantity
from ragprof.report import figures
from ragprof.statistics.estimates import Z
from ragprof.statistics.paired import Effect
from ragprof.studies.load.kept import KeptLoad, KeptStep

ONE_SIDED = "it is not known beyond the rates that were tried"
NO_INTERVAL = "too few requests for an interval; give [load] more seconds"
SMALLEST = 5e-324


@dataclass(frozen=True)
class LoadFinding:
    """An effect, or why there is none; one that is `withheld` has figures and no verdict."""

    effect: Effect | None
    obstacle: str = ""
    withheld: str = ""
    remark: str = ""


def load_figure(side: KeptLoad, name: str) -> float | None:
    """What one side alone found: its capacity, or goodput or a tail at its highest rate."""
    if name == "capacity":
        return side["capacity"]
    step = max(side["steps"], key=lambda each: each["rate"], default=None)
    return None if step is None else step["goodput"] if name == "goodput" else step["tails"].get(name)


def load_interval(side: KeptLoad, name: str) -> tuple[float, float] | None:
    """Its interval; None where there is none."""
    step = max(side["steps"], key=lambda each: each["rate"], default=None)
    found = side["interval"] if name == "capacity" else None
    if name != "capacity" and step is not None:
        found = step["goodput_interval"] if name == "goodput" else step["intervals"].get(name)
    return None if found is None else (float(found[0]), float(found[1]))


def load_withheld(side: KeptLoad, name: str) -> str:
    """Why nothing is to be concluded from it; empty where nothing speaks against it."""
    step = max(side["steps"], key=lambda each: each["rate"], default=None)
    return side["withheld"] if name == "capacity" or step is None else step["withheld"]


def has_load(side: KeptLoad | None, quantity: Quantity) -> bool:
    """Whether a side has a figure of this quantity."""
    return side is not None and load_figure(side, quantity.name) is not None


def load_obstacle(base: KeptLoad, candidate: KeptLoad, quantity: Quantity) -> str:
    """Why both cannot be compared; empty where they can."""
    others = [
        f"[load] {key} is '{base['plan'].get(key)}' and '{value}'"
        for key, value in candidate["plan"].items()
        if base["plan"].get(key) != value
    ]
    if others:
        return "; ".join(others)
    if quantity.name != "capacity" and _at_one_rate(base, candidate) is None:
        rates = [", ".join(f"{each['rate']:.4g}" for each in side["steps"]) or "none" for side in (base, candidate)]
        return f"the sides were asked at other rates ({rates[0]} and {rates[1]} a second); name rates in [load]"
    return ""


def load_finding(base: KeptLoad, candidate: KeptLoad, quantity: Quantity, *, confidence: float) -> LoadFinding:
    """Of two sides that both have the quantity and have no obstacle between them."""
    reach = NormalDist().inv_cdf((1 + confidence) / 2)
    if quantity.name == "capacity":
        withheld = [f"in the {which} {side['withheld']}" for which, side in (("base", base), ("candidate", candidate))
                    if side["withheld"]]  # fmt: skip
        effect = _linear(
            (base["capacity"] or 0.0, base["interval"]), (candidate["capacity"] or 0.0, candidate["interval"]),
            reach=reach, n=min(base["trials"], candidate["trials"]),
        )  # fmt: skip
        return LoadFinding(effect, withheld=" and ".join(withheld) or _one_sided(base, candidate, effect.difference))
    steps = _at_one_rate(base, candidate)
    if steps is None:
        raise TypeError("sides without a common rate have no effect")
    withheld = [f"in the {which} {step['withheld']}" for which, step in zip(("base", "candidate"), steps, strict=True)
                if step["withheld"]]  # fmt: skip
    remark = f"at {figures.three_digits(steps[0]['rate'])} requests a second"
    n = min(each["requests"] for each in steps)
    if quantity.name in LOAD_RATES:
        first, second = ((each["goodput"], each["goodput_interval"]) for each in steps)
        return LoadFinding(_linear(first, second, reach=reach, n=n), withheld=" and ".join(withheld), remark=remark)
    before, after = (float(each["tails"][quantity.name] or 0.0) for each in steps)
    intervals = [each["intervals"][quantity.name] for each in steps]
    if None in intervals or min(before, after) <= 0 or min(each[0] for each in intervals if each) <= 0:
        effect = _effect(before, after, None, None, 0.0, n)
        return LoadFinding(effect, withheld=" and ".join(withheld), remark=f"{remark}; {NO_INTERVAL}")
    error = math.hypot(*(math.log(each[1] / each[0]) / (2 * Z) for each in intervals if each))
    ratio = math.log(after / before)
    span = (before * math.expm1(ratio - reach * error), before * math.expm1(ratio + reach * error))
    p = math.erfc(abs(ratio) / error / math.sqrt(2)) if error else float(ratio == 0)
    effect = _effect(before, after, span, max(p, SMALLEST), error * before, n)
    return LoadFinding(effect, withheld=" and ".join(withheld), remark=remark)


def load_noise(base: KeptLoad, twin: KeptLoad, quantity: Quantity) -> float | None:
    """By what share two equal sides were seen to differ, at the far end of the interval; None where it is not known."""
    if not (has_load(base, quantity) and has_load(twin, quantity)) or load_obstacle(base, twin, quantity):
        return None
    effect = load_finding(base, twin, quantity, confidence=0.95).effect
    if effect is None or effect.relative_interval is None:
        return None
    return max(map(abs, effect.relative_interval))


def _at_one_rate(base: KeptLoad, candidate: KeptLoad) -> tuple[KeptStep, KeptStep] | None:
    """The steps of the highest rate that both have."""
    pairs = [
        (mine, theirs)
        for mine in base["steps"]
        for theirs in candidate["steps"]
        if math.isclose(mine["rate"], theirs["rate"], rel_tol=1e-6)
    ]
    return max(pairs, key=lambda pair: pair[0]["rate"], default=None)


def _one_sided(base: KeptLoad, candidate: KeptLoad, difference: float) -> str:
    """Why a difference of capacities that are bounds decides nothing; empty where it does."""
    if base["status"] == candidate["status"] == "never":
        return "neither side keeps the promise for one request at a time"
    rising = candidate["status"] == "at least" or base["status"] == "at most"
    falling = base["status"] == "at least" or candidate["status"] == "at most"
    if not (rising or falling):
        return ""
    known = (rising and not falling and difference >= 0) or (falling and not rising and difference < 0)
    return "" if known else ONE_SIDED


Known: TypeAlias = tuple[float, Sequence[float] | None]


def _linear(base: Known, candidate: Known, *, reach: float, n: int) -> Effect:
    (before, first), (after, second) = base, candidate
    error = math.hypot(*((ends[1] - ends[0]) / (2 * Z) for ends in (first, second) if ends))
    difference = after - before
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error else (1.0 if difference == 0 else SMALLEST)
    return _effect(before, after, (difference - reach * error, difference + reach * error), max(p, SMALLEST), error, n)


def _effect(
    base: float, candidate: float, interval: tuple[float, float] | None, p: float | None, error: float, n: int
) -> Effect:
    difference = candidate - base
    return Effect(
        base=base, candidate=candidate, difference=difference, interval=interval,
        relative=difference / base if base else None,
        relative_interval=(interval[0] / base, interval[1] / base) if base and interval else None,
        p=p, n=n, standard_error=error, spread_over=n,
    )  # fmt: skip
