"""Two models of load, each held out on the highest step and silent where it misses it.

Queue: FIFO before k servers with the service times of the lowest step (M/G/k), walked through arrival by arrival
(Kiefer and Wolfowitz, Trans. AMS 78, 1955), since its waiting times have no closed form. Where k is the workers', it is
given; of a service behind HTTP the k is taken that fits the lower steps best.
Scalability: X(N) = N l / (1 + s (N - 1) + c N (N - 1)), Gunther's universal law (Guerrilla capacity planning, 2007), of
answers per second over requests under way.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import quantile

NEAR_QUEUE, NEAR_LAW = 0.25, 0.10
"""How far a held-out step may lie from the model, relatively, unless its interval reaches it."""
WALKED = 12_000
MOST_SERVERS = 64
FEWEST_LEVELS = 4


@dataclass(frozen=True)
class RatePoint:
    """A quantile of latency in ns at a rate, with its interval."""

    rate: float
    ns: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ModelFit:
    """A model on its held-out step. `servers` of the queue; `contention` and `coherence` of the law."""

    held_out: float
    predicted: float
    measured: float
    holds: bool
    servers: int | None = None
    contention: float | None = None
    coherence: float | None = None
    peak: float | None = None


def walked(services: Array, rate: float, servers: int, *, seed: int, n: int = WALKED) -> Array:
    """Return latencies in ns of Poisson arrivals at this rate before so many servers, the first tenth left out."""
    rng = np.random.default_rng(seed)
    arrived = np.cumsum(rng.exponential(1e9 / rate, n)).tolist()
    taken = rng.choice(services, n).tolist()
    free = [0.0] * servers
    found = []
    for at, service in zip(arrived, taken, strict=True):
        ends = (at if at > free[0] else free[0]) + service
        heapq.heapreplace(free, ends)
        found.append(ends - at)
    return np.array(found[n // 10 :])


def queue_fit(
    services: Array, points: Sequence[RatePoint], level: float, *, servers: int | None, seed: int
) -> ModelFit | None:
    """Hold the model to the highest of at least two points; None with fewer."""
    ordered = sorted(points, key=lambda point: point.rate)
    if len(ordered) < 2 or len(services) < 20:
        return None
    *lower, highest = ordered
    chosen = servers or _servers(services, lower, level, seed)
    if highest.rate * services.mean() / 1e9 >= chosen:
        return ModelFit(highest.rate, float("inf"), highest.ns, False, servers=chosen)
    predicted = quantile(walked(services, highest.rate, chosen, seed=seed)[:, None], level)
    low, high = highest.interval or (highest.ns, highest.ns)
    near = abs(predicted - highest.ns) <= NEAR_QUEUE * highest.ns
    return ModelFit(highest.rate, predicted, highest.ns, near or low <= predicted <= high, servers=chosen)


def _servers(services: Array, points: Sequence[RatePoint], level: float, seed: int) -> int:
    """How many servers explain these points best; the fewest of those that do equally well."""

    def error(servers: int) -> float:
        off = 0.0
        for point in points:
            if point.rate * services.mean() / 1e9 >= servers:
                return float("inf")
            found = quantile(walked(services, point.rate, servers, seed=seed, n=WALKED // 4)[:, None], level)
            off += abs(np.log(found / point.ns))
        return round(off, 2)

    tried = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MOST_SERVERS]
    return min(tried, key=lambda servers: (error(servers), servers))


def law_fit(levels: Sequence[tuple[int, float]]) -> ModelFit | None:
    """Hold the law to the most requests under way, of (requests under way, answers per second); None below four."""
    from scipy.optimize import least_squares

    ordered = sorted(dict(levels).items())
    if len(ordered) < FEWEST_LEVELS or any(answered <= 0 for _, answered in ordered):
        return None
    *lower, (most, measured) = ordered
    many, answered = (np.array(column, float) for column in zip(*lower, strict=True))
    # Relative errors count, so that the few answers of one request at a time weigh as much as the many of eight.
    found = least_squares(
        lambda parameters: _law(many, *parameters) / answered - 1, [answered[0] / many[0], 0.1, 0.001],
        bounds=(0, [np.inf, 1, 1]), x_scale=[answered[0], 0.1, 0.001],
    ).x  # fmt: skip
    predicted = float(_law(np.array([most], float), *found)[0])
    _, contention, coherence = (float(each) for each in found)
    peak = float(np.sqrt((1 - contention) / coherence)) if coherence > 1e-9 else None
    return ModelFit(
        float(most), predicted, measured, abs(predicted - measured) <= NEAR_LAW * measured, contention=contention,
        coherence=coherence, peak=peak,
    )  # fmt: skip


def _law(many: Array, alone: float, contention: float, coherence: float) -> Array:
    return np.asarray(many * alone / (1 + contention * (many - 1) + coherence * many * (many - 1)))
