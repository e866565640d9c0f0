"""Two or more sides measured side by side: durations in rounds of alternating order, nDCG@10 query by query.

Holds what the benchmarks of this folder share. Prints nothing and judges nothing: there is no pass and no fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Query, Ranking
from ragprof.core.clock import Clock, cpu_ns, excluded_ns, now_ns
from ragprof.core.errors import BadInput
from ragprof.corpus import Corpus, read_corpus

NS = 1e9
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Durations:
    """What one side took, in ns, one number a round, in the order of the rounds: by the clock, and on all cores."""

    rounds_ns: tuple[int, ...]
    cores_ns: tuple[int, ...]

    @property
    def median_ns(self) -> float:
        return float(median(self.rounds_ns))


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of a figure with its smallest and largest value over the rounds."""

    middle: float
    low: float
    high: float

    def shown(self, form: str) -> str:
        """`middle (low-high)`, each number formatted as `form` says."""
        return f"{self.middle:{form}} ({self.low:{form}}-{self.high:{form}})"


@dataclass(frozen=True, slots=True)
class PairedScores:
    """nDCG@10 of two sides on the same queries. Differences are candidate minus baseline, 95 % interval."""

    baseline: float
    candidate: float
    difference: float
    interval: tuple[float, float] | None
    p: float
    queries: int

    def sentence(self) -> str:
        interval = "no interval" if self.interval is None else "[{:+.4f}, {:+.4f}]".format(*self.interval)
        return f"difference {self.difference:+.4f} {interval}, p = {self.p:.2g}, n = {self.queries} queries"


def interleaved(
    sides: Mapping[str, Callable[[], object]], *, rounds: int, clock: Clock = now_ns
) -> dict[str, Durations]:
    """Every side once a round: A B in the first, B A in the second, and so on, so that a drift hits both alike.

    With an even number of rounds every side stands equally early. Nothing is warmed up here: do that before.
    """
    if rounds < 1:
        raise BadInput(f"{rounds} rounds were asked for; a median needs at least 1, and an even number is fairest")
    durations: dict[str, list[tuple[int, int]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            start, start_of_cores = clock(), cpu_ns()
            sides[name]()
            durations[name].append((clock() - start, cpu_ns() - start_of_cores))
    return {name: Durations(*zip(*taken, strict=True)) for name, taken in durations.items()}


@dataclass(frozen=True, slots=True)
class Lowest:
    """The shortest time of each item over all rounds, in ns: by the clock, and without what was excluded."""

    wall_ns: NDArray[np.int64]
    reported_ns: NDArray[np.int64]


def item_by_item(
    sides: Mapping[str, Callable[[T], object]], items: Sequence[T], *, rounds: int, clock: Clock = now_ns
) -> dict[str, Lowest]:
    """Every side asks all items in every round, in alternating order; of each item the shortest time is kept.

    Another process on the core only ever makes a time longer, so that the shortest of many says what the work takes.
    """
    walls = {name: np.full((rounds, len(items)), np.iinfo(np.int64).max) for name in sides}
    reported = {name: table.copy() for name, table in walls.items()}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            ask, wall, told = sides[name], walls[name][number], reported[name][number]
            for place, item in enumerate(items):
                apart, start = excluded_ns(), clock()
                ask(item)
                wall[place] = clock() - start
                told[place] = wall[place] - (excluded_ns() - apart)
    return {name: Lowest(walls[name].min(axis=0), reported[name].min(axis=0)) for name in sides}


def added(ours: NDArray[np.int64], bare: NDArray[np.int64]) -> Spread:
    """Time of ours / time of bare over the same items, with a 95 % bootstrap interval over the items."""
    chosen = np.random.default_rng(0).integers(len(ours), size=(2000, len(ours)))
    drawn = ours[chosen].sum(axis=1) / bare[chosen].sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Spread(float(ours.sum() / bare.sum()), low, high)


def each(durations: Durations, *, items: int = 1, unit_ns: float = NS) -> Spread:
    """Time an item in units of `unit_ns`: median round, fastest round, slowest round."""
    scale = 1 / (items * unit_ns)
    return Spread(durations.median_ns * scale, min(durations.rounds_ns) * scale, max(durations.rounds_ns) * scale)


def rate(durations: Durations, *, items: int) -> Spread:
    """Items a second: median round, slowest round, fastest round."""
    seconds = each(durations, items=items)
    return Spread(1 / seconds.middle, 1 / seconds.high, 1 / seconds.low)


def rate_of_cores(durations: Durations, *, items: float) -> float:
    """Items a second of all cores together, over all rounds: a busy machine changes it less than the rate."""
    return items * len(durations.cores_ns) / (sum(durations.cores_ns) / NS)


def ratio(slow: Durations, fast: Durations) -> Spread:
    """slow / fast: of the medians, then the smallest and the largest of one round. Above 1 where `fast` is faster."""
    pairs = list(zip(slow.rounds_ns, fast.rounds_ns, strict=True))
    of_rounds = [one / other for one, other in pairs]
    return Spread(slow.median_ns / fast.median_ns, min(of_rounds), max(of_rounds))


def rankings(search: Callable[[Query], Ranking], queries: Sequence[Query]) -> dict[str, Ranking]:
    """One ranking a query; a document that is the query itself is left out, as BEIR has it."""
    from ragprof.core.ranking import without

    return {query.query_id: without(search(query), query.query_id) for query in queries}


def compared(
    baseline: Mapping[str, Ranking], candidate: Mapping[str, Ranking], qrels: Mapping[str, Mapping[str, int]]
) -> PairedScores:
    """nDCG@10 of both on every judged query: means, paired bootstrap interval, sign-flip p (ragprof.statistics)."""
    from ragprof.statistics.estimates import mean_estimate, paired_p

    first, second = _ndcg(baseline, qrels), _ndcg(candidate, qrels)
    differences = [after - before for before, after in zip(first, second, strict=True)]
    estimate = mean_estimate(differences, bounds=(-1.0, 1.0))
    return PairedScores(
        baseline=sum(first) / len(first),
        candidate=sum(second) / len(second),
        difference=sum(differences) / len(differences),
        interval=estimate.interval,
        p=paired_p(second, first),
        queries=estimate.n,
    )


def _ndcg(found: Mapping[str, Ranking], qrels: Mapping[str, Mapping[str, int]]) -> list[float]:
    """nDCG@10 in the order of the qrels; 0 for a query without a ranking."""
    import pandas as pd

    from ragprof.judge.scores import measure, scores_of

    rows = [
        (query_id, "search", rank, item.doc.document_id, item.score)
        for query_id, ranking in found.items()
        for rank, item in enumerate(ranking, start=1)
    ]
    table = pd.DataFrame(rows, columns=["query_id", "stage", "rank", "document_id", "score"])
    scores = scores_of(table, qrels, [measure("nDCG@10")], stages=["search"])
    by_query = dict(zip(scores["query_id"], scores["value"], strict=True))
    return [float(by_query.get(query_id, 0.0)) for query_id in qrels]


def read(path: Path) -> Corpus:
    """The corpus of a benchmark: a recipe's folder, which is built where it has to be, or what is there to read."""
    return read_corpus(path, format="recipe" if (path / "recipe.toml").is_file() else "auto")
