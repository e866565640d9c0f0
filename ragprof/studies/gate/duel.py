"""Who is asked next: A B, then B A, query by query, until every latency gate is decided or the time is spent.

First the base is asked against itself (two processes of it), to learn by how much this machine tells apart what is the
same. Then base and candidate, in looks: after each, the gates are judged as if it were the last, at a level that is
divided by the number of looks. Only pipelines with a gate that is still undecided are asked again. Fewer looks than
were laid out are had where queries take longer than the warm-up told. `run_duel` knows no process: it asks through a
function, so that a simulated machine can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, Protocol, TypeAlias

import pandas as pd

from ragprof.core.clock import Clock, Progress
from ragprof.studies.gate.document import InterleavedJob, Noise
from ragprof.studies.gate.evidence import TIMES

SideName: TypeAlias = Literal["base", "candidate", "twin"]
SIDES: tuple[SideName, ...] = ("base", "candidate", "twin")
FEWEST, WARMUP = 8, 3
FIRST_ANSWERS = 0.75
"""What three sides' first answers take of two rounds of two sides."""
MOST_ROUNDS = 10
BEGUN = 0.5
"""Share of a look that must fit into the time that is left, for the look to be begun."""
TIMED, ITSELF = "timed", "itself"


class SideAsker(Protocol):
    """One live query on one side: ns by stage, `query` being the whole; nothing where an app failed for it."""

    def __call__(
        self, side: SideName, pipeline: str, query_id: str, *, phase: str, number: int
    ) -> Mapping[str, int]: ...


TimesSheet: TypeAlias = list[tuple[str, str, int, str, int]]
"""Rows of one side."""
Judge: TypeAlias = Callable[[pd.DataFrame, pd.DataFrame, Noise, int], Collection[str]]
"""(times of the base, times of the candidate, noise, looks allowed) -> the pipelines that are still undecided."""
Listener: TypeAlias = Callable[[pd.DataFrame, pd.DataFrame], Noise]
"""(times of the base, times of its twin) -> the machine's own noise."""


@dataclass(frozen=True)
class DuelPlan:
    """How much is asked at a time: so many of the queries, in so many rounds a look."""

    pipelines: tuple[str, ...]
    queries: tuple[str, ...]
    rounds: int
    looks: int


@dataclass
class DuelOutcome:
    """Times of both sides as tables like SideEvidence.times, and how they came about."""

    base: pd.DataFrame
    candidate: pd.DataFrame
    noise: Noise
    looks: int
    rounds: int
    failed: tuple[tuple[str, str], ...] = ()
    """Pipeline and query of each that failed on some side: it is left out of both."""


def plan_duel(
    ask: SideAsker, pipelines: Sequence[str], queries: Sequence[str], *, seconds: float, looks: int, clock: Clock
) -> DuelPlan:
    """Lay out what fits the time, after a warm-up of both sides that also tells how long a query takes.

    The time is for `looks` looks, as much as one more for the machine's noise, and every side's first answer to every
    query. Where a look has no room for FEWEST queries, there are fewer looks; the last one is not given up, whatever
    it takes.
    """
    took = 0  # ns that both sides together take for one query of every pipeline
    for pipeline in pipelines:
        warm = []
        for place in range(WARMUP):
            start = clock()
            for side in SIDES:
                ask(side, pipeline, queries[place % len(queries)], phase="warm", number=place)
            warm.append((clock() - start) * 2 // 3)
        took += sorted(warm)[WARMUP // 2]
    available = len(queries)
    while True:
        unit = seconds * 1e9 / (looks + 1 + FIRST_ANSWERS)
        fitting = int(unit / max(1, 2 * took))
        if fitting >= min(FEWEST, available) or looks == 1:
            break
        looks -= 1
    count = min(available, max(FEWEST, fitting))
    rounds = 2 * max(1, min(MOST_ROUNDS // 2, fitting // max(1, count)))
    return DuelPlan(tuple(pipelines), tuple(queries[:count]), rounds, looks)


def run_duel(
    ask: SideAsker, plan: DuelPlan, *, learn: Listener, judge: Judge, progress: Progress, seconds: float, clock: Clock
) -> DuelOutcome:
    """Learn the noise, then ask both sides until all is decided, or the looks or the time are used up.

    The first look is had whatever it takes; another one where, at the pace of the slowest so far, half of it fits.
    """
    end = clock() + seconds * 1e9
    # Every side answers every query once, which is forgotten: what comes later is nobody's first time.
    progress.start("first answers", len(SIDES) * len(plan.pipelines) * len(plan.queries))
    for pipeline, query_id, side in product(plan.pipelines, plan.queries, SIDES):
        ask(side, pipeline, query_id, phase="warm", number=WARMUP)
        progress.advance(1)
    progress.done()
    # The base against a second process of itself, as long as one look.
    alone, twin = TimesSheet(), TimesSheet()
    lost = dict[tuple[str, str], None]()
    _rounds(ask, plan, plan.pipelines, ("base", alone), ("twin", twin), 0, progress, lost)
    noise = learn(_table(alone, lost), _table(twin, lost))
    base, candidate = TimesSheet(), TimesSheet()
    pending, number, looks, slowest = plan.pipelines, 0, 0, 0.0
    while pending and looks < plan.looks and (not looks or clock() + BEGUN * slowest * len(pending) <= end):
        start, asked = clock(), len(pending)
        _rounds(ask, plan, pending, ("base", base), ("candidate", candidate), number, progress, lost)
        number += plan.rounds
        left = judge(_table(base, lost), _table(candidate, lost), noise, plan.looks)
        pending = tuple(name for name in plan.pipelines if name in left)
        looks, slowest = looks + 1, max(slowest, (clock() - start) / asked)
    return DuelOutcome(_table(base, lost), _table(candidate, lost), noise, looks, number, tuple(lost))


def _table(sheet: TimesSheet, lost: Container[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame([row for row in sheet if (row[0], row[3]) not in lost], columns=list(TIMES))


def turns(queries: Sequence[str], number: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each query with the order of the sides: A B and B A by turns, the other way around in the next round."""
    for place, query_id in enumerate(queries):
        yield query_id, (0, 1) if (place + number) % 2 == 0 else (1, 0)


def _rounds(
    ask: SideAsker,
    plan: DuelPlan,
    pipelines: Sequence[str],
    first: tuple[SideName, TimesSheet],
    second: tuple[SideName, TimesSheet],
    number: int,
    progress: Progress,
    lost: dict[tuple[str, str], None],
) -> None:
    """A look's rounds from `number` on, over the pipelines by turns. A query that fails on a side is `lost`."""
    sides, phase = (first, second), ITSELF if second[0] == "twin" else TIMED
    task = "base against itself" if phase == ITSELF else f"{second[0]} against base"
    progress.start(task, 2 * plan.rounds * len(pipelines) * len(plan.queries))
    for rounds in range(number, number + plan.rounds):
        for shift in range(len(pipelines)):
            pipeline = pipelines[(shift - rounds) % len(pipelines)]
            for query_id, order in turns(plan.queries, rounds):
                for place in order if (pipeline, query_id) not in lost else ():
                    name, sheet = sides[place]
                    taken = ask(name, pipeline, query_id, phase=phase, number=rounds)
                    sheet += [(pipeline, stage, rounds, query_id, duration) for stage, duration in taken.items()]
                    if not taken:
                        lost[pipeline, query_id] = None
                progress.advance(2)
    progress.done()


def told(outcome: DuelOutcome, plan: DuelPlan, *, seconds: float, spent_seconds: float) -> InterleavedJob:
    """What the comparison says of the job."""
    looks, count = (outcome.looks, plan.looks), len(plan.queries)
    failed = {name: sum(pipeline == name for pipeline, _ in outcome.failed) for name, _ in outcome.failed}
    return InterleavedJob(seconds, round(spent_seconds, 1), *looks, outcome.rounds, count, outcome.noise, failed)
