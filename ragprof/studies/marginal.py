"""The point where one more chunk costs more than it brings. Reads no file.

Going up from the smallest k, a larger k is worth it when its paired gain in correct answers over the last k that was
worth it is told from 0: the whole 95 % interval is above 0 and the sign-flip test agrees (p < 0.05; where few questions
change, the bootstrap alone is told too early). The comparison is with that k and not with the one before, so that
several small steps add up until together they are told; nor is it with the smallest k, so that a gain made early is not
counted twice. Where the eval says what a correct answer is worth, value x gain - added cost a question takes the gain's
place (the cost at its mean, since its scatter is small beside that of right and wrong).

The last k that was worth it is told when any was, or when every larger k is told in the same way to bring less than it
costs. Otherwise the study is undecided: absence of a told gain is not a told absence. No correction is made for the
number of steps: with many of them one in twenty may be told by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ragprof.price.pricing import QUERIES, plain
from ragprof.statistics import more_queries_needed, paired_p
from ragprof.studies.answer_bills import Bill, added_usd
from ragprof.studies.quality import ALPHA
from ragprof.studies.query_draws import estimated, gained


@dataclass(frozen=True)
class Setting:
    """What was found with k chunks: `correct`, `f1` and the timed `first_token_ns` by query_id, and the bill."""

    k: int
    correct: pd.Series
    f1: pd.Series
    first_token_ns: pd.Series
    bill: Bill | None


@dataclass(frozen=True)
class Weighing:
    """One k against another: the gain in correct answers, and what is left of it after its price.

    `told`: the net gain is told from 0, above or below.
    """

    setting: Setting
    baseline_k: int
    gain: Mapping[str, Any]
    net: Mapping[str, Any]
    told: bool
    more: int | None

    @property
    def is_worth_it(self) -> bool:
        return self.told and self.net["mean"] > 0

    @property
    def is_worthless(self) -> bool:
        return self.told and self.net["mean"] < 0


def marginal(name: str, settings: list[Setting], *, value_usd: float | None, seed: int) -> dict[str, Any]:
    """The `marginal` of one pipeline, from settings of rising k. `value_usd` is what a correct answer is worth."""
    steps = [_step(before, after, seed) for before, after in pairwise(settings)]
    best, reached, told = last_worthwhile(settings, value_usd=value_usd, seed=seed)
    return {
        "steps": steps,
        "last_worthwhile_k": best.k if told else None,
        "status": "told" if told else "undecided",
        "usd_per_correct_answer": value_usd,
        "statement": f"{name}: {_statement(settings, best, reached, told=told, value_usd=value_usd, seed=seed)}",
    }


def last_worthwhile(
    settings: list[Setting], *, value_usd: float | None, seed: int
) -> tuple[Setting, Weighing | None, bool]:
    """The last k that is worth it, how it was weighed against the one before it, and whether that is told."""
    best, reached = settings[0], None
    for setting in settings[1:]:
        weighed = weigh(setting, best, value_usd=value_usd, seed=seed)
        if weighed.is_worth_it:
            best, reached = setting, weighed
    if reached is not None:
        return best, reached, True
    larger = settings[1:]
    worthless = (weigh(each, best, value_usd=value_usd, seed=seed).is_worthless for each in larger)
    return best, None, bool(larger) and all(worthless)


def weigh(candidate: Setting, baseline: Setting, *, value_usd: float | None, seed: int) -> Weighing:
    """Candidate against baseline; an unpriced bill makes the net gain in money unknown."""
    gains = gained(candidate.correct, baseline.correct)
    gain = estimated(gains, seed=seed)
    added = Decimal(0) if value_usd is None else added_usd(candidate.bill, baseline.bill)
    if added is None:
        return Weighing(candidate, baseline.k, gain, {"mean": None, "interval": None, "n": 0}, False, None)
    nets = gains if value_usd is None else gains * value_usd - float(added)
    net = estimated(nets, seed=seed)
    return Weighing(candidate, baseline.k, gain, net, _is_told(nets, net["interval"], seed), more_queries_needed(nets))


def _is_told(nets: pd.Series, interval: list[float] | None, seed: int) -> bool:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return False
    return paired_p(nets, np.zeros(len(nets)), seed=seed) < ALPHA


def _step(before: Setting, after: Setting, seed: int) -> dict[str, Any]:
    gain = estimated(gained(after.correct, before.correct), seed=seed)
    added = added_usd(after.bill, before.bill)
    price, interval = _extra_correct(added, gain)
    return {
        "from_k": before.k,
        "to_k": after.k,
        "correct_gain": gain,
        "f1_gain": estimated(gained(after.f1, before.f1), seed=seed),
        "added_usd_per_1000": None if added is None else plain(added * QUERIES),
        "added_first_token_ns": estimated(gained(after.first_token_ns, before.first_token_ns), seed=seed),
        "usd_per_extra_correct": price,
        "usd_per_extra_correct_interval": interval,
    }


def _extra_correct(added: Decimal | None, gain: Mapping[str, Any]) -> tuple[str | None, list[str | None] | None]:
    """USD of one more correct answer, where there are more and they cost more; open above where the gain is not told.

    The interval is that of the gain, at the mean added cost.
    """
    if added is None or added <= 0 or gain["mean"] is None or gain["mean"] <= 0:
        return None, None
    price = plain(added / Decimal(repr(gain["mean"])))
    if gain["interval"] is None:
        return price, None
    low, high = gain["interval"]
    dearest = plain(added / Decimal(repr(low))) if low > 0 else None
    return price, [plain(added / Decimal(repr(high))), dearest]


def _statement(
    settings: list[Setting],
    best: Setting,
    reached: Weighing | None,
    *,
    told: bool,
    value_usd: float | None,
    seed: int,
) -> str:
    if len(settings) < 2:
        return f"only k = {settings[0].k} was recorded, so nothing can be said of one more chunk."
    most = weigh(settings[-1], settings[0], value_usd=value_usd, seed=seed)
    if not most.gain["n"]:
        return "no question has a gold answer, so nothing can be said of one more chunk."
    worth = "" if value_usd is None else f" with a correct answer worth ${value_usd:g}"
    if reached is not None:
        last = "" if best.k == settings[-1].k else "; beyond that no gain is told"
        return f"more chunks are worth it up to k = {best.k}{worth} ({_change(reached)}){last}."
    if told:
        return f"more chunks than k = {best.k} bring no more than they cost{worth} ({_change(most)})."
    if not most.net["n"]:
        return f"something is unpriced, so what more than k = {best.k} chunks are worth is not known ({_change(most)})."
    more = f"; about {most.more:,} more questions would tell" if most.more else ""
    return f"whether more than k = {best.k} chunks are worth it{worth} is undecided ({_change(most)}{more})."


def _change(weighed: Weighing) -> str:
    gain = weighed.gain
    ends = gain["interval"]
    interval = "" if ends is None else f"95 % interval {100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}, "
    return (
        f"from k = {weighed.baseline_k} to {weighed.setting.k} the share of correct answers changes by "
        f"{100 * gain['mean']:+.1f} points, {interval}n = {gain['n']}"
    )
