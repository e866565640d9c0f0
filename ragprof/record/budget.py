"""How the seconds of a [timing] are shared out: how many queries each pipeline warms up with and answers in a round.

The stated seconds hold warm-up, all rounds and the queries that are asked bare. They are shared in proportion to the
square root of what a query takes, which makes the sum of the variances smallest that can be had for the time (Neyman,
On the two different aspects of the representative method, J. R. Stat. Soc. 97, 1934): fast pipelines answer more
queries, slow ones get more of the time. What fast ones leave, since there are no more queries, goes to slow ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from ragprof.evals import Timing
from ragprof.report import figures
from ragprof.statistics.estimates import FEWEST

FEWEST_TIMED = 6
"""Queries that a pipeline answers in each round whatever they take, unless fewer are wished for. Of five, all lie on
one side of the true median in one recording of 16, so that no interval around it could reach 95 %."""
WARM_UP = 0.1
"""Share of the time after which no further query warms up."""
LONGER, STEP_S = 1.05, 5
"""Seconds that would be enough are looked for in steps of a factor, and told in whole multiples."""


def warm_up_ns(timing: Timing, pipelines: int) -> int:
    """Return the ns, at least 1, after which a pipeline has warmed up, however few queries that were."""
    return max(1, round(timing.seconds * 1e9 * WARM_UP / pipelines))


def warm_ups(duration_ns: int, timing: Timing, pipelines: int) -> int:
    """Return how many queries of this duration a pipeline warms up with, at least one."""
    return max(1, min(timing.warmup, ceil(warm_up_ns(timing, pipelines) / max(1, duration_ns))))


def shares(
    durations_ns: Mapping[str, int], available: int, timing: Timing, *, asked: int, warmed: int = 1
) -> dict[str, int]:
    """Return how many queries each pipeline answers in a round, by name.

    `asked` is how often it answers each of them: in every round, and bare where that is done; `warmed` how often it
    warms up. Never more than are `available`, never fewer than FEWEST_TIMED or `timing.min_queries`, whichever is less,
    even where that takes longer.
    """
    fewest = min(FEWEST_TIMED, timing.min_queries)
    left = timing.seconds * 1e9
    left -= sum(each * warmed * warm_ups(each, timing, len(durations_ns)) for each in durations_ns.values())
    weights = {name: sqrt(max(1, each)) for name, each in durations_ns.items()}
    counts: dict[str, int] = {}
    # The fastest first: what it cannot use goes to those that follow.
    for name in sorted(durations_ns, key=durations_ns.__getitem__):
        one_ns = asked * max(1, durations_ns[name])
        share = left * weights[name] / sum(weight for other, weight in weights.items() if other not in counts)
        counts[name] = min(available, max(fewest, int(share / one_ns)))
        left = max(0.0, left - counts[name] * one_ns)
    return counts


def taken_s(
    counts: Mapping[str, int], durations_ns: Mapping[str, int], timing: Timing, *, asked: int, warmed: int = 1
) -> float:
    """Return the seconds of warm-up and rounds in which pipelines answer so many queries."""
    pipelines = len(durations_ns)
    return sum(
        durations_ns[name] * (count * asked + warmed * warm_ups(durations_ns[name], timing, pipelines)) / 1e9
        for name, count in counts.items()
    )


@dataclass(frozen=True, kw_only=True)
class FewTimed:
    """Pipelines that answered fewer queries in a round than are wished for, and what that many would take."""

    names: Sequence[str]
    least: int
    most: int
    wanted: int
    takes_s: float
    setting: str

    @property
    def remedy(self) -> str:
        """ "20 would take about 95 s: timing.seconds = 120"."""
        return f"{self.wanted} would take about {figures.rough_duration(self.takes_s)}: {self.setting}"

    @property
    def sentence(self) -> str:
        rests = figures.counted(self.least, "query", "queries")
        if self.most > self.least:
            rests = f"{self.least} to {self.most} queries"
        each = " each" if len(self.names) > 1 else ""
        wide = ", too few for an interval of p95" if self.most < FEWEST["p95"] <= self.wanted else ""
        return f"The latency of {figures.listed(self.names)} rests on {rests}{each}{wide}; {self.remedy}"


def few_timed(
    durations_ns: Mapping[str, int],
    timed: Mapping[str, int],
    available: int,
    timing: Timing,
    *,
    asked: int,
    warmed: int = 1,
    table: str = "timing",
    parts: int = 1,
) -> FewTimed | None:
    """Return the pipelines that answered fewer queries in a round than `timing.min_queries`; None where none did.

    `timed` has the queries of each pipeline, out of so many `available`; one of no known duration is left out. `table`
    is what the eval file calls the timing, whose seconds are for so many `parts` of the work, of which this is one.
    """
    wanted = min(available, timing.min_queries)
    few = [name for name, count in timed.items() if count < wanted and name in durations_ns]
    if not few:
        return None
    enough = timing
    while any(shares(durations_ns, available, enough, asked=asked, warmed=warmed)[name] < wanted for name in few):
        enough = enough.model_copy(update={"seconds": enough.seconds * LONGER})
    return FewTimed(
        names=few,
        least=min(timed[name] for name in few),
        most=max(timed[name] for name in few),
        wanted=wanted,
        takes_s=parts * taken_s(dict.fromkeys(few, wanted), durations_ns, enough, asked=asked, warmed=warmed),
        setting=f"{table}.seconds = {ceil(parts * enough.seconds / STEP_S) * STEP_S}",
    )
