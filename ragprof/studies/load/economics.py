"""Money at the promise: whole machines, reserved for the busiest hour, over the questions of a month. Reads no file.

What is paid is the reservation and not the use: n machines, n the smallest whole number that keeps the promise in the
busiest hour of the profile, for all hours of the month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from ragprof.price.databases import HOURS
from ragprof.price.pricing import QUERIES, plain
from ragprof.studies.load.capacity import Capacity
from ragprof.studies.load.section import LoadMoney

OFFICE = 168 / 50
"""All questions of a week within ten hours of five days."""
SECONDS = 3600
MOST_MACHINES = 10_000


@dataclass(frozen=True)
class LoadTraffic:
    """Questions a month, and how much busier the busiest hour is than the mean one."""

    queries_per_month: int
    profile: str
    peak: float
    earned: Decimal | None

    @classmethod
    def of(cls, config: Mapping[str, Any], profile: str, trace_peak: float | None) -> LoadTraffic:
        peaks = {"flat": 1.0, "office": OFFICE, "trace": trace_peak or 1.0}
        earned = (config.get("economics") or {}).get("usd_per_question")
        queries = int((config.get("traffic") or {}).get("queries_per_month") or 1_000_000)
        return cls(queries, profile, peaks[profile], None if earned is None else Decimal(str(earned)))

    @property
    def busiest(self) -> float:
        """Questions a second in the busiest hour."""
        return self.queries_per_month / (HOURS * SECONDS) * self.peak


def busiest_words(peak: float) -> str:
    """For what machines are reserved, by how much busier the busiest hour is than the mean one."""
    return "every hour alike" if peak == 1 else f"the busiest hour, {peak:.3g} times as busy as the mean one"


def money_of(capacity: Capacity, bill: Mapping[str, Any], traffic: LoadTraffic) -> LoadMoney:
    """The bill of a target that keeps the promise; without a capacity, or a price, it says why there is none."""
    besides = bill["other_usd_per_question"]
    other = None if besides is None else Decimal(besides)
    nothing: dict[str, Any] = {
        "usd_per_hour": bill["usd_per_hour"], "rate": bill["rate"], "usd_per_1000_full": None, "usd_per_1000": None,
        "interval": None, "machines": None, "usd_per_month": None, "margin_per_question": None,
        "break_even_per_month": None, "other_usd_per_1000": None if other is None else plain(other * QUERIES),
    }  # fmt: skip
    if capacity.rate is None or capacity.status in ("never", "unknown", "at most"):
        return LoadMoney(**nothing, reason="no rate was found at which the promise is kept")
    if bill["usd_per_hour"] is None:
        return LoadMoney(**nothing, reason=bill["reason"])
    hour = Decimal(bill["usd_per_hour"])
    machines = machines_for(traffic, capacity.rate)
    month = machines * hour * HOURS
    each = month / traffic.queries_per_month
    span = None
    if capacity.interval is not None:
        low, high = (machines_for(traffic, rate) * hour * HOURS / traffic.queries_per_month * QUERIES
                     for rate in reversed(capacity.interval))  # fmt: skip
        span = (plain(low), plain(high))
    margin = None if traffic.earned is None or other is None else traffic.earned - other - each
    found = {
        **nothing,
        "usd_per_1000_full": plain(hour / Decimal(capacity.rate * SECONDS) * QUERIES),
        "usd_per_1000": plain(each * QUERIES),
        "interval": span,
        "machines": machines,
        "usd_per_month": plain(month),
        "margin_per_question": None if margin is None else plain(margin),
        "break_even_per_month": break_even(capacity.rate, hour, other, traffic),
    }
    return LoadMoney(**found, reason="")


def machines_for(traffic: LoadTraffic, rate: float) -> int:
    """Whole machines for the busiest hour, at least one."""
    return max(1, ceil(traffic.busiest / max(rate, 1e-9)))


def break_even(rate: float, hour: Decimal, other: Decimal | None, traffic: LoadTraffic) -> int | None:
    """The smallest monthly volume at which what questions earn pays their machines; None where none does."""
    if traffic.earned is None or other is None:
        return None
    return smallest_volume(rate, hour, traffic.earned - other, traffic.peak)


def smallest_volume(
    rate: float, hour: Decimal, left: Decimal, peak: float, *, fixed: Decimal = Decimal(0)
) -> int | None:
    """The smallest monthly volume at which `left` USD a question pay whole machines and `fixed` USD a month.

    n machines serve up to their capacity in the busiest hour, so it is looked for step by step; None: at no volume.
    """
    most_of_one = rate * HOURS * SECONDS / peak
    if left <= 0 or most_of_one <= 0:
        return None
    machine = hour * HOURS
    if not fixed and machine / left > Decimal(most_of_one):
        return None  # each machine more pays itself as little as the first
    for machines in range(1, MOST_MACHINES + 1):
        needed = ceil((machines * machine + fixed) / left)
        if needed <= machines * most_of_one:
            return max(needed, int((machines - 1) * most_of_one) + (machines > 1))
    return None
